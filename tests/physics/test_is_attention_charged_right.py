"""Is each form of attention charged for what it does, on arrays that skip zeros and on others?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.errors import TraceError
from simulator.lowering import lower, make_plan
from simulator.operations import read_network
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Image, Trace
from tests.factories import tiny_content, tiny_trace, unpack_planes
from tests.machines import GENERAL, ROOT, machine
from tests.messages import said
from tests.programs import agreed

ARRAYS = ("dense_pe", "sparse_pe", "sparse_pe_noskip")
MACHINES = GENERAL
FIRST = "dataflow.attention_order=key_values_first"
FORMS = ("products", "spike_driven", "token_qk")
BLOCKS, HEADS, CHANNELS = 2, 3, 24


def written(folder: Path, **options: Any) -> Path:
    whole = {"timesteps": 3, "channels": CHANNELS, "heads": HEADS, "seed": 11, **options}
    return tiny_trace(folder / "tiny.npz", **whole)


def run(path: Path, name: str, *overrides: str, **options: Any) -> Result:
    with Trace.open(path) as trace:
        result = Simulation(trace, machine(name, *overrides, **options)).run([0])
    result.check()
    return result


def image(path: Path) -> Image:
    with Trace.open(path) as trace:
        return trace.read(0)


def count(result: Result, layer: str, part: str, action: str) -> int:
    actions = result.tables["actions"]
    chosen = (actions.layer == layer) & (actions.part == part) & (actions.action == action)
    return int(actions.loc[chosen, "count"].sum())


def ones(found: Image, name: str) -> np.ndarray:
    """Set bits of each timestep of a block's tensor."""
    return unpack_planes(found.tensors[name], CHANNELS).sum(axis=(1, 2))


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("halting", ["none", "two_dimensional"])
def test_products_add_each_spike_to_what_it_meets(name: str, halting: str, tmp_path: Path) -> None:
    """(Q K^T) V: q's spikes meet live keys, v's live queries; Q (K^T V): k's and q's a head."""
    path = written(tmp_path, halting=halting)
    found, width = image(path), CHANNELS // HEADS
    for order in ((), (FIRST,)):
        layers = run(path, name, *order).tables["layers"].set_index("layer")
        for block in range(BLOCKS):
            at = f"blocks.{block}.attn"
            live = found.active[str(block)].sum(axis=1)
            first, second = ("k", "q") if order else ("q", "v")
            met = np.full_like(live, width) if order else live
            useful = layers.useful_accumulations
            assert useful[f"{at}.scores"] == (ones(found, f"{at}.{first}") * met).sum()
            assert useful[f"{at}.context"] == (ones(found, f"{at}.{second}") * met).sum()


def test_both_orders_write_what_the_next_product_reads(tmp_path: Path) -> None:
    path = written(tmp_path, halting="none", tokens=64)
    scores, values = run(path, "sparse_pe"), run(path, "sparse_pe", FIRST)
    layer, weights = "blocks.0.attn.scores", "cores.0.buffers.weights"
    width = CHANNELS // HEADS
    # 64 x 64 scores of 8 bits a head and timestep, against 8 x 8 elements of K^T V: words of 128.
    assert count(scores, layer, weights, "write_word") == 3 * HEADS * 64 * 64 * 8 // 128
    assert count(values, layer, weights, "write_word") == 3 * HEADS * width * width * 8 // 128


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("halting", ["none", "two_dimensional"])
def test_column_and_token_sums_add_every_element_of_the_rows_that_run(
    name: str, halting: str, tmp_path: Path
) -> None:
    for form in ("spike_driven", "token_qk"):
        path = written(tmp_path, halting=halting, attention=form)
        result, found = run(path, name), image(path)
        for block in range(BLOCKS):
            layer, vector = f"blocks.{block}.attn.sums", "cores.0.vector_unit"
            live = found.active[str(block)].sum(axis=1)
            rows = int(live.sum()) if name == "sparse_pe" else live.size * 16
            assert count(result, layer, vector, "add") == rows * CHANNELS
            assert count(result, layer, vector, "gate") == rows * CHANNELS
            gates = HEADS * rows if form == "token_qk" else CHANNELS * live.size
            if form == "spike_driven" and name == "sparse_pe":
                gates = CHANNELS * int((live > 0).sum())
            assert count(result, layer, vector, "lif_update") == gates
            row = result.tables["layers"].set_index("layer").loc[layer]
            assert row.pe_busy_cycles == 0
            assert row.vector_busy_cycles >= (2 * rows * CHANNELS + gates) / 32


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cores", [1, 2])
def test_both_engines_agree_and_dram_moves_what_is_counted(
    form: str, cores: int, tmp_path: Path
) -> None:
    path = written(tmp_path, attention=form)
    small = ("CORE.buffers.spikes.size_kib=0.25", "CORE.buffers.membranes.size_kib=1.0", FIRST)
    architecture = machine("sparse_pe", *small, cores=cores, global_kib=1)
    with Trace.open(path) as trace:
        lowered = lower(make_plan(read_network(trace), architecture), trace.read(0))
    program = lowered.program
    agreed(program)
    for unit, part in ((2, "memories.dram"), (5, "memories.global_buffer")):
        busy = int(program.busy_cycles[program.unit == unit].sum())
        counted = sum(
            number // (512 if "bit" in action else 1)
            for (_, of, action), number in lowered.counts.items()
            if of == part and action in ("read_bit", "write_bit", "read_word", "write_word")
        )
        assert busy == counted, part


@pytest.mark.parametrize("form", FORMS)
def test_halted_tokens_make_no_attention_cost_more(form: str, tmp_path: Path) -> None:
    every = written(tmp_path, attention=form, halting="none")
    all_rows = run(every, "sparse_pe").tables["images"]
    fewer = run(written(tmp_path, attention=form), "sparse_pe").tables["images"]
    assert fewer.latency_cycles[0] < all_rows.latency_cycles[0]


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("form", ["products", "spike_driven"])
def test_every_machine_does_the_same_useful_work(name: str, form: str, tmp_path: Path) -> None:
    """Whatever its array skips or reuses, and in both orders of the products."""
    path = written(tmp_path, attention=form)
    for order in ((), (FIRST,)):
        columns = []
        for machine_name in (name, "dense_pe"):
            architecture = load_architecture(ROOT / "arch_configs" / f"{machine_name}.yaml", order)
            with Trace.open(path) as trace:
                result = Simulation(trace, architecture).run([0])
            result.check()
            columns.append(result.tables["layers"].useful_accumulations)
        assert columns[0].equals(columns[1])


def test_the_trace_says_which_product_comes_first(tmp_path: Path) -> None:
    options = {"timesteps": 3, "channels": CHANNELS, "heads": HEADS, "seed": 11}
    content = tiny_content(attention="products", **options)
    silent = content.write(tmp_path / "silent.npz")
    content.manifest["model"]["attention_order"] = "key_values_first"
    stated = content.write(tmp_path / "stated.npz")
    silent_cycles, stated_cycles, forced, scores = (
        run(path, "sparse_pe", *order).tables["images"].latency_cycles[0]
        for path, order in (
            (silent, ()),
            (stated, ()),
            (silent, (FIRST,)),
            (stated, ("dataflow.attention_order=scores_first",)),
        )
    )
    assert stated_cycles == forced != silent_cycles
    assert scores == silent_cycles
    content.manifest["model"]["attention_order"] = "softmax"
    with pytest.raises(TraceError, match=said("an unknown order of attention in a trace")):
        content.write(tmp_path / "broken.npz")
