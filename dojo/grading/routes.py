"""Finds the line of a route in a solution, so that a result can point at it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")

Route = tuple[str, str, int]


def routes(source: bytes) -> list[Route]:
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


def asked_for(request: str, routes: Sequence[Any]) -> int:
    """The line of the route that a request like `GET /items/1` went to; 0 where none fits."""
    asked_method, _, asked_path = request.partition(" ")
    asked = asked_path.split("/")
    for method, path, line in routes:
        if method == asked_method and _fits(str(path).split("/"), asked):
            return int(line)
    return 0


def _fits(written: list[str], asked: list[str]) -> bool:
    return len(written) == len(asked) and all(
        part == word or (part.startswith("{") and part.endswith("}") and word)
        for part, word in zip(written, asked, strict=True)
    )
