"""The formats of other tools: each document keeps that tool's rules, whatever was graded."""

from __future__ import annotations

import base64
import copy
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator, ValidationError
from markdown_it import MarkdownIt

from dojo.grading import formats
from dojo.grading.formats import (
    Context,
    FormatError,
    actions,
    classroom50,
    csv_gradebook,
    exercism,
    github_classroom,
    gradescope,
    html,
    junit,
)
from dojo.grading.results import KataResult, Results, SpecResult, State, SubmissionResult

SCHEMAS = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((Path(__file__).parent / "schemas").glob("*.json"))
}
SINGLE = {
    "exercism": exercism.emit,
    "gradescope": gradescope.emit,
    "classroom50": classroom50.emit,
    "github-classroom": github_classroom.emit,
}
MANY = {"junit": junit.emit, "csv": csv_gradebook.emit, "actions": actions.emit}
EVERY = SINGLE | MANY

ENVIRONMENT = {
    "CLASSROOM": "dojo",
    "ASSIGNMENT": "katas",
    "SUBMISSION_TAG": "submit/2026-11-03T09-00-00Z-abc1234",
    "USERNAME": "ada",
    "COMMIT_URL": "https://example.com/commit",
    "RELEASE_URL": "https://example.com/release",
    "REVIEW_URL": "https://example.com/review",
}
SOURCE = '''"""Café."""

import pytest


@pytest.mark.parametrize("n", [1, 2])
async def test_the_mail_leaves(client, n):
    """Nobody waits for a mail."""
    assert await client.post("/é")


def test_another():
    pass
'''
MAIL = '''async def test_the_mail_leaves(client, n):
    """Nobody waits for a mail."""
    assert await client.post("/é")'''
HOSTILE = [
    "::set-output name=score::100",
    "\n::error::injected\r::stop-commands::x\r\n \t::add-mask::1",
    "\u2028::error::x\x85::error::x\x0b::error::x\x0c::error::x",
    "##[set-env name=PATH]/tmp",
    "a%0A::error::x%3A",
    "<!-- summary -->",
    "\n<!-- summary -->\n",
    "]]>&amp;<![CDATA[",
    "<script>alert(1)</script></summary></details>",
    "| a | b |\n| --- | --- |",
    "[x](javascript:alert(1)) ![x](https://example.com/x.png) <https://example.com>",
    "\n\n# head\n\n```\n@everyone #1 *x* _y_ `z` \\",
    "\x00\x01\x1b[31mred\x1b[0m\x7f\x9b\ufffe\uffff",
    "\udcff\ud800 lone",
    "👩‍👩‍👧 🎉 日本 \N{RIGHT-TO-LEFT OVERRIDE}",
    "=cmd|' /C calc'!A0",
    "x" * 100_000,
    "  ",
]


def spec(name: str, passed: bool = True, points: float = 2.5, **more: Any) -> SpecResult:
    if not passed:
        more = {"message": "the mail came\nbefore the response", "line": 7} | more
    return SpecResult(
        id=f"tests/test_k01_mail.py::test_{name.replace(' ', '_')}",
        title=name,
        passed=passed,
        points=points,
        **more,
    )


def kata(*specs: SpecResult, number: str = "01", **more: Any) -> KataResult:
    light = "green" if all(each.passed for each in specs) else "red"
    given = {
        "kata": f"k{number}_mail",
        "title": "One mail",
        "light": light,
        "file": f"katas/k{number}_mail/app.py",
        "specs": list(specs),
    }
    return KataResult(**(given | more))


def graded(*katas: KataResult, name: str = "ada") -> Results:
    return Results(submissions=[SubmissionResult(name=name, seconds=1.25, katas=list(katas))])


def hostile(text: str) -> Results:
    name = re.sub(r"[\ud800-\udfff]", "?", text)
    specs = [
        SpecResult(
            id=f"tests/test_k01_mail.py::test_{name}",
            title=text,
            passed=passed,
            points=1,
            message=text,
            timeline=[text, text],
            printed=text,
        )
        for passed in (True, False)
    ]
    texts: dict[str, Any] = {"title": text, "file": text, "cause": text, "evidence": [text] * 30}
    return graded(
        kata(*specs, **texts),
        kata(*specs, number="02", **texts, state=State.TAMPERED),
        name=name,
    )


GREEN = graded(kata(spec("the mail leaves"), spec("another")), kata(spec("one"), number="02"))
MIXED = graded(
    kata(spec("the mail leaves"), spec("another", passed=False, timeline=["> mail", "  response"])),
    kata(spec("one", passed=False, message="does not load"), number="02", light="amber"),
    kata(spec("two", points=3.34), spec("three", passed=False, points=3.33), number="12"),
)
TAMPERED = graded(
    kata(spec("the mail leaves"), state=State.TAMPERED, cause="it wrote", evidence=["app.py:9"]),
    kata(spec("one"), number="02"),
)
REVIEW = graded(
    kata(
        spec("the mail leaves"),
        spec("another", False),
        state=State.REVIEW,
        cause="app.py:9 replaced json.loads",
        evidence=["app.py:9 replaced json.loads"],
    ),
)
UNGRADABLE = graded(
    kata(spec("the mail leaves", False), state=State.UNGRADABLE, cause="the disk\nis full"),
    kata(spec("one"), number="02"),
)
UNGRADABLE_EMPTY = graded(kata(state=State.UNGRADABLE, cause="no worker", light="grey"))
AMBER = graded(
    kata(*[spec(name, False, message="does not load") for name in ("a", "b")], light="amber")
)
NO_KATAS = graded()
NO_SPECS = graded(kata(number="03"))
UNNAMED = graded(
    kata(
        SpecResult(id="no such id", title="", passed=False, points=0),
        kata="mail",
        state=State.TAMPERED,
    )
)
SILENT = graded(kata(spec("a", False, message=" "), spec("b")))
TAMPERED_AMBER = graded(kata(spec("a", False), light="amber", state=State.TAMPERED))
SEVERAL = Results(
    submissions=[
        *GREEN.submissions,
        SubmissionResult(name="bob", seconds=0.5, katas=[kata(spec("one", False), number="03")]),
        *graded(kata(state=State.UNGRADABLE, cause="no worker"), name="eve").submissions,
        SubmissionResult(name="mal", katas=TAMPERED.submissions[0].katas),
    ]
)
EMPTY = Results()
SAMPLES = {
    "green": GREEN,
    "mixed": MIXED,
    "tampered": TAMPERED,
    "review": REVIEW,
    "ungradable": UNGRADABLE,
    "ungradable_empty": UNGRADABLE_EMPTY,
    "amber": AMBER,
    "no_katas": NO_KATAS,
    "no_specs": NO_SPECS,
    "unnamed": UNNAMED,
    "silent": SILENT,
    "tampered_amber": TAMPERED_AMBER,
    **{f"hostile_{n}": hostile(text) for n, text in enumerate(HOSTILE)},
}
EACH_SAMPLE = pytest.mark.parametrize("sample", SAMPLES)
EACH_HOSTILE = pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
UNGRADABLES = pytest.mark.parametrize("results", [UNGRADABLE, UNGRADABLE_EMPTY], ids=["one", "all"])


