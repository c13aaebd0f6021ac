"""Attacks on the grader: each is contained, gets no points or is for review, and harms no other.

Attacks by a solution are files in `attacks/`, in folders by what they try; their docstrings state
the expected result. Attacks by a whole submission are built here. All are graded together, with
honest ones in between.
"""

from __future__ import annotations

import ast
import ctypes
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dojo.grading.sandbox.stopwatch import AT_MOST
from selfcheck.projects import KATA, RIGHT, ROOT

FOLDER = Path(__file__).parent / "attacks"
ATTACKS = sorted(FOLDER.glob("*/*.py"), key=lambda file: file.stem)
STUB = (ROOT / "katas" / KATA / "app.py").read_text(encoding="utf-8")
SOLUTIONS = ROOT / "solutions"
HONEST = "-then-an-honest-one"
TRACE = "dojo-attack-was-here"
EVERY = 15
LIMIT = 6.0
PATIENCE = 600

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the attacks are written for POSIX")


@dataclass
class Host:
    """The targets that an attack must not reach: open servers on this machine, and its folders."""

    folder: Path
    servers: dict[str, socket.socket] = field(default_factory=dict)

    def close(self) -> None:
        """Close all servers."""
        for server in self.servers.values():
            server.close()

    def open(self, name: str, family: int, kind: int, address: Any) -> None:
        server = socket.socket(family, kind)
        server.bind(address)
        server.setblocking(False)
        if kind == socket.SOCK_STREAM:
            server.listen()
        self.servers[name] = server

    def source(self, file: Path) -> str:
        """The source of an attack, with the addresses of this machine filled in."""
        words = {"@ROOT@": str(ROOT), "@FOLDER@": str(self.folder)}
        for name, server in self.servers.items():
            address = server.getsockname()
            known = address[1] if isinstance(address, tuple) else os.fsdecode(address)
            words[f"@{name}@"] = str(known).lstrip("\0")
        text = file.read_text(encoding="utf-8")
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        kit = (FOLDER / "kit.py").read_text(encoding="utf-8")
        return re.sub(r"^from kit import .*\n", lambda _: kit, text, flags=re.MULTILINE)

    def visited(self) -> list[str]:
        """The servers that an attack has connected to."""
        found = []
        for name, server in self.servers.items():
            with suppress(BlockingIOError):
                server.accept() if server.type == socket.SOCK_STREAM else server.recv(1)
                found.append(name)
        return found


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("attacks"))
    name = f"/tmp/dojo-server-{os.getpid()}"
    with ExitStack() as stack:
        # Some of what attacks make is too deep for Python's own way to remove it.
        stack.callback(lambda: subprocess.run(["rm", "-rf", host.folder]))
        stack.callback(host.close)
        host.open("TCP", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        host.open("UDP", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        host.open("UNIX", socket.AF_UNIX, socket.SOCK_STREAM, name)
        stack.callback(os.unlink, name)
        if sys.platform == "linux":
            host.open("ABSTRACT", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}")
        yield host


@dataclass
class Batch:
    """The outcome of one grading command."""

    code: int
    output: str
    results: dict[str, Any]
    left_behind: list[str]

    @property
    def namespaces(self) -> bool:
        """Whether each solution had a network, a process tree and a file system of its own."""
        return any(
            "a network of its own" in entry for entry in self.results["isolation"]["in_force"]
        )

    @property
    def submissions(self) -> list[dict[str, Any]]:
        return list(self.results["submissions"])

    @property
    def scores(self) -> dict[str, tuple[str, float]]:
        return {entry["name"]: (entry["state"], entry["score"]) for entry in self.submissions}

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = [entry for entry in self.submissions if entry["name"] == name]
        assert len(found) == 1, f"{name} is there {len(found)} times: {self.output[-2000:]}"
        return found[0]


def grade(
    *words: str | Path,
    scratch: Path,
    cwd: Path = ROOT,
    first: Callable[[], None] | None = None,
) -> Batch:
    """Grade the first kata, with the empty folder `scratch` for all of the grader's own files.

    `first` is called in the process of the grader before there is one.
    """
    scratch.mkdir()
    out = scratch.with_suffix(".json")
    environment = {name: text for name, text in os.environ.items() if name != "TMPDIR"}
    options = ("--kata", "k01", f"--time-limit={LIMIT:g}", "--out", out)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dojo.cli", "grade", *map(str, (*words, *options))],
        cwd=cwd,
        env=environment | {"TEMP": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        preexec_fn=first,
    )
    output = done.stdout.decode(errors="replace")
    assert out.is_file(), f"no results were written: {output[-4000:]}"
    results = json.loads(out.read_text(encoding="utf-8"), parse_constant=_no_number)
    return Batch(done.returncode, output, results, left_behind(scratch))


def _no_number(name: str) -> None:
    raise AssertionError(f"the results are not JSON: there is {name} in them")


def left_behind(scratch: Path) -> list[str]:
    """Files that the grader did not remove, and processes of it that still run."""
    found = [str(path) for path in scratch.iterdir()]
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"TEMP={scratch}".encode() in environment.read_bytes().split(b"\0"):
                found.append((environment.parent / "cmdline").read_text().replace("\0", " "))
    return found


def traces(host: Host) -> list[str]:
    """The folders in which attacks have left a trace; removes them."""
    found = []
    for place in ("/", "/tmp", "/var/tmp", "/dev/shm", Path.home(), ROOT, host.folder):
        trace = Path(place) / TRACE
        if trace.exists():
            found.append(str(trace))
            trace.rmdir() if trace.is_dir() else trace.unlink()
    return found


def put(folder: Path, solution: str | bytes) -> None:
    """Write a submission with a solution of the first kata, and nothing else."""
    (folder / KATA).mkdir(parents=True)
    content = solution if isinstance(solution, bytes) else solution.encode()
    (folder / KATA / "app.py").write_bytes(content)


def put_honest(folder: Path) -> None:
    """Write a right solution that differs from all others, so that it is run."""
    put(folder, f"{RIGHT}\n# nobody else may see this: {os.fsencode(folder)!a}\n")


# ----- solutions


@dataclass(frozen=True)
class Expected:
    """The expected result in the docstring of an attack.

    `score` is the most that it gets (0 where it is not named) unless a person decides. `state` and
    `evidence` are regular expressions.
    """

    state: str
    score: float
    evidence: str
    needs_namespaces: bool

    @classmethod
    def of(cls, file: Path) -> Expected:
        doc = ast.get_docstring(ast.parse(file.read_bytes())) or ""
        fields = dict(re.findall(r"^(state|score|evidence|needs): (.+)$", doc, re.MULTILINE))
        return cls(
            fields.get("state", "graded|review|tampered"),
            float(fields.get("score", 0)),
            fields.get("evidence", ""),
            fields.get("needs") == "namespaces",
        )


@pytest.fixture(scope="session")
def attacked(host: Host) -> Batch:
    """All attacks, and honest solutions in between."""
    folder = host.folder / "submissions"
    for number, file in enumerate(ATTACKS):
        put(folder / file.stem, host.source(file))
        if number % EVERY == 0:
            put_honest(folder / f"{file.stem}{HONEST}")
    return grade(
        "--each", folder, "--jobs=8", "--memory-limit=512", scratch=host.folder / "solutions"
    )


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in ATTACKS])
def test_an_attack_gets_what_it_has_earned(file: Path, attacked: Batch):
    """A grader that gives points to an attack grades nothing."""
    expected = Expected.of(file)
    if expected.needs_namespaces and not attacked.namespaces:
        pytest.skip("this machine allows no namespaces")
    result = attacked[file.stem]
    shown = json.dumps(result, indent=1)

    assert "ESCAPED" not in shown, shown
    assert result["score"] <= expected.score or result["state"] == "review", shown
    assert re.fullmatch(expected.state, result["state"]), shown
    assert re.search(expected.evidence, "\n".join(result["katas"][0]["evidence"])), shown
    assert result["seconds"] < (AT_MOST + 1) * LIMIT


