"""Templates of the pages, and the titles and notes of the cards, out of templates/texts.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from simulator.results.provenance import proofs
from simulator.results.summary import short
from simulator.results.units import between, number

TEMPLATES = Path(__file__).parent / "templates"
TEXTS = TEMPLATES / "texts.yaml"
FILTERS = {"number": number, "short": short, "between": between, "proofs": proofs}


@cache
def template(name: str) -> jinja2.Template:
    """Return a template; what it is rendered with is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals["texts"] = texts()
    return environment.get_template(name)


@cache
def texts() -> dict[str, dict[str, str]]:
    """Return the texts of each card by its name: its `title`, its `note`, and what else it says."""
    found: dict[str, dict[str, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return found


def text(card: str, name: str = "note", /, **values: Any) -> str:
    """Return a text of a card with its values filled in."""
    return " ".join(texts()[card][name].format(**values).split())
