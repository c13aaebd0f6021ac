"""How much a piece of evidence weighs, and which line of the solution it is about.

Heavy is a change to what a verdict is made with: the code of the dojo, of pytest, of the specs, and
of the libraries that they observe with. Everything else that is unusual is light: it is shown, and
nothing follows from it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

LIBRARIES = (
    *("_pytest", "pytest", "pluggy", "pytest_asyncio", "pytest_timeout", "unittest", "dojo"),
    *("PIL", "anyio", "freezegun", "httpx", "starlette"),
    *("asyncio", "collections", "concurrent", "contextlib", "contextvars", "copy", "csv"),
    *("dataclasses", "email", "enum", "functools", "gc", "hashlib", "hmac", "html", "http"),
    *("importlib", "inspect", "io", "json", "operator", "os", "pathlib", "posixpath", "re"),
    *("sqlite3", "sys", "threading", "types", "urllib", "weakref"),
)
# Habits: hooks for exceptions and for what is shown, and what has no part in any spec.
HABITS = frozenset(
    (
        *("builtins._", "builtins.input", "builtins.print", "json.JSONEncoder.default"),
        *("json.encoder.JSONEncoder.default", "sys.breakpointhook", "sys.displayhook"),
        *("sys.excepthook", "sys.unraisablehook", "threading.excepthook"),
    )
)
PLAIN = (bool, bytes, float, int, str, type(None))
_CHANGE = re.compile(r"([\w.]+) (?:was replaced|was added|was given another \w+)")
BY_PARTIAL = "was given other defaults by functools.partial"


def is_heavy(change: str) -> bool:
    """Whether a change, in the words of a snapshot, asks for a review."""
    if change.endswith(BY_PARTIAL):
        return False
    found = _CHANGE.fullmatch(change)
    if found is None or found[1].startswith("test_k"):
        return True
    name, top = found[1], found[1].partition(".")[0]
    if name in HABITS:
        return False
    if top == "builtins":
        return not change.endswith("was added")
    return top in LIBRARIES


def changed_lines(source: bytes) -> dict[str, int]:
    """The first line of a solution that sets or deletes an attribute, by the attribute's name."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            lines.setdefault(node.attr, node.lineno)
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            named = node.args[1]
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                lines.setdefault(named.value, node.lineno)
    return lines


def with_line(change: str, lines: dict[str, int]) -> str:
    """The change, with the line of the solution that makes it where that is known."""
    found = _CHANGE.match(change) or re.match(r"([\w.]+) ", change)
    line = lines.get(found[1].rpartition(".")[2]) if found else None
    return f"app.py:{line} {change}" if line else change


def weighed(changes: Iterable[str], lines: dict[str, int]) -> dict[bool, list[str]]:
    """The changes with their lines, the heavy ones under True."""
    sides: dict[bool, list[str]] = {True: [], False: []}
    for change in changes:
        sides[is_heavy(change)].append(with_line(change, lines))
    return sides
