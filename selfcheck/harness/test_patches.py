"""The process-wide patches: they are all in one list, and undone after each spec."""

import inspect
import os
import socket
import sys
import threading
import time
from types import ModuleType

import pytest

from dojo.harness import patches
from dojo.harness.environment import environment_in
from selfcheck.projects import KATA, RIGHT, SPEC, Project, said

pytestmark = pytest.mark.fast
OURS = ("dojo", "selfcheck", "katas", "_pytest", "pytest")

PLAIN = """
    import asyncio
    import builtins
    import concurrent.futures
    import io
    import logging
    import os
    import socket
    import sqlite3
    import ssl
    import threading
    import time

    import anyio
    import httpcore
    from PIL import Image, ImageFile
    from sqlalchemy import create_engine
    from starlette.background import BackgroundTask


    def test_a_plain_test_sees_the_originals():
        assert builtins.open is io.open
        assert type(os.open) is type(os.stat) is type(os.write) is type(len)
        assert type(time.sleep) is type(time.monotonic) is type(len)
        assert "connect" not in vars(socket.socket)
        for function, module in (
            (asyncio.sleep, "asyncio.tasks"),
            (anyio.sleep, "anyio._core._eventloop"),
            (concurrent.futures.ThreadPoolExecutor.submit, "concurrent.futures.thread"),
            (httpcore.ConnectionPool.handle_request, "httpcore._sync.connection_pool"),
            (logging.Logger.callHandlers, "logging"),
            (socket.getfqdn, "socket"),
            (ssl.create_default_context, "ssl"),
            (threading.Thread.start, "threading"),
            (BackgroundTask.__init__, "starlette.background"),
            (BackgroundTask.__call__, "starlette.background"),
            (Image.open, "PIL.Image"),
            (Image.Image.resize, "PIL.Image"),
            (ImageFile.ImageFile.load, "PIL.ImageFile"),
        ):
            assert function.__code__.co_filename.endswith(
                (module.replace(".", os.sep) + ".py", os.path.join(module, "__init__.py"))
            ), function
        with create_engine("sqlite://").connect() as connection:
            assert type(connection.connection.driver_connection) is sqlite3.Connection
"""


def callables() -> dict[str, object]:
    """All functions that modules and their classes have names for, but ours."""
    found: dict[str, object] = {}
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or name.partition(".")[0] in OURS:
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, ModuleType):
                continue  # imported by now, and nothing that is called
            found[f"{name}.{key}"] = value
            if isinstance(value, type) and str(value.__module__).partition(".")[0] not in OURS:
                found |= {f"{name}.{key}.{inner}": v for inner, v in list(vars(value).items())}
    return {name: value for name, value in found.items() if inspect.isroutine(value)}


def changed(before: dict[str, object]) -> set[str]:
    """The functions that are others now, by their last names."""
    now = callables()
    names = [name for name, value in before.items() if now.get(name) is not value]
    return {name.rpartition(".")[2] for name in names}


def test_a_spec_changes_what_is_in_the_list_and_nothing_else(tmp_path):
    """Who reads the list knows all that is different while a spec runs."""
    with environment_in(tmp_path):
        pass  # what it imports is there before the comparison begins
    before = callables()
    with environment_in(tmp_path):
        inside = changed(before)
    listed = {patch.name for patch in patches.ALWAYS if patch.place is not socket.socket}

    assert inside == listed
    assert changed(before) == set()


def test_each_patch_has_a_reason():
    """A patch without one would be one too many."""
    assert all(patch.reason for patch in patches.ALWAYS)


def test_a_plain_test_after_a_kata_sees_the_originals(project: Project):
    """Other tests of the same session are none of the dojo's business."""
    project.add(KATA, f"{RIGHT}\nimport PIL.Image, sqlalchemy.orm\n")
    for name in ("test_a_before.py", "test_z_after.py"):
        project.pytester.makepyfile(**{f"tests/{name[:-3]}": PLAIN})

    result = project.run("tests/test_a_before.py", SPEC, "tests/test_z_after.py", "-v")

    assert "test_z_after.py::test_a_plain_test_sees_the_originals PASSED" in said(result)
    assert result.ret == 0


def test_a_block_inside_another_leaves_the_patches_on():
    """A grader applies them once, for the whole life of a process."""
    with patches.applied():
        inside = threading.Thread.start
        with patches.applied():
            pass
        assert threading.Thread.start is inside
    assert threading.Thread.start is not inside


def test_what_a_solution_replaced_is_put_back_too():
    """It must not stay for the tests after it."""
    before = time.sleep
    with patches.applied():
        time.sleep = print

    assert time.sleep is before


def test_what_a_function_of_os_can_do_is_asked_of_its_replacement():
    """`shutil` and `pathlib` ask the sets in `os`."""
    able = os.stat in os.supports_follow_symlinks
    with patches.applied():
        assert (os.stat in os.supports_follow_symlinks) == able
        replacement = os.stat
    assert replacement not in os.supports_follow_symlinks
