"""Where in an answer a route is written, for results that point at a line of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
REQUEST = re.compile(r"request\s+([A-Z]+) (\S+)")

Place = tuple[str, str, int]


def routes(source: bytes) -> list[Place]:
    """The method, the path and the line of each function that is decorated as a route."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [
        (method, path, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        for method, path in _route(decorator)
    ]


def _route(decorator: ast.expr) -> Iterator[tuple[str, str]]:
    if (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in METHODS
        and decorator.args
        and isinstance(decorator.args[0], ast.Constant)
    ):
        yield decorator.func.attr.upper(), str(decorator.args[0].value)


def asked_for(timeline: Sequence[str], places: Sequence[Any]) -> int:
    """The line of the route that the first request of a timeline went to; 0 where none fits."""
    first = next((found for row in timeline if (found := REQUEST.search(row))), None)
    if first is None:
        return 0
    for method, path, line in places:
        pattern = "[^/]+".join(re.escape(part) for part in re.split(r"\{[^{}]*\}", str(path)))
        if method == first[1] and re.fullmatch(pattern, first[2]):
            return int(line)
    return 0
