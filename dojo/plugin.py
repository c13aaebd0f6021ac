"""The pytest plugin: which solutions are under test, what a red spec says, and the board at the end
of a run."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path
from typing import Any

import pytest

from dojo import finding, fixtures, learner, limit, tasks
from dojo.board import Board
from dojo.catalogue import BrokenCatalogue, Kata, read_catalogue
from dojo.fixtures import KATA, SOLUTIONS, STAGE
from dojo.solutions import NoSolutions, Solutions, find_solutions
from dojo.timeline import witness

KATAS = pytest.StashKey[dict[str, Kata]]()
BOARD = pytest.StashKey[Board]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dojo", "katas about background tasks")
    group.addoption(
        "--solutions",
        metavar="PATH",
        default=None,
        help="what to run the specs against: a folder laid out like katas/, a checkout with such "
        "a katas/ in it, the folder of one kata, or one file (default: katas)",
    )
    group.addoption("--answers", default=None, help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "dojo_limit: a spec; it has a time limit of 5 s.")
    try:
        katas = read_catalogue(config.rootpath)
        solutions = _solutions(config, katas)
    except (BrokenCatalogue, NoSolutions) as error:
        raise pytest.UsageError(str(error)) from None
    learner.show_from(config.invocation_params.dir)
    config.stash[KATAS] = katas
    config.stash[SOLUTIONS] = solutions
    config.stash[BOARD] = Board(katas, solutions, config)
    config.pluginmanager.register(config.stash[BOARD], "dojo-board")
    config.pluginmanager.register(fixtures, "dojo-fixtures")
    config.pluginmanager.register(limit, "dojo-limit")
    if solutions.kata is not None and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args = [str(solutions.kata.spec_file)]


def _solutions(config: pytest.Config, katas: dict[str, Kata]) -> Solutions:
    """What the specs are run against. Raises `NoSolutions`."""
    named = config.getoption("--solutions")
    if config.getoption("--answers") is not None:
        config.issue_config_time_warning(
            pytest.PytestDeprecationWarning("--answers is called --solutions now"), stacklevel=2
        )
        named = named or config.getoption("--answers")
    if named is None:
        return Solutions(config.rootpath / "katas")
    return find_solutions(config.invocation_params.dir / Path(named).expanduser(), katas)


def _kata_of(path: Path, config: pytest.Config) -> Kata | None:
    kata = config.stash[KATAS].get(path.name.removeprefix("test_").removesuffix(".py"))
    return kata if kata is not None and kata.spec_file == path else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        kata = _kata_of(item.path, config)
        if kata is not None:
            item.stash[KATA] = kata
            item.add_marker("dojo_limit")
            if item.get_closest_marker("timeout") is None and not config.getoption("timeout"):
                item.add_marker(pytest.mark.timeout(limit.SECONDS))
    _leave_out_other_katas(config, items)
    config.stash[BOARD].expect(item.nodeid for item in items if KATA in item.stash)


def _leave_out_other_katas(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where one file is under test, only the specs of its kata have anything to say."""
    only = config.stash[SOLUTIONS].kata
    if only is None:
        return
    others = [item for item in items if item.stash.get(KATA, only) != only]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.stash.get(KATA, only) == only]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Import what solutions need before the first spec runs, so that it is not the slow one."""
    if any(KATA in item.stash for item in session.items) and not session.config.option.collectonly:
        import aiosmtpd.smtp  # noqa: F401
        import sqlalchemy.orm  # noqa: F401

        # What is imported by now stays: it need not be looked through again and again.
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    node.config.stash[BOARD].expect(ids)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    timeline = witness()
    if timeline is None:
        return None
    return finding.explain(op, left, right, timeline, tasks.in_force())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    """Report a red spec in the dojo's words.

    pytest's own tracebacks through the framework take ten times as long.
    """
    kata = item.stash.get(KATA, None)
    if kata is None or call.excinfo is None:
        return None
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception | pytest.xfail.Exception):
        return None
    doc = getattr(getattr(item, "function", None), "__doc__", None) or ""
    printed = "".join(text for _, title, text in item._report_sections if title != "log")
    scene = item.stash.get(STAGE, None)
    found = finding.finding(kata.name, item.name, doc, error, scene, printed, item.nodeid)
    sections = [("timeline", "\n".join(found.timeline))]
    if found.printed:
        sections.append(("printed", found.printed))
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={name: 1 for name in item.keywords},
        outcome="failed",
        longrepr=found.text(),
        when="teardown" if call.when == "teardown" else "call",
        sections=sections,
        duration=call.duration,
        start=call.start,
        stop=call.stop,
        user_properties=item.user_properties,
        finding=found.write(),
    )
