"""`dojo grade`: arguments, messages, results and exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from jsonschema import Draft202012Validator

from dojo.catalogue import read_catalogue
from dojo.grading.formats import SINGLE
from dojo.grading.results import KataResult, Results, State, SubmissionResult, schema
from selfcheck.projects import CALLED, KATA, RIGHT, ROOT, changed
from selfcheck.trial import source_of

KATAS = read_catalogue(ROOT)
SECOND = "k05_access_log"
PATIENCE = 120
ENDLESS = "import time\nwhile True: pass\n"


@pytest.fixture
def dojo(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in an empty folder."""

    def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(*words),
            cwd=tmp_path,
            env=os.environ | more,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "dojo.cli", *map(str, words)]


def submission(path: Path, **solutions: str) -> Path:
    """Make a checkout with solutions of katas, by name."""
    for kata, source in solutions.items():
        folder = path / "katas" / kata
        folder.mkdir(parents=True)
        (folder / "app.py").write_text(source, encoding="utf-8")
    path.mkdir(exist_ok=True)
    return path


def course(path: Path) -> Path:
    """Four submissions to the first kata: right, wrong, not begun, and an empty file."""
    submission(path / "ada", **{KATA: RIGHT})
    submission(path / "bob", **{KATA: CALLED})
    submission(path / "cy", **{KATA: KATAS[KATA].stub.read_text(encoding="utf-8")})
    submission(path / "dee", **{KATA: ""})
    return path


def scores(file: Path) -> dict[str, float]:
    results = json.loads(file.read_text(encoding="utf-8"))
    Draft202012Validator(schema()).validate(results)
    return {entry["name"]: entry["score"] for entry in results["submissions"]}


