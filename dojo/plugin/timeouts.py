"""The time limit of each spec, and the pytest hooks that begin, end and report it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest

from dojo.harness import time_limit
from dojo.harness.time_limit import is_late

OUTCOMES = (pytest.skip.Exception, pytest.fail.Exception, pytest.xfail.Exception)


class FinalizerError(AssertionError):
    """A finalizer ended with an exception that would have kept the others from running."""


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Begin the limit of a spec in place of pytest-timeout."""
    if not _is_ours(item):
        return None
    time_limit.watch(item.nodeid, settings.timeout)
    return True


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool | None:
    """End the limit of a spec."""
    if not _is_ours(item):
        return None
    time_limit.stop_watching()
    return True


def _is_ours(item: pytest.Item) -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and item.get_closest_marker("dojo_limit") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    """Set a spec up within its limit."""
    yield from _within_the_limit()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Run a spec within its limit."""
    yield from _within_the_limit()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Tear a spec down within a limit of its own, where the first one has run out."""
    if _is_ours(item):
        _protect_finalizers(item)
        alarm = time_limit.current_alarm()
        if alarm is not None and alarm.reported:
            alarm.start()
    yield from _within_the_limit()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: Any
) -> Generator[None, Any, Any]:
    """Note that a fixture which was broken off has failed; pytest does for an `Exception` only.

    The next spec would find it neither set up nor torn down. Loading a solution has a limit of its
    own.
    """
    loads = fixturedef.argname == "kata" and time_limit.current_alarm() is not None
    try:
        if loads:
            _start_anew()
        try:
            return (yield)
        finally:
            if loads:
                _start_anew()
    except (Exception, *OUTCOMES):
        raise
    except BaseException as error:
        key = fixturedef.cache_key(request)
        fixturedef.cached_result = (None, key, (error, error.__traceback__))
        raise


def _start_anew() -> None:
    """Count the time of the spec from now, unless its limit has run out already."""
    alarm = time_limit.current_alarm()
    if alarm is not None and alarm.overtime is None:
        alarm.start()


def _within_the_limit() -> Generator[None, None, None]:
    """End a phase with the alarm's error where the alarm has rung, once."""
    alarm = time_limit.current_alarm()
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        if alarm is None or alarm.overtime is None:
            raise
        if is_late(error):
            alarm.reported = True
            raise
        if not alarm.reported:
            alarm.reported = True
            raise alarm.overtime.with_traceback(error.__traceback__) from None
        return
    if alarm is not None and alarm.overtime is not None and not alarm.reported:
        alarm.reported = True
        raise alarm.overtime


def _protect_finalizers(item: pytest.Item) -> None:
    """Let all finalizers run: pytest stops at one that raises no `Exception`."""

    def protected(finalizer: Any) -> Any:
        def run() -> None:
            try:
                finalizer()
            except (Exception, KeyboardInterrupt, *OUTCOMES):
                raise
            except BaseException as error:
                raise FinalizerError(
                    f"{type(error).__name__} when the app was shut down: "
                    "it must not end the process that it lives in"
                ) from error

        return run

    # pytest has no public way to the finalizers of a test.
    finalizers, _ = vars(item.session)["_setupstate"].stack.get(item, ([], None))
    finalizers[:] = [protected(finalizer) for finalizer in finalizers]
