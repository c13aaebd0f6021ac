"""The cell that an answer runs in: limits everywhere, and on Linux a user, a network, a process
tree and a file system of its own.

`prepare` is called in the process that will wait for the answer, `lock` in the one that will run
it. What the system does not allow is found out once, by trying it (`survey`), and said.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
import shutil
import signal
import socket
import struct
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CAPABILITY_VERSION = 0x20080522
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

USERS = 61_184  # the first of a range that belongs to nobody's login on any Linux
INSIDE = Path("/cell")


@dataclass(frozen=True)
class Limits:
    """What the answer to one kata may use.

    `seconds` on the wall and of a processor, the rest in bytes or in pieces; threads count as
    processes.
    """

    seconds: float = 60.0
    memory: int = 1024 * MIB
    disk: int = 256 * MIB
    file: int = 64 * MIB
    processes: int = 160
    files: int = 256


@dataclass(frozen=True)
class Sandbox:
    """What this machine allows, as `survey` found it.

    `walls` are namespaces: a network, a process tree and a file system of its own.
    """

    scratch: Path
    hidden: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()
    walls: bool = False
    user: bool = False
    in_force: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where an answer works, as it sees it itself: the same path for each behind walls."""
        return INSIDE if self.walls else self.scratch

    def prepare(self, limits: Limits) -> None:
        """Build the walls round the calling process, and its children-to-be; it must be one of
        its own.

        Raises `OSError`.
        """
        global _outer
        _outer = os.getpid()
        os.setsid()
        if not sys.platform.startswith("linux"):
            return
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        if self.walls:
            _leave_the_world(self, limits)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def room(self, name: str) -> Path:
        """Make an empty folder in which the answer may do as it likes; after `prepare`."""
        room = self.folder / name
        room.mkdir(mode=0o700)
        if self.user and os.geteuid() == 0:
            os.chown(room, _user(), _user())
        return room

    def lock(self, limits: Limits) -> None:
        """Take from the calling process all rights that the answer needs not have.

        Raises `OSError`.
        """
        os.umask(0o077)
        _limit(limits)
        if not sys.platform.startswith("linux"):
            return
        if self.user and os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(_user(), _user(), _user())
            os.setresuid(_user(), _user(), _user())
        _drop_capabilities()
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_outer = 0


def _user() -> int:
    """A user for this one cell, so that two that run together share no limits."""
    return USERS + _outer % 4096


def survey(
    scratch: Path,
    root: Path,
    hidden: tuple[Path, ...],
    limits: Limits,
    *,
    fork: bool,
    walls: bool = True,
) -> Sandbox:
    """Find out what this machine allows, by trying it in processes of their own.

    `scratch` is an empty folder for the grader's use, `root` its checkout, `hidden` are further
    folders that no answer may see. Without `fork`, an answer runs in the process that asks; without
    `walls`, they are not tried.
    """
    shown = _needed(root)
    hidden = (root, *hidden)
    in_force = ["a process of its own, limits on time, processes, open files and file size"]
    missing = []
    if _memory_limited():
        in_force.append("a limit on memory")
    else:
        missing.append("no limit on memory")
    plain = Sandbox(scratch, hidden, shown, in_force=in_force, missing=missing)
    if not fork or not walls or not sys.platform.startswith("linux"):
        missing.append(f"no network, user and file system of its own: not here ({sys.platform})")
        if not fork:
            missing.append("no warm worker: each answer starts a Python of its own, and is slower")
        return plain
    walled = Sandbox(scratch, hidden, shown, True, os.geteuid() == 0, in_force, missing)
    trouble = _tried(walled, limits)
    if not trouble:
        in_force += [
            "a network of its own, with nothing on it",
            "a process tree of its own, which ends with it",
            "a file system of its own: Python, and an empty folder of "
            f"{limits.disk // MIB} MiB in memory",
        ]
        if walled.user:
            in_force.append("another user")
        else:
            in_force.append("no rights beyond the grader's own user")
        return walled
    missing.append(f"no network, process tree and file system of its own: {trouble}")
    if os.geteuid() == 0:
        other = Sandbox(scratch, hidden, shown, False, True, in_force, missing)
        trouble = _tried(other, limits)
        if not trouble:
            in_force.append("another user")
            return other
        missing.append(f"no other user: {trouble}")
    else:
        missing.append("no other user: the grader is not root")
    return plain


