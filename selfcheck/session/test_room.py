"""Lights, teams, rituals: what a session takes in, refuses, and still knows after it was killed."""

from __future__ import annotations

import sqlite3
import stat
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from dojo.session import names
from dojo.session.messages import JoinIn
from dojo.session.room import LIGHTS_AT_ONCE, MOST_TEAMS, RefusedError
from dojo.session.settings import Settings, SettingsError
from dojo.session.store import VERSION, Store, StoreError
from selfcheck.session.rooms import K01, K03, START, Clock, Evening, light_in

pytestmark = pytest.mark.fast


@pytest.fixture
def evening(tmp_path: Path) -> Evening:
    """A session about k01."""
    return Evening(tmp_path)


def lights_of(evening: Evening, number: int = 1) -> list[str]:
    return [light.light for light in evening.room.teams[number].lights]


# ----- lights


def test_lights_are_in_the_order_of_the_runs_not_of_their_arrival(evening):
    """A team that was offline sends old lights after new ones."""
    token = evening.team()
    evening.clock.move(100)
    evening.light(token, "green", 9)
    evening.light(token, "red", 3, ago=60.0)
    evening.light(token, "amber", 0, ago=90.0)

    assert lights_of(evening) == ["amber", "red", "green"]
    assert evening.room.teams[1].current.light == "green"


def test_a_light_that_is_sent_twice_counts_once(evening):
    """The response to the first may have been lost."""
    token, light = evening.team(), light_in("red", 2)
    first = evening.room.accept(token, [light, light])
    again = evening.room.accept(token, [light, light_in("green", 9)])

    assert (first.new, again.new, again.stored) == (1, 1, True)
    assert lights_of(evening) == ["red", "green"]


@pytest.mark.parametrize(("ago", "at"), [(7200.0, 0), (-7200.0, 100), (30.0, 70)])
def test_the_clock_of_a_team_may_be_wrong_by_hours(evening, ago, at):
    """No light was before the session, and none is to come."""
    token = evening.team()
    evening.clock.move(100)
    evening.light(token, ago=ago)

    assert evening.room.teams[1].current.at == START + at


def test_the_servers_own_clock_may_be_set_back(evening):
    token = evening.team()
    evening.clock.move(500)
    evening.light(token, "red")
    evening.clock.move(-3600)
    evening.light(token, "green", 9)

    assert lights_of(evening) == ["red", "green"]
    assert evening.room.now() == START + 500


def test_a_team_that_sends_a_hundred_a_second_waits_and_no_other_does(evening):
    """It is told for how long; what it sent until then is there."""
    fast, slow = evening.team("Fast"), evening.team("Slow")

    def a_hundred_a_second() -> None:
        for _ in range(1000):
            evening.light(fast)
            evening.clock.move(0.01)

    with pytest.raises(RefusedError, match="too many lights at once") as refused:
        a_hundred_a_second()
    taken = len(lights_of(evening, 1))
    evening.light(slow, "green", 9)

    assert LIGHTS_AT_ONCE <= taken < LIGHTS_AT_ONCE * 1.2
    assert (refused.value.status, refused.value.retry_after < 2) == (429, True)
    assert lights_of(evening, 2) == ["green"]
    evening.clock.move(1)
    assert evening.light(fast)


def test_after_a_kill_every_accepted_light_and_action_is_there(evening):
    """The server goes on where it was, and so does the turn."""
    token = evening.team()
    evening.room.act("names", "Ada\nGrace")
    evening.room.act("turn")
    evening.clock.move(60)
    evening.room.act("pause")
    sent = [light_in("red", n) for n in range(5)]
    for light in sent:
        assert evening.room.accept(token, [light]).stored
    before = evening.html("turn"), evening.html("teams")
    evening.restart()
    again = evening.room.accept(token, sent)

    assert (evening.html("turn"), evening.html("teams")) == before
    assert (again.new, len(lights_of(evening))) == (0, 5)
    assert evening.room.plan.turn.remaining(evening.clock()) == 360


def test_on_a_full_disk_lights_are_shown_and_it_is_said(evening):
    """The team keeps them; when there is room again, all of them are stored."""
    token = evening.team()
    pages = limit_pages(evening, 1)  # SQLite takes what it has already
    sent = [light_in("green" if n == 99 else "red", 9) for n in range(100)]
    said = evening.room.accept(token, sent)
    while said.stored:
        sent = [light_in("green" if n == 99 else "red", 9) for n in range(100)]
        said = evening.room.accept(token, sent)
    evening.room.act("turn")
    assert "database or disk is full" in evening.html("trouble")
    assert 'class="light green"' in evening.html("teams")
    known = len(evening.room.teams[1].lights)

    limit_pages(evening, pages)
    again = evening.room.accept(token, sent)
    assert (again.stored, again.new) == (True, 0)
    assert evening.html("trouble").strip() == ""
    evening.restart()

    assert len(lights_of(evening)) == known
    assert evening.room.plan.turn.number == 1


