"""Attacks on the grader: each is contained, gets no point, and harms nobody else's verdict.

Those that are an answer are files in `attacks/`, whose docstrings say what must come of them; those
that are a whole submission are built here. All are graded together, with honest ones in between.
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

from selfcheck.projects import KATA, RIGHT, ROOT

FOLDER = Path(__file__).parent / "attacks"
ATTACKS = sorted(file for file in FOLDER.glob("*.py") if file.stem != "kit")
STUB = (ROOT / "katas" / KATA / "app.py").read_text(encoding="utf-8")
SOLUTIONS = ROOT / "solutions"
HONEST = "-then-an-honest-one"
TRACE = "dojo-attack-was-here"
EVERY = 15
LIMIT = 6.0
PATIENCE = 200

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the attacks are written for POSIX")


@dataclass
class Host:
    """What an attack must not reach: doors that stand open on this machine, and its folders."""

    folder: Path
    doors: dict[str, socket.socket] = field(default_factory=dict)

    def open(self, name: str, family: int, kind: int, address: Any) -> None:
        door = socket.socket(family, kind)
        door.bind(address)
        door.setblocking(False)
        if kind == socket.SOCK_STREAM:
            door.listen()
        self.doors[name] = door

    def told(self, file: Path) -> str:
        """The source of an attack, which knows all about this machine."""
        words = {"@ROOT@": str(ROOT), "@FOLDER@": str(self.folder)}
        for name, door in self.doors.items():
            address = door.getsockname()
            known = address[1] if isinstance(address, tuple) else os.fsdecode(address)
            words[f"@{name}@"] = str(known).lstrip("\0")
        source = file.read_text(encoding="utf-8")
        for word, meaning in words.items():
            source = source.replace(word, meaning)
        kit = (FOLDER / "kit.py").read_text(encoding="utf-8")
        return re.sub(r"^from kit import .*\n", lambda _: kit, source, flags=re.MULTILINE)

    def visited(self) -> list[str]:
        """The doors that somebody has come through."""
        found = []
        for name, door in self.doors.items():
            with suppress(BlockingIOError):
                door.accept() if door.type == socket.SOCK_STREAM else door.recv(1)
                found.append(name)
        return found


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("attacks"))
    name = f"/tmp/dojo-door-{os.getpid()}"
    with ExitStack() as stack:
        # Some of what attacks make is too deep for Python's own way to remove it.
        stack.callback(subprocess.run, ["rm", "-rf", host.folder])
        stack.callback(lambda: [door.close() for door in host.doors.values()])
        host.open("TCP", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        host.open("UDP", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        host.open("UNIX", socket.AF_UNIX, socket.SOCK_STREAM, name)
        stack.callback(os.unlink, name)
        if sys.platform == "linux":
            host.open("ABSTRACT", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}")
        yield host


@dataclass
class Batch:
    """What came of grading with one command."""

    code: int
    said: str
    results: dict[str, Any]
    left_behind: list[str]

    @property
    def walls(self) -> bool:
        """Whether each answer had a network, a process tree and a file system of its own."""
        return any("a network of its own" in what for what in self.results["isolation"]["in_force"])

    @property
    def submissions(self) -> list[dict[str, Any]]:
        return list(self.results["submissions"])

    @property
    def scores(self) -> dict[str, tuple[str, float]]:
        return {entry["name"]: (entry["state"], entry["score"]) for entry in self.submissions}

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = [entry for entry in self.submissions if entry["name"] == name]
        assert len(found) == 1, f"{name} is there {len(found)} times: {self.said[-2000:]}"
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
    said = done.stdout.decode(errors="replace")
    assert out.is_file(), f"no results were written: {said[-4000:]}"
    results = json.loads(out.read_text(encoding="utf-8"), parse_constant=_no_number)
    return Batch(done.returncode, said, results, left_behind(scratch))


def _no_number(name: str) -> None:
    raise AssertionError(f"the results are not JSON: there is {name} in them")


def left_behind(scratch: Path) -> list[str]:
    """Files of the grader's own that it forgot, and processes of it that go on."""
    found = [str(path) for path in scratch.iterdir()]
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"TEMP={scratch}".encode() in environment.read_bytes().split(b"\0"):
                found.append((environment.parent / "cmdline").read_text().replace("\0", " "))
    return found


