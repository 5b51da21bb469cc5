"""Do the tiles that an array is said to process, put together, give the integer matrix product?

From the same bits and random integer weights: no spike is lost, none counted twice, halted rows
are left out. The reference is a dense product of unpacked values, written without any of ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.lowering import make_plan
from simulator.lowering.pieces import _scopes, layer_pieces
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tiling import (
    Chunks,
    ColumnGather,
    RowGather,
    Rows,
    count_column_ones,
    count_ones,
    cut_heads,
    cut_rows,
)
from simulator.operations import Layer, live_rows, read_network
from simulator.trace import Image, Trace
from tests.factories import tiny_trace, unpack_planes
from tests.works import pack_words

ROOT = Path(__file__).parents[2]
WS = "{kind: dense_systolic, rows: 5, columns: 3, stationary: ws}"
SMALL = "{kind: spike_skip, rows: 3, columns: 5, word_inputs: 8}"
OTHERS = [
    "{kind: dense_systolic, rows: 5, columns: 3, stationary: is, tile_outputs: 32}",
    "{kind: product_sparse, columns: 24, tile_rows: 32}",
    "{kind: pattern, columns: 24, patterns: 8, row_inputs: 12}",
    "{kind: spike_count, columns: 24, chunk_inputs: 40}",
    "{kind: time_batched, rows: 16, columns: 8}",
]
MACHINES = [
    ("sparse_pe", []),
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
]


def values_of(image: Image, network_tensor: str, channels: int, timesteps: int) -> np.ndarray:
    """Whole numbers (timestep, row, channel), one timestep repeated for all."""
    values = unpack_planes(image.tensors[network_tensor], channels)
    return np.broadcast_to(values, (timesteps, *values.shape[1:])) if len(values) == 1 else values


def unfolded(layer: Layer, values: np.ndarray) -> np.ndarray:
    """(timestep, output row, tap, channel): the inputs of every product, zeros in the padding."""
    height, width = layer.window.in_grid
    grid = values.reshape(len(values), height, width, -1)
    top, left = layer.window.padding
    grid = np.pad(grid, ((0, 0), (top, top), (left, left), (0, 0)))
    rows = []
    for y in range(layer.window.out_grid[0]):
        for x in range(layer.window.out_grid[1]):
            first, second = y * layer.window.stride[0], x * layer.window.stride[1]
            patch = grid[
                :,
                first : first + layer.window.kernel[0],
                second : second + layer.window.kernel[1],
            ]
            rows.append(patch.reshape(len(values), layer.window.taps, -1))
    return np.stack(rows, axis=1)


def masked(layer: Layer, image: Image, timesteps: int, rows: int) -> np.ndarray:
    """bool (timestep, row): the rows that run."""
    if layer.mask is None:
        return np.ones((timesteps, rows), bool)
    return image.active[layer.mask][:timesteps]


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


def rows_of(plan: Plan, layer_plan: LayerPlan, image: Image) -> Rows:
    """The rows as the lowering cuts them."""
    layer = layer_plan.layer
    live = live_rows(layer, image, plan.network.tokens)[: layer_plan.computed_timesteps]
    if not plan.architecture.token_skip.drops_rows:
        live = [np.arange(layer.rows, dtype=np.int32)] * len(live)
    together = plan.steps[layer_plan.scopes[0]].timestep == ALL_TIMESTEPS
    together = together and len(layer_plan.scopes) == 1
    return cut_rows(_scopes(live, together), layer_plan.row_block)


@pytest.mark.nojit
@pytest.mark.parametrize("options", TRACES, ids=lambda options: f"channels-{options['channels']}")
@pytest.mark.parametrize(("machine", "overrides"), MACHINES)
def test_the_pieces_of_convolutions_and_linear_layers_sum_to_the_product(
    machine: str, overrides: list[str], options: dict[str, object], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    with Trace.open(tiny_trace(tmp_path / "tiny.npz", **options)) as trace:
        network = read_network(trace)
        image = trace.read(0)
        architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml", overrides)
    plan = make_plan(network, architecture)
    checked = 0
    for layer_plan in plan.layers:
        layer = layer_plan.layer
        if layer.kind not in ("conv2d", "linear"):
            continue
        steps = layer_plan.computed_timesteps
        values = values_of(image, str(layer.operand), layer.channels, steps)
        inputs = unfolded(layer, values).reshape(steps, layer.rows, -1)
        active = masked(layer, image, steps, layer.rows)
        weights = random.integers(-8, 8, (inputs.shape[2], layer.outputs))
        expected = np.where(active[:, :, None], inputs @ weights, 0)
        expected_ones = sum(
            int((((inputs >> plane) & 1) * active[:, :, None]).sum())
            for plane in range(layer.planes)
        )
        result = np.zeros_like(expected)
        rows, chunks = rows_of(plan, layer_plan, image), layer_plan.chunks
        assert chunks is not None
        columns = plan.machine.columns
        for block in range(len(rows.block_ptr) - 1):
            items = slice(rows.block_ptr[block], rows.block_ptr[block + 1])
            step, row = rows.timestep[items], rows.row[items]
            for chunk in range(len(chunks.inputs)):
                places = chunk_inputs_of(chunks, chunk, layer.channels)
                assert len(places) == chunks.inputs[chunk]
                operand = inputs[step, row][:, places] * active[step, row][:, None]
                for first in range(0, layer.outputs, columns):
                    tile = slice(first, min(first + columns, layer.outputs))
                    result[step, row, tile] += operand @ weights[places][:, tile]
        np.testing.assert_array_equal(result, expected)
        pieces = layer_pieces(plan, layer_plan, image)
        assert pieces.useful == expected_ones * layer.outputs
        checked += 1
    assert checked >= 10


@pytest.mark.nojit
@pytest.mark.parametrize("channels", [3, 8, 13, 24, 128, 130])
@pytest.mark.parametrize("chunk", [8, 24, 128])
@pytest.mark.parametrize("across_taps", [False, True])
def test_ones_are_counted_as_unpacking_them_would(
    channels: int, chunk: int, across_taps: bool, tmp_path: Path
) -> None:
    from simulator.lowering.tiling import cut_inputs
    from simulator.operations import Window

    random = np.random.default_rng(channels)
    bits = random.random((2, 2, 20, channels)) < 0.3
    packed = np.packbits(bits, axis=-1, bitorder="little")
    window = Window((3, 3), (1, 1), (1, 1), (4, 5), (4, 5))
    chunks = cut_inputs(9, channels, chunk, across_taps=across_taps)
    covered = [
        place for c in range(len(chunks.inputs)) for place in chunk_inputs_of(chunks, c, channels)
    ]
    assert sorted(covered) == list(range(9 * channels))
    steps, row = np.divmod(random.permutation(40)[:17].astype(np.int32), 20)
    rows = cut_rows([(steps.astype(np.int32), row.astype(np.int32))], 4)
    counted = count_ones(packed, rows, window, chunks)
    padded = np.pad(bits.reshape(2, 2, 4, 5, channels), ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    kept = random.random(17) < 0.8
    gather = RowGather(packed, rows, window, chunks, kept)
    for item, (step, place) in enumerate(zip(steps, row, strict=True)):
        y, x = divmod(int(place), 5)
        patch = padded[step, :, y : y + 3, x : x + 3].reshape(2, -1)
        for number in range(len(chunks.inputs)):
            places = chunk_inputs_of(chunks, number, channels)
            np.testing.assert_array_equal(counted[item, :, number], patch[:, places].sum(axis=1))
            expected = pack_words(patch[:, places] & kept[item])
            np.testing.assert_array_equal(gather(0, number)[item], expected)


@pytest.mark.nojit
def test_the_pieces_of_both_attention_products_hold_every_spike_of_live_tokens(
    tmp_path: Path,
) -> None:
    with Trace.open(tiny_trace(tmp_path / "tiny.npz", channels=24)) as trace:
        network, image = read_network(trace), trace.read(0)
    plan = make_plan(network, load_architecture(ROOT / "arch_configs" / "sparse_pe.yaml"))
    for layer_plan in plan.layers:
        layer = layer_plan.layer
        if not layer.is_attention:
            continue
        channels = network.tensors[str(layer.operand)].channels
        values = unpack_planes(image.tensors[str(layer.operand)], channels)
        live = live_rows(layer, image, network.tokens)
        useful = sum(
            int(values[step, tokens].sum()) * len(tokens) for step, tokens in enumerate(live)
        )
        assert layer_pieces(plan, layer_plan, image).useful == useful
        rows = cut_rows(_scopes(live, together=False), 1 << 20)
        if layer.kind == "attention_scores":
            chunks = cut_heads(layer.groups, layer.inputs, 5)
            counted = count_ones(image.tensors[str(layer.operand)], rows, layer.window, chunks)
            assert int(counted.sum()) == sum(int(values[s, k].sum()) for s, k in enumerate(live))
            by_head = counted.reshape(len(rows.row), layer.groups, -1).sum(axis=2)
            slow = values[rows.timestep, rows.row].reshape(len(rows.row), layer.groups, -1)
            np.testing.assert_array_equal(by_head, slow.sum(axis=2))
            everything = np.ones(len(rows.row), np.bool_)
            packed = image.tensors[str(layer.operand)]
            gather = RowGather(packed, rows, layer.window, chunks, everything)
            for group, chunk in np.ndindex(layer.groups, len(chunks.inputs)):
                bits = slow[:, group, 5 * chunk : 5 * chunk + 5] > 0
                np.testing.assert_array_equal(gather(group, chunk)[:, 0], pack_words(bits))
        else:
            columns, ptr = count_column_ones(image.tensors[str(layer.operand)], rows, channels, 3)
            for step, tokens in enumerate(live):
                slow = values[step, tokens].sum(axis=0)
                np.testing.assert_array_equal(columns[ptr[step] : ptr[step + 1]].sum(axis=0), slow)
                packed = image.tensors[str(layer.operand)][step, 0]
                columns_of = ColumnGather(packed, tokens, layer.rows, 3)
                for group, chunk in np.ndindex(layer.groups, int(ptr[step + 1] - ptr[step])):
                    head = slice(group * layer.rows, (group + 1) * layer.rows)
                    bits = values[step, tokens[3 * chunk : 3 * chunk + 3], head].T > 0
                    np.testing.assert_array_equal(columns_of(group, chunk)[:, 0], pack_words(bits))
