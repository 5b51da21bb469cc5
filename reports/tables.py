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

_TEX = {
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


def paper_tables(runs: Sequence[Run], baseline: str, suffix: str) -> str:
    """Return the overview, and how many times better than the baseline each design is."""
    titled = [("Means per image", overview(runs))]
    for metric in METRICS:
        frame = ratios(runs, metric, baseline)
        frame.insert(0, "design", frame.index)
        titled.append((f"{metric.name}: times better than {baseline}", frame))
    write = _markdown if suffix == ".md" else _latex
    return "\n".join(write(title, _formatted(frame)) for title, frame in titled)


def _formatted(frame: pd.DataFrame) -> list[list[str]]:
    """Heading and rows as text."""
    cells = [[_cell(value) for value in row] for row in frame.to_numpy(dtype=object).tolist()]
    return [[str(column) for column in frame.columns], *cells]


def _cell(value: object) -> str:
    if isinstance(value, Estimate):
        known = value.low is not None or value.high is not None
        return number(value.value) + (f" {between(value.low, value.high)}" if known else "")
    if isinstance(value, float):
        return "–" if value != value else number(value)
    return str(value)


def _markdown(title: str, rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(map(_plain, row)) + " |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return f"{_plain(title)}\n\n" + "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A cell of markdown that is neither markup nor HTML."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", r"\|")


def _latex(title: str, rows: list[list[str]]) -> str:
    """With the rules of the package booktabs; needs textcomp for the micro sign."""
    lines = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in rows]
    text_columns = sum(not cell[:1].isdigit() for cell in rows[1])
    columns = "l" * text_columns + "r" * (len(rows[0]) - text_columns)
    body = "\n".join(["\\toprule", lines[0], "\\midrule", *lines[1:], "\\bottomrule"])
    return (
        f"\\begin{{table}}\n\\caption{{{_tex(title)}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text)
