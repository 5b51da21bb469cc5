"""The study's tables and figures: files of one folder, which change together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from models.errors import ModelError
from simulator.config.staged_folder import MANIFEST, write_folder

DIGITS = "%.6g"
KIND = "study"
TABLES = ("arms", "profiles", "machines", "counts", "cues", "scores", "plans")
PUBLISHED = ("spikingformer", "published", "published_counts", "sweep")
FIGURES = ("accuracy.png", "profiles.png", "break_even.png")


def write_tables(folder: Path, tables: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Write rows with six digits as CSV files, all at once; the study's other files stay."""
    contents = {
        f"{name}.csv": pd.DataFrame(rows).to_csv(
            index=False, float_format=DIGITS, lineterminator="\n"
        )
        for name, rows in tables.items()
    }
    write_files(folder, {name: text.encode() for name, text in contents.items()})


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files of the study, all at once. Raises ModelError where something foreign is there."""
    try:
        earlier = {} if (folder / MANIFEST).exists() else _earlier(folder)
        write_folder(folder, KIND, {**earlier, **contents}, lambda _: bool(earlier), adding=True)
    except OSError as error:
        raise ModelError(folder, f"{error.strerror or error}") from None


def _earlier(folder: Path) -> dict[str, bytes]:
    """The study's files from before there were manifests."""
    names = (*(f"{name}.csv" for name in (*TABLES, *PUBLISHED)), *FIGURES)
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
