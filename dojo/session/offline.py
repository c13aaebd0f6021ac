"""`dojo export offline`: a folder that installs without internet, for a USB stick."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dojo.commands.checkout import DONE, CommandError, add_command

FAILED = 3
WHEELS = "wheels"
BUILD = ("setuptools", "wheel")
OLDEST = 11  # of Python 3


@dataclass(frozen=True)
class Platform:
    """A kind of machine: the tags of its wheels, and what `sys.platform` and others say there."""

    tags: tuple[str, ...]
    marks: dict[str, str]


def _platform(tags: Iterable[str], sys_platform: str, system: str, machine: str) -> Platform:
    marks = {
        "sys_platform": sys_platform,
        "platform_system": system,
        "platform_machine": machine,
        "os_name": "nt" if sys_platform == "win32" else "posix",
    }
    return Platform(tuple(tags), marks)


def _manylinux(machine: str) -> list[str]:
    old = [f"manylinux_2_{minor}_{machine}" for minor in (12, 5)] if machine == "x86_64" else []
    return [*(f"manylinux_2_{minor}_{machine}" for minor in (34, 31, 28, 27, 24, 17)), *old]


def _macos(machine: str) -> list[str]:
    new = [
        f"macosx_{major}_0_{kind}"
        for major in range(14, 10, -1)
        for kind in (machine, "universal2")
    ]
    old = [
        f"macosx_10_{minor}_{kind}"
        for minor in range(15, 8, -1)
        for kind in (machine, "universal2")
    ]
    return new + (old if machine == "x86_64" else [])


PLATFORMS = {
    "linux": _platform(_manylinux("x86_64"), "linux", "Linux", "x86_64"),
    "linux-arm": _platform(_manylinux("aarch64"), "linux", "Linux", "aarch64"),
    "macos": _platform(_macos("arm64"), "darwin", "Darwin", "arm64"),
    "macos-intel": _platform(_macos("x86_64"), "darwin", "Darwin", "x86_64"),
    "windows": _platform(["win_amd64"], "win32", "Windows", "AMD64"),
}
USUAL = ("linux", "macos", "windows")

START = '''\
"""Installs from the folder `wheels/`, without internet, and then does what `run.py` does."""

import os
import pathlib
import runpy

HERE = pathlib.Path(__file__).resolve().parent
os.environ["PIP_NO_INDEX"] = "1"
os.environ["PIP_FIND_LINKS"] = (HERE / "wheels").as_uri()
runpy.run_path(str(HERE / "run.py"), run_name="__main__")
'''
READ_ME = """\
This folder needs no internet. Copy it to your machine, open a terminal in it, and type

    python3 start.py          on Windows: py start.py

It needs Python {pythons}, on {platforms}. After the first time, everything is as README.md says.
"""


def add_to(kinds: Any) -> None:
    """Add `offline` to what can be exported."""
    offline = add_command(
        kinds,
        "offline",
        run,
        "a folder that installs without internet",
        "Write the repository for a class together with the wheels that it needs, for a USB stick. "
        "This needs internet; who gets the folder does not. Solutions are not in it.",
    )
    offline.add_argument("target", metavar="FOLDER", type=Path)
    offline.add_argument(
        "--platform",
        action="append",
        choices=sorted(PLATFORMS),
        help=f"may be given again; default: {', '.join(USUAL)}",
    )
    offline.add_argument(
        "--python",
        action="append",
        metavar="3.N",
        help="a version of Python; may be given again; default: that of this machine",
    )
    offline.add_argument(
        "--kata", action="append", default=[], metavar="KATA", help="this kata only (k03)"
    )


def run(asked: argparse.Namespace) -> int:
    """Write the folder."""
    from dojo.grading import export
    from dojo.grading.cli import UsageError, chosen

    pythons = tuple(dict.fromkeys(asked.python or [f"3.{sys.version_info.minor}"]))
    for version in pythons:
        if not re.fullmatch(r"3\.\d+", version) or int(version[2:]) < OLDEST:
            raise CommandError(f"--python {version}: give a version like 3.12, from 3.{OLDEST} on")
    platforms = tuple(dict.fromkeys(asked.platform or USUAL))
    try:
        katas = chosen(asked.kata)
        target = export.free_target(asked.target, folder=True)
        export.check_stubs(katas)
    except UsageError as error:
        raise CommandError(str(error)) from None
    words = {"pythons": " or ".join(pythons), "platforms": ", ".join(platforms)}
    files = {
        **export.for_class(katas),
        "start.py": START.encode(),
        "START-HERE.txt": READ_ME.format(**words).encode(),
    }

    def write(folder: Path, content: dict[str, bytes]) -> None:
        export.write_folder(folder, content)
        for platform in platforms:
            for python in pythons:
                print(f"wheels for {platform}, Python {python} ...", flush=True)
                download(folder, PLATFORMS[platform], python)

    try:
        export.put(target, files, write)
    except subprocess.CalledProcessError as error:
        said = [line for line in (error.stderr or "").splitlines() if line.startswith("ERROR")]
        why = said[-1] if said else f"pip ended with {error.returncode}"
        print(f"dojo export offline: nothing was written: {why}", file=sys.stderr)
        return FAILED
    size = sum(wheel.stat().st_size for wheel in (target / WHEELS).iterdir()) / 1e6
    print(
        f"{asked.target}: {len(files)} files and {size:.0f} MB of wheels. START-HERE.txt says how"
    )
    return DONE


def download(folder: Path, platform: Platform, python: str) -> None:
    """Put the wheels for one kind of machine into a folder, with pip.

    Raises `subprocess.CalledProcessError`.
    """
    tags = [word for tag in platform.tags for word in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--python-version", python, *tags]
    command += ["--implementation", "cp", "--dest", str(folder / WHEELS)]
    command += ["--constraint", str(folder / "constraints.txt"), *needed(platform, python)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def needed(platform: Platform, python: str, roots: Sequence[str] = ()) -> list[str]:
    """The names of all packages that a machine of this kind needs.

    pip would ask for those of the machine that it runs on: a wheel for Windows needs others.
    """
    from packaging.markers import default_environment
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    marks: dict[str, Any] = {**default_environment(), **platform.marks, "extra": ""}
    marks |= {"python_version": python, "python_full_version": f"{python}.0"}
    found = {canonicalize_name(name) for name in BUILD}
    pending = [Requirement(text) for text in roots or _own_requirements()]
    seen: set[tuple[str, str]] = set()
    while pending:
        wanted = pending.pop()
        name = canonicalize_name(wanted.name)
        found.add(name)
        for extra in ("", *sorted(wanted.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            pending += [
                inner
                for inner in map(Requirement, _requires(name))
                if inner.marker is None or inner.marker.evaluate({**marks, "extra": extra})
            ]
    return sorted(found)


def _own_requirements() -> list[str]:
    """What a learner needs, and what the page of a session has besides."""
    import tomllib

    from dojo.grading.cli import ROOT

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["session"]]


def _requires(name: str) -> list[str]:
    """What an installed package says that it needs; nothing for one that is not installed here."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