@pytest.fixture
def context(tmp_path) -> Context:
    specs = tmp_path / "tests"
    specs.mkdir()
    (specs / "test_k01_mail.py").write_text(SOURCE, encoding="utf-8")
    return Context(tmp_path, ENVIRONMENT)


def document(format_name: str, results: Results, context: Context) -> dict[str, Any]:
    """What the tool will read, proven to keep the rules of its format."""
    text = SINGLE[format_name](results, context)
    if format_name == "github-classroom":
        text = base64.b64decode(text, validate=True).decode("utf-8")
    found: dict[str, Any] = json.loads(text)
    check(format_name, found)
    return found


def check(format_name: str, found: dict[str, Any]) -> None:
    schema = SCHEMAS[format_name.replace("-", "_")]
    Draft202012Validator(schema).validate(found)
    assert found.keys() <= schema["properties"].keys()
    known = schema["$defs"]["test"]["properties"].keys()
    for test in found.get("tests", []):
        assert test.keys() - {"tampered", "review", "evidence"} <= known
    if format_name == "classroom50":
        for each in [found, *found["tests"]]:
            assert each["score"] <= each["max-score"]
        for key in ("score", "max-score"):
            assert found[key] == sum(test[key] for test in found["tests"])


def commands_of(text: str) -> list[dict[str, str]]:
    """The workflow commands, read as GitHub's runner reads them; each line has to be one."""
    commands = []
    for line in actions.split(text)[0].splitlines():
        match = re.fullmatch(r"::(?:error|warning) ([^:]*)::(.*)", line)
        assert match, line
        given = dict(part.split("=", 1) for part in match[1].split(","))
        commands.append(
            {key: unquote(value) for key, value in (given | {"message": match[2]}).items()}
        )
    return commands


