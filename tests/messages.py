"""The one table of message texts: what is wrong with which input, and what the message says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

TABLE = yaml.safe_load((Path(__file__).parent / "messages.yaml").read_text("utf-8"))


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
