"""The supervisor: prepares a sandbox, waits for the process in it, and returns its report."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from dojo.grading.sandbox.limits import MemoryUsage, folder_size
from dojo.grading.sandbox.listener import Listener, plan
from dojo.grading.sandbox.policy import NAME, Sandbox
from dojo.grading.sandbox.protocol import Ask, Channel, Job, JobReport, Send, open_channel
from dojo.grading.sandbox.stopwatch import Stopwatch

GRACE = 2.0
INTERVAL = 0.2

Run = Callable[[tuple[Channel, Send, Ask]], None]


def supervise(
    job: Job,
    specs: Sequence[str],
    sandbox: Sandbox,
    number: int,
    report_pipe: int,
    run: Callable[[Path, tuple[Channel, Send, Ask]], None],
) -> JobReport:
    """Prepare the sandbox, `run` a solution in a child process, and wait for its certain end.

    `specs` are the ids of those that must report. `report_pipe` is the pipe that only the
    supervisor may write to.
    """
    report = JobReport()
    key = secrets.token_bytes(32)
    memory = MemoryUsage()
    try:
        sandbox.prepare(job.limits)
        folder = sandbox.make_folder(f"j{number}")
        write_solution(folder, job)
        reading, writing = os.pipe()
        replies, replying = os.pipe()
        child = os.fork()
    except OSError as error:
        report.trouble = f"the sandbox could not be built: {error.strerror or error}"
        return report
    if child == 0:
        try:
            memory.close()
            for inherited in (reading, replying, report_pipe):
                os.close(inherited)
            pipes = (writing, replies)
            run_inside(folder, sandbox, job, key, pipes, lambda talk: run(folder, talk))
        finally:
            os._exit(70)
    os.close(writing)
    os.close(replies)
    listener = Listener(key, report, plan(specs, job), lambda reply: os.write(replying, reply))
    try:
        _listen(
            reading, child, listener, job, report, memory, None if sandbox.namespaces else folder
        )
    finally:
        os.close(reading)
        os.close(replying)
        _end(child, report, memory)
        memory.close()
        if not sandbox.namespaces:
            remove(folder)
    if not listener.ready and not report.broken and not report.trouble:
        report.trouble = f"its process ended before the solution began: {report.ended}"
    return report


def write_solution(folder: Path, job: Job) -> None:
    """Write the submitted solution into the sandbox's folder, read-only."""
    solutions = folder / "a" / job.kata
    solutions.mkdir(parents=True)
    (solutions / "app.py").write_bytes(job.source.encode("utf-8", "surrogateescape"))
    paths = ((solutions.parent, 0o755), (solutions, 0o755), (solutions / "app.py", 0o644))
    for path, mode in paths:
        path.chmod(mode)


def run_inside(
    folder: Path, sandbox: Sandbox, job: Job, key: bytes, pipes: tuple[int, int], run: Run
) -> None:
    """Turn the calling process into the one in the sandbox, and `run`; does not return."""
    code = 70
    file, module = str(folder / "a" / job.kata / "app.py"), f"katas.{job.kata}.app"

    def is_solution(frame: FrameType, _file: str = file, _module: str = module) -> bool:
        return frame.f_code.co_filename == _file or frame.f_globals.get("__name__") == _module

    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(_environment(folder))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        talk = open_channel(*pipes, key, is_solution)
        send = talk[1]
        try:
            sandbox.drop_rights(job.limits)
        except OSError as error:
            send({"trouble": f"the sandbox could not be locked: {error.strerror or error}"})
            os._exit(70)
        send({"locked": True})
        del key
        run(talk)
        code = 0
    finally:
        os._exit(code)


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "USER": NAME,
        "LOGNAME": NAME,
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def _listen(
    pipe: int,
    child: int,
    listener: Listener,
    job: Job,
    report: JobReport,
    memory: MemoryUsage,
    folder: Path | None,
) -> None:
    """Read the messages of the sandbox until they end or a limit is exceeded."""
    stopwatch = Stopwatch(job.limits.seconds, lambda: memory.starved(child), time.monotonic)
    next_check = 0.0
    fork_server = os.getppid()
    while not listener.done:
        now = time.monotonic()
        left = stopwatch.tick(loading=listener.loading)
        if left <= 0:
            report.ended = stopwatch.why()
        elif os.getppid() != fork_server:
            report.ended = "the grader was stopped"
        elif now >= next_check:
            next_check = now + INTERVAL
            if memory.used() > job.limits.memory:
                report.ended = f"it used more than {job.limits.memory >> 20} MiB of memory in all"
            elif folder is not None and folder_size(folder) > job.limits.disk:
                report.ended = f"it filled the disk: more than {job.limits.disk >> 20} MiB"
        if report.ended:
            return
        if select.select([pipe], [], [], min(left, INTERVAL))[0]:
            stopwatch.tick(loading=listener.loading)
            listener.feed(os.read(pipe, 1 << 16))


def remove(folder: Path) -> None:
    """Remove a folder, however deeply its folders are nested."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _flatten(folder: Path) -> None:
    """Lift each folder below `folder` up into it, level by level, until none lies in another."""
    with contextlib.suppress(OSError):
        while below := [
            entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)
        ]:
            for entry in below:
                for inner in os.scandir(entry.path):
                    if inner.is_dir(follow_symlinks=False):
                        os.rename(inner.path, folder / secrets.token_hex(8))
                    else:
                        os.unlink(inner.path)
                os.rmdir(entry.path)


def _end(child: int, report: JobReport, memory: MemoryUsage) -> None:
    """Make sure that the process and all that it started are gone."""
    finished = report.ended == "" and not report.broken
    end = time.monotonic() + (GRACE if finished else 0.0)
    status = None
    while status is None and time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = code
        else:
            time.sleep(0.001)
    if status is None:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if finished and not report.ended:
        report.ended = _describe(status)
    _kill_orphans(memory)


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        return f"its process was ended by the signal {name}"
    return f"its process ended by itself, with exit code {os.WEXITSTATUS(status)}"


def _kill_orphans(memory: MemoryUsage) -> None:
    """Kill what the process left behind: the calling process has adopted it."""
    end = time.monotonic() + GRACE
    while time.monotonic() < end:
        for orphan in memory.children(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(orphan, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)
