"""The sandbox of one submitted solution, and which parts of it this machine allows.

Limits are in force everywhere. On Linux a solution also has a user, a network, a process tree and a
file system of its own, where the system permits them. The supervisor calls `prepare`, the process
that runs the solution calls `drop_rights`. `survey` finds out what is allowed by trying it once.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dojo.grading.sandbox import namespaces
from dojo.grading.sandbox.limits import (
    MIB,
    Limits,
    apply_limits,
    has_memory_limit,
    processes_of,
)

USERS = 61_184  # the first of a range that no Linux distribution assigns to a login
THREADS = 16
NAME = "learner"
INSIDE = Path("/sandbox")
SHARED = (Path("/tmp"), Path("/dev/shm"))


@dataclass(frozen=True)
class Sandbox:
    """The sandbox that this machine allows, as `survey` found it.

    `scratch` is the grader's folder outside. A solution may read `shown` and may not see `hidden`.
    With `namespaces` it has a network, a process tree and a file system of its own, with `user`
    another user. `in_force` and `missing` say so in words.
    """

    scratch: Path
    hidden: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()
    namespaces: bool = False
    user: bool = False
    in_force: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where a solution works, as it sees it; inside namespaces each sees the same path."""
        return INSIDE if self.namespaces else self.scratch

    def prepare(self, limits: Limits) -> None:
        """Isolate the calling process and its future children; it must serve one solution only.

        Raises `OSError`.
        """
        global _supervisor
        _supervisor = os.getpid()
        os.setsid()
        if not sys.platform.startswith("linux"):
            return
        namespaces.adopt_orphans()
        if self.namespaces:
            number = _user() if self.user else os.geteuid()
            namespaces.enter_namespaces(
                self.scratch, self.shown, self.hidden, INSIDE, SHARED, limits.disk, (NAME, number)
            )
        namespaces.die_with_parent(signal.SIGKILL)

    def make_folder(self, name: str) -> Path:
        """Create an empty folder that the solution may use freely; after `prepare`."""
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        if self.user and os.geteuid() == 0:
            os.chown(folder, _user(), _user())
        return folder

    def drop_rights(self, limits: Limits) -> None:
        """Take from the calling process all rights that a solution does not need.

        Raises `OSError`.
        """
        os.umask(0o077)
        own = self.user or self.namespaces
        apply_limits(limits, 0 if own or os.name != "posix" else processes_of(os.geteuid()))
        if not sys.platform.startswith("linux"):
            return
        if self.user and os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(_user(), _user(), _user())
            os.setresuid(_user(), _user(), _user())
        namespaces.drop_privileges()
        namespaces.die_with_parent(signal.SIGKILL)


_supervisor = 0


def _user() -> int:
    """A user for this sandbox alone, so that two that run together share no limits."""
    return USERS + _supervisor % 4096


def survey(
    scratch: Path,
    root: Path,
    hidden: tuple[Path, ...],
    limits: Limits,
    *,
    fork: bool,
    use_namespaces: bool = True,
) -> Sandbox:
    """Find out what this machine allows, by trying it in separate processes.

    `scratch` is an empty folder for the grader's use, `root` its checkout, `hidden` are further
    folders that no solution may see. Without `fork`, a solution runs in the calling process;
    without `use_namespaces`, namespaces are not tried.
    """
    shown = _readable(root)
    hidden = (root, *hidden)
    in_force = ["a process of its own, limits on time, processes, open files and file size"]
    missing = []
    if has_memory_limit():
        in_force.append("a limit on memory")
    else:
        missing.append("no limit on memory")
    plain = Sandbox(scratch, hidden, shown, in_force=in_force, missing=missing)
    if not fork or not use_namespaces or not sys.platform.startswith("linux"):
        missing.append(f"no network, user and file system of its own: not here ({sys.platform})")
        if not fork:
            missing.append("no fork server: each solution starts its own Python, which is slower")
        return plain
    is_root = os.geteuid() == 0
    isolated = Sandbox(scratch, hidden, shown, True, is_root, in_force, missing)
    trouble = _try_sandbox(isolated, limits)
    if trouble and is_root:
        # Another user may have no right to read Python, where root has.
        as_root = Sandbox(scratch, hidden, shown, True, False, in_force, missing)
        if not _try_sandbox(as_root, limits):
            missing.append(f"no other user: {trouble}")
            isolated, trouble = as_root, ""
    if not trouble:
        in_force += [
            "a network of its own, with nothing on it",
            "a process tree of its own, which ends with it",
            "a file system of its own: Python, and an empty folder of "
            f"{limits.disk // MIB} MiB in memory",
        ]
        if isolated.user:
            in_force.append("another user")
        else:
            in_force.append("no rights beyond the grader's own user")
        return isolated
    missing.append(f"no network, process tree and file system of its own: {trouble}")
    if os.geteuid() == 0:
        other = Sandbox(scratch, hidden, shown, False, True, in_force, missing)
        trouble = _try_sandbox(other, limits)
        if not trouble:
            in_force.append("another user")
            return other
        missing.append(f"no other user: {trouble}")
    else:
        missing.append("no other user: the grader is not root")
    return plain


