"""Solutions that do not run or do not end, and trees without any."""

from __future__ import annotations

from pathlib import Path

import pytest

from dojo.catalogue import CatalogueError, read_catalogue
from dojo.solutions import SolutionsNotFoundError, find_solutions
from selfcheck.projects import (
    CALLED,
    KATA,
    RIGHT,
    ROOT,
    Once,
    Project,
    changed,
    lights,
    part,
    scores,
)

TOML = (ROOT / "katas" / KATA / "kata.toml").read_text(encoding="utf-8")
TASK = "def write_log(filename: str, message: str) -> None:\n"
FIRST = "    background_tasks.add_task"
LOOP = "    while True: pass\n"
AMBER: dict[str, tuple[str | bytes, str]] = {
    "k02_syntax_error": (
        "def f(:\n",
        r"app.py:1 does not load: SyntaxError, invalid syntax: `def f(:`",
    ),
    "k03_no_app": ("x = 1\n", "app.py does not load: it has no `app`: say `app = FastAPI()`"),
    "k04_other_app": (
        "app = 1\n",
        "app.py does not load: its `app` is a int, and must be a FastAPI",
    ),
    "k05_empty": ("", "app.py does not load: it is empty; `dojo reset` brings the stub back"),
    "k06_latin_1": (
        "name = 'Zoë'\n".encode("latin-1"),
        "app.py does not load: it is not UTF-8 text",
    ),
    "k07_nul": ("x = 1\0\n", "app.py does not load: "),
    "k08_exits": (
        "import sys\n\nsys.exit()\n",
        "app.py:3 does not load: it stops the interpreter while it is imported: `sys.exit()`",
    ),
    "k09_import_error": (
        "import no_such_module\n",
        "app.py:1 does not load: ModuleNotFoundError, No module named 'no_such_module'",
    ),
    "k10_missing_name": (
        "from fastapi import BackgroundJobs\n",
        "app.py:1 does not load: ImportError, cannot import name 'BackgroundJobs'",
    ),
    "k11_endless_import": (
        "import os.path, tempfile\n"
        "tempfile.mkstemp('.count', dir=os.path.dirname(__file__))\n"
        "while True: pass\n",
        "app.py:3 does not load: it did not finish importing: it kept the main thread",
    ),
}
ENDLESS = {
    "k02_loop_in_endpoint": (
        changed(FIRST, f"{LOOP}{FIRST}"),
        "while True: pass",
    ),
    "k03_loop_in_plain_task": (changed(TASK, f"{TASK}{LOOP}"), "while True: pass"),
    "k04_loop_in_async_task": (changed(TASK, f"async {TASK}{LOOP}"), "while True: pass"),
    "k05_await_in_endpoint": (
        changed(FIRST, f"    import asyncio\n    await asyncio.Event().wait()\n{FIRST}"),
        "await asyncio.Event().wait()",
    ),
    "k06_wait_in_plain_task": (
        changed(TASK, f"{TASK}    import threading\n    threading.Event().wait()\n"),
        "threading.Event().wait()",
    ),
}


@pytest.fixture
def amber(project: Project, once: Once) -> pytest.RunResult:
    """A kata for each way not to run, and a good one at each end."""

    def run() -> pytest.RunResult:
        project.add(KATA, RIGHT)
        for name, (answer, _) in AMBER.items():
            project.add(name, answer)
        project.add("k99_last", RIGHT)
        result = project.run("-v", "--timeout=1", "-p", "no:cacheprovider")
        counts = list(project.path.glob("katas/*/*.count"))
        result.stdout.lines.append(f"imported {len(counts)} times")
        return result

    return once("amber", run)


@pytest.fixture
def endless(project: Project, once: Once) -> pytest.RunResult:
    """A kata for each way not to end, one spec of each, and a good one at each end."""

    def run() -> pytest.RunResult:
        project.add(KATA, RIGHT)
        for name, (answer, _) in ENDLESS.items():
            project.add(name, answer)
        project.add("k99_last", RIGHT)
        return project.run("-v", "--timeout=1", "-k", "the_client_is_told or k01 or k99")

    return once("endless", run)


@pytest.mark.parametrize("name", AMBER)
def test_an_answer_that_does_not_run_is_amber_and_says_where_and_why(amber, name):
    """Amber is another thing than wrong: there is a line to mend before anything can be said."""
    number = name[:3]
    message = AMBER[name][1]

    assert lights(amber)[number] == "amber"
    assert message in " ".join(part(amber, number).split())


def test_one_reason_is_said_once_for_all_specs(amber):
    """Nine times the same syntax error is not nine times as helpful."""
    assert part(amber, "k02").count("SyntaxError") == 1


