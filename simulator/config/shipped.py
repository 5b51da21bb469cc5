"""The machines, spaces and traces that come with STASim, by name, and its tables of numbers.

`sparse_pe` is `arch_configs/sparse_pe.yaml` and `mnist` is `traces/mnist.npz`, in whatever folder a
command runs. A file of the user comes first; a folder does not, since data sets are called so.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from simulator.config.wording import shown, suggestion
from simulator.errors import SimulatorError

HOUSE = Path(__file__).parents[2]
"""Holds the packages and, beside them, what is shipped."""
MACHINES, SPACES, TRACES = (
    HOUSE / "arch_configs",
    HOUSE / "arch_configs" / "spaces",
    HOUSE / "traces",
)

Named = str | os.PathLike[str]
Row = TypeVar("Row", bound=tuple[Any, ...])


def names_in(folder: Path) -> tuple[str, ...]:
    """Return the names of what a folder ships, in order."""
    return tuple(sorted(path.stem for path in folder.glob("*.[yn][ap][mz]*")))


def file_of(name: Named, folder: Path, what: str, error: type[SimulatorError]) -> Path:
    """Return the user's file of this name, or the shipped one. Raises `error` for neither.

    A name with a suffix or a folder in it is always the user's own.
    """
    path = Path(name)
    if path.suffix or len(path.parts) != 1 or path.is_file():
        return path
    for suffix in (".yaml", ".npz"):
        if (shipped := folder / f"{name}{suffix}").is_file():
            return shipped
    if os.path.lexists(path):
        return path
    known = suggestion(str(name), names_in(folder))
    raise error(shown(str(name)), f"is no file, and no {what} that is shipped {known}")


def records(path: Path, kind: type[Row], *keys: str) -> dict[Any, Row]:
    """Return the rows of a shipped CSV file as NamedTuples of a kind, by their column of one key.

    Of several keys: by the tuple of their columns. A cell takes the type of its field; columns
    without a field, and lines that begin with #, are left out.
    """
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    types = get_type_hints(kind)
    return {
        row[keys[0]] if len(keys) == 1 else tuple(row[key] for key in keys): kind(
            **{name: types[name](cell) for name, cell in row.items() if name in types}
        )
        for row in csv.DictReader(lines)
    }
