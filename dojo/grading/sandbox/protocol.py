"""The messages between the grader, its servers, and the processes of one job."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dojo.grading.sandbox.limits import Limits


@dataclass
class Job:
    """One submitted solution to grade, with its limits; `specs` names some specs, () means all."""

    kata: str
    source: str
    limits: Limits
    specs: tuple[str, ...] = ()

    @classmethod
    def read(cls, data: dict[str, Any]) -> Job:
        """The job that `write` gave."""
        return cls(**{**data, "limits": Limits(**data["limits"]), "specs": tuple(data["specs"])})

    def write(self) -> dict[str, Any]:
        """The job as plain data."""
        return asdict(self)


@dataclass
class JobReport:
    """The report on a job: the outcomes in the order of arrival, and how the job ended.

    `heavy` is evidence that asks for a review, `tampered` that the protocol was forged, and
    `trouble` that the machine failed. `processes` is how many the solution had.
    """

    outcomes: list[dict[str, Any]] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    heavy: list[str] = field(default_factory=list)
    tampered: list[str] = field(default_factory=list)
    ended: str = ""
    trouble: str = ""
    processes: int = 0

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
