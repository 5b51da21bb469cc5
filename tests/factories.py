"""Small, complete traces for tests: a Spikformer-like network's operations with random spikes.

`tiny_trace(path)` writes one file; `traces()` draws contents for property tests. Sums (integration,
residual streams) are those of the spikes they add, spikes are random, masks obey the halting.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from simulator import __version__
from simulator.trace import SCHEMA, Image, TraceWriter, pack_bits, unpack_bits
from tests.broken_traces import Unzipped

GRANULARITIES = ("none", "block", "timestep", "two_dimensional")
Values = npt.NDArray[np.int64]  # (timestep, row, channel)
Masks = dict[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """What a tiny trace can be.

    `halting`: the granularity. `integrate`: I-SPS, the patch splitting runs once on summed spikes.
    `density`: of the neurons' spikes where a row is computed, `densities`: the same by tensor.
    `heads` counts as far as it divides the channels. `attention`: products, spike_driven
    (column sums) or token_qk (token sums).
    """

    images: int = 2
    timesteps: int = 2
    blocks: int = 2
    tokens: int = 16
    channels: int = 24
    seed: int = 0
    halting: str = "two_dimensional"
    integrate: bool = True
    heads: int = 2
    attention: str = "products"
    mlp_ratio: int = 2
    classes: int = 10
    density: float = 0.25
    densities: Mapping[str, float] = field(default_factory=dict)

    @property
    def halts(self) -> bool:
        return self.halting != "none"

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the tokens, as square as can be."""
        height = next(h for h in range(math.isqrt(self.tokens), 0, -1) if self.tokens % h == 0)
        return height, self.tokens // height


class Content(NamedTuple):
    """All that a trace file holds, as TraceWriter takes it."""

    manifest: dict[str, Any]
    images: list[Image]

    def write(self, path: Path) -> Path:
        """Write the file and return its path."""
        with TraceWriter(path, self.manifest) as writer:
            for image in self.images:
                writer.add(image.tensors, image.active, image.label, image.prediction)
        return path


def tiny_trace(path: Path, **options: Any) -> Path:
    """Write a small complete trace to `path` and return it; `options` are the fields of Tiny."""
    return tiny_content(**options).write(path)


def first_trace(path: Path, **options: Any) -> Path:
    """The same as a trace of version 1."""
    return Unzipped.load(tiny_trace(path, **options)).as_first().save(path)


def tiny_content(**options: Any) -> Content:
    """The same in memory."""
    tiny = Tiny(**options)
    plan = _Plan(tiny)
    rng = np.random.default_rng(tiny.seed)
    images = [_image(index, plan, rng) for index in range(tiny.images)]
    return Content(_manifest(plan), images)


def traces(**fixed: Any) -> st.SearchStrategy[Content]:
    """Contents of small random traces; `fixed` fields of Tiny are not drawn."""
    drawn: dict[str, st.SearchStrategy[Any]] = {
        "images": st.integers(1, 3),
        "timesteps": st.integers(1, 4),
        "blocks": st.integers(1, 3),
        "tokens": st.integers(1, 12),
        "channels": st.integers(1, 20),
        "seed": st.integers(0, 2**32 - 1),
        "halting": st.sampled_from(GRANULARITIES),
        "integrate": st.booleans(),
        "heads": st.integers(1, 4),
        "mlp_ratio": st.integers(1, 3),
        "classes": st.integers(1, 12),
        "density": st.sampled_from((0.0, 0.05, 0.5, 1.0)),
    }
    drawn |= {name: st.just(value) for name, value in fixed.items()}
    return st.builds(tiny_content, **drawn)


def pack_planes(values: npt.NDArray[Any], planes: int) -> npt.NDArray[np.uint8]:
    """Whole numbers (timestep, row, channel) as packed bit-planes (timestep, plane, row, byte)."""
    bits = [(values.astype(np.int64) >> plane) & 1 for plane in range(planes)]
    return pack_bits(np.stack(bits, axis=1))


def unpack_planes(packed: npt.NDArray[np.uint8], channels: int) -> Values:
    """The whole numbers (timestep, row, channel) in packed bit-planes."""
    bits = unpack_bits(packed, channels).astype(np.int64)
    weights = 1 << np.arange(packed.shape[1], dtype=np.int64)
    return np.einsum("tprc,p->trc", bits, weights)