class Page(HTMLParser):
    """The tags and the texts of a page."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[str] = []
        self.codes: list[str] = []
        self._in_code = False
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [name for name, _ in attrs]
        if tag == "code":
            self._in_code = True
            self.codes.append("")
        elif tag == "br" and self._in_code:
            self.codes[-1] += "\n"

    def handle_endtag(self, tag):
        if tag == "code":
            self._in_code = False

    def handle_data(self, data):
        if self._in_code:
            self.codes[-1] += data


def summary_of(text: str) -> str:
    return actions.split(text)[1]


def cases_of(text: str) -> dict[str, ElementTree.Element]:
    return {str(case.get("name")): case for case in ElementTree.fromstring(text).iter("testcase")}


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# Rules of all formats


@pytest.mark.parametrize(
    ("format_name", "sample"),
    [
        (format_name, sample)
        for format_name in SINGLE
        for sample in SAMPLES
        if not (format_name == "classroom50" and sample.startswith("ungradable"))
    ],
)
def test_a_document_keeps_the_rules_of_its_format(format_name, sample, context):
    """A tool that rejects the document shows a learner nothing at all."""
    assert document(format_name, SAMPLES[sample], context)


@pytest.mark.parametrize("sample", [*SAMPLES, "several", "empty"])
@pytest.mark.parametrize("format_name", EVERY)
def test_every_document_can_be_written_as_utf_8(format_name, sample, context):
    """A lone surrogate in what a learner printed must not cost the class its results."""
    results = {"several": SEVERAL, "empty": EMPTY, **SAMPLES}[sample]

    try:
        text = EVERY[format_name](results, context)
    except FormatError as error:
        text = str(error)

    assert text.encode("utf-8")


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize("format_name", SINGLE)
def test_a_format_for_one_submission_says_so_of_none_and_of_several(format_name, count, context):
    """Grades of one learner in the name of another are worse than none."""
    assert format_name in formats.SINGLE
    with pytest.raises(FormatError, match=f"{format_name} holds one .* there are {count}: .*csv"):
        SINGLE[format_name](SEVERAL if count else EMPTY, context)


BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "exercism_version": ("exercism", lambda d: d.update(version=2)),
    "exercism_status": ("exercism", lambda d: d.update(status="passed")),
    "exercism_error_needs_message": ("exercism", lambda d: d.update(status="error", tests=[])),
    "exercism_error_has_no_tests": ("exercism", lambda d: d.update(status="error", message="x")),
    "exercism_long_message": ("exercism", lambda d: d.update(message="x" * 65_536)),
    "exercism_fail_needs_tests": ("exercism", lambda d: d.pop("tests")),
    "exercism_pass_with_a_failure": ("exercism", lambda d: d.update(status="pass")),
    "exercism_fail_without_one": ("exercism", lambda d: d["tests"].__delitem__(slice(1, None))),
    "exercism_test_needs_message": ("exercism", lambda d: d["tests"][1].pop("message")),
    "exercism_test_status": ("exercism", lambda d: d["tests"][1].update(status="failed")),
    "exercism_test_needs_name": ("exercism", lambda d: d["tests"][0].pop("name")),
    "exercism_test_needs_code": ("exercism", lambda d: d["tests"][0].pop("test_code")),
    "exercism_task_id": ("exercism", lambda d: d["tests"][0].update(task_id="1")),
    "exercism_long_output": ("exercism", lambda d: d["tests"][0].update(output="x" * 501)),
    "exercism_long_test": ("exercism", lambda d: d["tests"][1].update(message="x" * 65_536)),
    "gradescope_score": ("gradescope", lambda d: d.update(score="1")),
    "gradescope_no_score": (
        "gradescope",
        lambda d: (d.pop("score"), d["tests"][0].pop("score")),
    ),
    "gradescope_format": ("gradescope", lambda d: d.update(output_format="plain")),
    "gradescope_visibility": ("gradescope", lambda d: d.update(visibility="secret")),
    "gradescope_status": ("gradescope", lambda d: d["tests"][0].update(status="error")),
    "gradescope_number": ("gradescope", lambda d: d["tests"][0].update(number=1.1)),
    "gradescope_tags": ("gradescope", lambda d: d["tests"][0].update(tags="k01")),
    "gradescope_unknown_key": ("gradescope", lambda d: d.update(scores=1)),
    "gradescope_unknown_test_key": ("gradescope", lambda d: d["tests"][0].update(points=1)),
    "classroom50_schema": ("classroom50", lambda d: d.update(schema="v1")),
    "classroom50_other_key": ("classroom50", lambda d: d.update(message="x")),
    "classroom50_missing": ("classroom50", lambda d: d.pop("review")),
    "classroom50_type": ("classroom50", lambda d: d.update(assignment_type="pair")),
    "classroom50_tag": ("classroom50", lambda d: d.update(submission="v1")),
    "classroom50_datetime": ("classroom50", lambda d: d.update(datetime="2026-11-03 09:00:00")),
    "classroom50_fraction": ("classroom50", lambda d: d["tests"][2].update(score=3.34)),
    "classroom50_more_than_all": ("classroom50", lambda d: d["tests"][0].update(score=6)),
    "classroom50_sum": ("classroom50", lambda d: d.update({"max-score": 99})),
    "classroom50_passed": ("classroom50", lambda d: d["tests"][0].update(passed=1)),
    "github_version": ("github-classroom", lambda d: d.update(version=1)),
    "github_status": ("github-classroom", lambda d: d.update(status="passed")),
    "github_error_needs_message": ("github-classroom", lambda d: d.update(status="error")),
    "github_max_score": ("github-classroom", lambda d: d.update(max_score=0)),
    "github_fraction": ("github-classroom", lambda d: d.update(max_score=14.5)),
    "github_no_tests": ("github-classroom", lambda d: d.update(tests=[])),
    "github_no_score": ("github-classroom", lambda d: d["tests"][0].pop("score")),
    "github_null_score": ("github-classroom", lambda d: d["tests"][0].update(score=None)),
    "github_line": ("github-classroom", lambda d: d["tests"][0].update(line_no=-1)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_noticed(name, context):
    """A schema that lets everything through proves nothing."""
    format_name, breaking = BROKEN[name]
    whole = document(format_name, MIXED, context)
    broken = copy.deepcopy(whole)
    breaking(broken)

    assert broken != whole
    with pytest.raises((ValidationError, AssertionError)):
        check(format_name, broken)


# Exercism


def without_its_lesson() -> Results:
    """A kata with nine of ten specs green, and the essential one red."""
    specs = [
        SpecResult(
            id=f"tests/t.py::test_{n}", title=f"{n}", passed=n > 0, points=1, essential=not n
        )
        for n in range(10)
    ]
    kata = KataResult(kata="k01_log", title="Log", light="red", file="app.py", specs=specs)
    return Results(submissions=[SubmissionResult(name="ada", katas=[kata])])


def test_the_specs_of_a_kata_without_its_lesson_add_up_to_a_quarter(context):
    """A website that sums up the specs shows the same score as the grader."""
    payload = json.loads(base64.b64decode(github_classroom.emit(without_its_lesson(), context)))
    document = json.loads(gradescope.emit(without_its_lesson(), context))

    assert document["score"] == 2.5
    for tests in (payload["tests"], document["tests"]):
        assert round(sum(test["score"] for test in tests), 2) == 2.5


def test_the_summary_says_that_katas_are_not_counted(context):
    """An empty cell could be a kata that was lost."""
    results = without_its_lesson()
    said = "An empty cell: the kata is not begun, and does not count."
    assert said not in actions.emit(results, context)

    results.submissions[0].not_begun = ["k02_mail"]

    assert said in actions.emit(results, context)


@pytest.mark.parametrize("emitter", [gradescope, actions, html])
def test_a_kata_without_its_lesson_says_why_points_are_missing(emitter, context):
    """Nine green specs and 2.5 points need a reason."""
    assert "quarter of the points" in " ".join(
        re.sub(r"&#\d+;", "", emitter.emit(without_its_lesson(), context)).split()
    )


def test_exercism_passes_only_where_all_specs_do(context):
    """One green kata is no pass while another is red."""
    assert document("exercism", GREEN, context)["status"] == "pass"
    assert document("exercism", MIXED, context)["status"] == "fail"


def test_exercism_shows_each_spec_in_order_with_its_task(context):
    """The website groups tests by task, and shows them as they come."""
    tests = document("exercism", MIXED, context)["tests"]

    assert [(test["task_id"], test["name"], test["status"]) for test in tests] == [
        (1, "the mail leaves", "pass"),
        (1, "another", "fail"),
        (2, "one", "error"),
        (12, "two", "pass"),
        (12, "three", "fail"),
    ]


def test_exercism_shows_the_reason_with_the_timeline(context):
    """The timeline is the proof of a failure."""
    (test,) = [t for t in document("exercism", MIXED, context)["tests"] if t["name"] == "another"]

    assert test["message"].startswith("the mail came\nbefore the response")
    assert test["message"].endswith("timeline\n  > mail\n    response")


def test_exercism_shows_the_source_of_the_spec(context):
    """What a test does is its own best explanation, also of a test with several cases."""
    specs = [
        SpecResult(id=f"tests/test_k01_mail.py::{name}", title="x", passed=True, points=1)
        for name in ("test_the_mail_leaves[1]", "test_another", "test_another[\n]", "test_none")
    ]

    tests = document("exercism", graded(kata(*specs)), context)["tests"]

    another = "def test_another():\n    pass"
    assert [test["test_code"] for test in tests] == [MAIL, another, another, ""]


@pytest.mark.parametrize(
    "id",
    [
        "tests/test_k99_none.py::test_another",
        "tests/broken.py::test_another",
        "tests/../secret.py::test_another",
        "tests/../../secret.py::test_another",
        "secret.py::test_another",
        "test_another",
    ],
)
def test_a_source_that_is_not_there_is_empty(id, context):
    """Results may be shown far from the checkout, and must not lead out of it."""
    (context.root / "tests" / "broken.py").write_text("def test_another(:")
    (context.root / "secret.py").write_text("def test_another():\n    secret")
    result = SpecResult(id=id, title="x", passed=True, points=1)

    (test,) = document("exercism", graded(kata(result)), context)["tests"]

    assert test["test_code"] == ""


def test_exercism_reads_a_spec_file_once(context, monkeypatch):
    """Sixty specs are no reason to parse nine files sixty times."""
    read: list[Path] = []
    read_text = Path.read_text

    def noted(path: Path, **options: Any) -> str:
        read.append(path)
        return read_text(path, **options)

    monkeypatch.setattr(Path, "read_text", noted)

    exercism.emit(MIXED, context)

    assert [path.name for path in read] == ["test_k01_mail.py"]


def test_exercism_cuts_what_was_printed_and_says_so(context):
    """500 characters are the website's limit, and half a line looks like a bug in the solution."""
    specs = [spec(name, printed="x" * length) for name, length in (("a", 500), ("b", 501))]

    whole, cut = document("exercism", graded(kata(*specs)), context)["tests"]

    assert whole["output"] == "x" * 500
    assert len(cut["output"]) == 500
    assert re.fullmatch(r"x{400,}\nOutput was truncated.*", cut["output"])


