"""The guard inside the process of an answer: is the machinery still what it was, and what did the
answer do that an honest one never does?

The first is a verdict (`Machinery.changes`), the second is evidence for a human to read (`watch`).
Nothing that an answer could find by its name keeps a reference to either.
"""

from __future__ import annotations

import ast
import builtins
import errno
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest

OURS = ("dojo", "_pytest", "pytest", "pluggy", "pytest_asyncio", "pytest_timeout", "unittest")
EVIDENCE = 40
FRAMES = 200

PROCESSES = "started a process"
SIGNALS = "sent a signal"
CTYPES = "reached for ctypes"
EVENTS = {
    "gc.get_objects": "looked through all objects of the process",
    "gc.get_referrers": "looked through all objects of the process",
    "gc.get_referents": "looked through all objects of the process",
    "sys._getframe": "looked at the frames of its callers",
    "sys._current_frames": "looked at the frames of all threads",
    "sys.settrace": "traced the interpreter",
    "sys.setprofile": "traced the interpreter",
    "sys.addaudithook": "added an audit hook",
    "object.__setattr__": "changed a function or a class from inside",
    "os.fork": PROCESSES,
    "os.forkpty": PROCESSES,
    "os.exec": PROCESSES,
    "os.posix_spawn": PROCESSES,
    "os.spawn": PROCESSES,
    "os.startfile": PROCESSES,
    "os.system": PROCESSES,
    "pty.spawn": PROCESSES,
    "subprocess.Popen": PROCESSES,
    "os.kill": SIGNALS,
    "os.killpg": SIGNALS,
    "signal.pthread_kill": SIGNALS,
    "ctypes.dlopen": CTYPES,
    "ctypes.dlsym": CTYPES,
    "ctypes.dlsym/handle": CTYPES,
    "ctypes.call_function": CTYPES,
    "ctypes.string_at": CTYPES,
    "ctypes.wstring_at": CTYPES,
    "ctypes.cdata": CTYPES,
    "ctypes.cdata/buffer": CTYPES,
}
INNER = ("tb_frame", "gi_frame", "cr_frame", "ag_frame", "__code__", "func_code", "__closure__")
FILES = {
    "open": "opened",
    "os.listdir": "listed",
    "os.scandir": "listed",
    "os.remove": "removed",
    "os.rename": "renamed",
    "os.rmdir": "removed",
    "os.link": "linked",
    "os.symlink": "linked",
    "os.chmod": "changed",
    "os.chown": "changed",
    "os.truncate": "changed",
    "shutil.copyfile": "copied",
    "shutil.rmtree": "removed",
    "sqlite3.connect": "opened",
}
NAMES = {
    "_getframe": "frames",
    "f_back": "frames",
    "f_locals": "frames",
    "f_globals": "frames",
    "tb_frame": "frames",
    "tb_next": "frames",
    "cr_frame": "frames",
    "gi_frame": "frames",
    "__subclasses__": "all classes",
    "__closure__": "closures",
    "__code__": "code objects",
    "get_objects": "all objects",
    "get_referrers": "all objects",
    "_exit": "the end of the process",
}
MODULES = ("_pytest", "ctypes", "dojo", "gc", "pluggy", "pytest", "solutions", "tests")


# ----- is the machinery still what it was?


