"""Show values plainly, and say how two of them differ."""

from __future__ import annotations

import contextlib
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from dojo.plugin.failures import Comparison

LINE = 66
LENGTH = 400
ITEMS = 8
AROUND = 24
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
STAND_IN = re.compile(r"\bFake(Date|Datetime)\b")  # freezegun's
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
    shown = without_stand_ins(ADDRESS.sub("", repr(_simple(value))))
    return shown if len(shown) <= LENGTH else f"{shown[: LENGTH - 1]}…"


def without_stand_ins(text: str) -> str:
    """A text with the names of Python's own classes for those that stand in for them."""
    return STAND_IN.sub(lambda found: found[1].lower(), text)


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
    if type(value).__module__.startswith("dojo."):
        name = type(value).__name__.lower()
        if "__str__" in vars(type(value)):
            return _Word(f"<{name} {value}>")
        if getattr(type(value), "__repr__", None) is object.__repr__:
            return _Word(f"<{name}>")
    return value


def _set(value: set[Any] | frozenset[Any]) -> str:
    """The values of a set in words: it says what is true of several things."""
    shown = sorted(repr(_simple(entry)) for entry in value)
    if not shown:
        return "nothing"
    return shown[0] if len(shown) == 1 else " and ".join([", ".join(shown[:-1]), shown[-1]])


def failed(op: str, left: object, right: object) -> bool:
    """Whether a comparison is one that is known here, and false."""
    with contextlib.suppress(Exception):  # a value of a solution can raise anything
        return op in OPERATORS and not OPERATORS[op](left, right)
    return False


def compared(op: str, left: Any, right: Any) -> Comparison:
    """Say why `left op right` is false."""
    if op == "==":
        return _equal(left, right)
    if op in LIMITS:
        return Comparison(plain(left), f"{LIMITS[op]} {plain(right)}")
    if op == "in":
        return _in(left, right)
    if op == "not in":
        return Comparison(plain(right), f"no {plain(left)} in it")
    if op == "is":
        return Comparison(plain(left), plain(right))
    if op == "is not":
        return Comparison(plain(left), f"something else than {plain(right)}")
    return Comparison(f"{plain(left)}, twice", "two that are different")


def _in(left: Any, right: Any) -> Comparison:
    if isinstance(right, tuple | set | frozenset):
        return Comparison(plain(left), f"one of {', '.join(plain(entry) for entry in right)}")
    return Comparison(plain(right), f"{plain(left)} in it")


def _equal(left: Any, right: Any) -> Comparison:
    happened, expected = plain(left), plain(right)
    if max(len(happened), len(expected)) <= LINE:
        return Comparison(happened, expected)
    if _both(list, left, right) and not left:
        return Comparison("[]", "these:", all_rows=list(_rows(right)))
    if _both(list, left, right) and len(left) != len(right):
        found = Comparison(f"{len(left)} of them", f"{len(right)} of them")
        was = Counter(plain(entry) for entry in left)
        should = Counter(plain(entry) for entry in right)
        found.missing, found.extra = list(_few(should - was)), list(_few(was - should))
    else:
        where, was_there, should_be = first_difference(left, right)
        found = Comparison(*_cut_alike(was_there, should_be), part="the first difference")
        if not where:
            return found
        found.part += f", at {where}"
    found.rows_of, found.all_rows = "all that happened", list(_rows(left))
    return found


def first_difference(left: Any, right: Any, where: str = "") -> tuple[str, Any, Any]:
    """The index at which two values begin to differ, and the parts of them that stand there."""
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
