"""Grades the learner's checkout in the current folder, and writes Classroom 50's `result.json`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

# Never the learner's own copy: the folder beside this file, or the one that the variable names.
GRADER = Path(os.environ.get("DOJO_GRADER") or Path(__file__).resolve().parent / "grader").resolve()

FAILED = 3
PRINT_ROOT = "from dojo.grading.cli import ROOT; print(ROOT)"


def main() -> int:
    """Grade the current folder; the exit code is 0 unless that could not be done."""
    checkout = Path.cwd()
    if not (GRADER / "dojo").is_dir():
        print(f"::error::there is no grader in {GRADER}", file=sys.stderr)
        return FAILED
    # Not in the checkout: Python would import the learner's modules from there.
    with tempfile.TemporaryDirectory(prefix="dojo-") as scratch, contextlib.chdir(scratch):
        try:
            python = python_with_grader(Path(scratch))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"::error::the grader could not be installed: {error}", file=sys.stderr)
            return FAILED
        grade = [python, "-P", "-m", "dojo.cli", "grade"]
        subprocess.run([*grade, checkout, "--out", "results.json"])
        merge = [*grade, "--merge", "results.json"]
        subprocess.run(merge)
        out = checkout / "result.json"
        return subprocess.run([*merge, "--format", "classroom50", "--out", out]).returncode


def python_with_grader(scratch: Path) -> str:
    """The path of a Python that has this grader: the current one, or a new environment."""
    asked = subprocess.run([sys.executable, "-P", "-c", PRINT_ROOT], capture_output=True, text=True)
    if asked.returncode == 0 and Path(asked.stdout.strip()) == GRADER:
        return sys.executable
    made = scratch / "venv"
    venv.create(made, with_pip=True)
    python = str(made / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    pip = [python, "-P", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-c", GRADER / "constraints.txt", "-e", GRADER], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main())
