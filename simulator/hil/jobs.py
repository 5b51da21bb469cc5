"""Layers of a real trace as jobs for the layer engine of the RTL, in the order of the lowering.

Operands are the trace's: a job reads the spikes that the network had there, whatever the engine's
own neurons made of the job before. A trace holds no weights, so those of linear layers are random
integers, with biases and thresholds at which neurons fire now and then; keys and scores, which
take the weights' place in attention, are the trace's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.config.arrays import Bools, Ints
from simulator.errors import DeviceError
from simulator.lowering.plan import LayerPlan, Plan
from simulator.operations import Layer
from simulator.trace import Image, unpack_bits

LAYER_KINDS = ("linear", "attention_scores", "attention_context")
FRACTION_BITS = 4


class Job(NamedTuple):
    """Describe a layer, or one head of attention, at one timestep.

    `operand`: bool (row, plane, input) of every row there is; `live`: those that run, in order;
    `listed`: they are the list of the mask scan, else all; `mask`: bool (token,) to be scanned
    before it, or None; `chunks`: inputs of each chunk; `weights`: int (input, output), bits if
    `one_bit`; `bias` (output,), `threshold` in fixed point; `at_rest`: membranes start from 0, else
    they are those of the last job with the same `neurons`; `stream`: int (row, output), the
    residual stream that the spikes are added to, or None; `scores`: sums are stored, no neurons.
    `wait_for`: jobs that must have ended before its words are read; `weights_wait`: and loaded.
    """

    step: int
    name: str
    timestep: int
    operand: Bools
    live: Ints
    listed: bool
    mask: Bools | None
    chunks: tuple[int, ...]
    weights: Ints
    one_bit: bool
    bias: Ints
    threshold: int
    at_rest: bool
    neurons: tuple[str, int]
    stream: Ints | None
    scores: bool
    wait_for: int
    weights_wait: bool


def layer_jobs(
    plan: Plan, image: Image, layers: Collection[str], timesteps: Collection[int], seed: int = 0
) -> list[Job]:
    """Return the jobs of layers at some timesteps. Raises DeviceError for another kind.

    A timestep at which none of a block's tokens is alive gives no jobs: the issuer of layers
    knows that from the halting decision.
    """
    check_order(plan)
    maker = _Maker(plan, image, seed)
    for index, step in enumerate(plan.steps):
        layer_plan = plan.layers[step.layer]
        chosen = layer_plan.layer.name in layers and step.timestep in timesteps
        if step.kind == "scan":
            # Named by the first layer under the mask, but all layers of the block need it.
            maker.scan(index, layer_plan, step.timestep)
        elif step.kind == "matrix" and chosen:
            maker.matrix(index, layer_plan, step.timestep)
        else:
            maker.skip(index)
    return maker.jobs


def check_order(plan: Plan) -> None:
    """Raise DeviceError unless the layers of blocks run timestep by timestep."""
    for step in plan.steps:
        if plan.layers[step.layer].layer.role == "blocks" and step.timestep == ALL_TIMESTEPS:
            raise DeviceError(
                f"device rtl: {plan.architecture.name}: dataflow "
                f"{plan.architecture.dataflow.kind}: "
                "the layer engine runs timestep by timestep"
            )


class _Maker:
    """Makes jobs step by step, and remembers which job ended which step."""

    def __init__(self, plan: Plan, image: Image, seed: int) -> None:
        self.plan, self.image, self.seed = plan, image, seed
        self.jobs: list[Job] = []
        self.ended_at: dict[int, int] = {}
        self.scanned: dict[int, Bools] = {}
        self.weights: dict[str, Ints] = {}

    def waits(self, step: int) -> int:
        """Jobs that must have ended before a step."""
        return max((self.ended_at.get(dep, 0) for dep in self.plan.steps[step].deps), default=0)

    def skip(self, step: int) -> None:
        """A step that is not run ends when what it waits for has."""
        self.ended_at[step] = self.waits(step)

    def scan(self, step: int, layer_plan: LayerPlan, timestep: int) -> None:
        self.scanned[step] = self.image.active[layer_plan.layer.mask or ""][timestep]
        self.skip(step)

    def matrix(self, step: int, layer_plan: LayerPlan, timestep: int) -> None:
        layer = layer_plan.layer
        if layer.kind not in LAYER_KINDS:
            raise DeviceError(
                f"device rtl: layer {layer.name}: kind {layer.kind}: the layer engine runs "
                + ", ".join(LAYER_KINDS)
            )
        active = self.image.active[layer.mask][timestep] if layer.mask else None
        drops = self.plan.architecture.token_skip.drops_rows
        if active is not None and drops and not active.any():
            return self.skip(step)
        for group in range(layer.groups):
            self.jobs.append(self._job(step, layer_plan, timestep, group, active))
        self.ended_at[step] = len(self.jobs)

    def _job(
        self, step: int, layer_plan: LayerPlan, timestep: int, group: int, active: Bools | None
    ) -> Job:
        layer = layer_plan.layer
        context, scores = layer.kind == "attention_context", layer.kind == "attention_scores"
        drops = self.plan.architecture.token_skip.drops_rows
        rows = layer.rows if context or active is None or not drops else len(active)
        live = np.arange(rows, dtype=np.int64)
        if active is not None and drops:
            tokens = np.flatnonzero(active).astype(np.int64)
        else:
            tokens = np.arange(self.plan.network.tokens, dtype=np.int64)
        listed = active is not None and drops and not context
        operand = self._operand(layer_plan, timestep, group, tokens)
        weights = self._weights(layer_plan, timestep, group, tokens)
        size = self.plan.architecture.core.pe_array.tile_inputs
        inputs = len(weights)
        residual = any(op.kind == "residual" for op in layer_plan.fused)
        first = all(job.neurons != (layer.name, group) for job in self.jobs)
        return Job(
            step=step,
            name=layer.name,
            timestep=timestep,
            operand=operand,
            live=tokens if listed else live,
            listed=listed,
            mask=self._mask(step) if group == 0 else None,
            chunks=tuple(min(size, inputs - first) for first in range(0, inputs, size)),
            weights=weights,
            one_bit=scores,
            bias=self._random(layer.name, "bias").integers(-40, 40, (weights.shape[1],)),
            threshold=(8 if context else 60) << FRACTION_BITS,
            # Columns of the context are places in the list, which changes: nothing is carried on.
            at_rest=first or context,
            neurons=(layer.name, group),
            stream=self._stream(layer, timestep) if residual else None,
            scores=scores,
            wait_for=self.waits(step),
            weights_wait=layer.is_attention,
        )

    def _mask(self, step: int) -> Bools | None:
        """The mask to be scanned before this step, if nobody before it has asked for the scan."""
        for dep in self.plan.steps[step].deps:
            if dep in self.scanned:
                return self.scanned.pop(dep)
        return None

    def _operand(self, layer_plan: LayerPlan, timestep: int, group: int, tokens: Ints) -> Bools:
        layer, tensor = layer_plan.layer, layer_plan.layer.operand or ""
        if layer.kind == "linear":
            bits = self._bits(tensor, timestep)
            # Halted rows run on as zeros, if they run at all.
            return (
                bits & self.image.active[layer.mask][timestep][:, None, None]
                if layer.mask
                else bits
            )
        channels = self.plan.network.tensors[tensor].channels // layer.groups
        head = self._head(tensor, timestep, group, channels)
        if layer.kind == "attention_scores":
            return head[:, None]
        return np.ascontiguousarray(head[tokens].T)[:, None]

    def _weights(self, layer_plan: LayerPlan, timestep: int, group: int, tokens: Ints) -> Ints:
        """Int (input, output) of a linear layer; keys or scores, of live tokens, of attention."""
        layer = layer_plan.layer
        if layer.kind == "linear":
            if layer.name not in self.weights:
                size, limit = (layer.inputs, layer.outputs), (1 << (layer.weight_bits - 1)) - 1
                normal = np.rint(self._random(layer.name, "weights").normal(0, 12, size))
                self.weights[layer.name] = np.clip(normal, -limit, limit).astype(np.int64)
            return self.weights[layer.name]
        # A context multiplies the scores of the layer that made them.
        makers = [layer, *(self.plan.layers[producer].layer for producer in layer.producers)]
        scores = next(maker for maker in makers if maker.kind == "attention_scores")
        keys, queries = (
            self._head(tensor or "", timestep, group, scores.inputs)[tokens].astype(np.int64)
            for tensor in (scores.second, scores.operand)
        )
        return keys.T if layer.kind == "attention_scores" else keys @ queries.T

    def _head(self, tensor: str, timestep: int, group: int, size: int) -> Bools:
        """bool (token, channel) of one head of a tensor, of `size` channels."""
        return self._bits(tensor, timestep)[:, 0, group * size : (group + 1) * size]

    def _bits(self, tensor: str, timestep: int) -> Bools:
        """bool (row, plane, channel) at a timestep."""
        packed, channels = self.image.tensors[tensor], self.plan.network.tensors[tensor].channels
        bits = unpack_bits(packed[timestep if len(packed) > 1 else 0], channels)
        return bits.transpose(1, 0, 2)

    def _stream(self, layer: Layer, timestep: int) -> Ints:
        """The residual stream before the layer: small integers, as a trace's are."""
        random = self._random(layer.name, f"stream {timestep}")
        return random.integers(0, 8, (layer.rows, layer.outputs))

    def _random(self, *what: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *" ".join(what).encode()])
