"""The parts of the page for the projector: each is rendered when it has changed, and once."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dojo.session import cards
from dojo.session.agenda import MINUTE
from dojo.session.room import EVERYTHING, Room
from dojo.session.settings import EXPLAINED
from dojo.session.store import LightRow
from dojo.session.teams import Team

PARTS = ("turn", "kata", "agenda", "score", "trouble", "controls", "teams")
RUNS_SHOWN = 18

templates = Environment(
    loader=PackageLoader("dojo.session"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def clock(seconds: float) -> str:
    """Seconds as people read them: 7:05, and -0:10 when they are over."""
    whole = math.ceil(abs(seconds)) if seconds > 0 else math.floor(abs(seconds))
    return f"{'-' if seconds < 0 and whole else ''}{whole // 60}:{whole % 60:02}"


templates.filters["clock"] = clock


@dataclass(frozen=True)
class Address:
    """Where the page is: as teams type it, and whether others on the network reach it."""

    url: str
    lan: bool
    qr: bool


class Board:
    """Renders the parts of a page, and knows in which version each has last changed.

    `epoch` differs for each start of the server: versions of another one mean nothing.
    """

    def __init__(self, room: Room, address: Address) -> None:
        self.room, self.address = room, address
        self.epoch = secrets.token_hex(4)
        self.version = 1
        self._changed: dict[str, int] = {}
        self._html: dict[str, tuple[int, Markup]] = {}
        self._said: tuple[int, int, str] = (-1, -1, "")
        self._minute = self._minute_of(room.now())

    def touch(self, parts: Iterable[str]) -> None:
        """Note that parts of the page have changed."""
        with self.room.lock:
            touched = list(parts)
            if self.room.plan.columns == "minutes" and self._minute != self._minute_of(
                self.room.now()
            ):
                self._minute = self._minute_of(self.room.now())
                touched.append(EVERYTHING)
            if EVERYTHING in touched:
                touched = self.names()
            if touched:
                self.version += 1
                self._changed |= dict.fromkeys(touched, self.version)

    def names(self) -> list[str]:
        """The names of all parts."""
        return [*PARTS, *(f"team-{number}" for number in self.room.teams)]

    def since(self, version: int) -> tuple[int, dict[str, Markup]]:
        """The version now, and the parts that have changed since another one."""
        with self.room.lock:
            changed = [name for name in self.names() if self._changed.get(name, 1) > version]
            return self.version, {name: self.html(name) for name in changed}

    def json_since(self, version: int) -> tuple[int, str]:
        """The same as `since`, with the parts as JSON: most pages ask for the same."""
        with self.room.lock:
            before, now, text = self._said
            if (before, now) != (version, self.version):
                now, parts = self.since(version)
                text = json.dumps(parts)
                self._said = version, now, text
            return now, text

    def html(self, name: str) -> Markup:
        """A part of the page."""
        with self.room.lock:
            version = self._changed.get(name, 1)
            known, text = self._html.get(name, (0, Markup("")))
            # The list of teams holds their rows, which change without it.
            if known != version or name == "teams":
                text = self._render(name)
                self._html[name] = version, text
            return text

    def _render(self, name: str) -> Markup:
        kind, _, number = name.partition("-")
        template = templates.get_template(f"{kind}.html.jinja")
        if kind == "team":
            return Markup(template.render(self._row(self.room.teams[int(number)])))
        return Markup(template.render(self._context(name)))

    def _context(self, name: str) -> dict[str, Any]:
        room = self.room
        context = {"room": room, "address": self.address}
        if name in ("turn", "controls"):
            context |= {"turn": room.plan.turn, "now": room.now(), "explained": EXPLAINED}
        if name == "kata":
            kata = room.katas[room.plan.kata]
            context |= {"kata": kata, "story": cards.html_of(kata, cards.STORY)}
        if name == "teams":
            context["rows"] = {number: self.html(f"team-{number}") for number in room.teams}
        return context

    def _row(self, team: Team) -> dict[str, Any]:
        room = self.room
        minutes = room.plan.rituals.baby_steps
        began = team.step_began(room.plan.baby_steps_since) if minutes else None
        shown = self._minutes(team) if room.plan.columns == "minutes" else team.lights[-RUNS_SHOWN:]
        path = team.path() if len(room.settings.katas) > 1 else {}
        return {
            "team": team,
            "current": team.current,
            "shown": shown,
            "step_ends": None if began is None else began + minutes * MINUTE,
            "path": [(name.partition("_")[0], path.get(name)) for name in room.settings.katas]
            if path
            else [],
        }

    def _minutes(self, team: Team) -> Sequence[LightRow | None]:
        """The last light of each of the last minutes."""
        last = {self._minute_of(light.at): light for light in team.lights}
        return [last.get(m) for m in range(self._minute - RUNS_SHOWN + 1, self._minute + 1)]

    def _minute_of(self, at: float) -> int:
        return int((at - self.room.row.started) // MINUTE)
