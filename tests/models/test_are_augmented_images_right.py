"""Do augmented images repeat a set's own, turned and shifted, and say so?"""

from __future__ import annotations

import numpy as np
import pytest

from models.capture import main, parser
from models.data.augmenting import MOST_PIXELS, stretched
from models.data.images import Images, mnist_digits
from simulator.trace import Trace
from tests.messages import said

WEIGHTS = "models/weights/stas_spikformer_2_128_mnist.safetensors"


@pytest.fixture(scope="module")
def digits() -> Images:
    return mnist_digits()[1].first(3)


def test_the_first_are_the_originals_and_the_rest_tell_what_was_done(digits: Images) -> None:
    made = stretched(digits, 8, seed=0)
    assert np.array_equal(made.pixels[:3], digits.pixels)
    assert made.ids[:3] == digits.ids
    assert made.labels.tolist() == [digits.labels[place % 3] for place in range(8)]
    assert all(
        made.ids[place].startswith(f"{digits.ids[place % 3]} turned ") for place in range(3, 8)
    )
    assert "turned and shifted copies" in made.source
    assert len(set(made.ids)) == 8


def test_a_copy_is_near_its_original_but_not_the_same(digits: Images) -> None:
    made = stretched(digits, 9, seed=1)
    for place in range(3, 9):
        one, other = (
            pixels.astype(int) for pixels in (made.pixels[place], digits.pixels[place % 3])
        )
        assert (one != other).any()
        shifted = [
            np.abs(np.roll(other, (down, right), (1, 2)) - one).mean()
            for down in range(-MOST_PIXELS, MOST_PIXELS + 1)
            for right in range(-MOST_PIXELS, MOST_PIXELS + 1)
        ]
        assert min(shifted) < 0.7 * np.abs(one - one.mean()).mean()


def test_the_same_seed_gives_the_same_pictures(digits: Images) -> None:
    one, other, third = (stretched(digits, 7, seed).pixels for seed in (4, 4, 5))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


@pytest.mark.slow
def test_a_lower_threshold_halts_more_and_states_its_own_accuracy(tmp_path) -> None:
    told = {}
    for threshold in ("0.5", "0.99"):
        out = tmp_path / f"{threshold}.npz"
        words = ["--model", "stas_spikformer_2_128", "--dataset", "mnist", "--images", "2"]
        words += ["--weights", WEIGHTS, "--halting-threshold", threshold, "--out", str(out)]
        assert main(words) == 0
        with Trace.open(out) as trace:
            told[threshold] = trace.manifest["weights"]
    low, high = told["0.5"]["accuracy"], told["0.99"]["accuracy"]
    assert low["active_tokens"] < high["active_tokens"]
    assert "measured so" in told["0.5"]["notes"]
    assert "measured so" not in told["0.99"]["notes"]


def test_a_threshold_without_a_weights_file_is_refused(tmp_path, capsys) -> None:
    words = ["--model", "stas_spikformer_2_128", "--dataset", "mnist", "--images", "1"]
    words += ["--weights", "random", "--halting-threshold", "0.5", "--out", str(tmp_path / "x.npz")]
    assert main(words) == 2
    assert said("a threshold without weights") in capsys.readouterr().err


def test_are_augmented_images_captured(tmp_path, capsys) -> None:
    words = ["--model", "stas_spikformer_2_128", "--dataset", "mnist", "--images", "3"]
    words += ["--weights", "random", "--augmented", "--out"]
    assert main([*words, str(tmp_path / "x.zarr")]) == 2
    assert said("a capture into a store") in capsys.readouterr().err
    assert main([*words, str(tmp_path / "x.npz")]) == 0
    with Trace.open(tmp_path / "x.npz") as trace:
        trace.verify()
        assert trace.images == 3
    assert parser().parse_args([*words, "x"]).augmented is True
