"""Grades the learner's checkout that it runs in, and writes a `result.json` for Classroom 50."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

# Never the learner's own: the folder beside this file, or another one like it that is named here.
GRADER = Path(os.environ.get("DOJO_GRADER") or Path(__file__).resolve().parent / "grader").resolve()

FAILED = 3
WHOSE = "from dojo.grading.cli import ROOT; print(ROOT)"


def main() -> int:
    """Grade the current folder; the exit code is 0 unless that could not be done."""
    checkout = Path.cwd()
    if not (GRADER / "dojo").is_dir():
        print(f"::error::there is no grader in {GRADER}", file=sys.stderr)
        return FAILED
    # Not in the checkout: Python would import modules from there, whoever wrote them.
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
    """A Python with this grader and no other: this one where it has it, or a new one."""
    asked = subprocess.run([sys.executable, "-P", "-c", WHOSE], capture_output=True, text=True)
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
