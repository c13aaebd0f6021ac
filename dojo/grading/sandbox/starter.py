"""Hosts: they are started in the sandbox of a job, kept for another spec, and ended.

A host that is kept goes on with the next spec where nothing is left of the last one. In namespaces
the hosts are children of an `Init`, the first process of their process tree; it ends all others
between two specs. Elsewhere they are the supervisor's own children.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from dojo.catalogue import Kata
from dojo.grading.remote import host
from dojo.grading.remote.guard import Paths
from dojo.grading.sandbox import namespaces
from dojo.grading.sandbox.folders import empty, remove
from dojo.grading.sandbox.limits import Limits, MemoryUsage
from dojo.grading.sandbox.policy import NAME, SHARED, Sandbox
from dojo.grading.sandbox.protocol import receive_message, send_message

GRACE = 2.0
READY = b"r"  # what a kept host says when nothing is left of its last spec
PATIENCE = 5.0  # seconds for it to say so, or to end


class Starter:
    """Starts and ends hosts, as children of the calling process."""

    def __init__(
        self, kata: str, file: Path, folder: Path, sandbox: Sandbox, limits: Limits
    ) -> None:
        self._kata = Kata(Path("/"), kata, "", "white", 0, 0, ("", "", ""))
        self._file = file
        self._folder = folder
        self._sandbox = sandbox
        self._limits = limits
        processes = "/proc" if sandbox.namespaces else "/proc/self"
        self._paths = Paths(
            folder,
            (*sandbox.shown, *map(Path, ("/dev", "/etc", processes, "/sys"))),
            () if sandbox.namespaces else sandbox.hidden,
        )
        self._child = 0
        self._kept = False
        self._line: socket.socket | None = None
        self._directory: Path | None = None

    def process(self, _memory: MemoryUsage) -> int:
        """The number of the host's process; 0 where there is none."""
        return self._child

    def start(self, name: str, wires: list[int]) -> bool:
        """Have a host in a new folder of that name; whether it is a new one. Raises `OSError`."""
        if self._go_on(name, wires):
            return False
        self.end()
        directory = self._new_directory(name)
        self._line, theirs = socket.socketpair()
        self._child = os.fork()
        if self._child == 0:
            try:
                self._become_host(directory, [*wires, theirs.fileno()])
            finally:
                os._exit(70)
        theirs.close()
        return True

    def _go_on(self, name: str, wires: list[int]) -> bool:
        """Have the host that was kept go on with another spec; whether it does."""
        if not self._kept or self._line is None:
            return False
        self._kept = False
        with contextlib.suppress(OSError):
            self._line.settimeout(PATIENCE)
            if self._line.recv(1) == READY:
                self._new_directory(name)
                send_message(self._line, {"start": name}, tuple(wires))
                return True
        return False

    def _new_directory(self, name: str) -> Path:
        """The folder for the next spec, in place of that of the one before. Raises `OSError`."""
        if self._directory is not None:
            remove(self._directory)
        self._directory = self._sandbox.make_folder(f"{self._folder.name}/{name}")
        return self._directory

    def _become_host(self, directory: Path, wires: list[int]) -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        kept = [os.dup2(wire, 200 + n, False) for n, wire in enumerate(wires)]
        os.closerange(3, 200)
        os.setpgid(0, 0)
        set_environment(directory)
        self._sandbox.drop_rights(self._limits)
        line = socket.socket(fileno=kept.pop())

        def following() -> tuple[Path, host.Wires] | None:
            line.sendall(READY)
            message, given = receive_message(line)
            if message is None:
                return None
            folder = self._folder / message["start"]
            set_environment(folder)
            return folder, host.wires_of(given)

        host.run(self._kata, self._file, (directory, host.wires_of(kept)), self._paths, following)

    def end(self, *, keep: bool = False) -> str:
        """End the host and all that it has started; how it has ended, in words.

        With `keep`, one that has not ended by itself may go on with another spec.
        """
        if not self._child:
            return ""
        done, status = os.waitpid(self._child, os.WNOHANG)
        self._kept = keep and not done
        if self._kept:
            return ""
        child, self._child = self._child, 0
        ended = _describe(status) if done else ""
        if not done:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(OSError):
                    kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        kill_descendants()
        if self._line is not None:
            self._line.close()
        if self._directory is not None:
            remove(self._directory)
            self._directory = None
        if self._sandbox.namespaces:
            for folder in SHARED:
                empty(folder)
        return ended


class Init:
    """Starts hosts in the first process of a process tree."""

    def __init__(self, starter: Starter) -> None:
        self._ours, theirs = socket.socketpair()
        self._init = os.fork()
        if self._init == 0:
            try:
                self._ours.close()
                namespaces.show_processes()
                _serve(starter, theirs)
            finally:
                os._exit(0)
        theirs.close()

    def process(self, memory: MemoryUsage) -> int:
        """The number of the host's process, as the supervisor sees it; 0 where there is none."""
        return next(iter(memory.children(self._init)), 0)

    def start(self, name: str, wires: list[int]) -> bool:
        """Have a host; whether it is a new one. Raises `OSError`."""
        send_message(self._ours, {"start": name}, tuple(wires))
        said, _ = receive_message(self._ours)
        if said is None or "trouble" in said:
            raise OSError((said or {}).get("trouble", "the first process of the sandbox has ended"))
        return bool(said["fresh"])

    def end(self, *, keep: bool = False) -> str:
        """As `Starter.end`."""
        with contextlib.suppress(OSError):
            send_message(self._ours, {"keep": keep})
            said, _ = receive_message(self._ours)
            return str((said or {}).get("ended", ""))
        return ""


def _serve(starter: Starter, source: socket.socket) -> None:
    """The loop of the first process of a process tree."""
    while True:
        message, wires = receive_message(source)
        if message is None:
            return
        reply: dict[str, Any] = {}
        if "start" in message:
            try:
                reply["fresh"] = starter.start(message["start"], wires)
            except OSError as error:
                reply["trouble"] = error.strerror or str(error)
        else:
            reply["ended"] = starter.end(keep=message["keep"])
        for wire in wires:
            os.close(wire)
        send_message(source, reply)


def kill_descendants() -> None:
    """Kill all processes that are left of a host: those of this tree, or of this process."""
    own = os.getpid()
    memory = MemoryUsage()
    end = time.monotonic() + GRACE
    try:
        while time.monotonic() < end:
            if own == 1:
                with contextlib.suppress(OSError):
                    os.kill(-1, signal.SIGKILL)
            for orphan in memory.children(own):
                with contextlib.suppress(OSError):
                    os.kill(orphan, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)
    finally:
        memory.close()


def write_solution(folder: Path, kata: str, source: str) -> Path:
    """Write the submitted solution into the sandbox's folder, read-only; its file."""
    folder.chmod(0o711)
    file = folder / "a" / kata / "app.py"
    file.parent.mkdir(parents=True)
    file.write_bytes(source.encode("utf-8", "surrogateescape"))
    for path, mode in ((folder / "a", 0o755), (file.parent, 0o755), (file, 0o644)):
        path.chmod(mode)
    return file


def set_environment(folder: Path) -> None:
    """Give the calling process the environment and the folder of a solution."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment_of(folder))
    tempfile.tempdir = None  # it was asked for in the folder before


def environment_of(folder: Path) -> dict[str, str]:
    """The environment of a solution, which has nothing of the grader's."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "USER": NAME,
        "LOGNAME": NAME,
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        return f"its process was ended by the signal {name}"
    return f"its process ended by itself, with exit code {os.WEXITSTATUS(status)}"
