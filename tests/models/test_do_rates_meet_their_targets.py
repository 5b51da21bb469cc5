"""Calibration: rates of every layer against the published table, the density, the token budget."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.calibration.calibrate import calibrate, channel_spread, draw_weights
from models.calibration.census import Census
from models.calibration.solving import Sums, activity, secant, solve_shift
from models.calibration.targets import Target, published_targets
from models.errors import ModelError
from models.evaluate import pixels_of
from models.networks.config import DATASETS, HaltingConfig, ModelConfig, Size
from models.networks.stas import STAS
from models.networks.weights import weight_tensors
from models.operations import describe
from models.operations.topology import stored_matrices
from simulator.data import firing_rates
from tests.messages import cases
from tests.models.tiny_networks import pictures, tiny_config

SMALL = Size(2, 128, 4)


def small(halting: bool, isps: bool) -> STAS:
    config = tiny_config(halting=halting, isps=isps, size=SMALL, timesteps=4)
    return STAS(dataclasses.replace(config, name="small"))


@pytest.mark.parametrize(("halting", "isps"), [(False, False), (True, True)])
def test_rates_density_and_active_tokens(halting: bool, isps: bool) -> None:
    model = small(halting, isps)
    images = pictures(2)
    report = calibrate(model, images, "cifar10", seed=3, active_tokens=0.6)
    tolerance = 0.06 if halting else 0.01
    census = Census()
    with torch.no_grad():
        active = model(pixels_of(images), census).active
    for name, line in report["layers"].items():
        tensor = f"{name}.out" if name.startswith("sps.") else name
        assert line["measured"] == pytest.approx(census.counts[tensor].density, abs=1e-6)
        assert line["measured"] == pytest.approx(line["target"], rel=tolerance), name
    density = census.density(stored_matrices(describe(model.config)))
    assert density == pytest.approx(0.1492, rel=tolerance / 2)
    reached = 1.0 if active is None else float(active.float().mean())
    assert report["active_tokens"]["measured"] == pytest.approx(reached, abs=1e-6)
    assert reached == pytest.approx(0.6 if halting else 1.0, abs=0.02)
    assert report["layers"]["blocks.0.attn.q"]["source"] == "published"
    assert report["layers"]["sps.1"]["source"] == "fitted to overall density"


def test_a_control_is_calibrated_under_its_own_masks() -> None:
    halting = HaltingConfig("block", policy="random", output="last", budget=0.6)
    model, images = STAS(tiny_config(halting=halting, size=Size(2, 64, 4))), pictures(1)
    report = calibrate(model, images, "cifar10", seed=0, active_tokens=0.1)
    assert report["active_tokens"]["measured"] == pytest.approx(0.6, abs=0.02)
    assert report["density"]["measured"] == pytest.approx(0.1492, rel=0.05)


def test_the_spike_driven_transformer_meets_its_density() -> None:
    model = STAS(tiny_config(halting=False, family="sdt", size=Size(2, 64, 4), timesteps=4))
    images = pictures(1)
    report = calibrate(model, images, "cifar10", seed=0, active_tokens=1.0)
    census = Census()
    with torch.no_grad():
        model(pixels_of(images), census)
    density = census.density(stored_matrices(describe(model.config)))
    assert density == pytest.approx(0.1463, rel=0.005)
    lines = report["layers"]
    assert lines["sps.4"]["of"] == lines["blocks.0.attn.proj"]["of"] == "potential"
    for name, tensor in (("sps.4", "blocks.0.attn.in"), ("blocks.0.mlp.fc2", "blocks.1.attn.in")):
        assert lines[name]["measured"] == pytest.approx(census.counts[tensor].density, abs=1e-6)
        assert lines[name]["measured"] == pytest.approx(lines[name]["target"], rel=0.01)


@pytest.mark.parametrize("isps", ["none", "late_sum"])
def test_spikingformer_meets_its_published_table(isps: str) -> None:
    """On small pictures: the rates are those of ImageNet, where every layer is published."""
    dataset = DATASETS["cifar10"]
    config = tiny_config(
        halting=False,
        family="spikingformer",
        size=Size(2, 64, 4),
        timesteps=4,
        isps=isps,
        dataset=dataset,
    )
    model, images = STAS(config), pictures(1)
    report = calibrate(model, images, "imagenet", seed=0, active_tokens=1.0)
    census = Census()
    with torch.no_grad():
        model(pixels_of(images), census)
    rates = firing_rates()["spikingformer_8_512_imagenet"]
    expected = {
        "sps.2.out": rates["sps_conv_inputs"]["proj_conv3"],  # behind its pool, as it is read
        "blocks.0.attn.in": rates["blocks"]["qkv_input"][0],
        "blocks.1.attn.in": rates["blocks"]["qkv_input"][1],
        "blocks.0.mlp.in": rates["blocks"]["fc1_input"][0],
        "blocks.1.mlp.hidden": rates["blocks"]["fc2_input"][1],
    }
    for tensor, rate in expected.items():
        assert census.counts[tensor].density == pytest.approx(rate, rel=0.01), tensor
    assert report["layers"]["blocks.0.attn.proj"]["source"] == "published"


def test_spikes_are_no_even_noise() -> None:
    """Channels differ in their rates, and so do tokens."""
    model = small(False, True)
    calibrate(model, pictures(2), "cifar10", seed=0, active_tokens=0.6)
    from tests.models.tiny_networks import Keeper

    keeper = Keeper()
    with torch.no_grad():
        model(pixels_of(pictures(2)), keeper)
    q = keeper.tensors()["blocks.0.attn.q"]
    by_channel = q.mean((0, 1, 2))
    independent = (by_channel.mean() * (1 - by_channel.mean()) / q[..., 0].numel()).sqrt()
    assert float(by_channel.std()) > 5.0 * float(independent)


def test_imagenets_table_has_a_target_for_every_neuron() -> None:
    config = ModelConfig("x", Size(8, 512, 8), DATASETS["imagenet"])
    targets = published_targets(config, "imagenet")
    lifs = {
        o["output"].removesuffix(".out") for o in describe(config).operations if o["kind"] == "lif"
    }
    named = {name.removesuffix(".out") for name in targets.layers}
    assert named == lifs
    assert not targets.common
    assert targets.layers["blocks.0.attn.q"].value == pytest.approx(0.1723, abs=1e-4)
    stream = [t.value for t in targets.layers.values() if t.of == "stream"]
    assert stream == sorted(stream)


@cases("what_cannot_be_met_is_said")
def test_what_cannot_be_met_is_said(dataset: str, active_tokens: float, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        calibrate(small(True, True), pictures(1), dataset, seed=0, active_tokens=active_tokens)


@pytest.mark.parametrize("rate", [0.006, 0.1, 0.5])
def test_a_shift_is_found_through_the_neurons(rate: float) -> None:
    torch.manual_seed(0)
    sums = Sums(torch.randn(4, 5000, 40), None, None)
    shift = solve_shift(sums, Target(rate, "test"))
    assert activity(sums, shift) == pytest.approx(rate, rel=2e-3)


def test_a_full_stream_keeps_its_neurons_at_the_least_rate() -> None:
    torch.manual_seed(0)
    values = torch.randn(4, 300, 40)
    full = Sums(values, None, (torch.rand(4, 300, 40) < 0.5).float())
    shift = solve_shift(full, Target(0.3, "test", "stream"))
    assert activity(full._replace(stream=None), shift) == pytest.approx(0.005, rel=0.1)
    shift = solve_shift(full, Target(0.7, "test", "stream"))
    assert activity(full, shift) == pytest.approx(0.7, abs=2e-3)


def test_only_live_rows_count() -> None:
    torch.manual_seed(0)
    values = torch.randn(4, 400, 30)
    values[:, 200:] += 50.0
    live = torch.zeros(4, 400, dtype=torch.bool)
    live[:, :200] = True
    shift = solve_shift(Sums(values, live, None), Target(0.2, "test"))
    assert activity(Sums(values[:, :200], None, None), shift) == pytest.approx(0.2, rel=5e-3)


def test_the_secant_keeps_the_closest_point() -> None:
    assert secant(lambda x: x * x, 2.0, 1.0, 0.1, 1e-6) == pytest.approx(2.0**0.5, rel=1e-5)
    assert secant(lambda x: 1.0, 1.0, 3.0, 0.1) == 3.0


def test_the_seed_decides_and_sums_are_exact() -> None:
    one, same, other = small(True, True), small(False, False), small(True, True)
    for model, seed in ((one, 5), (same, 5), (other, 6)):
        draw_weights(model, seed)
    for name, weight in weight_tensors(one).items():
        assert torch.equal(weight, weight_tensors(same)[name])
        assert not torch.equal(weight, weight_tensors(other)[name])
        rows = weight.detach().flatten(1)
        step = torch.exp2(torch.ceil(torch.log2(rows.abs().amax(1) / 127.0)))[:, None]
        assert torch.equal(rows / step, (rows / step).round()), name
        assert float((rows / step).abs().max()) <= 127.0
    spread = channel_spread(5)
    assert torch.equal(spread("sps.3", 64)[1], spread("blocks.1.mlp.out", 64)[1])
    assert not torch.equal(spread("sps.1", 64)[1], spread("sps.2", 64)[1])
    graded = torch.randint(0, 11, (7, 128)).float()
    layer = one.blocks[0].fc1.linear
    assert torch.equal(layer(graded).double(), layer.double()(graded.double()))
