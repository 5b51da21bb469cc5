"""Do drawn traces have a network's shapes, and the published rates?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.drawn import RATES, main, rate_of
from simulator.data import firing_rates
from simulator.operations import read_network
from simulator.trace import Trace


def test_every_tensor_has_its_layers_rate(tmp_path: Path) -> None:
    path = tmp_path / "drawn.npz"
    wanted = ["--model", "spikingformer_2_256", "--dataset", "cifar10", "--out", str(path)]
    assert main([*wanted, "--images", "2"]) == 0
    rates = firing_rates()[RATES]
    with Trace.open(path) as trace:
        assert trace.manifest["weights"]["origin"] == "random"
        assert "no weights" in trace.manifest["weights"]["notes"]
        assert read_network(trace).blocks == 2
        for name, tensor in trace.tensors.items():
            if name == "sps.image":
                continue
            bits = 2 * tensor.timesteps * tensor.rows * tensor.channels
            rate = rate_of(name, rates)
            deviation = 5 * np.sqrt(rate * (1 - rate) / bits)
            assert abs(tensor.ones / bits - rate) < deviation, name


@pytest.mark.parametrize("model", ["spikformer_4_384", "stas_spikingformer_2_256"])
def test_a_network_without_published_rates_is_refused(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "drawn.npz"
    assert main(["--model", model, "--dataset", "cifar10", "--out", str(path)]) == 2
    assert "plain Spikingformer" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "0"], "--images is 0"),
        (["--out", "absent/x.npz"], "its folder does not exist"),
        (["--model", "sdt_2_256"], "those of a plain Spikingformer"),
    ],
)
def test_bad_input_is_one_message(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = ["--model", "spikingformer_2_256", "--dataset", "cifar10"]
    assert main([*good, "--out", str(tmp_path / "x.npz"), *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not any(tmp_path.iterdir())
