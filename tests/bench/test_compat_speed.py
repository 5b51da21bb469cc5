"""How long do the rules of a peer's arrays take on a whole image of its own?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.peer_figures import workload
from experiments.prosperity import run_design

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "oracles" / "prosperity"
IMAGE = "spikformer_cifar10_bernoulli"


@pytest.mark.skipif(
    not (FOLDER / f"{IMAGE}.npz").is_file(),
    reason="the spikes of Prosperity's simulator are not beside the project",
)
@pytest.mark.benchmark(group="a whole Spikformer image by the rules of Prosperity's simulator")
@pytest.mark.parametrize("design", ["Prosperity", "Prosperity_bit", "PTB", "SATO", "MINT"])
def test_the_whole_spikformer_image(benchmark: Any, design: str) -> None:
    operations = workload(FOLDER, IMAGE)
    run_design(design, operations)  # compiles
    benchmark(run_design, design, operations)