def test_exercism_cuts_a_message_that_is_too_long(context):
    """The website's column holds no more."""
    results = graded(kata(spec("a", False, message="x" * 70_000), spec("b")))

    (test, _) = document("exercism", results, context)["tests"]

    assert len(test["message"]) == 65_535
    assert test["message"].endswith("… (cut)")


def test_exercism_has_no_output_where_nothing_was_printed(context):
    """An empty box on the website asks what should be in it."""
    assert "output" not in document("exercism", GREEN, context)["tests"][0]


def test_exercism_says_once_why_nothing_ran(context):
    """Where no spec ran there are no tests to show, only the one line to mend."""
    found = document("exercism", AMBER, context)

    assert found == {"version": 3, "status": "error", "message": "k01: does not load"}


@pytest.mark.parametrize("results", [NO_KATAS, NO_SPECS], ids=["katas", "specs"])
@pytest.mark.parametrize("format_name", ["exercism", "github-classroom"])
def test_nothing_to_run_is_no_pass(format_name, results, context):
    """All of nothing passed: that must not look like success."""
    assert document(format_name, results, context)["status"] == "error"


@UNGRADABLES
def test_exercism_shows_an_error_where_it_could_not_be_graded(results, context):
    """The fault of a machine must not read like a learner's."""
    found = document("exercism", results, context)

    assert found["status"] == "error"
    assert "not your fault" in found["message"]
    assert results.submissions[0].katas[0].cause.split()[-1] in found["message"]
    assert "tests" not in found


def test_exercism_fails_a_spec_of_a_tampered_kata_and_says_why(context):
    """A pass that was made by hand is no pass."""
    first, second = document("exercism", TAMPERED, context)["tests"]

    assert first["status"] == "fail"
    assert "tampered" in first["message"]
    assert "it wrote" in first["message"]
    assert second["status"] == "pass"


def test_exercism_fails_a_tampered_kata_that_does_not_run(context):
    """A solution that breaks to hide its actions is not reported as one that never ran."""
    found = document("exercism", TAMPERED_AMBER, context)

    assert (found["status"], found["tests"][0]["status"]) == ("fail", "fail")


# Gradescope


def test_gradescope_gives_the_points_of_each_spec(context):
    """The sum that a student sees must be the score that a teacher gets."""
    found = document("gradescope", MIXED, context)

    assert found["score"] == 5.84
    assert found["score"] == pytest.approx(sum(test["score"] for test in found["tests"]))
    assert [(t["number"], t["score"], t["max_score"], t["status"]) for t in found["tests"]] == [
        ("1.1", 2.5, 2.5, "passed"),
        ("1.2", 0, 2.5, "failed"),
        ("2.1", 0, 2.5, "failed"),
        ("12.1", 3.34, 3.34, "passed"),
        ("12.2", 0, 3.33, "failed"),
    ]
    assert found["execution_time"] == 1.25


def test_gradescope_shows_sentences_as_text_that_is_not_escaped(context):
    """What is text there needs no escapes, which would be shown as they are."""
    results = graded(kata(spec("a < b & *c*", False, message="<b>&", printed="hello")))

    found = document("gradescope", results, context)
    (test,) = found["tests"]

    assert test["name"] == "a < b & *c*"
    assert test["output"] == "<b>&\n\nprinted\nhello"
    assert test["tags"] == ["k01"]
    assert {found[f"{kind}output_format"] for kind in ("", "test_")} == {"text"}
    assert found["test_name_format"] == "text"


