"""The commands of the README work on a bare machine, and say in a line why where they cannot."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dojo.catalogue import read_catalogue
from selfcheck.projects import KATA, RIGHT, ROOT, Project, lights, said

RUN = ROOT / "run.py"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OUTSIDE = "outside the dojo's virtual environment"


@pytest.mark.fast
def test_the_readme_has_two_commands():
    """`.ci/run` finds them by how they begin, and runs them as they stand there."""
    found = re.findall(r"^    (python3 run\.py.*)$", README, re.MULTILINE)

    assert [line.partition("#")[0].strip() for line in found] == [
        "python3 run.py",
        "python3 run.py selfcheck",
    ]
    assert r"s/^    \(python3 run\.py.*\)/\1/p" in (ROOT / ".ci" / "run").read_text()


# ----- run.py


def run_py(prologue: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of `run.py` in a Python in which `prologue` was executed."""
    for name in ("run.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    main = "sys.argv = ['run.py']; runpy.run_path('run.py', None, '__main__')"
    code = f"import runpy, sys; {prologue}; {main}"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.fast
def test_an_old_python_can_read_run_py():
    """A Python that is too old must get as far as saying so: no syntax that is newer than 2.7."""
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal, ast.AsyncFunctionDef)
    tree = ast.parse(RUN.read_bytes())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    annotated = [f.name for f in functions if f.returns or any(a.annotation for a in f.args.args)]

    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, newer)] == []
    assert annotated + [f.name for f in functions if f.args.kwonlyargs or f.args.posonlyargs] == []
    assert RUN.read_bytes().isascii(), "Python 2 wants to be told the encoding"


@pytest.mark.parametrize(
    ("prologue", "why"),
    [
        ("sys.version_info = (3, 10, 4)", "Python 3.11 or later is needed, and this is 3.10.4"),
        ("sys.modules['ensurepip'] = None", "`apt install python3-venv`"),
        ("sys.modules['venv'] = None", "no module `venv`"),
    ],
)
def test_a_python_that_will_not_do_is_told_in_a_line(tmp_path, prologue, why):
    """The first command of all must not end in a traceback."""
    done = run_py(prologue, tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / ".venv").exists()


UNREACHED = """
import sys

if __name__ == "__main__":
    print("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'")
    print("      ERROR: No matching distribution found for setuptools>=77")
    print("      [end of output]")
    print("note: This error originates from a subprocess, and is likely not a problem with pip.")
    sys.exit(1)
"""


def test_a_missing_network_is_told_in_a_line(tmp_path):
    """Pip says the same thing thirty times."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    site = next(tmp_path.glob(".venv/[lL]ib/**/site-packages"))
    (site / "pip.py").write_text(UNREACHED)

    done = run_py("pass", tmp_path)

    first, last = done.stderr.splitlines()
    assert done.returncode == 3
    assert "making .venv" in first
    assert "is there a network" in last
    assert "No matching distribution found for setuptools>=77" in last
    assert str(tmp_path / ".venv" / "install.log") in last
    assert not (tmp_path / ".venv" / "installed").exists()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`run.py` as a module, in a folder of its own, which only notes what it would run."""
    for name in ("run.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    spec = importlib.util.spec_from_file_location("run_py", tmp_path / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    commands: list[list[str]] = []
    vars(module)["ran"] = commands

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        Path(module.BIN).mkdir(parents=True, exist_ok=True)
        Path(module.PYTHON).touch()
        if "-c" not in command[:2]:
            commands.append(command)
        done: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess(command, 0)
        vars(done)["output"] = ""
        return done

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "WINDOWS", False)
    monkeypatch.setattr(os, "execv", lambda path, command: module.ran.append(command))
    monkeypatch.setattr(os, "chdir", lambda path: None)
    monkeypatch.setenv("DOJO_PYTEST", "")
    return module


def installed(script: ModuleType) -> list[str]:
    """The arguments that pip was given, in order; reading them clears the list."""
    found = [command[-1] for command in script.ran if "install" in command]
    script.ran.clear()
    return found


def test_either_command_may_be_typed_first(script, tmp_path):
    """The project's own tests want more than the katas do, and what is there is not installed
    again."""
    plain, dev = str(tmp_path), f"{tmp_path}[dev]"

    script.main([])
    assert installed(script) == [plain]
    script.main(["-x"])
    assert installed(script) == []
    script.main(["selfcheck"])
    assert installed(script) == [dev]
    script.main(["selfcheck"])
    script.main([])
    assert installed(script) == []


def test_what_is_wanted_anew_is_installed(script, tmp_path):
    """After a `git pull`, for one."""
    script.main(["selfcheck"])
    installed(script)
    (tmp_path / "constraints.txt").write_text("pytest==9.9.9\n")
    script.main([])

    assert installed(script) == [str(tmp_path)]


def test_arguments_go_to_pytest(script):
    """It is pytest, with another way to begin."""
    script.main(["tests/test_k01_notification_log.py", "-x"])
    assert script.ran[-1][1:] == ["-m", "pytest", "tests/test_k01_notification_log.py", "-x"]

    script.main(["selfcheck", "-k", "k03"])
    assert script.ran[-1][1:4] == ["-m", "pytest", "selfcheck"]
    assert script.ran[-1][-2:] == ["-k", "k03"]


