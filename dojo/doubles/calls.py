"""A request that reached a stand-in for an HTTP service."""

from __future__ import annotations

import email
import email.policy
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx


@dataclass(frozen=True)
class Call:
    """A request that reached a service, and when: by the clock of the spec, where it has one."""

    method: str
    url: str
    headers: httpx.Headers
    body: bytes
    exchange: int | None
    at: datetime

    def __str__(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def fields(self) -> dict[str, bytes]:
        """The fields of a multipart form, or of none."""
        head = b"Content-Type: " + self.headers.get("content-type", "").encode() + b"\r\n\r\n"
        form = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        if not form.is_multipart():
            return {}
        return {
            str(part.get_param("name", header="content-disposition")): _content(part)
            for part in form.iter_parts()
        }


def _content(part: Any) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
