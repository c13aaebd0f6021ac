"""What the grader, its worker, its keepers and the processes in cells say to each other."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dojo.grading.routes import Place
from dojo.grading.sandbox.policy import Limits
from dojo.plugin.failures import Failure


@dataclass
class Job:
    """One answer to one kata, and what it may use; only some `specs`, where these are named."""

    kata: str
    source: str
    limits: Limits
    controls: bool = True
    specs: tuple[str, ...] = ()

    @classmethod
    def read(cls, data: dict[str, Any]) -> Job:
        return cls(**{**data, "limits": Limits(**data["limits"]), "specs": tuple(data["specs"])})

    def write(self) -> dict[str, Any]:
        return asdict(self)


class Outcome(BaseModel):
    """What came of one run of a spec, as the process in the cell says it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    spec: str
    passed: bool
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    failure: Failure | None


class Message(BaseModel):
    """One line out of a cell: one of these, and nothing else.

    `trouble` is the cell's own, before it is `locked`; `reached` is the number of a run whose spec
    has come to its end.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    trouble: str = ""
    locked: bool = False
    places: list[Place] = []
    evidence: list[str] = []
    tampered: list[str] = []
    reached: int | None = None
    outcome: Outcome | None = None
    end: bool = False


@dataclass
class Said:
    """What a keeper passes on: the outcomes in the order in which they came, and how it ended.

    Each outcome knows whether it was a `control`, and whether its spec `reached` its end. `broken`
    says that somebody else wrote to the pipe, and `trouble` that the machine failed.
    """

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    tampered: list[str] = field(default_factory=list)
    ended: str = ""
    broken: bool = False
    trouble: str = ""

    @classmethod
    def read(cls, data: dict[str, Any]) -> Said:
        known = {entry.name for entry in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


def send(to: socket.socket, message: dict[str, Any], pipes: tuple[int, ...] = ()) -> None:
    data = json.dumps(message).encode()
    head = len(data).to_bytes(8)
    if pipes:
        socket.send_fds(to, [head], list(pipes))
        to.sendall(data)
    else:
        to.sendall(head + data)


def receive(source: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
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
