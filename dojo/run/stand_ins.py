"""The stand-ins for the outside services: they reply, slowly or not at all if that is asked for."""

from __future__ import annotations

from asyncio import sleep as real_sleep  # this name stays what it is when sleeps are patched
from collections.abc import Awaitable, Collection, Mapping
from time import sleep as real_time_sleep

import httpx

from dojo.doubles.http import AWAITED, Services
from dojo.doubles.mail import Mail, MailServer, Session
from dojo.harness.current import current_timeline
from dojo.harness.frames import places_here
from dojo.harness.timeline import MADE
from dojo.run.live import LiveTimeline
from dojo.run.settings import NAMES

# By the hosts that the cards name; a callback is whatever else a solution calls.
MAIL, AI, WAREHOUSE, CALLBACKS = NAMES
HOSTS = {"ai-api.example.com": AI, "warehouse.example.com": WAREHOUSE}
REPLIES: dict[str, dict[str, object]] = {
    AI: {"label": "cat", "summary": "In short: all is well."},
    WAREHOUSE: {"accepted": True},
    CALLBACKS: {},
}
FAILURE = 503
LINES = 8


class SlowMailServer(MailServer):
    """A mail server that takes its time, and shows the text of each mail.

    Or nothing listens there.
    """

    def __init__(self, seconds: float, *, fails: bool) -> None:
        super().__init__()
        self._seconds = seconds
        if fails:
            self.go_down()

    async def accept(self, mail: Mail, session: Session | None) -> None:
        """Take a mail after some time, and show it."""
        await real_sleep(self._seconds)
        await super().accept(mail, session)
        timeline = current_timeline()
        if isinstance(timeline, LiveTimeline):
            timeline.add_below(mail.body.splitlines()[:LINES])


class StandIns(Services):
    """Whatever a solution calls by HTTP."""

    def __init__(self, slow: Mapping[str, float], fail: Collection[str]) -> None:
        super().__init__()
        self._slow = slow
        self._fail = fail

    def reply_to(self, request: httpx.Request) -> httpx.Response | Awaitable[httpx.Response]:
        """Reply in the time that was asked for, or let the caller's time limit run out."""
        name = HOSTS.get(request.url.host, CALLBACKS)
        awaited = bool(request.extensions.get(AWAITED))
        seconds = self._slow.get(name, 0.0)
        limits: dict[str, float | None] = request.extensions.get("timeout") or {}
        limit = limits.get("read")
        late = limit is not None and seconds > limit
        if limit is not None and late:
            seconds, told = limit, f"no response within {limit:g} s"
        elif name in self._fail:
            told = f"{FAILURE}: {MADE}"
        else:
            told = f"200 after {seconds:g} s" if seconds else "200"
        timeline = current_timeline()
        if timeline is not None:
            timeline.record(
                "call",
                f"{request.method} {request.url}, {told}",
                blocking=not awaited,
                places=places_here(),
            )
        if awaited:
            return self._reply_later(request, name, seconds, late=late)
        real_time_sleep(seconds)
        return self._reply(request, name, late=late)

    async def _reply_later(
        self, request: httpx.Request, name: str, seconds: float, *, late: bool
    ) -> httpx.Response:
        await real_sleep(seconds)
        return self._reply(request, name, late=late)

    def _reply(self, request: httpx.Request, name: str, *, late: bool) -> httpx.Response:
        if late:
            raise httpx.ReadTimeout("", request=request)
        if name in self._fail:
            return httpx.Response(FAILURE, json={"detail": "out of order"})
        return httpx.Response(200, json=REPLIES[name])
