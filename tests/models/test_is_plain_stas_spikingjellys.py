"""Without I-SPS and halting our network is SpikingJelly's Spikformer, every spike and logit."""

from __future__ import annotations

import pytest
import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.model.spikformer import spikformer_cifar10
from torch import Tensor, nn

from models.evaluate import pixels_of
from models.networks.config import named_config
from models.networks.stas import STAS
from tests.models.tiny_networks import Keeper, pictures

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
LINEARS = {
    "attn.q": ("attn.qkv_conv_bn", 0),
    "attn.k": ("attn.qkv_conv_bn", 1),
    "attn.v": ("attn.qkv_conv_bn", 2),
    "attn.proj": ("attn.proj_conv_bn", None),
    "fc1": ("mlp.fc1", None),
    "fc2": ("mlp.fc2", None),
}


def mapped(theirs: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """SpikingJelly's state under our names; its fused q, k, v are taken apart."""
    ours = {name: theirs[name] for name in ("head.weight", "head.bias")}
    for stage in range(5):
        where = f"stages.{stage}" if stage < 4 else "positional_encoding"
        source = f"patch_embed.{where}.conv_bn.block"
        ours[f"sps.stages.{stage}.conv.weight"] = theirs[f"{source}.0.weight"]
        for key in NORM:
            ours[f"sps.stages.{stage}.norm.{key}"] = theirs[f"{source}.1.{key}"]
    for block in range(blocks):
        for name, (where, third) in LINEARS.items():
            source = f"blocks.{block}.{where}"

            def part(tensor: Tensor, third: int | None = third) -> Tensor:
                return tensor if third is None or not tensor.ndim else tensor.chunk(3)[third]

            weight = part(theirs[f"{source}.0.weight"])
            ours[f"blocks.{block}.{name}.linear.weight"] = weight.squeeze(-1)
            for key in NORM:
                ours[f"blocks.{block}.{name}.norm.{key}"] = part(theirs[f"{source}.1.{key}"])
    return ours


def rows(spikes: Tensor) -> Tensor:
    """(T, N, C, H, W), (T, N, C, L) or (T, N, heads, C, L) as (T, N, row, channel)."""
    if spikes.ndim == 5 and spikes.shape[-1] == 64:
        return spikes.flatten(2, 3).transpose(2, 3)
    return spikes.flatten(3).transpose(2, 3)


def their_spikes(model: nn.Module) -> tuple[dict[str, Tensor], list[object]]:
    """A dictionary that fills with every neuron's output, under our names."""
    spikes: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if name.endswith("qkv_lif"):
                base = name.removesuffix("qkv_lif")
                for letter, part in zip("qkv", rows(output).chunk(3, -1), strict=True):
                    spikes[f"{base}{letter}"] = part
            else:
                spikes[name] = rows(output)

        return hook

    names = {"attn.attn_lif": "attn.out", "attn.proj_lif": "attn.proj_out"}
    names |= {"mlp.neuron1": "mlp.hidden", "mlp.neuron2": "mlp.out"}
    handles = []
    for name, module in model.named_modules():
        if not isinstance(module, neuron.BaseNode):
            continue
        if name.startswith("patch_embed"):
            where = name.split(".")
            name = "sps.4.out" if "positional" in where[1] else f"sps.{where[2]}.out"
        for old, new in names.items():
            name = name.replace(old, new)
        handles.append(module.register_forward_hook(keep(name)))
    return spikes, handles


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("path", ["layers", "serial"])
def test_every_spike_and_the_logits_are_equal(mode: str, path: str) -> None:
    if (mode, path) == ("train", "serial"):
        pytest.skip("serial batches have statistics of their own")
    torch.manual_seed(0)
    theirs = spikformer_cifar10().double()
    ours = STAS(named_config("spikformer_4_384", "cifar10")).double()
    images = pixels_of(pictures(2)).double()
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = None
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.uniform_(module.bias, -0.3, 0.9)
        theirs.train()(images / 256.0)
        functional.reset_net(theirs)
        ours.load_state_dict(mapped(theirs.state_dict(), 4))
        spikes, _ = their_spikes(theirs)
        keeper = Keeper()
        logits = theirs.train(mode == "train")(images / 256.0).mean(0)
        output = ours.train(mode == "train")(images, keeper, path=path)
    kept = keeper.tensors()
    assert len(spikes) == 5 + 4 * 7
    for name, expected in spikes.items():
        assert torch.equal(kept[name], expected), name
        assert 0.01 < float(expected.mean()) < 0.9, name
    assert torch.allclose(output.logits, logits, atol=1e-9, rtol=0.0)
    assert float(logits.std()) > 1e-3


def test_the_parameters_are_as_many() -> None:
    ours = STAS(named_config("stas_spikformer_4_384", "cifar10"))
    assert sum(p.numel() for p in ours.parameters()) == 9_310_906
    assert sum(p.numel() for p in spikformer_cifar10().parameters()) == 9_310_906
