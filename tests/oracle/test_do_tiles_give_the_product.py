"""Do the tiles that an array is said to process, put together, give the integer matrix product?

From the same bits and random integer weights: no spike is lost, none counted twice, halted rows
are left out. The reference is a dense product of unpacked values, written without any of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.calibration.tiles import TileBits
from simulator.architecture import load_architecture
from simulator.config.arrays import Int32s
from simulator.lowering import Lowering, Plan, make_plan
from simulator.lowering.plan import LayerPlan
from simulator.lowering.table import make_table
from simulator.lowering.tiling import Chunks, cut_heads
from simulator.operations import Layer, Network, read_network
from simulator.operations.windows import window_of
from simulator.trace import Image, Trace
from tests.factories import tiny_trace, unpack_planes

WS = "{kind: dense_systolic, rows: 5, columns: 3, stationary: ws}"
SMALL = "{kind: spike_skip, rows: 3, columns: 5, word_inputs: 8}"
OTHERS = [
    "{kind: dense_systolic, rows: 5, columns: 3, stationary: is, tile_outputs: 32}",
    "{kind: product_sparse, columns: 24, tile_rows: 32}",
    "{kind: pattern, columns: 24, patterns: 8, row_inputs: 12}",
    "{kind: spike_count, columns: 24, chunk_inputs: 40}",
    "{kind: time_batched, rows: 16, columns: 8}",
    "{kind: adder_trees, rows: 4, columns: 8, tree_inputs: 20}",
]
KEY_VALUES = "dataflow={kind: timestep_serial, attention_order: key_values_first}"
MACHINES = [
    ("sparse_pe", []),
    ("sparse_pe", [KEY_VALUES]),
    ("sparse_pe_noskip", []),
    ("dense_pe", []),
    ("sparse_pe", ["token_skip={kind: gate}"]),
    ("dense_pe", [f"cores.0.pe_array={WS}"]),
    *[("sparse_pe", [f"cores.0.pe_array={array}"]) for array in OTHERS],
    ("sparse_pe", [f"cores.0.pe_array={SMALL}", "cores.0.buffers.partial_sums.size_kib=0.25"]),
]
TRACES = [
    {"halting": "two_dimensional", "channels": 24, "seed": 1},
    {"halting": "none", "channels": 16, "seed": 2},
    {"halting": "two_dimensional", "channels": 136, "seed": 3},
    {"halting": "none", "channels": 24, "seed": 4},
    {"halting": "none", "channels": 16, "seed": 5},
    {"halting": "none", "channels": 20, "seed": 6},
]


def live_rows(layer: Layer, image: Image) -> list[Int32s]:
    """The rows that a layer computes at each timestep: all, or those of active tokens."""
    if layer.mask is None:
        every = layer.inputs if layer.transposed else layer.rows
        return [np.arange(every, dtype=np.int32)] * layer.timesteps
    return [np.flatnonzero(active).astype(np.int32) for active in image.active[layer.mask]]


def values_of(image: Image, network_tensor: str, channels: int, timesteps: int) -> np.ndarray:
    """Whole numbers (timestep, row, channel), one timestep repeated for all."""
    values = unpack_planes(image.tensors[network_tensor], channels)
    return np.broadcast_to(values, (timesteps, *values.shape[1:])) if len(values) == 1 else values


def unfolded(layer: Layer, values: np.ndarray) -> np.ndarray:
    """(timestep, output row, tap, channel): the inputs of every product, zeros in the padding."""
    window = layer.window
    grid = values.reshape(len(values), *window.in_grid, -1)
    if window.is_transposed:
        apart = [(n - 1) * s + 1 for n, s in zip(window.in_grid, window.spread, strict=True)]
        wide = np.zeros((len(values), *apart, grid.shape[-1]), grid.dtype)
        wide[:, :: window.spread[0], :: window.spread[1], :: window.spread[2]] = grid
        grid = wide
    reach = [d * (k - 1) + 1 for d, k in zip(window.dilation, window.kernel, strict=True)]
    far = [
        (p, (out - 1) * s + r - n - p)
        for p, out, s, r, n in zip(
            window.padding, window.out_grid, window.stride, reach, grid.shape[1:4], strict=True
        )
    ]
    grid = np.pad(grid, ((0, 0), *((p, max(q, 0)) for p, q in far), (0, 0)))
    rows = []
    for place in np.ndindex(window.out_grid):
        first = [n * s for n, s in zip(place, window.stride, strict=True)]
        cut = [slice(f, f + r, d) for f, r, d in zip(first, reach, window.dilation, strict=True)]
        rows.append(grid[:, cut[0], cut[1], cut[2]].reshape(len(values), window.taps, -1))
    return np.stack(rows, axis=1)


def dilated(layer: Layer) -> Layer:
    """The 3 x 3 window spread over 5 x 5 pixels."""
    return replace(layer, window=layer.window._replace(dilation=(1, 2, 2), padding=(0, 2, 2)))


def in_groups(layer: Layer) -> Layer:
    """The channels in groups, if they are even."""
    groups = 4 if layer.channels % 4 == 0 else 1
    return replace(
        layer, groups=groups, inputs=layer.inputs // groups, outputs=-(-layer.outputs // groups)
    )


def transposed(layer: Layer) -> Layer:
    """The transposed convolution of the same kernel that doubles the map."""
    shapes = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1]}
    grid = layer.window.in_grid[1:]
    shapes |= {"in_grid": [*grid], "out_grid": [2 * n for n in grid]}
    window = window_of(layer.name, {**shapes, "transposed": 1})
    return replace(in_groups(layer), window=window, rows=4 * layer.window.pixels)


def deep(layer: Layer) -> Layer:
    """The lines of the map as a map of two, and a window of three axes on it."""
    shapes = {"kernel": [2, 3, 3], "stride": [1, 2, 1], "padding": [1, 1, 0]}
    _, height, width = layer.window.in_grid
    grids = {"in_grid": [2, height // 2, width], "out_grid": [3, height // 4, width - 2]}
    window = window_of(layer.name, {**shapes, **grids})
    rows, inputs = int(np.prod(window.out_grid)), layer.inputs // 9 * 18
    return replace(layer, window=window, rows=rows, inputs=inputs)


CHANGES: dict[object, Callable[[Layer], Layer]] = {2: dilated, 4: in_groups, 5: transposed, 6: deep}
"""What each seed's network does to its 3 x 3 windows."""


