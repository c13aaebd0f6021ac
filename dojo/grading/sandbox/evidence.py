"""Evidence in the text of a solution: names that an honest one does not need."""

from __future__ import annotations

import ast

from dojo.grading.routes import routes
from dojo.grading.sandbox.protocol import Job, JobReport

EVIDENCE = 40
NAMES = {
    "_getframe": "frames",
    "_current_frames": "frames",
    "f_back": "frames",
    "f_locals": "frames",
    "f_globals": "frames",
    "tb_frame": "frames",
    "cr_frame": "frames",
    "gi_frame": "frames",
    "__subclasses__": "all classes",
    "__closure__": "closures",
    "cell_contents": "closures",
    "__code__": "code objects",
    "__globals__": "the names of other modules",
    "get_objects": "all objects",
    "get_referrers": "all objects",
    "get_referents": "all objects",
    "_exit": "the end of the process",
    "modules": "all modules",
    "addaudithook": "an audit hook",
}
LIGHT = ("ctypes", "gc", "pluggy", "pytest", "_pytest", "solutions", "tests")
# The second line is what Python has below its modules, where nothing is seen.
HEAVY = (
    "dojo",
    *("posix", "_io", "_socket", "_sqlite3"),
)
# Ways to code that is not the solution's own, which no honest one has been seen to go.
REACHES = (
    *("__globals__", "__subclasses__", "cell_contents"),
    *("get_objects", "get_referrers", "get_referents"),
)
SPEC_NAME = "PYTEST_CURRENT_TEST"


def suspicious(source: bytes) -> tuple[list[str], list[str]]:
    """What is unusual in the text of a solution: the light evidence and the heavy."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], []
    light: dict[str, None] = {}
    heavy: dict[str, None] = {}
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            weight = heavy if node.attr in REACHES else light
            weight[f"app.py:{line} names {node.attr}: {NAMES[node.attr]}"] = None
        elif isinstance(node, ast.Constant) and id(node) not in texts:
            if SPEC_NAME in str(node.value):
                heavy[f"app.py:{line} asks for the name of the spec ({SPEC_NAME})"] = None
            if node.value in REACHES:
                heavy[f"app.py:{line} names {node.value}: {NAMES[node.value]}"] = None
            if isinstance(node.value, str) and node.value.startswith("dojo."):
                heavy[f"app.py:{line} names a module of the grader: {node.value}"[:200]] = None
        for name in names:
            top = name.partition(".")[0]
            if top in LIGHT or top in HEAVY:
                (heavy if top in HEAVY else light)[f"app.py:{line} imports {name}"] = None
    return list(light)[:EVIDENCE], list(heavy)[:EVIDENCE]


def first_report(job: Job) -> JobReport:
    """The report on a job before its solution runs: what its text says."""
    source = job.source.encode("utf-8", "surrogateescape")
    light, heavy = suspicious(source)
    return JobReport(routes=routes(source), evidence=light, heavy=heavy)
