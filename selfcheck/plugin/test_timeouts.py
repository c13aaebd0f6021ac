"""The time limit of a spec: it ends what does not end, and touches nothing else."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
import types
import xml.etree.ElementTree as ET
from typing import Any, cast

import pytest

from dojo.doubles import clock
from dojo.harness import time_limit
from dojo.harness.time_limit import Alarm, TimeLimitError, WaitsForItselfError, starved
from dojo.harness.timeline import EVENTS, SLEEPS, Timeline
from dojo.plugin import timeouts
from selfcheck.projects import (
    KATA,
    OURS,
    PATIENCE,
    RIGHT,
    ROOT,
    SPEC,
    Once,
    Project,
    changed,
    lights,
    part,
    said,
    scores,
)
from selfcheck.worlds import run_tasks

APP = "app = FastAPI()\n"
FIRST = "    background_tasks.add_task"
TASK = "def write_log(filename: str, message: str) -> None:\n"
ONE = "the_client_is_told or k01 or k99"


def with_lifespan(before: str, after: str) -> str:
    """The reference solution with something in its lifespan."""
    lifespan = (
        "import asyncio\nimport threading\nimport time\n"
        "from contextlib import asynccontextmanager\n\n\n"
        "@asynccontextmanager\nasync def lifespan(app):\n"
        f"    {before}\n    yield\n    {after}\n\n\n"
    )
    return changed(APP, f"{lifespan}app = FastAPI(lifespan=lifespan)\n")


SWALLOWS = """while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            pass"""
LIFESPANS = {
    "k02_start_up_waits": (with_lifespan("await asyncio.Event().wait()", "pass"), "the start-up"),
    "k03_start_up_blocks": (with_lifespan("threading.Event().wait()", "pass"), "the start-up"),
    "k04_shutdown_waits": (with_lifespan("pass", "await asyncio.Event().wait()"), "the shutdown"),
    "k05_shutdown_sleeps": (with_lifespan("pass", "time.sleep(1000)"), "the shutdown"),
    "k06_shutdown_loops": (with_lifespan("pass", "while True: pass"), "the shutdown"),
    "k07_shutdown_joins": (
        with_lifespan(
            "thread = threading.Thread(target=time.sleep, args=(1000,))",
            "thread.start(); thread.join()",
        ),
        "the shutdown",
    ),
    "k08_shutdown_swallows": (with_lifespan("pass", SWALLOWS), "the shutdown"),
    "k09_shutdown_in_a_pool": (
        with_lifespan("pass", "await asyncio.to_thread(threading.Event().wait)"),
        "the shutdown",
    ),
}
THREADS = {
    "k20_thread_of_the_lifespan": with_lifespan(
        "threading.Thread(target=threading.Event().wait).start()", "pass"
    ),
    "k21_pool_of_the_lifespan": with_lifespan(
        "__import__('concurrent.futures').futures.ThreadPoolExecutor(1).submit("
        "threading.Event().wait)",
        "pass",
    ),
    "k22_shutdown_exits": with_lifespan("pass", "raise SystemExit(3)"),
}


@pytest.fixture
def lifespans(project: Project, once: Once) -> pytest.RunResult:
    """A kata for each way not to start up, not to shut down, and to leave threads; one spec of
    each, and a good one at each end."""

    def run() -> pytest.RunResult:
        project.add(KATA, RIGHT)
        for name, (solution, _) in LIFESPANS.items():
            project.add(name, solution)
        for name, solution in THREADS.items():
            project.add(name, solution)
        project.add("k99_last", RIGHT)
        return project.run("-v", "--timeout=1", "-k", ONE)

    return once("lifespans", run)


@pytest.mark.parametrize("name", LIFESPANS)
def test_a_lifespan_that_does_not_end_is_a_failure_of_its_own_kata(lifespans, name):
    """A learner who waits must see whose start-up or shutdown it is."""
    message = " ".join(part(lifespans, name[:3]).split())

    assert lights(lifespans)[name[:3]] == "red"
    assert f"{LIFESPANS[name][1]} of the app did not finish within 1 s: " in message
    assert f" at katas/{name}/app.py:" in message


@pytest.mark.parametrize("name", ["k20_thread_of_the_lifespan", "k21_pool_of_the_lifespan"])
def test_a_thread_that_never_ends_does_not_keep_the_run_from_ending(lifespans, name):
    """The run has ended, or this test would not have got so far."""
    assert lights(lifespans)[name[:3]] == "part"


def test_a_shutdown_that_ends_the_process_is_told_so(lifespans):
    """`sys.exit` in a shutdown is no way to shut down."""
    assert "SystemExit when the app was shut down" in " ".join(part(lifespans, "k22").split())


def test_what_does_not_shut_down_spoils_no_other_kata(lifespans):
    """A finalizer that is broken off must not keep the others from running."""
    assert lifespans.ret == pytest.ExitCode.TESTS_FAILED
    assert lights(lifespans)["k01"] == "green"
    assert lights(lifespans)["k99"] == "green"
    assert "previous item was not torn down properly" not in said(lifespans)
    assert "never retrieved" not in said(lifespans)


@pytest.mark.parametrize("seconds", ["0.02", "0.05", "0.1"])
def test_a_limit_that_is_far_too_short_gives_no_other_verdict(project, seconds):
    """Wherever it rings, a right solution is red by the limit or green."""
    for name in (KATA, "k03_order_checkout", "k07_sales_report"):
        project.add(name, (ROOT / "solutions" / name / "app.py").read_text("utf-8"), like=name)
    report = project.path / "report.xml"

    # Python warns of coroutines that were cut off before anybody awaited them. pytest reports an
    # error in a finalizer, which a stopped thread may be in, with the spec that comes next.
    plugins = ("-p", "no:dojo-patience", "-p", "no:unraisableexception")
    options = (f"--timeout={seconds}", *plugins, "-W", "ignore")
    result = project.run(*options, f"--junit-xml={report}")

    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    assert set(lights(result)) == {"k01", "k03", "k07"}
    messages = [
        e.get("message", "") for e in ET.parse(report).iter() if e.tag in ("failure", "error")
    ]
    assert [text for text in messages if "did not finish" not in text] == []


def test_after_two_specs_without_an_end_the_others_are_left_out(project):
    """Nine times five seconds is long for one endless loop."""
    project.add(KATA, changed(FIRST, f"    while True: pass\n{FIRST}"))
    project.add("k02_again", RIGHT)

    began = time.monotonic()
    result = project.run("--timeout=1", "--timeout-method=thread")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert scores(result) == {"k01": (0, 10), "k02": (10, 10)}
    message = " ".join(part(result, "k01").split())
    assert message.count("it did not finish within 1 s: it kept the main thread") >= 1
    assert message.count("not run: two specs of this kata did not finish") == 1
    assert message.index("did not finish within") < message.index("not run: two specs")
    assert "fail for one reason" not in message
    assert "SystemExit" not in said(result)
    assert time.monotonic() - began < PATIENCE


SPINS = {
    "k02_in_an_endpoint": (
        changed(FIRST, f"    import time\n    while True: time.sleep(1)\n{FIRST}")
    ),
    "k03_in_a_task": (changed(TASK, f"{TASK}    import time\n    while True: time.sleep(1)\n")),
    "k04_in_a_coroutine": (
        changed(FIRST, f"    import asyncio\n    while True: await asyncio.sleep(1)\n{FIRST}")
    ),
}


@pytest.fixture
def spins(project: Project, once: Once) -> pytest.RunResult:
    def run() -> pytest.RunResult:
        for name, solution in SPINS.items():
            project.add(name, solution)
        return project.run("-v", "-k", "the_client_is_told")

    return once("spins", run)


@pytest.mark.parametrize("name", SPINS)
def test_endless_sleeping_is_reported_as_waiting_for_itself(spins, name):
    """With a clock that stands still such a loop spins, and fills the memory with its sleeps."""
    message = " ".join(part(spins, name[:3]).split())
    line = next(n for n, text in enumerate(SPINS[name].splitlines(), 1) if "sleep(1)" in text)

    assert "it slept 1,000 times without anything happening, so it waits for itself" in message
    assert f"katas/{name}/app.py:{line} `while True: " in message


@pytest.mark.fast
def test_a_timeline_keeps_no_more_than_anybody_reads():
    """Half a million rows are 2 GB."""
    timeline = Timeline()
    for _ in range(EVENTS):
        timeline.record("sleep")
    assert len(timeline.events) == SLEEPS
    timeline.record("write")
    for _ in range(2 * EVENTS):
        timeline.record("log")

    assert len(timeline.events) == EVENTS


async def test_two_minutes_in_short_naps_are_no_mistake(environment, monkeypatch):
    """A task that must wait for 120 seconds may look up from time to time."""
    monkeypatch.setattr(clock, "PAUSE", 0.0)

    async def waits() -> None:
        for _ in range(1_200):
            await asyncio.sleep(0.1)

    assert (await run_tasks(environment, waits)).raised is None


async def test_waiting_for_a_held_job_is_not_refused(environment, monkeypatch):
    """It is the spec then that nothing happens for."""
    monkeypatch.setattr(clock, "PAUSE", 0.0)
    hold = environment.disk.hold("slow.txt")
    written = threading.Event()

    def writes() -> None:
        with open("slow.txt", "w") as file:
            file.write("done")
        written.set()

    def waits() -> None:
        threading.Thread(target=writes).start()
        while not hold.reached:
            written.wait(0.001)
        for _ in range(1_500):
            time.sleep(1)
        hold.release()
        written.wait()

    assert (await run_tasks(environment, waits)).raised is None


@pytest.mark.fast
async def test_sleeping_in_vain_is_raised_in_the_solution(environment, monkeypatch):
    """It is an exception that `except Exception` does not take."""
    monkeypatch.setattr(clock, "PAUSE", 0.0)
    seen: list[BaseException] = []

    def sleeps() -> None:
        while True:
            time.sleep(1)

    def waits() -> None:
        with pytest.raises(WaitsForItselfError) as raised:
            sleeps()
        seen.append(raised.value)

    await run_tasks(environment, waits)

    assert len(seen) == 1
    assert not issubclass(WaitsForItselfError, Exception)


@pytest.fixture
def alarm(monkeypatch):
    """An alarm of a tenth of a second that does not ring by itself."""
    monkeypatch.setattr(time_limit, "_ring_in", lambda seconds: None)
    monkeypatch.setattr(time_limit, "stop_threads", lambda: None)
    return Alarm("a spec", 0.1)


def test_time_spent_waiting_for_a_processor_does_not_count(alarm, monkeypatch):
    """A busy machine makes nobody late."""
    began = alarm._began
    monkeypatch.setattr(time_limit, "_clock", lambda: began + 0.3)
    assert alarm.left() < 0

    monkeypatch.setattr(time_limit, "starved", lambda: alarm._starved + 0.25)
    assert 0 < alarm.left() < 0.1


def test_four_times_the_limit_is_the_most(alarm, monkeypatch):
    """However busy the machine is, a run comes to its end."""
    began = alarm._began
    monkeypatch.setattr(time_limit, "_clock", lambda: began + 0.5)
    monkeypatch.setattr(time_limit, "starved", lambda: alarm._starved + 10)

    assert alarm.left() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_linux_tells_how_long_a_process_waited_for_a_processor():
    """It never goes back, and reading it costs little."""
    before = starved()

    assert starved() >= before >= 0


def ring(alarm: Alarm, name: str, source: str) -> None:
    """Ring while a function of the module `name` runs."""
    alarm.overtime = TimeLimitError(0.1)
    namespace = {"__name__": name, "ring": lambda: alarm.ring(sys._getframe(1))}
    exec(source, namespace)


@pytest.mark.parametrize(
    "name", ["dojo.harness.environment", "_pytest.runner", "sqlalchemy.engine", "test_k01"]
)
def test_it_rings_in_silence_where_no_solution_is(alarm, name):
    """It would break off the work of somebody else."""
    ring(alarm, name, "ring()")

    assert alarm.overtime is not None


@pytest.mark.fast
def test_it_is_raised_in_a_solution(alarm):
    """That is what it is for."""
    with pytest.raises(TimeLimitError):
        ring(alarm, "katas.k01_notification_log.app", "ring()")


@pytest.mark.parametrize(
    "inner", ["dojo.harness.timeline", "dojo.grading.sandbox.protocol", "importlib._bootstrap"]
)
def test_it_waits_for_what_must_not_be_left_half_done(alarm, inner):
    """A row of the timeline, a word to the grader, the import of a library."""
    alarm.overtime = TimeLimitError(0.1)
    library = {"__name__": inner}
    exec("def step(ring): ring()", library)
    solution = {"__name__": "katas.k01.app", "step": library["step"]}

    exec("def run(ring): step(ring)", solution)
    solution["run"](lambda: alarm.ring(sys._getframe(1)))


def test_without_the_plugin_that_measures_there_is_no_limit(project):
    """`-p no:timeout` is how pytest says so."""
    project.add(KATA, RIGHT)

    assert lights(project.run("-p", "no:timeout")) == {"k01": "green"}


def test_without_the_plugin_that_runs_coroutines_one_line_says_so(project):
    """It is better than nine times `async def functions are not natively supported`."""
    project.add(KATA, RIGHT)

    result = project.run("-p", "no:asyncio")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the specs need pytest-asyncio: leave out `-p no:asyncio`"])


def debug(project: Project, typed: list[str], *arguments: str) -> tuple[str, int]:
    """Run pytest, and type each line one and a half seconds after the prompt of the debugger."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pytest", "-p", "no:randomly", *arguments],
        cwd=project.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    seen = b""
    for line in typed:
        while not seen.endswith(b"(Pdb) "):
            piece = process.stdout.read(1)
            assert piece, seen.decode()
            seen += piece
        time.sleep(1.5)
        process.stdin.write(f"{line}\n".encode())
        process.stdin.flush()
        seen += b"\n"
    rest, _ = process.communicate(timeout=PATIENCE)
    return (seen + rest).decode(), process.returncode


