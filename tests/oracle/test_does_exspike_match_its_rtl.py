"""Is a layer on arch_configs/exspike.yaml as long as in ExSpike's own RTL, from the same spikes?"""

from __future__ import annotations

import csv
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.drawn_convolutions import Bits, ConvLayer, list_layer, list_network, write_network
from models.topology import Tensor
from simulator.architecture import load_architecture
from simulator.engine.replay import replay
from simulator.lowering import lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace

ROOT = Path(__file__).parents[2]
RTL = ROOT.parent / "shared" / "oracles" / "exspike"
FIRST = (
    "{{kind: event_scatter, columns: 32, taps: 9, pairs: {pairs}, latency_cycles: 0, "
    "weights_inside: true}}"
)
needs_rtl = pytest.mark.skipif(not RTL.is_dir(), reason="figures of ExSpike's RTL are not here")


def rows(name: str) -> list[dict[str, str]]:
    with open(RTL / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def archive() -> Any:
    return np.load(RTL / "spikes.npz", allow_pickle=False)


def spikes_of(case: str) -> Bits:
    """(timestep, position, channel) of a run."""
    shape = archive()[f"case{case}__shape"]
    bits = np.unpackbits(archive()[f"case{case}"], axis=-1, bitorder="little")
    return bits[..., : shape[-1]].reshape(shape).astype(bool)


def layer_ends(
    folder: Path, layers: list[ConvLayer], given: Bits, side: int, *, pairs: bool
) -> list[int]:
    """Cycle at which each layer has ended; what they read, `given`, is on chip before the first."""
    timesteps, _, channels = given.shape
    # One silent pixel, laid out anew as the spikes: they are made on chip, in no time.
    listing = list_network([ConvLayer("pixel", "image", 1, kernel=1)], 1, 1, timesteps, planes=8)
    listing.tensors["given"] = Tensor("given", "spikes", timesteps, 1, (side, side), channels, None)
    shapes = {"rows": side * side, "channels": channels}
    laid_out = {"name": "laid_out", "kind": "rearrange", "input": "pixel", "output": "given"}
    listing.operations.append(
        {**listing.operations[-1], **laid_out, "shapes": shapes, "parameters": {}, "input_bits": 1}
    )
    for layer in layers:
        list_layer(listing, layer, timesteps)
    for operation in listing.operations:
        if operation["name"] == "first.conv":
            # The first layer of the RTL has its weights on chip, as the classifier here.
            size = {"rows": side * side, "in_features": channels, "out_features": 32}
            operation |= {"kind": "linear", "shapes": size}

    def bits(tensor: Tensor) -> Bits:
        shape = (tensor.timesteps, tensor.planes, tensor.rows, tensor.channels)
        return given[:, None] if tensor.channels == channels else np.zeros(shape, bool)

    path = write_network(folder / "given.npz", "given", listing, timesteps, bits, "spikes given")
    machine = load_architecture(
        ROOT / "arch_configs" / "exspike.yaml",
        # Where the RTL's runs had no limit: all spikes are in their memory.
        [
            f"cores.pe_array.pairs={str(pairs).lower()}",
            f"cores.engines.linears={FIRST.format(pairs=str(pairs).lower())}",
            "cores.buffers.spikes.size_kib=4096",
            "dataflow.reuse_static_input=true",
        ],
    )
    with Trace.open(path) as trace:
        found = lower(make_plan(read_network(trace), machine), trace.read(0))
    finish = replay(found.program).finish
    return [int(finish[found.op_layer == layer].max()) for layer in range(1, len(layers) + 1)]


def predicted(folder: Path, row: dict[str, str]) -> int:
    """A layer behind one of a single output group, as the runs had it."""
    spikes = spikes_of(row["case"])
    outputs, kernel = int(row["cout"]), int(row["kernel"])
    layers = [ConvLayer("first", "given", 32), ConvLayer("second", "given", outputs, kernel)]
    pairs = row["group"] == "2"
    ends = layer_ends(folder, layers, spikes, int(row["in_size"]), pairs=pairs)
    return ends[1] - ends[0]


def drawn(events: int, timesteps: int, positions: int, channels: int, *, pairs: bool) -> Bits:
    """Draw spikes of which each timestep has so many events, every one of them in every pair."""
    random = np.random.default_rng(0)
    shape = (timesteps, positions, channels)
    found: Bits = random.random(shape) < 0.95 * events / positions / channels
    found[:, :, 0] = True
    found[:, 1::2, 1:] &= random.random((timesteps, positions // 2, channels - 1)) < 0.95
    for step in found:
        even, odd = step[0::2], step[1::2]
        while (missing := events - _events(step, pairs=pairs)) > 0:
            # A bit in an even position whose partner has none is one more event.
            free = np.argwhere(~even & ~odd)
            chosen = free[random.choice(len(free), missing, replace=False)]
            even[chosen[:, 0], chosen[:, 1]] = True
    return found


def _events(step: Bits, *, pairs: bool) -> int:
    common = int((step[0::2] & step[1::2]).sum())
    return int(step.sum()) - (common if pairs else 0)


@needs_rtl
@pytest.mark.parametrize("row", range(9))
def test_chains_take_the_cycles_of_the_rtl(row: int, tmp_path: Path) -> None:
    """Four layers in a row: from the second on each takes as long as in the RTL.

    The spikes of these runs are not known. Of a layer that weights bound they do not matter; of
    another its events follow from its cycles, and spikes with so many take them again.
    """
    chain = rows("rtl_chains.csv")[row]
    pairs, timesteps = chain["group"] == "2", int(chain["T"])
    positions, channels, outputs = int(chain["in_size"]) ** 2, int(chain["cin"]), int(chain["cout"])
    measured = int(chain["rtl_cycles_layer2"])
    tiles, ends = outputs // 32, positions * (outputs // 32) + (31 if pairs else 29)
    restarts = (timesteps - 1) * 4770
    a_tile = (measured - restarts) // timesteps - ends
    bound_by_weights = measured == 4770 * tiles * channels // 512
    events = a_tile // tiles - (8 if pairs else 7) * positions
    if bound_by_weights:
        events = int(float(chain["density"]) * positions * channels)
    given = drawn(events, timesteps, positions, channels, pairs=pairs)
    layers = [ConvLayer("first", "given", 32)]
    layers += [ConvLayer(f"layer{number}", "given", outputs) for number in range(3)]
    found = layer_ends(tmp_path, layers, given, int(chain["in_size"]), pairs=pairs)
    for before, after in pairwise(found[1:]):
        if bound_by_weights:
            assert after - before == measured
        else:  # 29 or 31 cycles to end a layer, some 40 to begin a timestep
            assert abs(after - before - measured) <= 2 + 40 * (timesteps - 1)


@needs_rtl
def test_single_layers_take_the_cycles_of_the_rtl(tmp_path: Path) -> None:
    errors = {}
    for row in rows("rtl_layers.csv"):
        measured = int(row["layer_cycles"])
        errors[row["case"]] = abs(predicted(tmp_path, row) - measured) / measured
    assert np.mean(list(errors.values())) <= 0.01, errors
    assert max(errors.values()) <= 0.06, errors
