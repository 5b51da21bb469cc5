"""What the plots show, in the words of docs/metrics.md."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import markdown
from markupsafe import Markup

# A link in the tree, the page itself in an installed package.
METRICS = Path(__file__).parent / "templates" / "metrics.md"


@cache
def definitions() -> dict[str, Markup]:
    """The sections of the page as HTML by their heading; links lead nowhere here and are text."""
    text = METRICS.read_text(encoding="utf-8")
    pieces = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    sections = zip(pieces[1::2], pieces[2::2], strict=True)
    return {heading: _html(heading, body) for heading, body in sections}


def _html(heading: str, body: str) -> Markup:
    unlinked = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", body)
    # The page is ours, so its HTML is as safe as the template.
    return Markup(
        markdown.markdown(f"## {heading}\n{unlinked}", extensions=["tables", "sane_lists"])
    )
