"""Is the table of depth the one that its runs give, and is a run of each seed there?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.depth import EPOCHS, FILE, SEEDS, estimate, table
from experiments.generated import ROOT


def test_the_page_has_the_table_of_the_runs() -> None:
    assert table(pd.read_csv(FILE)) in (ROOT / "docs/tasks.md").read_text("utf-8")


def test_every_network_has_every_seed() -> None:
    found = pd.read_csv(FILE)
    kept = set(zip(found.blocks, found.epochs, found.seed, strict=True))
    assert kept == {(*each, seed) for each in EPOCHS.items() for seed in range(SEEDS)}


def test_a_difference_is_paired_by_seed() -> None:
    """However the lines are ordered; three seeds: mean +- 4.303 standard errors."""
    ones = [{"blocks": 1, "seed": seed, "top1": 0.1 * seed} for seed in (2, 0, 1)]
    twos = [{"blocks": 2, "seed": seed, "top1": 0.1 * seed + 0.05} for seed in (0, 1, 2)]
    rows = pd.DataFrame(ones + twos).assign(epochs=1, cpu_s=1.0)
    rows["look_ups_1"] = rows["look_ups_2"] = rows.top1
    assert "| +5.0 [+5.0, +5.0] |" in table(rows)
    assert estimate(np.array([0.01, 0.02, 0.03])) == "2.0 [-0.5, 4.5]"
