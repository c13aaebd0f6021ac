"""`dojo session`, `dojo export cards` and `dojo export offline`, as they are typed."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dojo import cli
from dojo.session import joined, offline
from dojo.session.settings import Settings
from selfcheck.session.rooms import K01, K03, KATAS, ROOT, Evening

pytestmark = pytest.mark.fast
GUIDE = (ROOT / "docs" / "facilitating.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two katas."""
    for name in (K01, K03):
        shutil.copytree(ROOT / "katas" / name, tmp_path / "katas" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """What a command that does nothing says; it must be one line."""
    try:
        ended = cli.main(arguments)
    except SystemExit as error:
        ended = int(str(error.code))
    written = capsys.readouterr()
    assert (ended, written.out) == (code, "")
    assert "Traceback" not in written.err
    return written.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kata", "k77"], "there is no kata 'k77'"),
        (["--minutes", "5"], "--minutes is 5: give minutes from 20"),
        (["--minutes", "soon"], "invalid int value"),
        (["--turn", "nan"], "--turn is nan"),
        (["--turn", "-1"], "--turn is -1"),
        (["--baby-steps", "1000"], "--baby-steps is 1000"),
        (["--names", "Ada,Grace,ada"], "given twice"),
        (["--names", "Ada," + "x" * 300], "300 characters"),
        (["--names", ",".join(f"P{n}" for n in range(300))], "300 names"),
        (["--format", "circus"], "invalid choice"),
        (["--port", "70000"], "--port is 70000"),
    ],
)
def test_a_session_that_cannot_be_is_refused_in_a_line(folder, capsys, arguments, said):
    assert said in refused(capsys, 2, "session", "start", *arguments)
    assert not (folder / ".dojo" / "sessions.db").exists()


