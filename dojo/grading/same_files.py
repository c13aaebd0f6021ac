"""Points out submissions with the same file, as evidence for a person; it takes no points."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from dojo.grading.results import KataResult, SubmissionResult

SAME = "the same file as in "
NAMES = 5

Submissions = Callable[[], Iterator[SubmissionResult]]
Place = tuple[str, str]  # a kata, and the digest of the file


def digest_of(source: bytes) -> str:
    """The digest by which files are compared."""
    return hashlib.sha256(source).hexdigest()


def pointed_out(submissions: Submissions, root: Path) -> Submissions:
    """The submissions, with evidence in each kata whose file is in others too.

    Stubs do not count, nor does the reference where `root` has it.
    """
    names: dict[Place, list[str]] = {}
    for submission in submissions():
        for kata in submission.katas:
            if kata.digest and kata.light != "grey":
                names.setdefault((kata.kata, kata.digest), []).append(submission.name)
    shared = {
        place: found
        for place, found in names.items()
        if len(found) > 1 and place[1] != _reference(root, place[0])
    }
    return lambda: (_with_evidence(submission, shared) for submission in submissions())


def forgotten(submission: SubmissionResult) -> SubmissionResult:
    """The submission without that evidence, which depends on the others beside it."""
    return _with_evidence(submission, {})


def _with_evidence(
    submission: SubmissionResult, shared: dict[Place, list[str]]
) -> SubmissionResult:
    katas = [_noted(kata, submission.name, shared) for kata in submission.katas]
    return submission.model_copy(update={"katas": katas})


def _noted(kata: KataResult, name: str, shared: dict[Place, list[str]]) -> KataResult:
    evidence = [entry for entry in kata.evidence if not entry.startswith(SAME)]
    others = [other for other in shared.get((kata.kata, kata.digest), []) if other != name]
    if others:
        left = f" and {len(others) - NAMES} more" if len(others) > NAMES else ""
        evidence.append(f"{SAME}{', '.join(others[:NAMES])}{left}")
    return kata.model_copy(update={"evidence": evidence})


def _reference(root: Path, kata: str) -> str:
    file = root / "solutions" / kata / "app.py"
    return digest_of(file.read_bytes()) if file.is_file() else ""
