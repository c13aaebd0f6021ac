"""`dojo new` makes a kata that works as it is, and overwrites nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dojo import cli, new_kata
from dojo.catalogue import read_catalogue
from selfcheck.projects import ROOT, Project, lights, said
from selfcheck.test_repository import SECTIONS

pytestmark = pytest.mark.fast
KATA = "k10_invoice_pdf"
SPEC = f"tests/test_{KATA}.py"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one kata, which `dojo new` takes for its own."""
    for part in ("katas", "tests", "solutions"):
        (tmp_path / part).mkdir()
    shutil.copytree(ROOT / "katas" / "k01_notification_log", tmp_path / "katas" / "k01_log")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(new_kata, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def made(checkout: Path) -> Path:
    """A checkout in which a kata was made."""
    assert cli.main(["new", "k10", "invoice_pdf"]) == 0
    return checkout


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_kata_has_all_files(made: Path):
    """Nobody has to find out what one is made of."""
    assert sorted(name for name in files(made) if KATA in name) == [
        f"dojo/stubs/{KATA}.py.txt",
        f"katas/{KATA}/README.md",
        f"katas/{KATA}/app.py",
        f"katas/{KATA}/kata.toml",
        f"solutions/{KATA}/app.py",
        f"solutions/{KATA}/mistakes/called_not_passed.diff",
        f"solutions/{KATA}/right/response_with_task.py",
        SPEC,
    ]


def test_the_card_has_the_sections_of_all_cards(made: Path):
    """The catalogue can be read, and the card begins and goes on as every other one does."""
    kata = read_catalogue(made)[KATA]
    card = kata.card.read_text(encoding="utf-8")

    assert card.startswith(f"# k10: {kata.title}\n")
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == SECTIONS
    assert f"uvicorn katas.{KATA}.app:app" in card
    assert kata.title == "Invoice pdf"
    assert len(kata.spec_names) == 2


def test_no_place_is_left_to_be_filled_in(made: Path):
    """A `$name` in a file would be a mistake in a template."""
    assert [name for name, text in files(made).items() if KATA in name and b"$" in text] == []


def test_the_code_is_formatted(made: Path):
    """A new kata passes the lint of the repository."""
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command], cwd=made, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@pytest.fixture
def kata_of_project(project: Project) -> Project:
    """A project with the new kata, where pytest can run."""
    for part in ("katas", "solutions"):
        (project.path / part).mkdir()
    new_kata.new_kata(project.path, "k10", "invoice_pdf")
    return project


def test_the_stub_loads_and_its_specs_are_red(kata_of_project: Project):
    """No free points, and a light that says that it is not started."""
    result = kata_of_project.run()

    result.assert_outcomes(failed=2)
    assert lights(result) == {"k10": "grey"}


@pytest.mark.parametrize("file", ["app.py", "right/response_with_task.py"])
def test_right_solutions_are_green(kata_of_project: Project, file: str):
    """A contributor begins with something that works."""
    result = kata_of_project.run(f"--solutions=solutions/{KATA}/{file}")

    result.assert_outcomes(passed=2)


def test_the_mistake_is_red_where_its_diff_says(kata_of_project: Project):
    """Header, diff and spec belong together."""
    solutions = kata_of_project.path / "solutions" / KATA
    diff = (solutions / "mistakes" / "called_not_passed.diff").read_text(encoding="utf-8")
    header, _, hunks = diff.partition("--- app.py\n")
    caught_by = re.findall(r"^caught by: (.+)$", header, re.MULTILINE)
    (says,) = re.findall(r"^says: (.+)$", header, re.MULTILINE)
    reference = (solutions / "app.py").read_text(encoding="utf-8")
    old = "".join(line[1:] for line in hunks.splitlines(True)[2:] if line[0] in " -")
    new = "".join(line[1:] for line in hunks.splitlines(True)[2:] if line[0] in " +")
    assert reference.count(old) == 1, "the diff does not apply to the reference"
    assert hunks.splitlines()[1] == hunk_header(reference, old, new)
    mistake = solutions / "mistake.py"
    mistake.write_text(reference.replace(old, new), encoding="utf-8")

    result = kata_of_project.run("-v", f"--solutions={mistake}")

    result.assert_outcomes(passed=1, failed=1)
    assert [f"{SPEC}::{name}" for name in caught_by] == re.findall(
        r"run alone +pytest .*(tests/\S+)", said(result)
    )
    assert re.search(says, said(result))


