"""The observer of files sees every way to write one, and on which thread."""

import ast
import errno
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from dojo.harness.environment import client_of
from dojo.solutions import SolutionLoadError
from selfcheck.worlds import answer, app_of_tasks, run_tasks

pytestmark = pytest.mark.fast
ROOT = Path(__file__).resolve().parents[2]


def with_open() -> None:
    with open("out.txt", "w", encoding="utf-8") as file:
        file.write("x")


def with_append() -> None:
    with open("out.txt", "ab") as file:
        file.write(b"x")


def with_print() -> None:
    with open("out.txt", "a", buffering=1) as file:
        print("x", end="", file=file)


def with_io_open() -> None:
    with open("out.txt", "x") as file:
        file.write("x")


def with_write_text() -> None:
    Path("out.txt").write_text("x")


def with_path_open() -> None:
    with Path("out.txt").open("wb", buffering=0) as file:
        file.write(b"x")


def with_os_open() -> None:
    descriptor = os.open("out.txt", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"x")
    os.close(descriptor)


def with_an_absolute_path() -> None:
    (Path.cwd() / "out.txt").write_bytes(b"x")


WRITERS = pytest.mark.parametrize(
    "write",
    [
        with_open,
        with_append,
        with_print,
        with_io_open,
        with_write_text,
        with_path_open,
        with_os_open,
        with_an_absolute_path,
    ],
)


@WRITERS
async def test_a_write_in_a_thread_is_seen_and_does_not_block(environment, write):
    """One event for the writing of a file, however many layers it has."""
    await run_tasks(environment, write)

    assert environment.timeline.of("write") == ["out.txt"]
    assert environment.timeline.blocked() == []
    assert environment.disk.text("out.txt") == "x"


@WRITERS
async def test_a_write_on_the_loop_blocks(environment, write):
    """Whichever way it is written."""

    async def task() -> None:
        write()

    await run_tasks(environment, task)

    assert environment.timeline.blocked() == ["write out.txt"]


async def test_a_read_is_noted_on_the_loop_only(environment):
    """Reading blocks as writing does, and in a thread it hurts nobody."""
    with_write_text()

    def read() -> None:
        Path("out.txt").read_text()

    async def read_on_the_loop() -> None:
        read()

    await run_tasks(environment, read)
    assert environment.timeline.of("read") == []

    await run_tasks(environment, read_on_the_loop)
    assert environment.timeline.blocked() == ["read out.txt"]


async def test_other_folders_may_be_read(environment, tmp_path_factory):
    """Libraries read their own files."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "out.txt"
    elsewhere.write_text("x")

    async def read() -> None:
        elsewhere.read_text()

    await run_tasks(environment, read)

    assert environment.timeline.blocked() == []


LOGS_TO_A_FILE = """
    import logging

    from fastapi import BackgroundTasks, FastAPI

    logger = logging.getLogger("kata")
    logger.addHandler(logging.FileHandler("log.txt", encoding="utf-8"))
    kept = open("kept.txt", "a", encoding="utf-8")
    app = FastAPI()


    async def note():
        logger.warning("zoë")
        kept.write("zoë")
        kept.flush()


    @app.post("/")
    async def endpoint(background_tasks: BackgroundTasks):
        background_tasks.add_task(note)
