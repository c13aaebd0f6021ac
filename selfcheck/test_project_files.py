"""The files that other programs read, and that nobody here runs: CI, forms, editors, packaging."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dojo.cli import parser
from selfcheck.projects import ROOT

pytestmark = pytest.mark.fast
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[0-9]-*.yml"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
YAML = [ROOT / ".pre-commit-config.yaml", *sorted(GITHUB.rglob("*.yml"))]
# An action, a commit, and the version in a comment, which Dependabot changes together with it.
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def named(files: list[Path]) -> list[Any]:
    return [pytest.param(file, id=file.name) for file in files]


@pytest.mark.parametrize("file", named(YAML))
def test_each_yaml_file_is_a_mapping(file: Path):
    """GitHub says nothing about a form or a workflow that it cannot read: it is just not there."""
    assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("file", named(WORKFLOWS))
def test_each_action_is_pinned_by_commit(file: Path):
    """A tag can be moved to other code, a commit cannot."""
    used = re.findall(r"uses: (.+)", file.read_text(encoding="utf-8"))

    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("file", named(WORKFLOWS))
def test_each_job_may_only_read_and_has_a_limit(file: Path):
    """A job that hangs costs hours, and one that may write can be made to."""
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))

    assert workflow["permissions"] == {"contents": "read"}
    assert [n for n, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []


def test_the_learners_part_runs_on_three_systems():
    """Most learners have no Linux."""
    (ci,) = (yaml.safe_load(f.read_text(encoding="utf-8")) for f in WORKFLOWS if f.stem == "ci")
    learner = ci["jobs"]["learner"]
    said = "\n".join(step.get("run", "") for step in learner["steps"])

    systems = ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert learner["strategy"]["matrix"]["os"] == systems
    assert "python run.py" in said
    assert "pytest --solutions solutions" in said


@pytest.mark.parametrize("file", named(FORMS))
def test_each_question_of_a_form_has_a_name_of_its_own(file: Path):
    """A form with two equal ids is not shown."""
    form = yaml.safe_load(file.read_text(encoding="utf-8"))
    questions = [part for part in form["body"] if part["type"] != "markdown"]
    ids = [question["id"] for question in questions]

    assert {"name", "description", "body"} <= set(form)
    assert len(set(ids)) == len(ids)
    assert all(question["attributes"]["label"] for question in questions)


def test_the_container_makes_the_environment_as_a_learner_does():
    """With `run.py`, and pytest is what its terminals and its editor find there."""
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    settings = container["customizations"]["vscode"]["settings"]

    assert container["postCreateCommand"].startswith("python3 run.py")
    assert "/.venv/bin:" in container["remoteEnv"]["PATH"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    assert settings["python.testing.pytestEnabled"] is True


def vscode(name: str) -> Any:
    return json.loads((ROOT / ".vscode" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_editor_finds_the_specs_and_reads_what_is_red():
    """A task runs `dojo watch`, and its places become entries in the list of problems."""
    settings, (watch, _) = vscode("settings"), vscode("tasks")["tasks"]
    pattern = watch["problemMatcher"]["pattern"]
    when = watch["problemMatcher"]["background"]
    line = "katas/k02_welcome_email/app.py:66: error: 'mail' came before the response"

    found = re.match(pattern["regexp"], line)
    assert settings["python.testing.pytestEnabled"] is True
    assert settings["python.testing.pytestArgs"] == ["tests"]
    assert "watch" in watch["args"]
    assert found is not None
    assert found[pattern["file"]] == "katas/k02_welcome_email/app.py"
    assert found[pattern["line"]] == "66"
    assert found[pattern["message"]] == "'mail' came before the response"
    assert re.match(when["beginsPattern"], "running k02_welcome_email")
    assert re.match(when["endsPattern"], "● red    k02  ✗✗·  0/3  0.12 s")


def test_the_editor_debugs_a_spec_and_the_running_app():
    """By commands that there are, in the process that is debugged."""
    spec, app = vscode("launch")["configurations"]

    assert spec["module"] == "pytest"
    assert app["module"] == "dojo.cli"
    asked = parser().parse_args([word.replace("${file}", "k02") for word in app["args"]])
    assert asked.no_reload is True


def test_each_version_of_python_that_is_named_is_tried():
    """CI has run the project with all of them."""
    text = (GITHUB / "workflows" / "ci.yml").read_text(encoding="utf-8")
    tried = yaml.safe_load(text)["jobs"]["selfcheck"]["strategy"]["matrix"]["python"]
    classifiers = PYPROJECT["project"]["classifiers"]
    said = [c.rpartition(" ")[2] for c in classifiers if re.search(r"Python :: 3\.\d+$", c)]

    assert said == tried
    assert PYPROJECT["project"]["requires-python"] == f">={tried[0]}"


def test_the_changelog_keeps_its_form():
    """Kinds of changes that a reader knows, each with something in it."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    kinds = re.findall(r"^### (\w+)\n\n- ", text, re.MULTILINE)

    assert text.startswith("# Changelog\n")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
    assert len(kinds) == text.count("\n### ")
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_some_of_every_part_is_fast():
    """`pytest selfcheck -m fast` must not leave out a whole part."""
    folders = {file.parent for file in (ROOT / "selfcheck").rglob("test_*.py")}
    fast = {
        file.parent
        for file in (ROOT / "selfcheck").rglob("test_*.py")
        if "pytest.mark.fast" in file.read_text(encoding="utf-8")
    }

    assert sorted(folder.name for folder in folders - fast) == []