def test_gradescope_shows_evidence_to_the_teacher_alone_and_the_total_to_all(context):
    """A hidden test would hide the total, so the evidence must lie elsewhere."""
    found = document("gradescope", TAMPERED, context)

    assert found["score"] == 2.5
    assert [(test["score"], test["status"]) for test in found["tests"]] == [
        (0, "failed"),
        (2.5, "passed"),
    ]
    assert "tampered" in found["tests"][0]["output"]
    assert "it wrote" in found["output"]
    assert found["extra_data"]["tampered"][0]["evidence"] == ["app.py:9"]
    shown = json.dumps({**found, "extra_data": None})
    assert "app.py:9" not in shown
    assert "visibility" not in shown


@UNGRADABLES
def test_gradescope_says_loudly_that_it_could_not_be_graded(results, context):
    """It has no word for an error, and a silent zero is a grade."""
    found = document("gradescope", results, context)

    assert found["tests"] == []
    assert found["score"] == 0
    assert found["output"].startswith("COULD NOT BE GRADED")
    assert "not the student's fault" in found["output"]
    assert results.submissions[0].katas[0].cause.split()[-1] in found["output"]


# Classroom 50


def test_classroom50_has_a_test_a_kata_in_whole_points(context):
    """Its scores are whole numbers, and only a complete solution gets all of them."""
    found = document("classroom50", MIXED, context)

    assert [tuple(test.values()) for test in found["tests"]] == [
        ("k01 One mail", False, 2, 5),
        ("k02 One mail", False, 0, 2),
        ("k12 One mail", False, 3, 6),
    ]
    assert (found["score"], found["max-score"]) == (5, 13)
    assert [test["passed"] for test in document("classroom50", GREEN, context)["tests"]] == [
        True,
        True,
    ]


def test_classroom50_takes_the_rest_from_its_runner(context):
    """A result that names another assignment is thrown away."""
    given = {"OWNER": "team-a", "ASSIGNMENT_TYPE": "group", "DATETIME": "2026-11-03T09:00:00Z"}

    found = document("classroom50", GREEN, Context(context.root, ENVIRONMENT | given))

    assert {key: value for key, value in found.items() if isinstance(value, str)} == {
        "schema": "classroom50/result/v1",
        "classroom": "dojo",
        "assignment": "katas",
        "assignment_type": "group",
        "owner": "team-a",
        "submission": "submit/2026-11-03T09-00-00Z-abc1234",
        "commit": "https://example.com/commit",
        "release": "https://example.com/release",
        "review": "https://example.com/review",
        "datetime": "2026-11-03T09:00:00Z",
    }
    assert found["submitted_by"] == {"username": "ada"}


def test_classroom50_knows_who_owns_what_one_person_does(context):
    """The runner stamps owner and type afterwards; until then they must be there all the same."""
    found = document("classroom50", GREEN, context)

    assert (found["owner"], found["assignment_type"]) == ("ada", "individual")


@pytest.mark.parametrize("given", ["", "yesterday", "2026-13-03T09:00:00Z", "2026-11-03T09:00:00"])
def test_classroom50_is_dated_now_where_the_date_is_not_one(given, context):
    """A date that its collector cannot read loses the submission."""
    context = replace(context, environment=ENVIRONMENT | {"DATETIME": given})

    found = document("classroom50", GREEN, context)["datetime"]

    age = datetime.now(UTC) - datetime.fromisoformat(found)
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)


@pytest.mark.parametrize("value", [None, " "])
@pytest.mark.parametrize("name", ENVIRONMENT)
def test_classroom50_names_the_variable_that_is_missing(name, value, context):
    """The teacher must know what the autograder lacks."""
    environment = {key: given for key, given in ENVIRONMENT.items() if key != name}
    if value is not None:
        environment[name] = value

    with pytest.raises(FormatError, match=rf"\b{name}\b"):
        classroom50.emit(GREEN, Context(context.root, environment))


@pytest.mark.parametrize(("name", "value"), [("ASSIGNMENT_TYPE", "duo"), ("SUBMISSION_TAG", "v1")])
def test_classroom50_names_the_variable_that_is_wrong(name, value, context):
    """Its collector would throw the result away silently."""
    with pytest.raises(FormatError, match=f"{name} is '{value}'"):
        classroom50.emit(GREEN, Context(context.root, ENVIRONMENT | {name: value}))


def test_classroom50_gives_nothing_to_a_tampered_kata_and_keeps_the_evidence(context):
    """A teacher must be able to explain it."""
    first, second = document("classroom50", TAMPERED, context)["tests"]

    assert (first["passed"], first["score"], first["max-score"]) == (False, 0, 2)
    assert (first["tampered"], first["evidence"]) == ("it wrote", ["app.py:9"])
    assert second["passed"] is True
    assert "evidence" not in second


def test_classroom50_passes_no_kata_without_specs(context):
    """All of nothing passed: that must not look like success."""
    assert document("classroom50", NO_SPECS, context)["tests"][0]["passed"] is False


@UNGRADABLES
def test_classroom50_has_no_result_where_it_could_not_be_graded(results, context):
    """Its runner makes an error of a grader that fails, and a grade of any result."""
    cause = results.submissions[0].katas[0].cause.split()[-1]

    with pytest.raises(FormatError, match=f"could not be graded.*{cause}"):
        classroom50.emit(results, context)


# GitHub Classroom


