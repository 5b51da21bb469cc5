"""A result on one line of a terminal, and as a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from simulator.results.result import Result
from simulator.results.summary import short, summary
from simulator.results.units import TRAFFIC, number

_PARTS = 6


def result_line(result: Result) -> str:
    """Return machine, trace and the headline numbers on one line."""
    facts = summary(result)
    trace = result.provenance["trace"]["file"]
    images = f"{result.images} image{'s' if result.images != 1 else ''}"
    return (
        f"<Result {facts['machine']} on {trace}, {images}: "
        f"{number(facts['latency_ms']['mean'])} ms, "
        f"{number(facts['energy_uj'])} µJ an image, utilization {facts['utilization']:.1%}>"
    )


def result_html(result: Result) -> str:
    """Return the headline numbers, energy by part and stalls as tables, doubts first."""
    facts, trace = summary(result), result.provenance["trace"]
    ms, tokens = facts["latency_ms"], facts["active_tokens"]
    headline = [
        ("latency", f"{number(ms['mean'])} ms (p95 {number(ms['p95'])})"),
        ("throughput", f"{number(facts['throughput_images_per_s'])} images/s"),
        ("energy", f"{number(facts['energy_uj'])} µJ an image"),
        ("utilization", f"{facts['utilization']:.1%}"),
        ("array occupancy", f"{facts['array_occupancy']:.1%}"),
        ("DRAM traffic", f"{number(TRAFFIC.of(facts['dram_bytes_mean']))} MB an image"),
        ("active tokens", f"{tokens['share']:.1%}"),
    ]
    parts = [(short(each["part"]), each["share"]) for each in facts["energy_by_part"]]
    stalls = [(each["cause"].replace("_", " "), each["share"]) for each in facts["stalls"]]
    columns = [
        _table("", headline),
        _table("energy", [(name, f"{share:.1%}") for name, share in parts[:_PARTS]]),
        _table("stalls", [(name, f"{share:.1%}") for name, share in stalls[:_PARTS] if share]),
    ]
    doubts = "".join(
        f"<p><b>{escape(each.severity)}</b>: {escape(str(each))}</p>"
        for each in result.findings
        if each.severity != "note"
    )
    heading = f"{facts['machine']} on {trace['file']}, {result.images} images"
    return (
        f"<div><p><b>{escape(heading)}</b><br>{escape(facts['network'])}; {escape(facts['origin'])}"
        f'</p>{doubts}<div style="display:flex;gap:2em;align-items:flex-start">'
        f"{''.join(columns)}</div></div>"
    )


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in rows
    )
    head = f'<tr><th colspan="2">{escape(title)}</th></tr>' if title else ""
    return f"<table>{head}{body}</table>"
