"""One HTML page of a result: complete in one file, and it asks no network for anything.

python -m reports.page reports/out/cifar10 --out page.html
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
from markupsafe import Markup

from reports.figures import Plot, plots
from simulator.errors import ResultError, SimulatorError
from simulator.result import Result
from simulator.summary import number, short, summary
from simulator.whole_file import whole_file

TEMPLATES = Path(__file__).parent / "templates"
EXAMPLE = "python -m reports.page reports/out/cifar10 --out page.html"


def write_page(result: Result, path: str | Path) -> None:
    """Write the page whole or not at all. Raises ResultError where nothing can be written."""
    text = render(result)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror or error}") from None


def render(result: Result) -> str:
    """The page as text; equal results give equal pages."""
    told = summary(result)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["short"] = short
    return environment.get_template("page.html.j2").render(
        told=told,
        tiles=_tiles(told),
        plots=[(plot, _embedded(plot)) for plot in plots(result, told)],
        plotly_js=Markup(plotly.offline.get_plotlyjs()),
        provenance=result.provenance,
        prices=result.tables["prices"].to_dict("records"),
        leakage=result.tables["leakage"].to_dict("records"),
        machine=json.dumps(result.provenance["architecture"]["document"], indent=2),
        weights=json.dumps(result.provenance["trace"]["weights"], indent=2),
    )


def _tiles(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and remark of each headline number."""
    cycles, ms, roof = told["latency_cycles"], told["latency_ms"], told["roofline"]
    tokens, intensity = told["active_tokens"], roof["operational_intensity_accumulations_per_byte"]
    array = told["occupancy"].get("pe_array")
    held = "share of the peak rate" if array is None else f"PE array held {array:.1%} of the time"
    per_byte = "no DRAM traffic" if intensity is None else f"{number(intensity)} accumulations/B"
    largest = told["energy_by_part"][0] if told["energy_by_part"] else None
    most = f"{largest['share']:.1%} {short(largest['part'])}" if largest else "no parts"
    leakage = f"{number(told['leakage_energy_uj'])} µJ of it leakage"
    spread = f"p95 {number(ms['p95'])}, p99 {number(ms['p99'])} ms"
    throughput = f"{number(told['throughput_images_per_s'])} images/s"
    counted = f"{number(tokens['mean'])} of {number(tokens['slots'])} per image"
    return [
        ("Latency", f"{number(ms['mean'])} ms", f"{number(cycles['mean'])} cycles; {spread}"),
        ("Throughput", throughput, "1 / mean latency: no overlap between images"),
        ("Energy per image", f"{number(told['energy_uj'])} µJ", f"{most}; {leakage}"),
        ("EDP", f"{number(told['energy_delay_uj_ms'])} µJ ms", "mean of energy × latency"),
        ("Utilization", f"{told['utilization']:.1%}", held),
        ("Active tokens", f"{tokens['share']:.1%}", counted),
        ("Roofline", f"{roof['bound_by']}-bound", per_byte),
        ("DRAM traffic", f"{number(told['dram_bytes_mean'] / 1024)} KiB", "per image, both ways"),
    ]


def _embedded(plot: Plot) -> Markup:
    """The figure as a piece of HTML; plotly escapes what could end the script."""
    plot.figure.update_layout(
        template="none",
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )
    plot.figure.update_xaxes(automargin=True, fixedrange=True)
    plot.figure.update_yaxes(automargin=True, fixedrange=True)
    return Markup(
        plot.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            include_mathjax=False,
            div_id=f"plot-{plot.name}",
            config={"responsive": True, "displayModeBar": False, "displaylogo": False},
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.page",
        description="Draw a saved result as one HTML page that needs no network.",
        epilog=f"example: {EXAMPLE}",
    )
    parser.add_argument("result", metavar="RESULT", help="folder of a result, or its result.json")
    parser.add_argument("--out", required=True, metavar="FILE", help="page to write")
    options = parser.parse_args(arguments)
    try:
        write_page(Result.load(options.result), options.out)
    except SimulatorError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    print(f"written: {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
