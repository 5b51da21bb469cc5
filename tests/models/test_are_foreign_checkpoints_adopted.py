"""Checkpoints in other code bases' layouts, generated: under our names, every value in place."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import capture
from models.errors import ModelError
from models.networks.checkpoints import adopt, read_checkpoint
from models.networks.config import ModelConfig, named_config
from models.networks.layers import SpikingConv
from models.networks.stas import STAS
from simulator.trace import Trace
from tests.messages import said
from tests.models.tiny_networks import noise, tiny_config

NORM = ("weight", "bias", "running_mean", "running_var")
CONVS_OF = {
    "spikformer": [
        *((f"proj_conv{i}", f"proj_bn{i}") for i in ("", 1, 2, 3)),
        ("rpe_conv", "rpe_bn"),
    ],
    "spikingformer": [(f"block{i}_conv", f"block{i}_bn") for i in range(5)],
    "spikingformer on imagenet": [(f"proj{i}_conv", f"proj{i}_bn") for i in ("", 1, 2, 3, 4)],
}
CONVS_OF["sdt"] = CONVS_OF["spikformer"]
LAYOUTS = (*CONVS_OF, "spikformer on imagenet")


def kind_of(layout: str) -> str:
    """How a repository names a block's layers; linear ones have biases, as some 1x1 ones."""
    return "linear" if layout == "spikformer" else "conv"


class State(dict[str, Tensor]):
    """A state dict of random values."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)
        classes = config.dataset.classes
        self["head.weight"] = torch.randn(classes, config.size.embed_dim, generator=self.generator)
        self["head.bias"] = torch.randn(classes, generator=self.generator)

    def put(self, weights: str, norm: str, shape: tuple[int, ...], bias: bool = False) -> None:
        self[f"{weights}.weight"] = torch.randn(shape, generator=self.generator)
        if bias:
            self[f"{weights}.bias"] = torch.randn(shape[0], generator=self.generator)
        for key in NORM:
            self[f"{norm}.{key}"] = torch.rand(shape[0], generator=self.generator) + 0.5
        self[f"{norm}.num_batches_tracked"] = torch.tensor(7)


def generated(layout: str, config: ModelConfig, seed: int = 0) -> dict[str, Tensor]:
    """A state dict of the layout, filled at random; LayerNorms that nothing uses included."""
    family, kind = layout.split(" ")[0], kind_of(layout)
    dim, state = config.size.embed_dim, State(config, seed)
    channels = (config.dataset.image_channels, *config.stage_channels)
    names = CONVS_OF.get(layout, CONVS_OF[family])
    for (conv, norm), before, after in zip(names, channels, channels[1:], strict=False):
        state.put(f"patch_embed.{conv}", f"patch_embed.{norm}", (after, before, 3, 3))
    mlp = ("mlp1", "mlp2") if family == "spikingformer" else ("fc1", "fc2")
    tail = () if kind == "linear" else (1,)
    for block in range(config.size.blocks):
        for part in ("q", "k", "v", "proj"):
            place = f"block.{block}.attn.{part}"
            bias = kind == "linear" or part == "proj"
            state.put(f"{place}_{kind}", f"{place}_bn", (dim, dim, *tail), bias)
        for name, (after, before) in zip(mlp, ((4 * dim, dim), (dim, 4 * dim)), strict=True):
            place = f"block.{block}.mlp.{name}"
            state.put(f"{place}_{kind}", f"{place}_bn", (after, before, *tail * 2), True)
        if family == "sdt":
            state[f"block.{block}.attn.talking_heads.weight"] = torch.randn(2, 2, 1)
        for unused in ("norm1", "norm2"):
            for key in ("weight", "bias"):
                state[f"block.{block}.{unused}.{key}"] = torch.randn(dim)
    return dict(state)


def qkformer_state(names: dict[str, str], config: ModelConfig) -> dict[str, Tensor]:
    """QKFormer's repository: `names` of its parts differ between CIFAR and ImageNet."""
    state = State(config)

    def put(place: str, shape: tuple[int, ...], bias: bool = False) -> None:
        state.put(f"{place}_conv", f"{place}_bn", shape, bias)

    widths = [config.size.embed_dim // part for part in (4, 2, 1)]
    before = config.dataset.image_channels
    for stage, width in enumerate(widths):
        place, first = f"patch_embed{stage + 1}", stage == 0
        half = width // 2
        put(f"{place}.{'proj' if first else 'proj3'}", (half if first else width, before, 3, 3))
        put(f"{place}.{'proj1' if first else 'proj4'}", (width, half if first else width, 3, 3))
        put(f"{place}.proj_res", (width, half if first else before, 1, 1))
        before = width
        depth = (*config.earlier_blocks, config.size.blocks)[stage]
        for block in range(depth):
            their = f"stage{stage + 1}.{block}"
            room = names["ssa"] if stage == 2 else "tssa"
            for part in ("q", "k", "v", "proj") if stage == 2 else ("q", "k", "proj"):
                put(f"{their}.{room}.{part}", (width, width, 1), part == "proj")
            put(f"{their}.mlp.{names['mlp']}1", (4 * width, width, 1, 1), True)
            put(f"{their}.mlp.{names['mlp']}2", (width, 4 * width, 1, 1), True)
    return dict(state)


@pytest.mark.parametrize("names", [{"ssa": "ssa", "mlp": "mlp"}, {"ssa": "attn", "mlp": "fc"}])
def test_qkformers_own_checkpoints_are_adopted(names: dict[str, str]) -> None:
    config = named_config("qkformer_4_128", "digits")
    state = qkformer_state(names, config)
    ours = adopt(state, config, Path("theirs.pth"))
    model = STAS(config)
    model.load_state_dict(ours)
    assert torch.equal(
        model.blocks[1].attn.v.linear.weight,
        state[f"stage3.1.{names['ssa']}.v_conv.weight"][..., 0],
    )
    moved = state[f"stage2.0.mlp.{names['mlp']}1_bn.running_mean"]
    moved = moved - state[f"stage2.0.mlp.{names['mlp']}1_conv.bias"]
    assert torch.equal(model.sps.stages[1][0].fc1.norm.running_mean, moved)
    del state["patch_embed2.proj_res_conv.weight"]
    with pytest.raises(ModelError, match=said("a checkpoint without a shortcut")):
        adopt(state, config, Path("theirs.pth"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layer_computes_what_theirs_would(layout: str) -> None:
    """Weights, then bias, then batch-norm, in plain torch, against our layer without a bias."""
    config = tiny_config(halting=False, isps=False, family=layout.split(" ")[0])
    state = generated(layout, config)
    model = STAS(config).double().eval()
    double = {name: tensor.double() for name, tensor in state.items()}
    model.load_state_dict(adopt(double, config, Path("theirs.pth")))
    kind = kind_of(layout)
    attention = "attn." if config.family == "spikformer" else ""
    mlp = "mlp" if config.family == "spikingformer" else "fc"
    pairs = {f"blocks.1.{attention}{x}": f"block.1.attn.{x}" for x in ("q", "k", "v", "proj")}
    pairs |= {f"blocks.1.fc{number}": f"block.1.mlp.{mlp}{number}" for number in (1, 2)}
    for own, their in pairs.items():
        layer = model.get_submodule(own)
        rows = torch.randn(5, layer.linear.in_features, dtype=torch.float64)
        weight = double[f"{their}_{kind}.weight"].flatten(1)
        sums = rows @ weight.T + double.get(f"{their}_{kind}.bias", torch.zeros(1))
        scale, shift, mean, var = (double[f"{their}_bn.{key}"] for key in NORM)
        expected = (sums - mean) / torch.sqrt(var + layer.norm.eps) * scale + shift
        assert torch.allclose(layer.norm(layer.linear(rows)), expected, atol=1e-9), own
    for stage, (conv, _) in enumerate(CONVS_OF.get(layout, CONVS_OF[config.family])):
        layer = model.sps.stages[stage]
        assert isinstance(layer, SpikingConv)
        assert torch.equal(layer.conv.weight, double[f"patch_embed.{conv}.weight"])
    logits = model(noise(1).double()).logits
    assert logits.isfinite().all()


def test_the_wrapped_file_of_a_training_script_is_read(tmp_path: Path) -> None:
    config = tiny_config(halting=False, isps=False)
    state = generated("spikformer", config)
    path = tmp_path / "checkpoint.pth.tar"
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "args": argparse.Namespace(lr=0.1), "state_dict": wrapped}, path)
    read = read_checkpoint(path)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)
    assert config.kind.fitted(config, read).pool == "after_lif"


