"""A captured trace, read back: every bit, every mask, the sums, the provenance, the same twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models import capture
from models.data.images import mnist_digits
from models.data.sequences import in_time
from models.evaluate import pixels_of
from models.networks.arms import Prepared, Setup, prepare
from models.networks.config import DATASETS, ISPS_FORMS, Dataset, HaltingConfig, ModelConfig, Size
from models.networks.stas import STAS
from models.operations import describe
from models.operations.writing import write_trace
from simulator.trace import Trace
from tests.models.stored import integers
from tests.models.tiny_networks import Keeper, lively, pictures, tiny_config

IMPORTANT = HaltingConfig("block", policy="token_importance", output="last", budget=0.6)
LARGE = Dataset(10, 3, 64, (0, 1, 2, 3))
SECTION = {"origin": "random", "seed": 0, "accuracy": None, "sha256": "0" * 64}


def written(path: Path, model: STAS, count: int = 3, batch: int = 2) -> Path:
    write_trace(path, Prepared(model, dict(SECTION)), pictures(count), "cifar10", batch)
    return path


CONFIGS = {
    "stas": tiny_config(),
    "baseline": tiny_config(halting=False, isps=False),
    "after_lif": tiny_config(pool="after_lif"),
    "block": tiny_config(halting=HaltingConfig("block", gamma=6.0, beta=-5.0), isps="late_sum"),
    "importance": tiny_config(halting=IMPORTANT, isps="late_sum", integration="sum"),
    "timestep": tiny_config(halting=HaltingConfig("timestep", beta=-1.0), isps="single_step"),
    "spikingformer": tiny_config(family="spikingformer"),
    "spikingformer late": tiny_config(family="spikingformer", isps="late_sum", halting=False),
    "sdt": tiny_config(family="sdt"),
    "sdt importance": tiny_config(family="sdt", isps="single_step", halting=IMPORTANT),
    "sdt baseline": tiny_config(family="sdt", isps=False, halting=False),
    "qkformer": tiny_config(family="qkformer"),
    "qkformer late": tiny_config(family="qkformer", isps="late_sum", halting=False),
    "qkformer on large images": tiny_config(family="qkformer", isps=False, dataset=LARGE),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_stored_value_is_the_networks(tmp_path: Path, config: ModelConfig) -> None:
    model = lively(config)
    keeper, topology = Keeper(), describe(config)
    images = pictures(3)
    if config.dataset is LARGE:
        images = images._replace(pixels=images.pixels.repeat(2, 2).repeat(2, 3))
    with torch.no_grad():
        model(pixels_of(images), keeper)
    write_trace(tmp_path / "t.npz", Prepared(model, dict(SECTION)), images, "cifar10", 2)
    with Trace.open(tmp_path / "t.npz") as trace:
        trace.verify()
        assert set(keeper.tensors()) == set(trace.tensors) - {"sps.image"}
        for image in trace:
            for name, tensor in keeper.tensors().items():
                stored = integers(trace, name, image)
                unit = topology.tensors[name].unit
                assert np.array_equal(stored, (tensor[:, image.index] * unit).round().numpy()), name
            for block in range(config.size.blocks):
                expected = (
                    torch.stack(keeper.masks[block])[:, image.index].numpy()
                    if config.halts
                    else np.ones((config.timesteps, config.tokens), bool)
                )
                assert np.array_equal(image.active[str(block)], expected)
            pixels = integers(trace, "sps.image", image)[0]
            original = images.pixels[image.index]
            assert np.array_equal(pixels.T.reshape(original.shape), original)
            assert image.label == pictures(3).labels[image.index]
            assert image.prediction == -1


NEEDED = [
    ("spikformer", "none", ("sps.0.out", "sps.4.out", "blocks.0.x")),
    ("spikingformer", "none", ("sps.0.out", "sps.3.out", "blocks.0.attn.in")),
    ("sdt", "none", ("sps.0.out", "sps.3.out", "head.in")),
    ("sdt", "late_sum", ("blocks.0.attn.in", "head.in")),
    ("qkformer", "none", ("stages.0.embed.0.out", "stages.1.blocks.0.attn.q", "blocks.0.x")),
    ("qkformer", "early_integration", ("stages.0.blocks.0.attn.q", "blocks.0.x")),
]


@pytest.mark.parametrize(("family", "isps", "names"), NEEDED)
def test_what_an_ended_image_never_needs_is_not_stored(
    tmp_path: Path, family: str, isps: str, names: tuple[str, ...]
) -> None:
    halting = HaltingConfig("timestep", policy="entropy_exit", output="last", entropy=1.0)
    model = lively(tiny_config(halting=halting, isps=isps, family=family))
    with Trace.open(written(tmp_path / "t.npz", model)) as trace:
        trace.verify()
        told = trace.manifest["model"]["halting"]
        assert (told["policy"], told["entropy"]) == ("entropy_exit", 1.0)
        for image in trace:
            assert image.active["0"].any(1).tolist() == [True, False, False]
            for name in names:
                spikes = image.tensors[name].reshape(3, -1).any(1)
                assert spikes.tolist() == [True, False, False], name
            if isps == "early_integration":  # the integration did need all of these
                assert image.tensors["stages.0.embed.0.out"].reshape(3, -1).any(1).all()


@pytest.mark.parametrize("family", ["spikformer", "spikingformer", "sdt", "qkformer"])
@pytest.mark.parametrize("isps", ISPS_FORMS)
def test_a_sequence_is_stored_picture_by_picture(tmp_path: Path, isps: str, family: str) -> None:
    dataset = DATASETS["mnist_sequential"]._replace(pooled_stages=(0, 1, 2, 3))
    model = lively(tiny_config(dataset=dataset, isps=isps, family=family))
    images = in_time(mnist_digits()[1].first(2), "rows", 3)
    write_trace(tmp_path / "t.npz", Prepared(model, dict(SECTION)), images, "mnist_sequential", 2)
    with Trace.open(tmp_path / "t.npz") as trace:
        trace.verify()
        assert "in time: rows" in trace.manifest["dataset"]["source"]
        for image in trace:
            stored = integers(trace, "sps.image", image)
            pixels = images.pixels[image.index]
            assert np.array_equal(stored.transpose(0, 2, 1).reshape(pixels.shape), pixels)


def test_streams_are_the_sums_of_their_parts(tmp_path: Path) -> None:
    model = lively(tiny_config())
    with Trace.open(written(tmp_path / "t.npz", model)) as trace:
        image = trace.read(0)
        value = {name: integers(trace, name, image) for name in image.tensors}
        active = image.active
        assert np.array_equal(value["sps.0.integrated"][0], value["sps.0.out"].sum(0))
        assert np.array_equal(value["blocks.0.x"], value["sps.3.out"] + value["sps.4.out"])
        for block, after in ((0, "blocks.1.x"), (1, "head.x")):
            name = f"blocks.{block}"
            live = active[str(block)][:, :, None]
            middle = (value[f"{name}.x"] + value[f"{name}.attn.proj_out"]) * live
            assert np.array_equal(value[f"{name}.mlp.x"], middle)
            assert np.array_equal(value[after], (middle + value[f"{name}.mlp.out"]) * live)
        for operation in trace.operations:
            if operation.kind == "residual" and operation.second_input is not None:
                assert operation.second_input in value


def test_attention_neurons_follow_from_stored_q_k_v(tmp_path: Path) -> None:
    config = tiny_config()
    with Trace.open(written(tmp_path / "t.npz", lively(config))) as trace:
        image = trace.read(1)
        names = [f"blocks.0.attn.{part}" for part in ("q", "k", "v", "out")]
        q, k, v, out = (integers(trace, name, image) for name in names)
        membrane = np.zeros((config.tokens, config.size.embed_dim))
        for step in range(config.timesteps):
            current = np.zeros_like(membrane)
            for head in range(config.size.heads):
                at = slice(head * config.head_dim, (head + 1) * config.head_dim)
                current[:, at] = (q[step][:, at] @ k[step][:, at].T) @ v[step][:, at] * 0.125
            membrane = membrane + (current - membrane) / 2.0
            fired = membrane >= 0.5
            membrane[fired] = 0.0
            live = image.active["0"][step][:, None]
            assert np.array_equal(fired & live, out[step].astype(bool))


@pytest.mark.parametrize("family", ["sdt", "qkformer"])
def test_gates_follow_from_stored_spikes(tmp_path: Path, family: str) -> None:
    """The attention without products, recomputed from what the trace holds."""
    config = tiny_config(family=family)
    where = "blocks.0.attn" if family == "sdt" else "stages.0.blocks.0.attn"
    with Trace.open(written(tmp_path / "t.npz", lively(config))) as trace:
        image = trace.read(1)
        names = ("q", "k", "gate", "out")
        values = [f"{where}.{name}" for name in names]
        q, k, gate, out = (integers(trace, name, image) for name in values)
        opened, gated = k, q
        if family == "sdt":
            v = integers(trace, f"{where}.v", image)
            sums = (k * v).sum(1, keepdims=True).astype(float)
        else:
            heads = q.reshape(*q.shape[:2], config.size.heads, -1)
            sums, gated = heads.sum(3).astype(float), opened
        membrane = np.zeros(sums.shape[1:])
        for step in range(config.timesteps):
            membrane = membrane + (sums[step] - membrane) / 2.0
            fired = membrane >= 0.5
            membrane[fired] = 0.0
            assert np.array_equal(fired, gate[step].astype(bool))
        width = gated.shape[2] // gate.shape[2]
        assert np.array_equal(out, gated * np.repeat(gate, width, axis=2))
        assert out.any()
        assert not gate.all()


def test_batches_do_not_matter_and_two_captures_are_one_file(tmp_path: Path) -> None:
    model = lively(tiny_config())
    first = written(tmp_path / "a.npz", model, batch=1).read_bytes()
    assert written(tmp_path / "b.npz", model, batch=3).read_bytes() == first


def test_twins_share_every_weight_and_nothing_claims_an_accuracy(tmp_path: Path) -> None:
    config = tiny_config(name="stas_spikformer_1_64", size=Size(1, 64, 2))
    arms = []
    for baseline in (False, True):
        wish = Setup(config, "cifar10", "calibrated", 0, 0.6, baseline, None)
        arms.append(prepare(wish, pictures(2)))
    stas, twin = arms
    assert stas.weights["sha256"] == twin.weights["sha256"]
    assert twin.model.config.name == "spikformer_1_64"
    for name, weight in twin.model.state_dict().items():
        if name.endswith(("conv.weight", "linear.weight", "head.weight")):
            assert torch.equal(weight, stas.model.state_dict()[name]), name
    other = prepare(Setup(config, "cifar10", "random", 1, 0.6, False, None), pictures(2))
    assert other.weights["sha256"] != stas.weights["sha256"]
    assert stas.weights["accuracy"] is twin.weights["accuracy"] is None
    assert set(stas.weights["calibration"]["layers"]) >= {"sps.0", "blocks.0.attn.q"}


def test_two_runs_of_the_command_are_one_file(tmp_path: Path) -> None:
    digests, contents = [], []
    for name in ("a.npz", "b.npz"):
        words = ["--model", "stas_spikformer_2_256", "--dataset", "cifar10", "--images", "1"]
        words += ["--threads", "1"]
        out = tmp_path / name
        assert capture.main([*words, "--weights", "random", "--out", str(out)]) == 0
        digests.append(hashlib.sha256(out.read_bytes()).hexdigest())
        with Trace.open(out) as trace:
            contents.append(json.dumps(trace.manifest, sort_keys=True))
    assert digests[0] == digests[1]
    assert contents[0] == contents[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    assert str(tmp_path) not in contents[0]
