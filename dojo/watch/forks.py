"""The warm process where there is fork: copies of it run the specs of a kata side by side.

The copies for the next run are made ahead, and rehearse with the reference. A run is over when all
its specs have reported; then its copies are killed, whatever they still do.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO

from dojo.plugin.patience import MOST
from dojo.watch.limits import SECONDS, left_out, stopped
from dojo.watch.warm import Send, Warm, sender

# One more than there are processors: a red spec waits for what does not come. Each copy costs time
# for what it does for the first time: with twice as many as processors, a green run gets slower.
COPIES = min((os.cpu_count() or 1) + 1, 8)


class Copy:
    """A forked process that runs one spec after the other, as it is told to."""

    def __init__(self, warm: Warm, kata: str, others: list[int]) -> None:
        mine, self.specs = os.pipe()
        self.outcomes, theirs = os.pipe()
        self.folder = Path(tempfile.mkdtemp(prefix="c", dir=warm.scratch))
        self.pid = os.fork()
        if self.pid == 0:
            warm.scratch = self.folder
            _be_a_copy(warm, kata, mine, theirs, [*others, self.specs, self.outcomes])
        os.close(mine)
        os.close(theirs)
        self.spec: str | None = None
        self.since = 0.0
        self._read = b""

    def begin(self, kata: str, spec: str) -> None:
        """Have it run a spec."""
        self.spec, self.since = spec, time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # the end of its outcomes tells, too
            os.write(self.specs, json.dumps([kata, spec]).encode() + b"\n")

    def outcome(self) -> dict[str, Any] | None:
        """What it has reported, where that is whole by now.

        Raises `EOFError` where it has ended.
        """
        chunk = os.read(self.outcomes, 1 << 20)
        if not chunk:
            raise EOFError
        self._read += chunk
        if not self._read.endswith(b"\n"):
            return None
        told: dict[str, Any] = json.loads(self._read)
        self._read, self.spec = b"", None
        return told

    def kill(self) -> int:
        """End it with all that it has started; gives its exit code."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.specs)
        os.close(self.outcomes)
        _, status = os.waitpid(self.pid, 0)
        shutil.rmtree(self.folder, ignore_errors=True)
        return os.waitstatus_to_exitcode(status)


def _be_a_copy(warm: Warm, kata: str, specs: int, outcomes: int, others: list[int]) -> None:
    """Run the specs that are asked for; does not return."""
    try:
        os.setsid()
        for descriptor in others:
            os.close(descriptor)
        with contextlib.suppress(BaseException):  # it has to run what is asked for, after all
            warm.rehearse(kata)
        send = sender(os.fdopen(outcomes, "wb", 0))
        for line in os.fdopen(specs, "rb"):
            send(warm.run(*json.loads(line)))
    finally:
        os._exit(0)


class Server:
    """Takes jobs, and hands their specs out to the copies."""

    def __init__(self, warm: Warm, jobs: BinaryIO, outcomes: BinaryIO, send: Send) -> None:
        self.warm = warm
        self.jobs = jobs
        self.outcomes = outcomes
        self.send = send
        self.selector = selectors.DefaultSelector()
        self.selector.register(jobs, selectors.EVENT_READ)
        self.copies: list[Copy] = []
        self.ahead: list[Copy] = []
        self.read = b""
        self.run = 0
        self.katas: deque[str] = deque()
        self.kata = ""
        self.specs: deque[str] = deque()
        self.late = 0

    def serve(self) -> None:
        """Serve until nobody asks any more."""
        while True:
            for key, _ in self.selector.select(self._patience()):
                if isinstance(key.data, Copy):
                    if key.data in self.copies:
                        self._hear(key.data)
                elif not self._take_job():
                    self._kill([*self.copies, *self.ahead])
                    return
            now = time.monotonic()
            for copy in [c for c in self.copies if c.spec and now - c.since > SECONDS]:
                self._lose(copy, f"it did not end within {SECONDS:g} s, and was killed")

    def _patience(self) -> float | None:
        running = [copy.since for copy in self.copies if copy.spec]
        return max(0.0, min(running) + SECONDS - time.monotonic()) if running else None

    def _take_job(self) -> bool:
        """Read a job, and begin with it; False where there are no more."""
        chunk = self.jobs.read(1 << 16)
        if not chunk:
            return False
        self.read += chunk
        *lines, self.read = self.read.split(b"\n")
        if lines:
            job = json.loads(lines[-1])
            self.run, self.katas = job["run"], deque(job["katas"])
            self._begin_kata()
        return True

    def _begin_kata(self) -> None:
        self._kill(self.copies)
        self.copies = []
        if not self.katas:
            return
        self.kata, self.late = self.katas.popleft(), 0
        self.specs = deque(self.warm.order(self.kata))
        self.copies = self.ahead or self._made(self.kata)
        self.ahead = []
        for copy in self.copies:
            self.selector.register(copy.outcomes, selectors.EVENT_READ, copy)
            self._hand_out(copy)
        self._end_kata_if_done()

    def _made(self, kata: str) -> list[Copy]:
        copies: list[Copy] = []
        for _ in range(COPIES):
            copies.append(self._copy(kata, copies))
        return copies

    def _copy(self, kata: str, made: list[Copy]) -> Copy:
        open_ones = [d for c in (*self.copies, *made) for d in (c.specs, c.outcomes)]
        streams = [self.jobs.fileno(), self.outcomes.fileno(), self.selector.fileno()]
        return Copy(self.warm, kata, [*open_ones, *streams])

    def _hand_out(self, copy: Copy) -> None:
        while self.specs and self.late >= MOST:
            self.send({"run": self.run, **left_out(self.kata, self.specs.popleft())})
        if self.specs:
            copy.begin(self.kata, self.specs.popleft())

    def _hear(self, copy: Copy) -> None:
        """Read what a copy tells, and give it the next spec."""
        try:
            outcome = copy.outcome()
        except (EOFError, OSError, ValueError):
            self._lose(copy, "")
            return
        if outcome is not None:
            self.late += outcome["late"]
            self.warm.note(outcome)
            self.send({"run": self.run, **outcome})
            self._hand_out(copy)
            self._end_kata_if_done()

    def _lose(self, copy: Copy, why: str) -> None:
        """Report the spec with which a copy ended, and go on with another copy."""
        spec = copy.spec
        self.copies.remove(copy)
        code = self._kill([copy])
        if spec is not None:
            self.late += bool(why)
            how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
            message = why or f"the process of the specs was ended in the middle of this one, {how}"
            self.send({"run": self.run, **stopped(self.kata, spec, message)})
        if self.specs:
            other = self._copy("", [])
            self.copies.append(other)
            self.selector.register(other.outcomes, selectors.EVENT_READ, other)
            self._hand_out(other)
        self._end_kata_if_done()

    def _end_kata_if_done(self) -> None:
        if self.specs or any(copy.spec for copy in self.copies):
            return
        self.send({"run": self.run, "kata": self.kata, "ended": True})
        if self.katas:
            self._begin_kata()
            return
        self._kill(self.copies)
        self.copies = []
        self.ahead = self._made(self.kata)

    def _kill(self, copies: list[Copy]) -> int:
        code = 0
        for copy in copies:
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(copy.outcomes)
            code = copy.kill()
        return code


def serve(warm: Warm, jobs: BinaryIO, outcomes: BinaryIO, send: Send) -> None:
    """Serve until nobody asks any more."""
    Server(warm, jobs, outcomes, send).serve()