@pytest.mark.parametrize("place", [FIRST, "    with open"])
def test_there_is_no_limit_while_somebody_debugs(project, place):
    """Nobody reads code in five seconds, be it on the event loop or in a worker thread."""
    project.add(KATA, changed(place, f"    breakpoint()\n{place}"))

    output, code = debug(project, ["p 6 * 7", "c"], "--timeout=1", "-k", "the_client_is_told")

    assert "42" in output
    assert "1 passed" in output
    assert code == 0
    assert not OURS.search(output), output


def test_what_a_debugger_reads_is_not_on_the_timeline(project):
    """`.pdbrc` is nothing that the solution asked for."""
    source = changed(FIRST, f"    breakpoint()\n    1 / 0\n{FIRST}")
    project.add(KATA, source)

    output, code = debug(project, ["c"], "-k", "the_client_is_told")

    assert code == 1
    assert "timeline" in output
    assert ".pdbrc" not in output.partition("= katas =")[0]


@pytest.mark.parametrize("place", [FIRST, "    with open"])
def test_pdb_begins_in_the_frame_of_the_solution(project, place):
    """Not in the tool that noticed that something was wrong."""
    source = changed(place, f"    1 / 0\n{place}")
    project.add(KATA, source)
    line = source.splitlines().index("    1 / 0") + 1

    output, code = debug(project, ["q"], "--pdb", "-k", "only_after_the_response")

    assert f"app.py({line})" in output.partition("entering PDB")[2]
    assert "-> 1 / 0\n(Pdb)" in output
    assert code != 0


