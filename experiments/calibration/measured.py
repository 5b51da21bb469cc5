"""The model against the RTL, case by case: cycles, what the units did, what their gates cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.calibration.activity import UnitActivity, lif_activity, row_activity, skip_activity
from experiments.calibration.cases import CaseComparison, compare
from experiments.calibration.cells import OSU018, read_library
from experiments.calibration.reference import wrapped
from experiments.calibration.tiles import LayerTiles, Words
from experiments.calibration.units import Tile, run_scans, run_tiles
from experiments.counted import counted_tiles
from simulator.architecture import Architecture, load_architecture
from simulator.components.base import Component
from simulator.components.memories.sram import Sram
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.components.token_skip.compact import Compact
from simulator.components.vector_units.simd import Simd
from simulator.energy.machine import energy_table
from simulator.errors import DeviceError
from simulator.hil.jobs import layer_jobs
from simulator.hil.layer_design import engine_design
from simulator.lowering import Lowered, Plan, lower, make_plan
from simulator.operations import read_network
from simulator.trace import Image, Trace

TILED = ("conv2d", "linear", "attention_scores")


class CalibrationSetting(NamedTuple):
    """One image of a trace on a machine whose array has RTL."""

    plan: Plan
    image: Image
    lowered: Lowered
    array: SpikeSkip

    @property
    def blocks(self) -> int:
        """Encoder blocks."""
        return self.plan.network.blocks


class Row(NamedTuple):
    """A line of the error table. `differing`: pieces whose cycles are not equal, `wrong`: results
    that are not; `activity`: share of the array's lane-cycles that added, while it was busy."""

    case: str
    pieces: int
    rtl_cycles: int
    model_cycles: int
    differing: int
    wrong: int
    activity: float

    @property
    def deviation(self) -> float:
        """Of the model, as a share of the RTL's cycles."""
        return self.model_cycles / self.rtl_cycles - 1 if self.rtl_cycles else 0.0

    @property
    def deviation_size(self) -> float:
        """Of the deviation, without its sign."""
        return abs(self.deviation)

    @property
    def is_block(self) -> bool:
        """Whether it is an encoder block at a timestep."""
        return self.case.startswith("block ")


class Count(NamedTuple):
    """What the RTL counted beside the model's count of an action."""

    what: str
    rtl: int
    model: int


def open_setting(
    arch: str, trace: str, image: int, overrides: Sequence[str] = ()
) -> CalibrationSetting:
    """Load both. Raises SimulatorError of some kind for what cannot be."""
    architecture = load_architecture(arch, overrides)
    engine_design(architecture)
    with Trace.open(trace) as opened:
        plan = make_plan(read_network(opened), architecture)
        read = opened.read(image)
    array = architecture.core.pe_array
    assert isinstance(array, SpikeSkip)
    return CalibrationSetting(plan, read, lower(plan, read), array)


def tile_row(setting: CalibrationSetting, count: int, seed: int = 0) -> Row:
    """Tiles drawn evenly from all layers, each alone on the array."""
    random, array = np.random.default_rng(seed), setting.array
    layers = [
        LayerTiles(setting.plan, each, setting.image)
        for each in setting.plan.layers
        if each.layer.kind in TILED
    ]
    layers = [each for each in layers if 0 not in each.shape]
    high = 1 << (array.weight_bits - 1)
    weights = random.integers(-high, high, (array.word_inputs, array.columns))
    tiles, cycles = [], []
    for turn in range(count):
        layer = layers[turn % len(layers)]
        group, block, chunk = (int(random.integers(size)) for size in layer.shape)
        words = _padded(layer.words(group, block, chunk), array.word_inputs)
        tiles.append(Tile(*words, weights))
        cycles.append(_model_cycles(array, words))
    # Partial sums have room for the rows of the largest block.
    items = 1 << max(int(tile.item.max(initial=0)) for tile in tiles).bit_length()
    runs = run_tiles(array, tiles, items)
    wrong = sum(
        int(np.sum(run.sums != _product(tile, array.sum_bits)))
        for tile, run in zip(tiles, runs, strict=True)
    )
    took = [run.cycles for run in runs]
    lanes = sum(took) * array.rows * array.lanes
    return Row(
        f"{count} tiles of {len(layers)} layers",
        count,
        sum(took),
        sum(cycles),
        int(np.sum(np.array(took) != cycles)),
        wrong,
        sum(run.adding for run in runs) / lanes,
    )