def test_a_team_that_cannot_be_stored_is_told_to_come_later(evening, monkeypatch):
    def full(_rows: object) -> None:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(evening.store, "add", full)
    with pytest.raises(RefusedError, match="cannot be stored: database or disk is full") as refused:
        evening.team()

    assert (refused.value.status, refused.value.retry_after) == (503, 10)
    assert evening.room.teams == {}


def limit_pages(evening: Evening, most: int) -> int:
    """Let the database have so many pages; how many it might have before."""
    with evening.store.engine.connect() as connection:
        before: int = connection.execute(text("PRAGMA max_page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {most}"))
    return before


# ----- teams


def test_a_team_name_is_taken_once_however_it_is_written(evening):
    evening.team("Tea Time")

    for name in ("Tea Time", "tea  time", "TEATIME", "\uff34ea Time"):
        with pytest.raises(RefusedError, match="take another name") as refused:
            evening.team(name)
        assert refused.value.status == 409


def test_a_team_may_go_on_from_another_machine(evening):
    """With its key, with its token, or when the facilitator lets it."""
    said = evening.room.join(JoinIn(code=evening.row.code, team="Tea"), "10.0.0.1")

    assert evening.team(key=said.key.lower()) == evening.team(token=said.token) == said.token
    evening.room.act("free", "1")
    new = evening.team()
    assert new != said.token
    with pytest.raises(RefusedError, match="type `dojo join` again"):
        evening.light(said.token)
    assert evening.light(new)


def test_a_wrong_code_is_refused_and_cannot_be_guessed(evening):
    """Trying is slow, also for who finds the right one while it has to wait."""
    outcomes = []
    for _ in range(20):
        with pytest.raises(RefusedError) as refused:
            evening.room.join(JoinIn(code="WRONG2", team="Tea"), "10.0.0.9")
        outcomes.append(refused.value.status)
    right = JoinIn(code=f" {evening.row.code.lower()} ", team="Tea")
    with pytest.raises(RefusedError, match="too many wrong tries"):
        evening.room.join(right, "10.0.0.9")

    assert (outcomes[0], outcomes[-1], outcomes.count(403)) == (403, 429, 10)
    assert evening.room.join(right, "10.0.0.8").team == "Tea"


