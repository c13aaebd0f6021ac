"""The response of an exchange, as specs read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from dojo.harness.exchange import Exchange

SHOWN = 200


class Status(int):
    """A status code that knows its exchange, and whether a spec has found it to be right."""

    exchange: Exchange | None = None
    expected = False

    def __eq__(self, other: object) -> bool:
        same = int(self) == other
        self.expected = self.expected or same
        return same

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


class Response(httpx.Response):
    """An `httpx.Response` whose JSON explains itself where it is not what a spec expects.

    Its content is the body as the app sent it: the client accepts no content encoding.
    """

    # Specs read these, so they belong to this class: a solution can replace what httpx defines.
    __slots__ = ("_body", "exchange", "headers", "status_code")

    status_code: Status
    headers: httpx.Headers

    def __init__(self, exchange: Exchange, status: int, headers: httpx.Headers, body: bytes):
        super().__init__(
            status, headers=headers, stream=httpx.ByteStream(body), request=exchange.request
        )
        self.exchange = exchange
        self.headers = headers
        self.status_code = Status(status)
        self.status_code.exchange = exchange
        self._body = body

    def __repr__(self) -> str:
        # httpx looks the status up among all that there are, and `Status` would note a comparison.
        return f"<Response [{self.status_code:d}]>"

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        return self._body

    def json(self, **options: Any) -> Any:
        """The body as JSON; `options` are those of `json.loads`.

        Raises:
            AssertionError: The body is not JSON.
        """
        try:
            return json.loads(self._body, **options)
        except ValueError:
            raise AssertionError(
                f"the body of the response to {self.exchange.name} is not JSON: {self._shown()}"
            ) from None

    def field(self, name: str) -> Any:
        """One field of a JSON object.

        Raises:
            AssertionError: The body is not a JSON object, or does not have the field.
        """
        body = self.json()
        if not isinstance(body, dict) or name not in body:
            raise AssertionError(
                f"the response to {self.exchange.name} must be a JSON object "
                f"with the field `{name}`: {self._shown()}"
            )
        return body[name]

    def _shown(self) -> str:
        text = self._body.decode("utf-8", "replace")
        text = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
        return f"status {self.status_code:d}, body {text!r}"
