"""A result keeps the picture and the masks of its first images, as the trace holds them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from simulator.architecture import load_architecture
from simulator.operations import read_network
from simulator.results.picture import LARGEST_PX, png, thumbnail
from simulator.simulate import Simulation
from simulator.trace import Trace, unpack_bits
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]
ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1), (112, 64, 3)])
def test_another_reader_sees_the_same_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    read = np.asarray(Pillow.open(io.BytesIO(png(pixels))))
    assert np.array_equal(read, pixels)


@pytest.mark.parametrize(("name", "side"), [("cifar10", 32), ("mnist", 32), ("imagenet", 112)])
def test_the_pixels_are_those_of_the_trace(name: str, side: int) -> None:
    with Trace.open(ROOT / "traces" / f"{name}.npz") as trace:
        network, image = read_network(trace), trace.read(0)
    picture = thumbnail(network, image)
    assert picture is not None
    assert picture.shape[:2] == (side, side)
    assert side <= LARGEST_PX
    operand = network.layers[0].operand
    assert operand is not None
    spec = network.tensors[operand]
    full = network.layers[0].window.in_grid[1]
    times = full // side
    for row, column in ((0, 0), (3, 17), (side - 1, side - 1)):
        seen = np.zeros(spec.channels)
        for y in range(row * times, (row + 1) * times):
            for x in range(column * times, (column + 1) * times):
                for plane in range(8):
                    packed = image.tensors[operand][0, plane, y * full + x]
                    seen += unpack_bits(packed, spec.channels) * 2**plane / times**2
        assert np.abs(picture[row, column] - seen).max() <= 0.5


def test_only_the_asked_images_are_kept(tmp_path: Path) -> None:
    with Trace.open(tiny_trace(tmp_path / "tiny.npz", images=3)) as trace:
        simulation = Simulation(trace, load_architecture(ARCH), pictured=range(1, 3))
        result = simulation.run(range(3))
        result.check()
        masks = result.tables["token_masks"]
        assert sorted(set(masks["image"])) == [1, 2]
        for row in masks.to_dict("records"):
            active = trace.read(row["image"]).active[str(row["block"])][row["timestep"]]
            bits = np.unpackbits(
                np.frombuffer(bytes.fromhex(row["active_hex"]), np.uint8), bitorder="little"
            )
            assert np.array_equal(bits[: len(active)], active)
        for text in result.tables["pictures"]["png_base64"]:
            assert Pillow.open(io.BytesIO(base64.b64decode(text))).format == "PNG"
