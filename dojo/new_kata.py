"""`dojo new`: the files of a kata, filled in with the smallest kata that works."""

from __future__ import annotations

import argparse
import re
import string
import sys
from pathlib import Path
from typing import Any

MADE, USAGE, FAILED = 0, 2, 3
ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).resolve().parent / "templates" / "new_kata"
NUMBER = re.compile(r"k\d\d")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Each file of a kata, and the template that it is made from.
FILES = {
    "katas/{folder}/README.md": "card.md",
    "katas/{folder}/app.py": "stub.py",
    "katas/{folder}/kata.toml": "kata.toml",
    "dojo/stubs/{folder}.py.txt": "stub.py",
    "tests/test_{folder}.py": "spec.py",
    "solutions/{folder}/app.py": "reference.py",
    "solutions/{folder}/right/response_with_task.py": "right.py",
    "solutions/{folder}/mistakes/called_not_passed.diff": "mistake.diff",
}
NEXT = """\
This is a whole kata already, though a tiny one: its stub is red, its reference is green.

    pytest tests/test_{folder}.py
    pytest --solutions=solutions tests/test_{folder}.py

Make it yours in this order; "How to add a kata" in CONTRIBUTING.md says more:

 1. katas/{folder}/README.md: the story, and the contract sentence by sentence
 2. katas/{folder}/app.py and kata.toml: the stub; title, belt, minutes, points, essential, hints;
    a copy of the stub in dojo/stubs/, for `dojo reset`
 3. solutions/{folder}/: the reference, three right solutions or more, eight mistakes or more
 4. tests/test_{folder}.py: a spec for each behaviour, each failed by a mistake
 5. README.md: a row in the table of katas
 6. selfcheck/harness/test_timelines.py: two or three requests in REQUESTS
 7. `pytest selfcheck -k {number}` until it is green
"""


class NewKataError(Exception):
    """A number or name that a new kata cannot have; the message says which one to take."""


def add_to(commands: Any) -> None:
    """Add the command `new` to the command line."""
    new = commands.add_parser(
        "new",
        help="make the files of a new kata",
        description="Make the files of a new kata: card, stub, kata.toml, specs, solutions. "
        "Nothing is overwritten.",
        epilog="exit codes: 0 made; 2 wrong usage; 3 could not be written.",
    )
    new.add_argument("number", metavar="kNN", help="a number that is free, like k10")
    new.add_argument("name", help="lower-case words joined by `_`, like invoice_pdf")
    new.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Make what the command line asks for, and print what to do next."""
    try:
        made = new_kata(ROOT, asked.number, asked.name)
    except NewKataError as error:
        print(f"dojo new: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"dojo new: {error}", file=sys.stderr)
        return FAILED
    folder = f"{asked.number}_{asked.name}"
    print("\n".join(["made", *(f"    {file.relative_to(ROOT).as_posix()}" for file in made)]))
    print()
    print(NEXT.format(folder=folder, number=asked.number), end="")
    return MADE


def new_kata(root: Path, number: str, name: str) -> list[Path]:
    """Write the files of a new kata below `root`, and return them.

    Raises `NewKataError` where `number` or `name` will not do, before anything is written.
    """
    _check(root, number, name)
    title = name.replace("_", " ").capitalize()
    values = {
        "number": number,
        "name": name,
        "folder": f"{number}_{name}",
        "route": name.replace("_", "-"),
        "title": title,
        "story": title.lower(),
    }
    texts = {root / path.format(**values): _filled(FILES[path], values) for path in FILES}
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as made:
            made.write(text)
    return list(texts)


def _filled(template: str, values: dict[str, str]) -> str:
    text = (TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
    return string.Template(text).substitute(values)


def _check(root: Path, number: str, name: str) -> None:
    for folder in ("katas", "tests", "solutions"):
        if not (root / folder).is_dir():
            raise NewKataError(f"{root} has no {folder}/: run it in a checkout of the repository")
    taken = _taken(root)
    free = next(k for k in (f"k{n:02}" for n in range(1, 101)) if k not in taken)
    if not NUMBER.fullmatch(number):
        raise NewKataError(f"{number!r} is not a number like k10: {free} is free")
    if number in taken:
        raise NewKataError(f"{number} is taken by {taken[number]}: {free} is free")
    if not NAME.fullmatch(name):
        raise NewKataError(
            f"{name!r} is not a name like invoice_pdf: lower-case letters and digits, "
            "words joined by `_`, and no number in front"
        )


def _taken(root: Path) -> dict[str, Path]:
    """The numbers in use, each with a file or folder that has it."""
    found = [
        *root.glob("katas/k[0-9][0-9]*"),
        *root.glob("solutions/k[0-9][0-9]*"),
        *root.glob("tests/test_k[0-9][0-9]*"),
    ]
    return {
        path.name.removeprefix("test_").partition("_")[0]: path.relative_to(root)
        for path in reversed(found)
    }
