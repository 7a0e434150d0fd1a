"""Imports go one way: epbell_regs <- epbell, epbell_models; both <- epbell_tb. A model never sees the RTL.

A model that took its tables from the RTL would agree with every mistake in them.
"""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FORBIDDEN = {
    "rtl/epbell_regs": {"epbell", "epbell_models", "epbell_tb", "amaranth", "cocotb", "cocotbext", "cocotb_tools"},
    "rtl/epbell": {"epbell_models", "epbell_tb", "cocotb", "cocotbext", "cocotb_tools"},
    "models/epbell_models": {"epbell", "epbell_tb", "amaranth", "cocotb", "cocotbext", "cocotb_tools"},
}
FILES = [(root, path) for root in FORBIDDEN for path in sorted((PROJECT / root).rglob("*.py"))]


def imported(source: str) -> set[str]:
    """Top-level packages that a module imports, also inside functions and through importlib."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names.update(arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(("root", "path"), FILES, ids=lambda value: Path(value).name if isinstance(value, Path) else "")
def test_imports_go_one_way(root, path):
    wrong = imported(path.read_text(encoding="utf-8")) & FORBIDDEN[root]
    assert not wrong, f"{path.relative_to(PROJECT)} must not import {', '.join(sorted(wrong))}"


def test_every_root_has_files():
    assert {root for root, _ in FILES} == set(FORBIDDEN)
    assert len(FILES) > 20


@pytest.mark.parametrize(
    "source",
    [
        "import epbell",
        "import epbell.mu as mu",
        "from epbell.csr import Block",
        "def f():\n    from epbell import mu",
        "import importlib\nimportlib.import_module('epbell.mu')",
    ],
)
def test_the_walk_sees_every_way_to_import(source):
    assert "epbell" in imported(source)


def test_the_walk_is_not_fooled_by_names_that_begin_alike():
    assert imported("import epbell_regs\nfrom . import epbell") == {"epbell_regs"}
