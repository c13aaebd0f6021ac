"""The keeper: builds a cell, waits for the process in it, and passes on what was said there."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import select
import shutil
import signal
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from dojo.grading.sandbox.channel import SEAL, Ask, Channel, Tell, open_channel, seal
from dojo.grading.sandbox.policy import Sandbox
from dojo.grading.sandbox.protocol import Job, Message, Said

SAID = 64 << 20
GRACE = 2.0
LOOK = 0.2
DIGITS = frozenset(b"0123456789abcdef")

Run = Callable[[tuple[Channel, Tell, Ask]], None]


def keep(
    job: Job,
    specs: Sequence[str],
    cell: Sandbox,
    number: int,
    passed_on: int,
    run: Callable[[Path, tuple[Channel, Tell, Ask]], None],
) -> Said:
    """Build a cell, `run` an answer in it, and wait for its end, which comes in any case.

    `specs` are the ids of those that must report, `passed_on` is the pipe that only the keeper may
    write to.
    """
    said = Said()
    key = secrets.token_bytes(32)
    memory = Memory()
    try:
        cell.prepare(job.limits)
        room = cell.room(f"j{number}")
        furnish(room, job)
        reading, writing = os.pipe()
        asked, answering = os.pipe()
        child = os.fork()
    except OSError as error:
        said.trouble = f"the cell could not be built: {error.strerror or error}"
        return said
    if child == 0:
        try:
            memory.close()
            for inherited in (reading, answering, passed_on):
                os.close(inherited)
            live(room, cell, job, key, (writing, asked), lambda talk: run(room, talk))
        finally:
            os._exit(70)
    os.close(writing)
    os.close(asked)
    try:
        ear = Ear(key, said, plan(specs, job), lambda reply: os.write(answering, reply))
        _listen(reading, ear, job, said, memory, None if cell.walls else room)
    finally:
        os.close(reading)
        os.close(answering)
        _end(child, said, memory)
        memory.close()
        if not cell.walls:
            remove(room)
    return said


def plan(specs: Sequence[str], job: Job) -> list[tuple[str, bool]]:
    """The runs in their order, and whether each is a control; only a keeper may know."""
    runs = []
    for spec in specs:
        first = bool(secrets.randbelow(2))
        sides = [first, not first] if job.controls else [False]
        runs += [(spec, control) for control in sides]
    return runs


def furnish(room: Path, job: Job) -> None:
    """Put the answer into the room, to be read only."""
    folder = room / "a" / job.kata
    folder.mkdir(parents=True)
    (folder / "app.py").write_bytes(job.source.encode("utf-8", "surrogateescape"))
    for path, mode in ((folder.parent, 0o755), (folder, 0o755), (folder / "app.py", 0o644)):
        path.chmod(mode)


def live(room: Path, cell: Sandbox, job: Job, key: bytes, pipes: tuple[int, int], run: Run) -> None:
    """Be the process in the cell; does not return."""
    code = 70
    file, module = str(room / "a" / job.kata / "app.py"), f"katas.{job.kata}.app"

    def is_the_answers(frame: FrameType, _file: str = file, _module: str = module) -> bool:
        return frame.f_code.co_filename == _file or frame.f_globals.get("__name__") == _module

    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        os.chdir(room)
        os.environ.clear()
        os.environ.update(_environment(room))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        talk = open_channel(*pipes, key, is_the_answers)
        tell = talk[1]
        try:
            cell.lock(job.limits)
        except OSError as error:
            tell({"trouble": f"the cell could not be locked: {error.strerror or error}"})
            os._exit(70)
        tell({"locked": True})
        del key
        run(talk)
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


def _listen(pipe: int, ear: Ear, job: Job, said: Said, memory: Memory, room: Path | None) -> None:
    """Read what the process in the cell says until it is over, one way or another."""
    end = time.monotonic() + job.limits.seconds
    look = 0.0
    worker = os.getppid()
    while not ear.done:
        now = time.monotonic()
        if now >= end:
            said.ended = used_up(job)
        elif os.getppid() != worker:
            said.ended = "the grader was stopped"
        elif now >= look:
            look = now + LOOK
            if memory.used() > job.limits.memory:
                said.ended = f"it wanted more than {job.limits.memory >> 20} MiB of memory in all"
            elif room is not None and _size(room) > job.limits.disk:
                said.ended = f"it filled the disk: more than {job.limits.disk >> 20} MiB"
        if said.ended:
            return
        if select.select([pipe], [], [], min(end - now, LOOK))[0]:
            ear.hear(os.read(pipe, 1 << 16))


def used_up(job: Job) -> str:
    return f"the {job.limits.seconds:g} s that a kata has were used up"


class Ear:
    """Understands what comes out of a cell, answers what is asked, and believes only what is
    sealed and in its place.

    `done` is when there is nothing more to come.
    """

    def __init__(
        self,
        key: bytes,
        said: Said,
        runs: list[tuple[str, bool]],
        reply: Callable[[bytes], object],
    ) -> None:
        self.done = False
        self._key = key
        self._said = said
        self._runs = runs
        self._reply = reply
        self._rest = bytearray()
        self._size = 0
        self._number = 0
        self._run = 0
        self._reached = False
        self._locked = False

    def hear(self, part: bytes) -> None:
        searched = len(self._rest)
        self._size += len(part)
        self._rest += part
        if not part:
            # Half a line of ours is no offence: something may have ended it there.
            self._said.broken |= not DIGITS.issuperset(self._rest[: 2 * SEAL])
            self.done = True
        elif self._size > SAID:
            self._said.broken = self.done = True
        while not self.done and (cut := self._rest.find(b"\n", searched)) >= 0:
            line = bytes(self._rest[:cut])
            del self._rest[: cut + 1]
            searched = 0
            self._understand(line)

    def _understand(self, line: bytes) -> None:
        head, text = line[: 2 * SEAL], line[2 * SEAL :]
        right = hmac.compare_digest(head, seal(self._key, self._number, text))
        self._number += 1
        try:
            message = Message.model_validate_json(text) if right else None
        except ValidationError:
            message = None
        if message is None or not self._fits(message):
            self._said.broken = self.done = True
            return
        self._locked |= message.locked
        self._said.places += message.places
        self._said.evidence += message.evidence
        self._said.tampered += message.tampered
        self._said.trouble = message.trouble or self._said.trouble
        if message.reached is not None:
            self._reached = True
            # It may be gone by now, and what it then says no more is not believed.
            with contextlib.suppress(OSError):
                self._reply(b"n" if self._runs[self._run][1] else b"y")
        if message.outcome is not None:
            control = self._runs[self._run][1]
            sides = {"control": control, "reached": self._reached}
            self._said.outcomes.append(message.outcome.model_dump() | sides)
            self._run += 1
            self._reached = False
        self.done = message.end

    def _fits(self, message: Message) -> bool:
        """Whether this can be said now."""
        if message.trouble:
            return not self._locked
        more = self._run < len(self._runs)
        if message.reached is not None:
            return more and message.reached == self._run and not self._reached
        if message.outcome is not None:
            return more and message.outcome.spec == self._runs[self._run][0]
        return not message.end or not more


class Memory:
    """What a process and its children use of the memory, files in memory included (Linux).

    Their own limits do not count what is shared, and count each process for itself.
    """

    def __init__(self) -> None:
        self._proc = -1
        with contextlib.suppress(OSError):
            # Behind walls there is no /proc to be opened any more.
            self._proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        self._parent = os.getpid()
        self._page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._proc)

    def used(self) -> int:
        """In bytes; 0 where the system does not tell."""
        if self._proc < 0:
            return 0
        total = 0
        files: dict[tuple[int, int], int] = {}
        waiting = self.children(self._parent)
        while waiting:
            process = waiting.pop()
            waiting += self.children(process)
            with contextlib.suppress(OSError, ValueError, IndexError):
                resident, shared = self._read(f"{process}/statm").split()[1:3]
                total += (int(resident) - int(shared)) * self._page
                status = self._read(f"{process}/status")
                total += 1024 * sum(
                    int(line.split()[1]) for line in status.splitlines() if "RssShmem" in line
                )
                files |= self._files(process)
        return total + sum(files.values())

    def children(self, process: int) -> list[int]:
        """The processes that any thread of a process has started; none where nobody tells."""
        found: list[int] = []
        with contextlib.suppress(OSError):
            for thread in self._names(f"{process}/task"):
                with contextlib.suppress(OSError, ValueError):
                    found += map(int, self._read(f"{process}/task/{thread}/children").split())
        return found

    def _files(self, process: int) -> dict[tuple[int, int], int]:
        """The size of each open file that has no name any more."""
        found = {}
        for name in self._names(f"{process}/fd"):
            with contextlib.suppress(OSError):
                about = os.stat(f"{process}/fd/{name}", dir_fd=self._proc)
                if stat.S_ISREG(about.st_mode) and about.st_nlink == 0:
                    found[about.st_dev, about.st_ino] = about.st_blocks * 512
        return found

    def _names(self, folder: str) -> list[str]:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._proc)
        try:
            return os.listdir(opened)
        finally:
            os.close(opened)

    def _read(self, name: str) -> str:
        opened = os.open(name, os.O_RDONLY, dir_fd=self._proc)
        with os.fdopen(opened, encoding="ascii", errors="replace") as file:
            return file.read()


def remove(folder: Path) -> None:
    """Remove a folder, however deep somebody has made it."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Lift each folder below `folder` up into it, level by level, until none lies in another."""
    with contextlib.suppress(OSError):
        while below := [
            entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)
        ]:
            for entry in below:
                for inner in os.scandir(entry.path):
                    if inner.is_dir(follow_symlinks=False):
                        os.rename(inner.path, folder / secrets.token_hex(8))
                    else:
                        os.unlink(inner.path)
                os.rmdir(entry.path)


def _size(folder: Path) -> int:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(at, name)).st_blocks * 512
    return total


def _end(child: int, said: Said, memory: Memory) -> None:
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
    _clear_up(memory)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        return f"its process was ended by the signal {name}"
    return f"its process ended by itself, with exit code {os.WEXITSTATUS(status)}"


def _clear_up(memory: Memory) -> None:
    """Kill what the process left behind, which became this one's children when it ended."""
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        for orphan in memory.children(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(orphan, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)
