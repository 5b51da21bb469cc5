"""Weights of other code bases under our names: their checkpoints' layouts, known by their keys.

Known are the repositories of Spikformer, Spikingformer, the Spike-Driven Transformer and QKFormer
(the CIFAR and the ImageNet form of each) and SpikingJelly 2.0's Spikformer, SpikeDrivenTransformer
and QKFormer. Biases ahead of batch-norms, which ours do without, move into the running means:
w x + b - mean = w x - (mean - b).
"""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.errors import ModelError
from models.networks.config import ModelConfig
from models.networks.families import FAMILIES
from models.networks.layouts import WeightSource
from models.networks.weights import MAX_FILE_BYTES, first_of
from simulator.config.read_back import check_regular

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
LINEARS = ("q", "k", "v", "proj", "fc1", "fc2")
# Built by the repositories' constructors and used by no forward pass of theirs.
UNUSED = re.compile(r"\.norm[12]\.|\.talking_heads\.")
WRAPPERS = ("state_dict", "model", "model_state", "net")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a torch file (.pth, .pt, .tar), a wrapper around them taken off.

    Only tensors and plain containers are unpickled (torch's weights_only), and the options that
    training scripts put beside them. Raises ModelError for anything else.
    """
    check_regular(path, MAX_FILE_BYTES, ModelError)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"weights file {path} is not a safe torch file: {reason}") from error
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"weights file {path} holds no state dict")
    state = {str(key).removeprefix("module."): value for key, value in content.items()}
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"weights file {path} holds no state dict: not every entry is a tensor")
    return state


def adopt(state: Mapping[str, Tensor], config: ModelConfig, path: Path) -> dict[str, Tensor]:
    """Return `state` under our names, for the network of `config`.

    Raises ModelError for a layout that is not known, naming the tensors that are missing or have
    no place.
    """
    layouts = FAMILIES[config.family].layouts
    found = [layout for layout in layouts if all(mark in state for mark in layout.marks)]
    if not found:
        some = ", ".join(sorted(state)[:3])
        raise ModelError(
            f"weights file {path}: no known layout of a {config.family} has tensors such as {some}"
        )
    used = {"head.weight", "head.bias"}
    try:
        ours = {name: state[name] for name in sorted(used)}
        for layer, source in found[0].sources(state, config).items():
            ours |= _layer(state, layer, source, used)
    except KeyError as error:
        raise ModelError(
            f"weights file {path} does not fit {config.name}: no tensor {error}"
        ) from None
    left = sorted(name for name in state.keys() - used if not UNUSED.search(name))
    if left:
        raise ModelError(
            f"weights file {path} does not fit {config.name}: no place for {first_of(left)}"
        )
    return ours


def _layer(
    state: Mapping[str, Tensor], layer: str, source: WeightSource, used: set[str]
) -> dict[str, Tensor]:
    """Return weights and norm of one layer; the bias moves into the running mean."""

    def part(name: str) -> Tensor:
        used.add(name)
        tensor = state[name]
        return tensor.chunk(source.parts)[source.part] if tensor.ndim else tensor

    weight = part(f"{source.weights}.weight")
    kind = "linear" if layer.rsplit(".", 1)[1] in LINEARS else "conv"
    ours = {f"{layer}.{kind}.weight": weight.flatten(1) if kind == "linear" else weight}
    for key in NORM:
        ours[f"{layer}.norm.{key}"] = part(f"{source.norm}.{key}")
    bias = f"{source.weights}.bias"
    if bias in state:
        mean = f"{layer}.norm.running_mean"
        ours[mean] = ours[mean] - part(bias)
    return ours
