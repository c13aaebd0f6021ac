"""Where in a solution something happens: its files and lines, and its part of a traceback."""

from __future__ import annotations

import contextlib
import linecache
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from sys import _current_frames, _getframe
from types import CodeType, FrameType, FunctionType
from typing import Any

Place = tuple[str, int]


@dataclass
class Frame:
    """A line of a solution that an exception came through; `file` is the path as it is shown."""

    file: str
    line: int
    function: str
    source: str


@dataclass
class Traceback:
    """The frames of a solution that an exception came through, the innermost last.

    `kind` is the type of the exception, and `raised` this and its message. `became` says what
    happened to an exception that did not come out of the app.
    """

    frames: list[Frame]
    kind: str
    raised: str
    became: str = ""


FRAMES = 4
MESSAGE = 1_500
SOURCE = 100

_folder: Path | None = None


def show_from(folder: Path | None) -> None:
    """Say in which folder pytest was started: paths are shown as they are typed there.

    Without one, files are shown by their names alone.
    """
    global _folder
    _folder = folder


def shown(file: str | Path) -> str:
    """A path that can be clicked, or typed, in the folder where pytest was started."""
    path = Path(file)
    if _folder is None:
        return path.name
    try:
        return min(os.path.relpath(path, _folder), str(path), key=len)
    except ValueError:  # another drive, on Windows
        return str(path)


def module_of(frame: FrameType) -> str:
    """The name of the module whose code runs in a frame; empty where it has none."""
    return str(frame.f_globals.get("__name__") or "")


def is_learners(frame: FrameType) -> bool:
    """Whether the code of a solution runs in a frame."""
    return module_of(frame).startswith("katas.k")


def defined_by_learner(function: FunctionType) -> bool:
    """Whether a function stands in the file of a solution."""
    names = function.__globals__
    own = str(names.get("__name__") or "").startswith("katas.k")
    return own and names.get("__file__") == function.__code__.co_filename


def is_spec(frame: FrameType) -> bool:
    """Whether the code of a spec runs in a frame, or what calls a solution for one."""
    code = frame.f_code
    return os.path.basename(code.co_filename).startswith("test_k") or code in _for_specs


def calls_for_specs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Say that a function calls a solution for a spec that runs in another process."""
    _for_specs.add(function.__code__)
    return function


_for_specs: set[CodeType] = set()


class ElsewhereError(Exception):
    """An exception of another process: what was known of it there.

    `task` is the number of the background task that it came out of, from 1, or 0.
    """

    place: Place | None = None
    shown: Traceback | None = None
    task = 0


def callers() -> Iterator[FrameType]:
    """The frames of the calling thread, innermost first, from the caller of this function on."""
    return outward(_getframe(1))


def of_threads() -> dict[int, FrameType]:
    """The innermost frame of each thread, by the thread's number."""
    return _current_frames()


def outward(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame, and those that have called it, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def places_in(frame: FrameType | None) -> Iterator[Place]:
    """The lines of a solution that a frame and its callers execute, innermost first."""
    return (where(frame) for frame in outward(frame) if is_learners(frame))


def places_here() -> tuple[Place, ...]:
    """The lines of a solution that the calling code executes, innermost first.

    It is asked at each event: what lies below the event loop's own frame is not looked at.
    """
    places = []
    for frame in callers():
        if is_learners(frame):
            places.append(where(frame))
        elif module_of(frame) == "asyncio.events":
            break
    return tuple(places)


def where(frame: FrameType) -> Place:
    """The file and the line that a frame executes."""
    return frame.f_code.co_filename, frame.f_lineno


def source_of(place: Place) -> str:
    """The line of code at a place, without its indentation."""
    return linecache.getline(*place).strip()


def at(place: Place) -> str:
    """A place as `katas/k01_name/app.py:18`."""
    return f"{shown(place[0])}:{place[1]}"


def line_at(place: Place) -> str:
    """A place and the line of code that stands there."""
    source = source_of(place)
    return f"{at(place)} `{shortened(source, SOURCE)}`" if source else at(place)


def said_by(error: BaseException) -> str:
    """The type of an exception and its message; only a message like a document is cut."""
    message = ""
    with contextlib.suppress(Exception):
        message = str(error)
    name = type(error).__name__
    return f"{name}: {shortened(message, MESSAGE)}" if message else name


def shortened(text: str, length: int) -> str:
    """A text of at most this length, cut with an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def traceback_of(error: BaseException) -> Traceback | None:
    """The part of a traceback that lies in the solution; None where nothing of it does."""
    if isinstance(error, ElsewhereError):
        return error.shown
    mine = [link for link in _walk(error) if is_learners(link[0])]
    if not mine:
        return None
    frames = [
        Frame(
            shown(frame.f_code.co_filename),
            line,
            frame.f_code.co_name,
            source_of((frame.f_code.co_filename, line)),
        )
        for frame, line in mine[-FRAMES:]
    ]
    return Traceback(frames, type(error).__name__, said_by(error))


def place_of(error: BaseException) -> Place | None:
    """The innermost line of the solution that an exception came through."""
    if isinstance(error, ElsewhereError):
        return error.place
    mine = [link for link in _walk(error) if is_learners(link[0])]
    return (mine[-1][0].f_code.co_filename, mine[-1][1]) if mine else None


def _walk(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    for link in reversed(chain):
        tb = link.__traceback__
        while tb is not None:
            yield tb.tb_frame, tb.tb_lineno
            tb = tb.tb_next
