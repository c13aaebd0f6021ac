"""The fork server: a pytest that has imported and collected everything, and forks for each job.

The worker pool starts it as `python -m dojo.grading.sandbox.fork_server`. There are three kinds of
processes, from the most to the least trusted:

- the fork server, which takes jobs from a socket and runs no solution;
- a supervisor for each job, which builds the sandbox, enforces the limits and returns the report;
- the process in the sandbox, in which a solution runs.

On systems without fork, each solution is run by a process of its own, which gets its one job on the
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

import _pytest.runner
import pytest
from _pytest.capture import CaptureIO

import dojo.grading.sandbox.preload  # noqa: F401
from dojo.doubles import network
from dojo.grading.sandbox import tampering
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.policy import Sandbox, survey
from dojo.grading.sandbox.protocol import (
    Ask,
    Channel,
    Job,
    Send,
    receive_message,
    send_message,
)
from dojo.grading.sandbox.runner import Runner, run_in_sandbox
from dojo.grading.sandbox.supervisor import run_inside, supervise, write_solution
from dojo.harness import frames, patches
from dojo.plugin.failures import title_of
from dojo.plugin.fixtures import KATA

PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")


class ForkServer:
    """The pytest plugin that collects all specs, and calls `work` in place of running them."""

    def __init__(self, sandbox: Sandbox, work: Callable[[ForkServer], None]) -> None:
        self.sandbox = sandbox
        self.work = work
        self.runner = Runner()
        self.items: dict[str, list[pytest.Item]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the runner."""
        # After the dojo's own fixtures, so that those of the runner replace them.
        config.pluginmanager.register(self.runner, "dojo-runner")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Prepare the collected specs and the process, and hand over to `work`."""
        os.chdir(self.sandbox.scratch)
        session.config.pluginmanager.unregister(name="dojo-summary")
        # Each spec has its points, however the others end.
        session.config.pluginmanager.unregister(name="dojo-patience")
        for item in session.items:
            if KATA in item.stash:
                self.items.setdefault(item.stash[KATA].name, []).append(item)
        frames.show_from(None)
        patches.apply_all()
        if not self.sandbox.namespaces and not network.has_loopback():
            raise pytest.UsageError(network.NO_LOOPBACK)
        root = str(session.config.rootpath)
        sys.path[:] = [path for path in sys.path if path not in (root, f"{root}{os.sep}tests")]
        if not self.sandbox.namespaces:
            tampering.refuse_programs()
        tampering.make_immutable()
        self.snapshot = tampering.Snapshot(session)
        gc.collect()
        gc.freeze()
        self.work(self)
        return True

    def specs(self) -> dict[str, list[tuple[str, str]]]:
        """The id and the title of each spec that must report, by kata."""
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

    def run(self, job: Job, folder: Path, talk: tuple[Channel, Send, Ask]) -> None:
        """Run the specs of a job on its solution, in the calling process."""

        def watch(channel: Channel, send: Send) -> list[str]:
            readable = (*map(str, self.sandbox.shown), "/dev", "/etc", "/proc/self", "/sys")
            hidden = () if self.sandbox.namespaces else tuple(map(str, self.sandbox.hidden))
            file = folder / "a" / job.kata / "app.py"
            paths = (job.kata, str(file), str(folder), readable, hidden)
            return tampering.watch(*paths, self.snapshot.functions, channel, send)

        items = self.items_of(job)
        run_in_sandbox(job, items, self.runner, self.snapshot, folder, watch, talk)


def serve(server: ForkServer, source: socket.socket) -> None:
    """Fork a supervisor for each job that arrives, until the worker pool closes the socket."""
    send_message(source, {"specs": server.specs()})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    number = 0
    while True:
        message, pipes = receive_message(source)
        if message is None:
            os._exit(0)
        number += 1
        if os.fork() == 0:
            source.close()
            _run_supervisor(server, number, *pipes)
        for pipe in pipes:
            os.close(pipe)


def _run_supervisor(server: ForkServer, number: int, job_pipe: int, pipe: int) -> None:
    """Supervise one job; does not return.

    The job is read here and not in the fork server, in whose memory the next solution could find
    it.
    """
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with os.fdopen(job_pipe, "rb") as source:
            job = Job.read(json.loads(source.read()))
        specs = [item.nodeid for item in server.items_of(job)]

        def run(folder: Path, talk: tuple[Channel, Send, Ask]) -> None:
            server.run(job, folder, talk)

        report = supervise(job, specs, server.sandbox, number, pipe, run)
        left = json.dumps(asdict(report)).encode("utf-8", "replace")
        while left:
            left = left[os.write(pipe, left) :]
        code = 0
    finally:
        os._exit(code)


def once(server: ForkServer, message: dict[str, Any], pipes: tuple[int, int]) -> None:
    """Do the one job in `message`, or list the specs where it has none; does not return."""
    code = 70
    try:
        if "job" not in message:
            known = {
                "specs": server.specs(),
                "in_force": server.sandbox.in_force,
                "missing": server.sandbox.missing,
            }
            os.write(pipes[0], json.dumps(known).encode())
            os._exit(0)
        job = Job.read(message["job"])
        folder = server.sandbox.make_folder("work")
        write_solution(folder, job)
        key = bytes.fromhex(message.pop("key"))
        run_inside(
            folder, server.sandbox, job, key, pipes, lambda talk: server.run(job, folder, talk)
        )
        code = 0
    finally:
        os._exit(code)


def _printed(captured: CaptureIO) -> str:
    """The captured output as text, also where it is not UTF-8."""
    assert isinstance(captured.buffer, io.BytesIO)
    return captured.buffer.getvalue().decode("utf-8", "replace")


def _descriptor(_captured: CaptureIO) -> int:
    """The descriptor of the standard output, which leads nowhere: some code only asks for one."""
    return 1


def _say_nothing(_item: pytest.Item, _when: str | None) -> None:
    """In place of pytest's function that puts the name of a spec into the environment."""


