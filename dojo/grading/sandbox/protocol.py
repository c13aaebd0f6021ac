"""The messages between grader, fork server, supervisor and sandbox, and the channel out of it.

Each line of the channel carries a seal over its number and its text, made with a key that only a
generator's frame holds. The audit hook sees code that inspects this frame, and the stack shows
code that calls in place of the runner. A solution runs in the same process, so everything that the
channel calls is bound to local names before a solution is loaded: later patches do not reach it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from json import encoder
from sys import _getframe
from types import CodeType, FrameType, FunctionType, MappingProxyType, MethodType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dojo.grading.routes import Route
from dojo.grading.sandbox.limits import Limits
from dojo.plugin.failures import Failure

SEAL = 16
FREE = ("evidence", "heavy", "loading", "tampered")  # messages that any frame may send
PLAIN = (bool, bytes, float, int, str)

Send = Callable[[dict[str, Any]], None]
Ask = Callable[[int], bool]
Channel = Generator[bool, dict[str, Any] | None, None]


@dataclass
class Job:
    """One submitted solution to grade, with its limits; `specs` names some specs, () means all."""

    kata: str
    source: str
    limits: Limits
    controls: bool = True
    specs: tuple[str, ...] = ()

    @classmethod
    def read(cls, data: dict[str, Any]) -> Job:
        """The job that `write` gave."""
        return cls(**{**data, "limits": Limits(**data["limits"]), "specs": tuple(data["specs"])})

    def write(self) -> dict[str, Any]:
        """The job as plain data."""
        return asdict(self)


class Outcome(BaseModel):
    """The outcome of one run of a spec, as the process in the sandbox sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    spec: str
    passed: bool
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    failure: Failure | None


class Message(BaseModel):
    """One line out of a sandbox, with exactly one of these fields.

    `trouble` is a failure of the sandbox before it is `locked`, and `ready` comes last before the
    solution's own code; `loading` says when the solution begins and ends to be loaded for a spec.
    `heavy` is evidence that asks for a
    review, `tampered` that the protocol was forged. `reached` is the number of a run
    whose spec has come to its end.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    trouble: str = ""
    locked: bool = False
    ready: bool = False
    loading: bool | None = None
    routes: list[Route] = []
    evidence: list[str] = []
    heavy: list[str] = []
    tampered: list[str] = []
    reached: int | None = None
    outcome: Outcome | None = None
    end: bool = False


@dataclass
class JobReport:
    """The report of a supervisor: the outcomes in the order of arrival, and how the job ended.

    Each outcome has a `control` flag and a flag for having `reached` the end of its spec. `broken`
    means that something else wrote to the pipe, `trouble` that the machine failed.
    """

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    heavy: list[str] = field(default_factory=list)
    tampered: list[str] = field(default_factory=list)
    ended: str = ""
    broken: bool = False
    trouble: str = ""

    def take(self, specs: set[str], other: JobReport) -> None:
        """Take the outcomes of some specs from a report on a job that ran them again."""
        ran = [outcome["spec"] for outcome in other.outcomes]
        complete = {spec for spec in specs if ran.count(spec) == 2}
        kept = [outcome for outcome in self.outcomes if outcome["spec"] not in complete]
        self.outcomes = [*kept, *(o for o in other.outcomes if o["spec"] in complete)]
        self.evidence += other.evidence
        self.heavy += other.heavy
        self.tampered += other.tampered
        self.broken |= other.broken

    @classmethod
    def read(cls, data: dict[str, Any]) -> JobReport:
        """The report that is in `data`; unknown keys are ignored."""
        known = {entry.name for entry in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


def send_message(to: socket.socket, message: dict[str, Any], pipes: tuple[int, ...] = ()) -> None:
    """Send a message, and the descriptors `pipes` with it."""
    data = json.dumps(message).encode()
    head = len(data).to_bytes(8)
    if pipes:
        socket.send_fds(to, [head], list(pipes))
        to.sendall(data)
    else:
        to.sendall(head + data)


def receive_message(source: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Receive a message and its descriptors; None where the other end was closed."""
    head, pipes, _, _ = socket.recv_fds(source, 8, 4)
    while 0 < len(head) < 8:
        head += source.recv(8 - len(head))
    if not head:
        return None, pipes
    left = int.from_bytes(head)
    parts = []
    while left:
        part = source.recv(min(left, 1 << 20))
        if not part:
            return None, pipes
        parts.append(part)
        left -= len(part)
    message: dict[str, Any] = json.loads(b"".join(parts))
    return message, pipes


# ----- the channel out of the sandbox


def seal(key: bytes, number: int, text: bytes) -> bytes:
    """The seal of line `number` of a channel, as hexadecimal digits."""
    return _digest(hashlib.blake2b(key=key, digest_size=SEAL), number, text)


def _digest(keyed: hashlib.blake2b, number: int, text: bytes) -> bytes:
    sealed = keyed.copy()
    sealed.update(number.to_bytes(8) + text)
    return sealed.hexdigest().encode("ascii")


def _encoder() -> Callable[[Any], str]:
    """JSON by the C function that Python code cannot change, where there is one."""
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(ensure_ascii=False).encode
    words = (None, _unknown, encoder.encode_basestring, None, ": ", ", ")
    encode = make(*words, False, False, True)
    return lambda message, _encode=encode, _join="".join: _join(_encode(message, 0))  # type: ignore[misc]


def _unknown(value: object) -> object:
    raise TypeError(f"{type(value).__name__} cannot be sent")


