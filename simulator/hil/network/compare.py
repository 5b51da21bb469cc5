"""An image of a network on both sides: RTL against twin, bit for bit, and model, by cycles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Ints
from simulator.engine.replay import replay
from simulator.hil.network.engine import BoardRun, Results
from simulator.hil.network.instructions import COUNTED
from simulator.hil.network.program import Compiled
from simulator.hil.network.twin import TwinRun
from simulator.lowering import Plan, lower
from simulator.operations import Network
from simulator.trace import Image


class LayerCycles(NamedTuple):
    """Count cycles of a layer, over all timesteps: from the end of what ran before to its own."""

    rtl: int
    model: int

    @property
    def deviation(self) -> float:
        """Of the model, as a share of the RTL's cycles."""
        return self.model / self.rtl - 1


class Cycles(NamedTuple):
    """Count cycles of an image on both sides; by layer, halting decisions and head included.

    idle_scans: cycles of the model for masks of which the RTL knows that no token lives.
    decisions: of the image.
    """

    rtl: int
    model: int
    layers: dict[str, LayerCycles]
    idle_scans: int
    decisions: int

    @property
    def deviation(self) -> float:
        """Of the model, as a share of the RTL's cycles."""
        return self.model / self.rtl - 1


def wrong_values(compiled: Compiled, run: BoardRun, twin: TwinRun) -> dict[str, int]:
    """Count the values of each tensor, mask and logit in which the RTL differs from the twin.

    Tensors that are all right are left out.
    """
    seen = {name: np.zeros_like(values) for name, values in twin.tensors.items()}
    seen["sps.image"] = twin.tensors["sps.image"]
    tokens = compiled.network.tokens
    active = np.concatenate([np.ones((1, tokens), np.bool_), run.masks[:, :tokens]])
    for results, is_step in ((run.results, False), (run.steps, True)):
        for issued in np.unique(results.issued).tolist():
            chosen = results.issued == issued
            own = Results(*(column[chosen] for column in results))
            _place(compiled, seen, issued, own, is_step, active)
    wrong = {name: int(np.sum(seen[name] != values)) for name, values in twin.tensors.items()}
    blocks = len(twin.active)
    for number, mask in enumerate(active[:-1]):
        timestep, block = divmod(number, blocks)
        wrong[f"mask {block}, {timestep}"] = int(np.sum(mask != twin.active[str(block)][timestep]))
    checks = sum(bool(mask.any()) for masks in twin.active.values() for mask in masks)
    wrong["decisions"] = abs(checks - len(run.masks))
    wrong["logits"] = int(np.sum(run.logits != twin.logits))
    return {name: count for name, count in wrong.items() if count}


def _place(
    compiled: Compiled,
    seen: dict[str, Ints],
    issued: int,
    own: Results,
    is_step: bool,
    active: Bools,
) -> None:
    """Put the vectors of an instruction into its tensors."""
    number, timestep = compiled.instruction(issued)
    fields, made = compiled.program[number], compiled.made[number]
    columns = own.spikes.shape[1]
    channel = own.tile[:, None] * columns + np.arange(columns)
    row = np.broadcast_to(own.token[:, None], channel.shape)
    used = np.ones(channel.shape, np.bool_)
    if fields["attention"]:
        # Columns are places in the list: its tokens are those that live now.
        decisions = sum(each["halting"] for each in compiled.program)
        before = sum(each["halting"] for each in compiled.program[:number])
        tokens = np.flatnonzero(active[timestep * decisions + before])
        used = channel < len(tokens)
        row = tokens[np.minimum(channel, len(tokens) - 1)]
        channel = np.broadcast_to(fields["result_base"] + own.row[:, None], channel.shape)
    counts = fields["neurons"] == COUNTED
    tensor = made.tensor.replace("integrated", "out") if is_step else made.tensor
    values = own.values if counts and not is_step else own.spikes
    stored = seen[tensor]
    step = np.full(row.shape, timestep if len(stored) > 1 else 0)
    if is_step:
        # A vector's steps follow each other.
        step = np.broadcast_to((np.arange(len(row)) % len(stored))[:, None], row.shape)
    used = used & (channel < stored.shape[2])
    stored[step[used], row[used], channel[used]] = values[used]
    if made.stream:
        stream = seen[made.stream]
        step = np.full(row.shape, timestep if len(stream) > 1 else 0)
        stream[step[used], row[used], channel[used]] = own.values[used]


def twin_image(network: Network, twin: TwinRun) -> Image:
    """Return the twin's image as the simulator reads it: packed planes, masks by block."""
    tensors = {}
    for name, spec in network.tensors.items():
        shifts = np.arange(spec.planes)[None, :, None, None]
        planes = ((twin.tensors[name][:, None] >> shifts) & 1).astype(np.uint8)
        tensors[name] = np.packbits(planes, axis=3, bitorder="little")
    return Image(0, tensors, dict(twin.active), -1, -1)


def image_cycles(plan: Plan, compiled: Compiled, run: BoardRun, twin: TwinRun) -> Cycles:
    """Hold an image's cycles on the RTL against those of the simulator."""
    lowered = lower(plan, twin_image(plan.network, twin))
    timeline = replay(lowered.program)
    ends = {}
    for issued, end in enumerate(run.ended.tolist()):
        number, timestep = compiled.instruction(issued)
        ends[compiled.made[number].layer, timestep] = end
    ends["head", 0] = run.head_cycle
    layers: dict[str, LayerCycles] = {}
    rtl = model = idle = 0
    for index, step in enumerate(plan.steps):
        ops = np.flatnonzero(lowered.op_step == index)
        layer = plan.layers[step.layer].layer
        name = f"blocks.{layer.block}.halting" if step.kind == "halting" else layer.name
        timestep = max(step.timestep, 0)
        if not len(ops):
            continue
        finish = int(timeline.finish[ops].max())
        if step.kind == "scan":
            if not twin.active[layer.mask or ""][timestep].any():
                idle, model = idle + finish - model, finish
            continue
        if (name, timestep) not in ends:
            continue
        before = layers.get(name, LayerCycles(0, 0))
        end = ends[name, timestep]
        layers[name] = LayerCycles(before.rtl + end - rtl, before.model + finish - model)
        rtl, model = end, finish
    return Cycles(run.head_cycle, timeline.makespan_cycles, layers, idle, len(run.masks))
