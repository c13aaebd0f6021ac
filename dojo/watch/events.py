"""What happens while `dojo watch` waits: each thread puts it into one queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Saved:
    """The files of these katas were saved; `at` is the time of `time.perf_counter`."""

    katas: tuple[str, ...]
    at: float


@dataclass(frozen=True)
class ToolChanged:
    """A spec or a module of the dojo was changed."""

    at: float


@dataclass(frozen=True)
class Noticed:
    """Something to tell about how files are watched."""

    text: str


@dataclass(frozen=True)
class Told:
    """The warm process with this number has told something."""

    generation: int
    message: dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """The warm process with this number has ended; `errors` is what it wrote."""

    generation: int
    errors: str


@dataclass(frozen=True)
class Key:
    """A key was pressed: a letter, or a name such as `down`."""

    name: str


@dataclass(frozen=True)
class Redraw:
    """The terminal was resized, or comes back after Ctrl-Z."""


Event = Saved | ToolChanged | Noticed | Told | Ended | Key | Redraw
