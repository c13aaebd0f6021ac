"""Begin `--pdb` in the frame of the solution, or of the spec, and not in the dojo's."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest

from dojo.harness import debugger
from dojo.harness.frames import is_learners, is_spec
from dojo.plugin.fixtures import ENVIRONMENT, KATA


def pytest_enter_pdb() -> None:
    """Stop the time limit while somebody debugs."""
    debugger.enter()


@pytest.hookimpl(tryfirst=True)
def pytest_exception_interact(node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Cut the traceback behind the last frame of the solution, or of the spec."""
    if not isinstance(node, pytest.Item) or KATA not in node.stash or call.excinfo is None:
        return
    error = call.excinfo.value
    environment = node.stash.get(ENVIRONMENT, None)
    exchanges = environment.exchanges if environment is not None else []
    raised = [exchange.raised for exchange in exchanges if exchange.raised is not None]
    for shown in (error, *reversed(raised)):
        if trimmed := _up_to(_is_of_a_solution, shown.__traceback__):
            break
    else:
        shown, trimmed = error, _up_to(_is_of_a_spec, error.__traceback__)
    if trimmed is not None:
        call.excinfo = pytest.ExceptionInfo.from_exception(shown.with_traceback(trimmed))


def _up_to(mine: Callable[[TracebackType], bool], tb: TracebackType | None) -> TracebackType | None:
    """The traceback up to the last frame that is `mine`; None where there is none."""
    links = []
    while tb is not None:
        links.append(tb)
        tb = tb.tb_next
    last = max((number for number, link in enumerate(links) if mine(link)), default=-1)
    shown = None
    for link in reversed(links[: last + 1]):
        shown = TracebackType(shown, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return shown


def _is_of_a_solution(link: TracebackType) -> bool:
    return is_learners(link.tb_frame)


def _is_of_a_spec(link: TracebackType) -> bool:
    return is_spec(link.tb_frame)