"""


async def test_a_file_opened_at_import_is_seen_when_it_is_written(environment, tmp_path_factory):
    """A `FileHandler` opens once and blocks later."""
    with answer(tmp_path_factory.mktemp("tree"), LOGS_TO_A_FILE) as module:
        async with client_of(module.app, environment) as client:
            await client.post("/")
        module.kept.close()

    assert environment.timeline.blocked() == ["write log.txt", "write kept.txt"]
    assert environment.disk.lines("log.txt") == ["zoë"]


async def test_a_file_can_be_there_from_before(environment):
    """Who reads only what it has written itself finds another one."""
    environment.disk.put("log.txt", "zoë\n")

    def write() -> None:
        with open("log.txt", "a", encoding="utf-8") as file:
            file.write("ada\n")

    await run_tasks(environment, write)

    assert environment.disk.lines("log.txt") == ["zoë", "ada"]
    assert environment.timeline.of("write") == ["log.txt"]


@pytest.mark.parametrize("encoding", [None, "utf-8"])
async def test_a_foreign_locale_spoils_text_without_an_encoding(environment, encoding):
    """Whoever names the encoding does not depend on the machine."""

    def write() -> None:
        with open("open.txt", "w", encoding=encoding) as file:
            file.write("zoë")
        Path("path.txt").write_text("zoë", encoding=encoding)

    with environment.disk.foreign_locale():
        await run_tasks(environment, write)

    intact = encoding is not None
    assert (environment.disk.text("open.txt") == "zoë") is intact
    assert (environment.disk.text("path.txt") == "zoë") is intact


async def test_a_held_file_is_not_open_yet(environment):
    """Only the first exchange is held; the next one passes."""
    async with client_of(app_of_tasks(with_append), environment) as client:
        with environment.disk.hold("out.txt") as slow_disk:
            first = client.begin("POST", "/")
            await slow_disk.until_reached()
            assert environment.disk.files() == []
            await client.post("/")
            assert environment.disk.text("out.txt") == "x"
            slow_disk.release()
            await first.until_finished()

    assert environment.disk.text("out.txt") == "xx"


def write_in_pieces() -> None:
    with open("out.txt", "ab", buffering=0) as file:
        file.write(b"one")
        file.write(b"two")


def open_twice() -> None:
    for piece in (b"one", b"two"):
        with open("out.txt", "ab") as file:
            file.write(piece)


@pytest.mark.parametrize("write", [write_in_pieces, open_twice])
async def test_a_second_step_is_held_after_the_first(environment, write):
    """That is where lines of two requests get mixed."""
    async with client_of(app_of_tasks(write), environment) as client:
        with environment.disk.hold("out.txt", step=2) as half_a_line:
            exchange = client.begin("POST", "/")
            await half_a_line.until_reached()
            assert environment.disk.text("out.txt") == "one"
            half_a_line.release()
            await exchange.until_finished()

    assert environment.disk.text("out.txt") == "onetwo"


def test_what_a_file_object_says_of_itself_is_python_s_own(environment):
    """The observed file is used like any other, in every mode."""
    with open("out.txt", "w+", encoding="utf-8", newline="") as file:
        file.write("a\r\nb")
        file.seek(0)
        assert (file.read(), file.mode, file.encoding) == ("a\r\nb", "w+", "utf-8")
    with open("out.txt", "r+b") as file:
        assert (file.read(1), file.mode, Path(file.name).name) == (b"a", "rb+", "out.txt")


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (FileExistsError, {"mode": "x"}),
        (ValueError, {"mode": "wb", "encoding": "utf-8"}),
        (ValueError, {"mode": "wb", "newline": ""}),
        (ValueError, {"mode": "wbt"}),
        (ValueError, {"mode": "rw"}),
        (ValueError, {"mode": "w", "buffering": 0}),
        (LookupError, {"mode": "w", "encoding": "no such"}),
    ],
)
def test_what_open_refuses_is_refused(environment, error, options):
    """The stand-in is as strict as what it stands in for."""
    with_write_text()

    with pytest.raises(error), open("out.txt", **options):
        pass


async def test_text_of_code_that_came_from_no_file_is_nothing_that_is_read(environment):
    """Python looks for a file `<unknown>` to show an error in code that has none, and from 3.13 on
    whenever the traceback of certain lines is logged."""

    async def task() -> None:
        with pytest.raises(SyntaxError):
            ast.parse("a b")
        for name in ("<unknown>", "<string>", "<frozen importlib._bootstrap>"):
            sys.audit("open", name, "rb", 0)

    await run_tasks(environment, task)

    assert environment.timeline.of("read") == []


async def test_a_file_may_be_called_what_code_without_a_file_is_called(environment):
    """Where there is one, it is read and written like any other."""

    def write_and_read() -> None:
        Path("<unknown>").write_text("x")
        Path("<unknown>").read_text()

    async def task() -> None:
        write_and_read()

    await run_tasks(environment, task)

    assert environment.timeline.blocked() == ["write <unknown>", "read <unknown>"]


async def test_a_logged_exception_reads_no_file(environment, caplog):
    """A failure that is logged on the loop is not a file that is read there. Python 3.13 parses the
    line of an assignment or a call that failed to find what to underline."""

    missing: dict[str, list[int]] = {}

    async def task() -> None:
        try:
            raised = missing["no such key"]
            raised.append(1)
        except KeyError:
            logging.getLogger("kata").exception("failed")

    await run_tasks(environment, task)

    assert "no such key" in caplog.text
    assert environment.timeline.of("read") == []


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_file_is_buffered_alike_on_every_version(environment, monkeypatch, mode):
    """Python 3.14 hands 128 KiB to the system at a time, where those before it hand 8, and a spec
    would find nothing half-written to look at."""
    monkeypatch.setattr(io, "DEFAULT_BUFFER_SIZE", 131_072)
    piece = "x" * 6000 if mode == "w" else b"x" * 6000
    with open("out.txt", mode) as file:
        for _ in range(4):
            file.write(piece)
        assert len(environment.disk.bytes("out.txt")) > 8000


def test_the_foreign_locale_is_foreign_in_utf_8_mode_too(tmp_path):
    """That mode is the default from Python 3.15 on, where a text file without an encoding is UTF-8
    by luck: what is refused on one version is refused on all."""
    code = """
        from pathlib import Path
        from dojo.harness.environment import environment_in

        folder = Path.cwd()
        with environment_in(folder) as environment, environment.disk.foreign_locale():
            Path("none.txt").write_text("zoë")
            Path("named.txt").write_text("zoë", encoding="utf-8")
            open("open.txt", "w").write("zoë")
        print([(folder / f).read_bytes() for f in ("none.txt", "named.txt", "open.txt")])
    """
    ran = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )

    assert ran.stdout.strip() == r"[b'zo\xeb', b'zo\xc3\xab', b'zo\xeb']", ran.stderr


def only_the_old_one() -> None:
    shutil.rmtree("folder", ignore_errors=True)
    Path("new.txt").unlink(missing_ok=True)
    Path("old.txt").write_text("x")


def looks() -> None:
    Path("out.txt").exists()


def makes_a_folder() -> None:
    Path("folder").mkdir()


def moves() -> None:
    os.replace("old.txt", "new.txt")


def links() -> None:
    os.link("old.txt", "new.txt")


def removes() -> None:
    Path("old.txt").unlink()


def lists() -> None:
    os.listdir(".")


@pytest.mark.parametrize(
    ("work", "seen"),
    [
        (looks, "look out.txt"),
        (makes_a_folder, "mkdir folder"),
        (moves, "rename old.txt to new.txt"),
        (links, "link old.txt to new.txt"),
        (removes, "remove old.txt"),
        (lists, "list ."),
    ],
)
async def test_what_goes_along_with_writing_blocks_too(environment, work, seen):
    """A network drive makes all of them wait; in a thread they hurt nobody."""

    async def on_the_loop() -> None:
        work()

    only_the_old_one()
    await run_tasks(environment, on_the_loop)
    assert environment.timeline.blocked() == [seen]

    only_the_old_one()
    await run_tasks(environment, work)
    assert environment.timeline.blocked() == [seen]


async def test_what_is_written_to_a_descriptor_is_seen(environment):
    """The second piece is held like one of a file object."""

    def write() -> None:
        descriptor = os.open("out.txt", os.O_WRONLY | os.O_CREAT)
        for piece in (b"one", b"two"):
            os.write(descriptor, piece)
        os.close(descriptor)

    async with client_of(app_of_tasks(write), environment) as client:
        with environment.disk.hold("out.txt", step=2) as half_a_line:
            exchange = client.begin("POST", "/")
            await half_a_line.until_reached()
            assert environment.disk.text("out.txt") == "one"
            half_a_line.release()
            await exchange.until_finished()


async def test_what_is_put_into_a_place_is_held_like_what_is_written_there(environment):
    """A log can be replaced as a whole, and two at the same moment get in each other's way."""

    def replace() -> None:
        Path("draft.txt").write_text("x")
        os.replace("draft.txt", "out.txt")

    async with client_of(app_of_tasks(replace), environment) as client:
        with environment.disk.hold("out.txt") as slow_disk:
            exchange = client.begin("POST", "/")
            await slow_disk.until_reached()
            assert environment.disk.files() == ["draft.txt"]
            slow_disk.release()
            await exchange.until_finished()

    assert environment.disk.files() == ["out.txt"]


