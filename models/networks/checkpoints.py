"""Weights of other code bases under our names: their checkpoints' layouts, told by their keys.

Known are the repositories of Spikformer, Spikingformer, the Spike-Driven Transformer and QKFormer
(the CIFAR and the ImageNet form of each) and SpikingJelly 2.0's Spikformer, SpikeDrivenTransformer
and QKFormer. Biases ahead of batch-norms,
which ours do without, move into the running means: w x + b - mean = w x - (mean - b).
"""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from models.errors import ModelError
from models.networks.config import ModelConfig
from models.networks.qkformer import embeddings
from models.networks.weights import MAX_FILE_BYTES

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
LINEARS = ("q", "k", "v", "proj", "fc1", "fc2")
# Built by the repositories' constructors and used by no forward pass of theirs.
UNUSED = re.compile(r"\.norm[12]\.|\.talking_heads\.")
WRAPPERS = ("state_dict", "model", "model_state", "net")


class Source(NamedTuple):
    """Where one of our layers finds its weights: the names of a convolution or linear layer and of
    its batch-norm; `part` of so many equal parts of both where they are fused.
    """

    weights: str
    norm: str
    part: int = 0
    parts: int = 1


Sources = dict[str, Source]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch file (.pth, .pt, .tar), a wrapper around them taken off.

    Only tensors and plain containers are unpickled (torch's weights_only), and the options that
    training scripts put beside them. Raises ModelError for anything else.
    """
    if not path.is_file():
        raise ModelError(f"weights file {path} does not exist")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ModelError(f"weights file {path} is larger than {MAX_FILE_BYTES} bytes")
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
    """`state` under our names, for the network of `config`.

    Raises ModelError for a layout that is not known, naming the tensors that are missing or have
    no place.
    """
    sources = _sources(state, config)
    if sources is None:
        some = ", ".join(sorted(state)[:3])
        raise ModelError(
            f"weights file {path}: no known layout of a {config.family} has tensors such as {some}"
        )
    used = {"head.weight", "head.bias"}
    ours: dict[str, Tensor] = {}
    try:
        ours = {name: state[name] for name in sorted(used)}
        for layer, source in sources.items():
            ours |= _layer(state, layer, source, used)
    except KeyError as error:
        raise ModelError(
            f"weights file {path} does not fit {config.name}: no tensor {error}"
        ) from None
    left = sorted(name for name in state.keys() - used if not UNUSED.search(name))
    if left:
        shown = ", ".join(left[:4]) + (", ..." if len(left) > 4 else "")
        raise ModelError(f"weights file {path} does not fit {config.name}: no place for {shown}")
    return ours


def pool_of_layout(state: Mapping[str, Tensor]) -> str:
    """The `pool` switch of Spikformer that a layout goes with: its repository pools after the
    neurons.
    """
    return "after_lif" if "patch_embed.rpe_conv.weight" in state else "before_lif"


def _layer(
    state: Mapping[str, Tensor], layer: str, source: Source, used: set[str]
) -> dict[str, Tensor]:
    """Weights and norm of one layer; the bias moves into the running mean."""

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


def _sources(state: Mapping[str, Tensor], config: ModelConfig) -> Sources | None:
    """The layout that a state's keys tell, as sources for every layer of ours."""
    family, blocks = config.family, config.size.blocks
    if family == "spikformer" and "patch_embed.rpe_conv.weight" in state:
        return _stages(_spikformer_convs()) | _repository_blocks(
            state, blocks, ("fc1", "fc2"), ".attn"
        )
    if family == "spikformer" and "patch_embed.positional_encoding.conv_bn.block.0.weight" in state:
        return _jelly_spikformer(blocks)
    if family == "spikingformer" and "patch_embed.block0_conv.weight" in state:
        convs = [(f"block{i}_conv", f"block{i}_bn") for i in range(5)]
        return _stages(convs) | _repository_blocks(state, blocks, ("mlp1", "mlp2"))
    if family == "spikingformer" and "patch_embed.proj4_conv.weight" in state:
        convs = [(f"proj{i}_conv", f"proj{i}_bn") for i in ("", 1, 2, 3, 4)]
        return _stages(convs) | _repository_blocks(state, blocks, ("mlp1", "mlp2"))
    if (
        family == "sdt"
        and "patch_embed.rpe_conv.weight" in state
        and "block.0.attn.q_conv.weight" in state
    ):
        return _stages(_spikformer_convs()) | _repository_blocks(state, blocks, ("fc1", "fc2"))
    if family == "qkformer" and "patch_embed1.proj_res_conv.weight" in state:
        return _repository_qkformer(state, config)
    if family == "sdt" and "patch_embed.final_stage.0.weight" in state:
        return _jelly_sdt(blocks)
    if family == "qkformer" and "patch_embed1.shortcut.0.weight" in state:
        return _jelly_qkformer(config)
    return None


def _spikformer_convs() -> list[tuple[str, str]]:
    numbered = [(f"proj_conv{i}", f"proj_bn{i}") for i in ("", 1, 2, 3)]
    return [*numbered, ("rpe_conv", "rpe_bn")]


def _stages(convs: Iterable[tuple[str, str]]) -> Sources:
    """The five stages of the patch splitting of a repository."""
    return {
        f"sps.stages.{stage}": Source(f"patch_embed.{conv}", f"patch_embed.{norm}")
        for stage, (conv, norm) in enumerate(convs)
    }


def _repository_blocks(
    state: Mapping[str, Tensor], blocks: int, mlp: tuple[str, str], attention: str = ""
) -> Sources:
    """Blocks as the repositories name them: `_linear` or `_conv`, `_bn`.

    `attention`: the module of ours that holds q, k, v, where there is one.
    """
    sources: Sources = {}
    for block in range(blocks):
        own, their = f"blocks.{block}", f"block.{block}"
        pairs = {f"{own}{attention}.{x}": f"{their}.attn.{x}" for x in ("q", "k", "v", "proj")}
        pairs |= {f"{own}.fc{n}": f"{their}.mlp.{mlp[n - 1]}" for n in (1, 2)}
        for layer, place in pairs.items():
            kind = "linear" if f"{place}_linear.weight" in state else "conv"
            sources[layer] = Source(f"{place}_{kind}", f"{place}_bn")
    return sources


def _repository_qkformer(state: Mapping[str, Tensor], config: ModelConfig) -> Sources:
    """QKFormer's repository, in which CIFAR and ImageNet name a block's parts differently."""
    sources: Sources = {}

    def pair(own: str, place: str) -> None:
        sources[own] = Source(f"{place}_conv", f"{place}_bn")

    for stage, spec in enumerate(embeddings(config)):
        own, their = f"sps.embeddings.{stage}", f"patch_embed{stage + 1}"
        names = ("proj", "proj1", "proj2") if stage == 0 else ("proj3", "proj4")
        for at, name in zip(range(len(spec.channels) - 1), names, strict=False):
            pair(f"{own}.layers.{at}", f"{their}.{name}")
        pair(f"{own}.shortcut", f"{their}.proj_res")
    for stage, depth in enumerate((*config.earlier_blocks, config.size.blocks)):
        for block in range(depth):
            their, last = f"stage{stage + 1}.{block}", stage == 2
            own = f"blocks.{block}" if last else f"sps.stages.{stage}.{block}"
            within = f"{own}.attn" if last else own
            room = (
                "tssa" if not last else "ssa" if f"{their}.ssa.q_conv.weight" in state else "attn"
            )
            for part in ("q", "k", "v", "proj") if last else ("q", "k", "proj"):
                pair(f"{within}.{part}", f"{their}.{room}.{part}")
            mlp = "fc" if f"{their}.mlp.fc1_conv.weight" in state else "mlp"
            for number in (1, 2):
                pair(f"{own}.fc{number}", f"{their}.mlp.{mlp}{number}")
    return sources


def _fused(where: str, prefix: str, letters: str) -> Sources:
    """Layers that SpikingJelly fuses into one convolution and norm."""
    return {
        f"{where}.{letter}": Source(f"{prefix}.0", f"{prefix}.1", part, len(letters))
        for part, letter in enumerate(letters)
    }


def _jelly_spikformer(blocks: int) -> Sources:
    places = [f"stages.{stage}" for stage in range(4)] + ["positional_encoding"]
    sources: Sources = {}
    for stage, place in enumerate(places):
        sources[f"sps.stages.{stage}"] = _sequence(f"patch_embed.{place}.conv_bn.block")
    for block in range(blocks):
        own = f"blocks.{block}"
        sources |= _fused(f"{own}.attn", f"{own}.attn.qkv_conv_bn", "qkv")
        sources[f"{own}.attn.proj"] = _sequence(f"{own}.attn.proj_conv_bn")
        for layer in ("fc1", "fc2"):
            sources[f"{own}.{layer}"] = _sequence(f"{own}.mlp.{layer}")
    return sources


def _sequence(place: str) -> Source:
    """A convolution and its norm in one sequence."""
    return Source(f"{place}.0", f"{place}.1")


def _numbered_mlp(own: str, their: str) -> Sources:
    """fc1, bn1, fc2, bn2."""
    return {f"{own}.fc{n}": Source(f"{their}.fc{n}", f"{their}.bn{n}") for n in (1, 2)}


def _jelly_sdt(blocks: int) -> Sources:
    places = ("stages.0", "stages.1", "stages.2", "final_stage")
    sources = {
        f"sps.stages.{stage}": _sequence(f"patch_embed.{place}")
        for stage, place in enumerate(places)
    }
    sources["sps.stages.4"] = Source("patch_embed.rpe_conv", "patch_embed.rpe_bn")
    for block in range(blocks):
        own = f"blocks.{block}"
        for part in ("q", "k", "v", "proj"):
            sources[f"{own}.{part}"] = Source(f"{own}.attn.{part}_conv", f"{own}.attn.{part}_bn")
        sources |= _numbered_mlp(own, f"{own}.mlp")
    return sources


def _jelly_qkformer(config: ModelConfig) -> Sources:
    sources: Sources = {}
    for stage, spec in enumerate(embeddings(config)):
        own, their = f"sps.embeddings.{stage}", f"patch_embed{stage + 1}"
        for at in range(len(spec.channels) - 1):
            sources[f"{own}.layers.{at}"] = Source(f"{their}.conv{at + 1}", f"{their}.bn{at + 1}")
        sources[f"{own}.shortcut"] = _sequence(f"{their}.shortcut")
    for stage, depth in enumerate((*config.earlier_blocks, config.size.blocks)):
        for block in range(depth):
            their = f"stage{stage + 1}.{block}"
            own = attention = f"sps.stages.{stage}.{block}"
            fused, letters = "qk_conv_bn", "qk"
            if stage == 2:
                own, attention = f"blocks.{block}", f"blocks.{block}.attn"
                fused, letters = "qkv_conv_bn", "qkv"
            sources |= _fused(attention, f"{their}.attn.{fused}", letters)
            sources[f"{attention}.proj"] = _sequence(f"{their}.attn.proj_conv_bn")
            sources |= _numbered_mlp(own, f"{their}.mlp")
    return sources
