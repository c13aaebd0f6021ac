"""pytest's own options, and the terminals and CIs around it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from selfcheck.projects import (
    CALLED,
    KATA,
    OURS,
    PATIENCE,
    RIGHT,
    SPEC,
    Once,
    Project,
    changed,
    lights,
    said,
    scores,
    two_wrong,
)

ESCAPE = "\x1b["


@pytest.fixture
def wrong(project: Project, once: Once) -> pytest.RunResult:
    return once("wrong", lambda: two_wrong(project).run())


def test_specs_that_were_not_chosen_are_neither_green_nor_red(project):
    """With -k, the summary shows what ran, and calls nothing green that has not run."""
    two_wrong(project)

    chosen = project.run("-k", "only_after_the_response")

    assert lights(chosen) == {"k01": "part", "k02": "grey", "k03": "red", "k04": "red"}
    assert [passed for passed, _ in scores(chosen).values()] == [1, 0, 0, 0]
    chosen.stdout.fnmatch_lines(["*k01 * ·✓·*  1/10  1 of 10 run"])


def test_one_spec_alone_does_not_make_a_kata_green(project):
    """A node id is what an editor's test explorer runs."""
    project.add(KATA, RIGHT)

    one = project.run(f"{SPEC}::test_the_line_is_written_only_after_the_response")

    assert one.ret == pytest.ExitCode.OK
    assert scores(one) == {"k01": (1, 10)}
    assert lights(one) == {"k01": "part"}
    one.stdout.fnmatch_lines(["All that ran is green."])


def test_a_run_can_stop_early_and_go_on_with_what_failed(project):
    """-x and --lf are how people work on one thing at a time."""
    two_wrong(project)

    stopped = project.run("-x")
    last = project.run("--lf")

    assert stopped.ret == last.ret == pytest.ExitCode.TESTS_FAILED
    assert lights(stopped) == {"k01": "green", "k02": "grey"}
    assert stopped.parseoutcomes()["failed"] == 1
    assert last.parseoutcomes()["failed"] == 1
    assert [passed for passed, _ in scores(last).values()] == [0]
    last.stdout.fnmatch_lines(["*k02  *✗*"])


def test_the_summary_is_the_same_on_two_workers(wrong, project):
    """Failures travel between processes whole."""
    two_wrong(project)

    result = project.run("-n", "2")

    def shown(run: pytest.RunResult) -> list[str]:
        details = run.stdout.str().partition("------ k03")[2]
        return [line for line in details.splitlines() if not re.match(r"$|=+ .* in ", line)]

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert shown(result) == shown(wrong)
    assert len(shown(wrong)) > 10


def test_collecting_shows_no_summary(project):
    """Nothing ran, so there is nothing to say."""
    project.add()

    result = project.run("--collect-only", "-q")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines([f"{SPEC}::test_*"])
    result.stdout.no_fnmatch_line("*= katas =*")


def test_there_is_no_colour_where_nobody_asked_for_it(wrong):
    """A log file full of escape codes cannot be read."""
    assert ESCAPE not in said(wrong)


def test_there_is_colour_where_it_is_asked_for(project):
    """A projector shows red better than the word."""
    project.add(KATA, CALLED)

    result = project.run("--color=yes", "-k", "only_after_the_response")

    assert re.search(r"\x1b\[[0-9;]*31m.*● red", said(result))


@pytest.mark.parametrize(("encoding", "text"), [("ascii", "✓ "), ("cp1252", "")])
def test_a_terminal_without_check_marks_gets_ascii_ones(project, monkeypatch, encoding, text):
    """The summary must not crash on a Windows console."""
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    project.add(KATA, changed('"Notified: ', f'"Notified: {text}', CALLED))

    result = project.run()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert lights(result) == {"k01": "red"}
    result.stdout.fnmatch_lines(
        ["x The line is written only after the response.", "[*] red *k01 *x*"]
    )
    assert "✗" not in said(result)


