"""Tamper detection in the process of a solution.

`Snapshot` finds changes to code, also to the code that a verdict depends on. `watch` notes actions
that are unusual in a solution. Both are evidence for a person to read, of the weight that
`weights` gives it, and take no points. Snapshots, defaults as storage and a type flag set through
ctypes are needed because solution and specs share a process.
"""

from __future__ import annotations

import ast
import builtins
import ctypes
import errno
import gc
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from sys import _getframe
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import freezegun.api
import pytest

from dojo.grading.sandbox.protocol import TrustedValues
from dojo.grading.sandbox.weights import BY_PARTIAL, PLAIN
from dojo.harness.current import current_timeline
from dojo.observers.files import REFUSED

WATCHED = (
    *("dojo", "_pytest", "pytest", "pluggy", "pytest_asyncio", "pytest_timeout", "unittest"),
    *(
        "asyncio",
        "csv",
        "freezegun",
        "hashlib",
        "hmac",
        "io",
        "json",
        "os",
        "pathlib",
        "posixpath",
        "sqlite3",
    ),
)
# Libraries that specs observe with too, but that are too large to compare after each run.
OTHERS = ("PIL", "anyio", "httpx", "starlette")
# The specs observe with classes of these. A change to pytest itself is found by the snapshot.
IMMUTABLE = ("csv", "dojo", "hmac", "json", "pathlib")
MUTABLE = ("JSONEncoder",)  # which people teach to write dates
FLAGS_AT, IMMUTABLE_TYPE = 168, 1 << 8  # `tp_flags` of CPython from 3.10 on, in 64 bits
EVIDENCE = 40
REFUSAL = "the grader does not permit this to a solution"
FRAMES = 200

