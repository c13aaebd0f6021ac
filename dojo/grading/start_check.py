"""Runs a known good solution in the chosen isolation, before the first submission is graded.

Where it does not pass, the machine is the reason, and no submission may lose points for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from dojo.catalogue import Kata
from dojo.grading.results import is_essential
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job
from dojo.grading.verdict import verdict
from dojo.grading.worker_pool import GradingError, WorkerPool


def check_isolation(pool: WorkerPool, katas: Sequence[Kata], limits: Limits) -> None:
    """Run the essential specs of one kata on its reference solution.

    Without success, the isolation is lowered, and `pool.isolation` says so; a checkout without
    reference solutions is not checked.

    Raises:
        GradingError: They do not pass in any isolation.
    """
    why = _run(pool, katas, limits)
    if why and any("a network of its own" in entry for entry in pool.isolation.in_force):
        pool.restart(use_namespaces=False)
        pool.isolation.missing.append(
            f"no network, process tree and file system of its own: in them, {why}"
        )
        why = _run(pool, katas, limits)
    if why:
        raise GradingError(
            f"nothing can be graded on this machine: {why}. See whether `pytest --solutions "
            "solutions` is green here, and raise --memory-limit if it was lowered"
        )


def _run(pool: WorkerPool, katas: Sequence[Kata], limits: Limits) -> str:
    """Why a known good solution did not pass, in words; "" where it did or there is none."""
    for kata in katas:
        with suppress(OSError):
            source = kata.reference.read_text(encoding="utf-8")
            break
    else:
        return ""
    names = tuple(
        spec.partition("::")[2] for spec, _ in pool.specs[kata.name] if is_essential(kata, spec)
    )
    generous = replace(limits, seconds=Limits.seconds)
    report = pool.run(Job(kata.name, source, generous, specs=names))
    result = verdict(kata, pool.specs[kata.name], "app.py", report)
    if result.cause:
        return f"the known good solution of {kata.number} could not be run: {result.cause}"
    for spec in result.specs:
        if spec.essential and not spec.passed:
            first = spec.message.partition("\n")[0]
            return f"the known good solution of {kata.number} did not pass: {first}"
    return ""