def test_github_classroom_points_at_the_learners_line(context):
    """The annotation belongs where the mistake is."""
    found = document("github-classroom", MIXED, context)

    assert found["status"] == "fail"
    assert found["max_score"] == 15
    assert [(t["filename"], t["line_no"], t["status"]) for t in found["tests"]] == [
        ("katas/k01_mail/app.py", 0, "pass"),
        ("katas/k01_mail/app.py", 7, "fail"),
        ("katas/k02_mail/app.py", 7, "error"),
        ("katas/k12_mail/app.py", 0, "pass"),
        ("katas/k12_mail/app.py", 7, "fail"),
    ]
    assert sum(test["score"] for test in found["tests"]) == pytest.approx(5.84)
    assert found["tests"][0]["test_code"] == MAIL
    assert found["tests"][0]["message"] == ""


def test_github_classroom_is_one_line_of_base64(context):
    """A step's output with a newline in it is cut there."""
    text = github_classroom.emit(MIXED, context)

    assert re.fullmatch(r"[A-Za-z0-9+/]+=*", text)
    assert b'"version":3,"status"' in base64.b64decode(text)
    assert document("github-classroom", GREEN, context)["status"] == "pass"


def test_github_classroom_fits_into_an_environment_variable(context):
    """Its reporter is handed the payload in one, and is not even started when it is too large."""
    loud = "é" * 4_000
    specs = [spec(f"{n}", False, message=loud, printed=loud) for n in range(60)]

    text = github_classroom.emit(graded(kata(*specs)), context)
    found = document("github-classroom", graded(kata(*specs)), context)

    assert len(text) < 128 * 1024
    assert len(found["tests"]) == 60
    assert all(re.fullmatch("é+… \\(cut\\)", test["message"]) for test in found["tests"])
    with pytest.raises(FormatError, match="too many specs"):
        github_classroom.emit(graded(kata(*specs * 20)), context)


@UNGRADABLES
def test_github_classroom_shows_one_error_where_it_could_not_be_graded(results, context):
    """Its tables have a row a test: without one, no person would see the error."""
    found = document("github-classroom", results, context)
    (test,) = found["tests"]

    assert (found["status"], test["status"], test["score"]) == ("error", "error", 0)
    assert "not your fault" in found["message"]
    assert test["message"] == found["message"]
    assert found["max_score"] == (5 if results is UNGRADABLE else 1)


def test_github_classroom_fails_a_tampered_kata(context):
    """A pass that was made by hand is no pass."""
    first, second = document("github-classroom", TAMPERED, context)["tests"]

    assert (first["status"], first["score"]) == ("fail", 0)
    assert "it wrote" in first["message"]
    assert (second["status"], second["score"]) == ("pass", 2.5)


# GitHub Actions


def test_actions_points_at_each_failed_spec(context):
    """An annotation is seen beside the line that it is about."""
    commands = commands_of(actions.emit(MIXED, context))

    assert commands[0] == {
        "file": "katas/k01_mail/app.py",
        "line": "7",
        "title": "k01: another",
        "message": "the mail came\nbefore the response",
    }
    assert [command["title"] for command in commands] == ["k01: another", "k02: one", "k12: three"]


def test_actions_points_at_the_whole_file_where_no_line_is_known(context):
    """Line 0 is no line."""
    (command,) = commands_of(actions.emit(graded(kata(spec("a", False, line=0))), context))

    assert command["file"] == "katas/k01_mail/app.py"
    assert "line" not in command


def test_actions_points_at_no_file_where_there_are_several_submissions(context):
    """Their files lie elsewhere: the checkout's own would be blamed."""
    commands = commands_of(actions.emit(SEVERAL, context))

    assert [command["title"] for command in commands] == [
        "eve: k01 could not be graded",
        "mal: k01 gets no points",
        "bob: k03: one",
    ]
    assert all("file" not in command and "line" not in command for command in commands)


@EACH_HOSTILE
def test_a_solution_cannot_give_commands_to_github(text, context):
    """A learner who prints a command must not have it carried out with the course's token."""
    for results in (hostile(text), Results(submissions=hostile(text).submissions * 2)):
        whole = actions.emit(results, context)

        assert len(commands_of(whole)) == len(results.submissions) * 2
        assert whole.splitlines().count(actions.SUMMARY) == 1
        for line in summary_of(whole).splitlines():
            assert not line.lstrip().startswith("::")
            assert "##[" not in line


def test_actions_escapes_what_has_a_meaning_in_a_command(context):
    """A colon in a title ends it, and the rest of it would be the message."""
    results = graded(kata(spec("100%: a, b", False, message="5%\r\n: c,"), file="a:b,c%.py"))

    first = actions.emit(results, context).splitlines()[0]

    assert first == (
        "::error file=a%3Ab%2Cc%25.py,line=7,title=k01%3A 100%25%3A a%2C b::5%25%0A: c,"
    )


def test_actions_shows_ten_annotations_and_says_how_many_are_left(context):
    """GitHub drops the eleventh without a word."""
    specs = [spec(f"number {n}", False) for n in range(12)]
    ten = commands_of(actions.emit(graded(kata(*specs[:10])), context))
    twelve = commands_of(actions.emit(graded(kata(*specs)), context))

    assert [command["title"] for command in ten] == [f"k01: number {n}" for n in range(10)]
    assert len(twelve) == 10
    assert twelve[9]["title"] == "3 more, in the summary"


def test_actions_cuts_a_message_as_github_would(context):
    """GitHub cuts at 4,096 characters without a word."""
    results = graded(kata(spec("a", False, message="x" * 5_000)))

    (command,) = commands_of(actions.emit(results, context))

    assert len(command["message"]) <= 4_096
    assert command["message"].endswith("… (cut)")


def test_actions_shows_first_what_could_not_be_graded(context):
    """The teacher has to act on that, before any learner does."""
    specs = [spec(f"number {n}", False) for n in range(12)]
    broken = kata(number="09", state=State.UNGRADABLE, cause="no worker")

    commands = commands_of(actions.emit(graded(kata(*specs), broken), context))

    assert commands[0]["title"] == "k09 could not be graded"
    assert "no worker" in commands[0]["message"]
    assert "file" not in commands[0]


