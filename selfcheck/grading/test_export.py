"""An export works at its destination: in a class, on GitHub, GitLab, Gradescope, Classroom 50.

The scripts run unchanged, on a machine that lacks nothing but a network: its `pip` installs only
the folder after `-e`, beside the libraries that are here already, its `python3 -m venv` makes a
copy of itself, and its `sudo` does nothing.
"""

from __future__ import annotations

import compileall
import csv
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from jsonschema import Draft202012Validator

from dojo.cli import main
from dojo.grading.assignment import assigned
from dojo.grading.export import TEMPLATES
from selfcheck.projects import CALLED, CRASHES, KATA, LIGHT_ROW, PATIENCE, RIGHT, ROOT

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="the scripts are for bash")

STUB = f"katas/{KATA}/app.py"
ACTIONS = {
    "actions/checkout@v7",
    "actions/setup-python@v7",
    "actions/upload-artifact@v7",
    "actions/download-artifact@v8",
}
CLASSROOM = {
    "CLASSROOM": "dojo",
    "ASSIGNMENT": "katas",
    "SUBMISSION_TAG": "submit/2026-11-03T09-00-00Z-abc1234",
    "USERNAME": "ada",
    "OWNER": "ada",
    "ASSIGNMENT_TYPE": "individual",
    "COMMIT_URL": "https://example.com/commit",
    "RELEASE_URL": "https://example.com/release",
    "REVIEW_URL": "https://example.com/review",
}

# The programs of a machine. All find each other beside themselves, so that the whole can be copied.
PROGRAMS = {
    "dojo": 'exec "$(dirname "$0")/python" -P -m dojo.cli "$@"',
    "pip": """\
[ "$1 $2 $3 $5" = "install --quiet -c -e" ] && [ -f "$4" ] && [ -f "$6/pyproject.toml" ] || exit 2
cd "$6" && pwd > "$(echo "$(dirname "$0")"/../lib/*/site-packages)/grader.pth"
""",
    "python3": """\
here=$(dirname "$0")
[ "$1 $2" = "-m venv" ] && exec cp -a "$here/.." "$3"
exec "$here/python" "$@"
""",
    "sudo": "",
}


# ----- fixtures, and doubles of other machines


def export(*words: str | Path) -> int:
    return main(["export", *map(str, words), "--as-it-is"])


