"""The limits of one submitted solution, and how much of them a process uses."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from dojo.grading.sandbox.stopwatch import LOADING

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The resources of one kata of one submission.

    `seconds` limits the time that it runs, as a `Stopwatch` counts it, and a third of the processor
    time of a process. `memory`, `disk` and `file` (the size of one file) are in bytes. Threads
    count as processes. `files` is the number of open files.
    """

    seconds: float = 60.0
    memory: int = 1024 * MIB
    disk: int = 256 * MIB
    file: int = 64 * MIB
    processes: int = 160
    files: int = 256


def apply_limits(limits: Limits, others: int = 0) -> None:
    """Set the resource limits of the calling process, as far as the system has them.

    `others` are the processes that count too, since the system counts all of a user's.
    """
    try:
        import resource
    except ImportError:
        return
    seconds = math.ceil((LOADING + 1) * limits.seconds)
    for name, soft, hard in (
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_CPU", seconds, seconds + 1),
        ("RLIMIT_DATA", limits.memory, limits.memory),
        ("RLIMIT_FSIZE", limits.file, limits.file),
        ("RLIMIT_NOFILE", limits.files, limits.files),
        ("RLIMIT_NPROC", limits.processes + others, limits.processes + others),
    ):
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))


def processes_of(user: int) -> int:
    """The number of processes and threads of a user; 0 where the system does not report it."""
    count = 0
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += len(os.listdir(f"/proc/{name}/task"))
    return count


def has_memory_limit() -> bool:
    """Whether the system enforces a limit on memory."""
    return sys.platform.startswith("linux")


class MemoryUsage:
    """The memory of a process and its children, files in memory included (Linux).

    Their own limits do not count shared memory, and count each process separately.
    """

    def __init__(self) -> None:
        self._proc = -1
        with contextlib.suppress(OSError):
            # Open it now: inside the namespaces it is another one.
            self._proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        self._parent = os.getpid()
        self._page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

    def close(self) -> None:
        """Close the descriptor of `/proc`."""
        with contextlib.suppress(OSError):
            os.close(self._proc)

    def used(self) -> int:
        """The memory in bytes; 0 where the system does not report it."""
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

    def starved(self, process: int) -> float:
        """How long the main thread of a process was ready to run and did not, in seconds."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(self._read(f"{process}/task/{process}/schedstat").split()[1]) / 1e9
        return 0.0

    def children(self, process: int) -> list[int]:
        """The processes that any thread of a process has started; empty where not reported."""
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


def folder_size(folder: Path) -> int:
    """The disk space in bytes of all files below `folder`."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(at, name)).st_blocks * 512
    return total
