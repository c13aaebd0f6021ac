"""A red spec as data: what happened, what was expected, and everything that explains it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from dojo.harness.frames import Frame, Traceback
from dojo.plugin import render

NAMES = {
    "ai": "AI",
    "api": "API",
    "csv": "CSV",
    "http": "HTTP",
    "id": "id",
    "jpeg": "JPEG",
    "json": "JSON",
    "png": "PNG",
    "smtp": "SMTP",
    "sql": "SQL",
    "url": "URL",
    "utc": "UTC",
    "z": "Z",
}
PHRASES = {
    "content type": "Content-Type",
    "e mail": "e-mail",
    "retry after": "Retry-After",
    "time out": "time-out",
    "utf 8": "UTF-8",
}


@dataclass
class Comparison:
    """The two values that an assertion compared.

    `part` says which part of two long values it is, `all_rows` are the entries of the whole value,
    and `rows_of` is their heading. `missing` and `extra` are the entries that a list lacks and has
    too much of.
    """

    happened: str = ""
    expected: str = ""
    part: str = ""
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    rows_of: str = ""
    all_rows: list[str] = field(default_factory=list)


@dataclass
class Response:
    """A response with an unexpected status; `refused` are the fields that FastAPI refused."""

    status: int
    request: str
    body: str = ""
    refused: list[str] = field(default_factory=list)


@dataclass
class Row:
    """One event of a timeline.

    `exchange` is the number of its request, 0 where it belongs to none. `made` says that the spec
    made it fail. `file`, `line` and `source` are the place in the solution that did it, and `more`
    says how many events like it were left out behind it.
    """

    kind: str
    detail: str = ""
    exchange: int = 0
    thread: str = ""
    marked: bool = False
    made: bool = False
    file: str = ""
    line: int = 0
    source: str = ""
    more: str = ""


@dataclass
class Failure:
    """A red spec, as plain data that goes through xdist and out of a sandbox.

    `message` is one sentence, and `said` are the further lines of the spec's own. Where something
    else lies behind the failure, `message` names that, and `so` is what the spec said of it.
    `asserted` says that an assertion of the spec failed, as opposed to a solution that crashed.
    `file` and `line` are the place in the solution to look at, where one is known; `request` is the
    first request of the spec, and `where` the line of the spec that failed. Specs with the same
    `cause` fail for one reason; `node` is the spec's id, as pytest takes it. `left_out` says that
    the spec was not run, because others of its kata did not finish.
    """

    kata: str
    title: str
    why: str = ""
    light: str = "red"
    asserted: bool = False
    left_out: bool = False
    message: str = ""
    said: list[str] = field(default_factory=list)
    so: str = ""
    compared: Comparison = field(default_factory=Comparison)
    likely: list[str] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    file: str = ""
    line: int = 0
    request: str = ""
    where: str = ""
    tracebacks: list[Traceback] = field(default_factory=list)
    timeline: list[Row] = field(default_factory=list)
    printed: str = ""
    cause: str = ""
    node: str = ""

    @property
    def sentence(self) -> str:
        """The title as a sentence."""
        return f"{self.title[:1].upper()}{self.title[1:]}."

    @property
    def happened(self) -> str:
        """The value that an assertion found."""
        return self.compared.happened

    @property
    def expected(self) -> str:
        """The value that an assertion wanted."""
        return self.compared.expected

    @classmethod
    def read(cls, data: dict[str, Any]) -> Failure:
        """Read what `write` gave.

        Raises `TypeError` or `KeyError` where the fields are others.
        """
        return cls(
            **{
                **data,
                "compared": Comparison(**data["compared"]),
                "responses": [Response(**entry) for entry in data["responses"]],
                "tracebacks": [
                    Traceback(**{**entry, "frames": [Frame(**frame) for frame in entry["frames"]]})
                    for entry in data["tracebacks"]
                ],
                "timeline": [Row(**entry) for entry in data["timeline"]],
            }
        )

    def write(self) -> dict[str, Any]:
        """The fields as dictionaries, lists and plain values, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """All but the timeline and the prints, as pytest's own reports and JUnit show it."""
        return render.text(self)


def title_of(name: str) -> str:
    """The sentence that a spec's name is: `test_the_mail_leaves[no]` is `the mail leaves (no)`."""
    sentence, _, case = name.removeprefix("test_").partition("[")
    case = f" ({case.removesuffix(']')})" if case else ""
    words = " ".join(NAMES.get(word, word) for word in sentence.split("_"))
    words = re.sub(r"(?<=[a-z]) s(?= |$)", "'s", words)
    for phrase, instead in PHRASES.items():
        words = re.sub(rf"\b{phrase}\b", instead, words)
    return words + case
