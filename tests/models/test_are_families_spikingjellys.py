"""Spikformer, Spike-Driven Transformer and QKFormer are SpikingJelly's, every spike and logit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.model.qkformer import QKFormer
from spikingjelly.activation_based.model.spike_driven_transformer import SpikeDrivenTransformer
from spikingjelly.activation_based.model.spikformer import spikformer_cifar10
from torch import Tensor, nn

from models.networks.checkpoints import adopt
from models.networks.config import DATASETS, Dataset, ModelConfig, Size, named_config
from models.networks.stas import STAS
from tests.models.tiny_networks import Keeper, noise

BLOCKS = 2


def spikformer(dataset: Dataset, timesteps: int) -> tuple[nn.Module, ModelConfig]:
    config = named_config("spikformer_4_384", "cifar10", timesteps)
    return spikformer_cifar10(T=timesteps), config


def sdt(dataset: Dataset, timesteps: int) -> tuple[nn.Module, ModelConfig]:
    pools = "".join("1" if stage in dataset.pooled_stages else "0" for stage in range(4))
    theirs = SpikeDrivenTransformer(
        T=timesteps, num_classes=10, embed_dims=64, num_heads=4, depths=BLOCKS, pooling_stat=pools
    )
    config = ModelConfig("sdt", Size(BLOCKS, 64, 4), dataset, timesteps, family="sdt")
    return theirs, config


def qkformer(dataset: Dataset, timesteps: int) -> tuple[nn.Module, ModelConfig]:
    theirs = QKFormer(
        T=timesteps, num_classes=10, embed_dims=64, num_heads=(4, 4, 4), depths=(1, 2, BLOCKS)
    )
    size = Size(BLOCKS, 64, 4)
    config = ModelConfig("qk", size, dataset, timesteps, family="qkformer", earlier_blocks=(1, 2))
    return theirs, config


SMALL = DATASETS["cifar10"]
LARGE = Dataset(10, 3, 64, (0, 1, 2, 3))
CASES: dict[str, tuple[Callable[[Dataset, int], tuple[nn.Module, ModelConfig]], Dataset]] = {
    "spikformer": (spikformer, SMALL),
    "sdt": (sdt, SMALL),
    "sdt on large images": (sdt, LARGE),
    "qkformer": (qkformer, LARGE),
}


def rows(spikes: Tensor) -> Tensor:
    """Their layouts as (timestep, image, row, channel)."""
    return spikes.flatten(3).transpose(2, 3)


def their_spikes(model: nn.Module) -> dict[str, Tensor]:
    """A dictionary that fills with the output of every neuron, under its name."""
    spikes: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, neuron.BaseNode):

            def keep(module: nn.Module, inputs: object, output: Tensor, name: str = name) -> None:
                spikes[name] = output

            module.register_forward_hook(keep)
    return spikes


def our_names_of_spikformer(spikes: dict[str, Tensor]) -> dict[str, Tensor]:
    ends = {"attn_lif": "attn.out", "proj_lif": "attn.proj_out"}
    ends |= {"neuron1": "mlp.hidden", "neuron2": "mlp.out"}
    named: dict[str, Tensor] = {}
    for name, found in spikes.items():
        first, second, *middle, last = name.split(".")
        if first == "patch_embed":
            stage = middle[0] if second == "stages" else "4"
            named[f"sps.{stage}.out"] = rows(found)
        elif last == "qkv_lif":
            parts = zip("qkv", found.transpose(2, 3).chunk(3, -1), strict=True)
            named |= {f"blocks.{second}.attn.{letter}": part for letter, part in parts}
        else:
            whole = found.flatten(2, 3) if last == "attn_lif" else found
            named[f"blocks.{second}.{ends[last]}"] = whole.transpose(2, 3)
    assert len(named) == 5 + 4 * 7
    return named


def our_names_of_sdt(spikes: dict[str, Tensor]) -> dict[str, Tensor]:
    named = {
        "head.in": spikes["head_lif"][:, :, None],
        "sps.3.out": spikes["patch_embed.final_lif"],
    }
    for block in range(BLOCKS):
        at = f"blocks.{block}"
        named[f"{at}.attn.in"] = spikes[f"{at}.attn.shortcut_lif"]
        for part in "qkv":
            named[f"{at}.attn.{part}"] = spikes[f"{at}.attn.{part}_lif"]
        gate = spikes[f"{at}.attn.attn_lif"]  # (T, N, heads, 1, channels of a head)
        named[f"{at}.attn.gate"] = gate.flatten(2)[:, :, None]
        named[f"{at}.mlp.in"] = spikes[f"{at}.mlp.lif1"]
        named[f"{at}.mlp.hidden"] = spikes[f"{at}.mlp.lif2"]
    return {name: rows(s) if s.ndim == 5 else s for name, s in named.items()}


def our_names_of_qkformer(spikes: dict[str, Tensor]) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for stage, layers in enumerate((3, 2, 2)):
        own, their = f"stages.{stage}.embed", f"patch_embed{stage + 1}"
        for at in range(layers):
            named[f"{own}.{at}.out"] = rows(spikes[f"{their}.lif{at + 1}"])
        named[f"{own}.shortcut.out"] = rows(spikes[f"{their}.shortcut.2"])
    for stage, depth in enumerate((1, 2, BLOCKS)):
        for block in range(depth):
            their = f"stage{stage + 1}.{block}"
            own = f"blocks.{block}" if stage == 2 else f"stages.{stage}.blocks.{block}"
            letters, fused = ("qkv", "qkv_lif") if stage == 2 else ("qk", "qk_lif")
            parts = spikes[f"{their}.attn.{fused}"].chunk(len(letters), 2)
            for letter, part in zip(letters, parts, strict=True):
                named[f"{own}.attn.{letter}"] = part.transpose(2, 3)
            attended = spikes[f"{their}.attn.attn_lif"]
            name = f"{own}.attn.out" if stage == 2 else f"{own}.attn.gate"
            named[name] = attended.flatten(2, 3).transpose(2, 3)
            named[f"{own}.attn.proj_out"] = rows(spikes[f"{their}.attn.proj_lif"])
            named[f"{own}.mlp.hidden"] = rows(spikes[f"{their}.mlp.lif1"])
            named[f"{own}.mlp.out"] = rows(spikes[f"{their}.mlp.lif2"])
    return named


# Serial batches have statistics of their own.
MODES = [("eval", "layers"), ("train", "layers"), ("eval", "serial")]
OUR_NAMES = {
    "spikformer": our_names_of_spikformer,
    "sdt": our_names_of_sdt,
    "qkformer": our_names_of_qkformer,
}


@pytest.mark.parametrize(("mode", "path"), MODES)
@pytest.mark.parametrize("case", CASES)
def test_every_spike_and_the_logits_are_equal(case: str, mode: str, path: str) -> None:
    make, dataset = CASES[case]
    torch.manual_seed(0)
    theirs, config = make(dataset, 3)
    theirs = theirs.double()
    images = noise(3, config).double()
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = None
                nn.init.uniform_(module.weight, 0.7, 1.3)
                low = -0.4 if config.family == "sdt" else 0.1
                nn.init.uniform_(module.bias, low, low + 1.0)
        theirs.train()(images / 256.0)
        functional.reset_net(theirs)
        ours = STAS(config).double()
        ours.load_state_dict(adopt(theirs.state_dict(), config, Path("theirs")))
        spikes, keeper = their_spikes(theirs), Keeper()
        logits = theirs.train(mode == "train")(images / 256.0)
        output = ours.train(mode == "train")(images, keeper, path=path)
    logits = logits.mean(0) if logits.ndim == 3 else logits
    kept = keeper.tensors()
    named = OUR_NAMES[config.family](spikes)
    missing = sum(isinstance(m, neuron.BaseNode) for m in theirs.modules()) - len(spikes)
    assert missing == 0
    for name, expected in named.items():
        assert torch.equal(kept[name], expected), name
        assert 0.005 < float(expected.mean()) < 0.95, name
    assert torch.allclose(output.logits, logits, atol=1e-9, rtol=0.0)
    assert float(logits.std()) > 1e-3


def test_the_parameters_are_as_many() -> None:
    ours = STAS(named_config("stas_spikformer_4_384", "cifar10"))
    assert sum(p.numel() for p in ours.parameters()) == 9_310_906
    assert sum(p.numel() for p in spikformer_cifar10().parameters()) == 9_310_906
