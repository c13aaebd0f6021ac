"""`dojo run`: what the command line asks for, the scratch folder, and what is said at the start."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dojo.catalogue import Kata, find
from dojo.commands.checkout import (
    DONE,
    FAILED,
    CommandError,
    add_command,
    all_katas,
    shown,
)
from dojo.run.settings import NAMES, Settings
from dojo.sockets import LOOPBACK, listening_on

PORT, MAIL_PORT = 8000, 2525
EXAMPLES = """\
`/docs` on the server has a button "Try it out" for each route. The timeline shows the request, the
response and what comes after it, each with the time since the request came. > marks what went
wrong, and what keeps the event loop busy in a task.

  dojo run k02 --slow mail=3           the mail server takes three seconds
  dojo run k04 --fail ai               the AI service is out of order
  dojo run k02 --solutions solutions   the reference instead of your app.py
"""


def add_to(commands: Any) -> None:
    """Add the command `run` to the command line."""
    run_ = add_command(
        commands,
        "run",
        run,
        "your app on a real server, with its timeline live",
        "Run your app.py under uvicorn, in a scratch folder, with a mail server on\n"
        "localhost:2525 and stand-ins for the other services. A save reloads it. Ctrl-C ends it\n"
        "and removes the folder.",
        kata="1",
    )
    run_.formatter_class = argparse.RawDescriptionHelpFormatter
    run_.epilog = EXAMPLES
    names = ", ".join(NAMES)
    add = run_.add_argument
    add("--port", type=_port, default=PORT, help=f"of the server (default: {PORT}; 0: any)")
    add(
        "--mail-port",
        type=_port,
        default=MAIL_PORT,
        metavar="PORT",
        help=f"of the mail server, which your app goes on reaching at {MAIL_PORT}",
    )
    add(
        "--slow",
        action="append",
        default=[],
        type=_slow,
        metavar="NAME=SECONDS",
        help=f"let a service take its time: {names}; may be given again",
    )
    add(
        "--fail",
        action="append",
        default=[],
        choices=NAMES,
        metavar="NAME",
        help=f"let a service fail: {names}; may be given again",
    )
    add("--solutions", type=Path, metavar="PATH", help="run another solution, as with pytest")
    add("--keep", action="store_true", help="keep the scratch folder")
    add(
        "--no-reload", action="store_true", help="one process, for a debugger; saves change nothing"
    )


def run(asked: argparse.Namespace) -> int:
    """Serve what the command line asks for until Ctrl-C."""
    from dojo.run import server

    katas = all_katas()
    kata = find(katas, asked.kata)
    with contextlib.ExitStack() as stack:
        try:
            listening = stack.enter_context(listening_on(asked.port))
        except OSError as error:
            raise CommandError(_no_port("--port", asked.port, error)) from None
        try:
            with listening_on(asked.mail_port) as tried:
                mail_port = tried.getsockname()[1]
        except OSError as error:
            raise CommandError(_no_port("--mail-port", asked.mail_port, error)) from None
        directory = stack.enter_context(_scratch(kata, keep=asked.keep))
        file = stack.enter_context(_solution(kata, katas, asked.solutions))
        settings = Settings(
            root=str(kata.root),
            kata=kata.name,
            file=str(file),
            directory=str(directory),
            typed_in=str(Path.cwd()),
            url=f"http://{LOOPBACK}:{listening.getsockname()[1]}/docs",
            mail_port=mail_port,
            slow=dict(asked.slow),
            fail=asked.fail,
            supervised=not asked.no_reload,
            keep=asked.keep,
        )
        _introduce(kata, settings)
        settings.hand_over()
        before = Path.cwd()
        os.chdir(directory)
        try:
            server.serve(listening, file, reload=not asked.no_reload)
        finally:
            os.chdir(before)
    print(f"\nThe server has ended. {_left(directory, keep=asked.keep)}")
    return FAILED if directory.exists() and not asked.keep else DONE


def _left(directory: Path, *, keep: bool) -> str:
    if keep:
        return f"Its folder is {directory}"
    return f"{directory} could not be removed" if directory.exists() else "Its folder is removed."


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def _slow(text: str) -> tuple[str, float]:
    name, _, seconds = text.partition("=")
    try:
        taken = float(seconds)
    except ValueError:
        taken = -1.0
    if name not in NAMES or not 0 <= taken <= 3600:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not like mail=3: one of {', '.join(NAMES)}, and seconds from 0 to 3600"
        )
    return name, taken


def _no_port(option: str, port: int, error: OSError) -> str:
    return (
        f"port {port} cannot be used ({error.strerror or error}): {option} {port + 1} takes "
        f"another one, {option} 0 any that is free"
    )


@contextlib.contextmanager
def _scratch(kata: Kata, *, keep: bool) -> Iterator[Path]:
    """The folder in which the solution runs; removed after the block unless it is kept."""
    directory = Path(tempfile.mkdtemp(prefix=f"dojo-{kata.number}-")).resolve()
    try:
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _solution(kata: Kata, katas: dict[str, Kata], path: Path | None) -> Iterator[Path]:
    """The file to be run; of a `.diff`, the module that it makes, which is there for the block.

    Raises `CommandError`.
    """
    if path is None:
        yield kata.stub
        return
    from dojo import mistakes
    from dojo.solutions import SolutionsNotFoundError, find_solutions

    with tempfile.TemporaryDirectory(prefix="dojo-mistake-") as folder:
        try:
            found = find_solutions(path, katas)
            if found.kata not in (kata, None):
                raise CommandError(f"{shown(path)} is of {found.kata.number}, not {kata.number}")
            file = found.file(kata)
            if file.suffix == mistakes.SUFFIX:
                text = mistakes.patched(file, kata.solutions)
                file = Path(folder).resolve() / f"{file.stem}.py"
                file.write_text(text, encoding="utf-8", newline="\n")
        except (SolutionsNotFoundError, mistakes.MistakeError) as error:
            raise CommandError(str(error)) from None
        if not file.is_file():
            raise CommandError(f"there is no {shown(file)}")
        yield file


def _introduce(kata: Kata, settings: Settings) -> None:
    slow = [f"{name} takes {seconds:g} s" for name, seconds in settings.slow.items()]
    altered = ", ".join([*slow, *(f"{name} fails" for name in settings.fail)])
    after = "stays" if settings.keep else "removed at the end, --keep keeps it"
    print(f"{kata.number}, {kata.title}: {shown(settings.file)}")
    print(f"  app       {settings.url}")
    print(f"  mail      localhost:{settings.mail_port}")
    print(f"  services  {', '.join(NAMES)}{f'; {altered}' if altered else ''}")
    print(f"  folder    {settings.directory} ({after})")
    print("  Ctrl-C ends it.", flush=True)
