"""Mutants: each is one small change, which compiles and does something else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.changes import mutants
from benchmarks.mutants import chosen, table
from dojo.catalogue import read_catalogue

pytestmark = pytest.mark.fast
ROOT = Path(__file__).parent.parent


@pytest.fixture
def mutated(tmp_path: Path):
    """The mutants of a source, each as the lines that came for the lines that went."""

    def mutated(source: str) -> list[str]:
        file = tmp_path / "app.py"
        file.write_text(source, encoding="utf-8")
        return [
            " ".join(line[1:].strip() for line in one.diff.splitlines()[3:] if line[0] == "+")
            for one in mutants(file)
        ]

    return mutated


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", ["x = (a <= b)", "x = (a >= b)"]),
        ("x = a and b", ["x = (a or b)", "x = a", "x = b"]),
        ("x = not a", ["x = a"]),
        ("if a:\n    b()", ["if True:", "if False:", "pass"]),
        ("x = 3", ["x = 4", "x = 2"]),
        ("x = 'é' + y", ["x = 'éX' + y", "x = '' + y", "x = ('é' - y)"]),
        ("def f():\n    return x", ["return"]),
        ("x += y", ["x -= y", "x = y"]),
        ("f(a, b=c)", ["f(b=c)", "f(a)"]),
        ("x = {'a': b}", ["x = {}"]),
        ("try:\n    f()\nexcept E:\n    raise", ["except ZeroDivisionError:", "pass"]),
        ("with lock:\n    f()", ["with __import__('contextlib').nullcontext(lock):"]),
        ("@d\ndef f(): ...", ["@(lambda it: it)", "async def f(): ..."]),
        ("x.commit()", ["x.flush()", "x.rollback()", "x", "pass"]),
        ("x = y[1:z]", ["x = y[:z]", "x = y[1:]", "x = y[2:z]", "x = y[0:z]"]),
        ("x = f'{a + b} c'", ["x = f'{a - b} c'", "x = f'{a + b} cX'", "x = f'{a + b}'"]),
        ("class A:\n    x: EmailStr", ["x: str"]),
    ],
)
def test_each_kind_of_change_is_made(mutated, source: str, expected: list[str]):
    """A kind of change that is not made is a kind of hole that is not found."""
    assert set(expected) <= set(mutated(source))


@pytest.mark.parametrize(
    "source",
    ['"""What it is for."""', "import a\nfrom b import c as d", "x: Annotated[int, 'text']"],
)
def test_what_no_spec_can_see_is_not_changed(mutated, source: str):
    """Nobody has to read it then."""
    assert mutated(source) == []


def test_a_text_for_people_is_not_changed(mutated):
    """No contract says in which words something is refused."""
    assert not any("noX" in line for line in mutated("raise HTTPException(404, 'no')"))


def test_every_mutant_of_a_reference_is_another_module():
    """A change that compiles to the same bytecode is no mutant."""
    file = ROOT / "solutions" / "k01_notification_log" / "app.py"
    sources = [one.source for one in mutants(file)]

    assert len(sources) > 20
    assert len({ast.dump(ast.parse(source)) for source in sources}) == len(sources)
    assert file.read_text(encoding="utf-8") not in sources


def test_three_different_solutions_of_each_kata_are_changed():
    """One way of writing it has not all the places where something can be wrong."""
    for kata in read_catalogue(ROOT).values():
        files = chosen(kata)
        assert len(set(files)) == 3
        assert files[0].name == "app.py"


def test_the_table_shows_survivors_with_their_place_and_diff():
    """A reader must find the line."""
    one = {"kata": "k01_log", "file": "app.py", "line": 7, "operator": "swap", "by": []}
    said = table([one | {"outcome": "survived", "diff": "-a\n+b"}])

    assert said.splitlines()[1].split() == ["k01_log", "1", "0", "1", "0"]
    assert said.endswith("app.py:7 survived swap\n-a\n+b")
