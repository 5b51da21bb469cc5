"""CIFAR10-DVS in its own layout and in SpikingJelly's, generated; frames against SpikingJelly's."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from spikingjelly.datasets import cifar10_dvs, utils

from models import capture
from models.data.events import CLASSES, event_frames, read_aedat
from models.data.sources import read_source
from models.errors import ModelError
from models.training.augment import Mixing, apply, mixed, moved_events
from models.training.loop import RunPlace, TrainingRun
from models.training.recipe import FOLDER, Augmentation, load_recipe
from simulator.trace import Trace
from tests.messages import cases, said

HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# Timestamps tick is 1 us\r\n"


def aedat(seed: int, events: int = 700) -> bytes:
    """A file as the camera's software writes it."""
    rng = np.random.default_rng(seed)
    x, y, p = rng.integers(0, 128, events), rng.integers(0, 128, events), rng.integers(0, 2, events)
    x[0] = y[0] = 17  # so that the first bytes of data are not those of another header line
    times = np.sort(rng.integers(0, 10**6, events))
    pairs = [
        struct.pack(">2I", int(a), int(t)) for a, t in zip(y << 8 | x << 1 | p, times, strict=True)
    ]
    return HEADER + b"".join(pairs)


def folder(root: Path, numbers: tuple[int, ...] = (0, 7, 100, 250)) -> Path:
    """A class folder each, with a few samples."""
    for label, name in enumerate(CLASSES[:3]):
        (root / name).mkdir(parents=True)
        for number in numbers:
            (root / name / f"cifar10_{name}_{number}.aedat").write_bytes(
                aedat(label * 1000 + number)
            )
    return root


def test_frames_are_spikingjellys(tmp_path: Path) -> None:
    folder(tmp_path)
    images = event_frames(tmp_path, 4, None)
    assert images.pixels.shape == (6, 4, 2, 128, 128)
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.ids[:2] == (
        "airplane/cifar10_airplane_0.aedat",
        "airplane/cifar10_airplane_7.aedat",
    )
    for name, pixels in zip(images.ids, images.pixels, strict=True):
        # SpikingJelly's reader of one file has no public name.
        events = cifar10_dvs._load_origin_data(tmp_path / name)
        expected = utils.integrate_events_by_fixed_frames_number(events, "number", 4, 128, 128)
        assert np.array_equal(pixels, expected)
    assert int(images.pixels[0].sum()) == 700


def test_the_rest_of_each_class_is_for_training(tmp_path: Path) -> None:
    folder(tmp_path)
    train = event_frames(tmp_path, 4, None, train=True)
    assert [name.rsplit("_", 1)[1] for name in train.ids] == ["100.aedat", "250.aedat"] * 3
    assert event_frames(tmp_path, 4, 2).labels.tolist() == [0, 1]


@pytest.mark.parametrize("layout", ["events_np", "frames_number_4_split_by_number"])
def test_spikingjellys_conversions_give_the_same(layout: str, tmp_path: Path) -> None:
    original = event_frames(folder(tmp_path / "a"), 4, None)
    for path in (tmp_path / "a").glob("*/*.aedat"):
        target = tmp_path / "b" / layout / path.parent.name / f"{path.stem}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        events = cifar10_dvs._load_origin_data(path)
        if layout == "events_np":
            np.savez(target, **events)
        else:
            frames = utils.integrate_events_by_fixed_frames_number(events, "number", 4, 128, 128)
            np.savez(target, frames=frames)
    converted = event_frames(tmp_path / "b", 4, None)
    assert np.array_equal(converted.pixels, original.pixels)
    assert np.array_equal(converted.labels, original.labels)


def test_large_counts_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "cat" / "cifar10_cat_3.aedat"
    path.parent.mkdir()
    path.write_bytes(HEADER + struct.pack(">2I", 5 << 8 | 9 << 1 | 1, 1) * 600)
    pixels = event_frames(tmp_path, 2, 1).pixels
    assert int(pixels.max()) == 255
    assert int((pixels > 0).sum()) == 2
    assert pixels[0, 0, 0, 127 - 9, 127 - 5] == 255


