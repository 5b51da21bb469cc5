"""The functions of `stasim`. Each imports what it needs when it is called."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stasim.choices import at_least, command_of, images_of, opened
from stasim.house import require

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from models.halting.machine_ponder import StepPrices
    from simulator.architecture import Machine
    from simulator.results.result import Result
    from simulator.results.sweep_result import SweepResult
    from simulator.trace import Trace
    from stasim.choices import AnyTrace, Images
    from stasim.comparison import Comparison


def capture(
    model: Callable[..., Any],
    loader: Any,
    timesteps: int | None = None,
    masks: Mapping[str, str] | None = None,
    *,
    path: str | Path | None = None,
    **options: Any,
) -> Trace:
    """Run a network on images and return the trace of all that it sums, proven by itself.

    `model`: any callable on tensors, such as a `torch.nn.Module`. `loader`: a DataLoader, a
    Dataset, a tensor or array (image, ...), a tuple of these for several inputs, a folder of
    pictures, or an `.npy` or `.npz` of arrays. `timesteps`: where the network does not tell.
    `masks`: for each block that halts, the name of the module whose output says which tokens it
    computes; `stasim.active` in the forward pass says the same. `path`: where the trace is kept;
    else it is a temporary file that goes with the returned object. `options`: those of
    docs/own_network.md, such as `prepare`, `mean`, `std`, `labels`, `limit`.

    Raises SimulatorError that names the module, your line, and a way out.
    """
    require("simulator", "models")
    from models.capturing import capture as write
    from simulator.trace import Trace

    options |= {"timesteps": timesteps, "masks": masks}
    if path is not None:
        return Trace.open(write(model, loader, path, **options))
    folder = tempfile.TemporaryDirectory(prefix="stasim-")
    name = str(options.get("name") or getattr(model, "__name__", type(model).__name__))
    trace = Trace.open(write(model, loader, Path(folder.name) / f"{name}.npz", **options))
    weakref.finalize(trace, folder.cleanup)
    return trace


def active(alive: Tensor, name: str) -> Tensor:
    """Return `alive` as it is; within a capture, note it as the mask of block `name`.

    To be called in the forward pass, once a timestep or for all of them at once: nonzero is
    computed. Rows of other tokens must carry no spikes.
    """
    require("models")
    from models.capturing import active as note

    return note(alive, name)


def threshold(own: float, accumulated: Tensor) -> float:
    """Return `own`; in a live run, the accumulated score at which tokens halt within the budget.

    To be called in the forward pass where tokens are checked: `alive * (score < threshold(0.9,
    score))`. `accumulated`: the score of each token of the last `active`, which must not shrink.
    """
    require("models")
    from models.capturing import threshold as steered

    return steered(own, accumulated)


def live(
    model: Callable[..., Any],
    loader: Any,
    machine: Machine,
    *,
    budget_ms: float | None = None,
    budget_uj: float | None = None,
    path: str | Path | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Run a network in the loop with a machine; return a row for each image.

    The network says by `active` which tokens it computes, and by `threshold` where a budget of
    each image may halt them. `path`: where the run's trace is written, whose simulation gives the
    same cycles and energies. `options`: those of `capture`.

    Raises SimulatorError for what is wrong with the input.
    """
    require("simulator", "models")
    import pandas as pd

    from models.live.captured import run_captured
    from models.live.control import budget_of
    from simulator.architecture import as_architecture

    budget = budget_of(budget_ms, budget_uj)
    own = as_architecture(machine, [])
    trace = None if path is None else Path(path)
    return pd.DataFrame(run_captured(model, loader, own, budget, trace=trace, **options))


def halting_prices(
    trace: AnyTrace, machine: Machine, cost: str = "energy", images: Images = None
) -> StepPrices:
    """Measure what a token costs at each block and timestep, for `halting_cost`.

    `trace`: of a network whose tokens run on. `cost`: `energy` or `latency`.
    """
    require("simulator", "models")
    from models.halting.machine_ponder import step_prices
    from simulator.architecture import as_architecture
    from simulator.hil.cost_table import cost_table
    from simulator.hil.simulated import SimulatedDevice

    with opened(trace) as each:
        device = SimulatedDevice(each, as_architecture(machine, []))
        costs = cost_table(device, each, images_of(images, each.images))
        return step_prices(costs, cost, device.network.tokens)


def halting_cost(alive: Sequence[Tensor], prices: StepPrices) -> Tensor:
    """Return the mean cost of a batch's images on the machine, 1 if no token halts.

    `alive`: what `noted_masks` has noted, in whose values the gradient flows. It is for a loss.
    """
    require("models")
    from models.halting.machine_ponder import masks_cost

    return masks_cost(alive, prices)


def noted_masks() -> AbstractContextManager[list[Tensor]]:
    """Note the masks that a forward pass gives to `active` meanwhile, with their gradients."""
    require("models")
    from models.capturing.marks import noted_masks as noting

    return noting()


