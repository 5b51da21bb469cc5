"""Are images of every form captured as they are, and refused by name where they do not fit?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import stasim
from models.capture import main
from models.capturing import capture
from models.errors import ModelError
from simulator.trace import Trace
from tests.messages import cases, refused, said
from tests.models.any_networks import Plain, lif, pictures
from tests.models.stored import values

MEAN, STD = (0.4, 0.6, 0.2), (0.2, 0.25, 0.3)
NETWORK = """
import torch
from tests.models.any_networks import Plain

def make_network():
    torch.manual_seed(0)
    return Plain()
"""


class Drawn(Dataset[Any]):
    """Pictures as torchvision's data sets give them."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        if index >= 2:
            raise IndexError
        return Picture.fromarray(pictures()[index].permute(1, 2, 0).numpy()), index + 5


def plain() -> Plain:
    torch.manual_seed(0)
    return Plain()


def read_by(path: Path) -> Tensor:
    """(image, row, channel): what the trace says the network read."""
    with Trace.open(path) as trace:
        name = next(iter(trace.tensors))
        return torch.stack([values(trace, name, image)[0] for image in trace]).float()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same two images in every form."""
    folder = tmp_path_factory.mktemp("data")
    for label, image in enumerate(pictures()):
        (folder / "drawn" / str(label)).mkdir(parents=True)
        drawn = Picture.fromarray(image.permute(1, 2, 0).numpy())
        drawn.save(folder / "drawn" / str(label) / "x.png")
    np.save(folder / "x.npy", pictures().numpy())
    np.savez(folder / "x.npz", x=pictures().numpy(), labels=np.array([5, 6]))
    return folder


FORMS = {
    "tensor": lambda folder: pictures(),
    "dataset": lambda folder: TensorDataset(pictures(), torch.tensor([5, 6])),
    "pictures": lambda folder: Drawn(),
    "loader": lambda folder: DataLoader(TensorDataset(pictures(), torch.tensor([5, 6]))),
    "npy": lambda folder: folder / "x.npy",
    "npz": lambda folder: str(folder / "x.npz"),
    "folder": lambda folder: folder / "drawn",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_trace(form: str, folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"sequence": True, "timesteps": 3, "mean": MEAN, "std": STD}
    path = capture(plain(), FORMS[form](folder), tmp_path / "t.npz", **options)
    wanted = (pictures().float() / 255).flatten(2).transpose(1, 2)
    wanted = (wanted - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(read_by(path), wanted, atol=1e-5, rtol=0)
    with Trace.open(path) as trace:
        labels = [image.label for image in trace]
        assert trace.manifest["tensors"][0]["kind"] == "integer"  # whole pixels, not rounded ones
    given = {"tensor": [-1, -1], "npy": [-1, -1], "folder": [0, 1]}
    assert labels == given.get(form, [5, 6])


def test_the_command_reads_them_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["--network", "my_network:make_network", "--data", str(folder / "x.npz")]
    words += ["--sequence", "--timesteps", "3", "--out", "t.npz", "--mean", *map(str, MEAN)]
    assert main([*words, "--std", *map(str, STD)]) == 0
    sys.modules.pop("my_network", None)
    options: dict[str, Any] = {"sequence": True, "timesteps": 3, "mean": MEAN, "std": STD}
    capture(plain(), folder / "x.npz", tmp_path / "u.npz", **options)
    assert torch.equal(read_by(tmp_path / "t.npz"), read_by(tmp_path / "u.npz"))
    with Trace.open("t.npz") as trace:
        assert trace.manifest["dataset"]["name"] == "x"


class Gate(nn.Module):
    def forward(self, alive: Tensor) -> Tensor:
        return alive


def test_a_modules_output_is_a_mask(tmp_path: Path) -> None:
    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(8, 8)
            self.gate, self.second, self.fires, self.again = Gate(), nn.Linear(8, 8), lif(), lif()

        def forward(self, x: Tensor) -> Tensor:
            spikes = self.fires(self.first(x))
            alive = self.gate((spikes.sum(-1, keepdim=True) > 0).float())
            return self.again(self.second(spikes * alive))

    torch.manual_seed(0)
    images = torch.rand(2, 6, 8)
    trace = stasim.capture(Kept(), images, masks={"halts": "gate"})
    layer = next(each for each in trace.operations if each.name == "second")
    assert layer.mask is not None
    with refused(ModelError, "masks", "halts", '"gat"', rule=said("a module almost right")):
        capture(Kept(), images, tmp_path / "t.npz", masks={"halts": "gat"})


UNFIT: dict[str, tuple[Any, dict[str, Any]]] = {
    "channels": (pictures(2, (1, 12, 12)), {"sequence": True, "timesteps": 3}),
    "no time": (pictures(), {}),
    "mean": (pictures(), {"mean": (0.5, 0.5)}),
    "no count": (pictures(), {"sequence": True}),
    "nowhere": ("nowhere.npz", {}),
    "several steps": (pictures(2, (6, 3, 12, 12)), {"time_axis": 0, "timesteps": 4}),
}


@cases("images_that_do_not_fit")
def test_what_does_not_fit_is_named(name: str, message: str, tmp_path: Path) -> None:
    images, options = UNFIT[name]
    with pytest.raises(ModelError, match=message):
        capture(plain(), images, tmp_path / "t.npz", **options)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 3)), b=np.zeros((2, 3)))
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    for name, found in (("two.npz", ()), ("text.npy", ("<U1 (2,)",))):
        with refused(ModelError, "images", tmp_path / name, *found):
            capture(plain(), tmp_path / name, tmp_path / "t.npz")
    with pytest.raises(ModelError, match=said("a broken file of images")):
        capture(plain(), tmp_path / "broken.npy", tmp_path / "t.npz")


def test_a_network_is_profiled_in_one_call(tmp_path: Path) -> None:
    options: dict[str, Any] = {"sequence": True, "name": "mine"}
    compared = stasim.profile(plain(), pictures(), ["sparse_pe", "dense_pe"], 3, **options)
    assert compared.table.design.tolist() == ["sparse_pe", "dense_pe"]
    assert compared.table.workload.tolist() == ["mine", "mine"]
