"""The hooks of the pytest plugin: options, the solutions under test, and reports of red specs."""

from __future__ import annotations

import argparse
import gc
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from dojo.catalogue import CatalogueError, Kata, read_catalogue
from dojo.doubles import network
from dojo.harness import frames, tasks, time_limit
from dojo.harness.current import current_timeline
from dojo.mistakes import MistakeError
from dojo.plugin import (
    assertions,
    debugging,
    diagnosis,
    fixtures,
    patched_copy,
    render,
    streams,
    timeouts,
)
from dojo.plugin.fixtures import ENVIRONMENT, KATA, SOLUTIONS
from dojo.plugin.patience import Patience
from dojo.plugin.summary import Summary
from dojo.solutions import Solutions, SolutionsNotFoundError, find_solutions

KATAS = pytest.StashKey[dict[str, Kata]]()
SUMMARY = pytest.StashKey[Summary]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options of the dojo."""
    if pluginmanager.is_blocked("asyncio"):
        raise pytest.UsageError("the specs need pytest-asyncio: leave out `-p no:asyncio`")
    group = parser.getgroup("dojo", "katas about background tasks")
    group.addoption(
        "--solutions",
        metavar="PATH",
        default=None,
        help="run the specs against these solutions: a folder laid out like katas/, a checkout "
        "with such a katas/ in it, the folder of one kata, or one file, a .py or the .diff of a "
        "mistake (default: katas)",
    )
    group.addoption("--answers", default=None, help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    """Find the katas and the solutions, and register the other plugins."""
    config.addinivalue_line("markers", "dojo_limit: a spec; it has a time limit of 5 s.")
    try:
        katas = read_catalogue(config.rootpath)
        solutions = patched_copy.in_place(_solutions(config, katas), config)
    except (CatalogueError, MistakeError, SolutionsNotFoundError) as error:
        raise pytest.UsageError(str(error)) from None
    frames.show_from(config.invocation_params.dir)
    config.stash[KATAS] = katas
    config.stash[SOLUTIONS] = solutions
    config.stash[SUMMARY] = Summary(katas, solutions, config)
    config.pluginmanager.register(config.stash[SUMMARY], "dojo-summary")
    for name, plugin in (
        ("fixtures", fixtures),
        ("limit", timeouts),
        ("streams", streams),
        ("debugging", debugging),
        ("patience", Patience()),
    ):
        config.pluginmanager.register(plugin, f"dojo-{name}")
    if solutions.kata is not None and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args = [str(solutions.kata.spec_file)]
    else:
        config.args = list(dict.fromkeys(_spec_for(arg, config, katas) for arg in config.args))
    _keep_the_order(config)


def _keep_the_order(config: pytest.Config) -> None:
    """Run specs in the order of the file, unless a random order is asked for.

    pytest-randomly may be installed for other tests.
    """
    if hasattr(config, "workerinput"):
        return  # the process that started this one has decided
    words = [*config.invocation_params.args, *shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))]
    asked = any(str(word).startswith("--randomly-seed") for word in words)
    tests = config.rootpath / "tests"
    places = [config.invocation_params.dir / arg.partition("::")[0] for arg in config.args]
    specs_only = all(place == tests or tests in place.parents for place in places)
    if specs_only and not asked and "randomly" not in config.option.plugins:
        config.option.randomly_reorganize = False


def _spec_for(arg: str, config: pytest.Config, katas: dict[str, Kata]) -> str:
    """The path to collect for an argument: for a kata's folder or a file in it, its specs."""
    path = (config.invocation_params.dir / arg).resolve()
    if path == (config.rootpath / "katas").resolve():
        return str(config.rootpath / "tests")
    for kata in katas.values():
        folder = kata.stub.parent.resolve()
        if path.exists() and (path == folder or folder in path.parents):
            return str(kata.spec_file)
    return arg


