"""The end of a run: the summary, the details, and the next step."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from selfcheck.projects import (
    CALLED,
    CRASHES,
    KATA,
    LIKELY,
    RIGHT,
    ROOT,
    SPEC,
    Once,
    Project,
    changed,
    lights,
    part,
    said,
    scores,
    two_wrong,
)
from selfcheck.trial import source_of

LOUD = changed("    with open", '    print("la" * 500_000)\n    with open', CALLED)
MAIL = "k02_welcome_email"
MAILED = source_of(ROOT / "solutions" / MAIL / "mistakes" / "mail_before_the_response.diff")
WORDY = changed('"no such thing"', '"no" * 500_000', CRASHES)


@pytest.fixture
def repository(project: Project, once: Once) -> pytest.RunResult:
    """The whole repository as it is."""

    def run() -> pytest.RunResult:
        os.chdir(ROOT)
        return project.run("-p", "no:cacheprovider", f"--rootdir={ROOT}", "tests")

    return once("repository", run)


@pytest.fixture
def untouched(project: Project, once: Once) -> pytest.RunResult:
    """Two stubs."""

    def run() -> pytest.RunResult:
        project.add()
        project.add("k02_again")
        return project.run()

    return once("untouched", run)


@pytest.fixture
def wrong(project: Project, once: Once) -> pytest.RunResult:
    return once("wrong", lambda: two_wrong(project).run())


@pytest.fixture(scope="module")
def ci_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ci") / "result.xml"


@pytest.fixture
def verbose(project: Project, once: Once, ci_report: Path) -> pytest.RunResult:
    """The same and two that say too much, with `-v`, and a report for a CI beside it."""

    def run() -> pytest.RunResult:
        two_wrong(project)
        project.add("k05_loud", LOUD)
        project.add("k06_wordy", WORDY)
        project.add("k07_mail", MAILED, like=MAIL)
        return project.run("-v", f"--junit-xml={ci_report}")

    return once("verbose", run)


def test_untouched_stubs_are_all_grey_and_not_green(untouched):
    """Nothing is begun, so nothing is wrong, and nothing is done either."""
    assert untouched.ret == pytest.ExitCode.TESTS_FAILED
    assert lights(untouched) == {"k01": "grey", "k02": "grey"}
    assert [passed for passed, _ in scores(untouched).values()] == [0, 0]


def test_a_newcomer_is_told_what_to_do(untouched):
    """A wall of red is a poor welcome."""
    untouched.stdout.fnmatch_lines(
        [
            "Welcome! *",
            "Next: k01, *minutes)",
            f"  read     katas/{KATA}/README.md",
            f"  fill in  katas/{KATA}/app.py",
            "  until    The client is told that the notification is queued.",
            f"  run      pytest {SPEC}",
        ],
        consecutive=True,
    )
    assert part(untouched, "k01") == "", "there is nothing to say about a stub"


def test_the_whole_repository_fits_on_one_screen(repository):
    """Text that scrolls away is not read."""
    assert lights(repository)
    assert len(repository.outlines) <= 40
    repository.stdout.fnmatch_lines(["Next: k*" if repository.ret else "All green."])


def test_the_untouched_output_fits_on_one_screen(untouched):
    """Text that scrolls away is not read."""
    assert len(untouched.outlines) <= 40


def test_a_right_answer_turns_its_kata_green_and_the_summary_moves_on(project):
    """One kata done is the moment to hear which is next."""
    project.add(KATA, RIGHT)
    project.add("k02_again")

    result = project.run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert lights(result) == {"k01": "green", "k02": "grey"}
    result.stdout.fnmatch_lines(["Next: k02,*", "  fill in  katas/k02_again/app.py"])
    result.stdout.no_fnmatch_line("*Welcome*")


def test_all_green_is_exit_code_0_in_a_checkout_that_is_graded(project):
    """A CI asks for the exit code, and names the submission's checkout rather than its katas."""
    project.add()
    project.answer(RIGHT, project.path / "submission" / "katas" / KATA)

    result = project.run("--solutions", "submission")

    assert result.ret == pytest.ExitCode.OK
    assert lights(result) == {"k01": "green"}
    result.stdout.fnmatch_lines(["All green."])
    result.stdout.no_fnmatch_line("Next:*")


@pytest.mark.fast
def test_the_details_are_of_the_first_begun_kata_only(wrong):
    """One thing at a time; the others are on the summary."""
    assert lights(wrong) == {"k01": "green", "k02": "grey", "k03": "red", "k04": "red"}
    assert LIKELY in part(wrong, "k03")
    assert "LookupError" not in said(wrong)


@pytest.mark.fast
def test_the_reds_of_other_katas_are_counted_in_the_summary(wrong):
    """Nothing red goes missing because it is not shown."""
    passed, of = scores(wrong)["k04"]
    assert 0 <= passed < of
    wrong.stdout.fnmatch_lines([f"*k04  *  *✗*  {passed}/{of}"])
    assert wrong.parseoutcomes()["failed"] == sum(n - p for p, n in scores(wrong).values())


