"""python -m experiments.prosperity.to_trace: spikes for Prosperity's simulator as a trace.

A file is an .npz: each tensor `np.packbits` of its flattened bits, its shape as NAME__shape; names
and shapes are those that the peer's operations read (networks.py). Its own files are pickles, which
run code when they are read: they are refused, with what to do instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import simulator
from experiments.prosperity.peer_files import Arrays, network_of, read_arrays
from experiments.prosperity.workload import Attention, Operation, Product
from simulator.command import check_target, command
from simulator.config.arrays import Bools, Bytes
from simulator.errors import TraceError
from simulator.trace import SCHEMA, open_writer, pack_bits

WEIGHT_BITS = 8
HOW = """\
a pickle, or a file of torch, runs code when it is read, so it is not read here. Where you trust it:
  import numpy as np, pickle, torch
  tensors = pickle.load(open("spikes.pkl", "rb"))   # a mapping from names to tensors of 0 and 1
  bits = {name: np.asarray(tensor).astype(bool) for name, tensor in tensors.items()}
  packed = {name: np.packbits(each) for name, each in bits.items()}
  shapes = {f"{name}__shape": each.shape for name, each in bits.items()}
  np.savez_compressed("spikes.npz", **packed, **shapes)"""


def convert(source: Path, target: Path) -> None:
    """Write the trace of a file of spikes. Raises TraceError for a file that is none."""
    with open(source, "rb") as file:
        head = file.read(2)
    if head != b"PK":
        raise TraceError(f"{source}: must be an .npz of numpy arrays: {HOW}")
    try:
        arrays = read_arrays(source)
        operations = network_of(arrays)
    except (ValueError, KeyError) as error:
        raise TraceError(
            f"{source}: must hold the spikes of a network that Prosperity's simulator knows: "
            f"{error}; {HOW}"
        ) from error
    listing = _Listing(operations, arrays)
    with open_writer(target, listing.manifest(source)) as writer:
        active = np.ones((listing.timesteps, listing.tokens), np.bool_)
        writer.add(listing.bits, {"0": active}, -1, -1)


class _Listing:
    """Tensors and operations of a network as a trace lists them."""

    def __init__(self, operations: Sequence[Operation], arrays: Arrays) -> None:
        self.tensors: list[dict[str, Any]] = []
        self.operations: list[dict[str, Any]] = []
        self.bits: dict[str, Bytes] = {}
        self.timesteps = max(each.timesteps for each in operations)
        self.tokens = 1
        for operation in operations:
            if isinstance(operation, Product) and operation.name in arrays:
                self._product(operation, arrays[operation.name])
            elif isinstance(operation, Attention) and f"{operation.name}_q" in arrays:
                self._attention(operation, arrays)

    def _store(self, name: str, spikes: Bools, grid: tuple[int, int]) -> str:
        """List a tensor of bool (timestep, row, channel)."""
        self.tensors.append(
            {
                "name": name,
                "kind": "spikes",
                "timesteps": self.timesteps,
                "planes": 1,
                "grid": list(grid),
                "rows": grid[0] * grid[1],
                "channels": spikes.shape[2],
                "mask": None,
            }
        )
        self.bits[name] = pack_bits(spikes[:, None])
        return name

    def _run(
        self, name: str, kind: str, inputs: tuple[str, ...], shapes: dict[str, Any], **more: Any
    ) -> str:
        stored = any(tensor["name"] == inputs[0] for tensor in self.tensors)
        self.operations.append(
            {
                "name": name,
                "kind": kind,
                "stage": "network",
                "block": None,
                "input": inputs[0],
                "second_input": inputs[1] if len(inputs) > 1 else None,
                "output": name,
                "timesteps": self.timesteps,
                "shapes": shapes,
                "parameters": {},
                "weight_bits": WEIGHT_BITS if kind in ("conv2d", "linear") else 0,
                "input_bits": int(stored),
                "mask": None,
                **more,
            }
        )
        return name

    def _product(self, product: Product, spikes: Bools) -> None:
        """List a convolution of a map, or a linear layer of rows."""
        if spikes.ndim == 4:
            steps, channels, height, width = spikes.shape
            rows = spikes.transpose(0, 2, 3, 1).reshape(steps, height * width, channels)
            source = self._store(f"{product.name}.in", rows, (height, width))
            shapes = {
                "in_channels": channels,
                "out_channels": product.outputs,
                "kernel": [3, 3],
                "stride": [1, 1],
                "padding": [1, 1],
                "in_grid": [height, width],
                "out_grid": [height, width],
            }
            self._run(product.name, "conv2d", (source,), shapes)
            return
        rows = spikes.reshape(self.timesteps, product.positions, product.inputs)
        source = self._store(f"{product.name}.in", rows, (1, product.positions))
        shapes = {
            "rows": product.positions,
            "in_features": product.inputs,
            "out_features": product.outputs,
        }
        self._run(product.name, "linear", (source,), shapes)

    def _attention(self, attention: Attention, arrays: Arrays) -> None:
        """List scores and context, or the column sums of a spike-driven attention."""
        self.tokens = attention.tokens
        sizes = {
            "tokens": attention.tokens,
            "heads": attention.heads,
            "head_dim": attention.head_dim,
        }
        grid = (1, attention.tokens)
        name = attention.name
        q, k, v = (self._store(f"{name}_{x}", arrays[f"{name}_{x}"], grid) for x in "qkv")
        if attention.kind == "sdt":
            self._run(f"{name}.columns", "spike_driven_attention", (k, v), sizes)
            return
        scores = self._run(f"{name}.scores", "attention_scores", (q, k), sizes)
        scale = {"parameters": {"scale": 1.0}}
        self._run(f"{name}.context", "attention_context", (scores, v), sizes, **scale)

    def manifest(self, source: Path) -> dict[str, Any]:
        """The manifest, less what the writer adds."""
        return {
            "schema": SCHEMA,
            "created_by": {"stasim": simulator.__version__, "numpy": np.__version__},
            "model": {
                "name": source.stem,
                "family": "prosperity",
                "timesteps": self.timesteps,
                "blocks": 1,
                "embed_dim": self.tensors[-1]["channels"],
                "heads": 1,
                "parameters": 0,
                "isps": "none",
                "tokens": self.tokens,
                "token_grid": [1, self.tokens],
                "halting": {"granularity": "none"},
            },
            "dataset": {
                "name": source.stem,
                "split": "none",
                "source": source.name,
                "images": 1,
                "image_ids": [source.stem],
            },
            "weights": {
                "origin": "random",
                "seed": 0,
                "accuracy": None,
                "sha256": "0" * 64,
                "notes": "spikes of another simulator's file, which says nothing of weights",
            },
            "stages": {"network": "layers"},
            "tensors": self.tensors,
            "operations": self.operations,
        }


@command("experiments.prosperity.to_trace")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.prosperity.to_trace",
        description="Write spikes in the layout of Prosperity's simulator as a trace.",
        epilog="example: python -m experiments.prosperity.to_trace spikes.npz --out trace.npz",
    )
    parser.add_argument("spikes", type=Path, help="an .npz of packed bits and shapes")
    parser.add_argument("--out", type=Path, required=True, help="the trace to write")
    options = parser.parse_args(arguments)
    if not options.spikes.is_file():
        raise TraceError(options.spikes, "must be a file")
    check_target(options.out, "--out")
    convert(options.spikes, options.out)
    print(options.out)


if __name__ == "__main__":
    sys.exit(main())
