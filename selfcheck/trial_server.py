"""A fork server for trials, which run specs and solution in one process, as a learner does.

A grader keeps the two apart, which costs a process for each spec. That both ways give the same
verdicts is proved with some solutions of each kata; all others are tried in one process.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dojo.catalogue import Kata
from dojo.grading.sandbox.alone import Alone
from dojo.grading.sandbox.collecting import Specs, collect, names_of
from dojo.grading.sandbox.folders import remove
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job, JobReport, receive_message, send_message
from dojo.grading.sandbox.spec_process import write_report
from dojo.grading.worker_pool import WorkerPool

SECONDS = 240.0


class TrialPool(WorkerPool):
    """A worker pool whose solutions share a process with their specs."""

    def __init__(self, root: Path, katas: Sequence[Kata]) -> None:
        super().__init__(root, katas, Limits())
        start = f"import sys; sys.path.insert(0, {str(root)!r}); "
        start += f"from {__name__} import main; sys.exit(main())"
        self.program = [sys.executable, "-P", "-c", start]


class TrialServer(Alone):
    """The pytest plugin that forks for each job."""

    def __init__(self, message: dict[str, Any], source: socket.socket) -> None:
        super().__init__(message, -1)
        self.source = source

    def work(self, session: pytest.Session, items: Specs) -> None:
        """Fork for each job that arrives, until the worker pool closes the socket."""
        send_message(self.source, {"in_force": self.sandbox.in_force, "missing": []})
        send_message(self.source, {"specs": names_of(items)})
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        gc.collect()
        gc.freeze()
        while True:
            message, pipes = receive_message(self.source)
            if message is None:
                return
            if os.fork() == 0:
                self.source.close()
                self._supervise(session, items, *pipes)
            for pipe in pipes:
                os.close(pipe)

    def _supervise(self, session: pytest.Session, items: Specs, job_pipe: int, pipe: int) -> None:
        """Run a job in one more process, and end what it leaves behind; does not return."""
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with os.fdopen(job_pipe, "rb") as source:
                job = Job.read(json.loads(source.read()))
            self.pipe = pipe
            self.folder = Path(tempfile.mkdtemp(prefix="trial-", dir=self.folder))
            child = os.fork()
            if child == 0:
                try:
                    os.setsid()
                    self.run_job(session, items, job)
                    os._exit(0)
                finally:
                    os._exit(70)
            end = time.monotonic() + SECONDS
            done = status = 0
            while time.monotonic() < end and not done:
                done, status = os.waitpid(child, os.WNOHANG)
                time.sleep(0 if done else 0.005)
            if status or not done:
                write_report(JobReport(ended="its process ended before its specs"), pipe)
            with suppress(OSError):
                os.killpg(child, signal.SIGKILL)
            remove(self.folder)
        finally:
            os._exit(0)


def main() -> int:
    """Serve at the socket whose number is the first argument."""
    source = socket.socket(fileno=int(sys.argv[1]))
    message, _ = receive_message(source)
    if message is None:
        return 0
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nowhere, standard)
    sys.dont_write_bytecode = True
    return collect(message, TrialServer(message, source))


if __name__ == "__main__":
    sys.exit(main())