@pytest.mark.fast
def test_a_red_spec_shows_its_sentence_message_and_reason_and_timeline(wrong):
    """The failure teaches: what was expected, what came, why, and where in the order of things."""
    wrong.stdout.fnmatch_lines(
        [
            "✗ The line is written only after the response.",
            "  A slow disk must not keep the client waiting.",
            f"  {LIKELY}*",
            "  expected*",
            "  timeline",
            "    request*POST /send-notification",
            "  > write*log.txt*",
            "    response*200 to POST /send-notification",
            f"  the spec   {SPEC.replace(KATA, 'k03_called')}:[0-9]*",
            f"  run alone  pytest {SPEC.replace(KATA, 'k03_called')}::test_the_line_is_written_*",
        ]
    )


def test_the_offending_line_of_the_timeline_is_marked(verbose):
    """The eye finds it before the reason is read."""
    specs = part(verbose, "k07").split("\n✗ ")
    spec = next(
        text for text in specs if text.startswith("The mail leaves only after the response")
    )
    marked = [line for line in spec.splitlines() if line.startswith("  >")]

    assert "expected  response, then mail" in spec
    assert len(marked) == 1
    assert re.match(r"  > mail +to ada@example.com, 'Welcome!' ", marked[0])


def test_only_frames_of_the_learners_file_are_shown(verbose):
    """Forty frames of a framework hide the two that matter."""
    line = CRASHES.splitlines().index('    raise LookupError("no such thing")') + 1
    told = " ".join(part(verbose, "k04").split())
    assert f'app.py:{line} in send_notification: raise LookupError("no such thing")' in told
    for foreign in ("starlette", "site-packages", "anyio", "fastapi/", "_pytest"):
        assert foreign not in said(verbose)


def test_verbose_shows_the_details_of_all_katas(verbose):
    """`-v` is pytest's word for: tell me more."""
    for number in ("k02", "k03", "k04"):
        assert "✗" in part(verbose, number), number
    assert part(verbose, "k01") == ""


def test_an_answer_that_prints_a_megabyte_does_not_flood_the_screen(verbose):
    """A print in a loop is how people look into their code."""
    loud = part(verbose, "k05")

    assert "la" * 100 in loud
    assert "… cut, 1,000,001 characters in all" in loud
    assert len(loud) < 40_000


def test_an_error_with_a_megabyte_of_message_is_cut(verbose):
    """An exception may carry a whole document."""
    wordy = part(verbose, "k06")

    assert "nono" in wordy
    assert len(wordy) < 20_000


def test_the_report_for_a_ci_is_valid_and_says_why(verbose, ci_report):
    """A CI shows what a learner gets to see of a red spec."""
    cases = ET.parse(ci_report).getroot().findall(".//testcase")
    case = next(
        case
        for case in cases
        if case.get("classname") == "tests.test_k03_called"
        and case.get("name") == "test_the_line_is_written_only_after_the_response"
    )
    failure = case.find("failure")

    assert {case.get("classname") for case in cases} >= {"tests.test_k03_called"}
    assert failure is not None
    assert LIKELY in f"{failure.get('message')}"


def test_named_files_show_the_details_of_all_of_them(project):
    """A learner who names a file wants to see it."""
    two_wrong(project)

    result = project.run("tests/test_k03_called.py", "tests/test_k04_crashes.py")

    assert lights(result) == {"k03": "red", "k04": "red"}
    assert LIKELY in part(result, "k03")
    assert "LookupError" in part(result, "k04")


def test_tb_short_leaves_the_failures_to_pytest(project):
    """pytest's own display is there, once, and the summary."""
    two_wrong(project)

    result = project.run("--tb=short", "-k", "k03")

    result.stdout.fnmatch_lines(["=* FAILURES =*", "*_ test_the_line_is_written_only_after*"])
    assert said(result).count("A slow disk must not keep the client waiting.") == 0
    assert lights(result) == {"k03": "red"}


def test_the_kata_at_hand_comes_before_the_one_in_front_of_it(project):
    """A learner who has begun the third is not sent back to the second."""
    two_wrong(project)

    result = project.run("-k", "only_after_the_response")

    result.stdout.fnmatch_lines(["Next: k03,*", "  change   katas/k03_called/app.py"])


def test_a_kata_that_is_done_says_what_comes_next(project):
    """There are nine, and only one of them ran."""
    project.add(KATA, RIGHT)
    project.add("k02_again")

    done = project.run(SPEC)
    begun = project.run("tests/test_k02_again.py")

    done.stdout.fnmatch_lines(["k01 is green.", "Next: k02,*", "  fill in  katas/k02_again/app.py"])
    begun.stdout.no_fnmatch_line("Welcome!*")


def test_what_to_run_next_keeps_the_solutions(project):
    """Without the option the command would run the specs against something else."""
    project.add()
    project.answer(RIGHT.replace("notification queued", "sent"), project.path / "mine" / KATA)

    result = project.run("--solutions=mine", "-k", "the_client_is_told")

    result.stdout.fnmatch_lines([f"  run      pytest --solutions=mine {SPEC}"])


def test_the_summary_counts_marks(project):
    """Sixteen beside fourteen marks are counts of two things."""
    project.add(MAIL, MAILED, like=MAIL)

    result = project.run()

    row = next(line for line in result.outlines if "k02  " in line and "/" in line)
    marks = re.search(r"[✓✗·]+", row)
    passed, of = scores(result)["k02"]
    assert marks is not None
    assert (marks[0].count("✓"), len(marks[0])) == (passed, of)
