"""Who knows one kata's folder knows all, and the words say what is there."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from dojo.catalogue import CatalogueError, Kata, read_catalogue

pytestmark = pytest.mark.fast
ROOT = Path(__file__).parent.parent
SECTIONS = ["The story", "The contract", "See it for real", "To talk about afterwards", "Read on"]
FOR_REAL = (
    "From the root of the repository, once your solution is green, "
    "and with the virtual environment activated\n(`. .venv/bin/activate`):\n\n    dojo run "
)

katas = pytest.mark.parametrize(
    "kata", [pytest.param(kata, id=kata.number) for kata in read_catalogue(ROOT).values()]
)


@katas
def test_each_kata_has_the_same_files(kata: Kata):
    """Card, stub, kata.toml; a spec; a reference, other right solutions, mistakes as diffs."""
    files = sorted(path.name for path in kata.stub.parent.iterdir() if path.is_file())
    solutions = sorted(
        p.name for p in (ROOT / "solutions" / kata.name).iterdir() if "__" not in p.name
    )

    assert files == ["README.md", "app.py", "kata.toml"]
    assert solutions == ["app.py", "mistakes", "right"]
    mistakes = (ROOT / "solutions" / kata.name / "mistakes").iterdir()
    assert [path.name for path in mistakes if path.suffix != ".diff"] == []
    assert kata.spec_file.is_file()


@katas
def test_each_card_has_the_same_sections(kata: Kata):
    """In the same order."""
    card = kata.card.read_text(encoding="utf-8")

    assert card.startswith(f"# {kata.number}: {kata.title}\n")
    assert re.findall(r"^## (.+)$", card, re.MULTILINE) == SECTIONS
    assert f"uvicorn katas.{kata.name}.app:app" in card


@katas
def test_each_card_shows_it_for_real_with_one_command_first(kata: Kata):
    """`dojo run` brings all that is needed; what it takes without it comes below."""
    card = kata.card.read_text(encoding="utf-8")
    section = card.partition("## See it for real\n\n")[2].partition("\n## ")[0]
    first, heading, without = section.partition("\n### Without `dojo run`\n")

    assert first.startswith(FOR_REAL)
    assert first.removeprefix(FOR_REAL).split(maxsplit=1)[0] == kata.number
    assert "\nCtrl+C ends the server, and removes the folder that it ran in.\n" in first
    assert heading
    assert f"uvicorn katas.{kata.name}.app:app" in without


@katas
def test_each_spec_says_why_it_matters(kata: Kata):
    """The name says what, the docstring why; and nothing in it sleeps."""
    tree = ast.parse(kata.spec_file.read_bytes())
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    specs = [function for function in functions if function.name.startswith("test_")]

    assert specs
    assert [spec.name for spec in specs if not ast.get_docstring(spec)] == []
    assert "sleep(" not in kata.spec_file.read_text(encoding="utf-8")


@katas
def test_each_kata_has_a_lesson(kata: Kata):
    """Its essential specs are there: without one, work before the response gets most points."""
    assert kata.essential_specs


def test_an_essential_spec_must_exist(tmp_path: Path):
    """A spec that got another name would silently stop to count."""
    folder = tmp_path / "katas" / "k01_notification_log"
    shutil.copytree(ROOT / "katas" / folder.name, folder)
    text = (folder / "kata.toml").read_text(encoding="utf-8").replace('["test_', '["test_not_')
    (folder / "kata.toml").write_text(text, encoding="utf-8")
    kata = read_catalogue(tmp_path)[folder.name]

    with pytest.raises(CatalogueError, match=r"kata\.toml: `essential` names test_not_the_line"):
        _ = kata.essential_specs


@katas
def test_each_stub_raises_what_is_to_be_written(kata: Kata):
    """And only that: the rest is given."""
    tree = ast.parse(kata.stub.read_bytes())
    raised = [
        ast.unparse(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc
    ]

    assert "NotImplementedError" in raised


def test_the_readme_names_every_kata():
    """The table of katas is the table of contents."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [k.number for k in read_catalogue(ROOT).values() if k.number not in readme] == []
