"""Grading is fair: honest habits cost nothing, and a person decides about tricks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import KataResult, State
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job
from dojo.grading.verdict import verdict
from dojo.grading.worker_pool import WorkerPool
from selfcheck.projects import KATA, RIGHT, ROOT, changed

KATAS = read_catalogue(ROOT)
AT_IMPORT = "app = FastAPI()\n"

HABITS = {
    "print": "import builtins, functools\nbuiltins.print = functools.partial(print, flush=True)",
    "excepthook": "import sys\nsys.excepthook = lambda kind, error, tb: None",
    "thread-hook": "import threading\nthreading.excepthook = lambda args: None",
    "gettext": "import gettext\ngettext.install('app')",
    "ssl": "import ssl\nssl._create_default_https_context = ssl._create_unverified_context",
    "json": "import functools, json\njson.dumps = functools.partial(json.dumps, indent=1)",
    "encoder": "import json\njson.JSONEncoder.default = lambda self, value: str(value)",
    "rich": "from rich import pretty, traceback\ntraceback.install()\npretty.install()",
    "user": "import getpass, os, pwd\ngetpass.getuser(), pwd.getpwuid(os.getuid()).pw_name",
    "home": "import os\nassert os.path.isdir(os.path.expanduser('~'))",
    "lock": "import multiprocessing\nLOCK = multiprocessing.Lock()",
    "faults": "import faulthandler\nfaulthandler.enable()",
    "streams": "import sys\nassert sys.stdin and sys.stdout.fileno() and sys.stderr.encoding",
    "devices": "import logging\nlogging.FileHandler('/dev/stdout')\nopen('/dev/stderr', 'a')",
    "address": "import socket\nsocket.gethostbyname(socket.gethostname())",
    "value": "import multiprocessing\nVALUE = multiprocessing.Value('i', 0)",
    "bytes": "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe')",
}
PROCESS = """\
import os
assert os.listdir("/proc/self/fd") and open("/proc/self/status").read()
assert not os.access("/proc/self/comm", os.W_OK) and open("/proc/meminfo").read()
"""
BY_NAME = (
    '@app.post("/send-notification")\n',
    'import os\nNAME = os.environ.get("PYTEST_CURRENT_TEST", "")\nassert not NAME\n\n'
    '@app.post("/send-notification")\n',
)


def graded(worker_pool: WorkerPool, source: str, kata: str = KATA) -> KataResult:
    report = worker_pool.run(Job(kata, source, Limits()))
    return verdict(KATAS[kata], worker_pool.specs[kata], "app.py", report)


@pytest.mark.parametrize("lines", HABITS.values(), ids=HABITS)
def test_a_habit_of_honest_programs_costs_nothing(worker_pool, lines):
    """It is at most shown; the points are those of the specs."""
    result = graded(worker_pool, changed(AT_IMPORT, f"{AT_IMPORT}{lines}\n"))

    failed = [spec.message for spec in result.specs if not spec.passed]
    assert (result.state, failed) == (State.GRADED, []), result.evidence


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="others may not mount it")
def test_a_process_can_look_at_itself(worker_pool):
    """Some libraries do, to say how much memory there is."""
    if not any("a process tree of its own" in entry for entry in worker_pool.isolation.in_force):
        pytest.skip("this machine allows no process tree of its own")
    result = graded(worker_pool, changed(AT_IMPORT, f"{AT_IMPORT}{PROCESS}"))

    assert (result.score, result.evidence) == (10, []), result.specs[0].message


def test_the_order_of_specs_is_drawn_by_lot(worker_pool):
    """The numbers of processes count them, for example."""
    lines = "import os, sys\nraise SystemError(f'number {os.getpid():06}')\n"
    messages = [spec.message for spec in graded(worker_pool, f"{RIGHT}{lines}").specs]

    assert all("number" in message for message in messages)
    assert messages != sorted(messages)


def test_the_name_of_a_spec_says_nothing_and_to_ask_for_it_is_for_review(worker_pool):
    """A solution could be right only where it is looked at."""
    result = graded(worker_pool, changed(*BY_NAME))

    assert result.state is State.REVIEW
    assert "asks for the name of the spec" in result.cause
    assert all("AssertionError" not in spec.message for spec in result.specs)


@pytest.mark.parametrize(("file", "state"), [("x.db", State.REVIEW), (":memory:", State.GRADED)])
def test_a_database_past_the_engine_on_the_event_loop_is_for_review(worker_pool, file, state):
    """No spec sees it; in memory it keeps nobody waiting."""
    lines = f"    import sqlite3\n    sqlite3.connect({file!r}).close()\n"
    source = changed("    background_tasks.add_task", f"{lines}    background_tasks.add_task")
    result = graded(worker_pool, source.replace("\ndef send", "\nasync def send"))

    assert result.state is state
    assert ("past SQLAlchemy" in result.cause) is (state is State.REVIEW)


def test_a_checkout_in_a_folder_with_brackets_grades(tmp_path):
    """pytest takes a bracket in an argument for the start of a parameter."""
    root = tmp_path / "a [b] c"
    for name in ("dojo", "katas", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dojo.cli", "grade", ROOT / "solutions", "--kata", "k01"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, "10/10 points" in done.stdout) == (0, True), done
