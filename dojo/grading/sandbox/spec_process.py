"""The process of the specs of one job: it runs them, and talks with the host of each.

A new process for each spec copies much memory. So the host of a solution whose text is plain goes
on with some more specs, in an order that nobody can foresee, as long as all is green; a spec that
is red in a host that has had another one runs again, in a new one, and that counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from dojo.catalogue import Kata
from dojo.grading.remote.errors import HostEndedError
from dojo.grading.remote.fixtures import LINK, RemoteFixtures
from dojo.grading.remote.link import Link
from dojo.grading.remote.wire import Wire
from dojo.grading.sandbox import namespaces
from dojo.grading.sandbox.evidence import first_report
from dojo.grading.sandbox.plain import is_plain
from dojo.grading.sandbox.protocol import Job, JobReport, receive_message, send_message
from dojo.grading.sandbox.stopwatch import AT_MOST
from dojo.harness.holds import clock
from dojo.plugin.outcome import failure_in, forget_what_was_printed

AGAIN = 2  # specs that run into a limit and are run once more: the machine may have been busy
KEPT = 10  # specs that one host runs at most
LOST = 2  # hosts that were to be kept and could not: then no more is
GRACE = 5.0  # seconds after the time limit of a job
PATIENCE = 30.0  # seconds without a reply, after which a host is given up


class Hosts:
    """Gives each spec a host, with the help of the job's supervisor.

    `fresh` says whether the host of this spec is a new process.
    """

    def __init__(
        self, job: Job, control: socket.socket, fixtures: RemoteFixtures, *, plain: bool
    ) -> None:
        self._job = job
        self._control = control
        self._count = 0
        self._folder = Path()
        self._file = Path()
        self._link: Link | None = None
        self.processes = 0
        self._served = 0
        self._keep = False
        self._lost = 0
        self._plain = plain
        self.fresh = True
        self.over = ""
        self.trouble = ""
        self._fixtures = fixtures

    def open(self) -> None:
        """Have the sandbox built, and enter the part of it in which the specs can look."""
        job = self._job
        limits = asdict(job.limits)
        about = {"kata": job.kata, "source": job.source, "limits": limits}
        said = self._ask({**about, "process": os.getpid()})
        if "trouble" in said:
            self.trouble = said["trouble"]
            return
        self._folder, self._file = Path(said["folder"]), Path(said["file"])
        if said["namespaces"]:
            namespaces.join(said["supervisor"])
        self._fixtures.start, self._fixtures.folder = self.start, self.new_folder
        self._fixtures.loading = self.loading

    def new_folder(self) -> Path:
        """The folder that the next host works in; it is made when that starts."""
        self._count += 1
        return self._folder / f"r{self._count}"

    def start(self, _kata: Kata, directory: Path) -> Link:
        """Have a host. Raises `HostEndedError` where there can be none any more."""
        pairs = [socket.socketpair() for _ in range(3)]
        try:
            theirs = tuple(their.fileno() for _, their in pairs)
            said = self._ask({"start": directory.name}, theirs)
        finally:
            for _, their in pairs:
                their.close()
        if "started" not in said:
            self.trouble, self.over = said.get("trouble", ""), said.get("over", "")
            raise HostEndedError(self.trouble or self.over)
        commands, happenings, notices = (our for our, _ in pairs)
        self.fresh = bool(said["fresh"])
        self.processes += self.fresh
        self._lost += self.fresh and self._keep
        self._served = 1 if self.fresh else self._served + 1
        wires = Wire(commands, PATIENCE), Wire(happenings), Wire(notices, PATIENCE)
        self._link = Link(wires, self._file)
        return self._link

    def loading(self, now: bool) -> None:
        """Say that the solution begins or ends to be loaded, which has a limit of its own."""
        with contextlib.suppress(OSError):
            send_message(self._control, {"loading": now})

    def end(self, *, passed: bool) -> str:
        """End the host of a spec, or keep it; how it has ended by itself, in words."""
        if self._link is None:
            return ""
        self._link.close()
        self._link = None
        self._keep = passed and self._plain and self._served < KEPT and self._lost < LOST
        said = self._ask({"keep": self._keep})
        self.over = self.over or said["over"]
        return str(said["ended"])

    def _ask(self, message: dict[str, Any], wires: tuple[int, ...] = ()) -> dict[str, Any]:
        with contextlib.suppress(OSError):
            send_message(self._control, message, wires)
            said, _ = receive_message(self._control)
            if said is not None:
                return said
        why = "the process that keeps its sandbox has ended"
        # Once the solution has begun, nobody else has had a reason to end it.
        return (
            {"ended": "", "over": why}
            if self.processes
            else {"trouble": why, "ended": "", "over": ""}
        )


def run_specs(
    job: Job,
    items: list[pytest.Item],
    control: socket.socket,
    fixtures: RemoteFixtures,
    reports: list[pytest.TestReport],
) -> JobReport:
    """Run the specs of a job."""
    report = first_report(job)
    plain = not report.evidence and not report.heavy and is_plain(job.source)
    hosts = Hosts(job, control, fixtures, plain=plain)
    places = {item.nodeid: place for place, item in enumerate(items)}
    random.SystemRandom().shuffle(items)
    hosts.open()
    _give_up_after(AT_MOST * job.limits.seconds + GRACE, hosts)
    if hosts.trouble:
        items = []
    again = AGAIN
    for position, item in enumerate(items):
        following = items[position - 1] if len(items) > 1 else None
        outcome, late = _with_a_host(item, following, reports, hosts, report)
        if not (outcome["passed"] or hosts.fresh or hosts.trouble or hosts.over):
            outcome, late = _with_a_host(item, following, reports, hosts, report)
        if late and again and not hosts.over:
            again -= 1
            outcome, _ = _with_a_host(item, following, reports, hosts, report)
        if hosts.trouble or (hosts.over and not outcome["passed"]):
            break
        report.outcomes.append(outcome)
    report.outcomes.sort(key=lambda outcome: places[outcome["spec"]])
    report.trouble, report.ended = hosts.trouble, hosts.over
    report.processes = hosts.processes
    return report


def _give_up_after(seconds: float, hosts: Hosts) -> None:
    """Break the specs off after a time, whatever they wait for: a supervisor has ended the host."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        hosts.over = hosts.over or "its specs did not end"
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        raise HostEndedError(hosts.over)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _with_a_host(
    item: pytest.Item,
    following: pytest.Item | None,
    reports: list[pytest.TestReport],
    hosts: Hosts,
    report: JobReport,
) -> tuple[dict[str, Any], bool]:
    """Run one spec, and end its host; its outcome, and whether it ran into a limit."""
    outcome = run_item(item, following, reports)
    link = item.stash.get(LINK, None)
    ended = hosts.end(passed=outcome["passed"])
    if link is None:
        return outcome, False
    del item.stash[LINK]
    report.evidence += link.evidence
    report.heavy += link.heavy
    report.tampered += [f"its process sent {link.forged}"] if link.forged else []
    if not outcome["passed"] and ended and link.broke_off:
        outcome["failure"]["message"] = f"the solution's process has ended: {ended}"
    return outcome, link.late


def run_item(
    item: pytest.Item, following: pytest.Item | None, reports: list[pytest.TestReport]
) -> dict[str, Any]:
    """Run one spec; its outcome as plain data."""
    reports.clear()
    stopped = ""
    began = clock()
    try:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    except BaseException as error:  # noqa: BLE001
        stopped = f"the solution stopped the whole run: {type(error).__name__}"
        with contextlib.suppress(BaseException):
            vars(item.session)["_setupstate"].teardown_exact(None)
    seconds = max(0.0, clock() - began)
    forget_what_was_printed(item)
    found = failure_in(reports, item.name, stopped=stopped)
    return {
        "spec": item.nodeid,
        "passed": found is None,
        "failure": found,
        "seconds": round(seconds, 4),
    }


def write_report(report: JobReport, pipe: int) -> None:
    """Write a report to the pipe of the grader."""
    left = json.dumps(asdict(report)).encode("utf-8", "replace")
    while left:
        left = left[os.write(pipe, left) :]