def hunk_header(text: str, old: str, new: str) -> str:
    """The header of the hunk in which `old` becomes `new`."""
    line = text[: text.index(old)].count("\n") + 1
    return f"@@ -{line},{old.count(chr(10))} +{line},{new.count(chr(10))} @@"


def test_what_to_do_next_names_what_is_there(made: Path, capsys: pytest.CaptureFixture[str]):
    """The places that name every kata are easily forgotten."""
    cli.main(["new", "k11", "invoice_mail"])
    shown = capsys.readouterr().out
    named = set(re.findall(r"(?:selfcheck|katas|tests|solutions)/[\w./]+|\w+\.md", shown))

    assert all((ROOT / name).exists() or (made / name).exists() for name in named), named
    assert "REQUESTS" in (ROOT / "selfcheck/harness/test_timelines.py").read_text(encoding="utf-8")
    assert "selfcheck/harness/test_timelines.py" in named
    assert "README.md" in named
    assert "pytest selfcheck -k k11" in shown


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [
        ("k1", "invoice_pdf", "'k1' is not a number like k10: k02 is free"),
        ("10", "invoice_pdf", "'10' is not a number like k10"),
        ("k100", "invoice_pdf", "'k100' is not a number like k10"),
        ("k01", "invoice_pdf", "k01 is taken by katas/k01_log: k02 is free"),
        ("k10", "InvoicePdf", "'InvoicePdf' is not a name like invoice_pdf"),
        ("k10", "invoice-pdf", "'invoice-pdf' is not a name"),
        ("k10", "2_invoices", "no number in front"),
        ("k10", "invoice__pdf", "is not a name"),
        ("k10", "../../invoice", "is not a name"),
        ("k10", "", "'' is not a name"),
    ],
)
def test_a_wrong_number_or_name_is_refused(
    checkout: Path, capsys: pytest.CaptureFixture[str], number: str, name: str, words: str
):
    """The message says what to write, and nothing is made."""
    before = files(checkout)

    assert cli.main(["new", number, name]) == 2
    assert words in capsys.readouterr().err.replace("\\", "/")
    assert files(checkout) == before


def test_the_same_kata_is_not_made_twice(made: Path, capsys: pytest.CaptureFixture[str]):
    """Somebody's work may be in it by now."""
    stub = made / "katas" / KATA / "app.py"
    stub.write_text("mine", encoding="utf-8")

    assert cli.main(["new", "k10", "invoice_pdf"]) == 2
    assert f"k10 is taken by katas/{KATA}" in capsys.readouterr().err.replace("\\", "/")
    assert stub.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("place", ["solutions/k10_other", "tests/test_k10_other.py"])
def test_a_number_is_taken_wherever_it_is_used(
    checkout: Path, capsys: pytest.CaptureFixture[str], place: str
):
    """Half a kata that somebody has begun counts too."""
    (checkout / place).mkdir()

    assert cli.main(["new", "k10", "invoice_pdf"]) == 2
    assert f"k10 is taken by {place}" in capsys.readouterr().err.replace("\\", "/")


def test_elsewhere_than_in_the_repository_nothing_is_made(
    checkout: Path, capsys: pytest.CaptureFixture[str]
):
    """A class has no solutions, and its kata would be half of one."""
    (checkout / "solutions").rmdir()

    assert cli.main(["new", "k10", "invoice_pdf"]) == 2
    assert "has no solutions/" in capsys.readouterr().err


def test_what_cannot_be_written_is_told_in_a_line(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """No traceback for a full disk or a read-only folder."""

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "open", full)

    assert cli.main(["new", "k10", "invoice_pdf"]) == 3
    assert capsys.readouterr().err == "dojo new: No space left on device\n"
