"""What a solution can do to the machine: with namespaces, without them, and without fork."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import KataResult, State
from dojo.grading.sandbox import policy
from dojo.grading.sandbox.limits import MIB, Limits, processes_of
from dojo.grading.sandbox.protocol import Job
from dojo.grading.verdict import verdict
from dojo.grading.worker_pool import SpawningWorkerPool, WorkerPool
from selfcheck.projects import KATA, ROOT, changed

FIRST = read_catalogue(ROOT)[KATA]
SMALL = Limits(seconds=30, memory=400 * MIB, disk=20 * MIB, file=5 * MIB)
KINDS = ["namespaces", "none", "spawned"] if hasattr(os, "fork") else ["spawned"]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[WorkerPool]:
    """A worker pool of each kind that this machine can have."""
    pool = SpawningWorkerPool if request.param == "spawned" else WorkerPool
    worker_pool = pool(ROOT, [FIRST], SMALL)
    worker_pool.use_namespaces = request.param == "namespaces"
    with worker_pool:
        if request.param == "namespaces" and worker_pool.isolation.missing:
            pytest.skip("; ".join(worker_pool.isolation.missing))
        yield worker_pool


def graded(worker_pool: WorkerPool, *lines: str) -> KataResult:
    """Grade the reference with these lines added; one spec is enough to load them."""
    source = changed("app = FastAPI()\n", "\n".join(["app = FastAPI()", *lines, ""]))
    first = worker_pool.specs[KATA][0][0].partition("::")[2]
    report = worker_pool.run(Job(KATA, source, SMALL, specs=(first,) if lines else ()))
    return verdict(FIRST, worker_pool.specs[KATA], "app.py", report)


def message(result: KataResult) -> str:
    """The error of a solution that does not load."""
    return result.specs[0].message


@pytest.mark.fast
def test_a_right_solution_is_right_in_each(kind):
    """The verdict does not depend on the isolation."""
    result = graded(kind)

    assert (result.state, result.score, result.evidence) == (State.GRADED, FIRST.points, [])


@pytest.mark.parametrize("folder", ["solutions", "tests", "selfcheck"])
def test_the_graders_own_files_cannot_be_read(kind, folder):
    """A solution that can be read can be submitted."""
    file = next((ROOT / folder).rglob("*.py"))
    result = graded(kind, f"got = open({str(file)!r}).read(9)", "raise SystemError(got)")

    assert re.match(r"app.py:6 does not load: \w*Error, ", message(result))
    assert any("opened a path outside its folder" in entry for entry in result.evidence)


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
    """The standard library does not help either."""
    file = str(ROOT / "solutions" / KATA / "app.py")
    result = graded(kind, f"FILE = {file!r}", f"got = {way}", "raise SystemError(got)")

    assert re.match(r"app.py:7 does not load: \w*Error, ", message(result))


def test_files_elsewhere_cannot_be_written(kind, tmp_path):
    """This includes folders that every user may write to."""
    tmp_path.chmod(0o777)
    result = graded(kind, f"open({str(tmp_path / 'written')!r}, 'w')")
    assert "PermissionError" in message(result)

    # The dojo permits `tempfile`, the sandbox does not.
    result = graded(kind, "import tempfile", f"tempfile.mkstemp(dir={str(tmp_path)!r})")
    assert "Error" in message(result)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_limited(kind):
    """A solution that takes too much gets a MemoryError."""
    if "a limit on memory" not in kind.isolation.in_force:
        pytest.skip("this system has no limit on memory")
    result = graded(kind, "x = bytearray(1_000_000_000)")

    assert "MemoryError" in message(result)


def test_files_are_limited_in_size(kind):
    """A full disk would stop all others."""
    result = graded(kind, "open('big', 'wb').write(bytes(10_000_000))")

    assert "OSError" in message(result)


def test_the_disk_is_limited_as_a_whole(kind):
    """This includes many small files."""
    if isinstance(kind, SpawningWorkerPool):
        pytest.skip("without fork, nothing limits all files together")
    result = graded(
        kind,
        "import os, tempfile",
        "for n in range(100):",
        "    os.write(tempfile.mkstemp(dir='..')[0], bytes(4_000_000))",
    )

    assert re.search(r"No space left on device|filled the disk: more than 20 MiB", message(result))


def test_the_environment_holds_no_secrets(kind, monkeypatch):
    """The environment of a CI job holds tokens."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOJO_SECRET", "hunter2")
        with type(kind)(ROOT, [FIRST], SMALL) as worker_pool:
            result = graded(worker_pool, "import os", "raise SystemError(sorted(os.environ))")

    assert "SystemError, ['HOME', 'LANG'" in message(result)
    assert "SECRET" not in message(result)


def test_nothing_on_the_machine_can_be_reached(kind):
    """For example a database of the teacher."""
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
def test_processes_of_a_solution_end_with_it(kind):
    """A process that outlives its grading has unlimited time."""
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there are no namespaces here")
@pytest.mark.parametrize("root", [True, False])
def test_missing_isolation_is_reported(tmp_path, monkeypatch, root):
    """A teacher who grades strangers must know it."""
    monkeypatch.setattr(policy, "_try_sandbox", lambda tried, limits: "not permitted")
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)

    found = policy.survey(tmp_path, ROOT, (), SMALL, fork=True)

    assert (found.namespaces, found.user) == (False, False)
    assert any("file system of its own: not permitted" in entry for entry in found.missing)
    assert any("no other user" in entry for entry in found.missing)


def test_what_python_needs_is_shown_and_the_checkout_is_not(tmp_path):
    """The checkout has the specs and the solutions, and perhaps the submissions beside it."""
    shown = policy.survey(tmp_path, ROOT, (), SMALL, fork=False).shown

    assert Path(policy.__file__).parents[2] in shown
    assert not {ROOT, ROOT / "solutions", ROOT / "tests", Path.home(), Path("/")} & set(shown)


def test_code_that_cannot_be_read_is_named(tmp_path):
    """Specs would fail one by one, and each would look like the solution's fault."""
    with pytest.raises(PermissionError, match=r"it could not read .*module.py"):
        policy.read_all([str(tmp_path / "module.py")])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_threads_and_processes_of_a_user_are_counted():
    """The system counts them all for its limit, and some users have hundreds."""
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait) for _ in range(50)]
    for thread in threads:
        thread.start()
    try:
        assert processes_of(os.geteuid()) > 50
    finally:
        gate.set()
