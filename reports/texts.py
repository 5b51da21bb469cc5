"""Titles and notes of the cards, out of templates/texts.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEXTS = Path(__file__).parent / "templates" / "texts.yaml"


@cache
def texts() -> dict[str, dict[str, str]]:
    """Return the texts of each card by its name: its `title`, its `note`, and what else it says."""
    found: dict[str, dict[str, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return found


def text(card: str, name: str = "note", /, **values: Any) -> str:
    """Return a text of a card with its values filled in."""
    return " ".join(texts()[card][name].format(**values).split())