def test_ctrl_c_in_a_shutdown_ends_the_run_with_a_summary(project):
    """Somebody has seen enough."""
    waits = "print('here', flush=True); await asyncio.Event().wait()"
    project.add(KATA, with_lifespan("pass", waits))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:randomly", "-k", "the_client_is_told"],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    while "here" not in (line := process.stdout.readline()):
        assert line, "the run ended before the shutdown"

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "= katas =" in output
    assert not OURS.search(output), output


def test_the_limit_that_an_environment_or_a_file_sets_is_used(project, monkeypatch):
    """The options of pytest-timeout are the options of this limit."""
    project.add(KATA, changed(FIRST, f"    while True: pass\n{FIRST}"))
    monkeypatch.setenv("PYTEST_TIMEOUT", "0.5")

    result = project.run(f"{SPEC}::test_the_client_is_told_that_the_notification_is_queued")

    assert "did not finish within 0.5 s" in said(result)
    assert not re.search(r"within 5 s", said(result))


@pytest.mark.fast
def test_loading_a_solution_has_a_limit_of_its_own(monkeypatch):
    """Heavy imports take no time from the spec behind them."""
    monkeypatch.setattr(time_limit, "_ring_in", lambda seconds: None)
    alarm = Alarm("a spec", 5.0)
    monkeypatch.setattr(time_limit, "_alarm", alarm)
    now = time.monotonic()
    monkeypatch.setattr(time_limit, "starved", lambda: 0.0)
    monkeypatch.setattr(time_limit, "_clock", lambda: now + 3)
    loading = timeouts.pytest_fixture_setup(cast(Any, types.SimpleNamespace(argname="kata")), None)
    next(loading)
    assert alarm.left() == 5.0

    monkeypatch.setattr(time_limit, "_clock", lambda: now + 7)
    assert alarm.left() == 1.0
    with pytest.raises(StopIteration):
        loading.send(None)
    assert alarm.left() == 5.0