def _solutions(config: pytest.Config, katas: dict[str, Kata]) -> Solutions:
    """Find the solutions under test.

    Raises `SolutionsNotFoundError`.
    """
    named = config.getoption("--solutions")
    if config.getoption("--answers") is not None:
        config.issue_config_time_warning(
            pytest.PytestDeprecationWarning("--answers is called --solutions now"), stacklevel=2
        )
        named = named or config.getoption("--answers")
    if named is None:
        return Solutions(config.rootpath / "katas")
    return find_solutions(config.invocation_params.dir / Path(named).expanduser(), katas)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to run on a machine without loopback: each spec would blame the solution.

    A grader runs solutions in a network of its own.
    """
    if not session.config.pluginmanager.has_plugin("dojo-runner") and not network.has_loopback():
        raise pytest.UsageError(network.NO_LOOPBACK)


def _kata_of(path: Path, config: pytest.Config) -> Kata | None:
    kata = config.stash[KATAS].get(path.name.removeprefix("test_").removesuffix(".py"))
    return kata if kata is not None and kata.spec_file == path else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the specs, and leave out those whose kata is not under test."""
    for item in items:
        kata = _kata_of(item.path, config)
        if kata is not None:
            item.stash[KATA] = kata
            item.add_marker("dojo_limit")
            if item.get_closest_marker("timeout") is None and _limit_is_ours(config):
                item.add_marker(pytest.mark.timeout(time_limit.SECONDS))
    _leave_out_other_katas(config, items)
    config.stash[SUMMARY].expect(item.nodeid for item in items if KATA in item.stash)


def _limit_is_ours(config: pytest.Config) -> bool:
    """Whether no limit was set, and pytest-timeout is there to measure it."""
    if not hasattr(config.option, "timeout"):
        return False
    named = (config.option.timeout, os.environ.get("PYTEST_TIMEOUT"), config.getini("timeout"))
    return all(value in (None, "") for value in named)


def _leave_out_other_katas(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the specs of other katas where the solution of one is under test."""
    only = config.stash[SOLUTIONS].kata
    if only is None:
        return
    others = [item for item in items if item.stash.get(KATA, only) != only]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.stash.get(KATA, only) == only]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Import the libraries of solutions before the first spec runs: else it is the slow one."""
    if any(KATA in item.stash for item in session.items) and not session.config.option.collectonly:
        import aiosmtpd.smtp  # noqa: F401
        import sqlalchemy.orm  # noqa: F401

        # All that is imported by now stays: the garbage collector need not look through it.
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Tell the summary which specs a worker has collected."""
    node.config.stash[SUMMARY].expect(ids)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain a comparison that failed in a spec."""
    timeline = current_timeline()
    if timeline is None:
        return None
    return assertions.explain(op, left, right, timeline, tasks.in_force())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    """Report a red spec in the dojo's words; in pytest's where a style was asked for with `--tb`.

    pytest's own tracebacks through the framework take ten times as long.
    """
    kata = item.stash.get(KATA, None)
    if kata is None or call.excinfo is None or call.when is None or call.when == "collect":
        return None
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception | pytest.xfail.Exception):
        return None
    # A report of the same phase without its error has what was captured, and no traceback.
    quiet = pytest.CallInfo.from_call(lambda: None, call.when)
    quiet.start, quiet.stop, quiet.duration = call.start, call.stop, call.duration
    report = pytest.TestReport.from_item_and_call(item, quiet)
    found = diagnosis.failure(
        kata.name,
        item.name,
        getattr(getattr(item, "function", None), "__doc__", None) or "",
        error,
        item.stash.get(ENVIRONMENT, None),
        _printed(report, item.config),
        item.nodeid,
    )
    if item.config.getoption("tbstyle") != "auto":
        report = pytest.TestReport.from_item_and_call(item, call)
    else:
        report.outcome, report.longrepr = "failed", found.text()
        report.when = "teardown" if call.when == "teardown" else "call"
        captured = [(title, diagnosis.cut(text)) for title, text in report.sections]
        timeline = "\n".join(render.timeline_lines(found.timeline))
        report.sections = [*captured, ("timeline", timeline)]
    vars(report)["failure"] = found.write()
    return report


def _printed(report: pytest.TestReport, config: pytest.Config) -> str:
    """The text that a solution has written, as far as `--show-capture` wants it to be shown."""
    shown = config.getoption("showcapture")
    log_asked_for = config.getoption("log_level") or config.getini("log_level") or shown == "log"
    return "".join(
        text
        for kind, text in (
            ("stdout", report.capstdout),
            ("stderr", report.capstderr),
            ("log", report.caplog),
        )
        if shown in ("all", kind) and (kind != "log" or log_asked_for)
    )
