"""Has each class name of the product one meaning, and are identifiers the words of the field?"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("simulator", "models", "reports", "stasim", "experiments")
AVOIDED = {"told", "anew", "whoever", "whole", "stands", "wish", "schooling", "fed", "worth"}
"""Words that say nothing to a reader of the field. (`many` is one only behind `so`.)"""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def identifiers(module: ast.Module) -> Iterator[str]:
    """Names that a module gives: of functions, classes, arguments, variables, attributes."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_a_class_name_is_defined_once() -> None:
    places = defaultdict(list)
    for path, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_identifiers_are_the_fields_words() -> None:
    found = []
    for path, module in modules():
        for name in identifiers(module):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
            if AVOIDED & set(words) or "so_many" in name:
                found.append(f"{path}: {name}")
    assert found == []


def test_tests_have_short_names() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert [name for name in names if len(name) > 40] == []


TABLES = {"simulator/results/schema.py"}
MOST_LINES = 350


def test_files_are_short_and_few_lie_loose() -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in files}
    assert {name for name, count in lines.items() if count > MOST_LINES} <= TABLES
    assert len(list((ROOT / "simulator").glob("*.py"))) <= 12
    assert len(list((ROOT / "models").glob("*.py"))) <= 8
