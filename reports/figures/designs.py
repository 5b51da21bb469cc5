"""Whole designs side by side: headline numbers, improvement over a baseline, Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BASELINE,
    GREY,
    Card,
    Plot,
    Run,
    axis_words,
    error_bars,
    escaped,
    height_px,
    line,
    log_axis,
    marks,
    per_workload,
    single,
    table,
    upside_down,
)
from reports.figures.cycles import marker
from reports.texts import text
from simulator.config.wording import suggestion
from simulator.errors import ResultError
from simulator.results.pairing import ratio, ratio_of_means, shared
from simulator.results.units import AREA, EDP, ENERGY, POWER, RATE, TIME, TRAFFIC
from simulator.streams.statistics import (
    CONFIDENCE,
    Estimate,
    independent_mean,
    percentile_estimate,
)

COMPARING = "Comparing designs"
GEOMEAN = "geometric mean"


class DesignMetric(NamedTuple):
    """Describe a headline number of which less is better.

    Its name in `headline`, how to speak of it, and the column of `images` whose mean it is.
    """

    name: str
    title: str
    column: str


LATENCY, ENERGY_HEAD, EDP_HEAD = TIME.head("latency"), ENERGY.head("energy"), EDP.head("EDP")
DRAM_HEAD = TRAFFIC.head("DRAM")
METRICS = (
    DesignMetric(LATENCY, "Latency against the baseline", "latency_ms"),
    DesignMetric(ENERGY_HEAD, "Energy against the baseline", "energy_pj"),
    DesignMetric(EDP_HEAD, "EDP against the baseline", "energy_delay_pj_ms"),
    DesignMetric(DRAM_HEAD, "DRAM traffic against the baseline", "dram_bytes"),
)
THROUGHPUT, LEAKAGE, P99 = RATE.head("throughput"), ENERGY.head("leakage"), TIME.head("p99")
UTILIZATION, OCCUPANCY = "utilization", "array occupancy"


def headline(run: Run) -> dict[str, float]:
    """Return the numbers of the overview, means per image."""
    facts, tokens = run.facts, run.facts["active_tokens"]
    by_habit = {entry["convention"]: entry["energy_uj"] for entry in facts["field_energy"]}
    return {
        LATENCY: facts["latency_ms"]["mean"],
        P99: facts["latency_ms"]["p99"],
        THROUGHPUT: facts["throughput_images_per_s"],
        UTILIZATION: facts["utilization"],
        OCCUPANCY: facts["array_occupancy"],
        ENERGY_HEAD: facts["energy_uj"],
        LEAKAGE: facts["leakage_energy_uj"],
        EDP_HEAD: facts["energy_delay_uj_ms"],
        DRAM_HEAD: TRAFFIC.of(facts["dram_bytes_mean"]),
        POWER.head("power of the chip"): facts["area"]["on_chip_power_mw"],
        "active tokens": tokens["share"] if tokens["by_timestep_and_block"] else math.nan,
        AREA.head("area, floor"): _area_mm2(facts["area"]),
        ENERGY.head("field, as ACs"): by_habit["integers_as_acs"],
        ENERGY.head("field, as MACs"): by_habit["integers_as_macs"],
    }


def overview(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row a run: design, workload, headline numbers with the intervals they have."""
    rows = [
        {"design": run.design, "workload": run.workload, "n": run.result.images}
        | headline(run)
        | intervals(run)
        for run in runs
    ]
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def intervals(run: Run) -> dict[str, Estimate]:
    """Return headline numbers with intervals: of energy by price bounds, else over images."""
    images, facts = run.result.tables["images"], run.facts
    latency = independent_mean(run.latencies_ms)
    times, cycles = facts["throughput_images_per_s"] * latency.value, images["latency_cycles"]
    found = {
        LATENCY: latency,
        P99: percentile_estimate(run.latencies_ms, 99),
        THROUGHPUT: Estimate(
            facts["throughput_images_per_s"],
            times / latency.high if latency.high else None,
            times / latency.low if latency.low and latency.low > 0 else None,
        ),
        ENERGY_HEAD: independent_mean(ENERGY.of(images["energy_pj"])),
        LEAKAGE: independent_mean(ENERGY.of(images["leakage_energy_pj"])),
        EDP_HEAD: independent_mean(EDP.of(images["energy_delay_pj_ms"])),
        DRAM_HEAD: independent_mean(TRAFFIC.of(images["dram_bytes"])),
    }
    # Shares of all cycles: ratios of means.
    for name, column in ((UTILIZATION, "utilization"), (OCCUPANCY, "pe_occupancy")):
        weights = cycles.to_numpy(float)
        found[name] = ratio_of_means(images[column].to_numpy(float) * weights, weights)
    if run.priced:
        low, _, high = map(ENERGY.of, run.priced.energy)
        found[ENERGY_HEAD] = Estimate(found[ENERGY_HEAD].value, low, high)
    return found


