"""`dojo run`: the timeline of real requests, printed as it happens, and nothing left behind."""

from __future__ import annotations

import http.client
import json
import logging
import math
import os
import queue
import re
import shutil
import signal
import smtplib
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
from dojo.run import live
from dojo.run.live import LiveTimeline, ShownLogs
from dojo.run.stand_ins import StandIns
from dojo.sockets import LOOPBACK
from selfcheck.projects import ROOT

PATIENCE = 60.0
SOLUTIONS = ROOT / "solutions"
REFERENCE = SOLUTIONS / "k02_welcome_email" / "app.py"
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
        """Send JSON over a real socket; the status of the response."""
        return self.send("POST", path, json.dumps(body).encode())

    def send(self, method: str, path: str, body: bytes | None = None) -> int:
        """Send a request over a real socket; the status of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {"content-type": "application/json"}
            connection.request(method, path, body, headers)
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
    """Also one of what does not load or start up; the server and the database stay."""
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
    save(file, text.replace("FastAPI()", "FastAPI(lifespan=lambda app: 1 / 0)"))
    run.until("the app does not start up: ZeroDivisionError, division by zero")
    assert run.post("/register", ADA) == 503
    save(file, text.replace("/register", "/join"))
    run.until("loaded ")
    assert run.post("/join", ADA) == 409

    assert run.interrupt() == 0
    assert (run.directory / "shop.db").is_file()


@posix
def test_a_file_is_written_once_and_its_removal_is_shown(started):
    """It is what k14 is about, and writing it in pieces is one row."""
    run = Run("k14", "--solutions", SOLUTIONS / "k14_download" / "app.py", "--no-reload")
    started.append(run)

    assert run.send("GET", "/report") == 200
    run.until("finished")

    assert run.kinds() == ["request", "write", "response", "remove", "write", "finished"]


@posix
def test_a_job_that_is_queued_is_shown_and_its_consumer_finds_the_mail_server(started):
    """The consumer is a process of its own, which k18 starts beside the server."""
    reference = SOLUTIONS / "k18_task_queue" / "app.py"
    run = Run("k18", "--solutions", reference, "--no-reload")
    started.append(run)

    assert run.post("/register", ADA) == 200
    run.until("finished")
    with smtplib.SMTP(LOOPBACK, int(run.found(r"localhost:(\d+)"))) as server:
        server.sendmail("noreply@example.com", ["ada@example.com"], "Subject: Welcome!\n\nAda")
    run.until("to ada@example.com, 'Welcome!'")

    assert run.kinds() == ["request", "commit", "query", "enqueued", "response", "finished"]


@posix
def test_a_mail_server_that_fails_is_there_for_no_other_process_either(started):
    """Else the consumer of a queue would go on sending."""
    run = Run("k02", "--solutions", REFERENCE, "--no-reload", "--fail", "mail")
    started.append(run)

    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(LOOPBACK, int(run.found(r"localhost:(\d+)")))


@pytest.mark.fast
@pytest.mark.parametrize(("times", "rows", "said"), [(3, 3, ""), (4, 4, ""), (7, 3, "4 more")])
def test_of_rows_that_are_alike_the_first_are_shown(times, rows, said, capsys, monkeypatch):
    """An import of k17 commits thousands of times; what comes between must not be lost."""
    monkeypatch.setattr(live, "SECONDS", math.inf)
    timeline = LiveTimeline()
    for _ in range(times):
        timeline.record("commit", "inventory")
    timeline.record("query", "inventory")

    *shown, last = capsys.readouterr().out.splitlines()
    assert len([line for line in shown if "commit" in line]) == rows
    assert "".join(line.strip() for line in shown if "commit" not in line).startswith(said)
    assert "query" in last


@pytest.mark.fast
def test_rows_that_are_left_out_are_counted_while_they_go_on(capsys, monkeypatch):
    """Else a long import looked as if it had stopped; and no mail is left out."""
    monkeypatch.setattr(live, "SECONDS", math.inf)
    timeline = LiveTimeline()
    for _ in range(5):
        timeline.record("mail", "to ada@example.com")
    assert len(capsys.readouterr().out.splitlines()) == 5

    for _ in range(6):
        timeline.record("commit", "inventory")
    monkeypatch.setattr(live, "SECONDS", 0.0)
    timeline.record("commit", "inventory")
    assert capsys.readouterr().out.rstrip().endswith("4 more like these")


@pytest.mark.fast
def test_what_a_solution_adds_to_a_record_is_shown(capsys):
    """It is what k13 is about; what every record has is not."""
    logs = ShownLogs(LiveTimeline())
    record = {"msg": "stored", "levelno": logging.INFO, "levelname": "INFO"}

    logs.note(logging.makeLogRecord({**record, "request_id": "machine-17"}))
    assert capsys.readouterr().out.split("|")[1].strip() == "request_id: machine-17"

    logs.note(logging.makeLogRecord(record))
    assert "|" not in capsys.readouterr().out


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
