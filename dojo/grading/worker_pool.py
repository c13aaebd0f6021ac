"""The worker pool: keeps a fork server running, gives it jobs, and restarts it if it dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from dojo.catalogue import Kata
from dojo.grading.results import Isolation
from dojo.grading.sandbox.folders import remove
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job, JobReport, receive_message, send_message
from dojo.grading.sandbox.stopwatch import AT_MOST, used_up
from dojo.grading.shared_lock import SharedLock

READY = 60.0  # seconds for the start of a fork server
PATIENCE = 20.0  # seconds beyond the time limit of a job

Specs = list[tuple[str, str]]


class GradingError(Exception):
    """The grader does not work on this machine; the message says why and what to do."""


class WorkerPool:
    """Gives jobs from any number of threads to one fork server, which forks for each.

    `specs` are the id and the title of each spec that must report, by kata. Without
    `use_namespaces` it works as on systems without namespaces.
    """

    def __init__(
        self, root: Path, katas: Sequence[Kata], limits: Limits, hidden: tuple[Path, ...] = ()
    ) -> None:
        self.root = root
        self.program = [sys.executable, "-P", "-m", "dojo.grading.sandbox.servers"]
        self.use_namespaces = True
        self.katas = katas
        self.limits = limits
        self.hidden = hidden
        self.isolation = Isolation()
        self.specs: dict[str, Specs] = {}
        self._lock = threading.Lock()
        self._running = SharedLock()
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._scratch = Path(tempfile.mkdtemp(prefix="dojo-grade-"))
        self._scratch.chmod(0o755)
        self._closed = False

    def __enter__(self) -> WorkerPool:
        try:
            with self._lock:
                self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
            self._stop()
        remove(self._scratch)

    def restart(self, *, use_namespaces: bool) -> None:
        """Start anew, with or without namespaces."""
        with self._lock:
            self.use_namespaces = use_namespaces
            self._stop()
            self._start()

    def run(self, job: Job) -> JobReport:
        """Run a job; if the fork server dies meanwhile, run it again with no other job beside."""
        with self._running.shared():
            report = self._run(job)
        if report is None:
            with self._running.exclusive():
                report = self._run(job)
        if report is not None:
            return report
        if self.isolation.missing:
            return JobReport(ended="the grader's fork server ended with it, twice")
        return JobReport(trouble="the grader's fork server died during this job, twice")

    def _new_folder(self) -> Path:
        """A new empty folder that every user may read."""
        folder = Path(tempfile.mkdtemp(prefix="sandbox-", dir=self._scratch))
        folder.chmod(0o755)
        return folder

    def _settings(self, scratch: Path, katas: Sequence[Kata]) -> dict[str, Any]:
        """The first message to a fork server."""
        return {
            "root": str(self.root),
            "scratch": str(scratch),
            "hidden": [str(path) for path in self.hidden],
            "limits": asdict(self.limits),
            "namespaces": self.use_namespaces,
            "specs": [str(kata.spec_file) for kata in katas],
        }

    def _start(self) -> None:
        """Start a fork server, and wait until it has collected the specs."""
        ours, theirs = socket.socketpair()
        scratch = self._new_folder()
        log = self._scratch / "fork-server.log"
        with theirs, log.open("wb") as errors:
            self._server = subprocess.Popen(
                [*self.program, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=scratch,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        self._socket = ours
        ours.settimeout(READY)
        try:
            send_message(ours, self._settings(scratch, self.katas))
            isolation, _ = receive_message(ours)
            specs, _ = receive_message(ours)
        except OSError:
            isolation = specs = None
        ours.settimeout(PATIENCE)
        if isolation is None or specs is None:
            self._stop()
            raise GradingError(f"the fork server does not start: {_end_of(log)}")
        self._configure(isolation | specs)

    def _configure(self, known: dict[str, Any]) -> None:
        self.isolation = Isolation.model_validate(known)
        self.specs = {kata: [(i, title) for i, title in s] for kata, s in known["specs"].items()}
        lacking = [kata.name for kata in self.katas if not self.specs.get(kata.name)]
        if lacking:
            self._stop()
            raise GradingError(f"the specs of {', '.join(lacking)} could not be collected")

    def _stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._server is not None:
            with suppress(OSError):
                self._server.kill()
            self._server.wait()
        self._server = self._socket = None

    def _run(self, job: Job) -> JobReport | None:
        """Run a job once; None where the fork server died."""
        reading, writing = os.pipe()
        job_pipe, job_writing = os.pipe()
        try:
            try:
                server = self._submit((job_pipe, writing))
            except BaseException:
                os.close(job_writing)
                raise
            finally:
                os.close(writing)
                os.close(job_pipe)
            with suppress(BrokenPipeError), os.fdopen(job_writing, "wb") as to:
                to.write(json.dumps(job.write()).encode())
            timer = threading.Timer(AT_MOST * job.limits.seconds + PATIENCE, server.kill)
            timer.start()
            try:
                with os.fdopen(os.dup(reading), "rb") as pipe:
                    content = pipe.read()
            finally:
                timer.cancel()
        except (OSError, GradingError) as error:
            return JobReport(trouble=f"the grader's fork server could not be reached: {error}")
        finally:
            os.close(reading)
        try:
            return JobReport.read(json.loads(content))
        except ValueError:
            return None

    def _submit(self, pipes: tuple[int, int]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise GradingError("the grader was stopped")
            if self._server is None or self._server.poll() is not None:
                self._stop()
                self._start()
            send_message(cast(socket.socket, self._socket), {}, pipes)
            return cast("subprocess.Popen[bytes]", self._server)


class SpawningWorkerPool(WorkerPool):
    """The same for systems without fork: each job starts its own Python, which is slower."""

    def _start(self) -> None:
        scratch = self._new_folder()
        known = self._do(self._settings(scratch, self.katas), READY)
        try:
            self._configure(json.loads(known))
        except ValueError:
            log = self._scratch / "alone.log"
            raise GradingError(f"the grader's process does not start: {_end_of(log)}") from None

    def _do(self, message: dict[str, Any], seconds: float) -> bytes:
        """Have a process of its own do something; what it says, or nothing in that time."""
        with (self._scratch / "alone.log").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dojo.grading.sandbox.alone"],
                cwd=message["scratch"],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            return process.communicate(json.dumps(message).encode() + b"\n", seconds)[0]
        except subprocess.TimeoutExpired:
            return b""
        finally:
            _kill_all(process)

    def _run(self, job: Job) -> JobReport | None:
        scratch = self._new_folder()
        katas = [kata for kata in self.katas if kata.name == job.kata]
        message = self._settings(scratch, katas) | {"job": job.write()}
        try:
            # Only the time on the wall is known here: enough for its imports too.
            said = self._do(message, 2 * job.limits.seconds + READY / 4)
            return JobReport.read(json.loads(said))
        except ValueError:
            return JobReport(ended=f"it ended its process, or {used_up(job.limits.seconds)}")
        finally:
            remove(scratch)


def worker_pool_for(
    root: Path, katas: Sequence[Kata], limits: Limits, hidden: tuple[Path, ...] = ()
) -> WorkerPool:
    """The kind of worker pool that works on this machine."""
    kind = WorkerPool if hasattr(os, "fork") else SpawningWorkerPool
    return kind(root, katas, limits, hidden)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """End a process and, where there are process groups, all that it has started."""
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(OSError):
        process.kill()
    process.wait()


def _end_of(log: Path) -> str:
    with suppress(OSError):
        text = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
        return text[-300:] or "its log is empty"
    return "it has no log"


def _environment() -> dict[str, str]:
    """The environment of the fork server, without the secrets of the grader's."""
    kept = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "TEMP", "TMP", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUTF8": "0",  # some specs are about locales that are not UTF-8
    }
