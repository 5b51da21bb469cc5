"""What cannot be captured is refused with the module, the user's line and a way out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from spikingjelly.activation_based import functional, layer
from torch import Tensor, nn

from models.capturing import active, capture
from models.errors import ModelError
from simulator.trace import Trace, unpack_bits
from tests.messages import said
from tests.models.any_networks import Base, Halting, Plain, T, lif, pictures, repeated
from tests.models.stored import integers

HERE = Path(__file__).name


def refused(network: Any, path: Path, images: Any = None, **options: Any) -> str:
    torch.manual_seed(0)
    with pytest.raises(ModelError) as caught:
        capture(network, pictures() if images is None else images, path / "t.npz", **options)
    assert not list(path.iterdir())
    return str(caught.value)


class Between(Base):
    """Does something to the sums of the first layer, or to its spikes."""

    def __init__(self, spikes: Any = lambda a: a, sums: Any = lambda a: a) -> None:
        super().__init__()
        self.spikes, self.sums = spikes, sums

    def forward(self, x: Tensor) -> Any:
        return self.n3(self.c3(self.spikes(self.n1(self.sums(self.c1(x))))))


def overwritten(a: Tensor) -> Tensor:
    a.numpy()[..., :2] = 0
    return a


class Leaving(Base):
    """Stops when it is sure."""

    def forward(self, x: Tensor) -> Any:
        y = x
        for index in range(T):
            y = self.n1(self.c1(x)[:1])
            if x.max() * 255 < 100 * (index + 1):
                break
        return y


class Trained(Base):
    def __init__(self) -> None:
        super().__init__()
        self.norm = layer.BatchNorm2d(8, track_running_stats=False, step_mode="m")

    def forward(self, x: Tensor) -> Any:
        return self.n1(self.norm(self.c1(x)))


class Sparse(Base):
    def forward(self, x: Tensor) -> Any:
        a = self.n1(self.c1(x)).flatten(0, 2).flatten(1)
        return torch.sparse.mm(a.to_sparse(), torch.ones(a.shape[1], 2))


def opaque(x: Tensor) -> Tensor:
    return torch.cdist(x.flatten(1), x.flatten(1))


class Opaque(Base):
    def forward(self, x: Tensor) -> Any:
        return self.n1(self.c1(x)).flatten(1) + opaque(x).sum()


@pytest.mark.parametrize(
    ("network", "parts"),
    [
        (
            lambda: Between(lambda a: F.dropout(a, 0.5)),
            (f"at {HERE}:", "dropout is on", "pass training=self.training"),
        ),
        (
            lambda: Between(sums=lambda a: a + torch.rand_like(a)),
            (f"at {HERE}:", "random numbers enter behind the first layer"),
        ),
        (
            lambda: Between(lambda a: torch.from_numpy(a.numpy().copy())),
            ("c3 at", HERE, "no recorded operation made", "numpy"),
        ),
        (lambda: Between(overwritten), ("c3", "memory was changed outside PyTorch")),
        (
            lambda: Between(lambda a: a * float(a.mean())),
            ("another image", "a Python value was made of the data"),
        ),
        (Trained, ("norm at", "statistics of the batch", "call eval()")),
        (Sparse, (f"at {HERE}:", "sparse tensor", "make it dense")),
        (Opaque, (f"at {HERE}:", "aten::_cdist_forward", "replace it")),
    ],
    ids=["dropped", "noisy", "numpy", "behind", "counted", "trained", "sparse", "opaque"],
)
def test_one_message_says_where_and_what_to_do(
    network: Any, parts: tuple[str, ...], tmp_path: Path
) -> None:
    told = refused(network(), tmp_path, prepare=repeated)
    for part in parts:
        assert part in told, told
    assert "\n" not in told


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    images = pictures().float() / 255
    images[0, 0, 0, 0] = float("nan")
    assert "c1 at" in refused(Plain(), tmp_path, images, prepare=repeated)
    broken = Plain()
    nn.init.constant_(broken.c2.weight, float("inf"))
    images[0, 0, 0, 0] = 0.5
    # Spikes of infinite potentials are ones, and the last layer sees no more than these.
    nn.init.constant_(broken.c1.bias, float("nan"))
    assert "dead" not in refused(nn.Sequential(nn.Conv2d(3, 4, 3)), tmp_path, images)


def test_an_ann_is_no_spiking_network(tmp_path: Path) -> None:
    ann = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 5))
    assert "is this an ANN?" in refused(ann, tmp_path)


def test_images_that_leave_early_are_named(tmp_path: Path) -> None:
    images = torch.stack([torch.full((3, 12, 12), 250), torch.full((3, 12, 12), 10)])
    told = refused(Leaving(), tmp_path, images.to(torch.uint8), prepare=repeated)
    assert "images 0 and 1 take different operations" in told


def test_timesteps_that_the_images_do_not_have_are_refused(tmp_path: Path) -> None:
    told = refused(Plain(), tmp_path, pictures(2, (T, 3, 12, 12)), time_axis=0, timesteps=5)
    rule = f"the images have {T}: give timesteps={T} (--timesteps {T})"
    assert told == f"timesteps is 5, but {rule}"


def test_a_network_that_never_fires_is_warned_of(tmp_path: Path) -> None:
    network = Plain()
    nn.init.constant_(network.c1.bias, -9.0)
    with pytest.warns(UserWarning, match=said("a layer that never fires")):
        path = capture(network, pictures(), tmp_path / "t.npz", prepare=repeated)
    with Trace.open(path) as trace:
        assert "n1.out" in trace.manifest["capture"]["never_fires"]


def masked(path: Path, network: nn.Module) -> Trace:
    torch.manual_seed(0)
    return Trace.open(capture(network, pictures(), path / "t.npz"))


def test_tokens_of_a_users_own_rule_halt_in_the_trace(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with masked(tmp_path, Halting()) as trace:
        model = trace.manifest["model"]
        assert (model["blocks"], model["tokens"], model["timesteps"]) == (2, 9, T)
        assert model["halting"]["granularity"] == "two_dimensional"
        image = trace.read(0)
        assert not image.active["1"].all()
        assert image.active["1"].any()
        masks = {o.name: o.mask for o in trace.operations if o.weight_bits}
        assert masks == {"patches": None, "one": "0", "two": "1", "end": None}
        read = next(o.input for o in trace.operations if o.name == "two")
        bits = unpack_bits(image.tensors[read], trace.tensors[read].channels)
        assert not bits[:, 0][~image.active["1"]].any()
        assert bits.any()


def test_a_mask_that_does_not_tell_the_truth_is_refused(tmp_path: Path) -> None:
    class Lying(Base):
        def forward(self, x: Tensor) -> Any:
            a = self.n1(self.c1(x)).flatten(3).transpose(2, 3)
            active(torch.arange(T * 144).reshape(T, 144) % 144 < 70, "only")
            return self.n2(self.f(a))

    network = Lying()
    network.f = nn.Linear(8, 8)
    told = refused(network, tmp_path, prepare=repeated)
    assert "which active(..., 'only') says has halted" in told


def test_active_is_the_identity_outside_of_a_capture() -> None:
    alive = torch.ones(1, 4)
    assert active(alive, "block") is alive


def test_inputs_are_stored_as_what_they_are(tmp_path: Path) -> None:
    torch.manual_seed(0)

    def stored(prepare: Any, images: Any = None) -> Any:
        own = pictures() if images is None else images
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = capture(Plain(), own, tmp_path / "t.npz", prepare=prepare)
        with Trace.open(path) as trace:
            return trace.tensors["input"], integers(trace, "input", trace.read(1))

    pixels = pictures()[1].flatten(1).T.numpy()
    spec, found = stored(repeated)  # pixel / 255
    assert (spec.timesteps, spec.planes, spec.zero_point) == (1, 8, 0)
    assert spec.scale == pytest.approx(1 / 255)
    assert np.array_equal(found[0], pixels)
    mean, deviation = torch.tensor([0.48, 0.45, 0.40]), torch.tensor([0.22, 0.23, 0.24])
    shape = (3, 1, 1)
    normal = lambda x: repeated((x - mean.view(shape)) / deviation.view(shape))  # noqa: E731
    spec, found = stored(normal)
    assert np.array_equal(found[0], pixels)
    values = (found[0] - np.array(spec.zero_point)) * np.array(spec.scale)
    expected = normal(pictures()[1:].float() / 255)[0, 0].flatten(1).T.numpy()
    assert np.abs(values - expected).max() < 1e-5
    spec, found = stored(lambda x: (torch.rand_like(repeated(x)) <= repeated(x)).float())  # coded
    assert (spec.kind, spec.timesteps) == ("spikes", T)
    assert 0.3 < found.mean() < 0.7
    reals = torch.rand(2, 3, 12, 12)
    spec, found = stored(repeated, reals)
    assert spec.planes == 8
    assert 0 < spec.error <= spec.scale
    values = found[0] * spec.scale
    assert np.abs(values - reals[1].flatten(1).T.numpy()).max() <= spec.error + 1e-7


def test_any_container_of_images_will_do(tmp_path: Path) -> None:
    from PIL import Image

    torch.manual_seed(0)
    network = Plain()
    data = torch.utils.data.TensorDataset(pictures(3), torch.tensor([2, 0, 1]))
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    path = capture(network, loader, tmp_path / "a.npz", prepare=repeated)
    with Trace.open(path) as trace:
        assert [trace.read(i).label for i in range(3)] == [2, 0, 1]
        first = trace.read(0).tensors["n1.out"].copy()
    path = capture(network, pictures(3).numpy(), tmp_path / "b.npz", prepare=repeated, limit=1)
    with Trace.open(path) as trace:
        assert trace.images == 1
        assert np.array_equal(trace.read(0).tensors["n1.out"], first)
    folder = tmp_path / "cats"
    folder.mkdir()
    Image.fromarray(pictures(1)[0].permute(1, 2, 0).numpy()).save(folder / "one.png")
    path = capture(network, tmp_path, tmp_path / "c.npz", prepare=repeated)
    with Trace.open(path) as trace:
        assert trace.manifest["dataset"]["image_ids"] == ["cats/one.png"]
        assert np.array_equal(trace.read(0).tensors["n1.out"], first)


def test_a_network_runs_without_inference_mode_and_gets_its_mode_back(tmp_path: Path) -> None:
    network = Plain().train()
    with torch.inference_mode():
        path = capture(network, pictures(), tmp_path / "t.npz", prepare=repeated)
    assert network.training
    with Trace.open(path) as trace:
        assert sum(o.kind == "neuron" for o in trace.operations) == 3


def test_what_neurons_do_is_found_by_numbers(tmp_path: Path) -> None:
    from spikingjelly.activation_based import neuron

    net = nn.Sequential(
        layer.Conv2d(3, 4, 3), lif(tau=4.0), layer.Conv2d(4, 4, 3), lif(v_reset=None),
        layer.Conv2d(4, 4, 3), neuron.IFNode(v_threshold=0.2, v_reset=-0.3),
        layer.Conv2d(4, 4, 3), neuron.KLIFNode(v_threshold=0.1),
    )  # fmt: skip
    functional.set_step_mode(net, "m")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = capture(net, pictures(), tmp_path / "t.npz", prepare=repeated)
    with Trace.open(path) as trace:
        found = [o.parameters for o in trace.operations if o.kind == "neuron"]
    assert [found[0][key] for key in ("tau", "decay_input", "reset")] == [4.0, 1, 0.0]
    assert found[0]["threshold"] == pytest.approx(0.1)
    assert found[1]["soft_reset"] == 1
    assert [found[2][key] for key in ("leak", "reset")] == [0, -0.3]
    assert found[2]["threshold"] == pytest.approx(0.2)
    assert "tau" not in found[3]
    assert found[3]["relu"] == 1
