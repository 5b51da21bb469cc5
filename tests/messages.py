"""The one table of message texts: what is wrong with which input, and what the message says.

A test that sets its own scene takes a text from it by name (`said`), or asserts the class of the
error and its fields (`refused`); tests/unit/test_is_each_message_in_one_table.py keeps it so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

TABLE = yaml.safe_load((Path(__file__).parent / "messages.yaml").read_text("utf-8"))


def said(name: str) -> str:
    """Return the pattern of what is said in a scene that only one test sets."""
    return str(TABLE["said"][name])


@contextmanager
def refused(error: type[Exception], *fields: object, rule: str = "") -> Iterator[None]:
    """Expect an error with exactly these fields before its rule: its place, then a value."""
    with pytest.raises(error) as caught:
        yield
    *before, last = caught.value.args
    assert tuple(before) == fields
    assert re.search(rule, str(last))


def rows(section: str) -> dict[str, list[Any]]:
    """Return the rows of a section by name; those without a name are numbered."""
    found = TABLE[section]["rows"]
    if isinstance(found, dict):
        return dict(found)
    return {str(number): row for number, row in enumerate(found)}


def cases(section: str) -> pytest.MarkDecorator:
    """Parametrize a test by the rows of a section: its columns are arguments of the test."""
    found = rows(section)
    return pytest.mark.parametrize(TABLE[section]["columns"], found.values(), ids=found.keys())
