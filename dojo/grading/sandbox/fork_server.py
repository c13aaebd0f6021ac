"""The fork server: a pytest that has imported and collected everything, and forks for each job.

It knows the specs, and no solution ever runs in it or in what it forks: those are forked by another
server, which has never seen a spec (`host_server`). `servers` starts both.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable

import pytest

from dojo.grading.remote.fixtures import RemoteFixtures
from dojo.grading.sandbox.collecting import Specs, collect, names_of, specs_of
from dojo.grading.sandbox.protocol import Job, receive_message, send_message
from dojo.grading.sandbox.spec_process import run_specs, write_report
from dojo.harness import frames


class ForkServer:
    """The pytest plugin that collects all specs, and calls `work` in place of running them."""

    def __init__(self, work: Callable[[ForkServer], None]) -> None:
        self.work = work
        self.fixtures = RemoteFixtures()
        self.reports: list[pytest.TestReport] = []
        self.known: Specs = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report."""
        self.reports.append(report)

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the fixtures, after the dojo's own ones, so that they replace those."""
        config.pluginmanager.register(self.fixtures, "dojo-runner")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Prepare the collected specs and the process, and hand over to `work`."""
        session.config.pluginmanager.unregister(name="dojo-limit")
        self.known = specs_of(session)
        frames.show_from(None)
        gc.collect()
        gc.freeze()
        self.work(self)
        return True

    def items_of(self, job: Job) -> list[pytest.Item]:
        """The specs of a job, in their order."""
        items = [item for _, _, item in self.known[job.kata]]
        if job.specs:
            items = [item for item in items if item.nodeid.partition("::")[2] in job.specs]
        return items


def serve(server: ForkServer, source: socket.socket, hosts: socket.socket) -> None:
    """Fork a process for each job that arrives, until the worker pool closes the socket."""
    send_message(source, {"specs": names_of(server.known)})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, pipes = receive_message(source)
        if message is None:
            os._exit(0)
        ours, theirs = socket.socketpair()
        try:
            send_message(hosts, {"job": True}, (theirs.fileno(),))
        except OSError:
            os._exit(70)
        theirs.close()
        if os.fork() == 0:
            source.close()
            hosts.close()
            _run_job(server, ours, *pipes)
        ours.close()
        for pipe in pipes:
            os.close(pipe)


def _run_job(server: ForkServer, control: socket.socket, job_pipe: int, pipe: int) -> None:
    """Run the specs of one job; does not return."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with os.fdopen(job_pipe, "rb") as source:
            job = Job.read(json.loads(source.read()))
        items = server.items_of(job)
        write_report(run_specs(job, items, control, server.fixtures, server.reports), pipe)
        code = 0
    finally:
        os._exit(code)


def start(source: socket.socket, hosts: socket.socket) -> int:
    """Collect the specs and serve at the socket `source`; the host server is behind `hosts`."""
    message, _ = receive_message(source)
    if message is None:
        return 0
    sys.dont_write_bytecode = True
    os.chdir(message["scratch"])
    kept = ("root", "scratch", "hidden", "limits", "namespaces")
    send_message(hosts, {name: message[name] for name in kept})
    found, _ = receive_message(hosts)
    if found is None:
        raise SystemExit("the server of solutions does not start")
    send_message(source, found)
    return collect(message, ForkServer(lambda server: serve(server, source, hosts)))
