"""What changed between two results: by part, action, cause and layer, the largest change first.

python -m reports.diff reports/out/sparse_pe_noskip reports/out/sparse_pe
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from reports.figures.cycles import cycles_by_layer
from reports.figures.energy import AT_REST, by_action
from reports.runs import load_runs, priced
from simulator.command import check_counts, command, program
from simulator.config.staged_file import named
from simulator.config.wording import shown
from simulator.energy.break_even import sentences
from simulator.errors import ResultError
from simulator.results.pairing import ratio, same_trace, shared
from simulator.results.result import Result
from simulator.results.summary import short, summary
from simulator.results.units import EDP, ENERGY, TIME, TRAFFIC, number
from simulator.streams.statistics import CONFIDENCE, Estimate

EXAMPLE = "python -m reports.diff reports/out/sparse_pe_noskip reports/out/sparse_pe"
WIDTH = 100
_PROVENANCE_LINES = 24
# A machine's fields are in its document; the command is in the heading.
_DOCUMENT = "architecture.document."
_SHOWN_ELSEWHERE = ("command", "architecture.", "trace.weights.calibration", "trace.content_hash")
_NAMES = (f"{_DOCUMENT}name", f"{_DOCUMENT}source")


class Change(NamedTuple):
    """Hold a quantity by entries; `rows`: name, in A, in B, change, share of all change.

    The rows are sorted by the size of their change; their changes add up to that of the quantity.
    """

    title: str
    unit: str
    rows: list[tuple[str, float, float, float, float]]

    @property
    def entire(self) -> tuple[float, float]:
        """Return the sum over all entries, in A and in B."""
        return sum(row[1] for row in self.rows), sum(row[2] for row in self.rows)


def changes(one: Result, other: Result) -> list[Change]:
    """Compare means per image: cycles by cause and layer, energy by part, action and layer."""
    views = (
        ("Latency by cause", "cycles", lambda result: cycles_by_layer(result).sum()),
        ("Latency by layer", "cycles", lambda result: cycles_by_layer(result).sum(axis=1)),
        ("Energy by part", ENERGY.symbol, _energy_by_part),
        ("Energy by action", ENERGY.symbol, lambda each: _with_leakage(each, by_action(each))),
        ("Energy by layer", ENERGY.symbol, _energy_by_layer),
        ("DRAM traffic by layer", TRAFFIC.symbol, _dram_by_layer),
    )
    return [_change(title, unit, view(one), view(other)) for title, unit, view in views]


def _change(title: str, unit: str, one: pd.Series, other: pd.Series) -> Change:
    names = [*one.index, *(name for name in other.index if name not in one.index)]
    a, b = (part.reindex(names, fill_value=0.0).tolist() for part in (one, other))
    entire = sum(b) - sum(a)
    rows = [
        (str(name), x, y, y - x, (y - x) / entire if entire else 0.0)
        for name, x, y in zip(names, a, b, strict=True)
    ]
    return Change(title, unit, sorted(rows, key=lambda row: -abs(row[3])))


def _energy_by_part(result: Result) -> pd.Series:
    parts = summary(result)["energy_by_part"]
    return pd.Series({short(part["part"]): part["energy_uj"] for part in parts}, dtype=float)


def _energy_by_layer(result: Result) -> pd.Series:
    layers = result.tables["layers"]
    sums_pj = layers.groupby("layer", sort=False)["energy_pj"].sum()
    return _with_leakage(result, sums_pj / (1e6 * result.images))


def _with_leakage(result: Result, facts: pd.Series) -> pd.Series:
    facts[AT_REST] = result.tables["images"]["leakage_energy_pj"].sum() / (1e6 * result.images)
    return facts


def _dram_by_layer(result: Result) -> pd.Series:
    layers = result.tables["layers"].groupby("layer", sort=False)["dram_bytes"].sum()
    return TRAFFIC.of(layers / result.images)


_METRICS: tuple[tuple[str, Callable[[dict[str, Any]], float], str], ...] = (
    (TIME.head("latency"), lambda facts: facts["latency_ms"]["mean"], "latency_ms"),
    (TIME.head("latency p99"), lambda facts: facts["latency_ms"]["p99"], ""),
    (ENERGY.head("energy"), lambda facts: facts["energy_uj"], "energy_pj"),
    (EDP.head("EDP"), lambda facts: facts["energy_delay_uj_ms"], "energy_delay_pj_ms"),
    ("utilization", lambda facts: facts["utilization"], ""),
    ("array occupancy", lambda facts: facts["array_occupancy"], ""),
    (TRAFFIC.head("DRAM traffic"), lambda f: TRAFFIC.of(f["dram_bytes_mean"]), "dram_bytes"),
    ("active tokens", lambda facts: facts["active_tokens"]["mean"], "active_tokens"),
)
"""Name, value in a summary, and the column of `images` whose mean it is."""


def headline(one: Result, other: Result) -> list[tuple[str, float, float]]:
    """Return metrics of both results, means per image."""
    a, b = summary(one), summary(other)
    return [(name, pick(a), pick(b)) for name, pick, _ in _METRICS]


def ratios(one: Result, other: Result) -> dict[str, Estimate]:
    """Return B / A of the means in `headline`, with their intervals; images are paired."""
    return {name: ratio(other, one, column) for name, _, column in _METRICS if column}


def paired(one: Result, other: Result) -> tuple[Result, Result, list[str]]:
    """Return both over the images that they share, and a line about the others."""
    a, b = shared([one, other], ["A", "B"])
    fewer = [entire.images - kept.images for entire, kept in ((one, a), (other, b))]
    facts = f"!  Images that only one of them ran are left out: {fewer[0]} of A, {fewer[1]} of B."
    return a, b, [facts] if any(fewer) else []


def break_even(one: Result, other: Result) -> list[str]:
    """Return what the order by energy depends on, in words; empty for a machine not known."""
    designs = [priced(result) for result in (one, other)]
    if designs[0] is None or designs[1] is None:
        return []
    return sentences(("A", "B"), designs[0], designs[1], number)


def provenance_changes(one: Result, other: Result) -> list[tuple[str, Any, Any]]:
    """Return entries of the provenance that differ: path, in A, in B; None: missing."""
    a, b = (dict(_leaves("", result.provenance)) for result in (one, other))
    paths = [*a, *(path for path in b if path not in a)]
    return [(path, a.get(path), b.get(path)) for path in paths if a.get(path) != b.get(path)]


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, with its dotted path."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else str(name), inner)
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        for place, inner in enumerate(value):
            yield from _leaves(f"{path}.{place}", inner)
    else:
        yield path, value


def text(one: Result, other: Result, rows: int, left_out: Sequence[str] = ()) -> str:
    """Return the comparison for a terminal; at most `rows` rows a view, the rest summed.

    Both must hold the same images; `left_out`: lines about the images that they do not share.
    """
    lines = [f"A  {_who(one)}", f"B  {_who(other)}", *_warnings(one, other), *left_out, ""]
    lines += _provenance_lines(provenance_changes(one, other))
    count = f"mean of {one.images} images"
    lines += [
        "",
        f"{count:<22}{'A':>13}{'B':>13}{'B - A':>13}{'B / A':>9}  {CONFIDENCE:.0%} interval",
    ]
    found = ratios(one, other)
    lines += [
        f"{name:<22}{number(a):>13}{number(b):>13}{_signed(b - a):>13}{_ratio(a, b):>9}"
        f"  {_interval(found.get(name))}"
        for name, a, b in headline(one, other)
    ]
    order = break_even(one, other)
    if order:
        lines += ["", "Which one is cheaper, and what turns it:"]
        lines += [f"   {each}" for each in order]
    for change in changes(one, other):
        lines += ["", *_view(change, rows)]
    return "\n".join(line.rstrip() for line in lines)


def _who(result: Result) -> str:
    machine, trace = result.provenance["architecture"], result.provenance["trace"]
    return f"{machine['name']} on {trace['file']}: {result.provenance['command']}"


def _warnings(one: Result, other: Result) -> list[str]:
    """What makes the two hard to compare."""
    facts = []
    if not same_trace([one, other]):
        facts.append("!  The traces differ: spikes and masks are not the same.")
    names = [result.provenance["energy_table"]["name"] for result in (one, other)]
    if names[0] != names[1]:
        facts.append(f"!  The prices differ: {names[0]} in A, {names[1]} in B.")
    return facts


def _provenance_lines(different: Sequence[tuple[str, Any, Any]]) -> list[str]:
    kept = [
        entry
        for entry in different
        if not entry[0].startswith(_SHOWN_ELSEWHERE) or entry[0].startswith(_DOCUMENT)
    ]
    kept = [entry for entry in kept if entry[0] not in _NAMES]
    lines = [
        f"   {path.removeprefix(_DOCUMENT)}: {shown(a)} -> {shown(b)}"[:WIDTH]
        for path, a, b in kept[:_PROVENANCE_LINES]
    ]
    more = len(kept) - len(lines)
    return ["Where they come from:", *(lines or ["   the same"])] + (
        [f"   ... and {more} more (--json lists all)"] if more > 0 else []
    )


def _view(change: Change, rows: int) -> Iterator[str]:
    """A heading with the whole, then the largest changes, the rest in one row."""
    a, b = change.entire
    heading = f"{change.title} ({change.unit})"
    yield f"{heading:<40}{'A':>12}{'B':>12}{'B - A':>13}{'of change':>11}"
    kept = [row for row in change.rows if row[3]][:rows]
    for name, x, y, difference, share in kept:
        cells = f"{number(x):>12}{number(y):>12}{_signed(difference):>13}{share:>11.1%}"
        yield f"  {name[:37]:<38}{cells}"
    rest = [row for row in change.rows if row not in kept]
    if rest:
        x, y = sum(row[1] for row in rest), sum(row[2] for row in rest)
        share = sum(row[4] for row in rest)
        cells = f"{number(x):>12}{number(y):>12}{_signed(y - x):>13}{share:>11.1%}"
        yield f"  {f'({len(rest)} others)':<38}{cells}"
    yield f"  {'all':<38}{number(a):>12}{number(b):>12}{_signed(b - a):>13}"


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value)


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def _ratio(one: float, other: float) -> str:
    return f"{other / one:.3f}" if one else "–"


def as_json(one: Result, other: Result) -> str:
    """Return all of it as JSON, nothing shortened."""
    keys = ("name", "a", "b", "change", "share_of_change")
    facts = {
        "a": _who(one),
        "b": _who(other),
        "provenance": [
            dict(zip(("path", "a", "b"), entry, strict=True))
            for entry in provenance_changes(one, other)
        ],
        "images": one.images,
        "headline": [
            dict(zip(("name", "a", "b"), entry, strict=True)) for entry in headline(one, other)
        ],
        "ratios": {name: found._asdict() for name, found in ratios(one, other).items()},
        "break_even": break_even(one, other),
        "views": [
            {
                "title": change.title,
                "unit": change.unit,
                "rows": [dict(zip(keys, row, strict=True)) for row in change.rows],
            }
            for change in changes(one, other)
        ],
    }
    return json.dumps(facts, indent=1)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog=program("reports.diff"),
        description="Say what changed from one saved result to another, the largest change first.",
        epilog=f"example: {EXAMPLE}",
    )
    parser.add_argument("a", metavar="A", help="folder of a result, or its result.json")
    parser.add_argument("b", metavar="B", help="the same of the other")
    parser.add_argument(
        "--rows", type=int, default=10, metavar="N", help="rows a view (default 10)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--out", metavar="FILE", help="write the page of the two, from A to B, too")
    options = parser.parse_args(arguments)
    check_counts(options, "rows", error=ResultError)
    one, other, left_out = paired(Result.load(options.a), Result.load(options.b))
    shown = as_json(one, other) if options.json else text(one, other, options.rows, left_out)
    if options.out:
        from reports.compare import compare_page
        from reports.html import write_html

        write_html(compare_page(load_runs([options.a, options.b])), options.out)
        print(f"written: {named(options.out)}", file=sys.stderr)
    print(shown)


if __name__ == "__main__":
    sys.exit(main())