class Machinery:
    """A picture of everything that a verdict depends on, to compare with later.

    That is: the functions and classes of pytest, its plugins and the dojo, the specs themselves,
    the built-in names, and the plugins, hooks and fixtures that pytest knows.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._manager = session.config.pluginmanager
        self._modules = {
            name: module
            for name, module in sys.modules.items()
            if isinstance(module, ModuleType) and _is_watched(name)
        }
        self._spaces: list[_Space] = [_Space("builtins", vars(builtins), vars(builtins))]
        for name, module in self._modules.items():
            self._picture(name, module)
        self.functions = {
            id(function): f"{space.name}.{key}"
            for space in self._spaces
            for key, value in space.kept.items()
            if (function := _function(value)) is not None
        }
        self._plugins = self._manager.get_plugins()
        self._hooks = self._all_hooks()
        self._hook = session.config.hook
        self._fixtures = _all_fixtures(session)

    def _picture(self, name: str, module: ModuleType) -> None:
        kept = {key: value for key, value in vars(module).items() if callable(value)}
        self._spaces.append(_Space(name, vars(module), kept))
        for key, value in kept.items():
            if isinstance(value, type) and value.__module__ == name:
                methods = {k: v for k, v in vars(value).items() if _function(v) is not None}
                self._spaces.append(_Space(f"{name}.{key}", vars(value), methods))

    def _all_hooks(self) -> list[tuple[str, tuple[object, ...]]]:
        return [
            (name, tuple(impl.function for impl in hook.get_hookimpls()))
            for name, hook in vars(self._manager.hook).items()
            if hasattr(hook, "get_hookimpls")
        ]

    def changes(self, item: pytest.Item) -> list[str]:
        """What is not as it was, each a few words; an empty list is how it should be."""
        return list(self._changes(item))[:10]

    def _changes(self, item: pytest.Item) -> Iterator[str]:
        for space in self._spaces:
            if space.is_changed():
                yield from space.changes()
        if list(map(sys.modules.get, self._modules)) != list(self._modules.values()):
            yield "modules were replaced"
        if self._manager.get_plugins() != self._plugins:
            yield "the plugins of pytest were changed"
        if self._all_hooks() != self._hooks or item.config.hook is not self._hook:
            yield "the hooks of pytest were changed"
        if _all_fixtures(item.session) != self._fixtures:
            yield "the fixtures of pytest were changed"
        for thing in (item, item.config, item.session, self._manager):
            hidden = [key for key, value in vars(thing).items() if _hides(thing, key, value)]
            if hidden:
                yield f"{type(thing).__name__}.{hidden[0]} was replaced"


class _Space:
    """The names of a module or a class, and what they stood for; quick to look through."""

    def __init__(self, name: str, space: Mapping[str, Any], kept: Mapping[str, object]) -> None:
        self.name = name
        self.space = space
        self.kept = dict(kept)
        self._keys = tuple(self.kept)
        self._values = tuple(self.kept.values())
        self._special = _special(space)
        self._size = len(space)

    def is_changed(self) -> bool:
        if not all(map(operator.is_, map(self.space.get, self._keys), self._values)):
            return True
        return len(self.space) != self._size and _special(self.space) != self._special

    def changes(self) -> Iterator[str]:
        for key, value in self.kept.items():
            if self.space.get(key) is not value:
                yield f"{self.name}.{key} was replaced"
        for key in _special(self.space) - self._special:
            yield f"{self.name}.{key} was added"


def _special(space: Mapping[str, Any]) -> frozenset[str]:
    """The names in a module or class that change what code around them means: those that hide
    built-in ones, and methods that Python itself calls."""
    dunder = {key for key in space if key.startswith("__") and callable(space[key])}
    return frozenset(dunder | (set(vars(builtins)) & set(space)))


def _function(value: object) -> FunctionType | None:
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    return value if isinstance(value, FunctionType) else None


def _all_fixtures(session: pytest.Session) -> dict[str, list[object]]:
    known = getattr(session._fixturemanager, "_arg2fixturedefs", {})
    return {name: [fixture.func for fixture in fixtures] for name, fixtures in known.items()}


def _is_watched(name: str) -> bool:
    top = name.partition(".")[0]
    return (top in OURS and name != "dojo.audit") or top.startswith("test_k")


def _hides(thing: object, key: str, value: object) -> bool:
    if key == "obj" or not callable(value):
        return False
    return isinstance(getattr(type(thing), key, None), FunctionType)


def witnessed(item: pytest.Function, seen: Callable[[], None]) -> None:
    """Have `seen` called when the spec has come to its very end, and not before.

    What pytest says of a spec is believed only together with this.
    """
    import functools
    import inspect

    spec = item.obj
    if inspect.iscoroutinefunction(spec):

        @functools.wraps(spec)
        async def to_the_end(*args: Any, **kwargs: Any) -> None:
            await spec(*args, **kwargs)
            seen()

        item.obj = to_the_end
    else:

        @functools.wraps(spec)
        def to_the_end_at_once(*args: Any, **kwargs: Any) -> None:
            spec(*args, **kwargs)
            seen()

        item.obj = to_the_end_at_once


# ----- what an honest answer never does


def watch(
    kata: str,
    file: str,
    room: str,
    readable: tuple[str, ...],
    hidden: tuple[str, ...],
    functions: Mapping[int, str],
) -> tuple[list[str], list[str]]:
    """Note from now on what the answer in `file` does, in the first list that is returned.

    The second gets what is tampering beyond doubt: one of `functions` was given other code.

    It may do what it likes in the folder `room`, and read what lies below `readable`. Where there
    is something `hidden`, that is refused, and so is writing elsewhere, sending signals and
    starting processes: pass nothing there where walls do that better. An audit hook cannot be
    taken away again.
    """
    evidence: list[str] = []
    tampered: list[str] = []
    known: set[str] = set()
    busy = threading.local()
    module = f"katas.{kata}.app"
    strict = bool(hidden)
    real = os.path.realpath

    def note(what: str, line: int) -> None:
        entry = f"app.py:{line} {what}"
        if entry not in known and len(evidence) < EVIDENCE:
            known.add(entry)
            evidence.append(entry)

    def line_of(frame: FrameType | None, depth: int) -> int | None:
        while frame is not None and depth:
            if frame.f_code.co_filename == file or frame.f_globals.get("__name__") == module:
                return frame.f_lineno
            frame, depth = frame.f_back, depth - 1
        return None

    def how_far(event: str, caller: FrameType) -> int:
        if event not in ("sys._getframe", "object.__getattr__", "object.__setattr__"):
            return FRAMES
        return 4 if caller.f_globals.get("__name__") == "inspect" else 1

    def below(path: str, folders: tuple[str, ...]) -> int:
        """How deep the innermost of `folders` lies that `path` is in; 0 where it is in none."""
        lengths = [len(f) for f in folders if path == f or path.startswith(f + os.sep)]
        return max(lengths, default=0)

    def touched(event: str, args: tuple[Any, ...]) -> None:
        path = args[0] if args else None
        if path is None or isinstance(path, int):
            return
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
        if event == "sqlite3.connect" and (name == ":memory:" or name.startswith("file:")):
            return
        whole = os.path.abspath(name)
        if below(whole, (room,)) and below(real(whole), (room, real(room))):
            return
        writes = event != "open" or bool(
            (args[2] if len(args) > 2 and isinstance(args[2], int) else 0)
            & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if event in ("os.listdir", "os.scandir"):
            writes = False
        refused = strict and (
            below(real(whole), hidden) > below(real(whole), readable)
            or (writes and whole != os.devnull)
        )
        if not writes and not refused and below(whole, readable):
            return
        line = line_of(sys._getframe(2), FRAMES)
        if line is not None:
            note(f"{FILES[event]} what is not its own: {name[:200]}", line)
        if refused:
            raise PermissionError(errno.EACCES, "the grader lets no answer do this", name)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS and event not in FILES and event != "object.__getattr__":
            return
        if getattr(busy, "now", False):
            return
        busy.now = True
        try:
            if event in FILES:
                touched(event, args)
                return
            if event == "object.__setattr__" and id(args[0]) in functions:
                tampered.append(f"{functions[id(args[0])]} was given another {args[1]}")
            what = EVENTS.get(event, "")
            if event == "object.__getattr__":
                if len(args) < 2 or args[1] not in INNER:
                    return
                what = f"looked inside a function or a frame ({args[1]})"
            caller = sys._getframe(1)
            line = line_of(caller, how_far(event, caller))
            if line is not None:
                note(f"{what} ({event})" if "(" not in what else what, line)
            if strict and what in (PROCESSES, SIGNALS, CTYPES):
                raise PermissionError(errno.EACCES, "the grader lets no answer do this", event)
        finally:
            busy.now = False

    sys.addaudithook(hook)
    return evidence, tampered


def suspicious(source: bytes) -> list[str]:
    """What an answer names that an honest one has no use for, read off its text."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            found[f"app.py:{line} names {node.attr}: {NAMES[node.attr]}"] = None
            continue
        elif isinstance(node, ast.Attribute) and node.attr == "modules":
            found[f"app.py:{line} names sys.modules"] = None
            continue
        else:
            continue
        for name in names:
            if name.partition(".")[0] in MODULES:
                found[f"app.py:{line} imports {name}"] = None
    return list(found)[:EVIDENCE]
