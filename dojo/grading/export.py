"""`dojo export`: writes the files for a class, Gradescope or Classroom 50, without solutions."""

from __future__ import annotations

import argparse
import ast
import re
import stat
import subprocess
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dojo.catalogue import CatalogueError, Kata, read_catalogue
from dojo.grading import assignment
from dojo.grading.cli import ROOT, UsageError, chosen
from dojo.grading.progress import notify

WRITTEN, USAGE, FAILED, INTERRUPTED = 0, 2, 3, 130
TEMPLATES = Path(__file__).resolve().parent / "templates"
ALWAYS = ("LICENSE", "conftest.py", "constraints.txt", "pyproject.toml", "run.py")
TABLE = b"<!-- the katas -->"
PROGRAMS = ("run_autograder", "setup.sh")
UNIX = 3
NO_DATE = (1980, 1, 1, 0, 0, 0)

Files = dict[str, bytes]

EPILOG = """\
A class gets a repository with katas, specs and tool, which grades every push (GitHub Actions,
GitLab CI). Gradescope gets a zip file, to be uploaded as the autograder. Classroom 50 gets the
folder CLASSROOM/autograders/ASSIGNMENT. None of them has solutions. Nothing is overwritten.

exit codes: 0 written; 2 wrong usage; 3 could not be written; 130 interrupted.
"""


@dataclass(frozen=True)
class Kind:
    """A kind of export: its command, and the files that it writes into a folder or a zip file."""

    name: str
    target: str
    summary: str
    files: Callable[[Sequence[Kata]], Files]
    zipped: bool = False


