"""The film of a session: its lights in the order of time, and the questions to talk about."""

from __future__ import annotations

import csv
import io
import json
from importlib import resources
from typing import Any

from markupsafe import Markup

from dojo.session import cards
from dojo.session.board import templates
from dojo.session.room import Room
from dojo.spreadsheets import as_text

COLUMNS = (
    "seconds",
    "team",
    "kata",
    "light",
    "passed",
    "total",
    "took",
    "predicted",
    "went_back",
)


def frames(room: Room) -> dict[str, Any]:
    """All that the film is made of; no token, code or key is in it.

    Times are seconds since the session began.
    """
    with room.lock:
        started = room.row.started
        lights = sorted(
            ((team, light) for team in room.teams.values() for light in team.lights),
            key=lambda pair: pair[1].at,
        )
        score = room.predictions
        return {
            "session": room.row.id,
            "started": started,
            "format": room.settings.format,
            "minutes": room.settings.minutes,
            "katas": {
                name: room.katas[name].title if name in room.katas else name
                for name in dict.fromkeys([*room.settings.katas, *(li.kata for _, li in lights)])
            },
            "predicted": {"right": score.right, "total": score.total},
            "teams": [team.row.name for team in room.teams.values()],
            "actions": [
                {"seconds": round(a.at - started, 1), "kind": a.kind, "value": a.value}
                for a in room.plan.done
                if a.kind != "free"
            ],
            "lights": [
                {
                    "seconds": round(light.at - started, 1),
                    "team": team.row.name,
                    "kata": light.kata,
                    "light": light.light,
                    "passed": light.passed,
                    "total": light.total,
                    "took": light.seconds,
                    "predicted": light.predicted or "",
                    "went_back": light.went_back,
                }
                for team, light in lights
            ],
        }


def page(room: Room) -> str:
    """The page that the server shows, with its files beside it."""
    return _render(room, style=None, script=None)


def whole_page(room: Room) -> str:
    """One HTML file that needs nothing else."""
    static = resources.files("dojo.session") / "static"
    style, script = ((static / name).read_text("utf-8") for name in ("session.css", "film.js"))
    return _render(room, style=Markup(style), script=Markup(script))


def _render(room: Room, *, style: Markup | None, script: Markup | None) -> str:
    found = frames(room)
    questions = {
        f"{room.katas[name].number}: {room.katas[name].title}": cards.html_of(
            room.katas[name], cards.QUESTIONS
        )
        for name in found["katas"]
        if name in room.katas
    }
    # Inside a script element only `<` could end it.
    data = Markup(json.dumps(found).replace("<", "\\u003c").replace("&", "\\u0026"))
    return templates.get_template("film.html.jinja").render(
        found=found, questions=questions, data=data, style=style, script=script
    )


def as_json(room: Room) -> str:
    """The film as JSON."""
    return json.dumps(frames(room), indent=2, ensure_ascii=False) + "\n"


def as_csv(room: Room) -> str:
    """The lights as a table; a name that a spreadsheet would compute begins with an apostrophe."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for light in frames(room)["lights"]:
        table.writerow([_safe(light[column]) for column in COLUMNS])
    return written.getvalue()


def _safe(value: object) -> object:
    return as_text(value) if isinstance(value, str) else value