def run_pytest(message: dict[str, Any], server: ForkServer) -> int:
    """Collect the specs, and hand over to the server; the exit code of pytest."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    CaptureIO.getvalue = _printed  # type: ignore[method-assign,assignment]
    CaptureIO.fileno = _descriptor  # type: ignore[method-assign,assignment]
    vars(_pytest.runner)["_update_current_test_var"] = _say_nothing
    root = Path(message["root"])
    # Relative to the root: pytest takes `[` in an argument for the start of a parameter.
    os.chdir(root)
    return int(
        pytest.main(
            [
                *(os.path.relpath(spec, root) for spec in message["specs"]),
                f"--rootdir={root}",
                f"--config-file={root / 'pyproject.toml'}",
                *(option for plugin in PLUGINS for option in ("-p", plugin)),
                *("-q", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
                *("--capture=sys", "-W", "ignore", "--solutions=katas"),
            ],
            plugins=[server],
        )
    )


def main() -> int:
    """Serve at the socket whose number is the first argument, or do one job (`--once`)."""
    alone = sys.argv[1] == "--once"
    if alone:
        message = json.loads(sys.stdin.buffer.readline())
        pipes = (os.dup(1), os.dup(0))
    else:
        source = socket.socket(fileno=int(sys.argv[1]))
        first, _ = receive_message(source)
        if first is None:
            return 0
        message = first
    sys.dont_write_bytecode = True
    os.chdir(message["scratch"])
    sandbox = survey(
        Path(message["scratch"]),
        Path(message["root"]),
        tuple(map(Path, message["hidden"])),
        Limits(**message["limits"]),
        fork=not alone,
        use_namespaces=message["namespaces"],
    )
    if alone:
        server = ForkServer(sandbox, lambda server: once(server, message, pipes))
        return run_pytest(message, server)
    send_message(source, {"in_force": sandbox.in_force, "missing": sandbox.missing})
    return run_pytest(message, ForkServer(sandbox, lambda server: serve(server, source)))


if __name__ == "__main__":
    sys.exit(main())
