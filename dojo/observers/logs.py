"""The observer of logging, and the undoing of what a solution does to `logging`."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dojo.harness.current import current_exchange, current_timeline
from dojo.harness.frames import callers, is_learners, module_of

LOGGER = "kata"


@dataclass(frozen=True)
class Logged:
    """A record as a handler got it: of which exchange, its text, and the attribute asked for.

    `value` is None where the record has no such attribute.
    """

    exchange: int | None
    text: str
    value: Any


class Logs:
    """The messages on the logger `kata`: level names and texts, not the records.

    A record would keep the exception alive, and with it everything that the failing function held
    open.
    """

    __slots__ = ("elsewhere", "seen", "too_low", "tracebacks")

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []
        self.elsewhere: list[str] = []
        self.too_low: list[str] = []
        self.tracebacks: list[str] = []

    def listen_to_all(self) -> None:
        """From now on leave no record of the solution out because its level is low.

        Records on other loggers than `kata` go to `elsewhere`. Records on `kata` below WARNING go
        to `too_low`, where an exception was being handled.
        """
        logging.disable(logging.NOTSET)
        logging.root.setLevel(1)

    def collect(self, attribute: str) -> list[Logged]:
        """A list that gets what a handler of the logger `kata` sees of each record from now on.

        Records of the level INFO reach it, too.
        """
        seen: list[Logged] = []
        logger = logging.getLogger(LOGGER)
        logging.disable(logging.NOTSET)
        if not logger.isEnabledFor(logging.INFO):
            logger.setLevel(logging.INFO)
        # The first one: what another handler does to a record must not matter.
        logger.handlers.insert(0, _Collector(attribute, seen))
        return seen

    def write(self, text: str) -> None:
        """Log a warning on `kata`, outside of every request."""
        logging.getLogger(LOGGER).warning(text)

    def weight(self) -> int:
        """The number of handlers, filters and function calls that one record costs now.

        It grows where something is put on the logging system with each request. A logger below
        `kata` counts too: one that was asked for by name is kept for ever.
        """
        known = _loggers()
        parts = sum(len(x.handlers) + len(x.filters) for x in known.values())
        named = sum(_is_the_katas(name) for name in known)
        return parts + named + min(_calls_of_a_record() for _ in range(3))

    def note(self, record: logging.LogRecord) -> None:
        """Keep the text of a record."""
        text = _text(record)
        self.seen.append((record.levelno, text))
        if record.levelno < logging.WARNING and sys.exc_info()[0] is not None:
            self.too_low.append(f"{record.levelname} {text}"[:200])
        if record.levelno >= logging.ERROR and (shown := _traceback(record, text)):
            self.tracebacks.append(shown)
        timeline = current_timeline()
        if timeline is not None:
            timeline.record("log", f"{record.levelname} {text}"[:120])

    @property
    def failures(self) -> list[str]:
        """The texts of all records of level WARNING or above."""
        return [text for level, text in self.seen if level >= logging.WARNING]


class _Collector(logging.Handler):
    """A handler that keeps the text and an attribute of each record, and not the record."""

    def __init__(self, attribute: str, seen: list[Logged]) -> None:
        super().__init__()
        self._attribute = attribute
        self._seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        state = current_exchange()
        value = getattr(record, self._attribute, None)
        self._seen.append(Logged(state.number if state else None, _text(record), value))


def _calls_of_a_record() -> int:
    """How many functions are called for one record on the logger `kata`."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    logger, before = logging.getLogger(LOGGER), sys.getprofile()
    sys.setprofile(count)
    try:
        logger.info("how much does a record cost?")
    finally:
        sys.setprofile(before)
    return calls


def _traceback(record: logging.LogRecord, text: str) -> str:
    """The traceback that a record shows; empty where it shows none."""
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        return "".join(traceback.format_exception(record.exc_info[1]))
    return text if "Traceback (most recent call last)" in text else ""


_logs: Logs | None = None
_call_handlers = logging.Logger.callHandlers


def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
    """In place of `Logger.callHandlers`: note a record first."""
    if _logs is not None:
        _note_exception(record)
        if _is_the_katas(logger.name):
            _logs.note(record)
        elif _by_the_solution():
            _logs.elsewhere.append(f"{logger.name}: {record.levelname} {_text(record)}"[:200])
    _call_handlers(logger, record)


@contextmanager
def logging_observed(logs: Logs | None = None) -> Iterator[Logs]:
    """Listen to the logger `kata`, and put all loggers back afterwards as they were.

    `logs` gets the records, in place of the usual ones.
    """
    global _logs
    before = {name: _state(logger) for name, logger in _loggers().items()}
    disabled = logging.root.manager.disable
    factory, kind = logging.getLogRecordFactory(), logging.getLoggerClass()
    _logs = logs = logs or Logs()
    try:
        yield logs
    finally:
        _logs = None
        logging.disable(disabled)
        logging.setLogRecordFactory(factory)
        logging.setLoggerClass(kind)
        for name, changed in _loggers().items():
            _put_back(changed, before.get(name))
        _forget_the_katas()


def _note_exception(record: logging.LogRecord) -> None:
    """Keep the exception that a record is about, or that was being handled meanwhile."""
    given = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    error = given or sys.exc_info()[1]
    timeline = current_timeline()
    if timeline is not None and error is not None:
        timeline.note_error(error, "was only logged")


def _is_the_katas(name: str) -> bool:
    return name.partition(".")[0] == LOGGER


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _by_the_solution() -> bool:
    """Whether it is the solution that logs, and no library that it uses."""
    for frame in callers():
        if module_of(frame) != __name__ and module_of(frame).partition(".")[0] != "logging":
            return is_learners(frame)
    return False


def _forget_the_katas() -> None:
    """Let the next solution make the logger anew: `dictConfig` disables loggers that exist."""
    known = logging.root.manager.loggerDict
    for name in [name for name in known if _is_the_katas(name)]:
        del known[name]


State = tuple[list[logging.Handler], int, bool, bool, list[Any]]


def _loggers() -> dict[str, logging.Logger]:
    known = logging.root.manager.loggerDict
    named = {n: logger for n, logger in known.items() if isinstance(logger, logging.Logger)}
    return {"": logging.root, **named}


def _state(logger: logging.Logger) -> State:
    filters = list(logger.filters)
    return list(logger.handlers), logger.level, logger.propagate, logger.disabled, filters


def _put_back(logger: logging.Logger, state: State | None) -> None:
    state = state or ([], logging.NOTSET, True, False, [])
    if state == _state(logger):
        return
    handlers, level, propagate, disabled, filters = state
    for handler in list(logger.handlers):
        if handler not in handlers:
            logger.removeHandler(handler)
            handler.close()
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate
    logger.disabled = disabled
    logger.filters[:] = filters
