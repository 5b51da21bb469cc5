"""Does an array that walks input positions do the work of one that gathers windows?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.drawn_convolutions import Bits, ConvLayer, drawn_pairs, list_network, write_network
from models.operations.topology import Tensor
from simulator.architecture import load_architecture
from simulator.engine.reference import simulate
from simulator.engine.replay import replay
from simulator.errors import LoweringError
from simulator.lowering import Lowered, lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import ROOT, machine
from tests.messages import said

LAYERS = (
    ConvLayer("first", "image", 40),
    ConvLayer("second", "first", 72, stride=2),
    ConvLayer("third", "second", 64, kernel=1),
    ConvLayer("fourth", "third", 64, residual="third", pool=2),
    ConvLayer("classifier", "fourth", 10, kernel=0),
)
TIMESTEPS = 2


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(3)
    listing = list_network(LAYERS, 8, 3, TIMESTEPS, planes=8)

    def bits(tensor: Tensor) -> Bits:
        return drawn_pairs(tensor, 0.2, 0.3, random)

    path = tmp_path_factory.mktemp("scattered") / "drawn.npz"
    return write_network(path, "drawn", listing, TIMESTEPS, bits, "drawn")


def lowered(path: Path, name: str, *overrides: str) -> Lowered:
    architecture = load_architecture(ROOT / "arch_configs" / f"{name}.yaml", overrides)
    with Trace.open(path) as opened:
        return lower(make_plan(read_network(opened), architecture), opened.read(0))


@pytest.mark.nojit
def test_each_event_is_added_to_what_its_window_reaches(trace: Path) -> None:
    """Padding, strides and small kernels: every layer has the useful sums of its windows."""
    scattered, gathered = lowered(trace, "exspike"), lowered(trace, "dense_pe")
    static = gathered.useful_accumulations.copy()
    static[0] *= TIMESTEPS  # computed once there
    assert scattered.useful_accumulations.tolist() == static.tolist()


@pytest.mark.nojit
def test_pairs_add_what_both_have_once(trace: Path) -> None:
    def events(found: Lowered) -> int:
        return sum(
            count
            for (_, part, action), count in found.counts.items()
            if part == "cores.0.pe_array" and action == "event"
        )

    alone = lowered(trace, "exspike", "cores.pe_array.pairs=false")
    pairs = lowered(trace, "exspike")
    assert 0 < events(pairs) < events(alone)
    with Trace.open(trace) as opened:
        image, layers = opened.read(0), read_network(opened).layers
    expected = 0
    for layer in layers[1:4]:  # those of pe_array
        spikes = image.tensors[layer.operand or ""][:, 0]  # (timestep, pixel, byte)
        union = np.bitwise_or(spikes[:, 0::2], spikes[:, 1::2])
        expected += int(np.unpackbits(union).sum()) * -(-layer.outputs // 32)
    assert events(pairs) == expected


def test_each_timestep_fills_the_weight_buffer_again(trace: Path) -> None:
    """Chunks that fit a part of the buffer share a fill, and every fill is whole."""
    found = lowered(trace, "exspike")
    fill = 144 * 1024 * 8
    fills = {1: 1, 2: 1, 3: 1}  # 3 x 40, 2 x 72, 2 x 64 entries of 512
    for layer, count in fills.items():
        assert found.counts[layer, "memories.dram", "read_bit"] == TIMESTEPS * count * fill
    dram = found.unit_names.index("dram")
    own = (found.program.unit == dram) & (found.op_layer == 1)
    assert found.program.busy_cycles[own].tolist() == [32 * 149 + 2] * TIMESTEPS


def test_neurons_of_a_layer_follow_its_last_tile(trace: Path) -> None:
    found = lowered(trace, "exspike")
    timeline = replay(found.program)
    array, vector = (found.unit_names.index(name) for name in ("pe_array", "vector_unit"))
    for step in np.unique(found.op_step[found.program.unit == array]):
        own = found.op_step == step
        last = timeline.finish[own & (found.program.unit == array)].max()
        assert timeline.start[own & (found.program.unit == vector)].min() >= last
    slow = simulate(found.program)
    assert (slow.finish == timeline.finish).all()


def test_sums_that_do_not_fit_are_refused(trace: Path) -> None:
    small = "cores.buffers.partial_sums={kind: sram, size_kib: 4, width_bits: 512}"
    with pytest.raises(LoweringError, match=said("sums of a layer that do not fit")):
        lowered(trace, "exspike", small)
    with pytest.raises(LoweringError, match=said("weights of a tile that do not fit")):
        lowered(trace, "exspike", "cores.buffers.weights.size_kib=16")


def test_halting_in_time_is_refused(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "halting.npz", halting="timestep")
    with (
        Trace.open(path) as opened,
        pytest.raises(LoweringError, match=said("inputs walked while tokens halt in time")),
    ):
        make_plan(read_network(opened), machine("exspike"))