def _area_mm2(area: Mapping[str, Any]) -> float:
    """Memories and logic; not a number if the result is older than the prices of area."""
    known = area["sram_mm2"] is not None
    return float(area["sram_mm2"] + area["logic_mm2"]) if known else math.nan


def design_cards(runs: Sequence[Run], baseline: str | None = None) -> list[Card]:
    """Draw overview, improvement over each baseline (`baseline` first), Pareto front."""
    plot = Plot(text("overview"), None, overview(runs))
    return [
        single("overview", COMPARING, plot)._replace(open=True),
        *improvement_cards(runs, baseline),
        per_workload("pareto", COMPARING, runs, _pareto),
    ]


def improvement_cards(runs: Sequence[Run], baseline: str | None = None) -> list[Card]:
    """Draw, for each metric, how many times smaller it is than that of a baseline."""
    designs = list(dict.fromkeys(run.design for run in runs))
    if baseline is not None:
        if baseline not in [*designs, *_spots(runs)]:
            raise ResultError(
                f"--baseline {baseline}: unknown design {suggestion(baseline, designs)}; or one "
                "run of it, as DESIGN@WORKLOAD"
            )
        designs = list(dict.fromkeys([baseline, *designs]))
    return [
        Card(
            "against-" + metric.name.partition(" ")[0].lower(),
            metric.title,
            COMPARING,
            (BASELINE,),
            {(name,): _improvement(runs, metric, name) for name in designs},
            wide=False,
        )
        for metric in METRICS
    ]


def _spots(runs: Sequence[Run]) -> dict[str, Run]:
    return {f"{run.design}@{run.workload}": run for run in runs}


def _improvement(runs: Sequence[Run], metric: DesignMetric, baseline: str) -> Plot:
    """A mark at baseline / design, with the ratio printed; workloads without the baseline lack."""
    found = estimates(runs, metric, baseline)
    frame = _grid(runs, found, baseline)
    figure, ends = go.Figure(), [1.0]
    for place, column in enumerate(frame.columns):
        kept = frame[column].dropna()
        own = [found.get((str(name), str(column))) for name in kept.index]
        style = marker(place, 9) | ({"color": GREY, "symbol": "x"} if column == GEOMEAN else {})
        ends += _add_marks(figure, str(column), kept, own, style)
    figure.add_vline(1.0, line_color=GREY, line_dash="dot", line_width=1.5)
    rows = len(frame) * max(len(frame.columns) * 0.5, 1)
    figure.update_layout(scattermode="group", scattergap=0.2, height=height_px(rows, 28))
    span = max(math.log10(max(ends) / min(ends)), 0.1)
    axis = log_axis(ends) | {
        "range": [math.log10(min(ends)) - span / 20, math.log10(max(ends)) + span / 6]
    }
    figure.update_xaxes(title="times better than the baseline", **axis)
    upside_down(figure)
    note = text("against", metric=metric.name, baseline=baseline, confidence=f"{CONFIDENCE:.0%}")
    cells = pd.DataFrame(
        {
            name: [found.get((str(design), str(name)), own) for design, own in column.items()]
            for name, column in frame.items()
        },
        index=frame.index,
    )
    return Plot(note, figure, table(cells, "design", " (×)"))


def _add_marks(
    figure: go.Figure,
    name: str,
    values: pd.Series,
    found: Sequence[Estimate | None],
    style: dict[str, object],
) -> list[float]:
    """A workload's ratios with their intervals, each printed beside it; return all ends."""
    pairs = zip(found, values, strict=True)
    highs = [each.high if each and each.high else value for each, value in pairs]
    common: dict[str, Any] = {
        "y": escaped(values.index),
        "name": escaped([name])[0],
        "legendgroup": escaped([name])[0],
        "offsetgroup": name,
        "orientation": "h",
    }
    figure.add_scatter(
        x=values.tolist(),
        mode="markers",
        marker=style,
        error_x=error_bars(found),
        hovertemplate="%{y}: %{x:,.4~r}×<extra>" + common["name"] + "</extra>",
        **common,
    )
    figure.add_scatter(
        x=highs,
        mode="text",
        text=[f"  {value:.{2 if value < 10 else 1}f}×" for value in values],
        textposition="middle right",
        cliponaxis=False,
        showlegend=False,
        hoverinfo="skip",
        **common,
    )
    lows = [each.low for each in found if each and each.low and each.low > 0]
    return [*values, *highs, *lows]