def test_actions_shows_a_row_a_submission_and_a_column_a_kata(context):
    """One look at the table tells a teacher who is where."""
    rows = [line for line in summary_of(actions.emit(SEVERAL, context)).splitlines() if "|" in line]

    assert rows[0] == (
        "| Submission | Score | <code>k01</code> | <code>k02</code> | <code>k03</code> |"
    )
    assert rows[2:] == [
        "| <code>ada</code> | 7.5 / 7.5 | 🟢 5 / 5 | 🟢 2.5 / 2.5 |  |",
        "| <code>bob</code> | 0 / 2.5 |  |  | 🔴 0 / 2.5 |",
        "| <code>eve</code> | could not be graded | ⚠️ could not be graded |  |  |",
        "| <code>mal</code> | 2.5 / 5 | 🚩 0 / 2.5 | 🟢 2.5 / 2.5 |  |",
    ]


def test_actions_lists_what_failed_below_the_table(context):
    """The table says how much, the list says what."""
    page = Page(summary_of(actions.emit(MIXED, context)))
    tampered = Page(summary_of(actions.emit(TAMPERED, context)))

    assert {"table", "details", "summary", "li"} <= page.tags
    assert "another" in page.codes
    assert "the mail came\nbefore the response" in page.codes
    assert "the mail leaves" not in page.codes
    assert {"app.py:9", "the mail leaves"} <= set(tampered.codes)
    assert any("it wrote" in code for code in tampered.codes)


def test_actions_keeps_a_message_of_several_paragraphs_together(context):
    """A blank line ends a list in Markdown, and the rest would belong to no item."""
    results = graded(kata(spec("a", False, message="one\n\n    two")))

    assert "one\n\n    two" in Page(summary_of(actions.emit(results, context))).codes


def test_actions_shows_some_evidence_and_says_how_much_more_there_is(context):
    """One noisy solution must not push all others out of the summary."""
    lines = [f"line {n}" for n in range(30)]
    results = graded(kata(spec("a"), state=State.TAMPERED, evidence=lines))

    text = summary_of(actions.emit(results, context))

    assert [line for line in Page(text).codes if line.startswith("line ")] == lines[:20]
    assert "- 10 more lines of evidence were cut\n" in text


@EACH_HOSTILE
def test_a_solution_cannot_add_markup_to_the_summary(text, context):
    """A name is a name: no link, no picture, no mention, no other table."""
    page = Page(summary_of(actions.emit(hostile(text), context)))

    allowed = {"table", "thead", "tbody", "tr", "th", "td", "details", "summary", "ul", "li"}
    assert page.tags <= allowed | {"code", "br", "p"}
    assert page.attributes == []
    if "\n" not in text and len(text) < 200 and text.isprintable():
        assert text.strip() in page.codes


def test_actions_keeps_a_summary_below_a_mebibyte_and_says_what_was_cut(context):
    """GitHub refuses all of a summary that is too large."""
    long = "|" * 5_000
    many = [
        SubmissionResult(name=f"{n} {long}", katas=[kata(spec("a", False, message=long))])
        for n in range(2_000)
    ]

    text = summary_of(actions.emit(Results(submissions=many), context))

    assert 500_000 < len(text.encode()) < 1_048_576
    cut = re.findall(r"^Cut here.*: (\d+) more ([\w ]+)\.$", text, re.MULTILINE)
    kept = text.count("\n| ") - 1, text.count("<details>")
    assert [(int(left) + shown, what) for (left, what), shown in zip(cut, kept, strict=True)] == [
        (2_000, "submissions"),
        (2_000, "katas that are not green"),
    ]


def test_actions_says_that_there_was_nothing_to_grade(context):
    """An empty table would leave open whether anything ran."""
    assert actions.emit(EMPTY, context) == f"{actions.SUMMARY}\nNo submissions were graded.\n"


@pytest.mark.parametrize("format_name", ["csv", "actions"])
def test_columns_are_in_the_order_of_the_katas(format_name, context):
    """The order of submissions must not change the columns of a gradebook."""
    numbers = ["03", "07", "01", "05", "02"]
    submissions = [
        SubmissionResult(name=number, katas=[kata(spec("a"), number=number)]) for number in numbers
    ]

    text = MANY[format_name](Results(submissions=submissions), context)

    (head,) = [line for line in text.splitlines() if line.lower().startswith(("sub", "| sub"))]
    assert re.findall(r"k(\d\d)", head) == sorted(numbers)


# CSV


def test_csv_has_a_row_a_submission_and_a_column_a_kata(context):
    """A gradebook is imported by the names of its columns."""
    assert csv_gradebook.emit(SEVERAL, context) == (
        "submission,score,max_score,percent,state,seconds,k01_mail,k02_mail,k03_mail\n"
        "ada,7.5,7.5,100,graded,1.25,5,2.5,\n"
        "bob,0,2.5,0,graded,0.5,,,0\n"
        "eve,,0,,ungradable,1.25,,,\n"
        "mal,2.5,5,50,tampered,0,0,2.5,\n"
    )


def test_csv_leaves_the_score_empty_where_it_could_not_be_graded(context):
    """A zero in a gradebook would be a grade."""
    (row,) = rows_of(csv_gradebook.emit(UNGRADABLE, context))

    assert (row["score"], row["percent"], row["state"]) == ("", "", "ungradable")
    assert (row["k01_mail"], row["k02_mail"], row["max_score"]) == ("", "2.5", "5")


