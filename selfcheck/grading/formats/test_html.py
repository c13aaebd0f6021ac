"""The page for teachers shows all results, and text of students is only text in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dojo.grading.formats import Context
from dojo.grading.formats.html import emit
from dojo.grading.results import (
    Isolation,
    KataResult,
    Results,
    SpecResult,
    State,
    SubmissionResult,
    spread,
)
from dojo.lights import Light

pytestmark = pytest.mark.fast
CONTEXT = Context(root=Path(), environment={})
VOID = {"meta", "input", "rect"}
ONE, TWO = "k01_notification_log", "k02_welcome_email"
TIMELINE = [
    "  request   POST /register",
    "> mail      to ada@example.com, 'Welcome!'  worker thread",
    "  response  200 to POST /register",
]


class Node:
    """An element with its content."""

    def __init__(self, tag: str, attributes: dict[str, str | None], parent: Node | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Node | str] = []

    def __iter__(self) -> Iterator[Node]:
        """All elements within, in order."""
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child

    def all(self, tag: str, **attributes: str) -> list[Node]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [n for n in self if n.tag == tag and wanted.items() <= n.attributes.items()]

    def one(self, tag: str, **attributes: str) -> Node:
        (node,) = self.all(tag, **attributes)
        return node

    def at(self, reference: str | None) -> Node:
        """The target of a link."""
        assert reference is not None
        assert reference.startswith("#")
        (node,) = [n for n in self if n.attributes.get("id") == reference[1:]]
        return node

    @property
    def href(self) -> str | None:
        return self.one("a").attributes["href"]

    @property
    def strings(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child.strings

    @property
    def raw(self) -> str:
        return "".join(self.strings)

    @property
    def text(self) -> str:
        """The visible text, on one line."""
        return " ".join(" ".join(self.strings).split())


class Page(HTMLParser):
    """A parser that makes a tree; it knows that an `li` ends where the next one begins."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = self.here = Node("", {}, None)
        self.feed(text)
        self.close()
        assert self.here is self.root, f"<{self.here.tag}> is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "li" and self.here.tag == "li":
            self.up()
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        node = Node(tag, dict(attrs), self.here)
        self.here.children.append(node)
        if tag not in VOID:
            self.here = node

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if self.here.tag == "li" != tag:
            self.up()
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        self.up()

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)

    def up(self) -> None:
        assert self.here.parent is not None
        self.here = self.here.parent


def kata(
    light: Light = "green",
    marks: str = "++",
    name: str = ONE,
    *,
    points: int = 10,
    message: str = "it was not so",
    **more: Any,
) -> KataResult:
    """A kata; `marks` has a `+` for each spec that passed, and a `-` for each that failed."""
    specs = [
        SpecResult(
            id=f"test_{number}",
            title=f"behaviour {number} of {name}",
            passed=mark == "+",
            points=worth,
            message="" if mark == "+" else message,
            timeline=TIMELINE,
        )
        for number, (mark, worth) in enumerate(
            zip(marks, spread(points, len(marks)), strict=True), 1
        )
    ]
    fields: dict[str, Any] = {
        "title": f"All about {name}",
        "file": f"katas/{name}/app.py",
        "specs": specs,
    }
    return KataResult(kata=name, light=light, **{**fields, **more})


def results(*katas: KataResult | list[KataResult], **fields: Any) -> Results:
    """Results of submissions that have these katas."""
    lists = [k if isinstance(k, list) else [k] for k in katas]
    names = (f"student {number}" for number in range(1, len(lists) + 1))
    return Results(
        submissions=[SubmissionResult(name=next(names), katas=katas) for katas in lists], **fields
    )


def page(results: Results) -> Node:
    return Page(emit(results, CONTEXT)).root


def rows(root: Node) -> list[Node]:
    """The rows of the table of submissions."""
    return root.one("div", class_="lights").one("tbody").all("tr")


def cells(row: Node) -> list[str]:
    return [node.text for node in row if node.tag in ("th", "td")]


def facts(root: Node) -> dict[str, str]:
    """The numbers below the heading."""
    terms = root.one("dl")
    return {
        term.text: value.text for term, value in zip(terms.all("dt"), terms.all("dd"), strict=True)
    }