def ratios(runs: Sequence[Run], metric: DesignMetric, baseline: str) -> pd.DataFrame:
    """Return baseline / design, designs x workloads; with a mean of several workloads.

    `baseline`: a design, taken on each workload, or `DESIGN@WORKLOAD`, one run for all workloads of
    its data set: a network and its twin differ in method, two data sets in the task.
    """
    return _grid(runs, estimates(runs, metric, baseline), baseline)


def _grid(
    runs: Sequence[Run], found: Mapping[tuple[str, str], Estimate], baseline: str
) -> pd.DataFrame:
    """Designs x workloads, and their geometric mean."""
    values: dict[str, dict[str, float]] = {}
    for (design, workload), estimate in found.items():
        values.setdefault(workload, {})[design] = estimate.value
    frame = pd.DataFrame(values)
    frame = frame.reindex(list(dict.fromkeys(run.design for run in runs)))
    if len(frame.columns) > 1 and baseline not in _spots(runs):
        entire = frame.dropna()
        frame[GEOMEAN] = (entire.map(math.log).sum(axis=1) / len(frame.columns)).map(math.exp)
    return frame


def estimates(
    runs: Sequence[Run], metric: DesignMetric, baseline: str
) -> dict[tuple[str, str], Estimate]:
    """Return the same by design and workload, with intervals; over the images that both ran.

    Raises ResultError if a run and the baseline share no image.
    """
    spots, found = _spots(runs), {}
    for run in runs:
        base = spots.get(baseline) or spots.get(f"{baseline}@{run.workload}")
        if base is None or _dataset(base) != _dataset(run):
            continue
        if min(headline(each)[metric.name] for each in (base, run)) <= 0:
            continue
        found[run.design, run.workload] = _ratio(base, run, metric.column)
    return found


def _ratio(base: Run, run: Run, column: str) -> Estimate:
    """The ratio of two means; runs of one workload hold the same images already."""
    if base.workload == run.workload:
        first, second = (
            each.result.tables["images"][column].to_numpy(float) for each in (base, run)
        )
        return ratio_of_means(first, second)
    names = [f"{each.design} on {each.workload}" for each in (base, run)]
    one, other = shared([base.result, run.result], names)
    return ratio(one, other, column)


def _dataset(run: Run) -> object:
    return run.result.provenance["trace"]["dataset"].get("name")


def _pareto(group: Sequence[Run]) -> Plot:
    """Every design by latency and energy; who is beaten in both is off the front."""
    frame = pd.DataFrame(
        {
            "latency": [run.facts["latency_ms"]["mean"] for run in group],
            "energy": [run.facts["energy_uj"] for run in group],
            "EDP": [run.facts["energy_delay_uj_ms"] for run in group],
        },
        index=[run.design for run in group],
    )
    frame["on the front"] = front(frame["latency"].tolist(), frame["energy"].tolist())
    edge = frame[frame["on the front"]].sort_values(["latency", "energy"])
    figure = go.Figure()
    # Steps: between two designs nothing is known to exist.
    dotted = {"shape": "hv", "color": GREY, "width": 2, "dash": "dot"}
    line(figure, edge["latency"], edge["energy"], "Pareto front", dotted)
    for place, (design, row) in enumerate(frame.iterrows()):
        hover = f"{escaped([design])[0]}: %{{x:,.4~r}} ms, %{{y:,.4~r}} µJ"
        at = [row["latency"]], [row["energy"]]
        marks(figure, *at, str(design), marker(place, 13), hover)
    figure.update_xaxes(**log_axis(frame["latency"].tolist()), title=TIME.head("mean latency"))
    figure.update_yaxes(**log_axis(frame["energy"].tolist()), title=ENERGY.head("mean energy"))
    figure.update_layout(height=440)
    note = " ".join(
        [
            text("pareto"),
            *axis_words({name: frame[name].tolist() for name in ("latency", "energy")}),
        ]
    )
    heading = {"latency": LATENCY, "energy": ENERGY_HEAD, "EDP": EDP_HEAD}
    facts = frame.assign(**{"on the front": frame["on the front"].map({True: "yes", False: "no"})})
    return Plot(note, figure, table(facts, "design", heading))


def front(first: Sequence[float], second: Sequence[float]) -> list[bool]:
    """Return which points no other point beats: at most as large in both, and smaller in one."""
    points = list(zip(first, second, strict=True))
    return [not any(a <= x and b <= y and (a < x or b < y) for a, b in points) for x, y in points]
