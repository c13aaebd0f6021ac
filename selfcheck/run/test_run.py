"""`dojo run`: the timeline of real requests, printed as it happens, and nothing left behind."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dojo.cli import main as dojo
from dojo.doubles.http import AWAITED
from dojo.run.stand_ins import StandIns
from dojo.sockets import LOOPBACK
from selfcheck.projects import ROOT

PATIENCE = 60.0
REFERENCE = ROOT / "solutions" / "k02_welcome_email" / "app.py"
ADA = {"name": "Ada", "email": "ada@example.com"}
# Interrupts reach one process on Windows only together with the one that sends them.
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


class Run:
    """A `dojo run` in a process of its own, and the lines that it prints."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-c", "from dojo.cli import main; import sys; sys.exit(main())"]
        options = ["--port", "0", "--mail-port", "0"]
        self.process = subprocess.Popen(
            [*command, "run", *map(str, arguments), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "COLUMNS": "110"},
            encoding="utf-8",
        )
        self.lines: list[str] = []
        self._arriving: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.until("Ctrl-C ends it")
        self.port = int(self.found(r"http://127\.0\.0\.1:(\d+)/docs"))
        self.directory = Path(self.found(r"folder +(\S+) "))
        self.until("loaded ")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))

    def until(self, text: str) -> str:
        """Wait for a line that has this text."""
        while True:
            try:
                line = self._arriving.get(timeout=PATIENCE)
            except queue.Empty:
                pytest.fail(f"no line with {text!r}:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if text in line:
                return line

    def found(self, pattern: str) -> str:
        """The part of what was printed that the group of a pattern stands for."""
        match = re.search(pattern, "\n".join(self.lines))
        assert match is not None
        return match[1]

    def post(self, path: str, body: object) -> int:
        """Send a request over a real socket; the status of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", path, json.dumps(body).encode(), headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def kinds(self) -> list[str]:
        """The kinds of the events that were printed, in order."""
        rows = (re.match(r"[ >] +\d+ +\+[\d.]+ s  (\w+)", line) for line in self.lines)
        return [row[1] for row in rows if row]

    def interrupt(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


def save(file: Path, text: str) -> None:
    """Save a file as editors do: the new one is whole when it takes the name."""
    whole = file.with_name("whole")
    whole.write_text(text, encoding="utf-8")
    whole.replace(file)


@pytest.fixture
def started() -> Iterator[list[Run]]:
    """The runs of a test, which are ended after it."""
    runs: list[Run] = []
    yield runs
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
        shutil.rmtree(run.directory, ignore_errors=True)


@posix
@pytest.mark.fast
def test_the_timeline_has_the_response_before_the_mail_and_nothing_is_left(started):
    """What the katas are about, seen for real."""
    run = Run("k02", "--solutions", REFERENCE, "--no-reload", "--slow", "mail=0.3")
    started.append(run)

    assert run.post("/register", ADA) == 200
    assert "mail" not in run.kinds()
    run.until("finished")

    assert run.kinds() == ["request", "commit", "response", "mail", "finished"]
    assert any("to ada@example.com, 'Welcome!'" in line for line in run.lines)
    assert any(line.strip() == "| Welcome Ada!" for line in run.lines)
    assert (run.directory / "shop.db").is_file()
    assert run.interrupt() == 0
    assert not run.directory.exists()


@posix
def test_a_failure_after_the_response_is_shown_with_the_lines_of_the_solution(started):
    """And not with those of the framework."""
    run = Run("k02", "--solutions", REFERENCE, "--no-reload", "--fail", "mail")
    started.append(run)

    assert run.post("/register", ADA) == 200
    run.until("ConnectionRefusedError: the mail server is down")
    run.until("in send_email: with smtplib.SMTP(")
    run.until("ConnectionRefusedError: the mail server is down")

    assert run.kinds() == ["request", "commit", "response", "refused", "raised", "finished"]
    assert run.interrupt() == 0
    assert not any("Traceback" in line or "starlette" in line for line in run.lines)


@posix
def test_a_save_is_loaded_while_a_task_hangs_and_the_folder_can_be_kept(started, tmp_path):
    """Also a save of something that does not load; the server and the database stay."""
    file = tmp_path / "k02_welcome_email" / "app.py"
    file.parent.mkdir()
    shutil.copy(REFERENCE, file)
    run = Run("k02", "--solutions", file, "--slow", "mail=600", "--keep")
    started.append(run)
    assert run.post("/register", ADA) == 200

    save(file, "def (")
    run.until("does not load: SyntaxError")
    assert run.post("/register", ADA) == 503
    text = REFERENCE.read_text(encoding="utf-8")
    save(file, text.replace("/register", "/join"))
    run.until("loaded ")
    assert run.post("/join", ADA) == 409

    assert run.interrupt() == 0
    assert (run.directory / "shop.db").is_file()


@pytest.mark.fast
@pytest.mark.parametrize("option", ["--port", "--mail-port"])
def test_a_port_in_use_is_told_with_the_option_that_changes_it(option, capsys):
    """A server of yesterday may still run."""
    other = {"--port": "--mail-port", "--mail-port": "--port"}[option]
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        assert dojo(["run", "k02", option, str(port), other, "0"]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert f"port {port} cannot be used" in said.err
    assert f"{option} {port + 1} takes another one" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--slow", "mail"],
        ["--slow", "post=3"],
        ["--slow", "mail=soon"],
        ["--slow", "mail=nan"],
        ["--slow", "mail=-1"],
        ["--fail", "post"],
        ["--port", "70000"],
        ["--port", "http"],
    ],
)
def test_what_cannot_be_is_refused(arguments, capsys):
    """With the names that there are."""
    with pytest.raises(SystemExit) as stopped:
        dojo(["run", "k02", *arguments])

    assert stopped.value.code == 2
    assert re.search(r"mail, '?ai'?, '?warehouse|from 0 to 65535|mail.*ai", capsys.readouterr().err)


def test_solutions_that_are_not_there_are_told(tmp_path, capsys):
    """In a line, and the folder is gone."""
    arguments = ["run", "k02", "--solutions", str(tmp_path), "--port", "0", "--mail-port", "0"]

    assert dojo(arguments) == 2
    assert "no solutions in" in capsys.readouterr().err


def test_a_solution_of_another_kata_is_refused(capsys):
    """Nothing else is run in its place."""
    other = ROOT / "solutions" / "k01_notification_log" / "app.py"

    assert dojo(["run", "k02", "--solutions", str(other), "--port", "0", "--mail-port", "0"]) == 2
    assert "is of k01, not k02" in capsys.readouterr().err


# ----- the stand-ins


def called(stand_ins: StandIns, url: str, read: float | None = None) -> httpx.Response:
    """The reply to a call that is not awaited, with this limit."""
    extensions = {"timeout": {"read": read}, AWAITED: False}
    response = stand_ins.reply_to(httpx.Request("POST", url, extensions=extensions))
    assert isinstance(response, httpx.Response)
    return response


@pytest.mark.fast
def test_a_stand_in_replies_by_its_name():
    """What no card names is a callback."""
    stand_ins = StandIns({}, ("warehouse",))

    assert called(stand_ins, "https://warehouse.example.com/orders").status_code == 503
    assert called(stand_ins, "https://shop.example.com/hook").status_code == 200
    reply = called(stand_ins, "https://ai-api.example.com/process").json()
    assert reply["label"] == "cat"


async def test_a_slow_stand_in_lets_the_time_limit_of_its_caller_run_out():
    """As a slow service does; without a limit it is only slow."""
    stand_ins = StandIns({"ai": 3600.0, "warehouse": 0.001}, ())

    with pytest.raises(httpx.ReadTimeout):
        called(stand_ins, "https://ai-api.example.com/process", read=0.001)
    request = httpx.Request(
        "POST",
        "https://ai-api.example.com/process",
        extensions={"timeout": {"read": 0.001}, AWAITED: True},
    )
    reply = stand_ins.reply_to(request)
    assert not isinstance(reply, httpx.Response)
    with pytest.raises(httpx.ReadTimeout):
        await reply
    assert called(stand_ins, "https://warehouse.example.com/orders").status_code == 200
