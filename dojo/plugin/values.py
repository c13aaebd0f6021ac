"""Values as a failure message shows them: what happened and what was expected, so that the eye can
compare them."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

LINE = 66
LENGTH = 400
ITEMS = 8
AROUND = 24
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
OPERATORS: dict[str, Callable[[Any, Any], object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
    "is not": operator.is_not,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}
LIMITS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}


class _Word(str):
    """Text that is shown as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Missing:
    def __repr__(self) -> str:
        return "nothing there"


MISSING = _Missing()


def plain(value: object) -> str:
    """A value as Python code, or in a word where code would only confuse."""
    shown = ADDRESS.sub("", repr(_simple(value)))
    return shown if len(shown) <= LENGTH else f"{shown[: LENGTH - 1]}…"


def _simple(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, datetime):
        return _Word(value.isoformat(" "))
    if isinstance(value, date):
        return _Word(value.isoformat())
    if isinstance(value, type):
        return _Word(value.__name__)
    if type(value) in (list, tuple):
        return type(value)(map(_simple, value))
    if type(value) is dict:
        return {_simple(key): _simple(entry) for key, entry in value.items()}
    if type(value) in (set, frozenset):
        return _Word(_set(value))
    if type(value).__module__.startswith("dojo.") and "__str__" in vars(type(value)):
        return _Word(f"<{type(value).__name__.lower()} {value}>")
    return value


def _set(value: set[Any] | frozenset[Any]) -> str:
    """A set stands for what is true of several things."""
    shown = sorted(repr(_simple(entry)) for entry in value)
    if not shown:
        return "nothing"
    return shown[0] if len(shown) == 1 else " and ".join([", ".join(shown[:-1]), shown[-1]])


def failed(op: str, left: object, right: object) -> bool:
    """Whether a comparison is one that is known here, and false."""
    try:
        return op in OPERATORS and not OPERATORS[op](left, right)
    except Exception:
        return False


def compared(op: str, left: Any, right: Any) -> list[str]:
    """The lines that say why `left op right` is false."""
    if op == "==":
        return _equal(left, right)
    if op in LIMITS:
        return _two(plain(left), f"{LIMITS[op]} {plain(right)}")
    if op == "in":
        return _in(left, right)
    if op == "not in":
        return _two(plain(right), f"no {plain(left)} in it")
    if op == "is":
        return _two(plain(left), plain(right))
    if op == "is not":
        return _two(plain(left), f"something else than {plain(right)}")
    return _two(f"{plain(left)}, twice", "two that are different")


def _two(happened: str, expected: str) -> list[str]:
    return [f"happened  {happened}", f"expected  {expected}"]


def _in(left: Any, right: Any) -> list[str]:
    if isinstance(right, tuple | set | frozenset):
        return _two(plain(left), f"one of {', '.join(plain(entry) for entry in right)}")
    return _two(plain(right), f"{plain(left)} in it")


def _equal(left: Any, right: Any) -> list[str]:
    happened, expected = plain(left), plain(right)
    if max(len(happened), len(expected)) <= LINE:
        return _two(happened, expected)
    if _both(list, left, right) and not left:
        return ["happened  []", "expected  these:", *(f"    {row}" for row in _rows(right))]
    everything = ["all that happened:", *(f"    {row}" for row in _rows(left))]
    if _both(list, left, right) and len(left) != len(right):
        counts = _two(f"{len(left)} of them", f"{len(right)} of them")
        return [*counts, *_counted(left, right), *everything]
    where, was, should = first_difference(left, right)
    at = f"the first difference, at {where}:" if where else "the first difference:"
    return [at, *_two(*_cut_alike(was, should)), *(everything if where else [])]


def first_difference(left: Any, right: Any, where: str = "") -> tuple[str, Any, Any]:
    """Where two values begin to differ, as an index, and what stands there."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*right, *(key for key in left if key not in right)]:
            was, should = left.get(key, MISSING), right.get(key, MISSING)
            if was is MISSING or should is MISSING or was != should:
                return first_difference(was, should, f"{where}[{plain(key)}]")
    if _both(list, left, right) or _both(tuple, left, right):
        for index in range(max(len(left), len(right))):
            was = left[index] if index < len(left) else MISSING
            should = right[index] if index < len(right) else MISSING
            if was is MISSING or should is MISSING or was != should:
                return first_difference(was, should, f"{where}[{index}]")
    return where, left, right


def _both(kind: type, left: object, right: object) -> bool:
    return isinstance(left, kind) and isinstance(right, kind)


def _cut_alike(was: Any, should: Any) -> tuple[str, str]:
    """Two values, long texts cut to what stands round the place where they begin to differ."""
    if not (isinstance(was, str | bytes) and type(was) is type(should)):
        return plain(was), plain(should)
    if max(len(was), len(should)) <= LINE:
        return plain(was), plain(should)
    same = next(
        (n for n, (a, b) in enumerate(zip(was, should, strict=False)) if a != b),
        min(len(was), len(should)),
    )
    begin = max(0, same - AROUND)

    def cut(text: Any) -> str:
        piece = text[begin : same + AROUND]
        before, after = "…" * (begin > 0), "…" * (same + AROUND < len(text))
        return f"{before}{piece!r}{after}"

    return cut(was), cut(should)


def _counted(left: list[Any], right: list[Any]) -> list[str]:
    """What a list lacks and what it has too much of, in whatever order."""
    was = Counter(plain(entry) for entry in left)
    should = Counter(plain(entry) for entry in right)
    lines = [f"missing   {row}" for row in _few(should - was)]
    return lines + [f"too much  {row}" for row in _few(was - should)]


def _few(entries: Counter[str]) -> Iterator[str]:
    for number, (entry, count) in enumerate(entries.items()):
        if number == 3:
            yield f"… and {len(entries) - 3} more"
            return
        yield f"{entry}, {count} times" if count > 1 else entry


def _rows(value: Any) -> Iterator[str]:
    """A value over several lines, one entry each."""
    if isinstance(value, dict):
        entries = [f"{plain(key)}: {plain(entry)}" for key, entry in value.items()]
    elif isinstance(value, list | tuple):
        entries = [f"[{number}] {plain(entry)}" for number, entry in enumerate(value)]
    else:
        entries = [plain(value)]
    yield from entries[:ITEMS]
    if len(entries) > ITEMS:
        yield f"… and {len(entries) - ITEMS} more"
    if not entries:
        yield plain(value)