CONTENTS = {
    "no header": b"no header at all",
    "half an event": HEADER + b"1234567",
    "endless header": b"#!AER-DAT2.0 without an end",
    "no event": HEADER,
}


@cases("broken_events")
def test_a_broken_file_is_named(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "cifar10_cat_3.aedat"
    path.write_bytes(CONTENTS[content])
    with pytest.raises(ModelError, match=words):
        read_aedat(path)


def test_what_is_no_data_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said("a file that is not there")):
        event_frames(tmp_path / "no", 4, 1)
    with pytest.raises(ModelError, match=said("a folder without recordings")):
        event_frames(tmp_path, 4, 1)
    folder(tmp_path)
    with pytest.raises(ModelError, match=said("more recordings than there are")):
        event_frames(tmp_path, 4, 7)
    frames = tmp_path / "frames_number_4_split_by_number" / "cat"
    frames.mkdir(parents=True)
    np.savez(frames / "cifar10_cat_3.npz", frames=np.zeros((5, 2, 128, 128)))
    with pytest.raises(ModelError, match=said("frames of another shape")):
        event_frames(tmp_path, 4, 1)
    np.savez(frames / "cifar10_cat_3.npz", x=np.array([200]), y=np.array([1]), p=np.array([1]))
    with pytest.raises(ModelError, match=said("events outside of the sensor")):
        event_frames(tmp_path, 4, 1)
    (frames / "cifar10_cat_3.npz").write_bytes(b"PK")
    with pytest.raises(ModelError, match=said("a broken file of events")):
        event_frames(tmp_path, 4, 1)


def test_events_are_captured(tmp_path: Path) -> None:
    folder(tmp_path / "data")
    out = tmp_path / "t.npz"
    words = ["--model", "spikformer_2_256", "--dataset", "cifar10dvs"]
    words += ["--data", str(tmp_path / "data")]
    words += ["--images", "1", "--weights", "random", "--timesteps", "2", "--threads", "1"]
    assert capture.main([*words, "--out", str(out), "--isps", "early_integration"]) == 0
    with Trace.open(out) as trace:
        assert trace.tensors["sps.image"].timesteps == 2
        assert trace.tensors["sps.image"].channels == 2
        convs = [o.timesteps for o in trace.operations if o.kind == "conv2d"]
        assert convs == [2, 1, 1, 1, 1]


def test_a_recipe_trains_on_recordings(tmp_path: Path) -> None:
    recipe = load_recipe(FOLDER / "spikformer_cifar10dvs.yaml")
    network = recipe.network.model_copy(update={"timesteps": 2})
    shorter = {"epochs": 1, "warm_up": 0.0, "warm_up_rate": 0.0, "cool_down_epochs": 0}
    short = {"network": network, "batch": 3, "workers": 0, "static": None}
    assert recipe.static is not None
    short["static"] = recipe.static.model_copy(update=shorter)
    source = read_source(recipe.dataset, folder(tmp_path / "data", (0, 100)), 2)
    (tmp_path / "run").mkdir()
    run = TrainingRun(
        recipe.model_copy(update=short), source, RunPlace(tmp_path / "run", torch.device("cpu"))
    )
    rows: list[dict[str, float]] = []
    run.train(False, rows.append)
    assert np.isfinite(rows[0]["train_loss"])


def test_events_move_alike_at_every_timestep() -> None:
    counts = torch.zeros(2, 2, 128, 128, dtype=torch.uint8)
    counts[:, :, 60:68, 60:68] = 3
    moved = set()
    for seed in range(40):
        torch.manual_seed(seed)
        found = moved_events(counts)
        assert torch.equal(found[0], found[1])
        assert set(found.unique().tolist()) <= {0, 3}
        moved.add(tuple(torch.nonzero(found[0, 0]).double().mean(0).tolist()))
    assert len(moved) > 10


def test_few_events_survive_a_mixing_and_a_mirror() -> None:
    counts = torch.zeros(2, 4, 2, 8, 8)
    counts[0, 0, 0, 1, 2] = 1.0
    assert mixed(counts, Mixing(0.5)).sum() == 1.0
    mirrored = apply(Augmentation(flip=True), counts, {"flip": torch.tensor([True, False])})
    assert mirrored[0, 0, 0, 1, 5] == 1.0