def without_times(file: Path) -> str:
    return re.sub(r'"seconds": [\d.]+', "", file.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a course that was graded once, with its log beside them."""
    folder = tmp_path_factory.mktemp("course")
    done = subprocess.run(
        command("grade", "--each", course(folder / "all"), "--kata", "k01", "--out", "whole.json"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    (folder / "log").write_text(done.stderr, encoding="utf-8")
    return folder / "whole.json"


def test_a_course_is_graded(whole):
    """Exit code 0: grading worked, with any scores."""
    found = scores(whole)
    assert (found["ada"], found["cy"], found["dee"]) == (10, 0, 0)
    assert 0 < found["bob"] < 10
    assert "[4/4] dee: 0/10" in (whole.parent / "log").read_text(encoding="utf-8")
    assert not (whole.parent / "whole.json.part").exists()


def test_verdicts_are_those_of_pytest_spec_for_spec(dojo, tmp_path):
    """A learner must not see green at home and red in the gradebook."""
    tree = tmp_path / "mix"
    katas = [kata for kata in KATAS.values() if kata.number in ("k01", "k02", "k09")]
    for number, kata in enumerate(katas):
        mistakes = sorted((ROOT / "solutions" / kata.name / "mistakes").glob("*.diff"))
        mistake = mistakes[number % len(mistakes)]
        files = [ROOT / "solutions" / kata.name / "app.py", mistake, kata.stub]
        submission(tree, **{kata.name: source_of(files[number % 3])})

    dojo("grade", tree, *(f"--kata={kata.number}" for kata in katas), "--out", "r.json")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            f"--solutions={tree}",
            f"--junit-xml={tmp_path}/p.xml",
            *(str(kata.spec_file) for kata in katas),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1, done.stderr

    graded = {
        spec["id"]: spec["passed"]
        for kata in json.loads((tmp_path / "r.json").read_text())["submissions"][0]["katas"]
        for spec in kata["specs"]
    }
    tried = {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}": not len(case)
        for case in ElementTree.parse(tmp_path / "p.xml").iter("testcase")
    }
    assert graded == tried
    assert set(graded.values()) == {True, False}


def test_work_in_the_endpoint_earns_a_quarter_at_most(dojo, tmp_path):
    """A kata about background tasks is not solved without one, whatever else is right."""
    inline = {
        KATA: [
            ("background_tasks.add_task(write_log, ", "write_log("),
            (", background_tasks: BackgroundTasks", ""),
        ],
        "k02_welcome_email": [
            ("background_tasks.add_task(\n        send_email, ", "send_email(\n        "),
            (", background_tasks: BackgroundTasks", ""),
            ("    with smtplib", "    with suppress(Exception), smtplib"),
            ("import smtplib", "import smtplib\nfrom contextlib import suppress"),
        ],
    }
    sources = {kata: source_of(ROOT / "solutions" / kata / "app.py") for kata in inline}
    for kata, changes in inline.items():
        for old, new in changes:
            sources[kata] = changed(old, new, sources[kata])

    done = dojo("grade", submission(tmp_path / "eve", **sources), "--out", "r.json")

    assert done.returncode == 0
    graded = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["submissions"][0]
    tried = [kata for kata in graded["katas"] if kata["kata"] in inline]
    assert [kata["score"] for kata in tried] == [2.5, 3.75]
    for kata in tried:
        assert sum(spec["passed"] for spec in kata["specs"]) > len(kata["specs"]) / 2
        assert "only after the response" in kata["note"]


def test_only_what_is_begun_counts_unless_it_is_asked_for(dojo, tmp_path):
    """10 of 190 for the one kata of an assignment is no grade; 10 of 10 for one of two neither."""
    stub = KATAS[SECOND].stub.read_text(encoding="utf-8")
    ada = submission(tmp_path / "ada", **{KATA: RIGHT, SECOND: stub})

    done = dojo("grade", ada)
    asked = dojo("grade", ada, "--kata", "k01", "--kata", "k05")

    assert "ada: 10/10 points" in done.stdout
    assert re.search(r"^k02, .*k05, .*: not begun, and not counted; --kata", done.stdout, re.M)
    assert f"ada: 10/{10 + KATAS[SECOND].points} points" in asked.stdout
    assert "not counted" not in asked.stdout


def test_one_submission_is_shown_to_a_person(dojo, tmp_path):
    """What is wrong, in the words of the specs, and no colour where nobody sees it."""
    done = dojo("grade", submission(tmp_path / "bob", **{KATA: CALLED}), "--kata", "k01")

    assert done.returncode == 0
    assert "red   k01  One task, after the response" in done.stdout
    assert "✗ the line is written only after the response" in done.stdout
    assert "\x1b" not in done.stdout
    assert re.search(r"^bob: [\d.]+/10 points$", done.stdout, re.MULTILINE)


def test_several_submissions_are_shown_as_a_table(dojo, whole):
    """A row each."""
    done = dojo("grade", "--merge", whole)

    specs = len(KATAS[KATA].spec_names)
    assert re.search(rf"^ada +10/10 +{specs}/{specs} *$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^cy +0/10 +- *$", done.stdout, re.MULTILINE)
    assert re.search(r"^dee +0/10 +amber *$", done.stdout, re.MULTILINE)
    assert "amber: it does not run; -: not begun" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to grade: name a SUBMISSION, or give --each FOLDER"),
        (("nowhere",), "nowhere is not there"),
        (("--each", "nowhere"), "--each nowhere is not there"),
        ((".", "--kata", "k77"), "there is no kata 'k77': there are k01, k02"),
        ((".", "--shard", "4/3"), "'4/3' is not like 3/40: count from 1"),
        ((".", "--shard", "x"), "'x' is not like 3/40"),
        ((".", "--jobs", "0"), "'0' is not a whole number above 0"),
        ((".", "--fail-under", "101"), "'101' is not a number from 0 to 100"),
        ((".", "--time-limit", "nan"), "'nan' is not a number of seconds"),
        ((".", "--resume"), "--resume continues from the checkpoint beside --out"),
        ((".", "--out", "."), "--out . is a folder"),
        ((".", "--out", "no/r.json"), "--out no/r.json: there is no folder no: make it first"),
        ((".", "--out", "no/r.html"), "--out no/r.html: there is no folder no: make it first"),
        (
            (".", "--out", "r.txt"),
            "no format has this ending: give one of .json, .xml, .csv, .html",
        ),
        ((".", "--merge", "r.json"), "--merge merges results and grades nothing"),
        (("--merge", "r.json"), "r.json: No such file"),
        ((".", "--format", "pdf"), "invalid choice: 'pdf'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_exit_code_2(dojo, words, message):
    """The message is one line that says what to do."""
    done = dojo("grade", *words)

    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_fail_under_is_exit_code_1(dojo, tmp_path, whole):
    """A CI job can be red then."""
    results = json.loads(whole.read_text(encoding="utf-8"))
    results["submissions"] = [s for s in results["submissions"] if s["name"] == "ada"]
    (tmp_path / "ada.json").write_text(json.dumps(results), encoding="utf-8")

    assert dojo("grade", "--merge", "ada.json", "--fail-under", "100").returncode == 0
    assert dojo("grade", "--merge", whole, "--fail-under", "100%").returncode == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("all/dee",), "nothing found: there is no file like katas/k01_"),
        (("all",), "nothing found: it holds several submissions: "),
        (("all",), "did you mean --each all?"),
        (("--each", "all"), "dee could not be graded: "),
    ],
)
def test_a_submission_in_which_nothing_is_found_is_exit_code_3(dojo, tmp_path, words, message):
    """A folder that was packed in another way is no 0."""
    for name in ("ada", "bob"):
        submission(tmp_path / "all" / name, **{KATA: ENDLESS})
    (tmp_path / "all" / "dee" / "__MACOSX" / KATA).mkdir(parents=True)

    done = dojo("grade", *words, "--kata", "k01", "--time-limit", "1", "--out", "r.json")

    assert done.returncode == 3
    assert message in done.stderr
    found = scores(tmp_path / "r.json")
    assert found[Path(words[-1]).name if words[0] != "--each" else "dee"] is None


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--fail-on-review",), 1)])
def test_a_review_is_exit_code_1_only_where_that_is_asked_for(dojo, tmp_path, words, code):
    """Its points count, so only those who want to decide at once are stopped."""
    kata = KataResult(
        kata="k01",
        title="a",
        light="green",
        file="app.py",
        specs=[],
        state=State.REVIEW,
        cause="why",
    )
    results = Results(submissions=[SubmissionResult(name="ada", katas=[kata])])
    (tmp_path / "ada.json").write_text(results.text(), encoding="utf-8")

    assert dojo("grade", "--merge", "ada.json", *words).returncode == code


@pytest.mark.skipif(os.name != "posix", reason="a file cannot be made unreadable here")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root can read all files")
def test_an_unreadable_file_is_exit_code_3(dojo, tmp_path):
    """It is no 0, and the message names it."""
    ada = submission(tmp_path / "ada", **{KATA: RIGHT})
    (ada / "katas" / KATA / "app.py").chmod(0)

    done = dojo("grade", ada, "--kata", "k01", "--out", "r.json")

    assert done.returncode == 3
    assert "ada could not be graded" in done.stderr
    assert scores(tmp_path / "r.json") == {"ada": None}


def test_a_kata_that_is_never_done_ends_by_its_limit(dojo, tmp_path):
    """The specs that passed until then count."""
    eve = submission(tmp_path / "eve", **{KATA: RIGHT + "\n" + ENDLESS})
    began = time.monotonic()

    done = dojo("grade", eve, "--kata", "k01", "--time-limit", "2", "--out", "r.json")

    assert done.returncode == 0
    assert scores(tmp_path / "r.json") == {"eve": 0}
    assert time.monotonic() - began < 60
    said = (tmp_path / "r.json").read_text()
    assert re.search("did not finish importing|time limit of [24] s", said)


@pytest.mark.parametrize(
    ("file", "first"),
    [
        ("r.csv", "submission,score,max_score,percent,state,seconds,k01_notification_log\n"),
        ("r.xml", "<?xml version"),
        ("r.html", "<!doctype html>"),
        ("r.json", "{"),
    ],
)
def test_the_suffix_of_the_file_decides_the_format(dojo, tmp_path, whole, file, first):
    """People expect this."""
    dojo("grade", "--merge", whole, "--out", file)

    text = (tmp_path / file).read_text(encoding="utf-8")
    assert text.lower().startswith(first.lower())


def test_results_go_to_the_standard_output_alone(dojo, tmp_path):
    """`dojo grade … --format json | jq` works, progress and notes being elsewhere."""
    done = dojo("grade", course(tmp_path / "all") / "ada", "--kata", "k01", "--format", "json")

    assert json.loads(done.stdout)["submissions"][0]["score"] == 10


@pytest.mark.parametrize("name", SINGLE)
def test_a_format_of_one_submission_refuses_many(dojo, tmp_path, name):
    """Before anything is graded, and with nothing left behind."""
    for student in ("ada", "bob"):
        submission(tmp_path / "all" / student, **{KATA: ENDLESS})

    done = dojo("grade", "--each", "all", "--format", name, "--out", "r.txt")

    assert done.returncode == 2
    assert "grade one at a time" in done.stderr
    assert "ada" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["all"]


def test_merged_results_are_too_many_for_one_too(dojo, whole):
    """The alternative would be to choose one silently."""
    done = dojo("grade", "--merge", whole, "--format", "exercism")

    assert done.returncode == 2
    assert "grade one at a time" in done.stderr


def test_actions_gets_annotations_and_a_summary(dojo, tmp_path):
    """Annotations on the output, the table in the file of the step's summary."""
    bob = submission(tmp_path / "bob", **{KATA: CALLED})
    summary = tmp_path / "summary.md"
    dojo("grade", bob, "--kata", "k01", "--out", "r.json")

    done = dojo(
        *("grade", "--merge", "r.json", "--format", "actions"), GITHUB_STEP_SUMMARY=str(summary)
    )

    assert f"::error file=katas/{KATA}/app.py,line=" in done.stdout
    assert "| Submission |" in summary.read_text(encoding="utf-8")
    assert "summary" not in done.stdout


def test_shards_put_together_are_the_whole(dojo, tmp_path, whole):
    """A matrix of CI jobs gives what one job would."""
    words = ("grade", "--each", whole.parent / "all", "--kata", "k01", "--out")
    for number in (1, 2):
        assert dojo(*words, f"{number}.json", "--shard", f"{number}/2").returncode == 0

    done = dojo("grade", "--merge", "2.json", "1.json", "--out", "merged.json")

    assert done.returncode == 0, done.stderr
    assert without_times(tmp_path / "merged.json") == without_times(whole)


def test_results_that_contradict_each_other_are_not_merged(dojo, tmp_path, whole):
    """Neither of the two can be the grade."""
    shutil.copy(whole, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text().replace('"passed": true', '"passed": false', 1)
    (tmp_path / "b.json").write_text(text)

    done = dojo("grade", "--merge", "a.json", "b.json")

    assert done.returncode == 2
    assert "ada is in a.json and, with another result, in b.json" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent otherwise here")
def test_an_interrupted_run_goes_on_where_it_was(dojo, tmp_path):
    """Ctrl-C keeps what is done, ends what is under way, and leaves no process behind."""
    students = tmp_path / "all"
    submission(students / "ada", **{KATA: RIGHT})
    submission(students / "eve", **{KATA: ENDLESS})
    words = ("grade", "--each", students, "--kata", "k01", "--out", "r.json")
    running = subprocess.Popen(
        command(*words), cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert running.stderr is not None
        assert "ada: 10/10" in running.stderr.readline()
        started = psutil.Process(running.pid).children(recursive=True)
        os.killpg(running.pid, signal.SIGINT)
        _, log = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 130
    assert len(started) >= 3
    assert psutil.wait_procs(started, timeout=5)[1] == []
    assert "interrupted: 1 of 2 graded; the same command with --resume continues" in log
    assert not (tmp_path / "r.json").exists()
    shutil.rmtree(students / "eve")
    submission(students / "eve", **{KATA: CALLED})

    done = dojo(*words, "--resume")

    assert done.returncode == 0, done.stderr
    assert "1 of 2 were graded before" in done.stderr
    assert "ada" not in done.stderr
    assert scores(tmp_path / "r.json")["ada"] == 10


def test_a_changed_submission_is_graded_again(dojo, tmp_path):
    """--resume compares the content of a submission, not only its name."""
    words = ("grade", "--each", tmp_path / "all", "--kata", "k01", "--out", "r.json")
    submission(tmp_path / "all" / "ada", **{KATA: CALLED})
    dojo(*words)
    checkpoint = tmp_path / "r.json.part"
    head = {"katas": [KATA], "points": [10]}
    before = json.loads((tmp_path / "r.json").read_text())["submissions"][0]
    line = {"name": "ada", "digest": "of what was there before", "result": before}
    checkpoint.write_text(f"{json.dumps(head)}\n{json.dumps(line)}\n{{not whole")
    shutil.rmtree(tmp_path / "all" / "ada")
    submission(tmp_path / "all" / "ada", **{KATA: RIGHT})

    assert dojo(*words, "--resume").returncode == 0

    assert scores(tmp_path / "r.json") == {"ada": 10}


def test_the_grader_works_from_every_folder(dojo, tmp_path):
    """Specs and configuration are the grader's own, not those of the current folder."""
    (tmp_path / "conftest.py").write_text("raise SystemExit('a conftest.py was run')")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    (tmp_path / "dojo").mkdir()
    (tmp_path / "dojo" / "__init__.py").write_text("raise SystemExit('another dojo was run')")
    submission(tmp_path, **{KATA: RIGHT})
    script = Path(sys.executable).with_name("dojo")

    done = subprocess.run(
        [str(script), "grade", ".", "--kata", "k01"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stderr
    assert "10/10 points" in done.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_gets_only_characters_that_it_can_show(dojo, tmp_path, encoding):
    """On Windows a console may have 250 characters; names of students must still differ."""
    submission(tmp_path / "Żak", **{KATA: CALLED})

    done = dojo("grade", "Żak", "--kata", KATA, PYTHONIOENCODING=encoding)

    assert "\n       x " in done.stdout
    assert "u2717" not in done.stdout
    assert "\\u017bak" in done.stdout
