"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.config.staged_file import staged_file
from simulator.config.wording import cell


def write_staged(path: Path, content: bytes) -> None:
    """Write beside the target, flush to disk, rename; on any failure the target stays as it was."""
    with staged_file(path) as file:
        file.write(content)


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of the same columns; the file appears whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    write_staged(path, text.getvalue().encode())
