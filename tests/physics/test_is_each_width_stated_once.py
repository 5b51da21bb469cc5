"""Does each width of a machine, stated once, drive what moves, what fits and what it costs?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from simulator.architecture import Architecture, load_architecture
from simulator.distributed.executor import open_executor
from simulator.errors import ArchitectureError
from simulator.lowering import make_plan
from simulator.lowering.widths import needed_bits
from simulator.operations import Layer, read_network
from simulator.results.intervals import machine_of
from simulator.results.result import Result
from simulator.results.sweep_result import METRIC, PARAMETER
from simulator.simulate import Simulation
from simulator.sweep.search import search
from simulator.sweep.space import load_space
from simulator.trace import Trace
from tests.factories import tiny_content, tiny_trace
from tests.machines import ROOT, machine
from tests.messages import cases

FILES = sorted((ROOT / "arch_configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return Trace.open(tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=2))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("trace") / "still.npz"
    return Trace.open(tiny_trace(path, images=1, halting="none"))


def run(trace: Trace, architecture: Architecture) -> Result:
    result = Simulation(trace, architecture).run([0])
    result.check()
    return result


def counted(result: Result, part: str, *actions: str) -> int:
    table = result.tables["actions"]
    own = table[(table["part"] == part) & table["action"].isin(actions)]
    return int(own["count"].sum())


def checks(result: Result) -> set[str]:
    return {finding.check for finding in result.findings}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_machine_states_its_widths(path: Path) -> None:
    assert "precision" in yaml.safe_load(path.read_text(encoding="utf-8"))
    architecture = load_architecture(path, ["precision.partial_sums_bits=24"])
    for _, part in architecture.parts():
        assert part.precision == architecture.precision
    assert all(array.sum_bits == 24 for array in architecture.core.arrays.values())


@pytest.mark.parametrize("name", ["dense_pe", "sparse_pe", "prosperity"])
def test_weights_pass_the_dram_at_the_machines_width(still: Trace, name: str) -> None:
    layers = read_network(still).layers
    weights = sum(each.inputs * each.outputs for each in layers if each.weight_bits)
    moved = {}
    for bits in (4, 8, 16):
        tick = machine(name, f"precision.weights_bits={bits}", "dataflow={kind: tick_batched}")
        moved[bits] = counted(run(still, tick), "memories.dram", "read_bit", "write_bit")
    # A burst is 512 bits; each request is rounded up to bursts.
    requests = sum(-(-each.outputs // 8) * each.inputs for each in layers if each.weight_bits)
    for few, many in ((4, 8), (8, 16)):
        assert moved[many] - moved[few] == pytest.approx(
            weights * (many - few), abs=512 * requests / 8
        )


def test_a_head_of_weights_takes_exactly_its_bits(trace: Trace) -> None:
    head = next(each for each in read_network(trace).layers if each.kind == "head")
    for bits in (3, 8, 13):
        plan = make_plan(
            read_network(trace), machine("sparse_pe", f"precision.weights_bits={bits}")
        )
        assert plan.layers[head.index].fetch_bits[0][0] == head.inputs * head.outputs * bits


def test_a_narrower_weight_leaves_room_for_more_of_them() -> None:
    plans = {}
    with Trace.open(ROOT / "traces" / "mnist.npz") as trace:
        for bits in (4, 8):
            architecture = machine("sparse_pe", f"precision.weights_bits={bits}")
            plans[bits] = make_plan(read_network(trace), architecture)
    assert plans[4].machine.weight_slots + sum(plans[4].mapping.pinned) == 2 * (
        plans[8].machine.weight_slots + sum(plans[8].mapping.pinned)
    )
    assert sum(plans[4].mapping.pinned) > sum(plans[8].mapping.pinned) == 0


@pytest.mark.parametrize("bits", [4, 16, 32])
def test_membranes_and_sums_move_at_their_width(trace: Trace, bits: int) -> None:
    words = "cores.buffers.{}={{kind: sram, size_kib: 512, banks: 1, width_bits: 512}}"
    wide = [words.format("membranes"), words.format("partial_sums")]
    before = run(trace, machine("sparse_pe", *wide))
    after = run(trace, machine("sparse_pe", *wide, f"precision.membranes_bits={bits}"))
    part = "cores.0.buffers.membranes"
    ratio = counted(after, part, "read_word", "write_word") / counted(
        before, part, "read_word", "write_word"
    )
    # Requests are rounded up to words.
    assert ratio == pytest.approx(bits / 16, rel=0.15)
    if bits >= 8:
        after = run(trace, machine("sparse_pe", *wide, f"precision.partial_sums_bits={bits}"))
        part = "cores.0.buffers.partial_sums"
        ratio = counted(after, part, "read_word", "write_word") / counted(
            before, part, "read_word", "write_word"
        )
        assert ratio == pytest.approx(-(-32 * bits // 512), rel=1e-9)


@pytest.mark.parametrize("name", ["sparse_pe", "dense_pe", "prosperity"])
@pytest.mark.parametrize("bits", [1, 4, 7])
def test_a_narrow_machine_takes_the_upper_planes(tmp_path: Path, name: str, bits: int) -> None:
    content = tiny_content(images=1, timesteps=3, seed=5)
    with Trace.open(content.write(tmp_path / "all.npz")) as trace:
        narrow = run(trace, machine(name, f"precision.activations_bits={bits}"))
    for image in content.images:
        for planes in image.tensors.values():
            planes[:, : max(planes.shape[1] - bits, 0)] = 0
    with Trace.open(content.write(tmp_path / "upper.npz")) as trace:
        upper = run(trace, machine(name))
    for column in ("useful_accumulations", "additions", "live_rows"):
        np.testing.assert_array_equal(
            narrow.tables["layers"][column], upper.tables["layers"][column]
        )
    assert narrow.tables["images"]["dram_bytes"][0] <= upper.tables["images"]["dram_bytes"][0]
    assert "narrow_machine" in checks(narrow)
    assert "narrow_machine" not in checks(upper)


def test_a_machine_narrower_than_the_weights_is_doubted(trace: Trace) -> None:
    assert "narrow_machine" in checks(run(trace, machine("sparse_pe", "precision.weights_bits=7")))
    assert "narrow_machine" not in checks(run(trace, machine("sparse_pe")))


@pytest.mark.parametrize(
    ("kind", "inputs", "planes", "bits"),
    [
        ("attention_scores", 64, 1, 7),
        ("attention_scores", 512, 1, 10),
        ("attention_key_values", 196, 1, 8),
        ("attention_key_values", 1024, 1, 11),
        ("product_of_rows", 10, 3, 7),
        ("attention_context", 1024, 1, 0),
        ("linear", 1024, 1, 0),
    ],
)
def test_a_product_needs_the_bits_of_its_largest_value(
    trace: Trace, kind: str, inputs: int, planes: int, bits: int
) -> None:
    layer: Layer = read_network(trace).layers[0]
    assert needed_bits(replace(layer, kind=kind, inputs=inputs), planes, 1) == bits


def test_products_wider_than_stated_take_what_they_need(trace: Trace) -> None:
    # Two heads of 12 channels: a score is at most 12.
    for stated, bits in ((2, 4), (4, 4), (8, 8)):
        architecture = machine("sparse_pe", f"precision.products_bits={stated}")
        plan = make_plan(read_network(trace), architecture)
        scores = next(each.layer for each in plan.layers if each.layer.kind == "attention_scores")
        context = next(each.layer for each in plan.layers if each.layer.kind == "attention_context")
        assert scores.product_bits == context.second_bits == bits
        assert ("wide_products" in checks(run(trace, architecture))) == (stated < bits)


def test_wider_numbers_cost_more_energy_and_area(trace: Trace) -> None:
    fields = ("weights_bits", "membranes_bits", "partial_sums_bits", "products_bits")
    plain = run(trace, machine("dense_pe"))
    for field in fields:
        wide = run(trace, machine("dense_pe", f"precision.{field}=24"))
        assert (wide.tables["images"]["energy_pj"] > plain.tables["images"]["energy_pj"]).all()
    area = [
        run(trace, machine("dense_pe", f"precision.weights_bits={bits}")).provenance
        for bits in (8, 16)
    ]
    logic = [each["architecture"]["area"]["logic_mm2"] for each in area]
    assert logic[0] < logic[1]


@cases("width_stated_by_a_part")
def test_a_machine_of_before_states_its_widths_by_part(
    override: str, width: str, bits: int, message: str, tmp_path: Path
) -> None:
    document = yaml.safe_load((ROOT / "arch_configs" / "dense_pe.yaml").read_text("utf-8"))
    del document["precision"]
    path = tmp_path / "older.yaml"
    path.write_text(yaml.safe_dump(document))
    older = load_architecture(path, [override])
    assert getattr(older.precision, width) == bits
    now = load_architecture(ROOT / "arch_configs" / "dense_pe.yaml", [f"precision.{width}={bits}"])
    assert older.content_hash == now.content_hash
    with pytest.raises(ArchitectureError, match=message):
        load_architecture(ROOT / "arch_configs" / "dense_pe.yaml", [override])


def test_an_older_result_holds_its_machine_still(trace: Trace) -> None:
    result = run(trace, machine("sparse_pe"))
    document = result.provenance["architecture"]["document"]
    del document["precision"]
    for core in document["cores"]:
        core["pe_array"] |= {"weight_bits": 8, "sum_bits": 24}
        core["vector_unit"] |= {"sum_bits": 16, "membrane_width_bits": 16}
    assert machine_of(result, {}).precision.partial_sums_bits == 24


def test_a_search_varies_a_width_as_any_field(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(
        f"""\
schema: stasim-space/1
name: widths
base: {ROOT / "arch_configs" / "sparse_pe.yaml"}
parameters:
  precision.weights_bits: {{choices: [4, 8, 16]}}
  precision.membranes_bits: {{choices: [8, 16]}}
objectives: {{dram_kib: minimize, energy_uj: minimize}}
search: {{strategy: grid}}
"""
    )
    path = tiny_trace(tmp_path / "tiny.npz", images=1)
    with open_executor() as executor:
        found = search(
            load_space(space, path), tmp_path / "out", executor, lambda done, total: None
        )
    points = found.points
    assert set(points["status"]) == {"ok"}
    assert len(points) == 6
    for _, own in points.groupby(PARAMETER + "precision.membranes_bits"):
        by_width = own.sort_values(PARAMETER + "precision.weights_bits")
        assert by_width[METRIC + "dram_kib"].is_monotonic_increasing
        assert by_width[METRIC + "energy_uj"].is_monotonic_increasing
        assert by_width[METRIC + "dram_kib"].nunique() == 3
