"""The worker_pool: keeps a warm worker alive, hands it answers, and survives what they do to it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from dojo.catalogue import Kata
from dojo.grading.results import Isolation
from dojo.grading.sandbox.policy import Limits
from dojo.grading.sandbox.protocol import Job, Said, receive, send
from dojo.grading.sandbox.supervisor import Ear, plan, remove, used_up

READY = 60.0
PATIENCE = 20.0

Specs = list[tuple[str, str]]


class GradingError(Exception):
    """The grader does not work on this machine; the message says why, and what to do."""


class WorkerPool:
    """Hands jobs from any number of threads to one worker, which forks for each.

    `specs` are the id and the title of each spec that must report, by kata. Without `walls` it
    does as it does on systems that have none.
    """

    def __init__(
        self, root: Path, katas: Sequence[Kata], limits: Limits, hidden: tuple[Path, ...] = ()
    ) -> None:
        self.root = root
        self.walls = True
        self.katas = katas
        self.limits = limits
        self.hidden = hidden
        self.isolation = Isolation()
        self.specs: dict[str, Specs] = {}
        self._lock = threading.Lock()
        self._crowd = _Crowd()
        self._worker: subprocess.Popen[bytes] | None = None
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

    def run(self, job: Job) -> Said:
        """Have a job done; where the worker dies over it, once more and with no other beside it."""
        with self._crowd.one_of_many():
            said = self._run(job)
        if said is None:
            with self._crowd.alone():
                said = self._run(job)
        if said is not None:
            return said
        if self.isolation.missing:
            return Said(ended="the grader's worker ended with it, twice")
        return Said(trouble="the grader's worker died over it, twice")

    def _room(self) -> Path:
        """A new empty folder that all may look into."""
        room = Path(tempfile.mkdtemp(prefix="cell-", dir=self._scratch))
        room.chmod(0o755)
        return room

    def _first(self, scratch: Path, katas: Sequence[Kata]) -> dict[str, Any]:
        """What a worker is told first of all."""
        return {
            "root": str(self.root),
            "scratch": str(scratch),
            "hidden": [str(path) for path in self.hidden],
            "limits": asdict(self.limits),
            "walls": self.walls,
            "specs": [str(kata.spec_file) for kata in katas],
        }

    def _start(self) -> None:
        """Start a worker, and wait until it is warm."""
        ours, theirs = socket.socketpair()
        scratch = self._room()
        log = self._scratch / "worker.log"
        with theirs, log.open("wb") as errors:
            self._worker = subprocess.Popen(
                [*_PYTHON, str(theirs.fileno())],
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
            send(ours, self._first(scratch, self.katas))
            isolation, _ = receive(ours)
            specs, _ = receive(ours)
        except OSError:
            isolation = specs = None
        ours.settimeout(PATIENCE)
        if isolation is None or specs is None:
            self._stop()
            raise GradingError(f"the worker does not start: {_last_words(log)}")
        self._learn(isolation | specs)

    def _learn(self, told: dict[str, Any]) -> None:
        self.isolation = Isolation.model_validate(told)
        self.specs = {kata: [(i, title) for i, title in s] for kata, s in told["specs"].items()}
        lacking = [kata.name for kata in self.katas if not self.specs.get(kata.name)]
        if lacking:
            self._stop()
            raise GradingError(f"the specs of {', '.join(lacking)} could not be collected")

    def _stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._worker is not None:
            with suppress(OSError):
                self._worker.kill()
            self._worker.wait()
        self._worker = self._socket = None

    def _run(self, job: Job) -> Said | None:
        """None where the worker did not survive."""
        reading, writing = os.pipe()
        job_pipe, job_writing = os.pipe()
        try:
            try:
                worker = self._hand_over((job_pipe, writing))
            except BaseException:
                os.close(job_writing)
                raise
            finally:
                os.close(writing)
                os.close(job_pipe)
            with suppress(BrokenPipeError), os.fdopen(job_writing, "wb") as to:
                to.write(json.dumps(job.write()).encode())
            timer = threading.Timer(job.limits.seconds + PATIENCE, worker.kill)
            timer.start()
            try:
                with os.fdopen(os.dup(reading), "rb") as pipe:
                    content = pipe.read()
            finally:
                timer.cancel()
        except (OSError, GradingError) as error:
            return Said(trouble=f"the grader's worker could not be reached: {error}")
        finally:
            os.close(reading)
        try:
            return Said.read(json.loads(content))
        except ValueError:
            return None

    def _hand_over(self, pipes: tuple[int, int]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise GradingError("the grader was stopped")
            if self._worker is None or self._worker.poll() is not None:
                self._stop()
                self._start()
            send(cast(socket.socket, self._socket), {}, pipes)
            return cast("subprocess.Popen[bytes]", self._worker)


class SpawningWorkerPool(WorkerPool):
    """The same where there is no fork: each job gets a worker of its own, which is slower."""

    def _start(self) -> None:
        scratch = self._room()
        log = self._scratch / "worker.log"
        with log.open("wb") as errors:
            worker = self._spawn(scratch, errors)
            told, _ = worker.communicate(
                json.dumps(self._first(scratch, self.katas)).encode() + b"\n"
            )
        try:
            self._learn(json.loads(told))
        except ValueError:
            raise GradingError(f"the worker does not start: {_last_words(log)}") from None

    def _spawn(self, scratch: Path, errors: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*_PYTHON, "--once"],
            cwd=scratch,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )

    def _run(self, job: Job) -> Said | None:
        scratch = self._room()
        said = Said()
        key = secrets.token_bytes(32)
        katas = [kata for kata in self.katas if kata.name == job.kata]
        message = self._first(scratch, katas) | {"job": job.write(), "key": key.hex()}
        worker = self._spawn(scratch, subprocess.DEVNULL)

        def stop() -> None:
            said.ended = used_up(job)
            _kill_all(worker)

        timer = threading.Timer(job.limits.seconds + READY / 4, stop)
        timer.start()
        try:
            with (
                suppress(OSError),
                cast(Any, worker.stdin) as to,
                cast(Any, worker.stdout) as said_,
            ):

                def answer(text: bytes) -> None:
                    to.write(text)
                    to.flush()

                specs = [name for name, _ in self.specs[job.kata]]
                if job.specs:
                    specs = [name for name in specs if name.partition("::")[2] in job.specs]
                ear = Ear(key, said, plan(specs, job), answer)
                answer(json.dumps(message).encode() + b"\n")
                while not ear.done:
                    ear.hear(said_.read1(1 << 16))
        finally:
            timer.cancel()
            _kill_all(worker)
            remove(scratch)
        if not said.ended:
            said.ended = f"its process ended with exit code {worker.returncode}"
        return said


_PYTHON = [sys.executable, "-P", "-m", "dojo.grading.sandbox.fork_server"]


def worker_pool_for(
    root: Path, katas: Sequence[Kata], limits: Limits, hidden: tuple[Path, ...] = ()
) -> WorkerPool:
    """The worker_pool that works on this machine."""
    kind = WorkerPool if hasattr(os, "fork") else SpawningWorkerPool
    return kind(root, katas, limits, hidden)


class _Crowd:
    """Many at the same time, or one that is alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._wanted = 0

    @contextmanager
    def one_of_many(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._inside >= 0 and not self._wanted)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._wanted += 1
            self._changed.wait_for(lambda: self._inside == 0)
            self._inside = -1
        try:
            yield
        finally:
            with self._changed:
                self._inside = 0
                self._wanted -= 1
                self._changed.notify_all()


def _kill_all(worker: subprocess.Popen[bytes]) -> None:
    """End a worker and, where there are process groups, what it has started."""
    if hasattr(os, "killpg"):
        with suppress(OSError):
            os.killpg(worker.pid, signal.SIGKILL)
    with suppress(OSError):
        worker.kill()
    worker.wait()


def _last_words(log: Path) -> str:
    with suppress(OSError):
        said = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
        return said[-300:] or "it said nothing"
    return "it said nothing"


def _environment() -> dict[str, str]:
    """What the worker, and so every answer, may see of the grader's environment."""
    kept = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "TEMP", "TMP", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUTF8": "0",  # some specs are about locales that are not UTF-8
    }
