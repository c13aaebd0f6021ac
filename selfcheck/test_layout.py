"""The layout shows itself: imports run one way, without cycles, and no module stands alone."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ABOVE = ("dojo.plugin", "dojo.grading", "dojo.commands", "dojo.run", "dojo.watch")
FORBIDDEN = {
    "dojo.harness": ABOVE,
    "dojo.observers": ABOVE,
    "dojo.doubles": ABOVE,
    "dojo.plugin": ("dojo.grading", "dojo.commands", "dojo.run", "dojo.watch"),
    "dojo.watch": ("dojo.grading", "dojo.run"),
    "dojo.session": ("dojo.plugin", "dojo.harness", "dojo.watch"),
}
# Modules that are started by a command line, by pytest, or by `python -m`.
STARTED = {
    "dojo.cli",
    "dojo.run.app",
    "dojo.watch.warm",
    "dojo.plugin.entry",
    "dojo.plugin.hooks",
    "dojo.grading.sandbox.alone",
    "dojo.grading.sandbox.servers",
}


def name_of(file: Path) -> str:
    """The dotted name of a module or a package."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    name_of(file): file
    for file in sorted((ROOT / "dojo").rglob("*.py"))
    if "templates" not in file.parts
}


def imports_of(module: str, *, only_at_import: bool = False) -> set[str]:
    """The modules of `dojo` that a module imports.

    With `only_at_import`, without those that it imports later, inside a function, or for types.
    """
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(FILES[module].read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if only_at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in inner}
        pending += ast.iter_child_nodes(node)
    return {name for name in found if name in FILES} - {module}


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_run_one_way(module):
    """The teaching tool must not need the grader, and the harness must not need pytest's plugin."""
    for package, forbidden in FORBIDDEN.items():
        if module == package or module.startswith(f"{package}."):
            wrong = [name for name in imports_of(module) if name.startswith(forbidden)]
            assert wrong == [], f"{module} imports {wrong}, and {package} must not"


def test_there_are_no_cycles():
    """A module can be read without the ones that import it."""
    graph = {module: imports_of(module, only_at_import=True) for module in FILES}
    list(TopologicalSorter(graph).static_order())


def test_no_module_exists_for_the_tests_alone():
    """A module that only a test imports belongs in `selfcheck/`."""
    specs = "\n".join(file.read_text(encoding="utf-8") for file in ROOT.glob("tests/test_k*.py"))
    imported = {name for module in FILES for name in imports_of(module)}
    imported |= {name for name in FILES if f"from {name} import" in specs}
    packages = {name for name, file in FILES.items() if file.name == "__init__.py"}
    formats = {name for name in FILES if name.startswith("dojo.grading.formats.")}
    assert sorted(set(FILES) - imported - packages - formats - STARTED) == []


def test_a_module_that_is_imported_for_its_names_is_found():
    """The three tests above see something."""
    assert "dojo.catalogue" in imports_of("dojo.plugin.hooks")
    assert imports_of("dojo.catalogue") == set()
