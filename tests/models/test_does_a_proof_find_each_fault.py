"""A capture's proofs find each fault that is put in on purpose, though recorded products serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.capturing import capture
from models.capturing.proofs import ProofRun
from models.errors import ModelError
from simulator.trace import Trace
from tests.messages import cases, said
from tests.models.any_networks import Base, pictures, repeated


class Meddling(Base):
    """Changes what `at` names behind PyTorch's back, in the middle of its forward."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def forward(self, x: Tensor) -> Tensor:
        summed = self.c1(x)
        if self.at == "product":
            summed.numpy()[..., :6] = 0
        first = self.n1(summed)
        if self.at == "spikes":
            first.numpy()[..., :6] = 0
        if self.at == "unknown":
            first = torch.from_numpy(first.numpy().copy())
        second = self.n2(self.c2(first))
        if self.at == "weights":
            self.c1.weight.detach().numpy()[:4] *= 0.9
        return self.n3(self.c3(second))


@cases("memory_changed_behind_pytorch_is_found")
def test_memory_changed_behind_pytorch_is_found(at: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        capture(Meddling(at), pictures(), tmp_path / "t.npz", prepare=repeated)
    assert not (tmp_path / "t.npz").exists()


@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("fault", ["operand", "product"])
def test_a_wrong_number_of_the_recorder_is_found(
    fault: str, image: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit of a stored operand, or one value of a kept product, is wrong."""
    kept = ProofRun

    def wrong(inputs: Any, coded: Any, result: Any, products: Any, *rest: Any) -> Any:
        assert len(products) == 3
        if bool(rest) == bool(image):  # what a random state follows is a later image's
            if fault == "operand":
                coded[max(coded)].numbers.flat[0] ^= 1
            else:
                products[min(products)].result.view(-1)[0] += 100.0
        return kept(inputs, coded, result, products, *rest)

    monkeypatch.setattr("models.capturing.runs.ProofRun", wrong)
    net = Meddling("")
    with pytest.raises(ModelError, match=said("a wrong number of the recorder")):
        capture(net, pictures(), tmp_path / "t.npz", prepare=repeated)


class Peeking(nn.Module):
    """Mixes the timesteps by a matrix, as parallel neurons do: past ones, or all."""

    def __init__(self, base: Base, late: bool) -> None:
        super().__init__()
        self.base, self.late = base, late

    def forward(self, x: Tensor) -> Tensor:
        first = self.base.n1(self.base.c1(x))
        times = torch.ones(3, 3)
        mixed = (times if self.late else times.tril()) @ first.flatten(1)
        first = (mixed.view_as(first) > 1.0).float()
        return self.base.n3(self.base.c3(self.base.n2(self.base.c2(first))))


@pytest.mark.parametrize(("late", "verdict"), [(False, "causal"), (True, "not causal")])
@pytest.mark.parametrize("time_axis", [None, 0])
def test_a_look_into_the_future_is_found(
    late: bool, verdict: str, time_axis: int | None, tmp_path: Path
) -> None:
    """Whether time is an axis of the input, or enters with frames that are repeated."""
    torch.manual_seed(0)
    net = Peeking(Base(), late)
    if time_axis is None:
        options: dict[str, Any] = {"images": pictures(), "prepare": repeated}
    else:
        options = {"images": pictures(shape=(3, 3, 12, 12)), "time_axis": 0}
    path = capture(net, options.pop("images"), tmp_path / "t.npz", **options)
    with Trace.open(path) as trace:
        assert trace.manifest["capture"]["proof"]["causality"] == verdict
