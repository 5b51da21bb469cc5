"""The metrics of a run, a row an epoch: as CSV and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.files import write_csv, write_staged

Rows = Sequence[dict[str, Any]]


METRICS = "metrics.csv"


def write_metrics(folder: Path, rows: Rows, tensorboard: bool = False) -> None:
    """Write the rows as CSV; the file appears whole or not at all. The last row goes to
    TensorBoard's events too, if asked for.
    """
    write_csv(folder / METRICS, rows)
    if not tensorboard:
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError(
            "the recipe asks for tensorboard, which is not installed: pip install tensorboard"
        ) from error
    with SummaryWriter(str(folder / "events")) as writer:
        for name, value in rows[-1].items():
            writer.add_scalar(name, value, rows[-1]["epoch"])


def draw_curves(path: Path, rows: Rows) -> None:
    """Draw loss, accuracy with active tokens, and timestep similarity over epochs as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.0), layout="constrained")
    loss, accuracy, similarity = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in rows]
    alike = [name for name in rows[0] if name.startswith("similarity_")]
    for axes, names in (
        (loss, ["train_loss"]),
        (accuracy, ["test_top1", "active_tokens"]),
        (similarity, alike),
    ):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], label=name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.legend(frameon=False)
    for row in rows[1:]:
        if row["halting"] and not rows[row["epoch"] - 2]["halting"]:
            for axes in (loss, accuracy, similarity):
                axes.axvline(row["epoch"] - 0.5, color="0.7", linestyle=":")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100)
    write_staged(path, image.getvalue())