def add_to(commands: Any) -> Any:
    """Add the command `export` to the command line, and give the parsers of its kinds."""
    export = commands.add_parser(
        "export",
        help="write the files for a class or an autograder, without solutions",
        description="Write the files for a class or an autograder, without solutions.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = export.add_subparsers(title="what to export", metavar="KIND", required=True)
    for kind in KINDS:
        command = kinds.add_parser(
            kind.name, help=kind.summary, description=f"Write {kind.summary}."
        )
        command.add_argument("target", metavar=kind.target, type=Path)
        command.add_argument(
            "--kata",
            action="append",
            default=[],
            metavar="KATA",
            help="export this kata only (k03 will do); may be given again",
        )
        command.add_argument(
            "--as-it-is",
            action="store_true",
            help="export stubs that were changed, too",
        )
        command.set_defaults(run=partial(run, kind))
    return kinds


def run(kind: Kind, asked: argparse.Namespace) -> int:
    """Export what the command line asks for; print an error as one line. The exit code."""
    try:
        target = free_target(asked.target, folder=not kind.zipped)
        katas = chosen(asked.kata)
        if not asked.as_it_is:
            check_stubs(katas)
        files = kind.files(katas)
        put(target, files, _write_zip if kind.zipped else write_folder)
    except (UsageError, CatalogueError) as error:
        notify(f"dojo export: {error}")
        return USAGE
    except OSError as error:
        notify(f"dojo export: {error}: nothing was written")
        return FAILED
    except KeyboardInterrupt:
        notify("interrupted: nothing was written")
        return INTERRUPTED
    numbers = ", ".join(kata.number for kata in katas)
    print(f"{asked.target}: {len(files)} files, with {numbers} and no solutions")
    return WRITTEN


# ----- the files


def for_class(katas: Sequence[Kata]) -> Files:
    """The files of the repository for a class."""
    return {
        **for_grader(katas),
        ".gitignore": _text(ROOT / ".gitignore"),
        ".github/workflows/grade.yml": _text(TEMPLATES / "grade.yml"),
        ".gitlab-ci.yml": _text(TEMPLATES / "gitlab-ci.yml"),
    }


def for_gradescope(katas: Sequence[Kata]) -> Files:
    """The files that Gradescope unpacks into `/autograder/source`."""
    return _beside_the_grader(katas, PROGRAMS)


def for_classroom50(katas: Sequence[Kata]) -> Files:
    """The files that Classroom 50 keeps with an assignment and runs in a learner's checkout."""
    return _beside_the_grader(katas, ["autograder.py"])


def _beside_the_grader(katas: Sequence[Kata], templates: Iterable[str]) -> Files:
    grader = {f"grader/{name}": content for name, content in for_grader(katas).items()}
    return grader | {name: _text(TEMPLATES / name) for name in templates}


def for_grader(katas: Sequence[Kata]) -> Files:
    """The files for learning and grading: cards, stubs, specs and the tool."""
    paths = [*(ROOT / name for name in ALWAYS), *_tool()]
    for kata in katas:
        paths += [kata.card, kata.stub, kata.stub.with_name("kata.toml"), kata.spec_file]
    files = {path.relative_to(ROOT).as_posix(): _text(path) for path in paths}
    for kata in katas:  # `dojo reset` gives back what the class got
        files[kata.original.relative_to(ROOT).as_posix()] = _text(kata.stub)
    if len(katas) < len(read_catalogue(ROOT)):
        files["pyproject.toml"] = _with_assignment(files["pyproject.toml"], katas)
    readme = _text(TEMPLATES / "README.class.md")
    return files | {"README.md": readme.replace(TABLE, _table(katas).encode())}


def _with_assignment(pyproject: bytes, katas: Sequence[Kata]) -> bytes:
    """The file with the katas as the assignment, in place of any that it had."""
    without = re.sub(rf"\n{re.escape(assignment.TABLE)}\n(?:[^\[\n].*\n)*", "", pyproject.decode())
    numbers = ", ".join(f'"{kata.number}"' for kata in katas)
    return f"{without}\n{assignment.TABLE}\nkatas = [{numbers}]\n".encode()


def _tool() -> Iterator[Path]:
    """The files of the tool: those that `pyproject.toml` packages, and no others."""
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    setuptools = packaged["tool"]["setuptools"]
    for package in setuptools["packages"]:
        folder = ROOT.joinpath(*package.split("."))
        for pattern in ("*.py", *setuptools["package-data"].get(package, ())):
            yield from (path for path in folder.glob(pattern) if _belongs(path))


def _belongs(path: Path) -> bool:
    """Whether it is a file, and not a backup or lock file of an editor."""
    return path.is_file() and not path.name.startswith((".", "#")) and path.name[-1] != "~"


def _text(path: Path) -> bytes:
    """The content, with the line ends of Linux."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def _table(katas: Sequence[Kata]) -> str:
    rows = [
        f"| [{kata.number}](katas/{kata.name}/README.md) | {kata.title} | {kata.belt} "
        f"| {kata.minutes} | {kata.points} |"
        for kata in katas
    ]
    head = "| kata | what it is about | belt | minutes, about | points |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


# ----- the check of the stubs


def check_stubs(katas: Sequence[Kata]) -> None:
    """Refuse stubs that were filled in: a class would get the solution.

    Raises `UsageError`.
    """
    changed = _uncommitted([kata.stub for kata in katas])
    if changed is None:
        notify("note: git is not available here, so only the text of the stubs was checked")
    touched = [
        kata.stub.relative_to(ROOT).as_posix()
        for kata in katas
        if kata.stub in (changed or ()) or not _raises_not_implemented(kata.stub)
    ]
    if touched:
        raise UsageError(
            f"not the original stub any more: {', '.join(touched)}. Restore it with `dojo reset` "
            "or use --as-it-is to export it as it is"
        )


def _uncommitted(paths: Sequence[Path]) -> set[Path] | None:
    """The paths that differ from the last commit; None where git is not available."""
    names = [path.relative_to(ROOT).as_posix() for path in paths]
    status = ["git", "status", "--porcelain", "--no-renames", "--untracked-files=no", "--", *names]
    try:
        asked = subprocess.run(status, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    # Git names files from the top of its repository, which may lie above this folder.
    changed = [line[3:] for line in asked.stdout.splitlines()]
    return {
        path
        for path, name in zip(paths, names, strict=True)
        if any(f"/{entry}".endswith(f"/{name}") for entry in changed)
    }


def _raises_not_implemented(stub: Path) -> bool:
    try:
        tree = ast.parse(stub.read_bytes())
    except (SyntaxError, ValueError):
        return False
    raised = [ast.unparse(n.exc) for n in ast.walk(tree) if isinstance(n, ast.Raise) and n.exc]
    return any(name.startswith("NotImplementedError") for name in raised)


# ----- writing


def free_target(target: Path, *, folder: bool) -> Path:
    """The absolute path of a target, where nothing would be overwritten.

    Raises `UsageError`.
    """
    whole = target.resolve()
    if not whole.parent.is_dir():
        raise UsageError(f"there is no folder {whole.parent} for it: make it first")
    if folder and whole.is_dir():
        if any(whole.iterdir()):
            raise UsageError(
                f"{target} is not empty, and nothing is overwritten: name a new folder"
            )
        if whole == Path.cwd():
            raise UsageError(
                f"{target} is the folder that you are in: name a new one, in it or beside"
            )
    elif whole.exists():
        kind = "a folder" if whole.is_dir() else "there already"
        raise UsageError(f"{target} is {kind}, and nothing is overwritten: give another name")
    return whole


def put(target: Path, files: Files, write: Callable[[Path, Files], None]) -> None:
    """Write beside the target and then move it there, so that no half of it is ever there."""
    with tempfile.TemporaryDirectory(prefix=".dojo-export-", dir=target.parent) as beside:
        whole = Path(beside) / "whole"
        write(whole, files)
        if target.is_dir():
            target.rmdir()
        whole.rename(target)


def write_folder(folder: Path, files: Files) -> None:
    """Write the files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _write_zip(file: Path, files: Files) -> None:
    """Write the same bytes for the same files on every machine.

    There are no dates in it, and no compression, which differs between versions of zlib.
    """
    with zipfile.ZipFile(file, "x", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, NO_DATE)
            mode = 0o755 if name in PROGRAMS else 0o644
            entry.create_system, entry.external_attr = UNIX, (stat.S_IFREG | mode) << 16
            archive.writestr(entry, content)


KINDS = (
    Kind("class", "TARGET", "the repository for a class", for_class),
    Kind("gradescope", "FILE", "the zip that Gradescope grades with", for_gradescope, zipped=True),
    Kind(
        "classroom50",
        "FOLDER",
        "the folder of an assignment that Classroom 50 grades with",
        for_classroom50,
    ),
)
