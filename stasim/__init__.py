"""What a spiking network costs on an accelerator, in a few lines of Python.

    import stasim

    trace = stasim.capture(network, loader, timesteps=4)      # any network of PyTorch
    result = stasim.simulate(trace, "sparse_pe", clock_mhz=800)
    comparison = stasim.profile(network, loader, machines=["dense_pe", "sparse_pe"])
    comparison.save("comparison.html")

Importing this is quick: PyTorch, Numba, pandas and plotly are loaded when they are first needed.
`stasim.parts` is where hardware of your own begins, `stasim.plots` draws results.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from stasim.api import (
    active,
    capture,
    compare,
    halting_cost,
    halting_prices,
    live,
    load_result,
    load_trace,
    machines,
    noted_masks,
    profile,
    simulate,
    sweep,
    threshold,
    traces,
)

if TYPE_CHECKING:
    from simulator import __version__
    from simulator.architecture import Architecture, Machine
    from simulator.errors import SimulatorError
    from simulator.results.result import Result
    from simulator.results.sweep_result import SweepResult
    from simulator.trace import Trace
    from stasim import parts, plots
    from stasim.comparison import Comparison

__all__ = [
    "Architecture",
    "Comparison",
    "Machine",
    "Result",
    "SimulatorError",
    "SweepResult",
    "Trace",
    "__version__",
    "active",
    "capture",
    "compare",
    "halting_cost",
    "halting_prices",
    "live",
    "load_result",
    "load_trace",
    "machines",
    "noted_masks",
    "parts",
    "plots",
    "profile",
    "simulate",
    "sweep",
    "threshold",
    "traces",
]

_LATER = {
    "Architecture": "architecture",
    "Machine": "architecture",
    "Result": "results.result",
    "SimulatorError": "errors",
    "SweepResult": "results.sweep_result",
    "Trace": "trace",
    "__version__": "",
}
"""What is imported when it is first asked for, with its module of the core."""


def __getattr__(name: str) -> Any:
    if name in ("parts", "plots"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "Comparison":
        from stasim.comparison import Comparison

        return Comparison
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stasim.house import require

    require("simulator")
    import simulator

    module = f"{simulator.__name__}.{_LATER[name]}".rstrip(".")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