def scan_row(setting: CalibrationSetting) -> Row | None:
    """All masks of the image, each scanned once; None without token skip that has RTL."""
    skip = setting.plan.architecture.token_skip
    if not isinstance(skip, Compact):
        return None
    masks = [mask for block in setting.image.active.values() for mask in block]
    runs = run_scans(skip, masks)
    scans = [skip.scan(len(mask), int(mask.sum()), 1) for mask in masks]
    model = [scan.busy_cycles + scan.latency_cycles for scan in scans]
    wrong = sum(
        not np.array_equal(run.tokens, np.flatnonzero(mask))
        for run, mask in zip(runs, masks, strict=True)
    )
    took = [run.cycles for run in runs]
    differing = int(np.sum(np.array(took) != model))
    live = sum(run.live for run in runs) / sum(map(len, masks))
    return Row(
        f"{len(masks)} mask scans", len(masks), sum(took), sum(model), differing, wrong, live
    )


def engine_row(
    setting: CalibrationSetting, case: str, layers: Sequence[str], timesteps: Sequence[int]
) -> Row:
    """Layers at timesteps on the layer engine, without DRAM."""
    found = compare(setting.plan, setting.image, setting.lowered, layers, timesteps)
    busy = found.rtl.busy_cycles["pe_array"]
    lanes = busy * setting.array.rows * setting.array.lanes
    return Row(
        case,
        len(found.jobs),
        found.rtl.cycles,
        found.model.cycles,
        int(found.rtl.cycles != found.model.cycles),
        found.wrong,
        found.rtl.counts["lane_adds"] / lanes if lanes else 0.0,
    )


def layer_rows(setting: CalibrationSetting, block: int, port: str) -> list[Row]:
    """Each layer of a block over all timesteps."""
    steps = range(setting.plan.network.timesteps)
    return [
        engine_row(setting, f"{name}, T = {len(steps)}, {port}", [name], steps)
        for name in layer_names(setting.plan, block)
    ]


def block_rows(setting: CalibrationSetting) -> list[Row]:
    """Each encoder block at each timestep at which a token of it is alive."""
    rows = []
    drops = setting.plan.architecture.token_skip.drops_rows
    for block in range(setting.blocks):
        names = layer_names(setting.plan, block)
        for step in range(setting.plan.network.timesteps):
            live = int(setting.image.active[str(block)][step].sum())
            if live or not drops:
                case = f"block {block}, timestep {step}, live tokens: {live}"
                rows.append(engine_row(setting, case, names, [step]))
    return rows


def layer_names(plan: Plan, block: int) -> list[str]:
    """The matrix operations of a block, in order."""
    return [
        each.layer.name
        for each in plan.layers
        if each.layer.block == block and each.layer.role == "blocks"
    ]


def narrow_port(architecture: Architecture) -> str | None:
    """The override that makes the weight port one vector wide; None if the buffer has no such."""
    array, weights = architecture.core.pe_array, architecture.core.buffers.weights
    if not isinstance(array, SpikeSkip) or not isinstance(weights, Sram):
        return None
    banks, rest = divmod(array.columns * array.weight_bits, weights.width_bits)
    fits = rest == 0 and 0 < banks < weights.banks
    return f"cores.0.buffers.weights.banks={banks}" if fits else None


def engine_port(setting: CalibrationSetting) -> int:
    """Bits a cycle through the weight port."""
    parameters = engine_design(setting.plan.architecture).parameters
    vector_bits: int = parameters["COLUMNS"] * parameters["WEIGHT_BITS"]
    return parameters["PORT_INPUTS"] * vector_bits


