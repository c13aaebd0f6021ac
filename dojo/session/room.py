"""A session while it goes on: takes in actions, teams and lights, and says what has changed."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from dojo.catalogue import Kata
from dojo.session import names
from dojo.session.actions import KINDS, UNDO, Action
from dojo.session.limits import Buckets
from dojo.session.messages import JoinIn, JoinOut, LightIn, LightsOut
from dojo.session.plan import Plan
from dojo.session.settings import Settings, SettingsError
from dojo.session.store import (
    ActionRow,
    Base,
    LightRow,
    SessionRow,
    Store,
    StoreError,
    TeamRow,
)
from dojo.session.teams import Predictions, Team, group, predictions_of

MOST_TEAMS = 100
EVERYTHING = "everything"
# No letters that are mistaken for others when they are read from a wall.
LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
LIGHTS_A_SECOND, LIGHTS_AT_ONCE = 10, 300
TRIES_A_SECOND, TRIES_AT_ONCE = 0.2, 10


class RefusedError(Exception):
    """Something that is not taken in; `status` is that of HTTP, and the message is fit to show."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def word(length: int) -> str:
    """A word that nobody can guess, and everybody can type."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def new_session(store: Store, settings: Settings, now: float) -> SessionRow:
    """Begin a session.

    Raises `StoreError`.
    """
    token = "-".join(word(4) for _ in range(4))
    row = SessionRow(started=now, settings=settings.written(), token=token, code=word(6))
    store.add([row])
    return row


class Room:
    """A session with all that is known of it; its methods may be called from any thread.

    `touched` is called with the names of the parts of the page that have changed. `trouble` says in
    words why the last things could not be stored, and is empty while all is well.
    """

    def __init__(
        self,
        store: Store,
        row: SessionRow,
        katas: Mapping[str, Kata],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.row, self.katas, self._clock = store, row, katas, clock
        self.settings = Settings.read(row.settings)
        self.lock = threading.RLock()
        self.touched: Callable[[Iterable[str]], None] = lambda _parts: None
        self.trouble = ""
        self._unsaved: list[Base] = []
        actions = [Action(a.at, a.kind, a.value) for a in store.actions(row)]
        self.plan = Plan(self.settings, row.started, actions)
        self.teams = group(store.teams(row), store.lights(row))
        received = [light.received for team in self.teams.values() for light in team.lights]
        self._last_light = max(received, default=0.0)
        self._latest = max([row.started, *(a.at for a in actions), self._last_light])
        self._limits = Buckets(LIGHTS_A_SECOND, LIGHTS_AT_ONCE)
        self._tries = Buckets(TRIES_A_SECOND, TRIES_AT_ONCE)

    # ----- what there is to see

    def now(self) -> float:
        """The time, which never runs back, whatever becomes of the machine's clock."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    @property
    def predicted(self) -> str | None:
        """The light that the room expects of the next run; None where it has not said."""
        said = self.plan.said
        if said is None or self._last_light >= said.at:
            return None
        return said.value or None

    @property
    def predictions(self) -> Predictions:
        """How often the room was right."""
        return predictions_of(light for team in self.teams.values() for light in team.lights)

    # ----- the facilitator

    def act(self, kind: str, value: str = "") -> None:
        """Do what the facilitator asks for.

        Raises `RefusedError` for what is not known or not possible.
        """
        with self.lock:
            value = self._checked(kind, value)
            row = ActionRow(session=self.row.id, at=self.now(), kind=kind, value=value)
            self.plan.actions.append(Action(row.at, kind, value))
            self._unsaved.append(row)
            self.save()
            self.touched([EVERYTHING])

    def _checked(self, kind: str, value: str) -> str:
        if kind != UNDO and kind not in KINDS:
            raise RefusedError(422, f"there is no action {kind[:40]!r}")
        if kind == "names":
            try:
                return "\n".join(names.clean_all(n for n in value.splitlines() if n.strip()))
            except names.NameRefusedError as error:
                raise RefusedError(422, str(error)) from None
        if kind == "baby steps":
            try:
                minutes = float(value or 0)
                Settings(self.settings.katas, baby_steps=minutes)
            except (ValueError, SettingsError):
                raise RefusedError(
                    422, "baby steps: give minutes from 0.05 to 60, or 0 to end it"
                ) from None
            return f"{minutes:g}"
        allowed = {
            "kata": set(self.katas),
            "predict": {"green", "red", "amber", "grey", ""},
            "columns": {"runs", "minutes"},
            "one spec": {"0", "1"},
            "free": {str(number) for number in self.teams},
        }.get(kind, {""})
        if value not in allowed:
            raise RefusedError(422, f"{kind} cannot be {value[:60]!r}")
        if kind == "free":
            self._free(self.teams[int(value)])
        return value

    def _free(self, team: Team) -> None:
        """Let another machine take over a team: the old one's token is no longer good."""
        team.row.token, team.row.key = secrets.token_urlsafe(24), ""
        self._change(team.row)

    # ----- teams

    def code_is_right(self, code: str, sender: str) -> bool:
        """Whether this is the code of the session.

        Raises `RefusedError` for a sender that has tried too often, whatever it tries now.
        """
        return self._is_guessed(code, self.row.code, sender)

    def token_is_right(self, token: str) -> bool:
        """Whether this is the facilitator's token, which is too long to be guessed."""
        return _same(token.strip().upper(), self.row.token)

    def _is_guessed(self, word: str, wanted: str, sender: str) -> bool:
        with self.lock:
            now = self._clock()
            wait = self._tries.wait(sender, now)
            if wait:
                raise RefusedError(429, f"too many wrong tries: wait {wait:.0f} seconds", wait)
            right = _same(word.strip().upper(), wanted)
            if right:
                self._tries.wait(sender, now, -1.0)
            return right

    def join(self, asked: JoinIn, sender: str) -> JoinOut:
        """Take a team in, or let it go on from this machine.

        Raises `RefusedError`.
        """
        if not self.code_is_right(asked.code, sender):
            raise RefusedError(403, "the code is wrong: it stands on the page of the session")
        try:
            name = names.clean(asked.team, "team's name")
        except names.NameRefusedError as error:
            raise RefusedError(422, str(error)) from None
        with self.lock:
            folded = names.key(name)
            known = next((t for t in self.teams.values() if t.row.folded == folded), None)
            team = known or self._new_team(name, folded)
            if known is not None:
                self._check_return(known, asked, sender)
            row = team.row
            return JoinOut(team=row.name, token=row.token, key=row.key, rituals=self.plan.rituals)

    def _new_team(self, name: str, folded: str) -> Team:
        if len(self.teams) >= MOST_TEAMS:
            raise RefusedError(409, f"the session is full: it has {MOST_TEAMS} teams")
        row = TeamRow(
            session=self.row.id,
            name=name,
            folded=folded,
            token=secrets.token_urlsafe(24),
            key=word(4),
            joined=self.now(),
        )
        try:
            self.store.add([row])
        except StoreError as error:
            raise RefusedError(503, f"the team cannot be stored: {error}", 10) from None
        self.teams[row.id] = Team(row)
        self.touched(["teams"])
        return self.teams[row.id]

    def _check_return(self, team: Team, asked: JoinIn, sender: str) -> None:
        row = team.row
        if not row.key:  # the facilitator has let it go
            row.key = word(4)
            self._change(row)
        elif not (
            _same(asked.token, row.token)
            or (asked.key and self._is_guessed(asked.key, row.key, f"{row.id} of {sender}"))
        ):
            raise RefusedError(
                409,
                f"there is a team {row.name!r} already: take another name. If it is yours, give "
                "--key with the four letters that `dojo join` showed on your first machine, or "
                "ask the facilitator to let the team join again",
            )

    def team_of(self, token: str) -> Team:
        """The team that has this token.

        Raises `RefusedError`.
        """
        for team in list(self.teams.values()):
            if _same(token, team.row.token):
                return team
        raise RefusedError(401, "this team is not in the session: type `dojo join` again")

    # ----- lights

    def accept(self, token: str, lights: Iterable[LightIn]) -> LightsOut:
        """Take in the lights of a team. One that is known already is passed over.

        Raises `RefusedError`.
        """
        sent = list(lights)
        with self.lock:
            team = self.team_of(token)
            wait = self._limits.wait(token, self._clock(), len(sent))
            if wait:
                raise RefusedError(
                    429, f"too many lights at once: send them again in {wait:.1f} seconds", wait
                )
            rows = self._rows(team, sent)
            for row in rows:
                team.add(row)
                self._last_light = row.received
            self._unsaved += rows
            stored = self.save()
            changed = [f"team-{team.row.id}"] if rows else []
            if any(row.predicted for row in rows):
                changed.append("score")
            self.touched(changed)
            return LightsOut(stored=stored, new=len(rows), rituals=self.plan.rituals)

    def _rows(self, team: Team, sent: list[LightIn]) -> list[LightRow]:
        now, expected = self.now(), self.predicted
        rows: list[LightRow] = []
        for light in sorted(sent, key=lambda light: -light.ago):
            if team.knows(light.id, light.kata):
                continue
            if any((light.id, light.kata) == (row.run, row.kata) for row in rows):
                continue
            row = LightRow(
                team=team.row.id,
                run=light.id,
                # By the clock of the server; no run was before the session, or is to come.
                at=now - min(max(0.0, light.ago), now - self.row.started),
                received=now,
                kata=self._full(light.kata),
                light=light.light,
                passed=min(light.passed, light.total),
                total=light.total,
                seconds=light.seconds,
                predicted=light.predicted or expected,
                went_back=light.went_back,
            )
            expected = None  # the prediction is about one run
            rows.append(row)
        return rows

    def _full(self, kata: str) -> str:
        return next((name for name in self.katas if name.startswith(f"{kata}_")), kata)

    # ----- storing

    def save(self) -> bool:
        """Store what is not stored yet; where the disk does not take it, it is still shown."""
        with self.lock:
            try:
                if self._unsaved:
                    self.store.add(self._unsaved)
            except StoreError as error:
                self._say(str(error))
                return False
            self._unsaved = []
            self._say("")
            return True

    def _change(self, row: TeamRow) -> None:
        try:
            self.store.save(row)
        except StoreError as error:
            self._say(str(error))

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self.touched(["trouble"])
