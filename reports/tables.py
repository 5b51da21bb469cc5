"""Tables for papers: markdown and LaTeX."""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd

from reports.figures.base import Run
from reports.figures.designs import METRICS, overview, ratios
from simulator.results.units import between, number
from simulator.streams.statistics import Estimate

SUFFIXES = (".md", ".tex")

_TEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "µ": r"\textmu{}",
        "×": r"$\times$",
    }
)


def paper_tables(runs: Sequence[Run], baseline: str, suffix: str) -> str:
    """Return the overview, and how many times better than the baseline each design is."""
    titled = [("Means per image", overview(runs))]
    for metric in METRICS:
        frame = ratios(runs, metric, baseline)
        frame.insert(0, "design", frame.index)
        titled.append((f"{metric.name}: times better than {baseline}", frame))
    write = _markdown if suffix == ".md" else _latex
    return "\n".join(write(title, frame.map(_cell)) for title, frame in titled)


def _cell(value: object) -> str:
    if isinstance(value, Estimate):
        known = value.low is not None or value.high is not None
        return number(value.value) + (f" {between(value.low, value.high)}" if known else "")
    if isinstance(value, float):
        return "–" if value != value else number(value)
    return str(value)


def _markdown(title: str, frame: pd.DataFrame) -> str:
    rows = [[*frame.columns], *frame.to_numpy().tolist()]
    lines = ["| " + " | ".join(map(_plain, row)) + " |" for row in rows]
    lines.insert(1, "|---" * len(frame.columns) + "|")
    return f"{_plain(title)}\n\n" + "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A cell of markdown that is neither markup nor HTML."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", r"\|")


def _latex(title: str, frame: pd.DataFrame) -> str:
    """With the rules of the package booktabs; needs textcomp for the micro sign."""
    columns = "".join("r" if cell[:1].isdigit() else "l" for cell in frame.iloc[0])
    style = frame.map(_tex).rename(columns=_tex).style.hide(axis="index")
    return style.to_latex(hrules=True, column_format=columns, caption=_tex(title))


def _tex(text: str) -> str:
    return text.translate(_TEX)