PROCESSES = "started a process"
SIGNALS = "sent a signal"
CTYPES = "used ctypes"
EVENTS = {
    "gc.get_objects": "looked through all objects of the process",
    "gc.get_referrers": "looked through all objects of the process",
    "gc.get_referents": "looked through all objects of the process",
    "sys._getframe": "looked at the frames of its callers",
    "sys._current_frames": "looked at the frames of all threads",
    "sys.settrace": "traced the interpreter",
    "sys.setprofile": "traced the interpreter",
    "sys.addaudithook": "added an audit hook",
    "object.__setattr__": "changed the inside of a function or a class",
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
PAST_THE_ENGINE = (
    "used the database on the event loop's thread, past SQLAlchemy, where no spec sees it"
)
SPEC_NAME = "PYTEST_CURRENT_TEST"
INNER = ("tb_frame", "gi_frame", "cr_frame", "ag_frame", "__code__", "func_code", "__closure__")
NEAR = ("sys._getframe", "sys._current_frames", "object.__getattr__", "object.__setattr__")
FILES = {
    "open": "opened",
    "os.listdir": "listed",
    "os.mkdir": "made",
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
    REFUSED: "tried to write",
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
    "__globals__": "the names of other modules",
    "__builtins__": "the built-in names",
    "__self__": "the object of a method",
    "cell_contents": "closures",
    "get_objects": "all objects",
    "get_referrers": "all objects",
    "_exit": "the end of the process",
}
MODULES = ("_pytest", "ctypes", "dojo", "gc", "pluggy", "pytest", "solutions", "tests")


# ----- changes to the code that a verdict depends on

Check = Callable[[pytest.Item], list[str]]


class Snapshot:
    """Everything that a verdict depends on, to compare with later.

    That is: the functions and classes of pytest, its plugins and the dojo, the parts of Python's
    own library that they use, the specs themselves, the built-in names, and the plugins, hooks and
    fixtures of pytest.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        modules = {n: m for n, m in sys.modules.items() if isinstance(m, ModuleType)}
        self._modules = {name: module for name, module in modules.items() if _is_watched(name)}
        self._spaces = [_Namespace("builtins", vars(builtins))]
        for name, module in self._modules.items():
            self._spaces += _spaces_of(name, module)
        self._others = [
            space
            for name, module in modules.items()
            if name not in self._modules
            and (
                name.partition(".")[0] in sys.stdlib_module_names
                or name.partition(".")[0] in OTHERS
            )
            and name.partition(".")[0] != "logging"  # which the dojo changes for each spec
            for space in _spaces_of(name, module)
        ]
        self.functions = {
            id(function): f"{space.name}.{key}"
            for space in self._spaces
            for key, value in space.kept.items()
            if (function := _function(value)) is not None
        }
        self.trusted = TrustedValues((ModuleType, *_kinds(self._modules)), _codes(self._modules))
        self._data = {
            name: {key: repr(value) for key, value in vars(module).items() if _is_data(key, value)}
            for name, module in self._modules.items()
            if name.startswith("test_k")
        }

    def checks(self, session: pytest.Session, own: list[object]) -> tuple[Check, Callable[[], Any]]:
        """A quick and a thorough check for changes since now.

        The checks look up no names, which could be changed: everything is in their defaults.
        """
        manager = session.config.pluginmanager
        things = (session, session.config, manager, *own)
        now = (
            tuple(space.freeze() for space in self._spaces),
            tuple(self._modules.items()),
            (manager, manager.get_plugins(), _hooks(manager), session.config.hook),
            (session, _fixtures(session)),
            tuple((thing, type(thing)) for thing in things),
            tuple((name, tuple(data.items())) for name, data in self._data.items()),
        )

        def check(
            item: pytest.Item,
            _now: Any = now,
            _all: Any = all,
            _map: Any = map,
            _is: Any = operator.is_,
            _len: Any = len,
            _modules: Any = sys.modules.get,
            _hooks: Any = _hooks,
            _fixtures: Any = _fixtures,
            _hidden: Any = _hidden,
            _type: Any = type,
            _repr: Any = repr,
            _vars: Any = vars,
            _replaced: Any = _replaced,
            _added: Any = _added,
        ) -> list[str]:
            spaces, modules, pytests, (session, fixtures), things, data = _now
            found: list[str] = []
            for name, space, get, keys, kept, acting in spaces:
                if not _all(_map(_is, _map(get, keys), kept)):
                    found += _replaced(name, get, keys, kept)
                if _len(space) != acting[0]:
                    found += _added(name, space, acting[1])
            for name, module in modules:
                if _modules(name) is not module:
                    found.append(f"the module {name} was replaced")
            manager, plugins, hooks, hook = pytests
            if manager.get_plugins() != plugins:
                found.append("the plugins of pytest were changed")
            if _hooks(manager) != hooks or session.config.hook is not hook:
                found.append("the hooks of pytest were changed")
            if _fixtures(session) != fixtures:
                found.append("the fixtures of pytest were changed")
            for thing, kind in things:
                if _type(thing) is not kind:
                    found.append(f"a {kind.__name__} got another class")
                found += _hidden(thing)
            for name, before in data:
                space = _vars(_modules(name))
                if not _all(_repr(space.get(key)) == was for key, was in before):
                    found.append(f"the data of {name} was changed")
            return [*found, *_hidden(item)][:10]

        others = tuple(space.freeze() for space in self._others)

        def check_all(_others: Any = others, _replaced: Any = _replaced) -> list[str]:
            return [
                entry
                for name, _, get, keys, kept, _ in _others
                for entry in _replaced(name, get, keys, kept)
            ][:10]

        return check, check_all


class _Namespace:
    """The names of a module or a class, and their values."""

    def __init__(self, name: str, space: Mapping[str, Any]) -> None:
        self.name = name
        self.space = space
        is_class = not isinstance(space, dict)
        self.kept = {
            key: value
            for key, value in space.items()
            if (_acts(value) if is_class else callable(value) or isinstance(value, ModuleType))
        }

    def freeze(self) -> tuple[Any, ...]:
        """The current state, as immutable data."""
        acting = (len(self.space), _acting(self.name, self.space))
        keys, values = tuple(self.kept), tuple(self.kept.values())
        return self.name, self.space, self.space.get, keys, values, acting


def _acting(name: str, space: Mapping[str, Any]) -> frozenset[str]:
    """The names that change the meaning of other code, whatever their values are.

    In a class these are all methods and properties, in a module those that hide built-in names.
    """
    if isinstance(space, dict):
        return frozenset(vars(builtins)) & frozenset(space)
    names = frozenset(key for key, value in space.items() if _acts(value))
    # freezegun gives the class of the event loop a clock of its own.
    return names - {"time"} if name.startswith("asyncio.") else names


def _replaced(name: str, get: Any, keys: tuple[str, ...], kept: tuple[object, ...]) -> list[str]:
    return [
        f"{name}.{key} {BY_PARTIAL if _only_fills_in(value, get(key)) else 'was replaced'}"
        for key, value in zip(keys, kept, strict=True)
        if get(key) is not value and not _is_frozen(value, get(key))
    ]


def _added(name: str, space: Mapping[str, Any], before: frozenset[str]) -> list[str]:
    return [f"{name}.{key} was added" for key in sorted(_acting(name, space) - before)]


def _only_fills_in(real: object, now: object) -> bool:
    """Whether `now` is `real` with plain values for some of its options."""
    return (
        type(now) is partial
        and now.func is real
        and not now.args
        and all(
            type(value) in PLAIN or option == "default" for option, value in now.keywords.items()
        )
    )


def _is_frozen(real: object, now: object) -> bool:
    """Whether `now` is the replacement that freezegun has for just this function or class."""
    return any(real is function and now is fake for function, fake in _FROZEN)


_FROZEN = tuple(
    (vars(freezegun.api)[f"real_{name}"], fake)
    for name, fake in (
        (fake_name.lower().removeprefix("fake").removeprefix("_"), fake)
        for fake_name, fake in vars(freezegun.api).items()
        if fake_name.lower().startswith("fake")
    )
    if f"real_{name}" in vars(freezegun.api)
)


def _spaces_of(name: str, module: ModuleType) -> Iterator[_Namespace]:
    yield _Namespace(name, vars(module))
    for key, value in list(vars(module).items()):
        if isinstance(value, type) and value.__module__ == name:
            yield _Namespace(f"{name}.{key}", vars(value))


def _kinds(modules: Mapping[str, ModuleType]) -> Iterator[type]:
    """The classes of the dojo."""
    for name, module in modules.items():
        for value in vars(module).values() if name.partition(".")[0] == "dojo" else ():
            if isinstance(value, type) and value.__module__ == name:
                yield value


def _codes(modules: Mapping[str, ModuleType]) -> dict[CodeType, dict[str, Any]]:
    """The code of all functions of the dojo and the specs, with their globals."""
    found: dict[CodeType, dict[str, Any]] = {}
    spaces = {id(vars(m)) for name, m in modules.items() if name.startswith(("dojo.", "test_k"))}
    for function in gc.get_objects():
        if type(function) is FunctionType and id(function.__globals__) in spaces:
            waiting = [function.__code__]
            while waiting:
                code = waiting.pop()
                found[code] = function.__globals__
                waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
    return found


def _acts(value: object) -> bool:
    """Whether an attribute of a class is a method, a property or a slot."""
    return callable(value) or hasattr(type(value), "__get__")


def _function(value: object) -> FunctionType | None:
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    return value if isinstance(value, FunctionType) else None


def _hooks(manager: Any) -> list[tuple[str, tuple[object, ...]]]:
    return [
        (name, tuple(impl.function for impl in hook.get_hookimpls()))
        for name, hook in vars(manager.hook).items()
        if hasattr(hook, "get_hookimpls")
    ]


def _fixtures(session: pytest.Session) -> list[tuple[object, ...]]:
    """All fixtures, each with its function, type and attributes.

    pytest keeps them in several containers, and in different ones in different versions.
    """
    found: list[tuple[object, ...]] = []
    known = vars(vars(session)["_fixturemanager"])
    waiting = [value for value in known.values() if _holds(value)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [entry for entry in value.values() if _holds(entry)]
        elif isinstance(value, list | tuple):
            waiting += [entry for entry in value if _holds(entry)]
        else:
            found.append((id(value), value.func, type(value), frozenset(vars(value))))
    return found


def _holds(value: object) -> bool:
    return isinstance(value, dict | list | tuple | pytest.FixtureDef)


def _hidden(thing: object) -> list[str]:
    """The methods of an object that an attribute of the object itself hides."""
    return [
        f"{type(thing).__name__}.{key} was replaced"
        for key, value in vars(thing).items()
        if key != "obj"
        and callable(value)
        and isinstance(getattr(type(thing), key, None), FunctionType)
    ]


def _is_data(key: str, value: object) -> bool:
    return not key.startswith(("__", "@")) and isinstance(
        value, str | bytes | int | float | tuple | list | dict
    )


def _is_watched(name: str) -> bool:
    top = name.partition(".")[0]
    return top in WATCHED or top.startswith("test_k")


def make_immutable() -> None:
    """Make CPython refuse changes to the classes that the specs observe with.

    The flag of built-in types does this, for which Python has no API; so it is set through ctypes.
    Where types have another layout they stay as they are, and the snapshot finds changes.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in IMMUTABLE and isinstance(module, ModuleType):
            for value in list(vars(module).values()):
                if (
                    isinstance(value, type)
                    and value.__module__ == name
                    and value.__name__ not in MUTABLE
                ):
                    flags = ctypes.c_ulong.from_address(id(value) + FLAGS_AT)
                    if flags.value == value.__flags__:
                        flags.value |= IMMUTABLE_TYPE


def refuse_programs() -> None:
    """Replace the functions that start a program without an audit event.

    It is for machines without namespaces, and must come before the snapshot.
    """

    def refuse(*_arguments: object, **_options: object) -> object:
        raise PermissionError(errno.EACCES, REFUSAL)

    for module, name in (("_posixsubprocess", "fork_exec"), ("subprocess", "_fork_exec")):
        if hasattr(sys.modules.get(module), name):
            setattr(sys.modules[module], name, refuse)


# ----- actions that no honest solution needs


def watch(
    kata: str,
    file: str,
    folder: str,
    readable: tuple[str, ...],
    hidden: tuple[str, ...],
    functions: Mapping[int, str],
    channel: object,
    send: Callable[[dict[str, Any]], None],
) -> list[str]:
    """Note from now on the suspicious actions of the solution in `file`, and send them at once.

    The returned list collects changes to the code of `functions`. It is tampering to inspect the
    `channel`. The solution may do anything in `folder`, and read below `readable`.
    If `hidden` is not empty, access to it is refused, and so are writing elsewhere, signals and
    processes; inside namespaces pass nothing there. An audit hook cannot be removed again.
    """
    changed: list[str] = []
    functions = dict(functions)
    known: set[str] = set()
    busy = threading.local()
    module = f"katas.{kata}.app"
    strict = bool(hidden)
    real = os.path.realpath

    def note(what: str, line: int, weight: str = "evidence") -> None:
        entry = f"app.py:{line} {what}"
        if entry not in known and len(known) < EVIDENCE:
            known.add(entry)
            send({weight: [entry]})

    def line_of(frame: FrameType | None, depth: int) -> int | None:
        while frame is not None and depth:
            if frame.f_code.co_filename == file or frame.f_globals.get("__name__") == module:
                return frame.f_lineno
            frame, depth = frame.f_back, depth - 1
        return None

    def how_far(event: str, caller: FrameType) -> int:
        if event not in NEAR:
            return FRAMES
        return 4 if caller.f_globals.get("__name__") == "inspect" else 1

    def below(path: str, folders: tuple[str, ...]) -> int:
        """The length of the longest of `folders` that holds `path`; 0 where none does."""
        lengths = [len(f) for f in folders if path == f or path.startswith(f + os.sep)]
        return max(lengths, default=0)

    def check_path(event: str, args: tuple[Any, ...]) -> None:
        path = args[0] if args else None
        if path is None or isinstance(path, int):
            return
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
        if event == "sqlite3.connect" and (name == ":memory:" or name.startswith("file:")):
            return
        whole = os.path.abspath(name)
        if below(whole, (folder,)) and below(real(whole), (folder, real(folder))):
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
        line = line_of(_getframe(2), FRAMES)
        if line is not None:
            note(f"{FILES[event]} a path outside its folder: {name[:200]}", line)
        if refused:
            raise PermissionError(errno.EACCES, REFUSAL, name)

    def check_connection(caller: FrameType) -> None:
        """Note a connection that the solution itself makes where it keeps the loop busy."""
        timeline = current_timeline()
        line = line_of(caller, 1)
        busy_loop = timeline is not None and timeline.under_way and timeline.on_loop()
        if line is not None and busy_loop:
            note(PAST_THE_ENGINE, line, "heavy")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS and event not in FILES and event != "object.__getattr__":
            return
        if getattr(busy, "now", False):
            return
        busy.now = True
        try:
            if event == "sqlite3.connect" and args[0] != ":memory:":
                check_connection(_getframe(1))
            if event in FILES:
                check_path(event, args)
                return
            if event == "object.__setattr__" and id(args[0]) in functions:
                changed.append(f"{functions[id(args[0])]} was given another {args[1]}")
            if event == "object.__getattr__" and args[0] is channel:
                send({"tampered": ["the solution inspected the channel of the runner"]})
            what = EVENTS.get(event, "")
            if event == "object.__getattr__":
                if len(args) < 2 or args[1] not in INNER:
                    return
                what = f"looked inside a function or a frame ({args[1]})"
            caller = _getframe(1)
            line = line_of(caller, how_far(event, caller))
            if line is not None:
                note(f"{what} ({event})" if "(" not in what else what, line)
            if strict and what in (PROCESSES, SIGNALS, CTYPES):
                raise PermissionError(errno.EACCES, REFUSAL, event)
        finally:
            busy.now = False

    sys.addaudithook(hook)
    return changed


def reads_the_name_of_the_spec(source: bytes) -> list[str]:
    """The lines of a solution that name the variable in which pytest has the name of a spec."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        f"app.py:{node.lineno} asks for the name of the spec ({SPEC_NAME})"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SPEC_NAME in node.value
        and id(node) not in texts
    ][:EVIDENCE]


def suspicious(source: bytes) -> list[str]:
    """The names in the text of a solution that an honest one does not need."""
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