def simulate(
    trace: AnyTrace,
    machine: Machine,
    images: Images = None,
    jobs: int = 1,
    *,
    engine: str = "numba",
    pictures: int | None = None,
    **overrides: Any,
) -> Result:
    """Replay a trace on a machine; return what it took, checked.

    `trace`: one that is open, a path, or the name of a shipped one. `machine`: the name of a
    shipped one, a path, what its file would hold as a dict, or an `Architecture`. `images`: a
    range, how many from the first on, or `"A:B"`; None: all. `jobs`: worker processes. `pictures`:
    how many images, from the first on, the result keeps the picture and the masks of, 8 by default.
    `overrides`:
    fields of the machine to replace: `clock_mhz=800`, `dataflow__kind="tick_batched"`, or
    `**{"cores.pe_array.rows": 8}`.

    Raises SimulatorError for what is wrong with the input.
    """
    require("simulator")
    from simulator.architecture import as_architecture
    from simulator.config.wording import suggestion
    from simulator.distributed.executor import open_executor
    from simulator.distributed.parts import Part, simulate_part, simulate_parts, split
    from simulator.errors import SimulatorError
    from simulator.run import PICTURES
    from simulator.simulate import ENGINES

    pictures = PICTURES if pictures is None else pictures
    at_least("jobs", jobs, 1)
    at_least("pictures", pictures, 0)
    if engine not in ENGINES:
        raise SimulatorError(f"engine: {engine!r}: unknown engine {suggestion(engine, ENGINES)}")
    changes = assignments(overrides)
    with opened(trace) as each:
        chosen = images_of(images, each.images)
        file = str(each.path)
    part = Part(
        as_architecture(machine, changes),
        (),
        file,
        engine,
        command_of(trace, machine, images, changes, pictures),
        chosen.start,
        chosen.stop,
        chosen[:pictures],
    )
    with open_executor(min(jobs, len(chosen)), None) as executor:
        if executor.workers == 1:
            result = simulate_part(part)
        else:
            pieces = split(part, -(-len(chosen) // executor.workers))
            result = simulate_parts(pieces, executor, lambda images: None)
    result.check()
    return result


def compare(
    results: Iterable[Result | str | Path] | Mapping[str, Result | str | Path],
    baseline: str | None = None,
) -> Comparison:
    """Set results side by side. `results`: runs or their folders; a mapping gives their names.

    `baseline`: the design that others are compared with, the first by default.
    """
    require("simulator", "reports")
    from stasim.comparison import Comparison

    return Comparison.of(results, baseline)


def profile(
    model: Callable[..., Any],
    loader: Any,
    machines: Sequence[Machine] | Mapping[str, Machine],
    timesteps: int | None = None,
    masks: Mapping[str, str] | None = None,
    *,
    jobs: int = 1,
    **options: Any,
) -> Comparison:
    """Capture a network once and compare what it takes on machines; a mapping gives their names.

    `options`: those of `capture`.
    """
    trace = capture(model, loader, timesteps, masks, **options)
    if isinstance(machines, Mapping):
        return compare({name: simulate(trace, each, jobs=jobs) for name, each in machines.items()})
    return compare([simulate(trace, each, jobs=jobs) for each in machines])


def sweep(
    space: str | Path | Mapping[str, Any],
    trace: AnyTrace | None = None,
    *,
    out: str | Path,
    jobs: int = 1,
    strict: bool = False,
) -> SweepResult:
    """Search a space of designs; a search that was interrupted goes on from its folder `out`.

    `space`: a file, the name of a shipped space, or what its file would hold
    (docs/tutorials/search.md). `strict`: points whose numbers are doubtful have failed.
    """
    require("simulator")
    from simulator.distributed.executor import open_executor
    from simulator.sweep.search import search
    from simulator.sweep.space import load_space

    at_least("jobs", jobs, 1)
    file = trace.path if trace is not None and not isinstance(trace, str | Path) else trace
    with open_executor(jobs, None) as executor:
        where = load_space(space, file), Path(out), executor
        result = search(*where, lambda outcomes, total: None, strict=strict)
    result.save(Path(out))
    return result


def machines() -> pd.DataFrame:
    """Return the shipped machines, a row each: parts, clock, technology and source."""
    require("simulator")
    from simulator.machines import table

    return table()


def traces() -> list[str]:
    """Return the names of the shipped traces."""
    require("simulator")
    from simulator.config.shipped import TRACES, names_in

    return list(names_in(TRACES))


def load_trace(path: str | Path) -> Trace:
    """Open a trace: a path, or the name of a shipped one. Raises TraceError."""
    require("simulator")
    from simulator.trace import Trace

    return Trace.open(path)


def load_result(path: str | Path) -> Result:
    """Return the result in a folder, that of a stream too. Raises ResultError."""
    require("simulator")
    from simulator.results.result import Result

    return Result.load(path)


def assignments(overrides: Mapping[str, Any]) -> list[str]:
    """Return overrides as `--set` takes them; `__` in a name is a dot."""
    return [f"{path.replace('__', '.')}={json.dumps(value)}" for path, value in overrides.items()]
