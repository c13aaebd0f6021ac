"""The score of a kata: how its specs went, and the light that this makes."""

from __future__ import annotations

from datetime import datetime, timezone

from dojo.catalogue import Kata
from dojo.lights import Light, light_of
from dojo.plugin.failures import Failure, title_of
from dojo.progress import Run


class Score:
    """How the specs of one kata went."""

    def __init__(self, kata: Kata) -> None:
        self.kata = kata
        self.expected: dict[str, None] = {}
        self.passed: set[str] = set()
        self.red: dict[str, Failure | None] = {}
        self.seconds = 0.0

    @property
    def ran(self) -> bool:
        """Whether one of its specs ran."""
        return bool(self.passed or self.red)

    @property
    def marks(self) -> dict[str, bool | None]:
        """Whether each test function passed, in the order of the file; None where it did not run.

        One that is run with several values passes with all of them.
        """
        nodes: dict[str, list[str]] = {name: [] for name in self.kata.spec_names}
        for node in self.specs:
            nodes.setdefault(_name_of(node), []).append(node)
        return {name: self._passed(ran) for name, ran in nodes.items()}

    def _passed(self, nodes: list[str]) -> bool | None:
        if any(node in self.red for node in nodes):
            return False
        return True if nodes and self.passed.issuperset(nodes) else None

    @property
    def specs(self) -> list[str]:
        """The node ids, in the order of the spec file."""
        places = {name: number for number, name in enumerate(self.kata.spec_names)}
        nodes = {**self.expected, **dict.fromkeys([*self.red, *self.passed])}
        return sorted(nodes, key=lambda node: places.get(_name_of(node), len(places)))

    @property
    def failures(self) -> list[Failure]:
        """The red specs, in the order of the spec file."""
        red = [node for node in self.specs if node in self.red] if self.red else []
        return [self.red[node] or _unexplained(self.kata, node) for node in red]

    @property
    def light(self) -> str:
        """Green, red, amber or grey; `part` where all that ran passed, and not all ran."""
        light = self._light_of(self.failures)
        return "part" if light == "green" and not all(self.marks.values()) else light

    def _light_of(self, failures: list[Failure]) -> Light:
        return light_of([*(["green"] if self.passed else []), *(found.light for found in failures)])

    def run(self) -> Run:
        """What is noted of this run."""
        marks, failures = list(self.marks.values()), self.failures
        return Run(
            at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            kata=self.kata.name,
            light=self._light_of(failures),
            passed=marks.count(True),
            failed=marks.count(False),
            total=len(marks),
            seconds=round(self.seconds, 3),
            first_red=failures[0].title if failures else "",
        )


def _name_of(node: str) -> str:
    return node.partition("[")[0].rpartition("::")[2]


def _unexplained(kata: Kata, node: str) -> Failure:
    title = title_of(node.rpartition("::")[2])
    return Failure(kata.name, title, message="it did not end as a spec should", node=node)
