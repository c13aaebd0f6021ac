"""Collect the specs with pytest, for a plugin that does something else in place of running them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import aiosmtpd.smtp  # noqa: F401
import pytest
import pytest_asyncio.plugin  # noqa: F401
import pytest_timeout  # type: ignore[import-untyped]  # noqa: F401
from _pytest.capture import CaptureIO

from dojo.plugin.failures import title_of
from dojo.plugin.fixtures import KATA

PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")
# Who writes the summary, and who leaves specs out: here each spec has its points.
NOT_HERE = ("dojo-summary", "dojo-patience")

Specs = dict[str, list[tuple[str, str, pytest.Item]]]


def specs_of(session: pytest.Session) -> Specs:
    """The id, the title and the item of each spec, by kata."""
    for name in NOT_HERE:
        session.config.pluginmanager.unregister(name=name)
    found: Specs = {}
    for item in session.items:
        if KATA in item.stash:
            spec = (item.nodeid, title_of(item.name), item)
            found.setdefault(item.stash[KATA].name, []).append(spec)
    return found


def names_of(specs: Specs) -> dict[str, list[tuple[str, str]]]:
    """The id and the title of each spec, by kata."""
    return {kata: [(i, title) for i, title, _ in of] for kata, of in specs.items()}


def _printed(captured: CaptureIO) -> str:
    """The captured output as text, also where it is not UTF-8."""
    assert isinstance(captured.buffer, io.BytesIO)
    return captured.buffer.getvalue().decode("utf-8", "replace")


def _descriptor(_captured: CaptureIO) -> int:
    """The descriptor of the standard output, which leads nowhere: some code only asks for one."""
    return 1


def collect(message: dict[str, Any], plugin: object) -> int:
    """Collect the specs, and hand over to a plugin; the exit code of pytest."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    CaptureIO.getvalue = _printed  # type: ignore[method-assign,assignment]
    CaptureIO.fileno = _descriptor  # type: ignore[method-assign,assignment]
    root = Path(message["root"])
    # Relative to the root: pytest takes `[` in an argument for the start of a parameter.
    os.chdir(root)
    return int(
        pytest.main(
            [
                *(os.path.relpath(spec, root) for spec in message["specs"]),
                f"--rootdir={root}",
                f"--config-file={root / 'pyproject.toml'}",
                *(option for plugin in PLUGINS for option in ("-p", plugin)),
                *("-q", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
                *("--capture=sys", "-W", "ignore", "--solutions=katas"),
            ],
            plugins=[plugin],
        )
    )
