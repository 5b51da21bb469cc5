"""The study's tables as CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from models.files import write_staged

DIGITS = "%.6g"


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with six digits; the file appears whole or not at all."""
    text = pd.DataFrame(rows).to_csv(index=False, float_format=DIGITS, lineterminator="\n")
    write_staged(path, text.encode())
