"""The functions that a stub gives: a spec can hold them, or have them fail, for every caller.

A solution may keep such a function wherever it likes: in a partial, in a default, in a task. So it
is not the name that is changed, but the function's own code.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from dojo.harness.holds import Hold

MARK = "what is called"


class Given:
    """The functions that the stub of a kata gives."""

    __slots__ = ("_kata",)

    def __init__(self, kata: ModuleType) -> None:
        self._kata = kata

    def hold(self, name: str, limit: int = 1) -> Hold:
        """Hold the next `limit` calls of a function, before it does anything."""
        hold = Hold(f"the call of {name}", limit)
        original = self._copy(name)

        def held(*args: Any, **options: Any) -> Any:
            hold.stop_here()
            return original(*args, **options)

        self.replace(name, held)
        return hold

    def replace(self, name: str, replacement: Callable[..., Any]) -> None:
        """Have each call of a function, from now on, call `replacement` instead."""
        lines = (f"call = {MARK!r}", "return call(*args, **options)")
        source = "\n    ".join([f"def {name}(*args, **options):", *lines])
        made: dict[str, Any] = {}
        exec(compile(source, __file__, "exec"), made)
        function = self._function(name)
        before, code = function.__code__, made[name].__code__
        # A constant of the code: no name leads there that a solution could have changed.
        constants = tuple(replacement if value == MARK else value for value in code.co_consts)
        function.__code__ = code.replace(
            co_filename=before.co_filename,
            co_firstlineno=before.co_firstlineno,
            co_consts=constants,
        )
        # What was left out is for `replacement` to fill in.
        function.__defaults__ = function.__kwdefaults__ = None

    def writes(self, name: str, text: str) -> list[str]:
        """Have each call of a function write a text to the path that it is given.

        In `text`, `{number}` is the number of the call, from 1. Gives a list that gets the paths.
        """
        paths: list[str] = []

        def write(path: Any) -> None:
            paths.append(os.fspath(path))
            written = text.replace("{number}", str(len(paths)))
            Path(path).write_text(written, encoding="utf-8", newline="")

        self.replace(name, write)
        return paths

    def fails(self, name: str, error: Exception, written: str = "") -> None:
        """Have each call of a function fail, when it has written a text to its path."""

        def fail(path: Any) -> None:
            if written:
                Path(path).write_text(written, encoding="utf-8")
            raise error

        self.replace(name, fail)

    def _copy(self, name: str) -> Callable[..., Any]:
        """The function as it is now, under the same name."""
        function = self._function(name)
        copy = FunctionType(
            function.__code__,
            function.__globals__,
            name,
            function.__defaults__,
            function.__closure__,
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        return copy

    def _function(self, name: str) -> FunctionType:
        function = getattr(self._kata, name, None)
        if not isinstance(function, FunctionType):
            raise AssertionError(
                f"the stub gives the function `{name}`, and the solution has none: put it back"
            )
        return function
