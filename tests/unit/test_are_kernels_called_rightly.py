"""Does Python call only kernels that were compiled for it? Another one would end the process."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = {"kernel", "kernel_part", "allocating_kernel", "allocating_part"}


def decorated(tree: ast.AST, names: set[str]) -> dict[str, ast.FunctionDef]:
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and {ast.unparse(each) for each in node.decorator_list} & names
    }


def named(node: ast.AST) -> Iterator[str]:
    """The names that code of Python uses, kernels left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef) and decorated(child, KERNELS):
            continue
        if isinstance(child, ast.Name | ast.Attribute):
            yield child.id if isinstance(child, ast.Name) else child.attr
        yield from named(child)


def imported(tree: ast.AST, module: str) -> set[str]:
    """Names of a module that another one imports; "*" where it imports the module."""
    package, _, name = module.rpartition(".")
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            found |= names if node.module == module else set()
            found |= {"*"} if node.module == package and name in names else set()
    return found


@functools.cache
def parsed() -> dict[Path, tuple[ast.Module, set[str]]]:
    folders = ("simulator", "models", "tests", "reports", "experiments")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    return {path: (tree, set(named(tree))) for path, tree in trees.items()}


def test_python_calls_no_part_of_a_kernel() -> None:
    found = 0
    for path in (ROOT / "simulator").rglob("*.py"):
        tree, own = parsed()[path]
        parts = set(decorated(tree, {"kernel_part", "allocating_part"}))
        found += len(parts)
        assert own & parts == set(), path
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for other, (another, names) in parsed().items():
            if names & parts:
                taken = imported(another, module)
                assert "*" not in taken, other
                assert names & parts & taken == set(), other
    assert found > 20


@pytest.mark.parametrize("source", ["inner(1)", "module.inner(1)", "def f():\n    return inner"])
def test_a_call_from_python_would_be_found(source: str) -> None:
    assert "inner" in set(named(ast.parse(source)))
    assert "inner" not in set(named(ast.parse("@kernel\ndef f():\n    return inner(1)")))
