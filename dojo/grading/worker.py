"""The warm worker: a pytest that has everything imported and collected, and forks for each kata.

Started by `dojo.grading.grader` as `python -m dojo.grading.worker`, never by hand. Three kinds of
processes, from the most to the least trusted:

- the worker, which takes jobs from a socket and runs no answer;
- a keeper for each job, which builds the cell, watches the clock, and passes on what was said;
- in the cell, the process in which an answer and its controls run.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import secrets
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

import dojo.warm  # noqa: F401
from dojo import clock, database, disk, images, network, services, strays
from dojo.answers import DoesNotLoad
from dojo.exchange import Client
from dojo.finding import Finding, title_of
from dojo.fixtures import KATA
from dojo.grading import guard
from dojo.grading.cell import Cell, Limits, processes_of
from dojo.grading.controls import Decoy
from dojo.grading.wire import Job, Said, receive, send
from dojo.stage import Stage, client_of, loaded

SAID = 64 << 20
GRACE = 2.0
DECOYS = 3
INSTALLED = (
    strays.install,
    disk.install,
    network.install,
    services.install,
    clock.install,
    database.install,
    images.install,
)
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")


# ----- in the cell: one answer, and its controls


class Runner:
    """A pytest plugin that runs the specs of one kata, each on the answer and on a control.

    The control is the answer's own code with nothing to show for it: see `dojo.grading.controls`.
    """

    def __init__(self) -> None:
        self.trees: dict[bool, Path] = {}
        self.control = False
        self.decoy = False
        self.stub: ModuleType | None = None
        self.rooms: Callable[[], Path] = Path
        self.reports: list[pytest.TestReport] = []

    # What a spec asks for: as `dojo.fixtures` has it, with the answer or the control in it.

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        room = self.rooms()
        room.mkdir()
        yield room
        shutil.rmtree(room, ignore_errors=True)

    @pytest.fixture
    def kata(self, request: pytest.FixtureRequest, scene: Stage) -> Iterator[ModuleType]:
        kata = request.node.stash[KATA]
        request.node.stash[ANSWER] = None
        try:
            if not self.control:
                with loaded(kata, self.trees[False]) as module:
                    yield module
                return
            if self.stub is None:
                with loaded(kata, self.trees[True]) as module:
                    self.stub = module
            try:
                with (
                    loaded(kata, self.trees[False])
                    if self.decoy
                    else contextlib.nullcontext() as module
                ):
                    request.node.stash[ANSWER] = module
                    yield self.stub
            except DoesNotLoad:
                yield self.stub
        except DoesNotLoad as failure:
            raise failure.with_traceback(None) from None

    @pytest_asyncio.fixture
    async def client(
        self, request: pytest.FixtureRequest, kata: ModuleType, scene: Stage
    ) -> AsyncIterator[Client]:
        if not self.control:
            async with client_of(kata.app, scene) as client:
                yield client
            return
        answer = request.node.stash[ANSWER]
        decoy = Decoy(answer.app if answer else None, kata.app)
        async with client_of(decoy, scene) as client:
            yield client
            await decoy.end()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.append(report)

    def run(self, item: pytest.Item, following: pytest.Item | None) -> dict[str, Any]:
        """Run one spec once; what came of it, as plain data."""
        self.reports = []
        stopped = ""
        began = time.monotonic()
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException as error:
            stopped = f"the answer stopped the whole run: {type(error).__name__}"
            with contextlib.suppress(BaseException):
                item.session._setupstate.teardown_exact(None)
        return _outcome(item, self.reports, stopped, time.monotonic() - began)


ANSWER = pytest.StashKey[ModuleType | None]()


def _outcome(
    item: pytest.Item, reports: list[pytest.TestReport], stopped: str, seconds: float
) -> dict[str, Any]:
    passed = {report.when for report in reports if report.passed}
    bad = next((report for report in reports if not report.passed), None)
    found: dict[str, Any] | None = None
    if bad is not None:
        found = getattr(bad, "finding", None)
    if found is None and (stopped or bad is not None or len(passed) < 3):
        why = stopped or "it did not end as a spec should"
        if bad is not None and bad.skipped:
            why = "the answer skipped it, and a spec that is skipped has not passed"
        found = Finding("", title_of(item.name), message=why).write()
    return {
        "spec": item.nodeid,
        "passed": found is None,
        "finding": found,
        "seconds": round(seconds, 4),
    }


def run_in_cell(
    job: Job, items: list[pytest.Item], runner: Runner, machinery: guard.Machinery, room: Path,
    watch: Callable[[], tuple[list[str], list[str]]], say: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """Run the specs of a kata on an answer and on controls, and say what came of each."""
    numbers = iter(range(1, 1_000_000))
    runner.trees = {False: room / "a", True: room / "b"}
    runner.rooms = lambda: room / f"r{next(numbers)}"
    evidence = [*guard.suspicious(job.source.encode("utf-8", "surrogateescape"))]
    say({"evidence": evidence})
    came_to_its_end: list[bool] = []
    for item in items:
        if isinstance(item, pytest.Function):
            guard.witnessed(item, lambda: came_to_its_end.append(True))
    dice = random.SystemRandom()
    first = dice.randrange(DECOYS)
    noted, tampered = watch()
    told = 0
    for place, item in enumerate(items):
        following = items[place - 1] if len(items) > 1 else None
        turns = [False, True] if job.controls else [False]
        dice.shuffle(turns)
        failed = False
        for control in turns:
            came_to_its_end.clear()
            if control and failed:
                continue
            runner.control, runner.decoy = control, (place + first) % DECOYS == 0
            outcome = runner.run(item, following)
            failed = failed or not (control or outcome["passed"])
            changes = [*tampered, *machinery.changes(item)]
            if outcome["passed"] and not came_to_its_end:
                changes.append("a spec was reported as passed that had not come to its end")
            say({"outcome": outcome | {"control": control}})
            if told < len(noted):
                say({"evidence": noted[told:]})
                told = len(noted)
            if changes and job.controls:
                say({"tampered": changes})
                return
    say({"end": True})


# ----- the keeper


def keep(
    job: Job, cell: Cell, number: int, passed_on: int,
    serve: Callable[[Path, Callable[[dict[str, Any]], None]], None],
) -> Said:  # fmt: skip
    """Build a cell, run an answer in it, and wait for its end, which comes in any case.

    `passed_on` is the pipe that only the keeper may write to.
    """
    said = Said()
    name = f"j{number}"
    token = secrets.token_hex(8)
    try:
        cell.prepare(job.limits)
        room = cell.room(name)
        for tree, source in (("a", job.source), ("b", job.stub)):
            folder = room / tree / job.kata
            folder.mkdir(parents=True)
            (folder / "app.py").write_bytes(source.encode("utf-8", "surrogateescape"))
            for path in (folder.parent, folder):
                path.chmod(0o755)
            (folder / "app.py").chmod(0o644)
        reading, writing = os.pipe()
        child = os.fork()
    except OSError as error:
        said.trouble = f"the cell could not be built: {error.strerror or error}"
        return said
    if child == 0:
        _live(job, cell, room, token, writing, (reading, passed_on), serve)
    os.close(writing)
    try:
        _listen(reading, child, token, job, said, None if cell.walls else room)
    finally:
        os.close(reading)
        _end(child, said)
        if not cell.walls:
            shutil.rmtree(room, ignore_errors=True)
    return said


def _live(
    job: Job, cell: Cell, room: Path, token: str, pipe: int, inherited_pipes: tuple[int, ...],
    serve: Callable[[Path, Callable[[dict[str, Any]], None]], None],
) -> None:  # fmt: skip
    """Be the process in the cell; does not return."""
    code = 70
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        for inherited in inherited_pipes:
            os.close(inherited)
        os.chdir(room)
        os.environ.clear()
        os.environ.update(_environment(room))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            cell.lock(job.limits)
        except OSError as error:
            os.write(pipe, f"{token}{json.dumps({'trouble': str(error)})}\n".encode())
            os._exit(70)

        def say(message: dict[str, Any]) -> None:
            line = f"{token}{json.dumps(message)}\n".encode("utf-8", "replace")
            while line:
                line = line[os.write(pipe, line) :]

        serve(room, say)
        code = 0
    finally:
        os._exit(code)


def _environment(room: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(room),
        "TMPDIR": str(room),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def _listen(pipe: int, child: int, token: str, job: Job, said: Said, room: Path | None) -> None:
    """Read what the process in the cell says until it is over, one way or another."""
    end = time.monotonic() + job.limits.seconds
    rest = bytearray()
    size = 0
    while True:
        left = end - time.monotonic()
        if left <= 0:
            said.ended = f"the {job.limits.seconds:g} s that a kata has were used up"
            return
        if not select.select([pipe], [], [], min(left, 0.5))[0]:
            if room is not None and _size(room) > job.limits.disk:
                said.ended = f"it filled the disk: more than {job.limits.disk >> 20} MiB"
                return
            continue
        part = os.read(pipe, 1 << 16)
        size += len(part)
        if not part or size > SAID:
            said.broken = not token.encode().startswith(rest[: len(token)])
            said.ended = said.ended or ("" if not part else "it said too much")
            return
        rest += part
        while (cut := rest.find(b"\n")) >= 0:
            line = bytes(rest[:cut])
            del rest[: cut + 1]
            if not _hear(line, token, said):
                said.broken = True
                return
            if said.ended == "end":
                said.ended = ""
                return


def _hear(line: bytes, token: str, said: Said) -> bool:
    head, body = line[: len(token)], line[len(token) :]
    if head != token.encode():
        return False
    try:
        message = json.loads(body)
    except ValueError:
        return False
    if "outcome" in message:
        said.outcomes.append(message["outcome"])
    said.evidence += message.get("evidence", [])
    said.tampered += message.get("tampered", [])
    said.trouble = message.get("trouble", said.trouble)
    if "end" in message:
        said.ended = "end"
    return True


def _size(folder: Path) -> int:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(at, name)).st_blocks * 512
    return total


def _end(child: int, said: Said) -> None:
    """See to it that the process, and all that it started, are gone."""
    finished = said.ended == "" and not said.broken
    end = time.monotonic() + (GRACE if finished else 0.0)
    status = None
    while status is None and time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = code
        else:
            time.sleep(0.001)
    if status is None:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if finished and not said.ended:
        said.ended = _how(status)
    _clear_up()


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        return f"its process was ended by the signal {name}"
    return f"its process ended by itself, with exit code {os.WEXITSTATUS(status)}"


def _clear_up() -> None:
    """Kill what the process left behind, which became this one's children when it ended."""
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        for orphan in processes_of(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(orphan, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


# ----- the worker


class Worker:
    """The pytest plugin that makes a run of pytest into a worker: it never ends by itself."""

    def __init__(self, socket_: socket.socket, cell: Cell) -> None:
        self.socket = socket_
        self.cell = cell
        self.runner = Runner()
        self.items: dict[str, list[pytest.Item]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        # After the dojo's own fixtures, so that the runner's take their place.
        config.pluginmanager.register(self.runner, "dojo-runner")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config.pluginmanager.unregister(name="dojo-board")
        for item in session.items:
            if KATA in item.stash:
                self.items.setdefault(item.stash[KATA].name, []).append(item)
        for install in INSTALLED:
            install()
        root = str(session.config.rootpath)
        sys.path[:] = [path for path in sys.path if path not in (root, f"{root}{os.sep}tests")]
        self.machinery = guard.Machinery(session)
        gc.collect()
        gc.freeze()
        gc.disable()
        self.serve()
        return True

    def serve(self) -> None:
        known = {
            name: [(item.nodeid, title_of(item.name)) for item in items]
            for name, items in self.items.items()
        }
        send(self.socket, {"specs": known})
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        number = 0
        while True:
            message, pipes = receive(self.socket)
            if message is None:
                os._exit(0)
            number += 1
            if os.fork() == 0:
                self._keep(Job.read(message), number, pipes[0])
            for pipe in pipes:
                os.close(pipe)

    def _keep(self, job: Job, number: int, pipe: int) -> None:
        """Be a keeper; does not return."""
        code = 70
        try:
            self.socket.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            said = keep(
                job, self.cell, number, pipe, lambda room, say: self._serve_cell(job, room, say)
            )
            left = json.dumps(asdict(said)).encode("utf-8", "replace")
            while left:
                left = left[os.write(pipe, left) :]
            code = 0
        finally:
            os._exit(code)

    def _serve_cell(self, job: Job, room: Path, say: Callable[[dict[str, Any]], None]) -> None:
        items = self.items[job.kata]
        if job.specs:
            items = [item for item in items if item.nodeid.partition("::")[2] in job.specs]
        cell = self.cell
        gc.enable()

        def watch() -> tuple[list[str], list[str]]:
            readable = (*map(str, cell.shown), "/dev", "/etc", "/proc/self", "/sys")
            hidden = () if cell.walls else tuple(map(str, cell.hidden))
            file = room / "a" / job.kata / "app.py"
            functions = self.machinery.functions
            return guard.watch(job.kata, str(file), str(room), readable, hidden, functions)

        run_in_cell(job, items, self.runner, self.machinery, room, watch, say)


def main() -> None:
    """Be a worker, at the socket whose number is the first argument."""
    with socket.socket(fileno=int(sys.argv[1])) as source:
        message, _ = receive(source)
        if message is None:
            return
        root = Path(message["root"])
        scratch = Path(message["scratch"])
        os.chdir(scratch)
        from dojo.grading.cell import survey

        cell = survey(
            scratch, root, tuple(map(Path, message["hidden"])), Limits(**message["limits"])
        )
        send(source, {"in_force": cell.in_force, "missing": cell.missing})
        worker = Worker(source, cell)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        code = pytest.main(
            [
                *message["specs"],
                f"--rootdir={root}",
                f"--config-file={root / 'pyproject.toml'}",
                *(option for plugin in PLUGINS for option in ("-p", plugin)),
                *("-q", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
                *("--capture=sys", "-W", "ignore", f"--answers={message['answers']}"),
            ],
            plugins=[worker],
        )
        sys.exit(int(code))


if __name__ == "__main__":
    main()
