"""The machines, spaces and traces that come with STASim, by name.

`sparse_pe` is `arch_configs/sparse_pe.yaml` and `mnist` is `traces/mnist.npz`, in whatever folder a
command runs. A file of the user comes first; a folder does not, since data sets are called so.
"""

from __future__ import annotations

import os
from pathlib import Path

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