def test_a_checkpoint_is_captured(tmp_path: Path) -> None:
    path, out = tmp_path / "theirs.pth", tmp_path / "t.npz"
    config = named_config("spikformer_2_256", "cifar10")
    torch.save(generated("spikformer", config), path)
    words = ["--model", "spikformer_2_256", "--dataset", "cifar10", "--images", "1"]
    assert capture.main([*words, "--weights", str(path), "--out", str(out), "--threads", "1"]) == 0
    with Trace.open(out) as trace:
        assert trace.manifest["model"]["pool"] == "after_lif"
        assert trace.manifest["weights"]["accuracy"] is None
        assert "another code base" in trace.manifest["weights"]["notes"]
        assert "normalised" in trace.manifest["weights"]["notes"]
        assert str(tmp_path) not in str(trace.manifest)


class Evil:
    """What a checkpoint must never run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("open('evil', 'w').write('x')",)


def test_what_is_no_checkpoint_of_ours_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tiny_config(halting=False, isps=False)
    state, path = generated("spikformer", config), Path("x.pth")
    with pytest.raises(ModelError, match=said("a file that is not there")):
        read_checkpoint(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=said("a file that is not safe")):
        read_checkpoint(path)
    torch.save({"state_dict": Evil()}, path, pickle_module=pickle)
    with pytest.raises(ModelError, match=said("a file that is not safe")):
        read_checkpoint(path)
    assert not Path("evil").exists()
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match=said("a file without weights")):
        read_checkpoint(path)
    with pytest.raises(ModelError, match=said("a checkpoint of another family")):
        adopt(state, tiny_config(halting=False, isps=False, family="sdt"), path)
    del state["block.1.attn.q_bn.running_var"]
    with pytest.raises(ModelError, match=said("a checkpoint without a variance")):
        adopt(state, config, path)
    state = generated("spikformer", config) | {"block.9.attn.q_linear.weight": torch.zeros(2, 2)}
    with pytest.raises(ModelError, match=said("a checkpoint of more blocks")):
        adopt(state, config, path)
