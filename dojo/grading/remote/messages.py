"""All that a solution's process may say: models that each message and reply is checked against."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dojo.grading.remote.wire import ProtocolError
from dojo.harness.frames import Traceback

Text = Annotated[str, Field(max_length=4_000)]
Word = Annotated[str, Field(max_length=100)]
Number = Annotated[int, Field(ge=0, le=1_000_000)]
Names = Annotated[list[Annotated[str, Field(max_length=40_000)]], Field(max_length=10_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorData(_Model):
    """An exception of the solution's process.

    `kind` is what the spec's process makes of it, and `cause` what lies behind it. `task` says
    which background task it came out of, counted from 1.
    """

    kind: Literal["assertion", "not reached", "no response", "did not end", "late", "load", "other"]
    type: Word
    text: Text
    not_written: bool = False
    lines: Annotated[list[Number], Field(max_length=20)] = []
    traceback: Traceback | None = None
    task: Number = 0
    cause: ErrorData | None = None
    source: Text = ""
    how: Text = ""
    what: Text = ""
    seconds: float = 0.0


class Doing(_Model):
    """Where something was done, and for which exchange: what only the process itself can know."""

    exchange: Number | None = None
    on_loop: bool = False
    lines: Annotated[list[Number], Field(max_length=100)] = []
    origin: Text = ""


class Happened(Doing):
    """An event of the timeline."""

    say: Literal["event"]
    kind: Word
    detail: Text = ""
    blocking: bool = False
    in_middleware: bool = False
    in_stream: bool = False


class Excepted(_Model):
    """An exception that does not come out of the app."""

    say: Literal["error"]
    traceback: Traceback


class Started(_Model):
    """The app has sent the start of a response."""

    say: Literal["start"]
    exchange: Number
    status: Annotated[int, Field(ge=0, le=10_000)]
    headers: Annotated[list[tuple[bytes, bytes]], Field(max_length=1_000)]


class Sent(_Model):
    """The app has sent a piece of a body."""

    say: Literal["body"]
    exchange: Number
    body: bytes
    more: bool


class Ended(_Model):
    """The app callable has returned."""

    say: Literal["ended"]
    exchange: Number
    raised: ErrorData | None = None
    left_behind: Annotated[list[Text], Field(max_length=1_000)] = []


class Connecting(Doing):
    """The solution is about to connect to the mail server, from this port."""

    say: Literal["connecting"]
    port: Annotated[int, Field(ge=0, le=65_535)]


class Calling(Doing):
    """The solution is about to call a service."""

    say: Literal["call"]
    method: Word
    url: Text
    headers: Annotated[list[tuple[bytes, bytes]], Field(max_length=1_000)]
    body: bytes
    awaited: bool
    limits: dict[Word, float | None] = {}
    at: float


class Endless(_Model):
    """A call of a service has no time limit, and would wait for ever."""

    say: Literal["endless"]
    method: Word
    url: Text


class Unusual(_Model):
    """The solution does what an honest one seldom does; `heavy` asks for a review."""

    say: Literal["unusual"]
    text: Text
    heavy: bool


Saying = Annotated[
    Unusual | Happened | Excepted | Started | Sent | Ended | Connecting | Calling | Endless,
    Field(discriminator="say"),
]


class TaskData(_Model):
    """A background task that the solution has made."""

    name: Text
    where: Text
    misfit: Text
    is_callable: bool
    ran: bool
    exchange: Number | None
    lines: Annotated[list[Number], Field(max_length=1)]


class HoldData(_Model):
    """How a hold stands."""

    what: Text
    reached: Number
    on_loop: bool
    overdue: bool


class MemberData(_Model):
    """Something in the solution's module that a spec asks for."""

    kind: Literal["function", "coroutine function", "object", "value"]
    value: bytes | str | int | float | bool | None = None


class JobData(_Model):
    """A job in a queue; an argument that is no plain data is None."""

    name: Text
    arguments: list[Any]
    message: bytes


class LoggedData(_Model):
    """A record of a log, with the attribute that was asked for."""

    exchange: Number | None
    text: Text
    value: str | int | float | bool | None


@lru_cache(maxsize=100)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(kind: Any, value: object) -> Any:
    """A value that the solution's process has sent, as a `kind`.

    Raises `ProtocolError`.
    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ProtocolError(f"{first['msg']} at {first['loc']}") from None
