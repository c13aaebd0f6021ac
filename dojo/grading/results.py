"""The results of grading: one model, from which every format is made.

`results.schema.json` beside this file describes its JSON.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from dojo.catalogue import Kata
from dojo.lights import Light

VERSION: Literal[1] = 1
MESSAGE = 4_000
TIMELINE = 100
QUARTER = 4  # the part of a kata's points without its lesson: one of four

Points = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ResultsFileError(Exception):
    """A file that holds no results; the message names the file and the error."""


class State(StrEnum):
    """The state of grading.

    In `review` the points of the specs count, and evidence of weight asks a person to decide.
    `tampered` is what no honest program can do, and has no points. `ungradable` means that the
    grader or the machine failed; it is never a score of 0.
    """

    GRADED = "graded"
    REVIEW = "review"
    TAMPERED = "tampered"
    UNGRADABLE = "ungradable"


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", validate_assignment=True)


class SpecResult(_Model):
    """The result of one spec.

    `points` is what a pass is worth. `essential` means that the kata's lesson depends on it, see
    `KataResult.note`. `line` is the line of the solution that the failure points at
    (0: the whole file). `message` is empty where the spec passed. `printed` is the output of the
    solution, shortened. `seconds` is the duration.
    """

    id: str = Field(min_length=1)
    title: str
    passed: bool
    points: Points
    essential: bool = False
    message: str = ""
    timeline: list[str] = []
    line: int = Field(default=0, ge=0)
    printed: str = ""
    seconds: float = Field(default=0.0, ge=0)


class KataResult(_Model):
    """The result of one kata.

    `file` is the path of the solution within the submission, with `/`, and `digest` the SHA-256 of
    its content, empty where it was not read. `cause` is one line, the reason for a state other than
    `graded`. `evidence` is for a person to read, what weighs most first.
    """

    kata: str = Field(min_length=1)
    title: str
    state: State = State.GRADED
    light: Light
    file: str
    digest: str = ""
    cause: str = ""
    seconds: float = Field(default=0.0, ge=0)
    evidence: list[str] = []
    specs: list[SpecResult]

    @property
    def counts(self) -> bool:
        """Whether the specs that passed have their points."""
        return self.state in (State.GRADED, State.REVIEW)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def score(self) -> float | None:
        """The sum of `earned`; None where ungradable."""
        return None if self.state is State.UNGRADABLE else total(self.earned.values())

    @property
    def earned(self) -> dict[str, float]:
        """The points for each spec, by id.

        They are those of the specs that passed, scaled down to a quarter of the kata's points
        where an essential spec did not pass; none where the state is not one with points.
        """
        if self.state in (State.TAMPERED, State.UNGRADABLE):
            return {spec.id: 0.0 for spec in self.specs}
        worth = [spec.points if spec.passed else 0.0 for spec in self.specs]
        most = self.max_score / QUARTER
        if self._lesson_missed and total(worth) > most:
            share = most / sum(worth)
            sums = [math.floor(100 * share * so_far + 1e-6) for so_far in accumulate(worth)]
            worth = [(after - before) / 100 for before, after in itertools.pairwise([0, *sums])]
        return {spec.id: points for spec, points in zip(self.specs, worth, strict=True)}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def note(self) -> str:
        """One line that says why the specs that passed earn less than they are worth; or ""."""
        worth = total(spec.points for spec in self.specs if spec.passed)
        if self.state in (State.TAMPERED, State.UNGRADABLE) or total(self.earned.values()) == worth:
            return ""
        missed = "; ".join(dict.fromkeys(spec.title for spec in self._lesson_missed))
        return f"at most a quarter of the points, because the lesson of the kata is red: {missed}"

    @property
    def _lesson_missed(self) -> list[SpecResult]:
        return [spec for spec in self.specs if spec.essential and not spec.passed]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def max_score(self) -> float:
        """The points of all specs."""
        return total(spec.points for spec in self.specs)


class SubmissionResult(_Model):
    """The result of one submission, by kata.

    `not_begun` names the katas that do not count, since they are not begun and not asked for.
    """

    name: str = Field(min_length=1)
    seconds: float = Field(default=0.0, ge=0)
    katas: list[KataResult]
    not_begun: list[str] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def state(self) -> State:
        """The worst of its katas."""
        states = {kata.state for kata in self.katas}
        for state in (State.UNGRADABLE, State.TAMPERED, State.REVIEW):
            if state in states:
                return state
        return State.GRADED

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cause(self) -> str:
        """One line, the reason for a state other than `graded`."""
        found = [k for k in self.katas if k.state is self.state and k.cause]
        if self.state is State.GRADED:
            return ""
        if len(found) > 1 and len({kata.cause for kata in found}) == 1:
            return found[0].cause
        return "; ".join(dict.fromkeys(f"{kata.kata}: {kata.cause}" for kata in found))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def score(self) -> float | None:
        """The sum over its katas; None where one of them could not be graded."""
        scores = [kata.score for kata in self.katas]
        return None if None in scores else total(score or 0.0 for score in scores)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def max_score(self) -> float:
        """The points of all katas."""
        return total(kata.max_score for kata in self.katas)

    @property
    def percent(self) -> float | None:
        """The score in percent of `max_score`, from 0 to 100; None where there is no score."""
        if self.score is None:
            return None
        return round(100 * self.score / self.max_score, 2) if self.max_score else 0.0


class Isolation(_Model):
    """How solutions were isolated: what was in force, and what the machine does not have."""

    in_force: list[str] = []
    missing: list[str] = []


class Results(_Model):
    """The results of one run of the grader."""

    version: Literal[1] = VERSION
    isolation: Isolation = Isolation()
    submissions: list[SubmissionResult] = []

    def text(self) -> str:
        """The results as indented JSON."""
        return "".join(as_json(self.isolation, self.submissions))

    @classmethod
    def read(cls, file: Path) -> Results:
        """Read a file that `as_json` gave.

        Raises `ResultsFileError`.
        """
        try:
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            raise ResultsFileError(f"{file}: {error.strerror or error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ResultsFileError(
                f"{file}: these are not results of `dojo grade`: {where or 'the file'}: "
                f"{first['msg']}"
            ) from None


def as_json(isolation: Isolation, submissions: Iterable[SubmissionResult]) -> Iterator[str]:
    """The text of `Results` piece by piece, with one submission in memory at a time."""
    yield f'{{\n "version": {VERSION},\n "isolation": {_indented(isolation, 1)},\n "submissions": ['
    between = ""
    for submission in submissions:
        yield f"{between}\n  {_indented(submission, 2)}"
        between = ","
    yield "\n ]\n}\n" if between else "]\n}\n"


def _indented(model: BaseModel, depth: int) -> str:
    text = json.dumps(model.model_dump(mode="json"), indent=1, ensure_ascii=False)
    return text.replace("\n", "\n" + " " * depth)


def schema() -> dict[str, object]:
    """The JSON Schema of `Results` (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Results.model_json_schema(mode="serialization"),
    }


