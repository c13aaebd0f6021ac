"""The driver that runs one request through an ASGI app, and records its events on the timeline.

The protocol is https://asgi.readthedocs.io/en/latest/specs/www.html, version 2.3 as uvicorn
speaks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import httpx

from dojo.harness.current import ExchangeState, here, task_works_for
from dojo.harness.timeline import Timeline

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def scope_of(request: httpx.Request, number: int, state: dict[str, Any]) -> Scope:
    """The scope of a request, the `number`th of a spec; `state` is that of the lifespan."""
    url = request.url
    raw_path = url.raw_path.partition(b"?")[0]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000 + number),
        "scheme": "http",
        "method": request.method,
        "root_path": "",
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "state": dict(state),
    }


async def _at_once() -> None:
    """Do nothing between the response and the tasks, as a server does."""


async def record_exchange(
    app: App,
    state: ExchangeState,
    timeline: Timeline,
    scope: Scope,
    receive: Receive,
    send: Send,
    at_response: Callable[[], Awaitable[object]] = _at_once,
) -> None:
    """Run one exchange of `app` under any server, and record its events on the timeline.

    Args:
        app: The app.
        state: The exchange, as the observers know it.
        timeline: The timeline that gets the events.
        scope: The request, an ASGI scope of the type `http`.
        receive: The server's `receive`.
        send: The server's `send`.
        at_response: The function that is awaited between the response and what comes after it.
    """
    token = here.set(state)
    task_works_for(asyncio.current_task(), state)
    expected: int | None = None
    sent = 0
    status = 0
    state.name = f"{scope['method']} {scope['path']}"
    timeline.record("request", state.name)
    timeline.in_flight.append(state)

    async def noting_send(message: Message) -> None:
        nonlocal expected, sent, status
        await send(message)
        if message["type"] == "http.response.start":
            status = int(message["status"])
            for name, value in message.get("headers", ()):
                if bytes(name).lower() == b"content-length":
                    expected = int(value)
        elif message["type"] == "http.response.body" and not state.responded:
            sent += len(message.get("body", b""))
            if not message.get("more_body", False) or (expected is not None and sent >= expected):
                timeline.record("response", f"{status} to {state.name}")
                state.responded = True
                await at_response()

    try:
        await app(scope, receive, noting_send)
    except Exception as error:
        timeline.record("raised", f"{type(error).__name__}: {error}"[:120])
        raise
    finally:
        timeline.in_flight.remove(state)
        timeline.record("finished", state.name, by=state)
        here.reset(token)