def changed(network: Network, seed: object) -> Network:
    change = CHANGES.get(seed, lambda layer: layer)
    layers = [
        change(layer) if layer.window.kernel == (1, 3, 3) else layer for layer in network.layers
    ]
    assert seed not in CHANGES or tuple(layers) != network.layers
    return replace(network, layers=tuple(layers))


def inputs_of(layer: Layer, image: Image, steps: int) -> np.ndarray:
    """int (timestep, group, row, input) of every product with nothing halted."""
    values = values_of(image, str(layer.operand), layer.channels, steps)
    if not layer.is_attention:
        patches = unfolded(layer, values)
        own = patches.reshape(steps, layer.rows, layer.window.taps, layer.groups, -1)
        return own.transpose(0, 3, 1, 2, 4).reshape(steps, layer.groups, layer.rows, -1)
    by_head = values.reshape(steps, values.shape[1], layer.groups, -1).transpose(0, 2, 1, 3)
    return by_head.transpose(0, 1, 3, 2) if layer.transposed else by_head


def chunk_inputs_of(chunks: Chunks, chunk: int, channels: int) -> list[int]:
    """The tap-major positions of a chunk's inputs."""
    found: list[int] = []
    for segment in range(chunks.ptr[chunk], chunks.ptr[chunk + 1]):
        piece = chunks.channel_range[segment]
        found += [
            int(chunks.tap[segment]) * channels + channel
            for channel in range(chunks.start[piece], chunks.stop[piece])
        ]
    return found


def places_of(plan: Plan, layer_plan: LayerPlan, chunk: int, tokens: np.ndarray) -> list[int]:
    """The inputs of a product that a chunk holds; `tokens`: the inputs of a transposed one."""
    layer, array = layer_plan.layer, plan.architecture.core.pe_array
    size = array.tile_inputs or layer.inputs
    if layer.transposed:
        return tokens[chunk * size :][:size].tolist()
    if layer.is_attention:
        return chunk_inputs_of(cut_heads(1, layer.inputs, size), chunk, layer.inputs)
    assert layer_plan.chunks is not None
    return chunk_inputs_of(layer_plan.chunks, chunk, layer.group_channels)