def action_counts(setting: CalibrationSetting, block: int) -> list[Count]:
    """What the RTL counted in the linear layers of a block over all timesteps, beside the model."""
    plan = setting.plan
    linear = [
        each.layer
        for each in plan.layers
        if each.layer.name in layer_names(plan, block) and each.layer.kind == "linear"
    ]
    found: list[CaseComparison] = [
        compare(plan, setting.image, setting.lowered, [layer.name], range(plan.network.timesteps))
        for layer in linear
    ]

    def model(part: str, action: str) -> int:
        chosen = {layer.index for layer in linear}
        return sum(
            count
            for (layer, where, what), count in setting.lowered.counts.items()
            if layer in chosen and where.endswith(part) and what == action
        )

    def rtl(*names: str) -> int:
        return sum(each.rtl.counts[name] for each in found for name in names)

    looked_at = rtl("words_dropped", "words_pushed")
    return [
        Count("words looked at", looked_at, model("pe_array", "word_scan")),
        Count("words through a FIFO", rtl("words_pushed"), model("pe_array", "fifo_word")),
        Count("words merged", rtl("words_merged"), model("pe_array", "merge")),
        Count("weight vectors read and added", rtl("lane_adds"), model("pe_array", "weight_read")),
        Count(
            "neurons updated",
            rtl("vectors_updated") * setting.array.columns,
            model("vector_unit", "lif_update"),
        ),
    ]


class UnitCost(NamedTuple):
    """A unit's gates and what the energy table says of the same actions, pJ."""

    activity: UnitActivity
    table_pj: float

    @property
    def action(self) -> str:
        """The action to which its energies are related."""
        return next(iter(self.activity.counts))

    @property
    def count(self) -> int:  # type: ignore[override]  # hides tuple.count, which nobody needs here
        """Of that action."""
        return self.activity.counts[self.action]

    @property
    def gates_pj_each(self) -> float:
        """Switching energy of the gates for each such action."""
        return self.activity.energy.switching_pj / self.count

    @property
    def table_pj_each(self) -> float:
        """What the energy table says of it."""
        return self.table_pj / self.count


def unit_costs(setting: CalibrationSetting, block: int) -> list[UnitCost]:
    """PE row, LIF unit and token skip as gates of osu018. Raises DeviceError where it is absent."""
    library = read_library(OSU018)
    architecture, array = setting.plan.architecture, setting.array
    vector, skip = architecture.core.vector_unit, architecture.token_skip
    assert isinstance(vector, Simd)
    name = layer_names(setting.plan, block)[-2]
    jobs = layer_jobs(setting.plan, setting.image, [name], range(setting.plan.network.timesteps))
    if not jobs:
        raise DeviceError("gates", name, "no token is alive in this image")
    inputs = engine_design(architecture).parameters["PORT_INPUTS"]
    made: list[tuple[Component, Callable[[], UnitActivity]]] = [
        (array, lambda: row_activity(array, jobs[0], inputs, library, OSU018)),
        (vector, lambda: lif_activity(vector, array, jobs[0], library, OSU018)),
    ]
    if isinstance(skip, Compact):
        masks = [mask for each in setting.image.active.values() for mask in each]
        made.append((skip, lambda: skip_activity(skip, masks, library, OSU018)))
    table = energy_table(architecture)
    costs = []
    for part, measure in made:
        activity = measure()
        actions = part.actions()
        table_pj = sum(
            count * table.price_action(actions[action]).energy_pj
            for action, count in activity.counts.items()
        )
        costs.append(UnitCost(activity, table_pj))
    return costs


def _padded(words: Words, inputs: int) -> Words:
    full = np.zeros((len(words.words), inputs), np.bool_)
    full[:, : words.words.shape[1]] = words.words
    return words._replace(words=full)


def _model_cycles(array: SpikeSkip, words: Words) -> int:
    ones = words.words.sum(axis=1, keepdims=True)
    tiles = counted_tiles(ones, np.array([array.word_inputs]), array.columns)
    return int(array.cost(tiles).cycles[0])


def _product(tile: Tile, bits: int) -> npt.NDArray[np.int64]:
    sums = np.zeros((int(tile.item.max(initial=-1)) + 1, tile.weights.shape[1]), np.int64)
    np.add.at(sums, tile.item, (tile.words.astype(np.int64) @ tile.weights) << tile.plane[:, None])
    return wrapped(sums, bits)