def test_csv_of_nothing_is_its_header(context):
    """A reader of the file must find its columns, if no rows."""
    assert (
        csv_gradebook.emit(EMPTY, context) == "submission,score,max_score,percent,state,seconds\n"
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_holds_no_formulas(start, context):
    """The teacher's spreadsheet must not run what a learner named a folder."""
    results = graded(kata(spec("a"), kata=f"{start}1+1"), name=f"{start}1+1")

    rows = list(csv.reader(io.StringIO(csv_gradebook.emit(results, context), newline="")))

    assert rows[0][6] == rows[1][0] == "'" + start.replace("\r", "\n") + "1+1"


@EACH_HOSTILE
def test_csv_reads_back_as_one_row_whatever_the_name_is(text, context):
    """A newline in a name must not make two learners of one."""
    results = hostile(f"a{text},\"'")

    (row,) = rows_of(csv_gradebook.emit(results, context))

    assert row["submission"].endswith(",\"'")
    assert row["state"] == "tampered"


# JUnit


def child(case: ElementTree.Element, tag: str) -> ElementTree.Element:
    """The element of that name in a case; it must be there."""
    found = case.find(tag)
    assert found is not None
    return found


def test_junit_has_a_suite_a_submission_and_a_case_a_spec(context):
    """GitLab and Jenkins count what is in the suites, and show what their heads say."""
    root = ElementTree.fromstring(junit.emit(SEVERAL, context))

    assert root.tag == "testsuites"
    assert [
        tuple(suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "time"))
        for suite in root
    ] == [
        ("ada", "3", "0", "0", "0", "1.250"),
        ("bob", "1", "1", "0", "0", "0.500"),
        ("eve", "1", "0", "1", "0", "1.250"),
        ("mal", "2", "1", "0", "0", "0.000"),
    ]
    assert {suite.tag for suite in root} == {"testsuite"}


@EACH_SAMPLE
def test_junit_is_made_of_what_pytest_writes_and_counts_it_right(sample, context):
    """A reader that knows pytest's files must find nothing new."""
    text = junit.emit(SAMPLES[sample], context)
    (suite,) = ElementTree.fromstring(text)

    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n')
    assert suite.get("tests") == str(len(suite))
    for kind, tag in (("failures", "failure"), ("errors", "error")):
        assert suite.get(kind) == str(len(suite.findall(f"testcase/{tag}")))
    for case in suite:
        assert (case.tag, [*case.attrib]) == ("testcase", ["classname", "name", "time"])
        assert all(case.attrib.values())
        assert {part.tag for part in case} <= {"failure", "error", "system-out", "system-err"}
        assert len([part for part in case if not part.tag.startswith("system-")]) <= 1
        for part in case:
            assert part.text
            assert [*part.attrib] == ([] if part.tag.startswith("system-") else ["message"])


def test_junit_names_a_spec_as_pytest_does(context):
    """The history of a test hangs on its names."""
    result = SpecResult(
        id="tests/test_k01_mail.py::test_the_mail[a::b/c.py]",
        title="x",
        passed=False,
        points=1,
        message="first\nsecond",
        timeline=["> mail"],
        printed="hello",
        seconds=0.1234,
    )

    ((name, case),) = cases_of(junit.emit(graded(kata(result)), context)).items()

    assert name == "test_the_mail[a::b/c.py]"
    assert (case.get("classname"), case.get("time")) == ("tests.test_k01_mail", "0.123")
    failure = child(case, "failure")
    assert failure.get("message") == "first"
    assert failure.text == "first\nsecond\n\ntimeline\n  > mail"
    assert case.findtext("system-out") == "hello"


def test_junit_calls_only_that_an_error_which_is_the_graders_fault(context):
    """A learner's failure and a broken machine need different people."""
    ungradable = cases_of(junit.emit(UNGRADABLE, context))
    amber = cases_of(junit.emit(AMBER, context))

    error = child(ungradable["test_the_mail_leaves"], "error")
    assert "could not be graded" in error.get("message", "")
    assert "the disk is full" in (error.text or "")
    assert len(ungradable["test_one"]) == 0
    assert all(case.find("failure") is not None for case in amber.values())


def test_junit_fails_a_tampered_spec_and_shows_the_evidence(context):
    """A pass that was made by hand is no pass, and the evidence shows why."""
    cases = cases_of(junit.emit(TAMPERED, context))

    failure = child(cases["test_the_mail_leaves"], "failure")
    assert "it wrote" in failure.get("message", "")
    assert (failure.text or "").endswith("\napp.py:9")
    assert len(cases["test_one"]) == 0


def test_junit_keeps_a_text_that_looks_like_xml(context):
    """What a learner printed is shown as it was, and is no part of the document."""
    text = "]]></system-out></testcase>&lt;<![CDATA[ \x00\ud800🎉"

    (case,) = cases_of(junit.emit(graded(kata(spec("a", printed=text))), context)).values()

    assert case.findtext("system-out") == "]]></system-out></testcase>&lt;<![CDATA[ ��🎉"


def test_junit_of_nothing_is_a_document_without_suites(context):
    """An empty file would be an error for its readers."""
    assert len(ElementTree.fromstring(junit.emit(EMPTY, context))) == 0


@pytest.mark.parametrize("format_name", ["exercism", "github-classroom", "gradescope"])
def test_a_spec_of_a_kata_for_review_keeps_its_points(format_name, context):
    """A person decides; until then the specs do."""
    first, second = document(format_name, REVIEW, context)["tests"]

    assert first["status"].startswith("pass")
    assert second["status"].startswith("fail")
    assert "a person should look" not in json.dumps([first, second])


def test_each_format_for_teachers_says_what_to_review(context):
    """It is in the place where a teacher looks, and a learner is not accused."""
    evidence = "app.py:9 replaced json.loads"
    command = commands_of(actions.emit(REVIEW, context))[0]
    extra = document("gradescope", REVIEW, context)["extra_data"]
    suite = ElementTree.fromstring(junit.emit(REVIEW, context))

    assert (command["title"], evidence in command["message"]) == ("k01 is for review", True)
    assert extra["review"][0]["evidence"] == [evidence]
    assert document("classroom50", REVIEW, context)["tests"][0]["review"] == evidence
    assert evidence in (suite.findtext(".//system-err") or "")
    assert ",review," in csv_gradebook.emit(REVIEW, context)
