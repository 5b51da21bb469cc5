"""Do the units move exactly what is counted, however the work is split and wherever data live?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.engine.replay import replay
from simulator.errors import LoweringError
from simulator.lowering import Lowered, make_plan
from simulator.lowering.tables import FROM_GLOBAL
from simulator.operations import read_network
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.machines import lowered, machine
from tests.messages import refused
from tests.programs import agreed

SPLITS = ("tokens", "heads", "output_channels")
SMALL = ("CORE.buffers.spikes.size_kib=1.0", "CORE.buffers.membranes.size_kib=1.0")
# Weights stay in the weight buffer; in the global buffer; nowhere; and little of anything fits.
MEMORIES = {
    "resident": ((), 512),
    "shared": (("CORE.buffers.weights.size_kib=32.0",), 512),
    "streamed": (("CORE.buffers.weights.size_kib=8.0", *SMALL), 1),
}


def counted(found: Lowered, part: str, *actions: str) -> int:
    return sum(
        count for (_, p, action), count in found.counts.items() if p == part and action in actions
    )


def busy(found: Lowered, unit: str) -> int:
    """Of a unit, or of those of all cores."""
    own = [n for n, name in enumerate(found.unit_names) if name.rpartition(".")[2] == unit]
    return int(found.program.busy_cycles[np.isin(found.program.unit, own)].sum())


@pytest.mark.parametrize("name", ["sparse_pe", "dense_pe"])
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("cores", [1, 2, 3])
def test_dram_is_busy_for_the_bits_that_are_counted(
    name: str, memory: str, split: str, cores: int, tiny: Path
) -> None:
    overrides, global_kib = MEMORIES[memory]
    architecture = machine(name, *overrides, cores=cores, split=split, global_kib=global_kib)
    found = lowered(tiny, architecture)
    assert busy(found, "dram") * 512 == counted(found, "memories.dram", "read_bit", "write_bit")
    assert int(found.dram_bits.sum()) == busy(found, "dram") * 512


@pytest.mark.parametrize("memory", ["resident", "streamed"])
@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("split", SPLITS)
def test_the_global_buffer_is_busy_for_the_words_that_are_counted(
    split: str, cores: int, memory: str, tiny: Path
) -> None:
    overrides, global_kib = MEMORIES[memory]
    architecture = machine("sparse_pe", *overrides, cores=cores, split=split, global_kib=global_kib)
    found = lowered(tiny, architecture)
    words = counted(found, "memories.global_buffer", "read_word", "write_word")
    with Trace.open(tiny) as trace:
        plan = make_plan(read_network(trace), architecture)
    # Weights are written into it from the side of DRAM, which takes none of its cycles.
    filled = [each.layer for each in plan.layers if each.source == FROM_GLOBAL]
    words -= sum(-(-layer.inputs * layer.outputs * layer.weight_bits // 512) for layer in filled)
    assert busy(found, "global_buffer") == words
    assert words > 0 or cores == 1


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("cores", [2, 3])
def test_both_engines_agree_on_several_cores(split: str, cores: int, tiny: Path) -> None:
    program = lowered(tiny, machine(cores=cores, split=split, global_kib=64)).program
    agreed(program)


@pytest.mark.parametrize("split", ["heads", "output_channels"])
def test_cores_share_the_work_of_one_and_add_none(split: str, tiny: Path) -> None:
    one = lowered(tiny, machine(global_kib=512))
    several = lowered(tiny, machine(cores=3, split=split, global_kib=512))
    assert busy(one, "pe_array") == busy(several, "pe_array")
    assert counted(one, "cores.0.pe_array", "accumulate") == counted(
        several, "cores.0.pe_array", "accumulate"
    )
    assert replay(several.program).makespan_cycles < replay(one.program).makespan_cycles


def test_tokens_on_several_cores_fetch_the_weights_more_than_once(tiny: Path) -> None:
    by_split = {
        split: lowered(tiny, machine(cores=2, split=split, global_kib=1)) for split in SPLITS
    }
    moved = {split: int(found.dram_bits.sum()) for split, found in by_split.items()}
    assert moved["tokens"] > moved["output_channels"]


def test_weights_that_fit_are_fetched_once(tiny: Path) -> None:
    """All that the blocks and the head move then is every weight once, in whole bursts."""
    with Trace.open(tiny) as trace:
        network = read_network(trace)
    for memory in ("resident", "shared"):
        overrides, global_kib = MEMORIES[memory]
        architecture = machine("sparse_pe", *overrides, global_kib=global_kib)
        plan, found = make_plan(network, architecture), lowered(tiny, architecture)
        weights = moved = 0
        for each in plan.layers:
            if each.fetch and each.layer.stage != "sps":
                full, last = (
                    sum(chunk[side].counts["read_bit"] for chunk in each.fetch) for side in range(2)
                )
                tiles, ragged = divmod(each.layer.outputs, each.columns)
                if each.layer.kind == "head":
                    tiles, ragged = 1, 0
                weights += tiles * full + bool(ragged) * last
            if each.layer.stage != "sps":
                moved += int(found.dram_bits[each.layer.index])
        assert moved == weights, memory


@pytest.mark.parametrize("split", SPLITS)
def test_a_result_of_several_cores_names_them_and_keeps_its_sums(split: str, tiny: Path) -> None:
    with Trace.open(tiny) as trace:
        result = Simulation(trace, machine(cores=2, split=split, global_kib=64)).run([0])
    result.check()
    units = set(result.tables["units"].unit)
    assert {"cores.0.pe_array", "cores.1.pe_array", "cores.1.vector_unit", "dram"} <= units


def test_several_cores_need_a_global_buffer(tiny: Path) -> None:
    with Trace.open(tiny) as trace, refused(LoweringError, "sparse_pe", "memories.global_buffer"):
        make_plan(read_network(trace), machine(cores=2))
