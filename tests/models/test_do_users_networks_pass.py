"""Are networks captured that users bring, with the layers, timesteps and products they have?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import stasim
from models.capturing import capture
from models.errors import ModelError
from simulator.trace import Trace
from tests.messages import said
from tests.models.users_networks import USERS, Batch, Named, T

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
# By layer that multiplies, its timesteps.
LAYERS: dict[str, dict[str, int]] = {
    "skips": {"enter": T, "down": T, "up": T, "leave": T},
    "bilinear": {"one": T, "two": T, "meet": T, "meet.2": T},
    "last": {"one": T, "head": 1},
    "delays": {"one": T, "delays": 1, "head": T},
    "lstm": {"one": T, "cell": T, "cell.2": T},
    "tokens": {"parts.0": T, "parts.1": T, "parts.2": T, "Tokens": T, "Tokens.2": T, "head": 1},
    "script": {"RecursiveScriptModule": T, "RecursiveScriptModule.2": T},
    "traced": {"TopLevelTracedModule": T, "TopLevelTracedModule.2": T},
    "exported": {"GraphModule": T, "GraphModule.2": T},
    "compiled": {"_orig_mod.one": T, "_orig_mod.head": T},
}
MACS = {
    # 8 x 6 x 5 products and the second sum of 6 x 5
    "bilinear": T * (12 * 8 + 12 * 6 + 8 * 6 * 5 + 6 * 5),
    "last": T * 12 * 8 + 8 * 4,
    "delays": T * (12 * 8 + 3 * 8 * 8 + 8 * 4),
    "lstm": T * (12 * 8 + 8 * 20 + 5 * 20),
}


@pytest.mark.parametrize("name", USERS)
def test_each_layer_runs_as_often_as_it_does(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images, options = USERS[name]()
    with Trace.open(capture(network, images, tmp_path / "t.npz", **options)) as trace:
        trace.verify()
        own = [each for each in trace.operations if each.weight_bits or each.kind == "product"]
        assert {each.name: each.timesteps for each in own} == LAYERS[name]
        proof = trace.manifest["capture"]["proof"]
        assert proof["macs"] == MACS.get(name, proof["macs"])
        assert proof["causality"] == ("causal" if "time_axis" in options else proof["causality"])
        assert proof["causality"] != "not causal"
        assert "another_image" in proof
        neurons = [each for each in trace.operations if each.kind == "neuron"]
        assert sum(each.timesteps for each in neurons) % T == 0
    result = stasim.simulate(tmp_path / "t.npz", "sparse_pe", images="0")
    assert (result.tables["images"]["latency_cycles"] > 0).all()


class Items(Dataset[dict[str, Any]]):
    """Items that are dicts."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        torch.manual_seed(index)
        return {"side": torch.rand(6), "image": torch.rand(12), "label": index}


@pytest.mark.parametrize("batched", [False, True])
def test_a_dict_is_inputs_by_name(batched: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images: Any = DataLoader(Items(), batch_size=2) if batched else Items()
    with Trace.open(capture(Named(), images, tmp_path / "t.npz", origin="trained")) as trace:
        own = {each.name: each.shapes["in_features"] for each in trace.operations[:2]}
        assert own == {"one": 12, "two": 6}
        assert [image.label for image in trace] == [0, 1]


def test_a_network_of_one_dict_is_wrapped(tmp_path: Path) -> None:
    network = Batch()
    with pytest.raises(ModelError, match=said("a network of one dict")):
        capture(network, Items(), tmp_path / "t.npz")
    capture(lambda **batch: network(batch), Items(), tmp_path / "t.npz", timesteps=T)
    assert (tmp_path / "t.npz").exists()


def test_a_dict_without_inputs_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said("a dict without an input")):
        capture(Named(), [{"label": torch.tensor([1])}], tmp_path / "t.npz")


def test_torchscript_keeps_the_message(tmp_path: Path) -> None:
    """What is refused inside of TorchScript's interpreter is said as anywhere else."""

    class Spectrum(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft(x).abs()

    with pytest.raises(ModelError, match=said("an unknown operation")):
        capture(torch.jit.trace(Spectrum(), torch.rand(1, 8)), torch.rand(2, 8), tmp_path / "t.npz")


def test_pages_show_what_was_proven(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images, options = USERS["delays"]()
    path = capture(network, images, tmp_path / "t.npz", **options)
    result = stasim.simulate(path, "sparse_pe", images="0")
    result.save(tmp_path / "run")
    stasim.compare([result, stasim.simulate(path, "dense_pe", images="0")]).save(
        tmp_path / "compare.html"
    )
    result = stasim.load_result(tmp_path / "run")
    proof = result.provenance["trace"]["capture"]["proof"]
    assert proof["causality"] == "causal"
    stasim.compare([result]).save(tmp_path / "one.html")
    for page in (tmp_path / "compare.html", tmp_path / "one.html"):
        text = page.read_text("utf-8")
        assert "in time: causal" in text
        assert "operands and the result equal the network" in text