def test_an_interrupted_run_ends_at_once_and_shows_what_it_knows(project):
    """Ctrl-C is a way to stop, not an accident."""
    waits = "    import asyncio\n    print('here', flush=True)\n    await asyncio.Event().wait()\n"
    project.add(KATA, changed("    background_tasks", f"{waits}    background_tasks"))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:randomly"],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    while "here" not in (line := process.stdout.readline()):
        assert line, "the run ended before the response was reached"

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "KeyboardInterrupt" in output
    assert not OURS.search(output), output


def test_an_answer_that_interrupts_the_run_gets_its_way(project):
    """An answer can raise anything."""
    project.add(KATA, changed("    with open", "    raise KeyboardInterrupt\n    with open"))

    result = project.run()

    assert result.ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.parametrize("place", [f"katas/{KATA}", f"katas/{KATA}/app.py"])
def test_the_folder_of_a_kata_stands_for_its_specs(project, place):
    """It is where one works, and what a shell completes."""
    project.add(KATA, RIGHT)
    project.add("k02_again")

    result = project.run("--collect-only", "-q", place)

    assert result.ret == pytest.ExitCode.OK
    assert {line.partition("::")[0] for line in result.outlines if "::" in line} == {SPEC}


@pytest.mark.parametrize(
    ("folder", "specs"), [(f"katas/{KATA}", {"k01"}), ("katas", {"k01", "k02"})]
)
def test_pytest_in_the_folder_of_a_kata_runs_its_specs(project, monkeypatch, folder, specs):
    """Nobody types a path to where he is."""
    project.add(KATA, RIGHT)
    project.add("k02_again")
    monkeypatch.chdir(project.path / folder)

    result = project.run("--collect-only", "-q")

    assert result.ret == pytest.ExitCode.OK
    assert set(re.findall(r"test_(k\d\d)", result.stdout.str())) == specs


def test_solutions_elsewhere_are_named_in_one_word(project, tmp_path_factory):
    """pytest takes the path for one of its own before it knows the option."""
    project.add()
    elsewhere = project.answer(RIGHT, tmp_path_factory.mktemp("else where") / KATA)

    result = project.run("--solutions", elsewhere)
    in_one_word = project.run(f"--solutions={elsewhere}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: write --solutions={elsewhere} as one word, with `=`: *"])
    assert lights(in_one_word) == {"k01": "green"}


def test_other_projects_get_no_advice(pytester):
    """Another project may have an option of this name, and this environment."""
    pytester.makeconftest("def pytest_addoption(parser): parser.addoption('--solutions')")
    pytester.makepyfile("def test_it(pytestconfig): assert pytestconfig.getoption('solutions')")

    pytester.runpytest_subprocess("--solutions", ".").assert_outcomes(passed=1)


@pytest.mark.parametrize("style", ["long", "line"])
def test_a_style_of_tracebacks_leaves_them_to_pytest(project, style):
    """`--tb` means what it means everywhere."""
    project.add(KATA, changed("    with open", "    1 / 0\n    with open"))

    result = project.pytester.runpytest_subprocess(
        "-p", "no:randomly", f"--tb={style}", "-k", "only_after_the_response"
    )

    assert "test_k01_notification_log.py" in result.stdout.str().partition("= FAILURES =")[2]
    assert "\n  timeline\n" not in said(result)
    assert lights(result) == {"k01": "red"}


def test_the_lines_and_the_log_that_were_asked_for_are_there(project):
    """`-rf` for who greps, `--log-level` for who looks for something."""
    logs = "    import logging\n    logging.getLogger('mine').info('seen by me')\n    with open"
    project.add(KATA, changed("    with open", logs, CALLED))
    spec = f"{SPEC}::test_the_line_is_written_only_after_the_response"

    asked = project.run("-rf", "--log-level=INFO", spec)
    silent = project.run(spec)

    asked.stdout.fnmatch_lines(["*seen by me*", f"FAILED {spec}*", "*= katas =*"])
    assert "seen by me" not in said(silent)
    assert "FAILED" not in said(silent)


def test_a_run_ends_after_as_many_failures_as_were_asked_for(project):
    """On one worker and on two."""
    two_wrong(project)

    assert project.run("--maxfail=2").parseoutcomes()["failed"] == 2
    result = project.run("--maxfail=2", "-n", "2")
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    assert lights(result)
