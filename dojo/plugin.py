"""The pytest plugin: which answers are under test, what a red spec says, and the board at the end
of a run."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from dojo import finding, fixtures, limit
from dojo.answers import NoAnswers, answers_tree
from dojo.board import Board
from dojo.catalogue import BrokenCatalogue, Kata, read_catalogue
from dojo.fixtures import KATA, STAGE, TREE
from dojo.timeline import Order, witness

KATAS = pytest.StashKey[dict[str, Kata]]()
BOARD = pytest.StashKey[Board]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dojo", "katas about background tasks")
    group.addoption(
        "--answers",
        metavar="DIR",
        default=None,
        help="the answers tree to run the specs against: a folder laid out like katas/, "
        "or a checkout with such a katas/ in it (default: katas)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "dojo_limit: a spec; it has a time limit of 5 s.")
    try:
        katas = read_catalogue(config.rootpath)
        named = config.getoption("--answers")
        tree = (
            config.rootpath / "katas"
            if named is None
            else answers_tree(config.invocation_params.dir / Path(named).expanduser(), katas)
        )
    except (BrokenCatalogue, NoAnswers) as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[KATAS] = katas
    config.stash[TREE] = tree
    config.stash[BOARD] = Board(katas, tree, config)
    config.pluginmanager.register(config.stash[BOARD], "dojo-board")
    config.pluginmanager.register(fixtures, "dojo-fixtures")
    config.pluginmanager.register(limit, "dojo-limit")


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
    config.stash[BOARD].expect(item.nodeid for item in items if KATA in item.stash)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Import what answers need before the first spec runs, so that it is not the slow one."""
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
    if timeline is None or op != "==":
        return None
    if isinstance(left, Order) and isinstance(right, list):
        timeline.mark_disorder(left, right)
    return finding.explain_comparison(left, right)


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
    found = finding.finding(kata.name, item.name, doc, error, item.stash.get(STAGE, None), printed)
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
