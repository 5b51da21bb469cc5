"""Are pinned weights fetched once, kept for the next image, and nothing else changed by them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.engine.reference import simulate
from simulator.engine.replay import replay
from simulator.lowering import LoweredBatch, Lowering, Plan
from simulator.lowering.mapping import fixed_mapping, make_frame
from simulator.lowering.plan import plan_of
from simulator.operations import read_network
from simulator.trace import Image, Trace
from tests.machines import machine

ROOMY = "CORE.buffers.weights.size_kib=4096"
SPLITS = ("tokens", "heads", "output_channels")


def planned(
    path: Path, name: str, cores: int, split: str, pinned: int | None, prefetch: int = 0
) -> tuple[Plan, list[Image]]:
    """A plan that pins so many chunks of each layer with weights; None = as the fixed rules do."""
    architecture = machine(
        name, ROOMY, cores=cores, split=split, global_kib=512 if cores > 1 else 0
    )
    with Trace.open(path) as trace:
        frame = make_frame(read_network(trace), architecture)
        images = [trace.read(index) for index in range(2)]
    mapping = fixed_mapping(frame)._replace(prefetch_chunks=prefetch)
    if pinned is not None:
        own = [
            min(pinned, cut.pieces) if layer.weight_bits and layer.kind != "head" else 0
            for layer, cut in zip(frame.network.layers, frame.cuts, strict=True)
        ]
        mapping = mapping._replace(pinned=tuple(own))
    return plan_of(frame, mapping), images


def dram_reads(batch: LoweredBatch) -> np.ndarray:
    return batch.counts[:, :, batch.actions.index(("memories.dram", "read_bit"))].sum(axis=1)


def pinned_bits(plan: Plan) -> int:
    """Bits of the pinned chunks of all cores, from the sizes of chunks and column tiles."""
    total, machine_ = 0, plan.machine
    for each in plan.layers:
        if not each.pinned:
            continue
        assert each.chunks is not None
        tiles = -(-each.layer.outputs // each.columns)
        for core in range(machine_.cores):
            first, last = 0, tiles
            if each.share == 2:  # cut by column tiles
                first, last = core * tiles // machine_.cores, (core + 1) * tiles // machine_.cores
            chunks = range(len(each.chunks.inputs))
            pieces = [(tile, chunk) for tile in range(first, last) for chunk in chunks]
            for tile, chunk in pieces[: each.pinned]:
                width = min(each.columns, each.layer.outputs - tile * each.columns)
                bits = int(each.chunks.inputs[chunk]) * width * each.layer.weight_bits
                total += -(-bits // 512) * 512  # bursts of 64 bytes
    return total


@pytest.mark.parametrize("pinned", [None, 1, 2])
@pytest.mark.parametrize(("cores", "split"), [(1, "heads"), *((2, split) for split in SPLITS)])
@pytest.mark.parametrize("name", ["sparse_pe", "dense_pe"])
def test_a_later_image_moves_the_pinned_bytes_less(
    name: str, cores: int, split: str, pinned: int | None, tiny: Path
) -> None:
    plan, images = planned(tiny, name, cores, split, pinned)
    lowering = Lowering(plan)
    batch = lowering.batch_of(images)
    first, later = lowering.lower_batch(batch), lowering.lower_batch(batch, pinned_present=True)
    saved = dram_reads(first) - dram_reads(later)
    assert saved.tolist() == [pinned_bits(plan)] * 2
    assert saved[0] > 0
    work = [n for n, (part, _) in enumerate(first.actions) if part.startswith("cores.0.pe_array")]
    assert first.actions == later.actions
    np.testing.assert_array_equal(first.counts[:, :, work], later.counts[:, :, work])
    np.testing.assert_array_equal(first.useful_accumulations, later.useful_accumulations)
    for lowered in (first, later):
        program = lowered.program(0)
        assert replay(program).makespan_cycles == simulate(program).makespan_cycles


@pytest.mark.parametrize("name", ["sparse_pe", "dense_pe"])
def test_the_dram_is_busy_for_the_fetches_that_are_counted(name: str, tiny: Path) -> None:
    busy, bits = [], []
    for pinned in (0, 1, 3):
        plan, images = planned(tiny, name, 1, "heads", pinned)
        lowering = Lowering(plan)
        batch = lowering.batch_of(images[:1])
        for present in (False, True):
            lowered = lowering.lower_batch(batch, pinned_present=present)
            program = lowered.program(0)
            busy.append(int(program.busy_cycles[program.unit == unit_of(plan, "dram")].sum()))
            bits.append(int(lowered.dram_bits.sum()))
    assert len(set(bits)) > 3
    order = np.argsort(bits)
    assert (np.diff(np.array(busy)[order]) >= 0).all()


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_no_fetch_runs_further_ahead_than_the_depth(depth: int, tiny: Path) -> None:
    free, images = planned(tiny, "sparse_pe", 1, "heads", 0)
    plan, _ = planned(tiny, "sparse_pe", 1, "heads", 0, depth)
    ahead = [_most_ahead(each, images[0]) for each in (free, plan)]
    assert ahead[1] <= depth < ahead[0]


def unit_of(plan: Plan, role: str) -> int:
    """The one unit of this role on a machine of one core."""
    (unit,) = plan.graph.with_role(role)
    return unit


def _most_ahead(plan: Plan, image: Image) -> int:
    """The most chunks of weights that were being fetched, or fetched and not yet used up once."""
    lowering = Lowering(plan)
    batch = lowering.lower([image])
    emitted, timeline = batch.emitted[0], replay(batch.program(0))
    program, most = batch.program(0), 0
    weights = emitted.category == 2  # dram_weights
    head = np.array([each.kind == "head" for each in plan.network.layers])[emitted.layer]
    fetches = np.flatnonzero(weights & (program.unit == unit_of(plan, "dram")) & ~head)
    ends = np.empty(len(fetches), np.int64)
    readers: dict[int, int] = {}
    for op in range(len(program.unit) - 1, -1, -1):
        if program.unit[op] in (unit_of(plan, "weight_port"), unit_of(plan, "pe_array")):
            for pred in program.pred[program.pred_ptr[op] : program.pred_ptr[op + 1]].tolist():
                readers[pred] = op
    for place, fetch in enumerate(fetches.tolist()):
        load = readers[fetch]
        use = readers[load] if program.unit[load] == unit_of(plan, "weight_port") else load
        ends[place] = timeline.finish[use]
    for place, fetch in enumerate(fetches.tolist()):
        start = timeline.start[fetch]
        most = max(most, int((ends[: place + 1] > start).sum()))
    return most
