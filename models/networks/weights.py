"""Weights: 8-bit grids, their hash, safetensors files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from models.errors import ModelError
from models.files import write_staged
from simulator.config.read_back import check_regular, parsed
from simulator.config.sealed import sealed_tensors
from simulator.config.wording import shown

WEIGHT_BITS = 8
LEAST_WEIGHT = 2.0**-14
MAX_FILE_BYTES = 1 << 30


def weight_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the convolution and linear weights by name, the head's included, without biases."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)
    }


def weights_sha256(model: nn.Module) -> str:
    """Hash names and little-endian float32 values of `weight_tensors`, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weight_tensors(model).items()):
        digest.update(name.encode())
        values = tensor.detach().float().contiguous().numpy()
        digest.update(values.astype("<f4", copy=False).data)
    return digest.hexdigest()


def to_grid(weight: Tensor) -> Tensor:
    """Return the nearest 8-bit weights: integers -127..127 times a power of two by output channel.

    Output channels are axis 0. The powers fold into the batch-norm. Sums of such weights times
    spikes or small integers are exact in float32, in whatever order they are added.
    """
    limit = float(2 ** (WEIGHT_BITS - 1) - 1)
    largest = weight.abs().flatten(1).amax(1).clamp_min(LEAST_WEIGHT)
    step = torch.exp2(torch.ceil(torch.log2(largest / limit)))
    step = step.view(-1, *[1] * (weight.dim() - 1))
    return torch.clamp(torch.round(weight / step), -limit, limit) * step


@torch.no_grad()
def round_weights(model: nn.Module) -> None:
    """Put every convolution and linear weight on its 8-bit grid."""
    for tensor in weight_tensors(model).values():
        tensor.copy_(to_grid(tensor))


def save_weights(path: Path, model: nn.Module, metadata: Mapping[str, Any]) -> None:
    """Write the state as safetensors, at once or not at all, `metadata` as JSON in its header.

    8-bit weights are stored as float16, which holds them exactly.
    """
    names = weight_tensors(model).keys()
    state = {}
    for name, tensor in model.state_dict().items():
        half = tensor.half()
        exact = name in names and bool((half.float() == tensor).all())
        state[name] = (half if exact else tensor).contiguous()
    text = json.dumps(metadata, sort_keys=True)
    write_staged(path, sealed_tensors(save(state, {"stasim": text})))


class _Header(BaseModel):
    """Describe what a weights file may say of itself, by type; more may be there."""

    model: str | None = None
    dataset: str | None = None
    config: dict[str, Any] | None = None
    seed: int | None = None
    accuracy: dict[str, Any] | None = None
    finished: bool | None = None
    recipe: str | dict[str, Any] | None = None


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a safetensors file's float32 state and metadata; raises ModelError for any other."""
    check_regular(path, MAX_FILE_BYTES, ModelError)
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"weights file {path} is not a safetensors file: {error}") from error
    metadata = parsed(header.get("stasim", "{}"), f"weights file {path}: its metadata", ModelError)
    if not isinstance(metadata, dict):
        raise ModelError(f"weights file {path}", "its metadata must be a JSON object")
    try:
        _Header.model_validate(metadata, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["metadata", *map(str, first["loc"])])
        rule = f"{shown(first['input'])}: {first['msg']}"
        raise ModelError(f"weights file {path}", place, rule) from None
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}, metadata


def load_weights(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put `state` into the model; raises ModelError naming the first tensors that do not fit.

    Halting may differ: a model without the file's leaves it out, one with another keeps its own.
    """
    own = model.state_dict()
    state = {n: t for n, t in state.items() if n in own or not n.startswith("halting.")}
    state |= {n: t for n, t in own.items() if n.startswith("halting.") and n not in state}
    wrong = sorted(own.keys() ^ state.keys())
    wrong += [n for n in sorted(own.keys() & state.keys()) if own[n].shape != state[n].shape]
    if wrong:
        raise ModelError(
            f"weights file {path} does not fit the model: {len(wrong)} tensors ({first_of(wrong)})"
        )
    wrong = sorted(n for n, t in state.items() if t.is_floating_point() and not t.isfinite().all())
    if wrong:
        raise ModelError(
            f"weights file {path}: {len(wrong)} tensors hold values that are not finite "
            f"({first_of(wrong)})"
        )
    model.load_state_dict(dict(state))


def first_of(names: Sequence[str]) -> str:
    """Return the first four names, and whether there are more."""
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
