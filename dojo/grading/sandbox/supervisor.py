"""The supervisor of one job: it builds the sandbox, starts hosts in it, and ends them.

In namespaces the hosts are children of an `init`, the first process of their process tree; it ends
all others between two specs. Elsewhere they are the supervisor's own children.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

from dojo.catalogue import Kata
from dojo.grading.remote import host
from dojo.grading.remote.guard import Paths
from dojo.grading.remote.wire import Wire
from dojo.grading.sandbox.folders import remove
from dojo.grading.sandbox.limits import Limits, MemoryUsage, folder_size
from dojo.grading.sandbox.policy import NAME, Sandbox
from dojo.grading.sandbox.protocol import receive_message, send_message
from dojo.grading.sandbox.stopwatch import Stopwatch

GRACE = 2.0
INTERVAL = 0.2


class Supervisor:
    """Serves the process of the specs of one job."""

    def __init__(self, control: socket.socket, sandbox: Sandbox, number: int) -> None:
        self._control = control
        self._sandbox = sandbox
        self._name = f"j{number}"
        self._ended = ""
        self._over = ""
        self._loading = False

    def serve(self) -> None:
        """Do what the process of the specs asks for, until it has ended."""
        job, _ = receive_message(self._control)
        if job is None:
            return
        self._limits = Limits(**job["limits"])
        self._memory = MemoryUsage()
        self._specs = int(job["process"])
        try:
            self._sandbox.prepare(self._limits)
            self._folder = self._sandbox.make_folder(self._name)
            file = write_solution(self._folder, job["kata"], job["source"])
            starter = _Direct(job["kata"], file, self._folder, self._sandbox, self._limits)
            self._hosts: _Direct | _Init = starter
            if self._sandbox.namespaces:
                self._hosts = _Init(starter)
        except OSError as error:
            trouble = f"the sandbox could not be built: {error.strerror or error}"
            send_message(self._control, {"trouble": trouble})
            return
        known = {"file": str(file), "folder": str(self._folder), "supervisor": os.getpid()}
        send_message(self._control, {**known, "namespaces": self._sandbox.namespaces})
        self._stopwatch = Stopwatch(self._limits.seconds, self._starved, time.monotonic)
        try:
            while True:
                self._watch_until_asked()
                message, wires = receive_message(self._control)
                if message is None:
                    return
                if "loading" in message:
                    self._loading = bool(message["loading"])
                    continue
                send_message(self._control, self._reply(message, wires))
                for wire in wires:
                    os.close(wire)
        finally:
            self._hosts.end()
            if not self._sandbox.namespaces:
                remove(self._folder)

    def _reply(self, message: dict[str, Any], wires: list[int]) -> dict[str, Any]:
        if "start" in message:
            self._ended = ""
            if self._over:
                return {"over": self._over}
            try:
                self._hosts.start(message["start"], wires)
            except OSError as error:
                return {"trouble": f"a process could not be started: {error.strerror or error}"}
            return {"started": True}
        ended = self._hosts.end()
        return {"ended": self._ended or ended, "over": self._over}

    def _starved(self) -> float:
        """How long the processes of the job were ready to run and did not, in seconds."""
        both = (self._specs, self._hosts.process(self._memory))
        return sum(self._memory.starved(process) for process in both if process)

    def _watch_until_asked(self) -> None:
        """Wait for the next message, and stop the host meanwhile where it exceeds a limit."""
        while True:
            asked = select.select([self._control], [], [], INTERVAL)[0]
            left = self._stopwatch.tick(loading=self._loading)
            if asked:
                return
            limits = self._limits
            if left <= 0:
                self._over = self._ended = self._stopwatch.why()
            elif self._memory.used() > limits.memory:
                self._ended = f"it used more than {limits.memory >> 20} MiB of memory in all"
            elif not self._sandbox.namespaces and folder_size(self._folder) > limits.disk:
                self._ended = f"it filled the disk: more than {limits.disk >> 20} MiB"
            else:
                continue
            self._hosts.end()


class _Direct:
    """Starts and ends hosts, as children of the calling process."""

    def __init__(
        self, kata: str, file: Path, folder: Path, sandbox: Sandbox, limits: Limits
    ) -> None:
        self._kata = Kata(Path("/"), kata, "", "white", 0, 0, ("", "", ""))
        self._file = file
        self._folder = folder
        self._sandbox = sandbox
        self._limits = limits
        self._paths = Paths(
            folder,
            (*sandbox.shown, *map(Path, ("/dev", "/etc", "/proc/self", "/sys"))),
            () if sandbox.namespaces else sandbox.hidden,
        )
        self._child = 0
        self._directory: Path | None = None

    def process(self, _memory: MemoryUsage) -> int:
        """The number of the host's process; 0 where there is none."""
        return self._child

    def start(self, name: str, wires: list[int]) -> None:
        """Start a host in a new folder of that name. Raises `OSError`."""
        self._directory = self._sandbox.make_folder(f"{self._folder.name}/{name}")
        self._child = os.fork()
        if self._child == 0:
            try:
                self._become_host(self._directory, wires)
            finally:
                os._exit(70)

    def _become_host(self, directory: Path, wires: list[int]) -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        kept = [os.dup2(wire, 200 + n, False) for n, wire in enumerate(wires)]
        os.closerange(3, 200)
        os.setpgid(0, 0)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment_of(directory))
        self._sandbox.drop_rights(self._limits)
        ends = [Wire(socket.socket(fileno=wire)) for wire in kept]
        host.run(self._kata, self._file, directory, (ends[0], ends[1], ends[2]), self._paths)

    def end(self) -> str:
        """End the host and all that it has started; how it has ended, in words."""
        if not self._child:
            return ""
        child, self._child = self._child, 0
        done, status = os.waitpid(child, os.WNOHANG)
        ended = _describe(status) if done else ""
        if not done:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(OSError):
                    kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        kill_descendants()
        if self._directory is not None:
            remove(self._directory)
        return ended


class _Init:
    """Starts hosts in the first process of a process tree."""

    def __init__(self, starter: _Direct) -> None:
        self._ours, theirs = socket.socketpair()
        self._init = os.fork()
        if self._init == 0:
            try:
                self._ours.close()
                _serve(starter, theirs)
            finally:
                os._exit(0)
        theirs.close()

    def process(self, memory: MemoryUsage) -> int:
        """The number of the host's process, as the supervisor sees it; 0 where there is none."""
        return next(iter(memory.children(self._init)), 0)

    def start(self, name: str, wires: list[int]) -> None:
        """Start a host. Raises `OSError`."""
        send_message(self._ours, {"start": name}, tuple(wires))
        said, _ = receive_message(self._ours)
        if said is None or "trouble" in said:
            raise OSError((said or {}).get("trouble", "the first process of the sandbox has ended"))

    def end(self) -> str:
        """End the host and all that it has started; how it has ended, in words."""
        with contextlib.suppress(OSError):
            send_message(self._ours, {})
            said, _ = receive_message(self._ours)
            return str((said or {}).get("ended", ""))
        return ""


def _serve(starter: _Direct, source: socket.socket) -> None:
    """The loop of the first process of a process tree."""
    while True:
        message, wires = receive_message(source)
        if message is None:
            return
        reply: dict[str, Any] = {}
        if "start" in message:
            try:
                starter.start(message["start"], wires)
            except OSError as error:
                reply["trouble"] = error.strerror or str(error)
        else:
            reply["ended"] = starter.end()
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
