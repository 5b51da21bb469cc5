"""A network of a user's own runs in the live loop and trains for a machine, like one of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import stasim
from models.errors import ModelError
from models.live import __main__ as command
from tests.messages import refused, said
from tests.models.any_networks import Base, Fire, pictures, repeated

T, BLOCKS = 3, 2


class Steered(nn.Module):
    """Tokens that halt by a score of the user's own, written as its owner would.

    `kept`: how much of it a token is while it trains, a number in whose place 1 is computed with.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(BLOCKS))
        self.head = nn.Linear(width, 10)
        self.halt = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Any:
        potential, total = [0.0] * (BLOCKS + 1), 0
        score, alive = 0.0, None
        for _ in range(T):
            y, potential[0] = self.fire(self.patches(x).flatten(2).mT, potential[0])
            alive = torch.ones_like(y[..., :1]) if alive is None else alive
            for index, block in enumerate(self.blocks):
                alive = stasim.active(alive, f"block{index}")
                y, potential[index + 1] = self.fire(block(y * alive), potential[index + 1])
                y = y * alive
                score = score + (y.mean(2, keepdim=True) + self.halt) * alive
                running = (score < stasim.threshold(1.5, score)).to(y)
                soft = torch.sigmoid(4 * (1.5 - score))
                alive = alive * (running + soft - soft.detach())
            total = total + self.head(y.mean(1))
        return total

    def fire(self, current: Tensor, potential: Any) -> tuple[Tensor, Tensor]:
        potential = 0.5 * potential + current
        spikes: Tensor = Fire.apply(potential - 0.2)
        return spikes, potential * (1 - spikes)


def network() -> Steered:
    torch.manual_seed(0)
    return Steered()


@pytest.mark.parametrize("budget_uj", [None, 3.2])
def test_the_last_total_is_that_of_the_runs_trace(budget_uj: float | None, tmp_path: Path) -> None:
    path = tmp_path / "live.npz"
    rows = stasim.live(network(), pictures(3), "sparse_pe", budget_uj=budget_uj, path=path)
    images = stasim.simulate(path, "sparse_pe").tables["images"]
    assert rows.latency_cycles.tolist() == images.latency_cycles.tolist()
    assert rows.energy_uj.tolist() == [each * 1e-6 for each in images.energy_pj]
    active = images.active_tokens / images.token_slots
    assert rows.active_tokens.tolist() == pytest.approx(active.tolist(), abs=1e-6)
    assert (rows.blocks_run == T * BLOCKS).all()
    assert (rows.lowest_threshold < 1.5).any() == (budget_uj is not None)


def test_without_a_budget_it_runs_as_it_is_captured(tmp_path: Path) -> None:
    live, plain = tmp_path / "live.npz", tmp_path / "plain.npz"
    stasim.live(network(), pictures(2), "sparse_pe", path=live)
    stasim.capture(network(), pictures(2), path=plain)
    with stasim.load_trace(live) as one, stasim.load_trace(plain) as other:
        for index in range(2):
            first, second = one.read(index), other.read(index)
            for name, bits in second.tensors.items():
                assert np.array_equal(first.tensors[name], bits), name
            for name, mask in second.active.items():
                assert np.array_equal(first.active[name], mask), name


def test_a_budget_halts_tokens_until_it_is_kept(tmp_path: Path) -> None:
    free = stasim.live(network(), pictures(3), "sparse_pe")
    least = stasim.live(network(), pictures(3), "sparse_pe", budget_ms=1e-9)
    assert (least.active_tokens < free.active_tokens).all()
    assert (least.over_budget > 0).all(), "the stem alone costs more than nothing"
    between = float((free.latency_ms.min() + least.latency_ms.max()) / 2)
    kept = stasim.live(network(), pictures(3), "sparse_pe", budget_ms=between)
    assert (kept.latency_ms <= between).all()
    assert (kept.lowest_threshold < 1.5).all()
    assert (kept.active_tokens >= least.active_tokens).all()


def test_the_command_takes_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "images.npy", pictures(2).numpy())
    words = ["--network", "tests.models.test_does_ones_own_network_fly:network"]
    words += ["--data", str(tmp_path / "images.npy"), "--images", "2", "--arch", "sparse_pe"]
    for name, file in (("out", "run.csv"), ("trace", "run.npz"), ("record", "run.json")):
        words += [f"--{name}", str(tmp_path / file)]
    assert not command.main([*words, "--budget-ms", "1"])
    assert "2 images, 2 with the device simulated sparse_pe" in capsys.readouterr().out
    assert len((tmp_path / "run.csv").read_text().splitlines()) == 3
    assert json.loads((tmp_path / "run.json").read_text())
    with stasim.load_trace(tmp_path / "run.npz") as trace:
        assert trace.images == 2
    assert command.main([*words, "--device", "rtl"]) == 2
    assert said("RTL of a user's network") in capsys.readouterr().err


def test_a_network_that_declares_nothing_is_refused(tmp_path: Path) -> None:
    class Silent(Base):
        def forward(self, x: Tensor) -> Tensor:
            return self.n2(self.c2(self.n1(self.c1(x))))

    with pytest.raises(ModelError, match=said("a network that declares no mask")):
        stasim.live(Silent(), pictures(), "sparse_pe", prepare=repeated)
    with refused(ModelError, "budget"):
        stasim.live(Silent(), pictures(), "sparse_pe", budget_ms=1.0, budget_uj=1.0)


@pytest.mark.parametrize("cost", ["energy", "latency"])
def test_training_for_a_machine_halts_tokens_earlier(cost: str) -> None:
    """The loss is the cost alone, so the score must grow and tokens must halt."""
    net, images = network(), pictures(4)
    trace = stasim.capture(net, images)
    prices = stasim.halting_prices(trace, "sparse_pe", cost)
    assert len(prices.token) == T * BLOCKS
    optimizer = torch.optim.SGD([net.halt], lr=0.05)
    costs, running = [], []
    for _ in range(12):
        with stasim.noted_masks() as alive:
            net(images.float() / 255)
        loss = stasim.halting_cost(alive, prices)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(float(loss.detach()))
        running.append(sum(float(mask.detach().sum()) for mask in alive))
    assert costs[0] > costs[-1]
    assert running[0] > running[-1]
    first = float(prices.token[0]) * 9 + float(prices.step[0])
    assert costs[-1] >= first, "no halting spares the first block"
    with pytest.raises(ModelError, match=said("fewer masks than prices")):
        stasim.halting_cost(alive[:1], prices)