def write_whole(file: Path, pieces: Iterable[str]) -> None:
    """Replace a file at once: a reader sees the old content or the new, and no half of it."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8", errors="replace", newline="\n") as opened:
            opened.writelines(pieces)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def total(points: Iterable[float]) -> float:
    """The sum of points, rounded to hundredths."""
    return round(sum(points), 2)


def spread(points: int, count: int) -> list[float]:
    """Distribute `points` over `count` specs, in hundredths; the sum is exactly `points`."""
    hundredths = [round(100 * points * n / count) for n in range(count + 1)]
    return [(after - before) / 100 for before, after in itertools.pairwise(hundredths)]


def nothing_passed(
    kata: Kata, specs: Sequence[tuple[str, str]], file: str, message: str
) -> KataResult:
    """The result of a kata whose specs (id and title) all failed for the same reason."""
    return KataResult(
        kata=kata.name,
        title=kata.title,
        light="grey",
        file=file,
        specs=[
            SpecResult(
                id=id,
                title=title,
                passed=False,
                points=points,
                message=message,
                essential=is_essential(kata, id),
            )
            for (id, title), points in zip(specs, spread(kata.points, len(specs)), strict=True)
        ],
    )


def is_essential(kata: Kata, spec: str) -> bool:
    """Whether the spec with this id, like `tests/test_k01.py::test_a[b]`, is an essential one."""
    return spec.partition("::")[2].partition("[")[0] in kata.essential_specs


if __name__ == "__main__":
    text = json.dumps(schema(), indent=1) + "\n"
    write_whole(Path(__file__).with_suffix(".schema.json"), [text])
