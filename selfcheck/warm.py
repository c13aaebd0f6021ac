"""Runs pytest in forks of a process that has imported the libraries already.

A cold start costs more than most of the runs that the tests look at. What a fork shares with the
others are the libraries, without pytest's plugins and without the dojo: these are imported anew in
each fork, as in a process of its own. Where there is no fork, each run starts a Python.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

LIBRARIES = (
    "asyncio", "concurrent.futures", "ctypes", "http.client", "importlib.metadata", "inspect",
    "logging.handlers", "sqlite3", "unittest.mock", "xml.etree.ElementTree",
    "PIL.Image", "aiosmtpd.controller", "dns.resolver", "email_validator", "fastapi", "freezegun",
    "httpx", "jinja2", "pydantic.v1", "python_multipart", "rich.console", "rich.progress",
    "rich.table", "sqlalchemy.dialects.sqlite", "sqlalchemy.orm", "starlette.testclient", "unidiff",
)  # fmt: skip
# pytest warns of packages that it would rewrite, because they come with a plugin too.
QUIET = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")


class WarmPytest:
    """A process that forks for each run of pytest."""

    def __init__(self) -> None:
        self._settings = python_settings()
        self._start()

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"],
                cwd=Path(__file__).resolve().parent.parent,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def close(self) -> None:
        """End the process, and the run that is under way."""
        self._socket.close()
        self._server.terminate()
        self._server.wait()

    @property
    def is_usable(self) -> bool:
        """Whether a new Python would be set up as this one is, which reads its settings once."""
        return self._settings == python_settings()

    def run(self, arguments: list[str], folder: Path, out: Path, err: Path, seconds: float) -> int:
        """Run `pytest` with these arguments in `folder`; its exit code.

        Raises `TimeoutError` where it did not end within `seconds`; it is killed then.
        """
        order = {
            "arguments": arguments,
            "folder": str(folder),
            "out": str(out),
            "err": str(err),
            "environment": dict(os.environ),
        }
        self._socket.settimeout(seconds)
        self._socket.sendall(json.dumps(order).encode() + b"\n")
        reply = b""
        try:
            while not reply.endswith(b"\n"):
                part = self._socket.recv(4096)
                if not part:
                    raise RuntimeError("the process that runs pytest has ended")
                reply += part
        except TimeoutError:
            # The next run must not read the reply of this one.
            self.close()
            self._start()
            raise
        return int(reply)


def python_settings() -> dict[str, str]:
    """The environment variables that Python reads when it starts."""
    return {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}


def serve(descriptor: int) -> None:
    """Fork for each order that comes through a socket, until it is closed."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    child = 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        if child:
            with contextlib.suppress(OSError):
                os.killpg(child, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    orders = socket.socket(fileno=descriptor)
    with orders.makefile("rb") as lines:
        for line in lines:
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                orders.detach()
                os.close(descriptor)
                _run(json.loads(line))
            with contextlib.suppress(OSError):
                os.setpgid(child, child)  # it does so itself, and perhaps later
            _, status = os.waitpid(child, 0)
            child = 0
            orders.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _run(order: dict[str, Any]) -> None:
    """Become the process that runs pytest."""
    os.setpgid(0, 0)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, source in (
        (0, nowhere),
        (1, os.open(order["out"], flags)),
        (2, os.open(order["err"], flags)),
    ):
        os.dup2(source, number)
        os.close(source)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    sys.argv[:] = ["pytest", *order["arguments"]]
    sys.path[:] = [order["folder"], *filter(None, sys.path)]
    import pytest

    sys.exit(pytest.main())
