"""How long a capture takes: a network's first image, recorded and proven, and a later one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="captures need torch")

from models.capturing import capture
from tests.models.any_networks import case


@pytest.mark.benchmark(group="capture")
@pytest.mark.parametrize("images", [1, 2])
def test_capture_a_convolutional_network(benchmark: Any, tmp_path: Path, images: int) -> None:
    own = case("plain")
    benchmark(capture, own.network, own.images, tmp_path / "t.npz", limit=images, **own.options)


@pytest.mark.benchmark(group="capture")
def test_run_the_same_network_plainly(benchmark: Any) -> None:
    own = case("plain")
    inputs = own.options["prepare"](own.images[:1].float() / 255)

    def run() -> Any:
        for module in (own.network.n1, own.network.n2, own.network.n3):  # type: ignore[attr-defined]
            module.reset()
        return own.network(inputs)

    benchmark(run)
