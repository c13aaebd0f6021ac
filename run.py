"""Runs pytest in the virtual environment `.venv` beside this file, and makes that if need be.

    python3 run.py                 pytest: the specs, and a light for each kata
    python3 run.py tests/... -x    whatever else is given goes to pytest
    python3 run.py selfcheck       the tests of the dojo itself

Every Python since 2.7 can read this file, so that one which is too old says so.
"""

from __future__ import print_function

import hashlib
import os
import subprocess
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
WINDOWS = os.name == "nt"
BIN = os.path.join(VENV, "Scripts" if WINDOWS else "bin")
PYTHON = os.path.join(BIN, "python.exe" if WINDOWS else "python")
# The project's own tests wait a lot: two at a time, in random order, and a file stays together.
SELFCHECK = ["selfcheck", "-p", "randomly", "-n", "2", "--dist", "loadfile"]
UNREACHED = ("No matching distribution", "Could not find a version", "Connection", "Max retries")


def main(arguments):
    check_python()
    own_tests = arguments[:1] == ["selfcheck"]
    install("dev" if own_tests else "")
    if not own_tests:
        # The command that the summary says to type next.
        os.environ["DOJO_PYTEST"] = "py run.py" if WINDOWS else "python3 run.py"
    command = [PYTHON, "-m", "pytest"] + (SELFCHECK if own_tests else []) + arguments[own_tests:]
    say(" ".join(["pytest"] + command[3:]))
    os.chdir(ROOT)
    if WINDOWS:
        # There, a program that is put in the place of another goes on beside the shell's prompt.
        return subprocess.call(command)
    os.execv(PYTHON, command)


def check_python():
    if sys.version_info < OLDEST:
        found = ".".join(str(part) for part in sys.version_info[:3])
        stop("Python 3.11 or later is needed, and this is %s (%s)" % (found, sys.executable))
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as missing:
        stop(
            "this Python has no module `%s`, which virtual environments are made with; on Debian "
            "and Ubuntu `apt install python3-venv` adds it" % missing.name
        )


def install(extra):
    """Make the environment hold what `pyproject.toml` wants, if it does not already."""
    mark = os.path.join(VENV, "installed")
    wanted = fingerprint()
    done = read(mark).split()
    if wanted in done and (not extra or extra in done) and works(PYTHON):
        return
    say("making .venv and installing there, which takes a minute (%s) ..." % sys.version.split()[0])
    if not works(PYTHON):
        made = run([sys.executable, "-m", "venv", "--clear", VENV])
        if made.returncode != 0:
            stop("the virtual environment .venv cannot be made: " + last_line(made.output))
    what = ROOT + ("[%s]" % extra if extra else "")
    constraints = os.path.join(ROOT, "constraints.txt")
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "-c", constraints]
    installed = run(pip + ["-e", what])
    if installed.returncode != 0:
        log = os.path.join(VENV, "install.log")
        write(log, installed.output)
        why = "pip cannot install what is needed"
        if any(words in installed.output for words in UNREACHED):
            why += ": is there a network, and does it need a proxy? pip says"
        stop("%s: %s (all of it: %s)" % (why, last_line(installed.output), log))
    write(mark, " ".join([wanted] + ([extra] if extra else [])))


def fingerprint():
    """A word that changes with what is to be installed, and from where."""
    names = ("pyproject.toml", "constraints.txt")
    texts = [ROOT] + [read(os.path.join(ROOT, name)) for name in names]
    return hashlib.sha256("".join(texts).encode("utf-8")).hexdigest()


def works(python):
    """Whether there is an environment, whole, with a Python that still exists and is new enough."""
    check = "import sys, pip; sys.exit(sys.version_info < %r)" % (OLDEST,)
    return os.path.exists(python) and run([python, "-c", check]).returncode == 0


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    done.output = done.stdout.decode("utf-8", "replace")
    return done


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def last_line(output):
    """The last error of what a program said, or its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["nothing was said"]
    return ([line for line in lines if line.startswith("ERROR")] or lines)[-1]


def say(text):
    print("run.py: " + text, file=sys.stderr)


def stop(why):
    say(why)
    sys.exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