def _try_sandbox(sandbox: Sandbox, limits: Limits) -> str:
    """Enter a sandbox once and do what a solution does; the reason why that failed, or ""."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        trouble = "it did not work"
        try:
            os.close(reading)
            sandbox.prepare(limits)
            trouble = _in_child(lambda: _probe(sandbox, limits))
        except OSError as error:
            trouble = f"{error.strerror or error}"
        finally:
            os.write(writing, trouble.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        trouble = pipe.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    shutil.rmtree(sandbox.scratch / "survey", ignore_errors=True)
    return trouble


def _in_child(work: Callable[[], None]) -> str:
    """Do `work` in a process of its own; its error, or "" where it succeeded."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            os.write(writing, b"ok")
        except BaseException as error:  # noqa: BLE001 - the parent reports it
            trouble = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            os.write(writing, trouble[:300].encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        outcome = pipe.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    return "" if outcome == "ok" else outcome or "the process ended at once"


def _probe(sandbox: Sandbox, limits: Limits) -> None:
    """Write a file, read code, start threads and connect to a server of its own."""
    folder = sandbox.make_folder("survey")
    code = _code_in_use()
    sandbox.drop_rights(limits)
    (folder / "file").write_text("text")
    try:
        # A module that nothing has imported yet, so that it is read from the disk.
        import wave  # noqa: F401
    except ImportError:
        raise PermissionError(errno.EACCES, f"it could not read {sys.base_prefix}") from None
    read_all(code)
    threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 1).close()


def _code_in_use() -> list[str]:
    """The files of all code that is loaded by now, and the folders that more will come from."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return [path for path in [*filter(None, files), *sys.path] if path and os.path.exists(path)]


def read_all(paths: Iterable[str]) -> None:
    """Read files and list folders.

    Raises `PermissionError`.
    """
    try:
        for path in paths:
            os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        raise PermissionError(errno.EACCES, f"it could not read {error.filename}") from None


def _readable(root: Path) -> tuple[Path, ...]:
    """The paths that Python itself needs to read."""
    paths = [
        *sysconfig.get_paths().values(),
        *(sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix),
        *sys.path,
        *("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/nix/store"),
        *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/localtime", "/etc/mime.types"),
        *("/etc/ld.so.cache", "/etc/alternatives", "/etc/services", "/etc/protocols"),
        *("/etc/os-release", "/etc/timezone"),
    ]
    found = {Path(os.path.abspath(p)) for p in paths if p and os.path.exists(p)}
    package = Path(__file__).resolve().parents[2]
    found |= {path.resolve() for path in found} | {package}
    found -= {
        Path("/"),
        Path(os.path.expanduser("~")),
        Path.cwd(),
        root,
        package.parent,
        package.parent.resolve(),
    }
    return tuple(sorted(p for p in found if not any(q in p.parents for q in found - {root})))
