"""JUnit XML in the shape that pytest writes, for GitLab, Jenkins and the rest."""

from __future__ import annotations

from xml.etree import ElementTree

from dojo.grading.formats import Context
from dojo.grading.formats._common import (
    clean,
    one_line,
    passed,
    shortened,
    story_of,
    verdict_on,
)
from dojo.grading.results import KataResult, Results, SpecResult, State, SubmissionResult

HEAD = 300


def emit(results: Results, _context: Context) -> str:
    """All submissions, one suite each; `<error>` is only for what could not be graded."""
    root = ElementTree.Element("testsuites", name="dojo grade")
    for submission in results.submissions:
        root.append(_suite(submission))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _suite(submission: SubmissionResult) -> ElementTree.Element:
    cases = [case for kata in submission.katas for case in _cases(kata)]
    counts = {
        kind: str(sum(case.find(tag) is not None for case in cases))
        for kind, tag in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped"))
    }
    suite = ElementTree.Element(
        "testsuite",
        {"name": clean(submission.name), **counts},
        tests=str(len(cases)),
        time=f"{submission.seconds:.3f}",
    )
    suite.extend(cases)
    return suite


def _cases(kata: KataResult) -> list[ElementTree.Element]:
    if kata.state is State.UNGRADABLE and not kata.specs:
        case = _case(clean(kata.kata), "the kata can be graded", kata.seconds)
        return [_with(case, "error", verdict_on(kata))]
    cases = [_spec(kata, spec) for spec in kata.specs]
    if kata.state is State.REVIEW and cases:
        found = "\n".join([verdict_on(kata), *map(clean, kata.evidence)])
        ElementTree.SubElement(cases[0], "system-err").text = found
    return cases


def _spec(kata: KataResult, spec: SpecResult) -> ElementTree.Element:
    file, _, name = clean(spec.id).partition("::")
    case = _case(file.removesuffix(".py").replace("/", "."), name or file, spec.seconds)
    if not passed(kata, spec):
        known = () if kata.state is State.REVIEW else kata.evidence
        evidence = "".join(f"\n{clean(line)}" for line in known)
        tag = "error" if kata.state is State.UNGRADABLE else "failure"
        _with(case, tag, story_of(kata, spec) + evidence)
    if spec.printed:
        ElementTree.SubElement(case, "system-out").text = clean(spec.printed)
    return case


def _case(classname: str, name: str, seconds: float) -> ElementTree.Element:
    return ElementTree.Element("testcase", classname=classname, name=name, time=f"{seconds:.3f}")


def _with(case: ElementTree.Element, tag: str, text: str) -> ElementTree.Element:
    head = shortened(one_line(text.partition("\n")[0]), HEAD)
    ElementTree.SubElement(case, tag, message=head).text = text
    return case