def test_other_katas_are_not_touched_by_what_does_not_run(amber):
    """A syntax error in one kata is nobody else's."""
    assert lights(amber)["k01"] == "green"
    assert lights(amber)["k99"] == "green"


def test_an_import_that_never_ends_costs_its_time_limit_twice(amber):
    """Nine specs would otherwise wait for nine limits; once may be the machine's fault."""
    assert amber.stdout.lines[-1] == "imported 2 times"
    message = " ".join(part(amber, "k11").split())
    assert "busy at katas/k11_endless_import/app.py:3 `while True: pass`" in message


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_that_does_not_end_is_stopped_and_says_where_it_was(endless, name):
    """Somebody who waits wants to know for what."""
    answer, source = ENDLESS[name]
    line = next(n for n, text in enumerate(answer.splitlines(), 1) if source in text)

    assert lights(endless)[name[:3]] == "red"
    assert f"app.py:{line} `{source}`" in " ".join(part(endless, name[:3]).split())


def test_other_katas_are_not_touched_by_what_does_not_end(endless):
    """A thread that still spins must not eat the time of the specs after it."""
    assert lights(endless)["k01"] == "green"
    assert lights(endless)["k99"] == "green"


def test_without_a_limit_of_ones_own_a_wait_says_where_it_is(project):
    """An exchange gives up before the spec's own limit, and knows as much."""
    project.add("k06_wait_in_plain_task", ENDLESS["k06_wait_in_plain_task"][0])

    result = project.run("-k", "the_client_is_told")

    assert "`threading.Event().wait()`" in " ".join(part(result, "k06").split())


def test_katas_that_a_tree_lacks_are_grey_and_the_others_run(project):
    """Most submissions are not complete."""
    project.add()
    project.add("k02_again")
    project.answer(CALLED, project.path / "ada" / "k02_again")

    result = project.run("--solutions", "ada")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert lights(result) == {"k01": "grey", "k02": "red"}
    assert scores(result)["k01"][0] == 0
    result.stdout.no_fnmatch_line("*Welcome*")


def test_a_tree_without_answers_is_a_usage_error(project):
    """Exit code 4 says that nothing was tested; 1 would say that a spec failed."""
    project.add()

    result = project.run("--solutions", "nowhere")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: no solutions in *nowhere, which is not there: looked for *"]
    )


@pytest.mark.fast
@pytest.mark.parametrize(("tree", "there"), [("nowhere", "is not there"), ("empty", "has none")])
def test_a_path_without_solutions_is_told_what_was_looked_for(tmp_path, tree, there):
    """The message is the documentation that is at hand."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")

    with pytest.raises(SolutionsNotFoundError) as raised:
        find_solutions(tmp_path / tree, read_catalogue(ROOT))

    assert f"{tree}, which {there}: looked for" in str(raised.value)
    assert str(Path(tree) / KATA / "app.py") in str(raised.value)


def test_a_broken_catalogue_is_a_usage_error(project):
    """The author of a kata learns which file, and which key, in one line."""
    project.add()
    (project.path / "katas" / KATA / "kata.toml").write_text(TOML.replace("belt", "bell"))

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: katas/{KATA}/kata.toml: the key `belt` is missing: give *"]
    )


@pytest.mark.fast
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('belt = "white"', 'belt = "white', "not TOML: "),
        ('belt = "white"', 'belt = "blue"', "`belt` is 'blue': give white or green or black"),
        ('belt = "white"', "", "the key `belt` is missing"),
        ("minutes = 15", 'minutes = "15"', "`minutes` is '15': give a whole number above 0"),
        ("minutes = 15", "minutes = true", "`minutes` is True: give a whole number above 0"),
        ("points = 10", "points = 0", "`points` is 0: give a whole number above 0"),
        ("points = 10", "points = 10\npoint = 1", "the key `point` is not known"),
        ('essential = ["', 'essential = [1, "', "`essential` must be a list of names of specs"),
        ("hints = [", 'hints = [\n  "One more.",', "`hints` must be a list of exactly three texts"),
        ("hints = [", 'hints = "none"\nrest = [', "`hints` is 'none': give a list of three texts"),
        ('title = "', 'title = 1 # "', "`title` is 1: give a text"),
    ],
)
def test_the_catalogue_names_the_file_and_the_key_that_it_cannot_use(tmp_path, old, new, message):
    """A kata that is not quite right is not quietly left out."""
    folder = tmp_path / "katas" / KATA
    folder.mkdir(parents=True)
    (folder / "kata.toml").write_text(changed(old, new, TOML), encoding="utf-8")

    with pytest.raises(CatalogueError) as broken:
        read_catalogue(tmp_path)

    assert str(broken.value).startswith(f"katas/{KATA}/kata.toml: {message}")
