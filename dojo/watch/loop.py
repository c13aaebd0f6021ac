"""The loop of `dojo watch`: what is done when a file is saved, a key pressed, a spec over."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from dojo.catalogue import CatalogueError, Kata, read_catalogue
from dojo.plugin.failures import Failure, title_of
from dojo.plugin.listeners import run_ended
from dojo.plugin.score import Score
from dojo.progress import Run
from dojo.watch.client import Warm
from dojo.watch.events import Ended, Event, Key, Noticed, Redraw, Saved, Told, ToolChanged
from dojo.watch.state import State

# s without a word in a run; the warm process has a limit of its own where it can fork
SILENCE = 40.0
STUCK = 0.5  # s after which a spec is not waited for any more when there is something newer to run
MOST_RESTARTS = 3
# s between two looks at a run under way: to draw a screen takes time that the specs need
FRAME = 0.1


class View(Protocol):
    """What shows the state: a screen, lines, or JSON."""

    def began(self, state: State) -> None:
        """A run has begun."""

    def changed(self, state: State) -> None:
        """A spec has reported, or something else is to be shown."""

    def ended(self, state: State, score: Score, ms: int) -> None:
        """The run of a kata has ended."""

    def trouble(self, state: State) -> None:
        """Nothing can run, as `state.trouble` says."""

    def key(self, state: State, name: str) -> bool:
        """Take a key that only changes what is seen; False where it means something else."""

    def redraw(self, state: State) -> None:
        """Show everything anew."""


class Quit(Exception):  # noqa: N818 - no error
    """The learner wants to stop."""


class Loop:
    """Takes one event after the other."""

    def __init__(self, state: State, warm: Warm, events: SimpleQueue[Event], view: View) -> None:
        self.state = state
        self.warm = warm
        self.events = events
        self.view = view
        self.ready = False
        self.number = 0
        self.left: list[str] = []
        self.specs: dict[str, list[str]] = {}
        self.problems: dict[str, str] = {}
        self.since = self.heard = time.perf_counter()
        self.restarts = 0
        self.shown = 0.0
        self.stale = False

    def run(self) -> None:
        """Take events until the learner quits."""
        self.warm.start()
        self.ask([self.state.kata], time.perf_counter())
        while True:
            try:
                event = self.events.get(timeout=FRAME if self.stale else 1.0)
            except Empty:
                self._check_silence()
                continue
            try:
                self.take(event)
            except Quit:
                return

    def take(self, event: Event) -> None:
        """Take one event. Raises `Quit`."""
        match event:
            case Saved(names, at):
                katas = [self.state.katas[name] for name in names if name in self.state.katas]
                if katas:
                    self.ask(katas, at)
            case ToolChanged(at):
                self._begin_anew(at)
            case Noticed(text):
                self.state.notice = text
                self.view.changed(self.state)
            case Told(generation, message):
                if generation == self.warm.generation:
                    self.heard = time.perf_counter()
                    try:
                        self._hear(message)
                    except (KeyError, TypeError):
                        self._be_in_trouble("the dojo itself was changed: start `dojo watch` again")
            case Ended(generation, errors):
                if generation == self.warm.generation:
                    self._lose(errors)
            case Key(name):
                if not self.view.key(self.state, name):
                    self._press(name)
            case Redraw():
                self.view.redraw(self.state)

    # ----- runs

    def ask(self, katas: Sequence[Kata], at: float) -> None:
        """Have the specs of some katas run, in place of what runs now."""
        if not self.warm.alive or self._hangs():
            self.ready = False
            self.warm.start()
        self.state.move_to(katas[0])
        self.left = [kata.name for kata in katas]
        self.since = self.heard = at
        self.number += 1
        self.state.running = True
        self._begin(katas[0])
        if self.ready:
            self.warm.run(self.number, self.left)
        self.view.began(self.state)

    def _hangs(self) -> bool:
        """Whether a process that cannot be told to stop is busy with one spec."""
        silent = time.perf_counter() - self.heard > STUCK
        return self.ready and bool(self.left) and silent and not self.warm.fork

    def _begin(self, kata: Kata) -> None:
        before = self.state.scores.get(kata.name)
        self.state.before = before if before is not None and before.ran else None
        self.state.began = time.perf_counter()
        self.state.red_ms = None
        self.state.score = self.state.scores[kata.name] = Score(kata)
        self.state.score.expected = dict.fromkeys(self.specs.get(kata.name, []))
        self.state.kata = kata

    def _hear(self, message: dict[str, object]) -> None:
        if "ready" in message:
            self._become_ready(message)
        elif message.get("run") != self.number or not self.left:
            return
        elif "ended" in message:
            self.restarts = 0
            self._end_kata()
        else:
            none_red = self.state.red_ms is None
            self._note(message)
            first_red = none_red and self.state.red_ms is not None
            self.stale = not first_red and time.perf_counter() - self.shown < FRAME
            if not self.stale:
                self._show_progress()

    def _show_progress(self) -> None:
        self.shown, self.stale = time.perf_counter(), False
        self.view.changed(self.state)

    def _become_ready(self, message: dict[str, object]) -> None:
        specs, problems = message["ready"], message["problems"]
        assert isinstance(specs, dict)
        assert isinstance(problems, dict)
        self.specs, self.problems = specs, problems
        self.ready, self.state.trouble = True, ""
        for name in self.left:
            expected = dict.fromkeys(self.specs.get(name, []))
            self.state.scores.setdefault(name, Score(self.state.katas[name])).expected = expected
        if self.left:
            # What comes before is the start, and not the run.
            self.since = time.perf_counter()
            self.warm.run(self.number, self.left)

    def _note(self, message: dict[str, object]) -> None:
        score = self.state.scores[str(message["kata"])]
        spec, failure, seconds = str(message["spec"]), message["failure"], message["seconds"]
        assert isinstance(seconds, float)
        score.seconds += seconds
        # A process that was started again runs the specs again: the last outcome counts.
        score.red.pop(spec, None)
        score.passed.discard(spec)
        if isinstance(failure, dict):
            if self.state.red_ms is None:
                self.state.red_ms = self._ms()
            score.red[spec] = Failure.read(failure)
        else:
            score.passed.add(spec)

    def _end_kata(self) -> None:
        name = self.left.pop(0)
        score = self.state.scores[name]
        if not score.ran:
            why = self.problems.get(name, "its spec file has no specs")
            trouble = Failure(name, "the specs can be collected", light="amber", message=why)
            score.red[f"tests/test_{name}.py"] = trouble
        run = score.run()
        ms = self._ms()
        self.state.lights[name] = run.light
        self.state.running = bool(self.left)
        self.state.ms = ms
        self.view.ended(self.state, score, ms)
        self._tell_listeners(run)
        if self.left:
            self._begin(self.state.katas[self.left[0]])
            self.since = time.perf_counter()
            self.view.began(self.state)

    def _ms(self) -> int:
        return round((time.perf_counter() - self.since) * 1000)

    def _tell_listeners(self, run: Run) -> None:
        """Call the listeners; what they say goes to the view, and not into the middle of it."""
        with contextlib.redirect_stderr(io.StringIO()) as said:
            run_ended(self.state.root, [run])
        if said.getvalue():
            self.state.notice = said.getvalue().strip()
            self.view.changed(self.state)

    # ----- the warm process

    def _begin_anew(self, at: float) -> None:
        """Start another warm process: the specs or the tool were changed."""
        try:
            katas = read_catalogue(self.state.root)
        except (CatalogueError, OSError) as error:
            self._be_in_trouble(str(error))
            return
        if self.state.kata.name not in katas:
            self._be_in_trouble(f"katas/{self.state.kata.name} is not there any more")
            return
        self.state.katas, self.state.scores = katas, {}
        self.ready = False
        self.warm.start()
        self.ask([katas[self.state.kata.name]], at)

    def _lose(self, errors: str) -> None:
        """Start another warm process where one has ended in the middle of work."""
        self.warm.stop()
        self.restarts += 1
        if not self.ready or self.restarts > MOST_RESTARTS:
            self._be_in_trouble(errors or "pytest does not start")
            return
        self.ready = False
        spec = self._spec_at_work()
        if self.left and spec is not None:
            last = (errors.splitlines() or ["it ended the process of the specs"])[-1]
            title = title_of(spec.rpartition("::")[2])
            name = self.left[0]
            found = Failure(name, title, message=last, node=spec).write()
            self._note({"kata": name, "spec": spec, "seconds": 0.0, "failure": found})
            self._end_kata()
        self.warm.start()

    def _spec_at_work(self) -> str | None:
        if not self.left:
            return None
        score = self.state.scores[self.left[0]]
        reported = {*score.passed, *score.red}
        return next((spec for spec in score.specs if spec not in reported), None)

    def _check_silence(self) -> None:
        """End a warm process that hangs; the details of the last run are old by now."""
        self.stale = False
        if self.state.running:
            self._show_progress()
        silent = time.perf_counter() - max(self.heard, self.since)
        if self.ready and self.left and silent > SILENCE:
            self.warm.stop()

    def _be_in_trouble(self, text: str) -> None:
        self.state.trouble, self.state.running = text, False
        self.view.trouble(self.state)

    # ----- keys

    def _press(self, name: str) -> None:
        state = self.state
        now = time.perf_counter()
        match name:
            case "q":
                raise Quit
            case "r" | "enter":
                self.ask([state.kata], now)
            case "n":
                done = state.lights.get(state.kata.name) == "green"
                self.ask([(state.following() if done else None) or state.beside(1)], now)
            case "p":
                self.ask([state.beside(-1)], now)
            case "a":
                others = [kata for kata in state.katas.values() if kata.name != state.kata.name]
                self.ask([*others, state.kata], now)
                state.page = "board"
                self.view.redraw(state)
