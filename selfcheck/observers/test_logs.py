"""The observer of logging hears the kata's logger, and leaves `logging` as it was."""

import logging
import logging.config
import traceback
from uuid import uuid4

import pytest

from dojo.harness.environment import environment_in
from selfcheck.worlds import answer, run_tasks

pytestmark = pytest.mark.fast


async def test_what_is_logged_to_the_kata_s_logger_is_heard(environment):
    """With its level, and on the timeline of its exchange."""

    def work() -> None:
        logging.getLogger("kata").warning("no %s", "coffee")
        logging.getLogger("kata.kitchen").error("no tea")
        logging.getLogger("kata").info("quiet")

    await run_tasks(environment, work)

    assert environment.logs.failures == ["no coffee", "no tea"]
    assert environment.timeline.of("log") == ["WARNING no coffee", "ERROR no tea"]


async def test_other_loggers_are_not_heard(environment):
    """The contract names one."""

    def work() -> None:
        logging.warning("root")
        logging.getLogger("katalog").warning("other")

    await run_tasks(environment, work)

    assert environment.logs.seen == []


LOGS_ELSEWHERE = """
    import logging

    from fastapi import FastAPI

    app = FastAPI()


    def work():
        logging.getLogger("kata").info("it began")
        logging.getLogger(__name__).debug("%d cats", 2)
        try:
            raise ValueError
        except ValueError:
            logging.getLogger("kata").info("it failed")
            logging.exception("at the root")
"""


async def test_what_a_solution_logs_elsewhere_or_too_quietly_is_told_apart(environment, tmp_path):
    """Whatever the levels are; what libraries log is none of it."""
    with answer(tmp_path, LOGS_ELSEWHERE) as module:

        def work() -> None:
            logging.getLogger("library").error("not the solution's")
            module.work()

        environment.logs.listen_to_all()
        await run_tasks(environment, work)

    assert environment.logs.elsewhere == [
        "katas.k99_at_hand.app: DEBUG 2 cats",
        "root: ERROR at the root",
    ]
    assert environment.logs.too_low == ["INFO it failed"]


async def test_a_message_that_does_not_format_is_heard(environment):
    """An answer's mistake in a log line must not become the spec's."""

    def work() -> None:
        logger = logging.getLogger("kata")
        logger.propagate = False  # pytest's own handler would raise
        logger.error("%d cats", "two")

    exchange = await run_tasks(environment, work)

    assert exchange.raised is None
    assert environment.logs.failures == ["%d cats"]


@pytest.fixture
def logger():
    logger = logging.getLogger("selfcheck")
    logger.setLevel(logging.INFO)
    kept = logging.NullHandler()
    logger.addHandler(kept)
    yield logger
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)


def test_all_loggers_are_put_back(tmp_path, logger):
    """What one answer does to `logging`, the next must not meet."""
    root = logging.getLogger()
    before = [list(root.handlers), root.level, list(logger.handlers)]

    with environment_in(tmp_path):
        logging.disable(logging.ERROR)
        root.setLevel(logging.DEBUG)
        root.addHandler(logging.NullHandler())
        logger.addHandler(logging.FileHandler("own.log"))
        logger.setLevel(logging.CRITICAL)
        logger.propagate = False
        logger.disabled = True
        made = logging.getLogger("selfcheck.made.here")
        made.addHandler(logging.NullHandler())

    assert [list(root.handlers), root.level, list(logger.handlers)] == before
    assert (logger.level, logger.propagate, logger.disabled) == (logging.INFO, True, False)
    assert root.manager.disable == logging.NOTSET
    assert made.handlers == []


def test_a_handler_that_an_answer_removes_comes_back(tmp_path, logger):
    """`basicConfig(force=True)` and `handlers.clear()` take away what others put there."""
    before = list(logger.handlers)

    with environment_in(tmp_path):
        logger.handlers.clear()

    assert logger.handlers == before


CONFIGURED = {"version": 1, "root": {"level": "INFO"}, "loggers": {"kata": {"level": "INFO"}}}


@pytest.mark.parametrize("config", [{"version": 1}, CONFIGURED], ids=["others", "its own"])
@pytest.mark.parametrize("time", ["first", "second"])
async def test_an_answer_may_configure_logging(environment, config, time):
    """`dictConfig` takes handlers away, and disables the loggers that are there already."""
    logging.config.dictConfig(config)

    await run_tasks(environment, lambda: logging.getLogger("kata").warning("heard"))

    assert environment.logs.failures == ["heard"]


async def test_the_attributes_of_records_are_collected(environment):
    """As a handler of the logger sees them, with the exchange; the level is seen to."""
    logger = logging.getLogger("kata")

    def work() -> None:
        logger.info("one", extra={"request_id": "a"})
        logger.debug("too low")
        logger.warning("two")

    seen = environment.logs.collect("request_id")
    exchange = await run_tasks(environment, work)
    logger.info("three", extra={"request_id": "b"})

    assert [(record.exchange, record.text, record.value) for record in seen] == [
        (exchange.number, "one", "a"),
        (exchange.number, "two", None),
        (None, "three", "b"),
    ]


def a_filter() -> None:
    logging.getLogger("kata").addFilter(lambda record: True)


def a_handler() -> None:
    logging.getLogger("kata").addHandler(logging.NullHandler())


def a_factory() -> None:
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(lambda *args, **options: before(*args, **options))


def a_filter_at_the_root() -> None:
    logging.root.addFilter(lambda record: True)


def a_logger() -> None:
    logging.getLogger(f"kata.{uuid4()}")


@pytest.mark.parametrize("pile", [a_filter, a_handler, a_factory, a_filter_at_the_root, a_logger])
async def test_what_piles_up_has_weight(environment, pile):
    """And what does not, has none."""
    environment.logs.collect("request_id")
    before = environment.logs.weight()
    assert environment.logs.weight() == before
    pile()
    once = environment.logs.weight()
    pile()

    assert before < once < environment.logs.weight()


def test_filters_and_the_factory_are_put_back(tmp_path, logger):
    """A factory of one solution must not make the records of the next."""
    factory, kind = logging.getLogRecordFactory(), logging.getLoggerClass()

    with environment_in(tmp_path):
        a_factory()
        logging.setLoggerClass(type("Own", (logging.Logger,), {}))
        logger.addFilter(lambda record: False)

    assert (logging.getLogRecordFactory(), logging.getLoggerClass()) == (factory, kind)
    assert logger.filters == []


async def test_tracebacks_are_heard_at_error_and_above(environment):
    """However they come into the log."""
    logger = logging.getLogger("kata")

    def work() -> None:
        try:
            raise KeyError("tea")
        except KeyError:
            logger.exception("it failed")
            logger.warning("it failed", exc_info=True)
            logger.error("it failed")
            logger.error(traceback.format_exc())

    await run_tasks(environment, work)

    last = [text.splitlines()[-1] for text in environment.logs.tracebacks]
    assert last == ["KeyError: 'tea'"] * 2
