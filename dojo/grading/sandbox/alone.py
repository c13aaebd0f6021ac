"""One job on a system without fork: specs and solution in one process, as a learner runs them.

The worker pool starts `python -m dojo.grading.sandbox.alone` for each job. There is no isolation on
such a system, and so nothing that two processes would keep apart.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dojo.grading.sandbox.preload  # noqa: F401
from dojo.doubles import network
from dojo.grading.remote.guard import Guard, Paths
from dojo.grading.remote.telling import Teller
from dojo.grading.sandbox.collecting import Specs, collect, names_of, specs_of
from dojo.grading.sandbox.evidence import first_report
from dojo.grading.sandbox.limits import Limits, apply_limits, processes_of
from dojo.grading.sandbox.policy import survey
from dojo.grading.sandbox.protocol import Job, JobReport
from dojo.grading.sandbox.spec_process import run_item, write_report
from dojo.grading.sandbox.starter import environment_of, write_solution
from dojo.harness import frames, patches
from dojo.plugin.fixtures import SOLUTIONS
from dojo.solutions import Solutions


class _Evidence(Teller):
    """Keeps what is unusual; nobody else listens."""

    def __init__(self, report: JobReport) -> None:
        self._report = report

    def tell(self, say: str, **what: Any) -> None:
        """Keep a piece of evidence."""
        if say == "unusual":
            (self._report.heavy if what["heavy"] else self._report.evidence).append(what["text"])


class Alone:
    """The pytest plugin that does the one job in `message`, or lists the specs."""

    def __init__(self, message: dict[str, Any], pipe: int) -> None:
        self.message = message
        self.pipe = pipe
        self._reports: list[pytest.TestReport] = []
        self.folder = Path(message["scratch"])
        # Before pytest makes the folder of the specs one to import from.
        self.sandbox = survey(
            self.folder,
            Path(message["root"]),
            tuple(map(Path, message["hidden"])),
            Limits(**message["limits"]),
            fork=False,
        )

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the fixture, after the dojo's own ones, so that it replaces pytest's."""
        config.pluginmanager.register(_Folders(self), "dojo-runner")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report."""
        self._reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the job; does not return."""
        code = 70
        try:
            self.work(session, specs_of(session))
            code = 0
        finally:
            os._exit(code)

    def work(self, session: pytest.Session, items: Specs) -> None:
        """Do the one job, or list the specs where there is none."""
        if "job" in self.message:
            self.run_job(session, items, Job.read(self.message["job"]))
            return
        if not network.has_loopback():
            raise pytest.UsageError(network.NO_LOOPBACK)
        found = {"in_force": self.sandbox.in_force, "missing": self.sandbox.missing}
        os.write(self.pipe, json.dumps({**found, "specs": names_of(items)}).encode())

    def run_job(self, session: pytest.Session, items: Specs, job: Job) -> None:
        """Run the specs of a job in this process, and write the report."""
        sandbox = self.sandbox
        report = first_report(job)
        file = write_solution(self.folder, job.kata, job.source)
        session.config.stash[SOLUTIONS] = Solutions(file.parents[1])
        frames.show_from(None)
        patches.apply_all()
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(environment_of(self.folder))
        tempfile.tempdir = None  # it was asked for in the folder before
        paths = Paths(self.folder, (*sandbox.shown, *map(Path, ("/dev", "/etc"))), sandbox.hidden)
        Guard(paths).tell(_Evidence(report))
        os.umask(0o077)
        apply_limits(job.limits, processes_of(os.geteuid()) if os.name == "posix" else 0)
        chosen = [
            item
            for _, _, item in items[job.kata]
            if not job.specs or item.nodeid.partition("::")[2] in job.specs
        ]
        for position, item in enumerate(chosen):
            following = chosen[position - 1] if len(chosen) > 1 else None
            report.outcomes.append(run_item(item, following, self._reports))
        write_report(report, self.pipe)


class _Folders:
    """The pytest plugin that gives each spec a folder below that of the job."""

    def __init__(self, alone: Alone) -> None:
        self._alone = alone

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """Give each spec an empty folder."""
        folder = Path(tempfile.mkdtemp(prefix="r", dir=self._alone.folder))
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Do the job on the standard input; the report goes to the standard output."""
    message = json.loads(sys.stdin.buffer.readline())
    pipe = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    sys.dont_write_bytecode = True
    return collect(message, Alone(message, pipe))


if __name__ == "__main__":
    sys.exit(main())
