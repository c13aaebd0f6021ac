"""The private names that the harness needs: each is there, and does what is needed of it.

They are listed in CONTRIBUTING with the versions that they were looked at with. A test that fails
here says which part of the dojo to look at.
"""

import asyncio
import concurrent.futures
import concurrent.futures.thread
import importlib
import inspect
import logging
import ssl
import sys
import threading

import anyio.to_thread
import httpcore
import httpx
import huey.api  # type: ignore[import-untyped]
import huey.utils  # type: ignore[import-untyped]
import pytest
import respx.mocks
from freezegun import config, freeze_time
from sqlalchemy import create_engine
from starlette.background import BackgroundTask

from dojo.harness.current import ENDPOINTS, POOLS
from dojo.harness.time_limit import UNHEARD

pytestmark = pytest.mark.fast

# Where it stands, its name, and what needs it for what.
NAMES = [
    ("sys", "_getframe", "frames.callers: whose code is running"),
    ("sys", "_current_frames", "frames.of_threads: whose code runs in other threads"),
    ("asyncio.tasks", "_unregister_task", "giving_up.abandon: a task that cannot be cancelled"),
    (
        "concurrent.futures.thread",
        "_threads_queues",
        "giving_up.give_up_threads: the interpreter would wait for a worker that never ends",
    ),
    ("asyncio.events", "_event_loop_policy", "process: a policy that a solution sets"),
    ("ssl", "_create_default_https_context", "process: certificates that a solution trusts"),
    ("logging", "_warnings_showwarning", "process: `logging.captureWarnings`"),
    ("respx.mocks", "HTTPCoreMocker", "http: what replaces the methods of httpcore"),
    ("pydantic.networks", "version", "patches: it is looked up for each `EmailStr`"),
    (
        "freezegun.api",
        "_get_cached_module_attributes",
        "clock: it reads the names of all modules whenever the time is frozen",
    ),
    ("pytest_timeout", "is_debugging", "debugger: whether a debugger traces this thread"),
]


@pytest.mark.parametrize(("module", "name", "need"), NAMES, ids=[name for _, name, _ in NAMES])
def test_a_private_name_is_there(module, name, need):
    """A release may take it away without a word."""
    if (module, name) == ("asyncio.events", "_event_loop_policy") and sys.version_info >= (3, 16):
        pytest.skip("event loop policies are gone")
    found = hasattr(importlib.import_module(module), name)
    assert found, f"{module}.{name} is gone, which dojo needs here: {need}"


def test_workers_of_a_pool_are_known_to_the_interpreter():
    """`giving_up` takes them out of this dict, and `starts` knows them by their target."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: None).result()
        (worker,) = pool._threads
        assert worker in concurrent.futures.thread._threads_queues, "not the worker's own key"
        target = getattr(worker, "_target", None)
        assert getattr(target, "__module__", "") == concurrent.futures.thread.__name__, (
            "starts._is_pool_worker asks `Thread._target` whether a thread is a pool's"
        )


async def test_worker_threads_have_the_names_that_are_looked_for():
    """`current` and `starts` know AnyIO's and asyncio's worker threads by their names."""
    names = [
        await anyio.to_thread.run_sync(lambda: threading.current_thread().name),
        await asyncio.to_thread(lambda: threading.current_thread().name),
    ]
    assert all(name.startswith(start) for name, start in zip(names, POOLS, strict=True)), (
        f"the worker threads are called {names}, and current.POOLS says {POOLS}"
    )


@pytest.mark.parametrize("module", ENDPOINTS)
def test_the_modules_that_call_endpoints_are_there(module):
    """`current.in_middleware` tells a middleware from an endpoint by them."""
    assert importlib.util.find_spec(module), f"current.ENDPOINTS names {module}, which is gone"


def test_the_response_of_an_endpoint_is_sent_by_the_function_that_is_looked_for():
    """What a `send` of a middleware does is not the endpoint's doing."""
    source = inspect.getsource(importlib.import_module("starlette._exception_handler"))
    assert "async def sender(" in source, "current.in_middleware looks for `sender` there"


def test_background_tasks_keep_what_they_were_given():
    """`tasks` reads the function and its arguments."""
    task = BackgroundTask(print, 1, end="")
    assert (task.func, task.args, task.kwargs) == (print, (1,), {"end": ""})


def test_a_checked_out_connection_knows_its_pool():
    """`sql` closes the pools that a solution has left open."""
    with create_engine("sqlite://").connect() as connection:
        assert hasattr(connection.connection, "_pool"), "sql.checked_out needs `_pool` of the proxy"


def test_what_sqlalchemy_calls_when_a_listener_goes_has_the_name_that_is_looked_for():
    """An exception that is raised while a weak reference is thrown away is never seen."""
    from sqlalchemy.event import registry

    source = inspect.getsource(registry)
    assert all(f"def {name}(" in source for name in UNHEARD if name != "__del__"), (
        f"time_limit.UNHEARD names {UNHEARD}, and sqlalchemy.event.registry has none of these"
    )


def test_respx_makes_a_replacement_for_each_way_to_send():
    """`patches` asks it for one, and `http` for the two handlers that the replacements call."""
    mocker = respx.mocks.HTTPCoreMocker
    for real in (
        httpcore.HTTPConnection.handle_request,
        httpcore.ConnectionPool.handle_request,
        httpcore.AsyncHTTPConnection.handle_async_request,
        httpcore.AsyncConnectionPool.handle_async_request,
    ):
        assert mocker.mock(real) is not real, f"respx does not replace {real.__qualname__}"
    for name in ("handler", "async_handler", "register"):
        assert callable(getattr(mocker, name, None)), f"HTTPCoreMocker.{name} is gone"


def test_freezegun_says_what_it_has_changed():
    """`clock` puts the stop-watches back, and shows the frozen time to worker threads."""
    freezer = freeze_time("2026-01-15", real_asyncio=True, ignore=["_pytest"])
    frozen = freezer.start()
    try:
        assert all(len(change) == 3 for change in freezer.undo_changes), "freezer.undo_changes"
        assert frozen.time_to_freeze.year == 2026, "frozen.time_to_freeze"
    finally:
        freezer.stop()
    assert "threading" in config.DEFAULT_IGNORE_LIST, "freezegun ignores threads no longer"


def test_logging_calls_the_method_that_is_replaced():
    """`logs` is told of each record there."""
    assert "self.callHandlers(" in inspect.getsource(logging.Logger.handle)


def test_httpx_makes_its_certificates_by_the_function_that_is_replaced():
    """`patches` caches it."""
    assert "ssl.create_default_context" in inspect.getsource(httpx.create_ssl_context)
    assert ssl.create_default_context.__module__ == "ssl"


def test_huey_asks_for_the_time_by_the_names_that_are_replaced():
    """`patches` has it go by the clock of a spec: freezegun does not reach a bound method."""
    for place in (huey.api, huey.utils):
        assert callable(vars(place)["utcnow"]), f"{place.__name__}.utcnow"
        assert "utcnow()" in inspect.getsource(place), f"{place.__name__} does not call utcnow"