def traces(host: Host) -> list[str]:
    """Where attacks have left what they leave wherever they can; it is taken away."""
    found = []
    for place in ("/", "/tmp", "/var/tmp", "/dev/shm", Path.home(), ROOT, host.folder):
        trace = Path(place) / TRACE
        if trace.exists():
            found.append(str(trace))
            trace.rmdir() if trace.is_dir() else trace.unlink()
    return found


def put(folder: Path, answer: str | bytes) -> None:
    """A submission with an answer to the first kata, and nothing else."""
    (folder / KATA).mkdir(parents=True)
    content = answer if isinstance(answer, bytes) else answer.encode()
    (folder / KATA / "app.py").write_bytes(content)


def put_honest(folder: Path) -> None:
    """A right answer, not the same as any other, so that it is run."""
    put(folder, f"{RIGHT}\n# nobody else may see this: {os.fsencode(folder)!a}\n")


# ----- answers


@dataclass(frozen=True)
class Expected:
    """What the docstring of an attack says must come of it; the words are regular expressions."""

    state: str
    score: float
    evidence: str
    needs_walls: bool

    @classmethod
    def of(cls, file: Path) -> Expected:
        doc = ast.get_docstring(ast.parse(file.read_bytes())) or ""
        said = dict(re.findall(r"^(state|score|evidence|needs): (.+)$", doc, re.MULTILINE))
        assert "state" in said, f"{file.name}: the docstring must say `state: <state>`"
        return cls(
            said["state"],
            float(said.get("score", 0)),
            said.get("evidence", ""),
            said.get("needs") == "walls",
        )


@pytest.fixture(scope="session")
def attacked(host: Host) -> Batch:
    """All attacks, and honest answers in between."""
    folder = host.folder / "submissions"
    for number, file in enumerate(ATTACKS):
        put(folder / file.stem, host.told(file))
        if number % EVERY == 0:
            put_honest(folder / f"{file.stem}{HONEST}")
    return grade(
        "--each", folder, "--jobs=8", "--memory-limit=512", scratch=host.folder / "answers"
    )


@pytest.mark.parametrize("file", [pytest.param(file, id=file.stem) for file in ATTACKS])
def test_an_attack_gets_what_it_has_earned(file: Path, attacked: Batch):
    """A grader that can be talked into a point grades nothing."""
    expected = Expected.of(file)
    if expected.needs_walls and not attacked.walls:
        pytest.skip("this machine allows no walls")
    result = attacked[file.stem]
    said = json.dumps(result, indent=1)

    assert "ESCAPED" not in said, said
    assert result["score"] == expected.score, said
    assert re.fullmatch(expected.state, result["state"]), said
    assert re.search(expected.evidence, "\n".join(result["katas"][0]["evidence"])), said
    assert result["seconds"] < LIMIT + 5


def test_nobody_else_is_harmed(attacked: Batch):
    """Whoever is graded beside an attack has what she would have without it."""
    honest = {name: came for name, came in attacked.scores.items() if name.endswith(HONEST)}

    assert len(honest) > len(ATTACKS) / EVERY - 1
    assert set(honest.values()) == {("graded", 10.0)}, honest


def test_the_grader_says_that_it_worked(attacked: Batch):
    """An attack is no fault of the grader's: exit code 0, and no traceback."""
    assert "Traceback" not in attacked.said, attacked.said
    assert attacked.code == 0, attacked.said


def test_nothing_is_left_behind(attacked: Batch, host: Host):
    """No process that goes on, and no file outside."""
    assert attacked.left_behind == []
    assert traces(host) == []


def test_nobody_was_called(attacked: Batch, host: Host):
    """What an answer knows stays with it: there is no network."""
    if not attacked.walls:
        pytest.skip("this machine allows no walls")

    assert host.visited() == []


def tear_down_the_walls() -> None:
    """Take from this process the right to have namespaces."""
    cap_sys_admin, pr_capbset_drop = 21, 24
    ctypes.CDLL(None).prctl(pr_capbset_drop, cap_sys_admin, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has walls")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can be refused")
