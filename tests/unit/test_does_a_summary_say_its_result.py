"""The headline numbers follow from the tables by the formulas of docs/metrics.md."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from simulator.results.provenance import origin
from simulator.results.result import CAUSES, Result
from simulator.results.stream_lines import WIDTH
from simulator.results.summary import summary
from simulator.results.terminal import LINES, terminal_table
from simulator.results.units import number
from tests.sample_result import CLOCK_MHZ, LEAKAGE_UW, PEAK, sample_result

RESULT = sample_result(range(5), blocks=3, timesteps=2)
IMAGES = RESULT.tables["images"]
TOLD = summary(RESULT)
LATENCY = int(IMAGES["latency_cycles"].sum())


def test_latency_and_throughput() -> None:
    cycles = sorted(IMAGES["latency_cycles"].tolist())
    assert TOLD["latency_cycles"]["mean"] == sum(cycles) / 5
    assert TOLD["latency_cycles"]["p50"] == cycles[2]
    assert TOLD["latency_cycles"]["p95"] == TOLD["latency_cycles"]["p99"] == cycles[4]
    assert TOLD["latency_ms"]["p50"] == cycles[2] / (CLOCK_MHZ * 1e3)
    seconds = TOLD["latency_ms"]["mean"] / 1e3
    assert TOLD["throughput_images_per_s"] == pytest.approx(1 / seconds)


def test_a_percentile_is_the_latency_of_an_image() -> None:
    observed = set(IMAGES["latency_cycles"].tolist())
    assert {TOLD["latency_cycles"][name] for name in ("p50", "p95", "p99")} <= observed


def test_utilization_and_occupancy_are_ratios_of_sums() -> None:
    added = int(IMAGES["additions"].sum())
    assert TOLD["utilization"] == pytest.approx(added / (PEAK * LATENCY))
    busy = int(RESULT.tables["layers"]["pe_busy_cycles"].sum())
    assert TOLD["occupancy"]["pe_array"] == pytest.approx(busy / LATENCY)
    idle = sum(entry["share"] for entry in TOLD["stalls"])
    assert TOLD["occupancy"]["pe_array"] + idle == pytest.approx(1)


def test_stalls_hold_every_cause_and_the_largest_comes_first() -> None:
    assert {entry["cause"] for entry in TOLD["stalls"]} == set(CAUSES)
    shares = [entry["share"] for entry in TOLD["stalls"]]
    assert shares == sorted(shares, reverse=True)


def test_parts_sum_to_the_energy() -> None:
    parts = TOLD["energy_by_part"]
    assert math.fsum(part["energy_uj"] for part in parts) == pytest.approx(TOLD["energy_uj"])
    assert math.fsum(part["dynamic_uj"] for part in parts) == pytest.approx(
        TOLD["dynamic_energy_uj"]
    )
    assert math.fsum(part["share"] for part in parts) == pytest.approx(1)
    at_rest = {part["part"]: part["leakage_uj"] for part in parts}
    expected = LEAKAGE_UW["weight_buffer"] * TOLD["latency_ms"]["mean"] * 1e-3
    assert at_rest["weight_buffer"] == pytest.approx(expected)
    assert TOLD["energy_delay_uj_ms"] == pytest.approx(IMAGES["energy_delay_pj_ms"].mean() / 1e6)


def test_active_tokens_by_block_and_timestep() -> None:
    grid = TOLD["active_tokens"]["by_timestep_and_block"]
    assert (len(grid), len(grid[0])) == (2, 3)
    table = RESULT.tables["active_tokens"]
    cell = table[(table["timestep"] == 1) & (table["block"] == 2)]
    assert grid[1][2] == pytest.approx(cell["active_tokens"].mean())
    assert sum(map(sum, grid)) == pytest.approx(TOLD["active_tokens"]["mean"])


@pytest.mark.parametrize(("bandwidth", "bound"), [(1e-3, "memory"), (1e6, "compute")])
def test_the_roofline_is_the_lower_roof(bandwidth: float, bound: str) -> None:
    result = sample_result()
    result.provenance["architecture"]["roofline"]["dram_bytes_per_cycle"] = bandwidth
    roof = summary(result)["roofline"]
    intensity = roof["operational_intensity_accumulations_per_byte"]
    assert roof["bound_by"] == bound
    assert roof["attainable_accumulations_per_cycle"] == min(PEAK, intensity * bandwidth)


def test_a_run_without_dram_traffic_is_bound_by_computing() -> None:
    result = sample_result()
    result.tables["images"]["dram_bytes"] = 0
    roof = summary(result)["roofline"]
    assert roof["operational_intensity_accumulations_per_byte"] is None
    assert roof["bound_by"] == "compute"
    assert "no DRAM traffic" in terminal_table(result)


def test_field_energy_is_told_under_both_conventions() -> None:
    acs, macs = TOLD["field_energy"]
    assert (acs["convention"], macs["convention"]) == ("integers_as_acs", "integers_as_macs")
    assert acs["energy_uj"] == pytest.approx((4.6 * acs["macs"] + 0.9 * acs["acs"]) / 1e6)
    assert macs["energy_uj"] > acs["energy_uj"]


def test_a_summary_is_plain_json() -> None:
    assert json.loads(json.dumps(TOLD, allow_nan=False)) == TOLD


@pytest.mark.parametrize("name", ["calibrated", "random"])
def test_untrained_weights_are_said_to_have_no_accuracy(name: str) -> None:
    text = " ".join(terminal_table(sample_result(origin=name)).split())
    assert f"Weights {name}" in text
    assert "no accuracy applies" in text


def test_trained_weights_are_told_with_their_accuracy() -> None:
    text = " ".join(terminal_table(sample_result(origin="trained")).split())
    assert "trained weights: 95.0% of 10 test images classified rightly (top-1)" in text
    assert "states no accuracy" in origin({"origin": "trained", "accuracy": None})


def _crowded() -> Result:
    """A result with more blocks, timesteps, parts and letters than a terminal shows."""
    result = sample_result(blocks=30, timesteps=20)
    architecture = result.provenance["architecture"]
    architecture["name"] = "long \x1b[31m " * 60
    result.provenance["trace"]["file"] = "file" * 200
    for table in ("actions", "prices"):
        frame = result.tables[table]
        frame["part"] = frame["part"] + "." + frame["action"] + "x" * 80
    units = result.tables["units"]
    many = [units.assign(unit=units["unit"] + f" {position}") for position in range(20)]
    result.tables["units"] = pd.concat(many)
    return result


@pytest.mark.parametrize(
    "result", [sample_result(range(1), 1, 1), RESULT, sample_result(range(2), 12, 4), _crowded()]
)
def test_the_terminal_table_fits_a_terminal(result: Result) -> None:
    lines = terminal_table(result).splitlines()
    notes = [line for line in lines if line.startswith(("Note", "Warning", "Error"))]
    assert len(lines) <= LINES + 1 + len(notes)
    assert max(map(len, lines)) <= WIDTH
    assert all(line.isprintable() for line in lines)
    assert "integers_as_macs" in lines[-2 - len(notes)]
    assert any("no overlap" in line for line in lines)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5000"),
        (1234567, "1,234,567"),
        (12.3456, "12.35"),
        (999.96, "1,000"),
        (9.9999, "10.00"),
        (6.3e-6, "6.3e-06"),
        (-2.5, "-2.500"),
        (1e18, "1e+18"),
    ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_operations_power_and_layers_follow_from_the_tables() -> None:
    layers = RESULT.tables["layers"]
    on_array = layers[layers["kind"] != "head"]
    speedup = on_array["useful_accumulations"].sum() / layers["additions"].sum()
    assert TOLD["logical_speedup"] == pytest.approx(speedup)
    energy_pj, time_ms = IMAGES["energy_pj"].sum(), IMAGES["latency_ms"].sum()
    useful = IMAGES["useful_accumulations"].sum()
    assert TOLD["power_mw"] == pytest.approx(energy_pj / time_ms * 1e-6)
    told = TOLD["synaptic_operations"]
    assert told["sops_mean"] == pytest.approx(useful / 5)
    assert told["pj_per_sop"] == pytest.approx(energy_pj / useful)
    # GSOP/s over W.
    per_watt = told["gsops_per_s"] / (TOLD["power_mw"] * 1e-3)
    assert told["gsops_per_s_per_w"] == pytest.approx(per_watt)
    assert told["gsops_per_s"] == pytest.approx(useful / (time_ms * 1e-3) / 1e9)
    by_layer = layers.groupby("layer", sort=False)[["input_rate", "energy_pj"]].mean()
    assert [each["layer"] for each in TOLD["layers"]] == by_layer.index.tolist()
    rates = [each["input_rate"] for each in TOLD["layers"]]
    assert rates == pytest.approx(by_layer["input_rate"].tolist())
    energies = [each["energy_uj"] for each in TOLD["layers"]]
    assert energies == pytest.approx((by_layer["energy_pj"] / 1e6).tolist())


def test_images_that_run_together_share_their_time() -> None:
    together = sample_result(range(2))
    alone = summary(together)
    together.tables["images"]["images_together"] = 2
    told = summary(together)
    for name in ("power_mw", "throughput_images_per_s"):
        assert told[name] == pytest.approx(2 * alone[name])
    for one, other in zip(told["energy_by_part"], alone["energy_by_part"], strict=True):
        assert one["leakage_uj"] == pytest.approx(other["leakage_uj"] / 2)
