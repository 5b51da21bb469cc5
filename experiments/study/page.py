"""docs/stas_on_hardware.md, written from the study's tables: no figure in it is typed by hand.

python -m experiments.study --stages page
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from experiments.study import answers, figures, sections
from experiments.study.arms import TASKS
from experiments.study.published import NETWORKS
from models.errors import ModelError
from models.files import write_staged

NEEDED = "spikingformer.csv"
HEAD = """# STAS on hardware

<!-- Written by `python -m experiments.study --stages page` from {folder}/*.csv: change those, or experiments/study/. -->

What do STAS's two halves, integrating the patch splitting (I-SPS) and halting tokens (A-SSA), cost and save on a
machine, each on its own and against controls? This page answers with trained networks, small enough for two cores,
and with networks of the published sizes at published firing rates, which are *calibrated*: they cost what a trained
network of those rates costs, and predict nothing. The method is in [stas.md](stas.md), every metric in
[metrics.md](metrics.md).
"""


def write_page(out: Path, page: Path) -> None:
    """Draw the figures and write the page."""
    text = render(out, page.parent)
    figures.draw(out)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_staged(page, text.encode())


def render(out: Path, base: Path) -> str:
    """The page, from the tables in `out`; links are relative to the folder `base`.

    Raises ModelError where the table that every page has is missing.
    """
    folder = Path(os.path.relpath(out, base)).as_posix()
    if not (out / NEEDED).exists():
        raise ModelError(f"{out} holds no {NEEDED}", "run the stage published first")
    tables = {path.stem: pd.read_csv(path) for path in sorted(out.glob("*.csv"))}
    parts = [HEAD.format(folder=folder), *sections.prices(tables), answers.section(tables)]
    arms, costs = tables.get("arms"), tables.get("published")
    if arms is not None:
        parts += [sections.trained(tables, task, folder) for task in TASKS if _has(arms, task.name)]
        parts.append(sections.active(folder))
    if costs is not None:
        shown = [each for each in NETWORKS if each.name in set(costs.network)]
        parts.append(sections.published(tables, shown, folder))
    if "batches" in tables:
        parts.append(sections.together(tables["batches"], folder))
    parts += [sections.arithmetic(tables["spikingformer"]), sections.made(tables, folder)]
    return "\n".join(parts)


def _has(arms: pd.DataFrame, task: str) -> bool:
    return task in set(arms.task)
