"""Hands pytest the dojo's plugin, or says that this is the wrong Python for it."""

import os
import sys

import pytest

VENV = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".venv")


def wrong_python(why: object) -> None:
    """Stop before pytest shows forty lines about an import."""
    print(f"This pytest runs outside the dojo's virtual environment: {why}.", file=sys.stderr)
    folder = os.path.relpath(VENV)
    if os.path.exists(os.path.join(folder, "pyvenv.cfg")):
        bash = os.path.join(folder, "bin", "activate")
        shell = os.path.join(folder, "Scripts", "Activate.ps1").replace("/", "\\")
        print(f"Activate it: `. {bash}`, in PowerShell `{shell}`.", file=sys.stderr)
    else:
        print("Make it: `python3 run.py`, on Windows `py run.py`.", file=sys.stderr)
    raise SystemExit(pytest.ExitCode.USAGE_ERROR)


if sys.version_info < (3, 11):  # noqa: UP036
    wrong_python(f"it is Python {sys.version.split()[0]}, and 3.11 or later is needed")
pytest.register_assert_rewrite("dojo.plugin.hooks")
try:
    import dojo.plugin.hooks  # noqa: F401
except ImportError as missing:
    if (missing.name or "").partition(".")[0] == "dojo":
        raise
    wrong_python(missing)

pytest_plugins = ["dojo.plugin.hooks"]
