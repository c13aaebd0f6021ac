"""The channel out of the cell: what the runner says and asks there, and nobody else can.

Each line carries a seal over its number and its text, made with a key that only a generator's frame
holds. Who looks into that frame is seen by the audit hook, and who calls in the runner's place is
seen on the stack. All that is needed is bound before an answer is loaded: what is patched later is
not what is called here.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from functools import partial
from json import encoder
from types import CodeType, FrameType, FunctionType, MappingProxyType, MethodType
from typing import Any

SEAL = 16
FREE = ("evidence", "tampered")
PLAIN = (bool, bytes, float, int, str)

Tell = Callable[[dict[str, Any]], None]
Ask = Callable[[int], bool]
Channel = Generator[bool, dict[str, Any] | None, None]


def seal(key: bytes, number: int, text: bytes) -> bytes:
    """What must stand before line `number` of a channel, as hexadecimal digits."""
    return _digest(hashlib.blake2b(key=key, digest_size=SEAL), number, text)


def _digest(keyed: hashlib.blake2b, number: int, text: bytes) -> bytes:
    sealed = keyed.copy()
    sealed.update(number.to_bytes(8) + text)
    return sealed.hexdigest().encode("ascii")


def _encoder() -> Callable[[Any], str]:
    """JSON by the C function that nobody can change, where there is one."""
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(ensure_ascii=False).encode
    words = (None, _unknown, encoder.encode_basestring, None, ": ", ", ")
    encode = make(*words, False, False, True)
    return lambda message, _encode=encode, _join="".join: _join(_encode(message, 0))  # type: ignore[misc]


def _unknown(value: object) -> object:
    raise TypeError(f"{type(value).__name__} cannot be said")


def open_channel(
    pipe: int, replies: int, key: bytes, is_the_answers: Callable[[FrameType], bool]
) -> tuple[Channel, Tell, Ask]:
    """The channel, and how to tell and ask something through it.

    What is told has one key of those that `protocol.Message` knows, or is for the channel alone:
    `home`, the specs of all runs and what they may be given (`Ours`), and `began`, from the
    frame of a spec's run. To ask is to say that a spec has come to its end, and to be told whether
    it may pass.
    """
    channel = _channel(pipe, replies, key, is_the_answers)
    next(channel)
    lock = threading.RLock()

    def tell(message: dict[str, Any], _send: Any = channel.send, _lock: Any = lock) -> None:
        with _lock:
            _send(message)

    def ask(run: int, _send: Any = channel.send, _lock: Any = lock) -> bool:
        with _lock:
            return bool(_send({"reached": run}))

    _CALLERS.update((tell.__code__, ask.__code__))
    return channel, tell, ask


_CALLERS: set[CodeType] = set()


class Ours:
    """What the fixtures of a spec may be: things of these classes, and functions of this code,
    each with the names of its module; and such a function with plain data filled in."""

    def __init__(
        self,
        kinds: tuple[type, ...] = (),
        codes: Mapping[CodeType, dict[str, Any]] = MappingProxyType({}),
    ) -> None:
        self._kinds = kinds
        self._codes = codes

    def holds(self, value: object) -> bool:
        kind = type(value)
        if isinstance(value, FunctionType) and kind is FunctionType:
            return self._codes.get(value.__code__) is value.__globals__
        if isinstance(value, MethodType) and kind is MethodType:
            return self.holds(value.__self__) and self.holds(value.__func__)
        if isinstance(value, partial) and kind is partial:
            filled_in = (*value.args, *value.keywords.values())
            return self.holds(value.func) and all(
                type(entry) in PLAIN or self.holds(entry) for entry in filled_in
            )
        return value is None or any(kind is known for known in self._kinds)


def _channel(
    pipe: int, replies: int, key: bytes, is_the_answers: Callable[[FrameType], bool]
) -> Channel:
    write, read, leave, about = os.write, os.read, os._exit, os.fstat
    mask, block, put_back = signal.pthread_sigmask, signal.SIG_BLOCK, signal.SIG_SETMASK
    all_signals = signal.valid_signals()
    getframe, callers, encode, digest = sys._getframe, _CALLERS, _encoder(), _digest
    keyed = hashlib.blake2b(key=key, digest_size=SEAL)
    key = b""
    inode, getpid = about(pipe).st_ino, os.getpid
    here = getpid()
    number = 0
    reply = False

    def send(message: dict[str, Any]) -> None:
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
    ours = Ours()
    run, began, ended = -1, None, False
    why = ""

    def is_right(message: dict[str, Any], caller: FrameType | None) -> bool:
        """Whether this can be said by the frame that says it: no other can take its place."""
        nonlocal home, runs, ours, run, began, ended, why
        if "locked" in message or "trouble" in message:
            return home is None
        if "home" in message:
            first, home = home is None, caller
            runs, ours = message["home"]
            return first
        if "began" in message:
            run, began, ended = run + 1, caller, False
            if (
                caller is None
                or run >= len(runs)
                or caller.f_locals.get("_spec") is not runs[run][0]
            ):
                return False
            why = _foreign(caller, runs[run][1], ours)
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
        if message is None or getpid() != here:  # what an answer has forked says nothing
            continue
        before = mask(block, all_signals)
        if next(iter(message)) not in FREE:
            frame: FrameType | None = getframe(1)
            caller = frame.f_back if frame is not None else None
            right = frame is not None and frame.f_code in callers and is_right(message, caller)
            while frame is not None:
                right = right and not is_the_answers(frame)
                frame = frame.f_back
            if not right:
                send({"tampered": [f"the answer spoke in the place of the runner{why}"]})
                leave(70)
        if "home" not in message and "began" not in message:
            send(message)
        reply = "reached" in message and read(replies, 1) == b"y"
        mask(put_back, before)


def _foreign(frame: FrameType, cases: tuple[object, ...], ours: Ours) -> str:
    """What a run of a spec is given that is neither ours nor one of its cases; "" for nothing."""
    for name, value in frame.f_locals.get("given", {}).items():
        if not ours.holds(value) and not any(value is case for case in cases):
            return f": its fixture `{name}` is a {type(value).__name__}, which is not the dojo's"
    return ""