def test_nobody_else_is_harmed(attacked: Batch):
    """A submission beside an attack gets the same verdict as without it."""
    honest = {name: came for name, came in attacked.scores.items() if name.endswith(HONEST)}

    assert len(honest) > len(ATTACKS) / EVERY - 1
    assert set(honest.values()) == {("graded", 10.0)}, honest


def test_the_grader_reports_success(attacked: Batch):
    """An attack is no error of the grader: exit code 0, and no traceback."""
    assert "Traceback" not in attacked.output, attacked.output
    assert attacked.code == 0, attacked.output


def test_nothing_is_left_behind(attacked: Batch, host: Host):
    """No running process, and no file outside."""
    assert attacked.left_behind == []
    assert traces(host) == []


def test_no_server_was_reached(attacked: Batch, host: Host):
    """A solution cannot send data anywhere: there is no network."""
    if not attacked.namespaces:
        pytest.skip("this machine allows no namespaces")

    assert host.visited() == []


def forbid_namespaces() -> None:
    """Take from this process the right to have namespaces."""
    cap_sys_admin, pr_capbset_drop = 21, 24
    ctypes.CDLL(None).prctl(pr_capbset_drop, cap_sys_admin, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can be refused")
def test_the_grader_survives_without_namespaces(host: Host):
    """Not every machine allows namespaces: the results then name the missing isolation."""
    folder, scratch = host.folder / "no-namespaces", host.folder / "plain"
    for file in ATTACKS:
        if file.stem.startswith(("become", "disk", "folders", "fork", "kill", "stay_as")):
            put(folder / file.stem, host.source(file))
    put_honest(folder / HONEST)
    try:
        batch = grade("--each", folder, "--jobs=6", scratch=scratch, first=forbid_namespaces)
    finally:
        left = traces(host)

    assert (batch.code, batch.left_behind, left) == (0, [], []), batch.output
    assert (batch.namespaces, batch.results["isolation"]["missing"] != []) == (False, True)
    scores = batch.scores
    assert scores.pop(HONEST) == ("graded", 10.0)
    assert set(scores.values()) == {("graded", 0.0)}, scores


# ----- submissions


def a_link_to_the_solution(folder: Path) -> None:
    (folder / KATA).mkdir(parents=True)
    (folder / KATA / "app.py").symlink_to(SOLUTIONS / KATA / "app.py")


def a_folder_that_is_a_link(folder: Path) -> None:
    folder.mkdir()
    (folder / KATA).symlink_to(SOLUTIONS / KATA)


def katas_that_are_a_link(folder: Path) -> None:
    folder.mkdir()
    (folder / "katas").symlink_to(SOLUTIONS)


def a_submission_that_is_a_link(folder: Path) -> None:
    folder.symlink_to(SOLUTIONS)


def a_folder_for_a_file(folder: Path) -> None:
    (folder / KATA / "app.py").mkdir(parents=True)
    shutil.copy(SOLUTIONS / KATA / "app.py", folder / KATA / "app.py" / "app.py")


def a_pipe_for_a_file(folder: Path) -> None:
    (folder / KATA).mkdir(parents=True)
    os.mkfifo(folder / KATA / "app.py")


def a_pipe_for_a_folder(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / KATA)


def a_socket_for_a_file(folder: Path) -> None:
    (folder / KATA).mkdir(parents=True)
    with suppress(OSError):  # not every user may
        os.mknod(folder / KATA / "app.py", stat.S_IFSOCK | 0o600)


def a_hundred_megabytes(folder: Path) -> None:
    put(folder, "")
    os.truncate(folder / KATA / "app.py", 100 << 20)


def more_than_the_limit(folder: Path) -> None:
    put(folder, f"{RIGHT}\n# {'x' * 1_000_000}")


def no_utf_8(folder: Path) -> None:
    put(folder, RIGHT.encode() + b"\n# \xff\xfe\xed\xa0\x80\n")


def nul_bytes(folder: Path) -> None:
    put(folder, RIGHT.encode() + b"\n\0\n")


def nothing_in_it(folder: Path) -> None:
    put(folder, b"")


def nothing_but_a_mark(folder: Path) -> None:
    put(folder, b"\xef\xbb\xbf")


def an_unknown_encoding(folder: Path) -> None:
    put(folder, "# coding: no-such-thing\n" + RIGHT)


def an_encoding_that_is_none(folder: Path) -> None:
    put(folder, "# coding: hex\n" + RIGHT)


def many_parentheses(folder: Path) -> None:
    put(folder, "x = " + "(" * 10_000 + ")" * 10_000)


def many_minuses(folder: Path) -> None:
    put(folder, "x = " + "-" * 500_000 + "1")


def many_attributes(folder: Path) -> None:
    put(folder, "x = x" + ".x" * 400_000)


def one_long_number(folder: Path) -> None:
    put(folder, "x = " + "9" * 900_000)


def one_long_line(folder: Path) -> None:
    """Each of the frames that an error comes through is shown with its line."""
    put(
        folder,
        "from fastapi import FastAPI\napp = FastAPI()\n"
        f"def down(n): return [1 / n, down(n - 1)]{' ' * 900_000}# the end\n"
        '@app.post("/send-notification")\ndef send(): down(20)\n',
    )


def nothing_at_all(folder: Path) -> None:
    folder.mkdir()


HOOK = """\
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    report.outcome = "passed"
    return report
"""
PRESENT = f"""\
for place in ("/tmp", {str(ROOT)!r}):
    open(f"{{place}}/{TRACE}", "w").close()
"""


def everything_but_a_solution(folder: Path) -> None:
    """A stub, with files beside it that have deceived other graders."""
    put(folder / "katas", STUB)
    tests = "".join(f"def test_{number}(): pass\n" for number in range(98))
    files = {
        "conftest.py": HOOK,
        "katas/conftest.py": HOOK,
        f"katas/{KATA}/conftest.py": HOOK,
        f"katas/{KATA}/test_app.py": tests,
        f"katas/{KATA}/kata.toml": 'title = "Easy"\npoints = 1000\n',
        f"tests/test_{KATA}.py": tests,
        "tests/conftest.py": HOOK,
        "pytest.ini": "[pytest]\naddopts = -p conftest --collect-only\n",
        "tox.ini": "[pytest]\naddopts = --collect-only\n",
        "setup.cfg": "[tool:pytest]\naddopts = --collect-only\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--collect-only'\n",
        "sitecustomize.py": PRESENT,
        "usercustomize.py": PRESENT,
        "solution.pth": f"import os; exec({PRESENT!r})\n",
        **{
            f"{name}/__init__.py": PRESENT
            for name in ("dojo", "pytest", "_pytest", "fastapi", "solutions", "pydantic", "rich")
        },
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


TREES: list[Callable[[Path], None]] = [
    a_link_to_the_solution,
    a_folder_that_is_a_link,
    katas_that_are_a_link,
    a_submission_that_is_a_link,
    a_folder_for_a_file,
    a_pipe_for_a_file,
    a_pipe_for_a_folder,
    a_socket_for_a_file,
    a_hundred_megabytes,
    more_than_the_limit,
    no_utf_8,
    nul_bytes,
    nothing_in_it,
    nothing_but_a_mark,
    an_unknown_encoding,
    an_encoding_that_is_none,
    many_parentheses,
    many_minuses,
    many_attributes,
    one_long_number,
    one_long_line,
    nothing_at_all,
    everything_but_a_solution,
]
NAMES = [
    "-rf",
    "--out=elsewhere",
    "=cmd()",
    "@SUM(1+1)",
    "a\nb",
    "a\\nb",
    "a\tb\r\n::error::c",
    "\x1b[2J\x1b]0;title\x07",
    "<script src=x onerror=alert(1)>",
    "\"quoted\", and 'quoted'; $(touch it) `x`",
    "%s{0}{name}",
    "a..%2f..%2fetc",
    "~",
    "ada\u202eexe.yp",
    "zoë 🎓",
    "x" * 250,
    "x" * 249 + "y",
    "é" * 125,
    os.fsdecode(b"not \xff utf-8 \xed\xa0\x80"),
    "con",
    "results.json",
    "katas",
]


@pytest.fixture(scope="session")
def submitted(host: Host) -> Batch:
    """All strange submissions, and honest ones with strange names."""
    folder = host.folder / "submitted"
    folder.mkdir()
    for build in TREES:
        build(folder / build.__name__)
    for name in NAMES:
        with suppress(OSError):  # some file systems refuse some names
            put(folder / name, RIGHT)
    return grade("--each", folder, "--jobs=4", scratch=host.folder / "trees")


@pytest.mark.parametrize("build", TREES, ids=lambda build: build.__name__)
def test_a_strange_submission_gets_nothing(build: Callable[[Path], None], submitted: Batch):
    """Only regular files are read; a file that is not Python is only a failed solution."""
    result = submitted[build.__name__]
    nothing_found = build in (nothing_at_all, a_pipe_for_a_folder)
    expected = ("ungradable", None) if nothing_found else ("graded", 0.0)

    assert (result["state"], result["score"]) == expected, json.dumps(result, indent=1)


def test_a_strange_name_is_only_a_name(submitted: Batch, host: Host):
    """Such a submission gets its points, under a unique name that can be shown anywhere."""
    built = {build.__name__ for build in TREES}
    there = {entry.name for entry in (host.folder / "submitted").iterdir()} - built
    named = {name: came for name, came in submitted.scores.items() if name not in built}

    assert len(named) == len(there) >= len(NAMES) - 3
    assert set(named.values()) == {("graded", 10.0)}, named
    assert [name for name in named if not name.isprintable() or len(name) > 200] == []
    # In two of the strange submissions nothing is found.
    assert (submitted.code, submitted.left_behind) == (3, []), submitted.output


def test_a_submission_is_graded_from_within(host: Host):
    """In a CI job the submission's own folder is the working directory, with all that is in it."""
    folder = host.folder / "within"
    everything_but_a_solution(folder)
    batch = grade(".", scratch=host.folder / "job", cwd=folder)

    assert (batch.code, batch.left_behind) == (0, []), batch.output
    assert batch.scores == {"within": ("graded", 0.0)}
    assert batch.submissions[0]["max_score"] == 10
    assert traces(host) == []
