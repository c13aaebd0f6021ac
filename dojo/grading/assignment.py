"""The assignment: the katas that a submission is graded by, and those of them that count."""

from __future__ import annotations

import tomllib
from pathlib import Path

from dojo.catalogue import CatalogueError
from dojo.grading.results import State, SubmissionResult

TABLE = "[tool.dojo.assignment]"


def assigned(root: Path) -> list[str]:
    """The numbers or names of katas in the table `TABLE` of `root/pyproject.toml`, or none.

    Raises `CatalogueError`.
    """
    file = root / "pyproject.toml"
    if not file.is_file():
        return []
    try:
        tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"pyproject.toml: not TOML: {error}") from None
    table = tool.get("dojo", {}).get("assignment")
    if table is None:
        return []
    katas = table.get("katas") if isinstance(table, dict) else None
    if not isinstance(katas, list) or not katas or not all(isinstance(k, str) for k in katas):
        raise CatalogueError(f'pyproject.toml: {TABLE} must have a list like katas = ["k01"]')
    return katas


def without_idle(result: SubmissionResult) -> SubmissionResult:
    """The result without the katas that are not begun; unchanged where that is all of them.

    Where nobody has named the assignment, it can only be the katas that were begun.
    """
    idle = [k.kata for k in result.katas if k.light == "grey" and k.state is State.GRADED]
    if len(idle) == len(result.katas):
        return result
    kept = [kata for kata in result.katas if kata.kata not in idle]
    return result.model_copy(update={"katas": kept, "not_begun": idle})