def hardness(root: Node) -> dict[str, list[str]]:
    """The row of each spec in the part about the class."""
    tables = root.one("details", class_="class").all("table")
    lines = [row for table in tables for row in table.one("tbody").all("tr")]
    return {row.one("th").text: [td.text for td in row.all("td")][:2] for row in lines}


def details(root: Node, submission: int = 1, kata: int = 1) -> Node:
    return root.at(f"#s{submission}k{kata}")


def in_every_place(text: str) -> Results:
    """Results with `text` in every field of text."""
    spec: dict[str, Any] = {
        "title": text,
        "points": 1,
        "message": f"{text}\n{text}",
        "timeline": [text, f"> {text}"],
    }
    lights: tuple[Light, ...] = ("green", "red", "amber", "grey")
    katas = [
        KataResult(
            kata=f"{text}{number}",
            title=text,
            state=state,
            light=light,
            file=text,
            cause=text,
            evidence=[text],
            specs=[
                SpecResult(id=f"{text}1", passed=False, printed=text, line=3, **spec),
                SpecResult(id=f"{text}2", passed=True, **spec),
            ],
        )
        for number, (state, light) in enumerate(
            [(state, light) for state in State for light in lights]
        )
    ]
    return Results(
        isolation=Isolation(in_force=[text], missing=[text]),
        submissions=[SubmissionResult(name=text, katas=katas[:n]) for n in (len(katas), 8, 4)],
    )


HOSTILE = pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        '</pre></li></details><a href="javascript:alert(1)">x</a>',
        "</style></script><style>*{display:none}</style>",
        "<!--",
        "]]><svg/onload=alert(1)>",
        "&lt;b&gt;bold&lt;/b&gt; &amp;#60;",
        "{{ 7 * 7 }}{% raw %}",
    ],
)


@HOSTILE
def test_text_of_students_is_never_markup(text):
    """Otherwise a student could run scripts in the browser of a teacher."""
    harmless, hostile = (page(in_every_place(written)) for written in ("(harmless)", text))

    assert [(n.tag, n.attributes) for n in hostile] == [(n.tag, n.attributes) for n in harmless]
    assert harmless.raw.count("(harmless)") == hostile.raw.count(text) > 100


@HOSTILE
def test_no_attribute_runs_or_loads_anything(text):
    """The page is opened from disk, and must not connect to anything."""
    root = page(in_every_place(text))

    for node in root:
        assert node.tag not in ("link", "img", "iframe", "object", "embed", "base")
        for name, value in node.attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "style", "action", "data", "background")
            assert name != "href" or str(value).startswith("#")
    assert "url(" not in root.one("style").raw
    assert "@import" not in root.one("style").raw


def test_the_policy_lets_nothing_run_but_the_page_s_own_blocks():
    """If markup gets in by a mistake, the browser still refuses to run it."""
    root = page(in_every_place("x"))

    allowed = {}
    for tag in ("style", "script"):
        digest = hashlib.sha256(root.one(tag).raw.encode()).digest()
        allowed[tag] = f"'sha256-{base64.b64encode(digest).decode()}'"
    head = [node for node in root.one("head") if node.tag in ("meta", "style", "script")]
    policy = root.one("meta", **{"http-equiv": "Content-Security-Policy"})
    assert head.index(policy) < head.index(root.one("style"))
    assert [rule.split() for rule in str(policy.attributes["content"]).split(";")] == [
        ["default-src", "'none'"],
        ["style-src", allowed["style"]],
        ["script-src", allowed["script"]],
        ["base-uri", "'none'"],
        ["form-action", "'none'"],
    ]


STRANGE = ["Ada", "Ada", "ada", "a b", "s1", "s1k1", "#s1", '"', "\n", " ", "x" * 300, "\u202ee"]