@pytest.mark.nojit
@pytest.mark.parametrize("options", TRACES, ids=lambda options: f"seed-{options['seed']}")
@pytest.mark.parametrize(("machine", "overrides"), MACHINES)
def test_the_tiles_of_all_layers_sum_to_the_product(
    machine: str, overrides: list[str], options: dict[str, object], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    with Trace.open(tiny_trace(tmp_path / "tiny.npz", **options)) as trace:
        network = read_network(trace)
        image = trace.read(0)
        architecture = load_architecture(machine, overrides)
    plan = make_plan(changed(network, options["seed"]), architecture)
    lowering = Lowering(plan)
    batch = lowering.batch_of([image])
    tiles, table = TileBits(lowering.constants, batch), make_table(lowering.constants, batch)
    useful = lowering.lower([image]).useful_accumulations[0]
    layout, drops = tiles.layout, architecture.token_skip.drops_rows
    checked = 0
    for layer_plan in plan.layers:
        layer = layer_plan.layer
        if layer.kind == "head":
            continue
        steps = layer_plan.computed_timesteps
        live = live_rows(layer, image)[:steps]
        inputs = inputs_of(layer, image, steps)
        weights = random.integers(-8, 8, (inputs.shape[3], 11))
        runs = np.zeros((steps, inputs.shape[3 if layer.transposed else 2]), bool)
        for time, rows in enumerate(live):
            runs[time, rows] = True
        kept = runs[:, None, None, :] if layer.transposed else runs[:, None, :, None]
        ran = inputs if layer.transposed and not drops else inputs * kept
        result = np.zeros((*inputs.shape[:3], 11), np.int64)
        first, blocks = tiles.blocks_of(layer.index)
        own = (layout.block >= first) & (layout.block < first + blocks)
        for tile in np.flatnonzero(own).tolist():
            items = slice(*tiles.rows.ptr[layout.block[tile] :][:2].tolist())
            step, row = tiles.rows.timestep[items], tiles.rows.row[items]
            words, _ = tiles.gather(tile, tile + 1)
            bits = np.unpackbits(
                words.astype("<u8").view(np.uint8).reshape(len(row), layer.planes, -1),
                axis=2,
                count=int(layout.inputs[tile]),
                bitorder="little",
            ).astype(np.int64)
            assert bits.sum() == table.timed.tile_ones[tile]
            values = (bits << np.arange(layer.planes)[:, None]).sum(axis=1)
            tokens = np.flatnonzero(runs[step[0]]) if drops else np.arange(runs.shape[1])
            places = places_of(plan, layer_plan, int(layout.chunk[tile]), tokens)
            result[step, layout.group[tile], row] += values @ weights[places]
        np.testing.assert_array_equal(result, ran @ weights)
        assert useful[layer.index] == useful_of(layer, inputs, kept, live)
        checked += 1
    assert checked >= 10


def useful_of(layer: Layer, inputs: np.ndarray, kept: np.ndarray, live: list[np.ndarray]) -> int:
    """Ones of live rows times the outputs of their timestep."""
    ones = np.bitwise_count((inputs * kept).astype(np.uint64)).sum(axis=(1, 2, 3))
    outputs = [len(rows) if layer.outputs_are_tokens else layer.outputs for rows in live]
    return int((ones * np.array(outputs)).sum())


@pytest.mark.nojit
@pytest.mark.parametrize("channels", [3, 8, 13, 24, 128, 130])
@pytest.mark.parametrize("chunk", [8, 24, 128])
@pytest.mark.parametrize("across_taps", [False, True])
def test_chunks_hold_every_input_once(channels: int, chunk: int, across_taps: bool) -> None:
    from simulator.lowering.tiling import cut_inputs

    chunks = cut_inputs(9, channels, chunk, across_taps=across_taps)
    covered = [
        place for c in range(len(chunks.inputs)) for place in chunk_inputs_of(chunks, c, channels)
    ]
    assert sorted(covered) == list(range(9 * channels))