class _Plan:
    """Tensors and operations of the network, in order of execution."""

    def __init__(self, tiny: Tiny) -> None:
        self.tiny = tiny
        self.tensors: dict[str, dict[str, Any]] = {}
        self.operations: list[dict[str, Any]] = []
        self.largest: dict[str, int] = {}  # of a tensor's values
        self.stage = "sps"
        self.block: int | None = None
        stream = self._patch_splitting()
        for block in range(tiny.blocks):
            stream = self._block(block, stream)
        self._head(stream)

    @property
    def mask(self) -> str | None:
        return None if self.block is None or not self.tiny.halts else str(self.block)

    def _store(
        self, name: str, timesteps: int, grid: tuple[int, int], channels: int, largest: int = 1
    ) -> str:
        self.largest[name] = largest
        self.tensors[name] = {
            "name": name,
            "kind": "spikes" if largest == 1 else "integer",
            "timesteps": timesteps,
            "planes": largest.bit_length(),
            "grid": list(grid),
            "rows": math.prod(grid),
            "channels": channels,
            "mask": self.mask,
        }
        return name

    def _run(
        self, kind: str, name: str, inputs: tuple[str, ...], timesteps: int, **entry: Any
    ) -> str:
        stored = self.tensors.get(inputs[0])
        operation: dict[str, Any] = {
            "name": name,
            "kind": kind,
            "stage": self.stage,
            "block": self.block,
            "input": inputs[0],
            "second_input": inputs[1] if len(inputs) > 1 else None,
            "output": name,
            "timesteps": timesteps,
            "parameters": {},
            "weight_bits": 8 if kind in ("conv2d", "linear", "head") else 0,
            "input_bits": stored["planes"] if stored else 0,
            "mask": self.mask,
        }
        self.operations.append(operation | entry)
        return str(self.operations[-1]["output"])

    def _window(self, stride: int, before: tuple[int, int], after: tuple[int, int]) -> Any:
        sizes = {"kernel": 3, "stride": stride, "padding": 1}
        grids = {"in_grid": list(before), "out_grid": list(after)}
        return {key: [size, size] for key, size in sizes.items()} | grids

    def _lif(self, name: str, current: str, output: str, threshold: float = 1.0) -> str:
        tensor = self.tensors[output]
        shapes = {"rows": tensor["rows"], "channels": tensor["channels"]}
        parameters = {"tau": 2.0, "threshold": threshold, "reset": 0.0, "decay_input": 1}
        steps = tensor["timesteps"]
        return self._run(
            "lif", name, (current,), steps, output=output, shapes=shapes, parameters=parameters
        )

    def _sum(self, name: str, inputs: tuple[str, str], output: str) -> str:
        first, second = (self.tensors[name] for name in inputs)
        steps = max(first["timesteps"], second["timesteps"])
        if self.block is not None:
            steps = self.tiny.timesteps
        largest = sum(self.largest[name] for name in inputs)
        self._store(output, steps, tuple(first["grid"]), first["channels"], largest)
        shapes = {"rows": first["rows"], "channels": first["channels"]}
        return self._run("residual", name, inputs, steps, output=output, shapes=shapes)

    def _convolution(self, name: str, source: str, steps: int) -> str:
        grid = tuple(self.tensors[source]["grid"])
        shapes = {
            "in_channels": self.tensors[source]["channels"],
            "out_channels": self.tiny.channels,
            **self._window(1, grid, grid),
        }
        return self._run("conv2d", name, (source,), steps, shapes=shapes)

    def _patch_splitting(self) -> str:
        """Convolution, pool, neurons; with I-SPS their sum; convolution, neurons; residual."""
        tiny = self.tiny
        grid, dim = tiny.grid, tiny.channels
        double = (2 * grid[0], 2 * grid[1])
        steps = 1 if tiny.integrate else tiny.timesteps
        image = self._store("sps.image", 1, double, 3, 255)
        current = self._convolution("sps.0.conv", image, steps)
        shapes, parameters = {"channels": dim, **self._window(2, double, grid)}, {"type": "max"}
        current = self._run(
            "pool", "sps.0.pool", (current,), steps, shapes=shapes, parameters=parameters
        )
        source = self._store("sps.0.out", tiny.timesteps, grid, dim)
        self._lif("sps.0.lif", current, source)
        if tiny.integrate:
            shapes = {"rows": tiny.tokens, "channels": dim}
            total = self._store("sps.0.integrated", 1, grid, dim, tiny.timesteps)
            source = self._run(
                "integrate", "sps.integrate", (source,), tiny.timesteps, output=total, shapes=shapes
            )
        current = self._convolution("sps.1.conv", source, steps)
        spikes = self._store("sps.1.out", steps, grid, dim)
        self._lif("sps.1.lif", current, spikes)
        return self._sum("sps.residual", (source, spikes), "blocks.0.x")

    def _spiking_linear(self, linear: str, source: str, features: int, output: str) -> str:
        """A linear layer (`..._linear` where the tensor has its name) and its neurons."""
        layer, tiny = f"blocks.{self.block}.{linear}", self.tiny
        shapes = {
            "in_features": self.tensors[source]["channels"],
            "out_features": features,
            "rows": tiny.tokens,
        }
        name = f"{layer}_linear" if linear == output else layer
        current = self._run("linear", name, (source,), tiny.timesteps, shapes=shapes)
        spikes = self._store(f"blocks.{self.block}.{output}", tiny.timesteps, tiny.grid, features)
        return self._lif(f"{layer}_lif", current, spikes)

    def _block(self, block: int, stream: str) -> str:
        """Attention, MLP, and the halting of tokens; returns the stream."""
        tiny, name, dim = self.tiny, f"blocks.{block}", self.tiny.channels
        self.stage, self.block = "blocks", block
        q, k, v = (self._spiking_linear(f"attn.{x}", stream, dim, f"attn.{x}") for x in "qkv")
        heads = math.gcd(tiny.heads, dim)
        shapes = {"heads": heads, "head_dim": dim // heads, "tokens": tiny.tokens}
        steps = tiny.timesteps
        if tiny.attention == "products":
            mixed = self._products((q, k, v), shapes)
        else:
            mixed = self._gated((q, k, v), shapes)
        projected = self._spiking_linear("attn.proj", mixed, dim, "attn.proj_out")
        middle = self._sum(f"{name}.attn.residual", (stream, projected), f"{name}.mlp.x")
        hidden = self._spiking_linear("mlp.fc1", middle, dim * tiny.mlp_ratio, "mlp.hidden")
        out = self._spiking_linear("mlp.fc2", hidden, dim, "mlp.out")
        last = block == tiny.blocks - 1
        stream = self._sum(
            f"{name}.mlp.residual", (middle, out), "head.x" if last else f"blocks.{block + 1}.x"
        )
        if tiny.halts:
            self.stage = "halting"
            self._run(
                "halting",
                f"{name}.halting",
                (stream,),
                steps,
                shapes={"tokens": tiny.tokens, "channels": dim},
                parameters={"gamma": 1.0, "beta": -4.0, "threshold": 0.99, "mean_field": 1},
            )
        return stream

    def _products(self, spikes: tuple[str, str, str], shapes: dict[str, int]) -> str:
        """Scores, context and neurons; returns the stored spikes."""
        (q, k, v), name, steps = spikes, f"blocks.{self.block}", self.tiny.timesteps
        scores = self._run("attention_scores", f"{name}.attn.scores", (q, k), steps, shapes=shapes)
        context = self._run(
            "attention_context",
            f"{name}.attn.context",
            (scores, v),
            steps,
            shapes=shapes,
            parameters={"scale": 0.125},
        )
        mixed = self._store(f"{name}.attn.out", steps, self.tiny.grid, self.tiny.channels)
        return self._lif(f"{name}.attn.lif", context, mixed, threshold=0.5)

    def _gated(self, spikes: tuple[str, str, str], shapes: dict[str, int]) -> str:
        """Sums of spikes, neurons that make gates of them, and what passes the gates."""
        (q, k, v), name, steps = spikes, f"blocks.{self.block}", self.tiny.timesteps
        columns = self.tiny.attention == "spike_driven"
        kind = "spike_driven_attention" if columns else "token_qk_attention"
        inputs: tuple[str, ...] = (k, v) if columns else (q,)
        sums = self._run(kind, f"{name}.attn.sums", inputs, steps, shapes=shapes)
        grid = (1, 1) if columns else self.tiny.grid
        width = self.tiny.channels if columns else shapes["heads"]
        gate = self._store(f"{name}.attn.gate", steps, grid, width)
        self._lif(f"{name}.attn.lif", sums, gate, threshold=0.5)
        if columns:  # one row for all tokens
            self.tensors[gate]["mask"] = self.operations[-1]["mask"] = None
        out = self._store(f"{name}.attn.out", steps, self.tiny.grid, self.tiny.channels)
        sizes = {"rows": self.tiny.tokens, "channels": self.tiny.channels}
        sizes |= {"gate_rows": math.prod(grid), "gate_channels": width}
        passed = q if columns else k
        return self._run(
            "spike_gate", f"{name}.attn.gated", (passed, gate), steps, output=out, shapes=sizes
        )

    def _head(self, stream: str) -> None:
        tiny = self.tiny
        self.stage, self.block = "head", None
        shapes = {"in_features": tiny.channels, "classes": tiny.classes, "tokens": tiny.tokens}
        source, steps = stream, tiny.timesteps
        if tiny.halts:
            source, steps = f"blocks.{tiny.blocks - 1}.halting", 1
        self._run("head", "head", (source,), steps, output="logits", shapes=shapes)


def _manifest(plan: _Plan) -> dict[str, Any]:
    """The manifest, less what TraceWriter computes."""
    tiny = plan.tiny
    manifest = {
        "schema": SCHEMA,
        "created_by": {"stasim": __version__},
        "model": {
            "name": f"tiny_{tiny.blocks}_{tiny.channels}",
            "family": "spikformer",
            "timesteps": tiny.timesteps,
            "blocks": tiny.blocks,
            "embed_dim": tiny.channels,
            "heads": math.gcd(tiny.heads, tiny.channels),
            "tokens": tiny.tokens,
            "token_grid": tiny.grid,
            "parameters": 0,
            "isps": "early_integration" if tiny.integrate else "none",
            "halting": {"granularity": tiny.halting},
        },
        "dataset": {
            "name": "noise",
            "split": "test",
            "source": "random numbers",
            "images": tiny.images,
            "image_ids": list(range(tiny.images)),
        },
        "weights": {"origin": "random", "seed": tiny.seed, "accuracy": None, "sha256": "0" * 64},
        "tensors": list(plan.tensors.values()),
        "operations": plan.operations,
    }
    return json.loads(json.dumps(manifest))  # lists for tuples, and nothing shared


def _masks(tiny: Tiny, rng: np.random.Generator) -> Masks:
    """Random masks that halt as the granularity allows; every token starts active."""
    steps, blocks, tokens = tiny.timesteps, tiny.blocks, tiny.tokens
    order = np.arange(steps * blocks).reshape(steps, blocks, 1)
    if tiny.halting == "none":
        active = np.ones((steps, blocks, tokens), bool)
    elif tiny.halting == "block":
        active = np.arange(blocks)[:, None] < rng.integers(1, blocks + 1, (steps, 1, tokens))
    elif tiny.halting == "timestep":
        active = np.arange(steps)[:, None, None] < rng.integers(1, steps + 1, tokens)
        active = np.repeat(active, blocks, axis=1)
    else:
        active = order < rng.integers(1, steps * blocks + 1, tokens)
    return {str(block): np.ascontiguousarray(active[:, block]) for block in range(blocks)}


def _image(index: int, plan: _Plan, rng: np.random.Generator) -> Image:
    """One image's values, walking the operations in order."""
    tiny, active = plan.tiny, _masks(plan.tiny, rng)
    pixels = rng.integers(0, 256, (1, 4 * tiny.tokens, 3))
    values: dict[str, Values] = {"sps.image": pixels}
    for operation in plan.operations:
        name = operation["output"]
        if name not in plan.tensors:
            continue
        tensor = plan.tensors[name]
        if operation["kind"] == "integrate":
            result = values[operation["input"]].sum(axis=0, keepdims=True)
        elif operation["kind"] == "spike_gate":
            passed, gate = values[operation["input"]], values[operation["second_input"]]
            result = passed * np.repeat(gate, passed.shape[2] // gate.shape[2], axis=2)
        elif operation["kind"] == "residual":
            result = values[operation["input"]] + values[operation["second_input"]]
        else:
            shape = (tensor["timesteps"], tensor["rows"], tensor["channels"])
            result = (rng.random(shape) < tiny.densities.get(name, tiny.density)).astype(np.int64)
        if tensor["mask"] is not None:
            result = result * active[tensor["mask"]][:, :, None]
        values[name] = result
    tensors = {
        name: pack_planes(values[name], tensor["planes"]) for name, tensor in plan.tensors.items()
    }
    label, prediction = rng.integers(-1, tiny.classes, 2)
    return Image(index, tensors, active, int(label), int(prediction))
