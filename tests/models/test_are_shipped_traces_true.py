"""The traces that come with the project: intact, small, honest, and made by this code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.make_traces import RECIPES, WEIGHTS, options_of
from models.data.composites import TASKS
from models.data.images import mnist_digits
from models.data.sources import read_source
from models.networks.arms import Setup, accuracy_of, prepare
from models.networks.config import named_config
from models.networks.switches import switches_asked
from models.networks.weights import read_weights
from models.operations import describe
from models.operations.topology import stored_matrices
from models.operations.writing import write_trace
from simulator.trace import Trace

TRACES = Path(__file__).parents[2] / "traces"
NAMES = [f"{dataset}{twin}" for dataset in RECIPES for twin in ("", "_baseline")]
DENSITY = {"cifar10": 0.1492, "cifar100": 0.1474}
COMPOSED = [dataset for dataset in RECIPES if dataset in TASKS]


@pytest.mark.parametrize("name", NAMES)
def test_intact_and_honest(name: str) -> None:
    dataset, twin = name.split("_")[0], name.endswith("_baseline")
    model, images, weights, words = RECIPES[dataset]
    with Trace.open(TRACES / f"{name}.npz") as trace:
        trace.verify()
        told = trace.manifest
        assert trace.images == images
        assert told["model"]["name"] == (model.removeprefix("stas_") if twin else model)
        halts = words[words.index("--granularity") + 1] if words else "two_dimensional"
        assert told["model"]["halting"]["granularity"] == ("none" if twin else halts)
        assert told["dataset"]["name"] == dataset
        active = np.mean([np.mean(list(image.active.values())) for image in trace])
        if weights == "calibrated":
            assert told["weights"]["origin"] == "calibrated"
            assert told["weights"]["accuracy"] is None
            assert active == pytest.approx(1.0 if twin else 0.576, abs=0.01)
        else:
            assert told["weights"]["origin"] == "trained"
            assert told["weights"]["accuracy"]["test_images"] == 1000
            if dataset == "mnist":
                assert told["weights"]["accuracy"]["test_top1"] > 0.97
        text = str(told)
        assert "/" + "home" not in text
        assert "safetensors" not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_manifests_list_what_this_code_lists(name: str) -> None:
    with Trace.open(TRACES / f"{name}.npz") as trace:
        told = trace.manifest
    halting = told["model"]["halting"]
    model, dataset = told["model"], told["dataset"]["name"]
    asked = switches_asked(options_of(dataset, TRACES, name.endswith("_baseline")))
    config = asked.applied(named_config(model["name"], dataset, model["timesteps"]))
    topology = describe(config, halting.get("gamma", 0.0), halting.get("beta", 0.0))
    assert told["operations"] == topology.operations
    counts = ("ones", "nonzero")
    listed = [{k: v for k, v in each.items() if k not in counts} for each in told["tensors"]]
    assert listed == [tensor.manifest() for tensor in topology.tensors.values()]


@pytest.mark.parametrize("dataset", RECIPES)
def test_twins_share_weights_and_images(dataset: str) -> None:
    paths = [TRACES / f"{dataset}.npz", TRACES / f"{dataset}_baseline.npz"]
    with Trace.open(paths[0]) as stas, Trace.open(paths[1]) as twin:
        assert stas.manifest["weights"]["sha256"] == twin.manifest["weights"]["sha256"]
        assert stas.manifest["dataset"] == twin.manifest["dataset"]
        ours, theirs = stas.read(0), twin.read(0)
        assert np.array_equal(ours.tensors["sps.image"], theirs.tensors["sps.image"])


def test_all_together_are_small() -> None:
    assert sum((TRACES / f"{name}.npz").stat().st_size for name in NAMES) < 40_000_000


@pytest.mark.parametrize("name", NAMES)
def test_published_rates_are_met(name: str) -> None:
    """Measured anew from the stored bits; see docs/stas.md for the layers that cannot be exact."""
    with Trace.open(TRACES / f"{name}.npz") as trace:
        calibration = trace.manifest["weights"].get("calibration")
        if calibration is None:
            pytest.skip("trained")
        live = {
            block: sum(int(image.active[block].sum()) for image in trace)
            for block in trace.read(0).active
        }
        density = {}
        counts = {}
        for tensor_name, tensor in trace.tensors.items():
            rows = tensor.timesteps * tensor.rows * trace.images
            values = (live[tensor.mask] if tensor.mask else rows) * tensor.channels
            density[tensor_name] = tensor.nonzero / values
            counts[tensor_name] = (tensor.nonzero, values)
        tolerance = 0.03 if name.endswith("baseline") else 0.25
        for layer, line in calibration["layers"].items():
            if line["of"] == "stream":
                continue
            tensor_name = f"{layer}.out" if layer.startswith("sps.") else layer
            assert density[tensor_name] == pytest.approx(line["measured"], abs=2e-6), layer
            assert line["measured"] == pytest.approx(line["target"], rel=tolerance), layer
        dataset = trace.manifest["dataset"]["name"]
        if dataset in DENSITY:
            config = named_config(trace.manifest["model"]["name"], dataset)
            names = list(stored_matrices(describe(config)))
            nonzero, values = (sum(counts[n][i] for n in names) for i in (0, 1))
            assert nonzero / values == pytest.approx(DENSITY[dataset], rel=0.005)


@pytest.mark.parametrize("dataset", COMPOSED)
def test_the_weights_are_as_good_as_every_file_says(dataset: str) -> None:
    """In the weights' header, beside them as the last epoch's, and in the trace of all tokens."""
    model, _, weights, _ = RECIPES[dataset]
    path = Path(weights)
    told = read_weights(path)[1]["accuracy"]
    source = read_source(dataset, None)
    config = named_config(model, dataset, read_weights(path)[1]["config"]["timesteps"])
    arm = prepare(Setup(config, dataset, weights, 0, 0.5, False, None), source.held_out.first(1))
    found = accuracy_of(arm.model, source.shown(source.held_out, config.timesteps))
    assert found == pytest.approx(told, abs=0.002)  # sums in another order turn a digit of 1,000
    rows = pd.read_csv(path.with_suffix(".csv"))
    # An epoch's accuracy is that of weights before they are rounded to 8 bits.
    assert rows.test_top1.iloc[-1] == pytest.approx(told["test_top1"], abs=0.02)
    with Trace.open(TRACES / f"{dataset}_baseline.npz") as twin:
        assert twin.manifest["weights"]["accuracy"] == told


def test_an_exit_follows_the_square() -> None:
    """An image whose square comes later runs for longer, and nearly as well as without an exit."""
    with (
        Trace.open(TRACES / "stream.npz") as trace,
        Trace.open(TRACES / "stream_baseline.npz") as twin,
    ):
        frames = np.array([image.active["0"].any(1).sum() for image in trace])
        right, all_right = (
            np.mean([image.prediction == image.label for image in each]) for each in (trace, twin)
        )
        cue = np.array([int(name.split()[-1]) for name in trace.manifest["dataset"]["image_ids"]])
    means = [frames[cue == place].mean() for place in range(4)]
    assert means == sorted(means)
    assert means[0] < 1.5
    assert means[3] > 3.5
    assert right >= all_right - 0.05


def test_the_digits_trace_is_what_the_shipped_weights_do(tmp_path: Path) -> None:
    config = named_config("stas_spikformer_2_128", "mnist")
    images = mnist_digits()[1].first(3)
    arm = prepare(Setup(config, "mnist", str(WEIGHTS), 0, 0.5, False, None), images)
    write_trace(tmp_path / "t.npz", arm, images, "mnist", 2)
    with Trace.open(tmp_path / "t.npz") as fresh, Trace.open(TRACES / "mnist.npz") as shipped:
        assert fresh.manifest["image_sha256"] == shipped.manifest["image_sha256"][:3]
        assert fresh.manifest["weights"] == shipped.manifest["weights"]
        right = [image.prediction == image.label for image in shipped]
    assert np.mean(right) > 0.9
