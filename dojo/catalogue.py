"""The catalogue of katas, read from `katas/*/kata.toml`."""

from __future__ import annotations

import ast
import difflib
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

BELTS = ("white", "green", "black")
FOLDER = re.compile(r"k\d\d_[a-z0-9_]+")


class CatalogueError(Exception):
    """A `kata.toml` that cannot be used; the message names the file and the key."""


class KataNotFoundError(Exception):
    """No kata, or more than one, goes by a text; the message names the nearest ones."""


@dataclass(frozen=True)
class Kata:
    """One exercise.

    `minutes` is what a learner may expect to need, `points` what a grader gives for all its specs.
    `essential` names the specs of its lesson: those that a solution without a background task
    fails.
    """

    root: Path
    name: str
    title: str
    belt: str
    minutes: int
    points: int
    hints: tuple[str, str, str]
    essential: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """The short name: `k03`."""
        return self.name.partition("_")[0]

    @property
    def card(self) -> Path:
        """The file with the story and the contract."""
        return self.root / "katas" / self.name / "README.md"

    @property
    def stub(self) -> Path:
        """The file that a learner fills in."""
        return self.root / "katas" / self.name / "app.py"

    @property
    def original(self) -> Path:
        """A copy of the stub, which is there when the learner's file has long been another."""
        return self.root / "dojo" / "stubs" / f"{self.name}.py.txt"

    @property
    def solutions(self) -> Path:
        """The folder with the reference, other right solutions and mistakes; a class has none."""
        return self.root / "solutions" / self.name

    @property
    def reference(self) -> Path:
        """The file with the reference solution."""
        return self.solutions / "app.py"

    @property
    def spec_file(self) -> Path:
        """The file with the specs."""
        return self.root / "tests" / f"test_{self.name}.py"

    @cached_property
    def spec_names(self) -> tuple[str, ...]:
        """The test functions of the spec, in the order of the file; none where it is broken."""
        try:
            tree = ast.parse(self.spec_file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            return ()
        return tuple(
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
        )

    @cached_property
    def essential_specs(self) -> frozenset[str]:
        """The names in `essential`.

        Raises `CatalogueError` where the spec has no test function of that name.
        """
        unknown = [name for name in self.essential if name not in self.spec_names]
        if unknown:
            raise CatalogueError(
                f"katas/{self.name}/kata.toml: `essential` names {unknown[0]}, "
                f"which is not in tests/{self.spec_file.name}"
            )
        return frozenset(self.essential)


def read_catalogue(root: Path) -> dict[str, Kata]:
    """All katas below `root`, by folder name, in order.

    Raises `CatalogueError`.
    """
    folders = sorted(path for path in (root / "katas").glob("k*") if FOLDER.fullmatch(path.name))
    return {
        folder.name: _read_kata(root, folder)
        for folder in folders
        if (folder / "kata.toml").is_file()
    }


def find(catalogue: dict[str, Kata], text: str) -> Kata:
    """The kata that a person means by `text`.

    It is a number (`k03`, `3`), a name, a part of a name that no other kata has, or a path to its
    specs or into its folder. Raises `KataNotFoundError`.
    """
    asked = _asked(catalogue, text)
    number = re.fullmatch(r"k?0*(\d{1,2})", asked)
    if number is not None:
        matching = [kata for kata in catalogue.values() if kata.number == f"k{number[1]:0>2}"]
    else:
        matching = [kata for name, kata in catalogue.items() if asked and asked in name]
        exact = [kata for kata in matching if asked in (kata.name, kata.name.partition("_")[2])]
        matching = exact or matching
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(kata.name for kata in matching)
        raise KataNotFoundError(f"{text!r} may be any of {names}: give more of the name")
    raise KataNotFoundError(f"there is no kata {text!r}: {_nearest(catalogue, asked)}")


def _asked(catalogue: dict[str, Kata], text: str) -> str:
    """The text as names are written; of a path, the name of a kata in it."""
    parts = re.split(r"[/\\]", text.strip().casefold())
    names = [part.removeprefix("test_").removesuffix(".py") for part in parts]
    in_path = [name for name in names if name in catalogue]
    return in_path[-1] if in_path else re.sub(r"[\s-]+", "_", text.strip().casefold())


def _nearest(catalogue: dict[str, Kata], asked: str) -> str:
    """Advice with the names that are most like `asked`, or with all numbers."""
    words: dict[str, list[str]] = {}
    for kata in catalogue.values():
        for word in (kata.name, *kata.name.split("_"), kata.name.partition("_")[2]):
            words.setdefault(word, []).append(kata.name)
    near = difflib.get_close_matches(asked, words, n=3)
    names = list(dict.fromkeys(name for word in near for name in words[word]))
    if names:
        return (
            f"the nearest is {names[0]}"
            if len(names) == 1
            else f"the nearest are {', '.join(names)}"
        )
    numbers = ", ".join(kata.number for kata in catalogue.values())
    return f"there are {numbers}" if numbers else "this folder has none"


def _read_kata(root: Path, folder: Path) -> Kata:
    file = folder / "kata.toml"
    shown = file.relative_to(root).as_posix()
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{shown}: not TOML: {error}") from None

    def entry(key: str, kind: type, wanted: str) -> object:
        if key not in entries:
            raise CatalogueError(f"{shown}: the key `{key}` is missing: give {wanted}")
        value = entries[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise CatalogueError(f"{shown}: `{key}` is {value!r}: give {wanted}")
        return value

    def text(key: str, wanted: str) -> str:
        return str(entry(key, str, wanted))

    def number(key: str) -> int:
        value = entry(key, int, "a whole number above 0")
        if not isinstance(value, int) or value < 1:
            raise CatalogueError(f"{shown}: `{key}` is {value!r}: give a whole number above 0")
        return value

    belt = text("belt", " or ".join(BELTS))
    if belt not in BELTS:
        raise CatalogueError(f"{shown}: `belt` is {belt!r}: give {' or '.join(BELTS)}")
    hints = entry("hints", list, "a list of three texts")
    if not isinstance(hints, list) or [type(hint) for hint in hints] != [str, str, str]:
        raise CatalogueError(f"{shown}: `hints` must be a list of exactly three texts")
    essential = entries.get("essential", [])
    if not isinstance(essential, list) or not all(isinstance(name, str) for name in essential):
        raise CatalogueError(f"{shown}: `essential` must be a list of names of specs")
    unknown = sorted(set(entries) - {"title", "belt", "minutes", "points", "hints", "essential"})
    if unknown:
        raise CatalogueError(f"{shown}: the key `{unknown[0]}` is not known")
    return Kata(
        root=root,
        name=folder.name,
        title=text("title", "a text"),
        belt=belt,
        minutes=number("minutes"),
        points=number("points"),
        hints=(hints[0], hints[1], hints[2]),
        essential=tuple(essential),
    )
