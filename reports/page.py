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

from reports.figures.base import Card
from reports.figures.batches import batch_cards
from reports.figures.cycles import cycles_card
from reports.figures.energy import energy_card, layer_energy_card
from reports.figures.latency import latency_card
from reports.figures.over_time import over_time_card
from reports.figures.roofline import roofline_card
from reports.figures.stream import stream_cards
from reports.figures.tokens import halting_cards, token_cards
from reports.html import render, write_html
from simulator.command import command, program
from simulator.config.staged_file import named
from simulator.results.result import Result
from simulator.results.summary import short, summary
from simulator.results.units import TRAFFIC, number

EXAMPLE = "python -m reports.page reports/out/cifar10 --out page.html"


def write_page(result: Result, path: str | Path) -> None:
    """Write the page whole or not at all. Raises ResultError where nothing can be written."""
    write_html(page(result), path)


def page(result: Result) -> str:
    """Return the page as text; equal results give equal pages."""
    facts = summary(result)
    return render(
        "page.html.j2",
        result_cards(result, facts),
        facts=facts,
        tiles=_tiles(facts),
        provenance=result.provenance,
        prices=result.tables["prices"].to_dict("records"),
        leakage=result.tables["leakage"].to_dict("records"),
        machine=json.dumps(result.provenance["architecture"]["document"], indent=2),
        weights=json.dumps(result.provenance["trace"]["weights"], indent=2),
    )


def result_cards(result: Result, facts: dict[str, Any]) -> list[Card]:
    """Return all cards of a result, in the order of the page; `facts` is its summary."""
    return [
        energy_card(result, facts),
        layer_energy_card(result),
        cycles_card(result),
        over_time_card(result),
        *token_cards(facts),
        *halting_cards(result),
        latency_card(result, facts),
        roofline_card(result, facts),
        *stream_cards(result, facts),
        *batch_cards(result),
    ]


def _tiles(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and remark of each headline number."""
    cycles, ms, roof = facts["latency_cycles"], facts["latency_ms"], facts["roofline"]
    tokens, intensity = facts["active_tokens"], roof["operational_intensity_accumulations_per_byte"]
    held = f"PE array held {facts['array_occupancy']:.1%} of the time"
    per_byte = "no DRAM traffic" if intensity is None else f"{number(intensity)} accumulations/B"
    largest = facts["energy_by_part"][0] if facts["energy_by_part"] else None
    most = f"{largest['share']:.1%} {short(largest['part'])}" if largest else "no parts"
    leakage = f"{number(facts['leakage_energy_uj'])} µJ of it leakage"
    spread = f"p95 {number(ms['p95'])}, p99 {number(ms['p99'])} ms"
    throughput = f"{number(facts['throughput_images_per_s'])} images/s"
    counted = f"{number(tokens['mean'])} of {number(tokens['slots'])} per image"
    has_tokens = bool(tokens["by_timestep_and_block"])
    size = (
        ("Active tokens", f"{tokens['share']:.1%}", counted)
        if has_tokens
        else ("Layers", str(len(facts["layers"])), "a network without tokens")
    )
    return [
        ("Latency", f"{number(ms['mean'])} ms", f"{number(cycles['mean'])} cycles; {spread}"),
        ("Throughput", throughput, "1 / mean latency: no overlap between images"),
        ("Energy per image", f"{number(facts['energy_uj'])} µJ", f"{most}; {leakage}"),
        ("EDP", f"{number(facts['energy_delay_uj_ms'])} µJ ms", "mean of energy × latency"),
        ("Utilization", f"{facts['utilization']:.1%}", held),
        size,
        ("Roofline", f"{roof['bound_by']}-bound", per_byte),
        (
            "DRAM traffic",
            f"{number(TRAFFIC.of(facts['dram_bytes_mean']))} MB",
            "per image, both ways",
        ),
    ]


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog=program("reports.page"),
        description="Draw a saved result as one HTML page that needs no network.",
        epilog=f"example: {EXAMPLE}",
    )
    parser.add_argument("result", metavar="RESULT", help="folder of a result, or its result.json")
    parser.add_argument("--out", required=True, metavar="FILE", help="page to write")
    options = parser.parse_args(arguments)
    write_page(Result.load(options.result), options.out)
    print(f"written: {named(options.out)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