def test_a_port_that_is_taken_is_told(folder, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused(capsys, 3, "session", "start", "--port", port)

    assert f"port {port} cannot be used" in said
    assert "--port" in said
    assert cli.main(["session", "list"]) == 0
    assert "There is no session yet" in capsys.readouterr().out


def test_what_is_not_there_is_told(folder, capsys):
    assert "there is no session yet" in refused(capsys, 2, "session", "resume")
    Evening(folder).store.close()
    assert "there is no session 7" in refused(capsys, 2, "session", "resume", "7")
    assert "there is no session 7" in refused(capsys, 2, "session", "export", "7")
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    assert "is there already" in refused(capsys, 2, "session", "export", "--out", "full")
    assert "no folder" in refused(capsys, 2, "session", "export", "--out", "no/such")


def test_a_second_server_of_the_same_checkout_is_refused(folder, capsys):
    evening = Evening(folder)
    with evening.store.alone():
        assert "served already" in refused(capsys, 3, "session", "resume", "--port", "0")


def test_sessions_are_listed(folder, capsys):
    evening = Evening(folder, Settings((K01, K03), format="randori"))
    evening.light(evening.team())
    evening.store.close()
    Evening(folder).store.close()

    assert cli.main(["session", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +1  2027-01-15 \d\d:\d\d  randori k01, k03 +1 teams, 1 lights", first)
    assert second.endswith("0 teams, 0 lights")


def test_an_export_has_all_lights_and_no_secrets(folder, capsys):
    evening = Evening(folder, Settings((K01,), names=("Ada",)))
    said = "=HYPERLINK(1)</script><script>"
    token = evening.team(said)
    for passed in range(3):
        evening.clock.move(60)
        evening.light(token, "red", passed)
    evening.light(token, "green", 9, predicted="green")
    evening.store.close()
    assert cli.main(["session", "export"]) == 0

    files = {file.name: file.read_text("utf-8") for file in (folder / "session-1").iterdir()}
    found = json.loads(files["session.json"])
    rows = list(csv.DictReader(files["lights.csv"].splitlines()))
    assert set(files) == {"session.json", "lights.csv", "session.html"}
    assert [(light["seconds"], light["light"]) for light in found["lights"]] == [
        (60.0, "red"), (120.0, "red"), (180.0, "red"), (180.0, "green"),
    ]  # fmt: skip
    assert found["predicted"] == {"right": 1, "total": 1}
    assert [row["passed"] for row in rows] == ["0", "1", "2", "9"]
    assert {row["team"] for row in rows} == {f"'{said}"}
    page = files["session.html"]
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    assert page.count("<script>") == 1
    for secret in (token, evening.row.token, evening.row.code, evening.room.teams[1].row.key):
        assert not any(secret in text for text in files.values())


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
def test_the_one_keyboard_of_a_randori_joins_by_itself(folder):
    """And leaves when the page is stopped with Ctrl-C."""
    command = [sys.executable, "-m", "dojo.cli", "session", "start", "--format", "randori"]
    server = subprocess.Popen(
        [*command, "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        for line in server.stdout:
            if "Ctrl-C" in line:
                break
        session = joined.read(folder)
        server.send_signal(signal.SIGINT)
        ended = server.wait(60)
    finally:
        server.kill()
        server.stdout.close()

    assert session is not None
    assert session.team == "Room"
    assert (ended, joined.read(folder)) == (0, None)


# ----- exports for the room


def test_cards_are_printed_a_sheet_for_each_kata(folder, capsys):
    assert cli.main(["export", "cards", "cards.html"]) == 0
    page = (folder / "cards.html").read_text("utf-8")

    assert page.count("<article>") == 2
    assert "Marta" in page
    assert "What does the client know" in page
    capsys.readouterr()
    assert "is there already" in refused(capsys, 2, "export", "cards", "cards.html")
    assert "with Print" in refused(capsys, 2, "export", "cards", "cards.pdf")
    assert "no kata" in refused(capsys, 2, "export", "cards", "x.html", "--kata", "k77")


def test_a_machine_gets_the_packages_that_it_needs_itself():
    """A wheel for Windows needs others than one for Linux, and an extra brings its own."""
    linux = offline.needed(offline.PLATFORMS["linux"], "3.11", ["pytest", "pydantic[email]"])
    windows = offline.needed(offline.PLATFORMS["windows"], "3.13", ["pytest", "pydantic[email]"])

    assert set(windows) - set(linux) == {"colorama"}
    assert {"pluggy", "email-validator", "dnspython", "setuptools"} <= set(linux)
    assert "fastapi" not in linux
    everything = offline.needed(offline.PLATFORMS["linux"], "3.11")
    assert {"fastapi", "uvicorn", "segno", "httpx"} <= set(everything)
    assert not {"distributed", "mypy"} & set(everything)


def test_the_folder_for_a_stick_has_wheels_and_no_solutions(tmp_path, monkeypatch, capsys):
    asked = []

    def pip(command: list[str], **_options: object) -> None:
        asked.append(command)
        wheels = Path(command[command.index("--dest") + 1])
        wheels.mkdir(exist_ok=True)
        (wheels / f"some-{len(asked)}.whl").write_bytes(b"wheel")

    monkeypatch.setattr("dojo.session.offline.subprocess.run", pip)
    monkeypatch.setattr("dojo.grading.export.check_stubs", lambda katas: None)
    target = tmp_path / "stick"
    arguments = ["--platform", "windows", "--python", "3.12", "--python", "3.13"]
    assert cli.main(["export", "offline", str(target), *arguments]) == 0

    assert sorted(file.name for file in (target / "wheels").iterdir()) == [
        "some-1.whl", "some-2.whl",
    ]  # fmt: skip
    assert [command[command.index("--python-version") + 1] for command in asked] == ["3.12", "3.13"]
    assert all("win_amd64" in command for command in asked)
    assert "3.12 or 3.13, on windows" in (target / "START-HERE.txt").read_text("utf-8")
    assert (target / "start.py").is_file()
    assert not (target / "solutions").exists()


def test_a_stick_that_cannot_be_made_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    def pip(command: list[str], **_options: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="noise\nERROR: no network here\n")

    monkeypatch.setattr("dojo.session.offline.subprocess.run", pip)
    monkeypatch.setattr("dojo.grading.export.check_stubs", lambda katas: None)
    assert cli.main(["export", "offline", str(tmp_path / "stick")]) == 3

    assert "nothing was written: ERROR: no network here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    for version in ("2.7", "3", "3.9", "latest"):
        said = refused(capsys, 2, "export", "offline", "x", "--python", version)
        assert "give a version like 3.12" in said


# ----- the guide


def test_the_guide_names_every_kata_with_its_title_and_minutes():
    """In the table of choices, and in the table of sentences."""
    missing = [
        kata.name
        for kata in KATAS.values()
        if f"| {kata.number} {kata.title} | {kata.minutes} |" not in GUIDE
        or not re.search(rf"^\| {kata.number} \| .+\? \|$", GUIDE, re.MULTILINE)
    ]

    assert missing == []


def test_the_agendas_of_the_guide_are_those_of_the_page():
    from dojo.session.agenda import AGENDAS

    for minutes, parts in AGENDAS.items():
        section = GUIDE.partition(f"### {minutes} minutes")[2].partition("\n#")[0]
        rows = re.findall(r"^\| (\d):(\d\d) \| (\d+) \| ([^|]+) \|", section, re.MULTILINE)
        assert [(title, int(length)) for _, _, length, title in rows] == [
            (part.title, part.minutes) for part in parts
        ]
        begins = [int(hours) * 60 + int(rest) for hours, rest, _, _ in rows]
        assert begins == [sum(p.minutes for p in parts[:n]) for n in range(len(parts))]


def test_every_command_of_the_guide_is_understood():
    """A facilitator types them as they stand there."""
    commands = re.findall(r"`(dojo [^`…]+)`|^    (dojo .+)$", GUIDE, re.MULTILINE)
    parser = cli.parser()
    for quoted, block in commands:
        words = (quoted or block).split()[1:]
        if words not in (["join"], ["export", "class"], ["session"]):
            parser.parse_args(words)
