"""The exchange: one request and its response, driven at the ASGI level, with two events.

*Responded*: the app has handed the last byte of the body to `send`. *Finished*: the app callable
has returned. Background tasks run between the two. The exchange is as strict as uvicorn is:
`receive` returns `http.disconnect` once the response is complete, and `send` refuses messages that
make no sense. Before an exchange counts as responded, `send` lets everything that the app has
started by itself run, so that a race is lost where a spec looks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import httpx
from starlette.routing import Match, Route

from dojo.harness import spawned
from dojo.harness.asgi import App, Message, record_exchange, scope_of
from dojo.harness.current import ExchangeState
from dojo.harness.holds import SECONDS, held, standing, turns, until
from dojo.harness.response import Response
from dojo.harness.running import where_it_is
from dojo.harness.time_limit import DidNotEndError

if TYPE_CHECKING:
    from dojo.harness.client import Client


class Exchange:
    """One request and its response."""

    __slots__ = (
        "_body",
        "_client",
        "_complete",
        "_crashes",
        "_go_on",
        "_headers",
        "_leaves_after",
        "_left_behind",
        "_pauses_after",
        "_pieces",
        "_request",
        "_response",
        "_status",
        "_task",
        "gone",
        "paused",
        "pieces",
        "raised",
        "state",
    )

    def __init__(
        self,
        client: Client,
        request: httpx.Request,
        *,
        crashes: bool,
        pieces: Iterable[bytes] | None = None,
        leaves_after: int = 0,
        pauses_after: int = 0,
    ) -> None:
        self.state = ExchangeState(next(client.numbers))
        self.raised: BaseException | None = None
        self.gone = False
        self.paused = False
        self.pieces = 0
        self._status = 0
        self._headers = httpx.Headers()
        self._body = b""
        self._response: Response | None = None
        self._left_behind: list[str] = []
        self._client = client
        self._request = request
        self._crashes = crashes
        self._pieces = deque([request.read()] if pieces is None else pieces)
        self._leaves_after = leaves_after
        self._pauses_after = pauses_after
        self._complete = asyncio.Event()
        self._go_on = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int:
        """Which exchange of the spec it is, from 1."""
        return self.state.number

    @property
    def finished(self) -> bool:
        """Whether the app callable has returned."""
        return self._task is not None and self._task.done()

    @property
    def app(self) -> App:
        """The app that it runs."""
        return self._client.app

    def routes(self) -> list[str]:
        """The methods and paths of the app's routes, without those that FastAPI adds."""
        return [
            f"{method} {route.path}"
            for route in _routes_of(self.app)
            if route.include_in_schema
            for method in sorted(route.methods or ())
            if method != "HEAD"
        ]

    def is_served(self) -> bool:
        """Whether the app has a route for its method and path."""
        scope = {
            "type": "http",
            "method": self.request.method,
            "path": self.request.url.path,
            "root_path": "",
        }
        return any(route.matches(scope)[0] == Match.FULL for route in _routes_of(self.app))

    @property
    def request(self) -> httpx.Request:
        """The request."""
        return self._request

    @property
    def name(self) -> str:
        """Its method and path."""
        return self._name

    @property
    def may_raise(self) -> bool:
        """Whether the spec wants the app to raise."""
        return self._crashes

    @property
    def responded(self) -> bool:
        """Whether the app has handed the last byte of the body to `send`, or the client is gone."""
        return self.state.responded

    @property
    def response(self) -> Response:
        """The response.

        Raises:
            AssertionError: The response is not complete yet.
        """
        if not self.responded:
            raise AssertionError(f"{self._name} has no complete response yet")
        if self._response is None:
            self._response = Response(self, self._status, self._headers, self._body)
        return self._response

    def start(self, *, stop_at_response: bool) -> None:
        """Start to run the app in a task of its own."""
        if not stop_at_response and not self._pauses_after:
            self._go_on.set()
        self._client.timeline.under_way += 1
        self._task = asyncio.get_running_loop().create_task(self._run())

    def release(self) -> None:
        """Let an exchange that stopped at its response go on to its tasks."""
        self._go_on.set()

    async def until_responded(self) -> Exchange:
        """Wait for the response, at most `SECONDS`.

        Raises:
            AssertionError: The client would have to wait for something that is held.
        """
        await until(lambda: self.responded or self.finished or held(self.number) is not None)
        if not self.responded and not self.finished:
            raise AssertionError(self._why_no_response_yet())
        if self.finished or self._status >= 500:
            await self.until_finished()
        return self

    async def until_paused(self) -> Exchange:
        """Wait until the client reads no further, at most `SECONDS`.

        Raises:
            AssertionError: The response was complete before.
        """
        await until(lambda: self.paused or self.responded or self.finished)
        if not self.paused:
            if self.responded or self.finished:
                self.release()
                await until(lambda: self.finished)
            unwritten = self.no_response()
            if unwritten is not None and isinstance(unwritten.cause, NotImplementedError):
                raise unwritten
            why = f", and it raised {self.raised!r}" if self.raised is not None else ""
            raise AssertionError(
                f"the response to {self._name} must be sent in {self._pauses_after} piece(s) or "
                f"more, and it was sent in {self.pieces}{why}"
            )
        return self

    async def until_held(self) -> bool:
        """Go on until a hold stops it, or to its end; whether a hold has stopped it."""
        self.release()
        await until(lambda: self.finished or held(self.number) is not None)
        return held(self.number) is not None

    async def until_finished(self) -> Exchange:
        """Wait for the end of the app callable, tasks included, at most twice `SECONDS`.

        Raises:
            AssertionError: The app did not respond properly, or left something running behind it.
        """
        self.release()
        if not await until(lambda: self.finished, seconds=2 * SECONDS):
            done = "responded, but its tasks did not end" if self.responded else "did not respond"
            raise DidNotEndError(
                f"{self._name} {done} within {2 * SECONDS:g} s: {where_it_is()[0]}"
            )
        self._check_raised()
        if self.left_behind:
            raise AssertionError(self.left_behind)
        return self

    @property
    def left_behind(self) -> str:
        """A sentence that says what it has left running behind it; empty where there is nothing."""
        if not self._left_behind:
            return ""
        return (
            f"left behind by {self._name}: {', '.join(self._left_behind)}, still running when "
            "the exchange had finished. Nobody would wait for it or see it fail: "
            "let a background task do the work"
        )

    def _why_no_response_yet(self) -> str:
        hold = held(self.number)
        if hold is None:
            other = standing()
            if other is None:
                return f"{self._name} got no response within {SECONDS:g} s: {where_it_is()[0]}"
            return (
                f"{self._name} got no response while {other.what} took its time in another "
                "request: one client must not wait for what another one has asked for"
            )
        if hold.origin:
            return (
                f"{hold.what} began before the response of {self._name}, in {hold.origin}: nobody "
                "waits for it, and nobody sees it fail. Let a background task do the work"
            )
        return (
            f"{self._name} got no response while {hold.what} took its time: "
            "the client has to wait for it"
        )

    async def cancel(self) -> None:
        """Cancel it, whatever it is doing."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.5)

    @property
    def _name(self) -> str:
        return (
            f"{self._request.method} {self._request.url.raw_path.decode('ascii').partition('?')[0]}"
        )

    def _check_raised(self) -> None:
        assert self._task is not None
        stopped = self._task.exception()
        if isinstance(stopped, KeyboardInterrupt):  # which the event loop has raised already
            raise asyncio.CancelledError
        if stopped is not None:
            raise stopped
        no_response = self.no_response()
        if no_response is not None:
            raise no_response

    def no_response(self) -> NoResponseError | None:
        """Why a finished exchange has no proper response; None where it has one."""
        error = self.raised
        may_raise = self._crashes and not isinstance(error, NotImplementedError)
        if not self.finished or (
            self.responded and (error is None or may_raise or self._status < 500)
        ):
            return None
        if error is None:
            return NoResponseError(f"{self._name} ended without a complete response", None)
        if isinstance(error, NotImplementedError):
            what = "is not written yet: it raises NotImplementedError"
        else:
            what = f"raised {type(error).__name__} instead of sending a response: {error}"[:1_500]
        return NoResponseError(f"{self._name} {what}", error)

    async def _run(self) -> None:
        client = self._client
        spawned.expect(self.state)
        try:
            await record_exchange(
                client.app,
                self.state,
                client.timeline,
                scope_of(self._request, self.number, client.state),
                self._receive,
                self._send,
                self._go_on.wait,
            )
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self.raised = error
        finally:
            self._left_behind = spawned.left_behind(self.state)
            client.timeline.under_way -= 1

    async def _receive(self) -> Message:
        if self._pieces and not self._complete.is_set():
            body = self._pieces.popleft()
            return {"type": "http.request", "body": body, "more_body": bool(self._pieces)}
        await self._complete.wait()
        if not self.gone:
            # What Starlette has wait for a disconnect must not end the stop at the response.
            await self._go_on.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.gone:
            return  # as a server does: nobody is there to get it
        if self._complete.is_set():
            raise RuntimeError(f"{message['type']} was sent after the response was complete")
        if message["type"] == "http.response.start":
            if self._status:
                raise RuntimeError("http.response.start was sent twice")
            self._status = int(message["status"])
            self._headers = httpx.Headers(list(message.get("headers", ())))
            await spawned.settle(self.state)
            return
        if message["type"] != "http.response.body" or not self._status:
            raise RuntimeError(f"{message['type']} was sent where it makes no sense")
        # Whatever kind of bytes it is, the body is bytes and nothing that agrees to everything.
        self._body = b"".join((self._body, bytes(message.get("body", b""))))
        self.pieces += bool(message.get("body"))
        last = not message.get("more_body", False)
        if last or len(self._body) >= int(self._headers.get("content-length", len(self._body) + 1)):
            await spawned.settle(self.state)
        if self.pieces == self._pauses_after and message.get("body"):
            self.paused = True
            await self._go_on.wait()
            self.paused = False
        if last:
            self._complete.set()
        elif self.pieces == self._leaves_after:
            await self._leave()

    async def _leave(self) -> None:
        """Have the client go away: it gets nothing more, and the app is told by `receive`."""
        self.gone = True
        self._client.timeline.record("gone", f"the client of {self._name}")
        self.state.responded = True
        self._complete.set()
        await turns()


def _routes_of(app: App) -> list[Route]:
    return [route for route in getattr(app, "routes", ()) if isinstance(route, Route)]


class NoResponseError(AssertionError):
    """The app raised instead of sending a response; `cause` is what it raised."""

    def __init__(self, message: str, cause: BaseException | None) -> None:
        super().__init__(message)
        self.cause = cause
