"""python -m reports.page RESULT --out page.html: one result as a self-contained offline page."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, select_autoescape

from simulator.errors import ResultError, SimulatorError
from simulator.result import Result
from simulator.summary import terminal_table

# Okabe and Ito's palette, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
TEMPLATES = Path(__file__).parent / "templates"


def energy_by_part(result: Result) -> tuple[go.Figure, pd.DataFrame]:
    """Dynamic energy of each part, mean per image, in microjoules."""
    table = result.tables["actions"].groupby("part").energy_pj.sum() / result.images / 1e6
    table = table.sort_values().rename("energy_uj").reset_index()
    figure = go.Figure(go.Bar(x=table.energy_uj, y=table.part, orientation="h"))
    figure.update_layout(title="Energy by part, mean per image", xaxis_title="energy (µJ)")
    figure.update_traces(marker_color=COLOURS[0])
    return figure, table


def cycles_by_layer(result: Result) -> tuple[go.Figure, pd.DataFrame]:
    """Cycles in which each layer holds the array, and what the array waited for, mean per image."""
    busy = result.tables["layers"][["layer", "pe_busy_cycles"]].rename(
        columns={"pe_busy_cycles": "cycles"}
    )
    busy["cause"] = "busy"
    stalls = result.tables["layer_stalls"].rename(columns={"stall_cycles": "cycles"})
    both = pd.concat([busy, stalls[["layer", "cause", "cycles"]]])
    table = both.pivot_table(index="layer", columns="cause", values="cycles", aggfunc="sum")
    table = (table.fillna(0) / result.images).reindex(busy.layer.drop_duplicates())
    order = ["busy", *sorted(set(table.columns) - {"busy"})]
    figure = go.Figure(
        [
            go.Bar(x=table.index, y=table[cause], name=cause, marker_color=COLOURS[place % 8])
            for place, cause in enumerate(order)
        ]
    )
    figure.update_layout(
        title="Array cycles by layer and cause, mean per image",
        barmode="stack",
        yaxis_title="cycles",
    )
    return figure, table[order].reset_index()


def active_tokens(result: Result) -> tuple[go.Figure, pd.DataFrame]:
    """Share of tokens that run in each block at each timestep."""
    table = (
        result.tables["active_tokens"]
        .groupby(["timestep", "block"])[["active_tokens", "tokens"]]
        .sum()
    )
    share = (table.active_tokens / table.tokens).unstack()
    figure = go.Figure(
        go.Heatmap(
            z=share.to_numpy(),
            x=[f"block {block}" for block in share.columns],
            y=[f"timestep {step}" for step in share.index],
            texttemplate="%{z:.0%}",
            colorscale="Cividis",
            zmin=0,
            zmax=1,
        )
    )
    figure.update_layout(title="Active tokens by block and timestep", yaxis_autorange="reversed")
    return figure, share.reset_index()


def latency(result: Result) -> tuple[go.Figure, pd.DataFrame]:
    """Latency of each image."""
    table = result.tables["images"][["image", "image_id", "latency_ms", "energy_pj"]]
    figure = go.Figure(go.Bar(x=table.image, y=table.latency_ms, marker_color=COLOURS[2]))
    figure.update_layout(
        title="Latency of each image", xaxis_title="image", yaxis_title="latency (ms)"
    )
    return figure, table


PLOTS = (energy_by_part, cycles_by_layer, active_tokens, latency)


def render(result: Result) -> str:
    """The page as one HTML text: plotly.js is in it once, nothing is fetched."""
    plots = []
    for place, draw in enumerate(PLOTS):
        figure, table = draw(result)
        figure.update_layout(template="plotly_white", margin={"l": 40, "r": 20, "t": 50})
        figure.update_xaxes(automargin=True)
        figure.update_yaxes(automargin=True)
        plots.append(
            {
                "figure": figure.to_html(
                    full_html=False,
                    include_plotlyjs=place == 0,
                    div_id=f"plot-{draw.__name__}",
                    config={"responsive": True},
                ),
                "meaning": draw.__doc__,
                "table": table.to_html(index=False, border=0, float_format="%.4g"),
            }
        )
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(default=True)
    )
    return environment.get_template("page.html.j2").render(
        title=result.provenance["architecture"]["name"],
        trace=result.provenance["trace"]["file"],
        summary=terminal_table(result),
        plots=plots,
        provenance=result.provenance,
        prices=result.tables["prices"].to_html(index=False, border=0, float_format="%.4g"),
    )


def write_page(result: Result, path: str | Path) -> None:
    """Write the page whole or not at all. Raises ResultError where it cannot be written."""
    target = Path(path)
    text = render(result)
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=".page", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, 0o644)
        os.replace(file.name, target)
    except OSError as error:
        raise ResultError(f"{target}: cannot be written: {error.strerror}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw a saved result; bad input is one message and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m reports.page", description=__doc__)
    parser.add_argument("result", help="folder of a result, or its result.json")
    parser.add_argument("--out", required=True, metavar="FILE", help="page to write (.html)")
    options = parser.parse_args(arguments)
    try:
        write_page(Result.load(options.result), options.out)
    except SimulatorError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