def tree(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by name."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read(template: str) -> dict[str, Any]:
    """A template in YAML."""
    content: dict[str, Any] = yaml.safe_load((TEMPLATES / template).read_text(encoding="utf-8"))
    return content


def schema(name: str) -> Draft202012Validator:
    file = Path(__file__).parent / "formats" / "schemas" / f"{name}.json"
    return Draft202012Validator(json.loads(file.read_text(encoding="utf-8")))


def git(folder: Path, *words: str) -> None:
    settings = ("user.name=Marta", "user.email=marta@example.com", "commit.gpgsign=false")
    options = [option for setting in settings for option in ("-c", setting)]
    subprocess.run(["git", "-C", str(folder), *options, *words], check=True)


class Machine:
    """A machine with Python, bash and the libraries, but no grader before `pip` installs one."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        venv.create(folder, symlinks=True)
        libraries = [path for path in sys.path if Path(path).name.endswith("-packages")]
        (site,) = folder.glob("lib/*/site-packages")
        (site / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
        for name, script in PROGRAMS.items():
            write_program(self.bin / name, script)

    def install(self, grader: Path) -> None:
        self.run("pip", "install", "--quiet", "-c", grader / "constraints.txt", "-e", grader)

    def run(
        self, *words: str | Path, cwd: Path | None = None, **environment: str | Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a program with nothing of this process's environment."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [shutil.which(words[0], path=path) or words[0], *words[1:]],
            cwd=cwd or self.bin,
            env={"PATH": path, **{name: str(value) for name, value in environment.items()}},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )

    def bash(self, script: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run("bash", "-eo", "pipefail", "-c", script, **more)


def write_program(file: Path, script: str) -> None:
    # An existing entry may be a link to the real Python, which must not be overwritten.
    file.unlink(missing_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """The repository of a class that begins with the first kata."""
    folder = tmp_path / "fresh"
    assert export("class", folder, "--kata", "k01") == 0
    return folder


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, compiled once for all who copy it; not to be changed."""
    folder = tmp_path_factory.mktemp("school") / "katas"
    assert export("class", folder, "--kata", "k01") == 0
    assert compileall.compile_dir(folder / "dojo", quiet=1)
    return folder


@pytest.fixture
def learner(school: Path, tmp_path: Path) -> Callable[..., Path]:
    """A learner's copy of the class repository, with a solution, and with empty specs."""

    def make(name: str, solution: str) -> Path:
        folder = tmp_path / "learners" / name
        shutil.copytree(school, folder)
        (folder / STUB).write_text(solution, encoding="utf-8")
        (folder / "tests" / f"test_{KATA}.py").write_text("def test_nothing(): pass\n")
        return folder

    return make


class Actions:
    """As much of GitHub's runner as the workflow needs."""

    def __init__(self, folder: Path, machine: Machine, **sources: Path) -> None:
        self.folder = folder
        self.machine = machine
        self.sources = sources
        self.summary = folder / "summary.md"
        self.artifacts = folder / "artifacts"
        self.jobs = read("grade.yml")["jobs"]

    def run(
        self, job: str, expressions: Mapping[str, str], *, false: tuple[str, ...] = ()
    ) -> dict[str, subprocess.CompletedProcess[str]]:
        """Run a job on a machine of its own; the output of its scripts, by the names of the steps.

        `false` are the conditions of steps that do not hold.
        """
        workspace = self.folder / "-".join([job, *expressions.values()]).replace("/", "")
        workspace.mkdir()
        done: dict[str, subprocess.CompletedProcess[str]] = {}
        for step in self.jobs[job]["steps"]:
            condition = str(step.get("if", ""))
            failed = any(result.returncode for result in done.values())
            if condition in false or (failed and "!cancelled()" not in condition):
                continue
            if "hashFiles" in condition and not (workspace / "results.json").exists():
                continue
            if "run" in step:
                done[step["name"]] = self._run(step, workspace, expressions)
            else:
                self._use(step["uses"], filled(step.get("with", {}), expressions), workspace)
        return done

    def _run(
        self, step: dict[str, Any], workspace: Path, expressions: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        environment = filled(step.get("env", {}), expressions)
        github = {"GITHUB_STEP_SUMMARY": self.summary, "GITHUB_WORKSPACE": workspace}
        return self.machine.run(
            "bash", "-e", "-c", step["run"], cwd=workspace, CI="true", **github, **environment
        )

    def _use(self, action: str, given: dict[str, str], workspace: Path) -> None:
        name = action.partition("@")[0]
        if name == "actions/checkout":
            source = "grader" if "repository" in given else "own"
            shutil.copytree(self.sources[source], workspace / given["path"])
        elif name == "actions/upload-artifact":
            for pattern in given["path"].split():
                for file in workspace.glob(pattern):
                    (self.artifacts / given["name"]).mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, self.artifacts / given["name"])
        elif name == "actions/download-artifact":
            assert given["merge-multiple"]
            (workspace / given["path"]).mkdir()
            for file in self.artifacts.glob(f"{given['pattern']}/*"):
                shutil.copy(file, workspace / given["path"])


def step_of(github: Actions, job: str, name: str) -> dict[str, Any]:
    (step,) = [step for step in github.jobs[job]["steps"] if step.get("name") == name]
    return dict(step)


def filled(values: Mapping[str, Any], expressions: Mapping[str, str]) -> dict[str, Any]:
    """The values, with an expression replaced by what it stands for; each must be known."""

    def fill(value: object) -> object:
        if not isinstance(value, str):
            return value
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: expressions[found[1]], value)

    return {key: fill(value) for key, value in values.items()}


