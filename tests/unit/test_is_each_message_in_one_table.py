"""Does the text of every message stand in tests/messages.yaml, and is every text there in use?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.errors import ResultError
from tests.messages import TABLE, refused

TESTS = Path(__file__).parents[1]
LOOKUPS = {"said", "rows"}
"""Functions whose answers are texts of the table."""
PRINTED = re.compile(r"\.err\b|\berr$|str\(\w+\.value\)|message_of\(")
"""What holds a message: standard error, or an exception."""
CHANGED_ONLY = {"escape", "strerror"}
"""Functions that say nothing of their own: of a pattern, and of the operating system."""


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func).rpartition(".")[2]


def _is_of_the_table(node: ast.expr, known: set[str]) -> bool:
    """Whether an expression is made of texts of the table and marks alone."""
    if isinstance(node, ast.Constant):
        return not any(letter.isalpha() for letter in str(node.value))
    if isinstance(node, ast.Name):
        return node.id in known
    if _called(node) in LOOKUPS:
        return True
    if isinstance(node, ast.Call):
        return _called(node) in CHANGED_ONLY and (
            _called(node) == "strerror" or all(_is_of_the_table(each, known) for each in node.args)
        )
    if isinstance(node, ast.Subscript):
        return _is_of_the_table(node.value, known)
    parts = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    return bool(parts) and all(_is_of_the_table(each, known) for each in parts)


def _own_words(node: ast.expr) -> Iterator[str]:
    """Words in an expression that are no key of the table."""
    if _called(node) in LOOKUPS:
        return
    if isinstance(node, ast.Constant) and any(letter.isalpha() for letter in str(node.value)):
        yield str(node.value)
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.expr):
            yield from _own_words(each)


def _names(scope: ast.AST) -> Iterator[str]:
    """Names that hold texts of the table in a function or module."""
    if isinstance(scope, ast.FunctionDef) and "cases" in map(_called, scope.decorator_list):
        yield from (argument.arg for argument in scope.args.args)
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.Assign) and _called(node.value) in LOOKUPS:
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _elsewhere(scope: ast.AST, known: set[str]) -> Iterator[str]:
    """Expected texts below a node that come from elsewhere than the table."""
    if isinstance(scope, ast.FunctionDef | ast.Module):
        known = known | set(_names(scope))
    if isinstance(scope, ast.Call):
        asked = {"raises": "match", "warns": "match", "refused": "rule"}.get(_called(scope))
        for keyword in scope.keywords:
            if asked and keyword.arg == asked and not _is_of_the_table(keyword.value, known):
                yield f"line {scope.lineno}: {ast.unparse(keyword.value)}"
    if isinstance(scope, ast.Compare) and isinstance(scope.ops[0], ast.In):
        # Facts of the scene, as a path, may be names here; words may not.
        printed = PRINTED.search(ast.unparse(scope.comparators[0]))
        if printed and any(_own_words(scope.left)):
            yield f"line {scope.lineno}: {ast.unparse(scope.left)}"
    for node in ast.iter_child_nodes(scope):
        yield from _elsewhere(node, known)


def test_no_text_is_expected_that_the_table_does_not_hold() -> None:
    found = {}
    for path in sorted(TESTS.rglob("*.py")):
        if lines := list(_elsewhere(ast.parse(path.read_text("utf-8")), set())):
            found[str(path.relative_to(TESTS))] = lines
    assert found == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("with pytest.raises(X, match='holds'): pass", True),
        ("with pytest.raises(X, match=rf'{name}: holds'): pass", True),
        ("for rule in RULES:\n    with pytest.raises(X, match=rule): pass", True),
        ("def test(message):\n    with pytest.raises(X, match=message): pass", True),
        ("with refused(X, 1, rule='holds'): pass", True),
        ("assert 'holds' in capsys.readouterr().err", True),
        ("assert f'{path}: holds' in str(caught.value)", True),
        ("assert f'{path}: {said(\"a\")}' in str(caught.value)", False),
        ("with pytest.raises(X, match=said('a')): pass", False),
        ("with refused(X, 1, rule=os.strerror(2)): pass", False),
        ("@cases('a')\ndef test(message):\n    pytest.raises(X, match='^' + message)", False),
        ("TEXTS = rows('a')\ndef test(name):\n    pytest.raises(X, match=TEXTS[name][0])", False),
    ],
)
def test_the_rule_finds_what_it_forbids(text: str, wrong: bool) -> None:
    assert bool(list(_elsewhere(ast.parse(text), set()))) == wrong


def test_every_text_is_in_use() -> None:
    used = set()
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if _called(node) in LOOKUPS | {"cases"} and isinstance(node, ast.Call):
                used |= {ast.literal_eval(a) for a in node.args if isinstance(a, ast.Constant)}
    assert (TABLE.keys() | TABLE["said"].keys()) - used == {"said"}


def test_refused_asks_for_every_field() -> None:
    with refused(ResultError, "a", 1):
        raise ResultError("a", 1, "must be 2")
    for wrong in (("a",), ("a", 2), ("b", 1), ("a", 1, "must be 2")):
        with pytest.raises(AssertionError), refused(ResultError, *wrong):
            raise ResultError("a", 1, "must be 2")
