"""The cell: what an answer can do to the machine, with walls, without them, and without a fork."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import KataResult, State
from dojo.grading.sandbox import policy
from dojo.grading.sandbox.policy import MIB, Limits
from dojo.grading.sandbox.protocol import Job
from dojo.grading.verdict import verdict
from dojo.grading.worker_pool import SpawningWorkerPool, WorkerPool
from selfcheck.projects import KATA, ROOT, changed

FIRST = read_catalogue(ROOT)[KATA]
SMALL = Limits(seconds=30, memory=400 * MIB, disk=20 * MIB, file=5 * MIB)
KINDS = ["walls", "none", "spawned"] if hasattr(os, "fork") else ["spawned"]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[WorkerPool]:
    """A worker_pool of each kind that this machine can have."""
    words = {"root": ROOT, "katas": [FIRST], "limits": SMALL}
    worker_pool = (SpawningWorkerPool if request.param == "spawned" else WorkerPool)(**words)
    worker_pool.walls = request.param == "walls"
    with worker_pool:
        if request.param == "walls" and worker_pool.isolation.missing:
            pytest.skip("; ".join(worker_pool.isolation.missing))
        yield worker_pool


def graded(worker_pool: WorkerPool, *lines: str) -> KataResult:
    """The reference answer, which does this as well when it is loaded; and one spec is enough to
    load it."""
    source = changed("app = FastAPI()\n", "\n".join(["app = FastAPI()", *lines, ""]))
    first = worker_pool.specs[KATA][0][0].partition("::")[2]
    said = worker_pool.run(Job(KATA, source, SMALL, specs=(first,) if lines else ()))
    return verdict(FIRST, worker_pool.specs[KATA], "app.py", said)


def told(result: KataResult) -> str:
    """What an answer said by not loading."""
    return result.specs[0].message


@pytest.mark.fast
def test_a_right_answer_is_right_in_each(kind):
    """Whatever the machine allows, the verdict is the same."""
    result = graded(kind)

    assert (result.state, result.score, result.evidence) == (State.GRADED, FIRST.points, [])


@pytest.mark.parametrize("folder", ["solutions", "tests", "selfcheck"])
def test_the_graders_own_files_cannot_be_read(kind, folder):
    """A solution that can be read is a solution that is handed in."""
    file = next((ROOT / folder).rglob("*.py"))
    result = graded(kind, f"got = open({str(file)!r}).read(9)", "raise SystemError(got)")

    assert re.match(r"app.py:6 does not load: \w*Error, ", told(result))
    assert any("opened what is not its own" in entry for entry in result.evidence)


@pytest.mark.parametrize(
    "way",
    [
        "__import__('os').open(FILE, 0)",
        "__import__('sqlite3').connect(FILE).execute('select 1 from sqlite_schema')",
        "__import__('shutil').copy(FILE, 'copy.py')",
        "__import__('importlib.util').util.spec_from_file_location('x', FILE).loader.load_module()",
        "__import__('os').listdir(__import__('os').path.dirname(FILE))",
    ],
)
def test_there_is_no_other_way_to_a_solution(kind, way):
    """Nor by way of the standard library."""
    file = str(ROOT / "solutions" / KATA / "app.py")
    result = graded(kind, f"FILE = {file!r}", f"got = {way}", "raise SystemError(got)")

    assert re.match(r"app.py:7 does not load: \w*Error, ", told(result))


def test_files_elsewhere_cannot_be_written(kind, tmp_path):
    """Not where everybody may write either."""
    tmp_path.chmod(0o777)
    result = graded(kind, f"open({str(tmp_path / 'written')!r}, 'w')")
    assert "PermissionError" in told(result)

    # Where `tempfile` makes a file, the dojo lets it.
    result = graded(kind, "import tempfile", f"tempfile.mkstemp(dir={str(tmp_path)!r})")
    assert "Error" in told(result)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_limited(kind):
    """An answer that wants it all gets a MemoryError, and nobody else does."""
    if "a limit on memory" not in kind.isolation.in_force:
        pytest.skip("this system has no limit on memory")
    result = graded(kind, "x = bytearray(1_000_000_000)")

    assert "MemoryError" in told(result)


def test_files_are_limited_in_size(kind):
    """A disk that is full is full for all."""
    result = graded(kind, "open('big', 'wb').write(bytes(10_000_000))")

    assert "OSError" in told(result)


def test_the_disk_is_limited_as_a_whole(kind):
    """In many files, and not for long."""
    before = shutil.disk_usage("/tmp").used
    graded(
        kind,
        "import os, tempfile",
        "for n in range(100):",
        "    os.write(tempfile.mkstemp(dir='..')[0], bytes(4_000_000))",
    )

    assert shutil.disk_usage("/tmp").used - before < 300_000_000


def test_the_environment_holds_no_secrets(kind, monkeypatch):
    """A CI's tokens are in the environment of the grader."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOJO_SECRET", "hunter2")
        with type(kind)(ROOT, [FIRST], SMALL) as worker_pool:
            result = graded(worker_pool, "import os", "raise SystemError(sorted(os.environ))")

    assert "SystemError, ['HOME', 'LANG'" in told(result)
    assert "SECRET" not in told(result)


def test_nothing_on_the_machine_can_be_reached(kind):
    """A database of the teacher's on the same machine, say."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        graded(
            kind,
            "import socket, threading",
            f"go = lambda: socket.create_connection(('127.0.0.1', {port}), 1)",
            "thread = threading.Thread(target=go); thread.start(); thread.join()",
        )
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.skipif(os.name != "posix", reason="there are no such signals here")
def test_what_an_answer_starts_ends_with_it(kind, tmp_path):
    """A process that outlives its grading has all the time in the world."""
    name = f"dojo-{os.getpid()}"
    graded(
        kind,
        "import os, subprocess, sys",
        "if not os.environ.get('X'):",
        "    os.environ['X'] = '1'",
        f"    words = [sys.executable, '-c', 'import time; time.sleep(20)', {name!r}]",
        "    subprocess.Popen(words, start_new_session=True)",
    )

    running = [found.info["cmdline"] or [] for found in psutil.process_iter(["cmdline"])]
    assert [words for words in running if name in words] == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there are no walls here")
@pytest.mark.parametrize("root", [True, False])
def test_what_a_machine_does_not_allow_is_said(tmp_path, monkeypatch, root):
    """Not silently skipped: whoever grades strangers must know."""
    monkeypatch.setattr(policy, "_tried", lambda tried, limits: "not permitted")
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)

    found = policy.survey(tmp_path, ROOT, (), SMALL, fork=True)

    assert (found.walls, found.user) == (False, False)
    assert any("file system of its own: not permitted" in entry for entry in found.missing)
    assert any("no other user" in entry for entry in found.missing)


def test_what_python_needs_is_shown_and_the_checkout_is_not(tmp_path):
    """The specs, the solutions and the other submissions lie in the checkout, or beside it."""
    shown = policy.survey(tmp_path, ROOT, (), SMALL, fork=False).shown

    assert Path(policy.__file__).parents[2] in shown
    assert not {ROOT, ROOT / "solutions", ROOT / "tests", Path.home(), Path("/")} & set(shown)