def test_the_session_is_full_some_day(evening):
    for number in range(MOST_TEAMS):
        evening.team(f"Team {number}")

    with pytest.raises(RefusedError, match="the session is full"):
        evening.team("One more")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("x" * 300, "has 300 characters"),
        ("bell\a", "cannot be shown"),
        ("two\nlines", "cannot be shown"),
        ("\u202eright to left", "cannot be shown"),
        ("no\u200bwidth", "cannot be shown"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused(evening, name, why):
    with pytest.raises(RefusedError, match=why) as refused:
        evening.team(name)

    assert refused.value.status == 422


def test_markup_in_a_name_is_text(evening):
    evening.team('<b>bold</b> & "co"')

    assert "&lt;b&gt;bold&lt;/b&gt; &amp;" in evening.html("teams")


def test_three_hundred_names_are_too_many_and_no_name_is_given_twice():
    with pytest.raises(names.NameRefusedError, match="300 names are given"):
        names.clean_all(f"Person {n}" for n in range(300))
    with pytest.raises(names.NameRefusedError, match="given twice"):
        names.clean_all(["Ada", "Grace", "ada"])


# ----- rituals


def test_the_room_predicts_the_next_light_and_only_that(evening):
    token = evening.team()
    evening.room.act("predict", "red")
    assert "We predict" in evening.html("score")
    evening.clock.move(1)
    evening.light(token, "red")
    evening.light(token, "green", 9)
    evening.clock.move(1)
    evening.room.act("predict", "green")
    evening.clock.move(1)
    evening.light(token, "amber", 0)
    evening.light(token, "red", 1, predicted="red")

    assert (evening.room.predictions.right, evening.room.predictions.total) == (2, 3)
    assert "Predicted right: 2 of 3" in evening.html("score")
    assert "We predict" not in evening.html("score")


def test_a_baby_step_begins_anew_with_each_spec_more(tmp_path):
    evening = Evening(tmp_path, Settings((K01,), baby_steps=5))
    token = evening.team()
    began = []
    for light, passed, more in (
        ("red", 2, {}),
        ("red", 2, {}),
        ("red", 3, {}),
        ("amber", 0, {}),
        ("red", 3, {}),
        ("red", 3, {"went_back": True}),
    ):
        evening.clock.move(60)
        evening.light(token, light, passed, **more)
        began.append((evening.room.teams[1].step_began(START) or 0) - START)

    assert began == [60, 60, 180, 180, 180, 360]
    assert f'data-step-ends="{START + 360 + 300}"' in evening.html("teams")
    assert "went back" in evening.html("teams")


def test_rituals_begin_and_end_in_the_middle(evening):
    """Each team hears of it with its next light."""
    token = evening.team()
    evening.room.act("baby steps", "4")
    evening.room.act("one spec", "1")
    said = evening.room.accept(token, [light_in()]).rituals
    assert (said.baby_steps, said.one_spec) == (4, True)
    evening.room.act("undo")
    evening.room.act("baby steps", "0")

    said = evening.room.accept(token, [light_in()]).rituals
    assert (said.baby_steps, said.one_spec) == (0, False)


# ----- what the page shows


def test_a_row_has_the_runs_or_the_minutes(evening):
    token = evening.team()
    for passed in range(3):
        evening.light(token, "red", passed)
    evening.clock.move(180)
    evening.light(token, "green", 9)
    runs = evening.html("team-1").partition('class="runs"')[2]
    evening.room.act("columns", "minutes")
    minutes = evening.html("team-1").partition('class="runs"')[2]

    assert (runs.count("<svg"), minutes.count("<svg")) == (4, 2)
    assert minutes.count("<li>") == 18


def test_the_path_shows_each_kata_of_the_session(tmp_path):
    evening = Evening(tmp_path, Settings((K01, K03)))
    token = evening.team()
    evening.light(token, "green", 9)
    evening.light(token, "red", 2, kata="k03")

    assert 'aria-label="k01 green"' in evening.html("team-1")
    assert 'aria-label="k03 red"' in evening.html("team-1")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("kata", "k99_nothing"),
        ("predict", "purple"),
        ("baby steps", "soon"),
        ("baby steps", "nan"),
        ("baby steps", "-1"),
        ("free", "7"),
        ("columns", "hours"),
        ("fly", ""),
        ("turn", "<script>"),
        ("names", "Ada\nada"),
    ],
)
def test_an_action_that_cannot_be_is_refused_and_changes_nothing(evening, kind, value):
    with pytest.raises(RefusedError) as refused:
        evening.room.act(kind, value)

    assert refused.value.status == 422
    assert evening.room.plan.actions == []


# ----- settings and the store


@pytest.mark.parametrize(
    "wrong",
    [
        {"minutes": 3},
        {"minutes": 10_000},
        {"turn": 0},
        {"turn": float("nan")},
        {"baby_steps": -1},
        {"katas": ()},
    ],
)
def test_settings_that_make_no_session_are_refused(wrong):
    with pytest.raises(SettingsError, match="give"):
        Settings(**{"katas": (K01,), **wrong})


def test_only_one_process_serves_a_checkout(evening, tmp_path):
    other = Store(tmp_path)
    with (
        evening.store.alone(),
        pytest.raises(StoreError, match="served already"),
        other.alone(),
    ):
        pass
    with other.alone():
        pass


def test_a_database_of_a_newer_dojo_is_left_alone(evening, tmp_path):
    with evening.store.engine.begin() as connection:
        connection.execute(text(f"PRAGMA user_version = {VERSION + 1}"))
    evening.store.close()

    with pytest.raises(StoreError, match="newer dojo"):
        Store(tmp_path)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / ".dojo").mkdir()
    (tmp_path / ".dojo" / "sessions.db").write_bytes(b"no database, but something else" * 50)

    with pytest.raises(StoreError, match=r"sessions\.db: file is not a database"):
        Store(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="there, the folder's own rights count")
def test_others_on_the_machine_cannot_read_the_token(evening):
    files = list((evening.root / ".dojo").glob("sessions.db*"))

    assert len(files) >= 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_the_store_is_read_while_it_is_written(evening):
    """`dojo session export` works during a session."""
    evening.team()
    other = Store(evening.root)

    assert [(row.id, teams, lights) for row, teams, lights in other.sessions()] == [(1, 1, 0)]
    assert sqlite3.connect(other.file).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_sessions_do_not_mix(tmp_path):
    first = Evening(tmp_path)
    first.light(first.team())
    second = Evening(tmp_path, clock=Clock(START + 86_400))

    assert second.row.id == 2
    assert second.room.teams == {}
    assert second.team() != first.room.teams[1].row.token
