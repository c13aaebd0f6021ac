"""The keeper: builds a cell, waits for the process in it, and passes on what was said there."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dojo.grading.cell import Cell, processes_of
from dojo.grading.wire import Job, Said

SAID = 64 << 20
GRACE = 2.0

Say = Callable[[dict[str, Any]], None]


def keep(
    job: Job, cell: Cell, number: int, passed_on: int, run: Callable[[Path, Say], None]
) -> Said:
    """Build a cell, `run` an answer in it, and wait for its end, which comes in any case.

    `passed_on` is the pipe that only the keeper may write to.
    """
    said = Said()
    token = secrets.token_hex(8)
    try:
        cell.prepare(job.limits)
        room = cell.room(f"j{number}")
        furnish(room, job)
        reading, writing = os.pipe()
        child = os.fork()
    except OSError as error:
        said.trouble = f"the cell could not be built: {error.strerror or error}"
        return said
    if child == 0:
        try:
            os.close(reading)
            os.close(passed_on)
            live(room, cell, job, token, writing, lambda say: run(room, say))
        finally:
            os._exit(70)
    os.close(writing)
    try:
        _listen(reading, token, job, said, None if cell.walls else room)
    finally:
        os.close(reading)
        _end(child, said)
        if not cell.walls:
            shutil.rmtree(room, ignore_errors=True)
    return said


def furnish(room: Path, job: Job) -> None:
    """Put the answer and the stub that its controls are made of into the room, to be read only."""
    for tree, source in (("a", job.source), ("b", job.stub)):
        folder = room / tree / job.kata
        folder.mkdir(parents=True)
        (folder / "app.py").write_bytes(source.encode("utf-8", "surrogateescape"))
        for path, mode in ((folder.parent, 0o755), (folder, 0o755), (folder / "app.py", 0o644)):
            path.chmod(mode)


def live(
    room: Path, cell: Cell, job: Job, token: str, pipe: int, run: Callable[[Say], None]
) -> None:
    """Be the process in the cell; does not return."""
    code = 70

    def say(message: dict[str, Any]) -> None:
        line = f"{token}{json.dumps(message)}\n".encode()
        while line:
            line = line[os.write(pipe, line) :]

    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        os.chdir(room)
        os.environ.clear()
        os.environ.update(_environment(room))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            cell.lock(job.limits)
        except OSError as error:
            say({"trouble": f"the cell could not be locked: {error.strerror or error}"})
            os._exit(70)
        run(say)
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


def _listen(pipe: int, token: str, job: Job, said: Said, room: Path | None) -> None:
    """Read what the process in the cell says until it is over, one way or another."""
    end = time.monotonic() + job.limits.seconds
    worker = os.getppid()
    ear = Ear(token, said)
    while not ear.done:
        left = end - time.monotonic()
        if left <= 0:
            said.ended = used_up(job)
            return
        if os.getppid() != worker:
            said.ended = "the grader was stopped"
            return
        if select.select([pipe], [], [], min(left, 0.5))[0]:
            ear.hear(os.read(pipe, 1 << 16))
        elif room is not None and _size(room) > job.limits.disk:
            said.ended = f"it filled the disk: more than {job.limits.disk >> 20} MiB"
            return


def used_up(job: Job) -> str:
    return f"the {job.limits.seconds:g} s that a kata has were used up"


class Ear:
    """Understands what comes out of a cell, and notices what the specs have not said.

    `done` is when there is nothing more to come.
    """

    def __init__(self, token: str, said: Said) -> None:
        self.done = False
        self._token = token.encode()
        self._said = said
        self._rest = bytearray()
        self._size = 0

    def hear(self, part: bytes) -> None:
        self._size += len(part)
        self._rest += part
        if not part:
            self._said.broken |= not self._token.startswith(self._rest[: len(self._token)])
            self.done = True
        elif self._size > SAID:
            self._said.ended = "it said too much"
            self.done = True
        while not self.done and (cut := self._rest.find(b"\n")) >= 0:
            line = bytes(self._rest[:cut])
            del self._rest[: cut + 1]
            self._understand(line)

    def _understand(self, line: bytes) -> None:
        head, body = line[: len(self._token)], line[len(self._token) :]
        try:
            message = json.loads(body) if head == self._token else None
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self._said.broken = self.done = True
            return
        if "outcome" in message:
            self._said.outcomes.append(message["outcome"])
        self._said.places += message.get("places", [])
        self._said.evidence += message.get("evidence", [])
        self._said.tampered += message.get("tampered", [])
        self._said.trouble = message.get("trouble", self._said.trouble)
        self.done = "end" in message


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
