"""Networks that are not ours, by the names that a command gives them."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from torch import nn

from models.errors import ModelError


def foreign_network(
    function: str | None, graph: Path | None, step_s: float
) -> tuple[nn.Module, str]:
    """Return the network that `module:function` returns, or that of a NIR file, and its name.

    The module is looked for in the working folder too, as `python -m` does.
    """
    if graph is not None:
        from models.foreign.nir_graphs import network_of_nir

        return network_of_nir(graph, step_s), graph.stem
    assert function is not None
    module, _, name = function.partition(":")
    if not module or not name:
        raise ModelError(f"--network {function}", "it must be MODULE:NAME")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        made = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ModelError(f"--network {function}", f"{error}") from error
    if not callable(made):
        raise ModelError(f"--network {function}", f"it returned {type(made).__name__}, no network")
    return made, name
