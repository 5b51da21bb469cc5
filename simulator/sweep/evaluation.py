"""Points of a space that share a replay, as a worker evaluates them."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from simulator.architecture import Architecture, load_architecture
from simulator.config.staged_file import staged_file
from simulator.distributed.leaving import simulation_of
from simulator.energy.machine import MachinePrices
from simulator.errors import ResultError, SimulatorError
from simulator.results.findings import severity_of, split_findings
from simulator.results.repricing import reprice, simulation_key
from simulator.results.result import Result
from simulator.sweep.held import open_trace
from simulator.sweep.metrics import machine_metrics, result_metrics
from simulator.trace import image_range

OK, INFEASIBLE, FAILED = "ok", "infeasible", "failed"


class Candidate(NamedTuple):
    """Describe one point: its number in the search, and the machine as the base with overrides."""

    number: int
    overrides: tuple[str, ...]


class Group(NamedTuple):
    """Hold points on one trace that may differ in prices only; a worker's task.

    `limits`: (metric, at_most, at_least), None where there is none; `wanted`: metrics asked for;
    `replays`: folder that keeps replays for groups to come, None where none will need them.
    """

    base: str
    trace: str
    images: str | None
    limits: tuple[tuple[str, float | None, float | None], ...]
    wanted: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    replays: str | None = None


class Outcome(NamedTuple):
    """Hold what came of a point.

    `status`: ok, infeasible (breaks a limit; what the machine alone breaks is not simulated) or
    failed; `message`: why. `violation`: sum of what is beyond the limits, each in units of its
    limit. `replay`: simulated, repriced, or none. `findings`: the checks of
    simulator.results.findings that doubt the point's numbers, the most severe first.
    """

    number: int
    status: str
    message: str
    metrics: dict[str, float]
    violation: float
    replay: str
    findings: str = ""


def evaluate_group(group: Group) -> list[Outcome]:
    """Return the outcome of each point of the group, in its order; never raises for a bad point."""
    replays = _Replays(group)
    return [_evaluate(group, candidate, replays) for candidate in group.candidates]


class _Replays:
    """Replays of the group's trace by machine: of this group and, in a folder, of earlier ones."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._held: dict[str, Result] = {}

    def find(self, key: str) -> Result | None:
        """Return the replay of a machine with this simulation key."""
        if key not in self._held and self.group.replays is not None:
            with contextlib.suppress(ResultError):
                self._held[key] = Result.load(self._file(key))
        return self._held.get(key)

    def keep(self, key: str, result: Result) -> None:
        """Hold a replay; a folder that cannot be written costs time later, not the search."""
        self._held[key] = result
        if self.group.replays is not None:
            with contextlib.suppress(OSError):
                self._file(key).parent.mkdir(exist_ok=True)
                with staged_file(self._file(key)) as file:
                    file.write(result.to_json().encode())

    def _file(self, key: str) -> Path:
        facts = f"{key} {self.group.trace} {self.group.images}"
        name = hashlib.sha256(facts.encode()).hexdigest()
        return Path(str(self.group.replays)) / f"{name}.json"


def _evaluate(group: Group, candidate: Candidate, replays: _Replays) -> Outcome:
    number = candidate.number
    try:
        architecture = load_architecture(group.base, candidate.overrides)
        prices = MachinePrices(architecture)
        metrics = machine_metrics(architecture, prices.table)
        message, violation = _broken(group, metrics)
        if violation:
            return Outcome(number, INFEASIBLE, message, metrics, violation, "none")
        result, replay = _replayed(group, architecture, prices, replays)
        result.check()
        metrics |= result_metrics(result, set(group.wanted))
        found = ", ".join(dict.fromkeys(each.check for each in result.findings))
    except SimulatorError as error:
        return Outcome(number, FAILED, " ".join(str(error).split()), {}, 0.0, "none")
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        # A fault of ours costs one point of a search, not the search; it is shown as what it is.
        message = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        return Outcome(number, FAILED, message, {}, 0.0, "none")
    message, violation = _broken(group, metrics)
    status = INFEASIBLE if violation else OK
    return Outcome(number, status, message, metrics, violation, replay, found)


def refused_if_doubtful(outcome: Outcome) -> Outcome:
    """Return the outcome, failed if an error or a warning doubts it: what `--strict` does."""
    doubts = [name for name in split_findings(outcome.findings) if severity_of(name) != "note"]
    if not doubts:
        return outcome
    message = f"doubtful, and refused by --strict: {', '.join(doubts)}"
    return outcome._replace(status=FAILED, message=message, metrics={}, violation=0.0)


def _replayed(
    group: Group, architecture: Architecture, prices: MachinePrices, replays: _Replays
) -> tuple[Result, str]:
    """The result of a machine: simulated, or priced again if one before took the same cycles."""
    key = simulation_key(architecture)
    found = replays.find(key)
    if found is not None:
        return reprice(found, architecture), "repriced"
    with open_trace(group.trace, group.images) as trace:
        images = image_range(group.images, trace.images)
        result = simulation_of(trace, architecture, prices=prices).run(images)
    replays.keep(key, result)
    return result, "simulated"


def _broken(group: Group, metrics: dict[str, float]) -> tuple[str, float]:
    """Which limits on these metrics are broken, in words, and by how much in all."""
    broken, violation = [], 0.0
    for name, most, least in group.limits:
        value: Any = metrics.get(name)
        if value is None:
            continue
        if most is not None and value > most:
            broken.append(f"{name} {value:.6g}: must be at most {most:g}")
            violation += (value - most) / max(abs(most), 1e-9)
        if least is not None and value < least:
            broken.append(f"{name} {value:.6g}: must be at least {least:g}")
            violation += (least - value) / max(abs(least), 1e-9)
    return "; ".join(broken), violation
