"""The warm worker: a pytest that has everything imported and collected, and forks for each kata.

The worker pool starts it as `python -m dojo.grading.sandbox.fork_server`. Three kinds of processes,
from the most to the least trusted:

- the worker, which takes jobs from a socket and runs no answer;
- a keeper for each job, which builds the cell, watches the clock, and passes on what was said;
- in the cell, the process in which an answer runs.

Where there is no fork, each answer is run by a worker of its own, which gets its one job on the
standard input (`--once`).
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from _pytest.capture import CaptureIO

import dojo.grading.sandbox.preload  # noqa: F401
from dojo.doubles import clock, http, network
from dojo.grading.sandbox import tampering
from dojo.grading.sandbox.channel import Ask, Channel, Tell
from dojo.grading.sandbox.policy import Limits, Sandbox, survey
from dojo.grading.sandbox.protocol import Job, receive, send
from dojo.grading.sandbox.runner import Runner, run_in_sandbox
from dojo.grading.sandbox.supervisor import furnish, keep, live
from dojo.harness import frames, spawned, tasks
from dojo.observers import files, images, sql
from dojo.plugin.failures import title_of
from dojo.plugin.fixtures import KATA

INSTALLED = (
    spawned.install,
    files.install,
    network.install,
    http.install,
    clock.install,
    sql.install,
    images.install,
    tasks.install,
)
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")


class Worker:
    """The pytest plugin that makes a run of pytest into a worker: `work` is what it does when all
    is collected."""

    def __init__(self, cell: Sandbox, work: Callable[[Worker], None]) -> None:
        self.cell = cell
        self.work = work
        self.runner = Runner()
        self.items: dict[str, list[pytest.Item]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        # After the dojo's own fixtures, so that the runner's take their place.
        config.pluginmanager.register(self.runner, "dojo-runner")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config.pluginmanager.unregister(name="dojo-summary")
        # Each spec has its points, however the others end.
        session.config.pluginmanager.unregister(name="dojo-patience")
        for item in session.items:
            if KATA in item.stash:
                self.items.setdefault(item.stash[KATA].name, []).append(item)
        frames.show_from(None)
        for install in INSTALLED:
            install()
        if not self.cell.walls and not network.has_loopback():
            raise pytest.UsageError(network.NO_LOOPBACK)
        root = str(session.config.rootpath)
        sys.path[:] = [path for path in sys.path if path not in (root, f"{root}{os.sep}tests")]
        if not self.cell.walls:
            tampering.refuse_programs()
        tampering.make_immutable()
        self.machinery = tampering.Machinery(session)
        gc.collect()
        gc.freeze()
        self.work(self)
        return True

    def specs(self) -> dict[str, list[tuple[str, str]]]:
        """The id and the title of each spec, by kata: those that must report."""
        return {
            name: [(item.nodeid, title_of(item.name)) for item in items]
            for name, items in self.items.items()
        }

    def items_of(self, job: Job) -> list[pytest.Item]:
        """The specs of a job, in their order."""
        items = self.items[job.kata]
        if job.specs:
            items = [item for item in items if item.nodeid.partition("::")[2] in job.specs]
        return items

    def run(self, job: Job, room: Path, talk: tuple[Channel, Tell, Ask]) -> None:
        """Run the specs of a job on its answer, in this very process."""

        def watch(channel: Channel, tell: Tell) -> list[str]:
            readable = (*map(str, self.cell.shown), "/dev", "/etc", "/proc/self", "/sys")
            hidden = () if self.cell.walls else tuple(map(str, self.cell.hidden))
            file = room / "a" / job.kata / "app.py"
            places = (job.kata, str(file), str(room), readable, hidden)
            return tampering.watch(*places, self.machinery.functions, channel, tell)

        items = self.items_of(job)
        run_in_sandbox(job, items, self.runner, self.machinery, room, watch, talk)


def serve(worker: Worker, source: socket.socket) -> None:
    """Fork a keeper for each job that comes, until nobody is there to send one."""
    send(source, {"specs": worker.specs()})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = 0
    while True:
        message, pipes = receive(source)
        if message is None:
            os._exit(0)
        number += 1
        if os.fork() == 0:
            source.close()
            _be_keeper(worker, number, *pipes)
        for pipe in pipes:
            os.close(pipe)


def _be_keeper(worker: Worker, number: int, job_pipe: int, pipe: int) -> None:
    """Does not return.

    The job is read here and not by the worker, in whose memory the next answer could find it.
    """
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with os.fdopen(job_pipe, "rb") as source:
            job = Job.read(json.loads(source.read()))
        specs = [item.nodeid for item in worker.items_of(job)]
        said = keep(
            job, specs, worker.cell, number, pipe, lambda room, talk: worker.run(job, room, talk)
        )
        left = json.dumps(asdict(said)).encode("utf-8", "replace")
        while left:
            left = left[os.write(pipe, left) :]
        code = 0
    finally:
        os._exit(code)


def once(worker: Worker, message: dict[str, Any], pipes: tuple[int, int]) -> None:
    """Do the one job in `message`, or where there is none tell of the specs; does not return."""
    code = 70
    try:
        if "job" not in message:
            told = {
                "specs": worker.specs(),
                "in_force": worker.cell.in_force,
                "missing": worker.cell.missing,
            }
            os.write(pipes[0], json.dumps(told).encode())
            os._exit(0)
        job = Job.read(message["job"])
        room = worker.cell.room("room")
        furnish(room, job)
        key = bytes.fromhex(message.pop("key"))
        live(room, worker.cell, job, key, pipes, lambda talk: worker.run(job, room, talk))
        code = 0
    finally:
        os._exit(code)


def _printed(captured: CaptureIO) -> str:
    """What a solution has printed: whatever bytes it writes to `sys.stdout.buffer`."""
    assert isinstance(captured.buffer, io.BytesIO)
    return captured.buffer.getvalue().decode("utf-8", "replace")


def run_pytest(message: dict[str, Any], worker: Worker) -> int:
    """Collect the specs, and then let the worker work."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    CaptureIO.getvalue = _printed  # type: ignore[method-assign,assignment]
    root = Path(message["root"])
    return int(
        pytest.main(
            [
                *message["specs"],
                f"--rootdir={root}",
                f"--config-file={root / 'pyproject.toml'}",
                *(option for plugin in PLUGINS for option in ("-p", plugin)),
                *("-q", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
                *("--capture=sys", "-W", "ignore", f"--solutions={root / 'katas'}"),
            ],
            plugins=[worker],
        )
    )


def main() -> int:
    """Be a worker: at the socket whose number is the first argument, or for one job."""
    alone = sys.argv[1] == "--once"
    if alone:
        message = json.loads(sys.stdin.buffer.readline())
        pipes = (os.dup(1), os.dup(0))
    else:
        source = socket.socket(fileno=int(sys.argv[1]))
        first, _ = receive(source)
        if first is None:
            return 0
        message = first
    sys.dont_write_bytecode = True
    os.chdir(message["scratch"])
    cell = survey(
        Path(message["scratch"]),
        Path(message["root"]),
        tuple(map(Path, message["hidden"])),
        Limits(**message["limits"]),
        fork=not alone,
        walls=message["walls"],
    )
    if alone:
        return run_pytest(message, Worker(cell, lambda worker: once(worker, message, pipes)))
    send(source, {"in_force": cell.in_force, "missing": cell.missing})
    return run_pytest(message, Worker(cell, lambda worker: serve(worker, source)))


if __name__ == "__main__":
    sys.exit(main())