def open_channel(
    pipe: int, replies: int, key: bytes, is_solution: Callable[[FrameType], bool]
) -> tuple[Channel, Send, Ask]:
    """The channel, and the functions that send a message and ask a question through it.

    A message has one key of those that `Message` knows, or is for the channel alone: `home`, with
    the specs of all runs and the values that may be given to them (`TrustedValues`), and `began`,
    from the frame of a spec's run. `ask` reports that a spec has come to its end, and returns
    whether it may pass. `is_solution` recognises a frame of the submitted solution.
    """
    channel = _channel(pipe, replies, key, is_solution)
    next(channel)
    lock = threading.RLock()

    def send(message: dict[str, Any], _send: Any = channel.send, _lock: Any = lock) -> None:
        with _lock:
            _send(message)

    def ask(run: int, _send: Any = channel.send, _lock: Any = lock) -> bool:
        with _lock:
            return bool(_send({"reached": run}))

    _CALLERS.update((send.__code__, ask.__code__))
    return channel, send, ask


_CALLERS: set[CodeType] = set()


class TrustedValues:
    """The values that the fixtures of a spec may have.

    These are objects of the dojo's own classes, functions of its own code with its own globals,
    such a function with plain data filled in, and None.
    """

    def __init__(
        self,
        kinds: tuple[type, ...] = (),
        codes: Mapping[CodeType, dict[str, Any]] = MappingProxyType({}),
    ) -> None:
        self._kinds = kinds
        self._codes = codes

    def includes(self, value: object) -> bool:
        """Whether a fixture may have this value."""
        kind = type(value)
        if isinstance(value, FunctionType) and kind is FunctionType:
            return self._codes.get(value.__code__) is value.__globals__
        if isinstance(value, MethodType) and kind is MethodType:
            return self.includes(value.__self__) and self.includes(value.__func__)
        if isinstance(value, partial) and kind is partial:
            filled_in = (*value.args, *value.keywords.values())
            return self.includes(value.func) and all(
                type(entry) in PLAIN or self.includes(entry) for entry in filled_in
            )
        return value is None or any(kind is known for known in self._kinds)


def _signal_holders() -> tuple[Callable[[], Any], Callable[[Any], object]]:
    """Functions that block all signals and put back what was blocked; no-ops on Windows."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:
        return (lambda: None), (lambda _before: None)
    every = signal.valid_signals()
    return partial(mask, signal.SIG_BLOCK, every), partial(mask, signal.SIG_SETMASK)


def _channel(
    pipe: int, replies: int, key: bytes, is_solution: Callable[[FrameType], bool]
) -> Channel:
    write, read, leave, about = os.write, os.read, os._exit, os.fstat
    hold_signals, release_signals = _signal_holders()
    getframe, callers, encode, digest = _getframe, _CALLERS, _encoder(), _digest
    keyed = hashlib.blake2b(key=key, digest_size=SEAL)
    key = b""
    inode, getpid = about(pipe).st_ino, os.getpid
    here = getpid()
    number = 0
    reply = False

    def write_line(message: dict[str, Any]) -> None:
        nonlocal number
        text = encode(message).encode("utf-8", "replace")
        line = digest(keyed, number, text) + text + b"\n"
        number += 1
        if about(pipe).st_ino != inode:
            leave(70)
        while line:
            line = line[write(pipe, line) :]

    home: FrameType | None = None
    runs: list[tuple[object, tuple[object, ...]]] = []
    trusted = TrustedValues()
    run, began, ended = -1, None, False
    why = ""

    def is_right(message: dict[str, Any], caller: FrameType | None) -> bool:
        """Whether `caller` may send this message: no other frame can take its place."""
        nonlocal home, runs, trusted, run, began, ended, why
        if "locked" in message or "trouble" in message:
            return home is None
        if "home" in message:
            first, home = home is None, caller
            runs, trusted = message["home"]
            return first
        if "began" in message:
            run, began, ended = run + 1, caller, False
            if (
                caller is None
                or run >= len(runs)
                or caller.f_locals.get("_spec") is not runs[run][0]
            ):
                return False
            why = _foreign(caller, runs[run][1], trusted)
            return not why
        if "reached" in message:
            right = began is not None and not ended and message["reached"] == run
            ended = True
            return right and caller is not None and caller.f_back is began
        if "outcome" in message and began is None:
            run += 1  # its spec did not begin
        began = None
        return caller is home

    while True:
        message = yield reply
        if message is None or getpid() != here:  # a process that the solution forked
            continue
        before = hold_signals()
        if next(iter(message)) not in FREE:
            frame: FrameType | None = getframe(1)
            caller = frame.f_back if frame is not None else None
            right = frame is not None and frame.f_code in callers and is_right(message, caller)
            while frame is not None:
                right = right and not is_solution(frame)
                frame = frame.f_back
            if not right:
                note = f"the solution sent a message in place of the runner{why}"
                write_line({"tampered": [note]})
                leave(70)
        if "home" not in message and "began" not in message:
            write_line(message)
        reply = "reached" in message and read(replies, 1) == b"y"
        release_signals(before)


def _foreign(frame: FrameType, cases: tuple[object, ...], trusted: TrustedValues) -> str:
    """The fixture of a run that is neither trusted nor one of its cases, in words; or ""."""
    for name, value in frame.f_locals.get("given", {}).items():
        if not trusted.includes(value) and not any(value is case for case in cases):
            kind = type(value).__name__
            return f": its fixture `{name}` is a {kind}, which is not one of the dojo's"
    return ""