def test_what_comes_next_is_typed_like_what_was_typed(project: Project, monkeypatch):
    """Where `run.py` was used, nothing called `pytest` need be there."""
    project.add()
    monkeypatch.setenv("DOJO_PYTEST", "python3 run.py")

    result = project.run()

    result.stdout.fnmatch_lines([f"  run      python3 run.py tests?test_{KATA}.py"])


# ----- pytest in the wrong place


@pytest.fixture
def before_all(tmp_path_factory, monkeypatch) -> Callable[..., None]:
    """Give the Pythons that a test starts modules that are found before all others."""

    def put(**modules: str) -> None:
        folder = tmp_path_factory.mktemp("modules")
        for name, source in modules.items():
            file = folder.joinpath(*name.split(".")).with_suffix(".py")
            file.parent.mkdir(exist_ok=True)
            file.write_text(source, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return put


NOT_INSTALLED = "raise ModuleNotFoundError(\"No module named 'fastapi'\", name='fastapi')"


@pytest.mark.parametrize("made", [True, False])
def test_a_pytest_outside_the_environment_says_how_to_get_in(project: Project, before_all, made):
    """A learner who opens a new terminal forgets it now and then."""
    project.add()
    before_all(fastapi=NOT_INSTALLED)
    if made:
        (project.path / ".venv").mkdir()
        (project.path / ".venv" / "pyvenv.cfg").touch()

    result = project.run("--solutions=solutions")

    first, second = result.stderr.lines
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert OUTSIDE in first
    assert "No module named 'fastapi'" in first
    ways = [r". .venv/bin/activate", r".venv\Scripts\Activate.ps1"]
    ways = ways if made else ["python3 run.py", "py run.py"]
    assert [
        way for way in ways if way not in second.replace(f".venv{os.sep}bin{os.sep}", ".venv/bin/")
    ] == []


def test_a_mistake_in_the_dojo_is_shown_as_what_it_is(project: Project, before_all):
    """A contributor must not look for the mistake in the environment."""
    project.add()
    empty = {"dojo.__init__": "", "dojo.plugin.__init__": "", "dojo.plugin.entry": ""}
    before_all(**empty, **{"dojo.plugin.hooks": "import dojo.no_such_thing"})

    result = project.pytester.runpytest_subprocess()

    assert "No module named 'dojo.no_such_thing'" in said(result)
    assert OUTSIDE not in said(result)


NO_LOOPBACK = """
import socket

class NoLoopback(socket.socket):
    def bind(self, address):
        if self.family == socket.AF_INET:
            raise OSError(99, "Cannot assign requested address")
        super().bind(address)

socket.socket = NoLoopback
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_a_machine_without_a_loopback_interface_is_told_once(project, before_all, options):
    """The mail server of the specs cannot be reached there, and no solution can do anything about
    it."""
    project.add(KATA, RIGHT)
    before_all(sitecustomize=NO_LOOPBACK)

    result = project.run(*options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said(result).count("no loopback interface") == 1
    assert lights(result) == {}
    assert len([line for line in result.stderr.lines if line.strip()]) == 1


DEPRECATED = """
import typing, warnings

del typing.ByteString
before = getattr(typing, "__getattr__", None)

def ask(name):
    if name != "ByteString":
        if before:
            return before(name)
        raise AttributeError(name)
    warnings.warn("'typing.ByteString' is deprecated", DeprecationWarning, stacklevel=2)
    return bytes

typing.__getattr__ = ask
"""


def test_what_a_library_has_to_mend_is_not_shown(project: Project, before_all):
    """Python 3.15 warns of a name that aiosmtpd imports, and a learner can do nothing about it."""
    project.add(KATA, RIGHT)
    before_all(sitecustomize=DEPRECATED)

    result = project.run()

    assert lights(result) == {"k01": "green"}
    assert "warning" not in said(result)


def test_specs_run_in_the_order_in_which_they_are_written(project: Project):
    """A learner reads them so; whoever has pytest-randomly asks for another order."""
    project.add()
    names = [*read_catalogue(project.path)[KATA].spec_names]

    def order(*options: str) -> list[str]:
        lines = project.pytester.runpytest_subprocess("--collect-only", "-q", *options).outlines
        return [line.rpartition("::")[2] for line in lines if "::" in line]

    assert order() == names
    assert (
        order("-p", "randomly", "-p", "no:cacheprovider", "-p", "xdist", "--randomly-seed=3")
        != names
    )


# ----- what is installed


@pytest.mark.fast
def test_what_is_pinned_is_what_is_asked_for():
    """A pin that a bound forbids cannot be installed, and what has no pin is another version each
    week."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(name): version for name, _, version in (p.partition("==") for p in lines)
    }
    project = PYPROJECT["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    wrong = [
        want
        for want in map(Requirement, asked)
        if not want.specifier.contains(pins.get(canonicalize_name(want.name), "0.0"))
    ]

    assert wrong == []


@pytest.mark.fast
def test_other_versions_are_tried_with_mistakes_that_exist():
    """`.ci/versions` sees whether specs still are red, with a mistake for each kata."""
    mistakes = runpy.run_path(str(ROOT / ".ci" / "versions"))["MISTAKES"]

    assert [name for name in mistakes if not (ROOT / "solutions" / name).is_file()] == []
    assert {name.partition("/")[0] for name in mistakes} == set(read_catalogue(ROOT))
    assert len(mistakes) == 19


def test_what_tools_leave_behind_is_not_committed():
    """`uv sync` writes a lock file; what is installed is in constraints.txt."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()

    assert {"/uv.lock", ".venv/"} <= set(ignored)
