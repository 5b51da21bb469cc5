"""Are the tables at equal training cost those that their runs give, with a run of each seed?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.equal_cost import QUESTIONS, Question, estimate, table
from experiments.generated import ROOT

OF_DEPTH = QUESTIONS[0]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_the_page_has_the_table_of_the_runs(question: Question) -> None:
    text = (ROOT / "docs/tasks.md").read_text("utf-8")
    assert table(question, pd.read_csv(question.file)) in text


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_every_network_has_every_seed(question: Question) -> None:
    found = pd.read_csv(question.file)
    kept = set(zip(found[question.varied], found.epochs, found.seed, strict=True))
    seeds = range(question.seeds)
    assert kept == {(*each, seed) for each in question.epochs.items() for seed in seeds}


def test_a_difference_is_paired_by_seed() -> None:
    """However the lines are ordered; three seeds: mean +- 4.303 standard errors."""
    ones = [{"blocks": 1, "seed": seed, "top1": 0.1 * seed} for seed in (2, 0, 1)]
    twos = [{"blocks": 2, "seed": seed, "top1": 0.1 * seed + 0.05} for seed in (0, 1, 2)]
    rows = pd.DataFrame(ones + twos).assign(epochs=1, cpu_s=1.0)
    rows["look_ups_1"] = rows["look_ups_2"] = rows.top1
    assert "| +5.0 [+5.0, +5.0] |" in table(OF_DEPTH, rows)
    assert estimate(np.array([0.01, 0.02, 0.03])) == "2.0 [-0.5, 4.5]"
