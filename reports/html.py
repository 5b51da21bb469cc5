"""Cards as one HTML file that asks no network for anything.

Figures and tables travel as JSON beside their card and are drawn when the card comes into view.
Numbers are rounded to DIGITS significant digits; whole numbers stay whole.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import markdown
import pandas as pd
import plotly.offline
from markupsafe import Markup

from reports.figures.base import Card, Plot
from reports.texts import TEMPLATES, template
from simulator.config.staged_file import staged_file
from simulator.errors import ResultError
from simulator.streams.statistics import Estimate

# A link in the tree, the page itself in an installed package.
METRICS = TEMPLATES / "metrics.md"


@cache
def definitions() -> dict[str, Markup]:
    """Return the page's sections as HTML by heading; links, which lead nowhere here, are text."""
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


DIGITS = 7
SCRIPTS = ("page.js", "tables.js", "designs.js", "prices.js", "why.js", "cards.js", "live.js")
"""Modules of the page, in the order in which they run."""
PAGE_MARK = '<meta name="generator" content="STASim">'
_COMMENT = "<!-- generator: STASim -->"
MARKS = {".svg": _COMMENT, ".md": _COMMENT, ".tex": "% generator: STASim"}
"""What a file must hold to be replaced, by its suffix; all others are pages."""


def write_html(text: str, path: str | Path, *, ours: bool = False) -> None:
    """Write a page, picture or table whole or not at all, over nothing but an earlier one.

    `ours`: whether the caller knows that what is there may be replaced. Raises ResultError where
    nothing can be written.
    """
    path = Path(path)
    mark = MARKS.get(path.suffix, PAGE_MARK)
    if not ours and mark not in text:
        text += f"{mark}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(path, None if ours else mark.encode()) as file:
            file.write(text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise ResultError(path, f"{error.strerror or error}") from None


def render(
    name: str,
    cards: Sequence[Card],
    data: Mapping[str, Any] | None = None,
    movable: Mapping[str, Any] | None = None,
    **context: Any,
) -> str:
    """Return a page of cards; equal cards and contexts give equal texts.

    `data`: what the page's scripts share beside the cards, as plain JSON; `movable`: counts and
    prices, with all their digits.
    """
    known = definitions()
    headings = list(dict.fromkeys(card.definition for card in cards))
    return template(name).render(
        cards=[(card, _data(card)) for card in cards],
        heights={card.name: _height(card) for card in cards},
        definitions=[(heading, known[heading]) for heading in headings],
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        scripts=[Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in SCRIPTS],
        page_data=_embedded(_rounded(data or {})),
        price_data=_embedded(movable or {"runs": [], "texts": {}}),
        plotly_js=Markup(plotly.offline.get_plotlyjs()),
        **context,
    )


def _height(card: Card) -> int:
    """The room, in px, that a card's figure will take: it is drawn when it comes into view."""
    figure = next(iter(card.plots.values())).figure
    if figure is None:
        return 0 if card.open else 420
    return int(figure.layout.height or 450)


def _data(card: Card) -> Markup:
    """A card's plots as JSON."""
    plots = [_rounded({"at": at, **_plot(plot)}) for at, plot in card.plots.items()]
    for plot in plots:
        _share(plot)
    return _embedded({"choices": card.choices, "plots": plots})


def _share(plot: dict[str, Any]) -> None:
    """Let a figure name columns of its table in place of their values: the page is smaller."""
    columns = zip(*plot["table"]["rows"], strict=True)
    places = {json.dumps(column): place for place, column in enumerate(columns)}
    for trace in plot["figure"]["data"] if "figure" in plot else ():
        for name, values in trace.items():
            if isinstance(values, list) and (place := places.get(json.dumps(values))) is not None:
                trace[name] = {"column": place}


def _embedded(value: Any) -> Markup:
    """JSON that cannot end the script element around it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _plot(plot: Plot) -> dict[str, Any]:
    facts: dict[str, Any] = {"note": plot.note, "table": _table(plot.table)}
    if plot.marked:
        facts["table"]["marked"] = True
    if plot.figure is not None:
        figure = plot.figure.to_plotly_json()
        figure["layout"].pop("template", None)
        facts["figure"] = {name: figure[name] for name in ("data", "layout")}
    if plot.drawing:
        facts["drawing"] = str(plot.drawing)
    return facts


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    columns = [[_cell(value) for value in frame[column].tolist()] for column in frame.columns]
    return {"heading": [*frame.columns], "rows": [*zip(*columns, strict=True)]}


def _cell(value: Any) -> Any:
    """A value of a table; one with an interval by short names."""
    return dict(zip("vlh", value, strict=True)) if isinstance(value, Estimate) else value


def _rounded(value: Any) -> Any:
    """The value as plain JSON; what is no number becomes null."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return (
            int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{DIGITS}g}")
        )
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value
