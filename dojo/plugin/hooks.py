"""The pytest plugin: which solutions are under test, what a red spec says, and the board at the end
of a run."""

from __future__ import annotations

import argparse
import gc
import os
import shlex
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from dojo.catalogue import CatalogueError, Kata, read_catalogue
from dojo.doubles import network
from dojo.harness import frames, tasks, time_limit
from dojo.harness.timeline import current_timeline
from dojo.mistakes import MistakeError
from dojo.plugin import failures, fixtures, patched_copy, streams, timeouts
from dojo.plugin.fixtures import ENVIRONMENT, KATA, SOLUTIONS
from dojo.plugin.summary import Summary
from dojo.solutions import Solutions, SolutionsNotFoundError, find_solutions

KATAS = pytest.StashKey[dict[str, Kata]]()
SUMMARY = pytest.StashKey[Summary]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if pluginmanager.is_blocked("asyncio"):
        raise pytest.UsageError("the specs need pytest-asyncio: leave out `-p no:asyncio`")
    group = parser.getgroup("dojo", "katas about background tasks")
    group.addoption(
        "--solutions",
        metavar="PATH",
        default=None,
        help="what to run the specs against: a folder laid out like katas/, a checkout with such "
        "a katas/ in it, the folder of one kata, or one file, a .py or the .diff of a mistake "
        "(default: katas)",
    )
    group.addoption("--answers", default=None, help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
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
    config.pluginmanager.register(fixtures, "dojo-fixtures")
    config.pluginmanager.register(timeouts, "dojo-limit")
    config.pluginmanager.register(streams, "dojo-streams")
    config.pluginmanager.register(Patience(), "dojo-patience")
    if solutions.kata is not None and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args = [str(solutions.kata.spec_file)]
    else:
        config.args = list(dict.fromkeys(_spec_for(arg, config, katas) for arg in config.args))
    _keep_the_order(config)


def _keep_the_order(config: pytest.Config) -> None:
    """Who works on a kata gets its specs in the order of the file, also where pytest-randomly is
    installed for other tests, unless a random order is asked for."""
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
    """What to collect for an argument: for the folder of a kata or a file in it, its specs."""
    path = (config.invocation_params.dir / arg).resolve()
    if path == (config.rootpath / "katas").resolve():
        return str(config.rootpath / "tests")
    for kata in katas.values():
        folder = kata.stub.parent.resolve()
        if path.exists() and (path == folder or folder in path.parents):
            return str(kata.spec_file)
    return arg


def _solutions(config: pytest.Config, katas: dict[str, Kata]) -> Solutions:
    """What the specs are run against. Raises `SolutionsNotFoundError`."""
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
    """Say once what is the machine's trouble: each spec would guess at the solution.

    A grader runs solutions in a network of its own.
    """
    if not session.config.pluginmanager.has_plugin("dojo-runner") and not network.has_loopback():
        raise pytest.UsageError(network.NO_LOOPBACK)


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
            if item.get_closest_marker("timeout") is None and _limit_is_ours(config):
                item.add_marker(pytest.mark.timeout(time_limit.SECONDS))
    _leave_out_other_katas(config, items)
    config.stash[SUMMARY].expect(item.nodeid for item in items if KATA in item.stash)


def _limit_is_ours(config: pytest.Config) -> bool:
    """Whether nobody has said what the limit is, and there is something that measures it."""
    if not hasattr(config.option, "timeout"):
        return False
    named = (config.option.timeout, os.environ.get("PYTEST_TIMEOUT"), config.getini("timeout"))
    return all(value in (None, "") for value in named)


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
    node.config.stash[SUMMARY].expect(ids)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    timeline = current_timeline()
    if timeline is None:
        return None
    return failures.explain(op, left, right, timeline, tasks.in_force())


class NotRunError(time_limit.TimeLimitError):
    """A spec that was left out, because other specs of its kata did not finish."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def __str__(self) -> str:
        return (
            f"{failures.LEFT_OUT}two specs of this kata did not finish; the others would probably "
            "take as long, so they were left out"
        )


class Patience:
    """A plugin that leaves the other specs of a kata out when two have exceeded their limit: each
    would take as long."""

    MOST = 2

    def __init__(self) -> None:
        self.late: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        kata = item.stash.get(KATA, None)
        if kata is not None and self.late[kata.name] >= self.MOST:
            raise NotRunError

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        kata = item.stash.get(KATA, None)
        if kata is not None and call.excinfo is not None and time_limit.is_late(call.excinfo.value):
            self.late[kata.name] += 1
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    """Report a red spec in the dojo's words; in pytest's where a style was asked for with `--tb`.

    pytest's own tracebacks through the framework take ten times as long.
    """
    kata = item.stash.get(KATA, None)
    if kata is None or call.excinfo is None:
        return None
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception | pytest.xfail.Exception):
        return None
    found = _failure(item, kata, error)
    if item.config.getoption("tbstyle") != "auto":
        report = pytest.TestReport.from_item_and_call(item, call)
        report.__dict__["failure"] = found.write()
        return report
    captured = [(f"Captured {k} {when}", _cut(text)) for when, k, text in item._report_sections]
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={name: 1 for name in item.keywords},
        outcome="failed",
        longrepr=found.text(),
        when="teardown" if call.when == "teardown" else "call",
        sections=[*captured, ("timeline", "\n".join(found.timeline))],
        duration=call.duration,
        start=call.start,
        stop=call.stop,
        user_properties=item.user_properties,
        failure=found.write(),
    )


def _failure(item: pytest.Item, kata: Kata, error: BaseException) -> failures.Failure:
    doc = getattr(getattr(item, "function", None), "__doc__", None) or ""
    config = item.config
    shown = config.getoption("showcapture")
    log_asked_for = config.getoption("log_level") or config.getini("log_level") or shown == "log"
    printed = "".join(
        text
        for _, title, text in item._report_sections
        if shown in ("all", title) and (title != "log" or log_asked_for)
    )
    environment = item.stash.get(ENVIRONMENT, None)
    return failures.failure(kata.name, item.name, doc, error, environment, printed, item.nodeid)


def _cut(text: str) -> str:
    most = failures.PRINTED
    return text if len(text) <= most else f"{text[:most]}\n… cut, {len(text):,} characters in all"


@pytest.hookimpl(tryfirst=True)
def pytest_exception_interact(node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Let `--pdb` begin in the frame of the solution, or of the spec, and not in the dojo's."""
    if not isinstance(node, pytest.Item) or KATA not in node.stash or call.excinfo is None:
        return
    error = call.excinfo.value
    environment = node.stash.get(ENVIRONMENT, None)
    exchanges = (
        environment.client.exchanges
        if environment is not None and environment.client is not None
        else []
    )
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
    return str(link.tb_frame.f_globals.get("__name__", "")).startswith("katas.k")


def _is_of_a_spec(link: TracebackType) -> bool:
    return Path(link.tb_frame.f_code.co_filename).name.startswith("test_k")
