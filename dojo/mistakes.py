"""Mistakes: wrong solutions, each kept as a diff against the reference or a right solution.

A `.diff` begins with a header: prose that says what people do and why it is wrong, then lines
`base: app.py` (or `base: right/NAME.py`), `breaks: …`, `caught by: …` (one or several) and
`says: …`. A unified diff follows. It must fit its base to the letter: nothing is looked for
elsewhere in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

SUFFIX = ".diff"
FOLDER = "mistakes"
REBASE = "python -m selfcheck.rebase"

_START = re.compile(r"^--- .*\n\+\+\+ ", re.MULTILINE)
_FIELD = re.compile(r"^(base|breaks|caught by|says):[ \t]*(.*)$")
_BASE = re.compile(r"app\.py|right/\w+\.py")


class MistakeError(Exception):
    """A `.diff` that cannot be used; the message names the file and says what to do."""


class PatchError(MistakeError):
    """A diff that does not fit its base; the message names the file, the hunk and the base."""


@dataclass(frozen=True)
class Mistake:
    """A mistake as its `.diff` holds it.

    `base` is relative to the folder of the kata's solutions. `caught_by` names each spec that must
    be red, and no other may be; `says` is a regular expression for the message of the first.
    `header` and `diff` are the two parts of the text.
    """

    file: Path
    header: str
    diff: str
    prose: str
    base: str
    breaks: str
    caught_by: tuple[str, ...]
    says: str

    def find_base(self, solutions: Path | None = None) -> Path:
        """The file that the diff changes.

        It is in the kata's folder that the diff lies in, or else in `solutions`, the folder of the
        kata's solutions in a checkout. Raises `MistakeError`.
        """
        parent = self.file.parent
        own = parent.parent if parent.name == FOLDER else parent
        folders = [own] if solutions is None else [own, solutions]
        for folder in folders:
            if (folder / self.base).is_file():
                return folder / self.base
        looked = " and ".join(str(folder / self.base) for folder in folders)
        raise MistakeError(f"{self.file}: its base is not there: looked for {looked}")

    def apply(self, source: str) -> str:
        """The base's text `source` with the mistake in it; it ends in a newline.

        Raises `PatchError` where a hunk does not fit, `MistakeError` where this is no diff.
        """
        lines = _lines(source)
        patched: list[str] = []
        done = 0
        for number, hunk in enumerate(self.hunks(), 1):
            # A hunk that takes nothing away names the line that it comes after.
            start = hunk.source_start - (1 if hunk.source_length else 0)
            expected = [_bare(line.value) for line in hunk.source_lines()]
            if start < done or lines[start : start + len(expected)] != expected:
                where = str(hunk).partition("\n")[0]
                raise PatchError(
                    f"{self.file}: hunk {number} ({where}) does not fit {self.base}"
                    f"{_difference(lines, start, expected)}. If {self.base} has changed, run "
                    f"`{REBASE}`, which brings the diff up to date"
                )
            patched += lines[done:start]
            patched += [_bare(line.value) for line in hunk.target_lines()]
            done = start + len(expected)
        return "".join(f"{line}\n" for line in [*patched, *lines[done:]])

    def hunks(self) -> PatchedFile:
        """The hunks of the diff. Raises `MistakeError`."""
        try:
            files = PatchSet.from_string(self.diff)
        except UnidiffParseError as error:
            raise MistakeError(f"{self.file}: this is not a unified diff: {error}") from None
        if len(files) != 1:
            raise MistakeError(
                f"{self.file}: the diff is of {len(files)} files: keep that of {self.base}"
            )
        if not files[0].added and not files[0].removed:
            raise MistakeError(f"{self.file}: its diff is empty: a mistake changes its base")
        return files[0]


def read_mistake(file: Path) -> Mistake:
    """The mistake that a `.diff` holds. Raises `MistakeError`."""
    header, diff = _parts(file)
    fields: dict[str, list[str]] = {"base": [], "breaks": [], "caught by": [], "says": []}
    prose = []
    for line in header.split("\n"):
        if field := _FIELD.match(line):
            fields[field[1]].append(field[2].strip())
        else:
            prose.append(line)
    for name, example in (("base", "app.py"), ("caught by", "test_name_of_the_spec")):
        if not any(fields[name]):
            raise MistakeError(f"{file}: its header has no line like `{name}: {example}`")
    for name in ("base", "breaks", "says"):
        if len(fields[name]) > 1:
            raise MistakeError(f"{file}: its header has {len(fields[name])} lines `{name}:`")
    base = fields["base"][0]
    if not _BASE.fullmatch(base):
        raise MistakeError(f"{file}: `base: {base}` is neither app.py nor like right/NAME.py")
    return Mistake(
        file=file,
        header=header,
        diff=diff,
        prose="\n".join(prose).strip(),
        base=base,
        breaks="".join(fields["breaks"]),
        caught_by=tuple(fields["caught by"]),
        says="".join(fields["says"]),
    )


def read_text(file: Path) -> str:
    """The UTF-8 text of a file, with newlines alone as line ends. Raises `MistakeError`."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MistakeError(f"{file}: it is not UTF-8 text ({error})") from None
    except OSError as error:
        raise MistakeError(f"{file}: it cannot be read: {error.strerror or error}") from None


def patched(file: Path, solutions: Path | None = None) -> str:
    """The module that a `.diff` makes of its base; `solutions` as in `Mistake.find_base`.

    Raises `MistakeError`.
    """
    mistake = read_mistake(file)
    return mistake.apply(read_text(mistake.find_base(solutions)))


def _parts(file: Path) -> tuple[str, str]:
    """The header and the diff of a `.diff`."""
    text = read_text(file)
    start = _START.search(text)
    if start is None or not text[start.start() :].count("\n@@ "):
        raise MistakeError(f"{file}: it has no diff: a header, then `---`, `+++` and `@@` lines")
    return text[: start.start()], text[start.start() :]


def _lines(text: str) -> list[str]:
    """The lines of a text, split at newlines alone, as diffs are."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _bare(line: str) -> str:
    return line.removesuffix("\n")


def _difference(lines: list[str], start: int, expected: list[str]) -> str:
    """Which line of the base is another than the diff expects, as part of a sentence."""
    for number, line in enumerate(expected, start):
        if number >= len(lines):
            return f": line {number + 1} should be {line!r}, and the file ends before it"
        if lines[number] != line:
            return f": line {number + 1} should be {line!r} and is {lines[number]!r}"
    return ": it overlaps the hunk before it"