def test_each_cell_leads_to_the_details_of_its_own_solution():
    """This holds for strange names, and for two submissions of one name."""
    made = results(*[[kata("red", "+-"), kata("red", "+-", TWO)] for _ in STRANGE])
    for n, (submission, name) in enumerate(zip(made.submissions, STRANGE, strict=True)):
        submission.name = name
        for k in submission.katas:
            k.specs[1].message = f"the solution of {n} to {k.kata}"

    root = page(made)

    ids = [node.attributes["id"] for node in root if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    assert len(rows(root)) == len(STRANGE)
    for n, row in enumerate(rows(root)):
        for name, cell in zip((ONE, TWO), row.all("td")[3:], strict=True):
            assert f"the solution of {n} to {name}" in root.at(cell.href).text
        within = root.at(row.one("th").href)
        assert f"the solution of {n} to {ONE}" in within.text
        back = root.at(within.one("p", class_="quiet back").href)
        assert back is row.one("th")


def test_every_link_leads_somewhere():
    """Also those in the heads of the columns, and the one that skips the table."""
    root = page(results(kata("red", "-+"), kata("red", "-+"), kata()))

    links = root.all("a")
    assert len(links) > 10
    for link in links:
        root.at(link.attributes["href"])


def test_a_row_has_the_score_the_lights_and_the_counts():
    """This is what a teacher looks at first."""
    root = page(
        results(
            [kata("green", "+++"), kata("red", "+-", TWO, points=5)],
            [kata("amber", "---"), kata("grey", "--", TWO, points=5)],
        )
    )

    head = root.one("div", class_="lights").one("thead")
    assert [th.text for th in head.all("th")] == [
        "Submission",
        "Score",
        "Percent",
        "State",
        f"k01 All about {ONE}",
        f"k02 All about {TWO}",
    ]
    assert [cells(row) for row in rows(root)] == [
        ["student 1", "12.5 / 15", "83.33%", "graded", "green 3/3", "red 1/2"],
        ["student 2", "0 / 15", "0%", "graded", "amber 0/3", "grey 0/2"],
    ]
    classes = [[td.attributes.get("class") for td in row.all("td")[3:]] for row in rows(root)]
    assert classes == [["green", "red"], ["amber", "grey"]]


def test_a_kata_that_a_submission_has_not_leaves_its_cell_empty():
    """Results that were merged need not all have the same katas."""
    first, second = rows(page(results(kata(), kata(name=TWO))))

    assert cells(first)[4:] == ["green 2/2", "not there"]
    assert cells(second)[4:] == ["not there", "green 2/2"]


def test_the_heading_has_the_numbers_of_the_class():
    """The median and the range are of those that have a score that counts."""
    made = [kata("red", "+" * n + "-" * (4 - n), points=8) for n in (0, 1, 3, 4)]
    tampered = kata("green", "++++", points=8, state=State.TAMPERED)
    ungradable = kata("grey", "----", points=8, state=State.UNGRADABLE)

    root = page(results(*made, tampered, ungradable))

    assert root.one("h1").text == "Results of 6 submissions"
    assert facts(root) == {
        "graded": "4",
        "review": "0",
        "tampered": "1",
        "ungradable": "1",
        "median of the graded": "4 of 8",
        "range of the graded": "0 to 8 of 8",
    }


def test_scores_out_of_different_sums_are_compared_in_percent():
    """7 of 10 is more than 8 of 20."""
    root = page(results(kata("red", "+-", points=10), kata("red", "+-", points=20), kata()))

    assert facts(root)["median of the graded"] == "50 %"
    assert facts(root)["range of the graded"] == "50 to 100 %"


def test_rows_can_be_sorted_by_scores_that_are_numbers_or_missing():
    """A missing score is not among the lowest ones."""
    root = page(results(kata("red", "+-"), kata(state=State.UNGRADABLE)))

    assert [row.attributes["data-score"] for row in rows(root)] == ["5.0", ""]
    sortable = [th for th in root.all("th") if "aria-sort" in th.attributes]
    assert [th.one("button").text for th in sortable] == ["Submission", "Score"]


def test_submissions_that_need_a_look_can_be_found():
    """Tampered, ungradable, or with evidence: few among many."""
    root = page(
        results(
            kata(),
            kata(state=State.TAMPERED),
            kata(state=State.UNGRADABLE),
            kata(evidence=["it reads the environment"]),
        )
    )

    assert ["data-look" in row.attributes for row in rows(root)] == [False, True, True, True]
    assert cells(rows(root)[3])[4:] == ["green 2/2 ⚑ with evidence"]


def test_tampering_is_shown_with_its_cause_and_its_evidence():
    """A person decides what it means."""
    tampered = kata(
        state=State.TAMPERED, cause="it wrote the verdict", evidence=["app.py:3\n  os._exit(0)"]
    )

    root = page(results(tampered))

    assert cells(rows(root)[0])[1:] == ["0 / 10", "0%", "tampered", "tampered ⚑ with evidence"]
    shown = details(root)
    assert "counts as 0: it wrote the verdict" in shown.text
    assert "a reason to look, not a verdict" in shown.text
    assert "app.py:3\n  os._exit(0)" in shown.raw


def test_an_ungradable_kata_is_no_zero():
    """The student is not to blame for the grader."""
    ungradable = kata("grey", "--", points=5, state=State.UNGRADABLE, cause="the disk was full")

    root = page(results([ungradable, kata(name=TWO, points=3)], ungradable))

    row = cells(rows(root)[0])
    assert row == ["student 1", "— no score / 8", "", "ungradable", "ungradable", "green 2/2"]
    shown = details(root)
    assert shown.parent is not None
    summary = shown.parent.one("summary").text
    assert summary == f"k01 All about {ONE} ungradable — no score / 5 points"
    assert "the disk was full" in shown.text
    assert "it was not so" not in root.text


def test_specs_are_in_order_and_only_the_failed_ones_have_details():
    """A passed spec needs only its name."""
    solution = kata("red", "+-+")
    solution.specs[1].line, solution.specs[1].printed = 12, "got here\n"

    shown = details(page(results(solution)))

    first, failed, last = shown.one("ol").all("li")
    assert first.text == f"✓ Behaviour 1 of {ONE}"
    assert last.text == f"✓ Behaviour 3 of {ONE}"
    assert failed.one("h5").text == f"✗ Behaviour 2 of {ONE}"
    assert failed.all("p")[0].text == "it was not so"
    assert "line 12" in failed.text
    assert [pre.raw.strip("\n") for pre in failed.all("pre")][1] == "got here"
    assert f"katas/{ONE}/app.py" in shown.text


def test_the_marks_of_a_timeline_are_red():
    """The marked line is the one to look at."""
    timeline = details(page(results(kata("red", "+-")))).one("pre")

    assert timeline.raw.strip("\n").splitlines() == TIMELINE
    assert [mark.raw for mark in timeline.all("mark")] == [TIMELINE[1]]


@pytest.mark.parametrize("light", ["amber", "grey"])
def test_a_solution_that_does_not_run_has_one_message_for_all_specs(light):
    """The same sentence twenty times hides the sentence."""
    shown = details(page(results(kata(light, "---"))))

    (item,) = shown.one("ol").all("li")
    assert len(item.all("h5")) == 3
    assert item.text.count("it was not so") == 1
    assert not item.all("pre")


def test_a_failure_of_several_solutions_is_shown_once_and_linked():
    """A class makes the same mistakes, and a page of them all would not open."""
    alike, other = kata("red", "+-"), kata("red", "+-", message="another thing")

    root = page(results(alike, alike, other))

    assert root.raw.count("it was not so") == 1
    links = [details(root, n).one("a") for n in (1, 2)]
    assert [link.text for link in links] == [f"✗ Behaviour 2 of {ONE}"] * 2
    for link in links:
        shown = root.at(link.attributes["href"])
        head = f"in 2 solutions ✗ Behaviour 2 of {ONE} it was not so timeline"
        assert shown.text.startswith(head)
    assert "another thing" in details(root, 3).text


def test_the_class_is_counted_by_what_was_graded():
    """A kata that is not started does not show what is hard."""
    root = page(
        results(
            kata("red", "+-"),
            kata("red", "--"),
            kata("green", "++"),
            kata("grey", "--"),
            kata("red", "--", state=State.TAMPERED),
            kata("grey", "--", state=State.UNGRADABLE),
        )
    )

    assert hardness(root) == {
        f"Behaviour 1 of {ONE}": ["1", "1"],
        f"Behaviour 2 of {ONE}": ["2", "1"],
    }
    table = root.one("details", class_="class").one("table")
    assert table.one("small").text == "4 graded, 1 green, 2 red, 1 grey"
    bars = [[rect.attributes["width"] for rect in svg.all("rect")] for svg in table.all("svg")]
    assert bars == [["25", "25"], ["50", "25"]]


def test_a_class_that_fails_alike_stays_small():
    """A thousand submissions must still open: a fiftieth of them, here."""
    katas = [kata("red", "-+" * 11, f"k{n:02}_x", message="why " * 200) for n in range(9)]

    assert len(emit(results(*[katas] * 20), CONTEXT)) < 600_000


def test_missing_isolation_is_shown():
    """The reader of the scores must know what a solution could have done."""
    whole = page(results(kata(), isolation=Isolation(in_force=["no network"])))
    lacking = page(results(kata(), isolation=Isolation(missing=["limits of memory"])))

    assert "isolated by: no network." in whole.one("header").text
    assert not whole.one("header").all("p", class_="note")
    assert "limits of memory" in lacking.one("header").one("p", class_="note").text
    assert "do not say how solutions were isolated" in lacking.one("header").text


def test_no_results_are_a_page_too():
    """A run over an empty folder is no error."""
    root = page(Results())

    assert root.one("h1").text == "No submissions"
    assert "Nothing was graded" in root.text
    assert not root.all("table")


def test_a_submission_without_katas_has_a_row():
    """The teacher must see that there was nothing to grade."""
    (row,) = rows(page(results([])))

    assert cells(row) == ["student 1", "0 / 0", "0%", "graded"]


def test_the_same_results_give_the_same_bytes():
    """A page that is kept in a repository changes only where the results do."""
    made = in_every_place("x")
    again = Results.model_validate_json(made.text())

    assert emit(made, CONTEXT).encode() == emit(again, CONTEXT).encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\ud800", r"\ud800"),
        ("\x00\x1b[31m", r"\x00\x1b[31m"),
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("\u2066\u200b\ufeff", r"\u2066\u200b\ufeff"),
        ("a\rb", r"a\rb"),
        ("Zoë 山田 \U0001f469\u200d\U0001f4bb", "Zoë 山田 \U0001f469\u200d\U0001f4bb"),
    ],
)
def test_characters_that_mislead_are_shown_as_signs(text, shown):
    """Reordered text is a disguise, and a lone surrogate cannot be written at all."""
    made = results(kata("red", "-+", evidence=["x"]))
    submission = made.submissions[0]
    submission.__dict__["name"] = submission.katas[0].evidence[0] = text
    submission.katas[0].specs[0].timeline[0] = text

    root = Page(emit(made, CONTEXT).encode().decode()).root

    assert cells(rows(root)[0])[0] == shown
    assert details(root).one("ul").text == shown
    assert details(root).one("ol").one("pre").raw.splitlines()[1] == shown


@pytest.mark.parametrize(
    ("name", "shown"), [("a\nb\tc", r"a\nb\tc"), ("  ", "“ ”"), ("\r\n", r"\r\n")]
)
def test_a_name_is_one_line_that_can_be_clicked(name, shown):
    """Otherwise a submission could hide from the teacher."""
    made = results(kata())
    made.submissions[0].name = name

    assert rows(page(made))[0].one("th").one("a").text == shown


def test_the_parts_of_the_page_have_names():
    """A screen reader reads them out."""
    root = page(results(kata("red", "+-"), kata()))

    assert root.one("html").attributes == {"lang": "en"}
    assert len(root.all("h1")) == 1
    tables = root.all("table")
    assert all(table.one("caption").text for table in tables)
    assert {th.attributes["scope"] for th in root.all("th")} == {"col", "row"}
    assert all(box.parent and box.parent.tag == "label" for box in root.all("input"))
    assert all(row.one("th").attributes["scope"] == "row" for row in rows(root))
