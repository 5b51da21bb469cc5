"""Makes sure that `simulator`, `models` and `reports` are STASim's, not a user's folders.

A wheel holds the three inside of `stasim`, where nothing can hide them. In a checkout they are
names of their own, and Python would take folders of the same names beside the user's script first.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
IS_WHEEL = (HERE / "simulator").is_dir()
HOUSE = HERE if IS_WHEEL else HERE.parent
"""The folder of the three packages, of the shipped machines and of the shipped traces."""


def require(*names: str) -> None:
    """Make these packages importable. Raises ImportError if another of that name is loaded."""
    for name in () if IS_WHEEL else names:
        file = HOUSE / name / "__init__.py"
        loaded = sys.modules.get(name)
        if loaded is None:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None or Path(spec.origin).resolve() != file.resolve():
                _load(name, file)
        elif not _is_ours(loaded, file):
            where = loaded.__file__ or next(iter(loaded.__path__))
            raise ImportError(
                f"{where} is loaded as {name!r}, which is the name of a package of STASim: "
                f"`pip install {HOUSE}`, which gives its packages names of their own"
            )


def _is_ours(module: ModuleType, file: Path) -> bool:
    return module.__file__ is not None and Path(module.__file__).resolve() == file.resolve()


def _load(name: str, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=[str(file.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