def test_without_walls_the_grader_survives_all_the_same(host: Host):
    """Not every machine allows walls: what is then not contained is said, and a result written."""
    folder, scratch = host.folder / "unwalled", host.folder / "plain"
    for file in ATTACKS:
        if file.stem.startswith(("become", "disk", "folders", "fork", "kill", "stay_as")):
            put(folder / file.stem, host.told(file))
    put_honest(folder / HONEST)
    try:
        batch = grade("--each", folder, "--jobs=6", scratch=scratch, first=tear_down_the_walls)
    finally:
        left = traces(host)

    assert (batch.code, batch.left_behind, left) == (0, [], []), batch.said
    assert (batch.walls, batch.results["isolation"]["missing"] != []) == (False, True)
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
    with suppress(OSError):  # not everybody may
        os.mknod(folder / KATA / "app.py", stat.S_IFSOCK | 0o600)


def a_hundred_megabytes(folder: Path) -> None:
    put(folder, "")
    os.truncate(folder / KATA / "app.py", 100 << 20)


def more_than_may_be(folder: Path) -> None:
    put(folder, f"{RIGHT}\n# {'x' * 1_000_000}")


def no_utf_8(folder: Path) -> None:
    put(folder, RIGHT.encode() + b"\n# \xff\xfe\xed\xa0\x80\n")


def nul_bytes(folder: Path) -> None:
    put(folder, RIGHT.encode() + b"\n\0\n")


def nothing_in_it(folder: Path) -> None:
    put(folder, b"")


def nothing_but_a_mark(folder: Path) -> None:
    put(folder, b"\xef\xbb\xbf")


def an_encoding_of_nobody(folder: Path) -> None:
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


def everything_but_an_answer(folder: Path) -> None:
    """A stub, and beside it all that other graders were talked into points by."""
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
        "answer.pth": f"import os; exec({PRESENT!r})\n",
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
    more_than_may_be,
    no_utf_8,
    nul_bytes,
    nothing_in_it,
    nothing_but_a_mark,
    an_encoding_of_nobody,
    an_encoding_that_is_none,
    many_parentheses,
    many_minuses,
    many_attributes,
    one_long_number,
    one_long_line,
    nothing_at_all,
    everything_but_an_answer,
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
def handed_in(host: Host) -> Batch:
    """All submissions that are strange as such, and honest ones under strange names."""
    folder = host.folder / "handed-in"
    folder.mkdir()
    for build in TREES:
        build(folder / build.__name__)
    for name in NAMES:
        with suppress(OSError):  # a file system may have its own views on names
            put(folder / name, RIGHT)
    return grade("--each", folder, "--jobs=4", scratch=host.folder / "trees")


@pytest.mark.parametrize("build", TREES, ids=lambda build: build.__name__)
def test_a_strange_submission_gets_nothing(build: Callable[[Path], None], handed_in: Batch):
    """Nothing is taken but answers, as regular files; and what is no Python is only that."""
    result = handed_in[build.__name__]

    assert (result["state"], result["score"]) == ("graded", 0.0), json.dumps(result, indent=1)


def test_a_strange_name_is_only_a_name(handed_in: Batch, host: Host):
    """Who is called so has her points, under a name of her own that can be shown anywhere."""
    built = {build.__name__ for build in TREES}
    there = {entry.name for entry in (host.folder / "handed-in").iterdir()} - built
    named = {name: came for name, came in handed_in.scores.items() if name not in built}

    assert len(named) == len(there) >= len(NAMES) - 3
    assert set(named.values()) == {("graded", 10.0)}, named
    assert [name for name in named if not name.isprintable() or len(name) > 200] == []
    assert (handed_in.code, handed_in.left_behind) == (0, []), handed_in.said


def test_a_submission_is_graded_from_within(host: Host):
    """In a CI job the submission's own folder is the working directory, with all that is in it."""
    folder = host.folder / "within"
    everything_but_an_answer(folder)
    batch = grade(".", scratch=host.folder / "job", cwd=folder)

    assert (batch.code, batch.left_behind) == (0, []), batch.said
    assert batch.scores == {"within": ("graded", 0.0)}
    assert batch.submissions[0]["max_score"] == 10
    assert traces(host) == []