def writes(path: Path) -> None:
    path.write_text("x")


def touches(path: Path) -> None:
    path.touch()


def makes(path: Path) -> None:
    path.mkdir()


def moves_there(path: Path) -> None:
    Path("mine.txt").rename(path)


def links_there(path: Path) -> None:
    os.link("mine.txt", path)


def removes_there(path: Path) -> None:
    (path.parent / "theirs.txt").unlink()


def ways_to(elsewhere: Path) -> dict[str, Path]:
    (elsewhere / "theirs.txt").write_text("x")
    Path("mine.txt").write_text("x")
    Path("link").symlink_to(elsewhere)
    return {
        "absolute": elsewhere,
        "relative": Path(os.path.relpath(elsewhere)),
        "through a link": Path("link"),
    }


@pytest.mark.parametrize(
    "attack", [writes, touches, makes, moves_there, links_there, removes_there]
)
@pytest.mark.parametrize("way", ["absolute", "relative", "through a link"])
async def test_nothing_is_written_elsewhere(environment, tmp_path_factory, attack, way):
    """Not by a learner's mistake either, which may run as root."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    folder = ways_to(elsewhere)[way]
    raised: list[OSError] = []

    def task() -> None:
        try:
            attack(folder / "evil.txt")
        except PermissionError as error:
            raised.append(error)

    await run_tasks(environment, task)

    assert "the dojo lets nothing be written outside" in str(raised)
    assert [refused.partition(" ")[0] for refused in environment.timeline.of("refused")] == [
        "writing"
    ]
    assert [path.name for path in elsewhere.iterdir()] == ["theirs.txt"]


async def test_files_that_python_makes_for_the_time_being_may_be_anywhere(environment):
    """Whoever wants a temporary file asks `tempfile`."""

    def task() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
        with tempfile.NamedTemporaryFile() as named:
            named.write(b"x")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "out.txt").write_text("x")
        with open(os.devnull, "w") as null:
            null.write("x")
        with tempfile.NamedTemporaryFile(dir=".", delete=False) as draft:
            draft.write(b"x")
        os.replace(draft.name, "out.txt")

    exchange = await run_tasks(environment, task)

    assert exchange.raised is None
    assert environment.timeline.of("refused") == []
    assert environment.disk.text("out.txt") == "x"


def test_an_answer_writes_nothing_elsewhere_while_it_is_loaded(environment, tmp_path_factory):
    """Nobody has asked for anything yet."""
    there = tmp_path_factory.mktemp("elsewhere") / "evil.txt"
    source = f"from fastapi import FastAPI\n\napp = FastAPI()\nopen({str(there)!r}, 'w').close()\n"

    with (
        pytest.raises(SolutionLoadError, match="the dojo lets nothing be written outside"),
        answer(tmp_path_factory.mktemp("tree"), source),
    ):
        pass

    assert not there.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
async def test_a_file_can_be_made_to_fail(environment, number):
    """Whatever the reason, the solution gets it as an error of the system."""
    environment.disk.fail("out.txt", number)

    exchange = await run_tasks(environment, with_append)

    assert isinstance(exchange.raised, OSError)
    assert exchange.raised.errno == number
    assert environment.disk.files() == []


def test_files_that_are_open_are_known(environment):
    """Also when they were removed meanwhile, where the system allows that."""
    Path("reports").mkdir()
    Path("reports/a").write_text("a")
    with Path("reports/a").open("rb"), Path("b").open("w"):
        assert environment.disk.open_files() == ["b", "reports/a"]

    assert environment.disk.open_files() == []
