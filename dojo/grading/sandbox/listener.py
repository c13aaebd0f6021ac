"""The receiving end of the protocol: what the supervisor believes of a sandbox's messages."""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Callable, Sequence

from pydantic import ValidationError

from dojo.grading.sandbox.protocol import SEAL, Job, JobReport, Message, seal

MOST = 64 << 20  # bytes out of one sandbox
DIGITS = frozenset(b"0123456789abcdef")


def plan(specs: Sequence[str], job: Job) -> list[tuple[str, bool]]:
    """The runs in their order, and whether each is a control; kept outside the sandbox."""
    runs = []
    for spec in specs:
        first = bool(secrets.randbelow(2))
        sides = [first, not first] if job.controls else [False]
        runs += [(spec, control) for control in sides]
    return runs


class Listener:
    """Reads the messages of a sandbox, replies, and fills in the job's report.

    It accepts only lines with the right seal that are possible at that moment of the protocol.
    `done` says that nothing more will come, `ready` that the solution's own code may have begun,
    `loading` that the solution is being loaded for a spec.
    """

    def __init__(
        self,
        key: bytes,
        report: JobReport,
        runs: list[tuple[str, bool]],
        reply: Callable[[bytes], object],
    ) -> None:
        self.done = False
        self.ready = False
        self.loading = False
        self._key = key
        self._report = report
        self._runs = runs
        self._reply = reply
        self._rest = bytearray()
        self._size = 0
        self._number = 0
        self._run = 0
        self._reached = False
        self._locked = False

    def feed(self, part: bytes) -> None:
        """Take the next bytes of the pipe; empty bytes are its end."""
        searched = len(self._rest)
        self._size += len(part)
        self._rest += part
        if not part:
            # Half a line with the start of a seal is no forgery: the process may have ended there.
            self._report.broken |= not DIGITS.issuperset(self._rest[: 2 * SEAL])
            self.done = True
        elif self._size > MOST:
            self._report.broken = self.done = True
        while not self.done and (cut := self._rest.find(b"\n", searched)) >= 0:
            line = bytes(self._rest[:cut])
            del self._rest[: cut + 1]
            searched = 0
            self._read(line)

    def _read(self, line: bytes) -> None:
        head, text = line[: 2 * SEAL], line[2 * SEAL :]
        right = hmac.compare_digest(head, seal(self._key, self._number, text))
        self._number += 1
        try:
            message = Message.model_validate_json(text) if right else None
        except ValidationError:
            message = None
        if message is None or not self._is_possible(message):
            self._report.broken = self.done = True
            return
        self._locked |= message.locked
        self.ready |= message.ready
        if message.loading is not None:
            self.loading = message.loading
        self._report.routes += message.routes
        self._report.evidence += message.evidence
        self._report.heavy += message.heavy
        self._report.tampered += message.tampered
        self._report.trouble = message.trouble or self._report.trouble
        if message.reached is not None:
            self._reached = True
            # The process may have ended meanwhile; then no outcome follows.
            with contextlib.suppress(OSError):
                self._reply(b"n" if self._runs[self._run][1] else b"y")
        if message.outcome is not None:
            control = self._runs[self._run][1]
            sides = {"control": control, "reached": self._reached}
            self._report.outcomes.append(message.outcome.model_dump() | sides)
            self._run += 1
            self._reached = False
        self.done = message.end

    def _is_possible(self, message: Message) -> bool:
        """Whether the runner can send this message now."""
        if message.trouble:
            return not self._locked
        more = self._run < len(self._runs)
        if message.reached is not None:
            return more and message.reached == self._run and not self._reached
        if message.outcome is not None:
            return more and message.outcome.spec == self._runs[self._run][0]
        return not message.end or not more