def _tried(cell: Sandbox, limits: Limits) -> str:
    """Enter a cell for once, and do what an answer does; why that did not work."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "it did not work"
        try:
            os.close(reading)
            cell.prepare(limits)
            said = _in_child(lambda: _live(cell, limits))
        except OSError as error:
            said = f"{error.strerror or error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    shutil.rmtree(cell.scratch / "survey", ignore_errors=True)
    return said


def _in_child(work: Callable[[], None]) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            os.write(writing, b"ok")
        except BaseException as error:
            said = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            os.write(writing, said[:300].encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    os.waitpid(child, 0)
    return "" if said == "ok" else said or "the process ended at once"


def _live(cell: Sandbox, limits: Limits) -> None:
    room = cell.room("survey")
    cell.lock(limits)
    (room / "file").write_text("text")
    try:
        # As an answer might, which then reads it from the disk.
        import wave  # noqa: F401
    except ImportError:
        raise PermissionError(errno.EACCES, f"it could not read {sys.base_prefix}") from None
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 1).close()


def _needed(root: Path) -> tuple[Path, ...]:
    """What Python itself needs to see of the file system."""
    paths = [
        *sysconfig.get_paths().values(),
        *(sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix),
        *sys.path,
        *("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/nix/store"),
        *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/localtime", "/etc/mime.types"),
        *("/etc/ld.so.cache", "/etc/alternatives"),
    ]
    found = {Path(os.path.abspath(p)) for p in paths if p and os.path.exists(p)}
    package = Path(__file__).resolve().parents[2]
    found |= {path.resolve() for path in found} | {package}
    found -= {Path("/"), Path.home(), Path.cwd(), root, package.parent, package.parent.resolve()}
    return tuple(sorted(p for p in found if not any(q in p.parents for q in found - {root})))


def _limit(limits: Limits) -> None:
    try:
        import resource
    except ImportError:
        return
    seconds = math.ceil(limits.seconds)
    for name, soft, hard in (
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_CPU", seconds, seconds + 1),
        ("RLIMIT_DATA", limits.memory, limits.memory),
        ("RLIMIT_FSIZE", limits.file, limits.file),
        ("RLIMIT_NOFILE", limits.files, limits.files),
        ("RLIMIT_NPROC", limits.processes, limits.processes),
    ):
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))


def _memory_limited() -> bool:
    return sys.platform.startswith("linux")


# ----- Linux


def _leave_the_world(cell: Sandbox, limits: Limits) -> None:
    """Walls: namespaces, and a root of their own with nothing in it but what Python needs."""
    user, group = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    _call("unshare", flags if user == 0 else flags | CLONE_NEWUSER)
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _bring_loopback_up()
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    new = str(cell.scratch)
    _mount("tmpfs", new, "tmpfs", MS_NOSUID | MS_NODEV, f"size={limits.disk},nr_inodes=50k")
    os.chmod(new, 0o755)
    for path, is_shown in sorted(
        [*((p, True) for p in cell.shown), *((p, False) for p in cell.hidden)],
        key=lambda entry: len(entry[0].parts),
    ):
        target = Path(f"{new}{path}")
        if is_shown:
            _bind(path, target)
        elif target.is_dir():
            _mount("tmpfs", str(target), "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755")
    for device in ("null", "zero", "random", "urandom"):
        _bind(Path("/dev", device), Path(f"{new}/dev/{device}"), devices=True)
    Path(f"{new}/etc").mkdir(exist_ok=True)
    Path(f"{new}/etc/hosts").write_text("127.0.0.1 localhost\n")
    for folder in (f"{new}{INSIDE}", f"{new}/tmp"):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o1777)
    os.chdir(new)
    _pivot_root()
    os.chdir("/")


def _bind(path: Path, target: Path, *, devices: bool = False) -> None:
    """Show `path` at `target`, to be read only."""
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(str(path), str(target), None, MS_BIND | MS_REC)
    flags = MS_BIND | MS_REMOUNT | MS_NOSUID | _locked(target)
    _mount(None, str(target), None, flags if devices else flags | MS_RDONLY | MS_NODEV)


def _locked(path: Path) -> int:
    """The flags of a mount that must be kept, since a user namespace may not loosen them."""
    flags = os.statvfs(path).f_flag
    kept = {os.ST_RDONLY: 1, os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8}
    kept |= {os.ST_NOATIME: 1024, os.ST_NODIRATIME: 2048, os.ST_RELATIME: 1 << 21}
    return sum(flag for given, flag in kept.items() if flags & given)


def _pivot_root() -> None:
    number = SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root is not known for {os.uname().machine}")
    _checked(_libc().syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    _call("umount2", b".", MNT_DETACH)


def _bring_loopback_up() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh14x", answer)[1] | IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


def _drop_capabilities() -> None:
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    _call("capset", header, struct.pack("6I", *[0] * 6))


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    _call("mount", words[0], words[1], words[2], ctypes.c_ulong(flags), words[3])


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    _call("prctl", ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero)


_library: ctypes.CDLL | None = None


def _libc() -> ctypes.CDLL:
    global _library
    if _library is None:
        _library = ctypes.CDLL(None, use_errno=True)
    return _library


def _call(name: str, *arguments: object) -> None:
    _checked(getattr(_libc(), name)(*arguments), name)


def _checked(result: int, name: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
