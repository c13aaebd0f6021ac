"""A trial: one solution against the specs of its kata, as failures that can be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dojo import mistakes
from dojo.catalogue import Kata
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job
from dojo.grading.worker_pool import WorkerPool
from dojo.plugin.failures import Failure


@dataclass
class Trial:
    """How one solution did: a failure for each red spec, None for each green one, by test name."""

    kata: str
    solution: Path
    specs: dict[str, Failure | None] = field(default_factory=dict)
    trouble: str = ""

    @property
    def red(self) -> dict[str, Failure]:
        return {name: found for name, found in self.specs.items() if found is not None}

    @property
    def green(self) -> bool:
        return bool(self.specs) and not self.red and not self.trouble


def source_of(solution: Path) -> str:
    """Read a solution's file; of a mistake's `.diff`, the module that it makes."""
    if solution.suffix == mistakes.SUFFIX:
        return mistakes.patched(solution)
    return solution.read_bytes().decode("utf-8", "surrogateescape")


def run_trial(
    worker_pool: WorkerPool, kata: Kata, solution: Path, specs: tuple[str, ...] = ()
) -> Trial:
    """Try one solution file: against all specs of its kata, or those named in `specs`.

    A problem with the process is the trial's `trouble`, not an exception.
    """
    source = source_of(solution)
    said = worker_pool.run(Job(kata.name, source, Limits(), specs=specs))
    trial = Trial(kata.name, solution, trouble=said.trouble)
    for outcome in said.outcomes:
        found = outcome["failure"]
        trial.specs[outcome["spec"].partition("::")[2]] = Failure.read(found) if found else None
    asked = len(specs) or len(worker_pool.specs[kata.name])
    if len(trial.specs) < asked and not trial.trouble:
        why = "; ".join([said.ended, *said.tampered, *said.heavy])
        trial.trouble = f"{len(trial.specs)} of {asked} specs reported: {why}"
    return trial
