"""Brings the diffs of mistakes up to date after their bases changed: `python -m selfcheck.rebase`.

A base as it was in a git revision, the mistake that the diff made of it then, and the base as it is
now are merged as git merges. The new diff is that between the base and what comes of the merge.
"""

from __future__ import annotations

import argparse
import difflib
import io
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dojo.mistakes import FOLDER, SUFFIX, Mistake, MistakeError, read_mistake, read_text

ROOT = Path(__file__).resolve().parent.parent
DONE, CONFLICTS, USAGE = 0, 1, 2


class RebaseError(Exception):
    """A diff that git cannot bring up to date, and which stays as it is; the message says why."""


class RevisionError(Exception):
    """A revision that git does not know."""


def make_diff(mistake: Mistake, source: str, patched: str) -> str:
    """The whole text of the mistake's `.diff`, with its header as it is."""
    lines = difflib.unified_diff(
        list(io.StringIO(source)),
        list(io.StringIO(patched)),
        mistake.base,
        f"{mistake.file.stem}.py",
    )
    return f"{mistake.header}{''.join(lines)}"


def rebased(mistake: Mistake, before: str | None, now: str) -> str | None:
    """The new text of the mistake's `.diff`, or None where it is up to date.

    `before` is the base's text for which the diff was made, and None where there was none; `now` is
    its text today. Raises `RebaseError`, or `MistakeError` for what is no diff at all.
    """
    if before == now or (before is None and _applies(mistake, now)):
        mistake.apply(now)
        return None
    if before is None:
        raise RebaseError(
            f"{mistake.base} was not there, and the diff does not fit it as it is now"
        )
    if not _applies(mistake, before):
        mistake.apply(now)  # somebody has made it anew already, or it fits neither of the two
        return None
    merged = _merged(now, before, mistake.apply(before))
    if merged == now:
        raise RebaseError(f"{mistake.base} has the same change now: there is no mistake left")
    text = make_diff(mistake, now, merged)
    return text if text != f"{mistake.header}{mistake.diff}" else None


def _applies(mistake: Mistake, source: str) -> bool:
    try:
        mistake.apply(source)
    except MistakeError:
        return False
    return True


def _merged(now: str, before: str, patched: str) -> str:
    """Merge two changes to one text as git does. Raises `RebaseError`."""
    with tempfile.TemporaryDirectory(prefix="dojo-rebase-") as folder:
        files = [Path(folder, name) for name in ("now", "before", "patched")]
        for file, text in zip(files, (now, before, patched), strict=True):
            file.write_text(text, encoding="utf-8", newline="\n")
        done = subprocess.run(["git", "merge-file", "-p", "-q", *files], capture_output=True)
    if done.returncode >= 128:
        raise RebaseError(f"git cannot merge: {done.stderr.decode(errors='replace').strip()}")
    if done.returncode:
        raise RebaseError(
            "its base has changed in the same lines: write the mistake into a copy of the base by "
            "hand, and put the output of `diff -u BASE COPY` below the header"
        )
    return done.stdout.decode()


def _before(revision: str, file: Path, root: Path) -> str | None:
    """The text of a file in a revision, with newlines alone as line ends; None without it."""
    name = f"{revision}:{file.relative_to(root).as_posix()}"
    done = subprocess.run(["git", "show", name], cwd=root, capture_output=True)
    if done.returncode:
        return None
    return done.stdout.decode().replace("\r\n", "\n")


def check(files: Sequence[Path]) -> list[str]:
    """List a message for each diff that does not apply to its base."""
    said = []
    for file in files:
        try:
            mistake = read_mistake(file)
            mistake.apply(read_text(mistake.find_base()))
        except MistakeError as error:
            said.append(str(error))
    return said


def rebase(files: Sequence[Path], revision: str, root: Path) -> tuple[list[Path], list[str]]:
    """Write each diff anew whose base has changed since `revision`.

    Gives the files that were written, and what is to be said of each that stayed as it was, though
    it does not apply. Raises `RevisionError`.
    """
    known = ["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"]
    if subprocess.run(known, cwd=root, capture_output=True).returncode:
        raise RevisionError(f"git knows no revision {revision!r} in {root}")
    written, said = [], []
    for file in files:
        try:
            mistake = read_mistake(file)
            base = mistake.find_base()
            text = rebased(mistake, _before(revision, base, root), read_text(base))
        except RebaseError as error:
            said.append(f"{file}: {error}")
        except MistakeError as error:
            said.append(str(error))
        else:
            if text is not None:
                file.write_text(text, encoding="utf-8", newline="\n")
                written.append(file)
    return written, said


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m selfcheck.rebase",
        description="Brings the diffs of mistakes up to date after the reference or a right "
        "solution, which is their base, has changed.",
        epilog="exit codes: 0 all apply; 1 some do not, and stay as they were; 2 wrong usage.",
    )
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="DIFF", help="these diffs only (default: all)"
    )
    parser.add_argument(
        "--since",
        default="HEAD",
        metavar="REVISION",
        help="the git revision in which the diffs applied last (default: HEAD)",
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, and say which diffs do not apply"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; `root` is the checkout."""
    asked = options(arguments)
    files = [file.resolve() for file in asked.files]
    files = files or sorted((root / "solutions").glob(f"*/{FOLDER}/*{SUFFIX}"))
    written: list[Path] = []
    try:
        if asked.check:
            said = check(files)
        else:
            written, said = rebase(files, asked.since, root)
    except (RevisionError, OSError) as error:
        print(f"rebase: {error}", file=sys.stderr)
        return USAGE
    for file in written:
        print(f"up to date again: {file}")
    for line in said:
        print(line, file=sys.stderr)
    print(f"{len(files)} diffs, {len(written)} written anew, {len(said)} do not apply")
    return CONFLICTS if said else DONE


if __name__ == "__main__":
    sys.exit(main())
