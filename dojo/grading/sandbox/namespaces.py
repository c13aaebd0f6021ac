"""Linux namespaces, mounts and capabilities: the system calls behind the sandbox's policy."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CAPABILITY_VERSION = 0x20080522
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}


def enter_namespaces(
    root: Path,
    shown: Iterable[Path],
    hidden: Iterable[Path],
    work: Path,
    shared: Iterable[Path],
    disk: int,
    account: tuple[str, int],
) -> None:
    """Move the calling process into namespaces and a file system of its own.

    The new root is a file system in memory of `disk` bytes, mounted at `root`. It holds `shown`,
    read-only, without `hidden`, the folder `work`, and `shared`, in which every user may write. The
    only user that it knows is `account`, a name and a number. The process's children are the first
    in the new process tree.

    Raises `OSError`.
    """
    user, group = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    _call("unshare", flags if user == 0 else flags | CLONE_NEWUSER)
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _bring_loopback_up()
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    new = str(root)
    _mount("tmpfs", new, "tmpfs", MS_NOSUID | MS_NODEV, f"size={disk},nr_inodes=50k")
    os.chmod(new, 0o755)
    for path, is_shown in sorted(
        [*((p, True) for p in shown), *((p, False) for p in hidden)],
        key=lambda entry: len(entry[0].parts),
    ):
        target = Path(f"{new}{path}")
        if is_shown:
            _bind(path, target)
        elif target.is_dir():
            _mount("tmpfs", str(target), "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755")
    for device in ("null", "zero", "random", "urandom"):
        _bind(Path("/dev", device), Path(f"{new}/dev/{device}"), devices=True)
    for stream in ("stdin", "stdout", "stderr"):
        _bind(Path(os.devnull), Path(f"{new}/dev/{stream}"), devices=True)
    os.symlink("/proc/self/fd", f"{new}/dev/fd")
    Path(f"{new}/proc").mkdir()
    if user != 0:
        # Who is not root may mount `/proc` only where there is one.
        with contextlib.suppress(OSError):
            _mount("/proc", f"{new}/proc", None, MS_BIND)
    Path(f"{new}/etc").mkdir(exist_ok=True)
    Path(f"{new}/etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
    _write_account(Path(new, "etc"), *account, home=work)
    for folder, mode in ((work, 0o755), *((folder, 0o1777) for folder in shared)):
        os.makedirs(f"{new}{folder}", exist_ok=True)
        os.chmod(f"{new}{folder}", mode)
    os.chdir(new)
    _pivot_root()
    os.chdir("/")


def show_processes() -> None:
    """Mount `/proc`, read-only, with the process tree that the calling process is in.

    Some systems permit it to root only: there is none, then.
    """
    try:
        _mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        with contextlib.suppress(OSError):
            _call("umount2", b"/proc", MNT_DETACH)


def join(process: int) -> None:
    """Move the calling process into the file system and the network of another one.

    It must have one thread. Its process tree and its user stay what they are; a user namespace is
    joined first, since it owns the others. Raises `OSError`.
    """
    names = ("mnt", "net") if os.geteuid() == 0 else ("user", "mnt", "net")
    opened = [os.open(f"/proc/{process}/ns/{name}", os.O_RDONLY) for name in names]
    for namespace in opened:
        _call("setns", namespace, 0)
        os.close(namespace)


def _write_account(folder: Path, name: str, number: int, *, home: Path) -> None:
    """Write the files in which a system looks up the name of a user and of a group."""
    (folder / "passwd").write_text(f"{name}:x:{number}:{number}:{name}:{home}:/bin/sh\n")
    (folder / "group").write_text(f"{name}:x:{number}:\n")
    for file in ("passwd", "group", "hosts"):
        (folder / file).chmod(0o644)


def adopt_orphans() -> None:
    """Make the calling process the parent of all descendants whose own parent has ended."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signal_number: int) -> None:
    """Have the system send this signal to the calling process when its parent ends."""
    _prctl(PR_SET_PDEATHSIG, signal_number)


def drop_privileges() -> None:
    """Give up all capabilities, and the right to gain any by starting a program."""
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    _call("capset", header, struct.pack("6I", *[0] * 6))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _bind(path: Path, target: Path, *, devices: bool = False) -> None:
    """Show `path` at `target`, read-only unless it is a device."""
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(str(path), str(target), None, MS_BIND | MS_REC)
    flags = MS_BIND | MS_REMOUNT | MS_NOSUID | _locked_flags(target)
    _mount(None, str(target), None, flags if devices else flags | MS_RDONLY | MS_NODEV)


def _locked_flags(path: Path) -> int:
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
        reply = fcntl.ioctl(any_socket, SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh14x", reply)[1] | IFF_UP
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


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