# ----- the exported files


def test_a_class_gets_katas_specs_and_tool_and_nothing_else(fresh):
    """A solution that slips out cannot be taken back."""
    files = tree(fresh)
    tool = {name for name in files if name.startswith("dojo/")}

    assert set(files) - tool == {
        ".github/workflows/grade.yml",
        ".gitignore",
        ".gitlab-ci.yml",
        "LICENSE",
        "README.md",
        "conftest.py",
        "constraints.txt",
        f"katas/{KATA}/README.md",
        f"katas/{KATA}/app.py",
        f"katas/{KATA}/kata.toml",
        "pyproject.toml",
        "run.py",
        f"tests/test_{KATA}.py",
    }
    assert tool == {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "dojo").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert RIGHT.encode() not in files.values()
    assert files[".github/workflows/grade.yml"] == (TEMPLATES / "grade.yml").read_bytes()
    assert files[".gitlab-ci.yml"] == (TEMPLATES / "gitlab-ci.yml").read_bytes()


def test_the_readme_of_a_class_names_only_existing_files(fresh):
    """A learner who is sent to a folder that is not there is lost on the first page."""
    readme = (fresh / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w.*/-]*/[\w.*/-]*)`|\]\(([^)]+)\)", readme)
    words = set(re.findall(r"\w+", readme.lower()))

    assert [name for pair in named for name in pair if name and not [*fresh.glob(name)]] == []
    assert f"](katas/{KATA}/README.md)" in readme
    assert words.isdisjoint({"solutions", "selfcheck", "benchmarks", "contributing"})


@pytest.mark.parametrize(("kind", "name"), [("class", "a"), ("gradescope", "a.zip")])
def test_nothing_that_is_there_is_overwritten(kind, name, tmp_path, capsys):
    """The folder may be a term's work."""
    target = tmp_path / name
    target.mkdir()
    (target / "mine.txt").write_text("mine")

    assert export(kind, target) == 2
    assert export(kind, target / "mine.txt") == 2
    assert export(kind, tmp_path / "missing" / "a") == 2
    assert tree(tmp_path) == {f"{name}/mine.txt": b"mine"}
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["dojo export"] * 3
    assert str(target) in lines[0]


def test_an_empty_folder_is_filled_but_not_the_one_that_one_is_in(tmp_path, monkeypatch, capsys):
    """A shell in a folder that was replaced shows it empty for ever."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new").mkdir()

    assert export("class", "new", "--kata", "k01") == 0
    assert (tmp_path / "new" / STUB).is_file()
    monkeypatch.chdir(tmp_path / "new" / "katas" / KATA)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert export("class", ".") == 2
    assert "the folder that you are in" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(OSError("disk full"), 3), (KeyboardInterrupt(), 130)])
@pytest.mark.parametrize(
    ("kind", "step"), [("class", (Path, "write_bytes")), ("gradescope", (zipfile.ZipFile, "open"))]
)
def test_an_export_that_fails_leaves_nothing(
    kind, step, error, code, tmp_path, monkeypatch, capsys
):
    """Half a repository looks like a whole one."""
    owner, name = step
    real = getattr(owner, name)
    calls: list[object] = []

    def fails_at_last(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) > 20:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, fails_at_last)

    assert export(kind, tmp_path / "target") == code
    assert list(tmp_path.iterdir()) == []
    assert "nothing was written" in capsys.readouterr().err


@pytest.fixture
def mine(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of a teacher, to export from."""
    for module in ("cli", "export"):
        monkeypatch.setattr(f"dojo.grading.{module}.ROOT", fresh)
    return fresh


def test_what_was_exported_can_be_exported_again(mine, tmp_path):
    """A colleague passes on the export, without the backup files of an editor."""
    got = tree(mine)
    for name in ("grade.yml~", ".setup.sh.swp", "#README.class.md#", "__pycache__/autograder.pyc"):
        left = mine / "dojo" / "grading" / "templates" / name
        left.parent.mkdir(exist_ok=True)
        left.write_text("left")

    assert main(["export", "class", str(tmp_path / "again")]) == 0
    assert tree(tmp_path / "again") == got


def test_a_stub_that_was_filled_in_is_not_given_away(mine, tmp_path, capsys):
    """Teachers solve the katas too, and in the same folder."""

    def refused(*options: str) -> bool:
        code = main(["export", "class", str(tmp_path / "given"), *options])
        assert code == (2 if STUB in capsys.readouterr().err else 0)
        assert (tmp_path / "given").exists() == (code == 0)
        shutil.rmtree(tmp_path / "given", ignore_errors=True)
        return code == 2

    half = (mine / STUB).read_text(encoding="utf-8").replace("raise NotImplementedError", "...", 1)
    assert not refused()
    git(mine, "init", "--quiet")
    git(mine, "add", ".")
    git(mine, "commit", "--quiet", "--message=The class")
    assert not refused()

    (mine / STUB).write_text(half, encoding="utf-8")
    assert refused()
    assert not refused("--as-it-is")

    (mine / STUB).write_text(RIGHT, encoding="utf-8")
    git(mine, "commit", "--quiet", "--all", "--message=Solved")
    assert refused()


def test_each_script_is_good_shell():
    """No person reads their messages when they run."""
    jobs = [*read("grade.yml")["jobs"].values(), read("gitlab-ci.yml")["grade"]]
    steps = [step.get("run", "") for job in jobs for step in job.get("steps", ())]
    scripts = [
        *(
            (TEMPLATES / name).read_text(encoding="utf-8")
            for name in ("setup.sh", "run_autograder")
        ),
        *steps,
        *("\n".join(job["script"]) for job in jobs if "script" in job),
    ]
    commands = [["bash", "-n"]]
    if shutil.which("shellcheck"):
        commands.append(["shellcheck", "--shell=bash", "-"])

    failed = [
        (script, command)
        for script in scripts
        for command in commands
        if subprocess.run(command, input=script, text=True).returncode
    ]
    assert failed == []
    assert len(scripts) > 15


# ----- a class


def test_a_class_begins_with_grey_lights_and_its_own_tool(school, machine, tmp_path):
    """The first thing that a learner sees is a summary, not a traceback."""
    mine = tmp_path / "mine"
    shutil.copytree(school, mine)
    machine.install(mine)

    run = machine.run("python", "-m", "pytest", "--trace-config", "-p", "no:randomly", cwd=mine)

    assert run.returncode == 1, run.stdout + run.stderr
    assert LIGHT_ROW.findall(run.stdout) == [("grey", "k01", "0", "10")]
    assert f"from '{mine / 'dojo' / 'plugin'}{os.sep}" in run.stdout


def test_grading_the_repository_of_a_class_gives_the_right_points(school, learner, tmp_path):
    """No points for an untouched stub, all points of its kata for a right solution."""
    learner("ada", RIGHT)
    learner("untouched", (school / STUB).read_text(encoding="utf-8"))
    out = tmp_path / "results.json"

    code = main(["grade", "--kata", "k01", "--each", str(tmp_path / "learners"), "--out", str(out)])

    graded = json.loads(out.read_text(encoding="utf-8"))["submissions"]
    assert code == 0
    assert {s["name"]: (s["score"], s["max_score"]) for s in graded} == {
        "ada": (10.0, 10.0),
        "untouched": (0.0, 10.0),
    }


# ----- GitHub Actions


def test_the_workflow_keeps_what_a_learner_writes_out_of_the_shell():
    """A name that is pasted into a script is a script."""
    workflow = read("grade.yml")
    jobs = workflow["jobs"].values()
    steps = [step for job in jobs for step in job["steps"]]
    checkouts = [s["with"] for s in steps if s.get("uses", "").startswith("actions/checkout@")]

    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 120 and "permissions" not in job for job in jobs)
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []
    assert {step["uses"] for step in steps if "uses" in step} == ACTIONS
    assert {given["persist-credentials"] for given in checkouts} == {False}
    assert {given.get("repository", "own") for given in checkouts} == {
        "own",
        "${{ vars.DOJO_GRADER || github.repository }}",
    }


def test_a_push_is_graded_by_the_specs_of_the_school(school, learner, machine, tmp_path):
    """Failures are shown at the learner's own lines, also where the specs there were changed."""
    own = learner("ada", CRASHES)
    github = Actions(tmp_path, machine, own=own, grader=school)
    expressions = {
        "github.event.repository.name": "katas-ada",
        "vars.DOJO_GRADER || github.repository": "school/katas",
        "vars.DOJO_GRADER_REF": "v1",
    }

    done = github.run("grade", expressions, false=("${{ !vars.DOJO_GRADER }}",))

    line = 1 + CRASHES.splitlines().index('    raise LookupError("no such thing")')
    output = done["Show the failures at the lines of the solution"].stdout
    results = json.loads((github.artifacts / "results" / "results.json").read_text("utf-8"))
    assert [result.returncode for result in done.values()] == [0] * 4, done
    assert f"::error file={STUB},line={line},title=k01" in output
    assert "| Submission | Score |" in github.summary.read_text(encoding="utf-8")
    assert [s["name"] for s in results["submissions"]] == ["katas-ada"]
    assert 0 < results["submissions"][0]["score"] < 10


def test_a_course_is_graded_in_parts_and_put_together(school, learner, machine, tmp_path):
    """A missing part must not look like a course with fewer submissions."""
    course = tmp_path / "course"
    folder = "term $(touch hacked) 1"
    for name, solution in {"ada": RIGHT, "grace": CALLED}.items():
        shutil.copytree(learner(name, solution), course / folder / name)
    github = Actions(tmp_path, machine, own=course, grader=school)
    expressions = {
        "vars.DOJO_GRADER || github.repository": "school/katas",
        "vars.DOJO_GRADER_REF": "v1",
        "inputs.submissions": folder,
        "strategy.job-total": "2",
    }

    parts = [github.run("course", {**expressions, "matrix.part": part}) for part in "12"]
    done = github.run("gradebook", expressions)

    gradebook = (github.artifacts / "gradebook" / "gradebook.csv").read_text(encoding="utf-8")
    rows = {row["submission"]: row["score"] for row in csv.DictReader(gradebook.splitlines())}
    assert [step.returncode for job in (*parts, done) for step in job.values()] == [0] * 9, done
    assert rows.keys() == {"ada", "grace"}
    assert float(rows["grace"]) < float(rows["ada"]) == 10
    assert (github.artifacts / "gradebook" / "report.html").stat().st_size > 1000
    assert not list(tmp_path.rglob("hacked"))

    parts_folder = tmp_path / "missing" / "parts"
    shutil.copytree(github.artifacts / "part-1", parts_folder)
    last = step_of(github, "gradebook", "Fail when a part is missing")
    missing = machine.bash(last["run"], cwd=parts_folder.parent)
    assert missing.returncode == 1
    assert "::error title=Not the whole course::There are results of 1 parts of 2" in missing.stdout


# ----- GitLab


def test_gitlab_shows_the_specs_of_the_school_as_tests(school, learner, machine, tmp_path):
    """JUnit XML is what its merge requests show."""
    project, grader = learner("ada", CALLED), tmp_path / "grader"
    shutil.copytree(school, grader)
    job = read("gitlab-ci.yml")["grade"]
    git(grader, "init", "--quiet")
    git(grader, "add", ".")
    git(grader, "commit", "--quiet", "--message=The class")
    git(grader, "tag", "v1")
    (grader / "tests" / f"test_{KATA}.py").unlink()
    git(grader, "commit", "--quiet", "--all", "--message=Not what was agreed on")

    done = machine.bash(
        "\n".join(job["script"]),
        cwd=project,
        CI_PROJECT_DIR=project,
        DOJO_GRADER=grader.as_uri(),
        DOJO_GRADER_REF="v1",
    )

    assert done.returncode == 0, done.stderr
    suite = ElementTree.parse(project / job["artifacts"]["reports"]["junit"]).getroot()[0]
    assert suite.get("tests") == "10"
    assert 0 < int(suite.get("failures", "0")) < 10
    assert [path for path in job["artifacts"]["paths"] if not (project / path).is_file()] == []
    assert "the line is written only after the response" in done.stdout.lower()


# ----- the assignment


def test_an_export_of_some_katas_names_them_as_the_assignment(tmp_path, fresh):
    """Of two katas, an untouched one must count, wherever the grader runs."""
    assert export("class", tmp_path / "two", "--kata", "k01", "--kata", "k05") == 0
    assert export("class", tmp_path / "all") == 0

    assert assigned(tmp_path / "two") == ["k01", "k05"]
    assert assigned(fresh) == ["k01"]
    assert assigned(tmp_path / "all") == assigned(ROOT) == []


# ----- Gradescope


def test_the_zip_is_the_same_each_time_and_can_be_run(tmp_path):
    """An autograder that did not change must not look as if it did."""
    for name in ("one.zip", "two.zip"):
        assert export("gradescope", tmp_path / name, "--kata", "k01") == 0

    archive = zipfile.ZipFile(tmp_path / "one.zip")
    modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert {n for n, mode in modes.items() if mode & 0o111} == {"setup.sh", "run_autograder"}
    assert all(stat.S_ISREG(mode) for mode in modes.values())
    assert {n.partition("/")[0] for n in modes} == {"setup.sh", "run_autograder", "grader"}
    ours = {"grader/dojo/solutions.py"}
    kept_back = ("solution", "__pycache__", ".pyc")
    assert not any(word in name for name in modes.keys() - ours for word in kept_back)
    assert not any(b"\r\n" in archive.read(name) for name in modes)


@pytest.fixture
def autograder(tmp_path: Path) -> Path:
    """Gradescope's folder, with an autograder for the first kata in it, and nothing set up."""
    folder = tmp_path / "autograder"
    (folder / "submission").mkdir(parents=True)
    assert export("gradescope", tmp_path / "autograder.zip", "--kata", "k01") == 0
    with zipfile.ZipFile(tmp_path / "autograder.zip") as archive:
        archive.extractall(folder / "source")
        for entry in archive.infolist():
            (folder / "source" / entry.filename).chmod(entry.external_attr >> 16)
    return folder


def graded(folder: Path, machine: Machine) -> dict[str, Any]:
    """Have the submission graded; the results for Gradescope, checked against its rules."""
    done = machine.run(folder / "source" / "run_autograder", cwd=folder, AUTOGRADER=folder)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads((folder / "results/results.json").read_text("utf-8"))
    schema("gradescope").validate(results)
    return results


def test_gradescope_sets_itself_up_and_grades_a_solution_without_its_folder(autograder, machine):
    """A student drops one file, and its folder is lost on the way."""
    (autograder / "submission" / "app.py").write_text(RIGHT, encoding="utf-8")

    ready = machine.run(
        autograder / "source" / "setup.sh", cwd=autograder / "source", AUTOGRADER=autograder
    )
    results = graded(autograder, machine)

    assert ready.returncode == 0, ready.stderr
    assert "grader: 0/10 points" in ready.stdout
    assert (results["score"], len(results["tests"])) == (10.0, 10)


def in_its_folder(submission: Path) -> None:
    (submission / KATA).mkdir()
    (submission / KATA / "app.py").write_text("ANSWER")


def in_a_checkout(submission: Path) -> None:
    (submission / "katas").mkdir()
    in_its_folder(submission / "katas")
    (submission / "app.py").write_text("ANOTHER")


def linked(submission: Path) -> None:
    (submission / "app.py").symlink_to(__file__)


def a_folder(submission: Path) -> None:
    (submission / "app.py").mkdir()


@pytest.mark.parametrize(
    ("hand_in", "found"),
    [
        (lambda submission: (submission / "app.py").write_text("ANSWER"), f"./{STUB}"),
        (in_its_folder, f"./{KATA}/app.py"),
        (in_a_checkout, f"./{STUB}"),
        (linked, ""),
        (a_folder, ""),
    ],
    ids=["lone file", "its folder", "checkout", "link", "folder"],
)
def test_only_a_lone_file_is_put_into_place(hand_in, found, autograder, machine):
    """A file in the right folder stays there, and a link is not followed."""
    hand_in(autograder / "submission")
    (autograder / "venv" / "bin").mkdir(parents=True)
    write_program(
        autograder / "venv" / "bin" / "dojo",
        """cd "$2" && file=$(find . -type f -exec grep -l ANSWER {} +)
        printf '{"score": 1, "output": "%s"}' "$file" > "$6\"""",
    )

    assert graded(autograder, machine)["output"] == found


@pytest.mark.parametrize(
    ("dojo", "cause"),
    [
        (None, "No such file or directory"),
        ("echo 'a \"quoted\" \\ path,\té and more' >&2; exit 3", "exit code 3: a  quoted    path"),
        ("kill -KILL $$", "exit code 137"),
        ("kill -KILL $PPID", "stopped before it had ended"),
    ],
    ids=["not installed", "says why", "killed", "all killed"],
)
def test_a_grader_that_fails_reports_that_it_is_no_grade(
    dojo, cause, autograder, machine, tmp_path
):
    """A silent zero is the worst that can come of it."""
    if dojo is not None:
        (autograder / "venv" / "bin").mkdir(parents=True)
        write_program(autograder / "venv" / "bin" / "dojo", dojo)

    machine.run(autograder / "source" / "run_autograder", cwd=autograder, AUTOGRADER=autograder)

    results = json.loads((autograder / "results" / "results.json").read_text(encoding="utf-8"))
    schema("gradescope").validate(results)
    assert results["output"].startswith("COULD NOT BE GRADED\n\n")
    assert cause in results["output"]


# ----- Classroom 50


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The files that Classroom 50 keeps with an assignment."""
    folder = tmp_path / "bundle"
    assert export("classroom50", folder, "--kata", "k01") == 0
    return folder


def test_classroom_50_gets_the_score_from_its_own_grader(bundle, learner, machine):
    """A learner's files named `dojo`, or like a module of Python, are not imported."""
    checkout = learner("ada", RIGHT)
    for name in ("dojo/__init__.py", "dojo/cli.py", "subprocess.py", "pathlib.py", "fastapi.py"):
        (checkout / name).write_text("raise SystemExit('the learner was here')\n")
    machine.install(bundle / "grader")

    done = machine.run("python", bundle / "autograder.py", cwd=checkout, **CLASSROOM)

    assert done.returncode == 0, done.stderr
    assert "the learner was here" not in done.stdout + done.stderr
    result = json.loads((checkout / "result.json").read_text(encoding="utf-8"))
    schema("classroom50").validate(result)
    assert (result["score"], result["max-score"]) == (10, 10)


def test_classroom_50_sees_a_failure_where_there_is_no_grader(bundle, learner, machine, tmp_path):
    """A score that nobody has given must not be read."""
    checkout = learner("ada", RIGHT)

    done = machine.run(
        "python", bundle / "autograder.py", cwd=checkout, DOJO_GRADER=tmp_path / "none", **CLASSROOM
    )

    assert done.returncode == 3
    assert f"::error::there is no grader in {tmp_path / 'none'}" in done.stderr
    assert not (checkout / "result.json").exists()
