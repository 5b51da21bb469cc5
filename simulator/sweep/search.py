"""The search: ask for points, evaluate the new ones wherever there is room, remember each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np

import simulator
from simulator.architecture import load_architecture
from simulator.distributed.executor import Executor
from simulator.errors import ArchitectureError
from simulator.results.repricing import simulation_key
from simulator.results.sweep_result import SCHEMA, SweepResult
from simulator.sweep.evaluation import (
    Candidate,
    Group,
    Outcome,
    evaluate_group,
    refused_if_doubtful,
)
from simulator.sweep.journal import Journal
from simulator.sweep.live import begin
from simulator.sweep.space import Space, override, point_key
from simulator.sweep.strategies import Proposal, make_strategy

REPLAYS = "replays"
Watcher = Callable[[Sequence[Outcome], int], object]
"""Receives outcomes as they come, and of how many points there will be in all."""


def search(
    space: Space, folder: Path, executor: Executor, watch: Watcher, *, strict: bool = False
) -> SweepResult:
    """Search a space; goes on from what the folder's journal holds. Raises SpaceError.

    `strict`: points whose numbers are doubtful have failed. The journal holds what was found either
    way, so that the same folder answers both.
    """
    judged = refused_if_doubtful if strict else _as_found
    header = {"space": space.content_hash, "stasim": simulator.__version__}
    journal = Journal(folder, header)
    try:
        provenance = _provenance(space, strict=strict)
        begin(folder, provenance)
        strategy = make_strategy(space)
        work = _Work(space, journal, executor, folder)
        tried: dict[str, Proposal] = {}
        while proposals := strategy.ask():
            for outcomes in work.evaluate(proposals):
                watch([*map(judged, outcomes)], strategy.total)
            for proposal in proposals:
                tried.setdefault(point_key(proposal.point), proposal)
            strategy.tell([judged(journal.outcomes[point_key(each.point)]) for each in proposals])
        found = {key: judged(outcome) for key, outcome in journal.outcomes.items()}
        rows = [(each.number, each.point, found[key]._asdict()) for key, each in tried.items()]
        return SweepResult.of(provenance, [*space.axes], sorted(rows, key=lambda row: row[0]))
    finally:
        journal.close()


def _as_found(outcome: Outcome) -> Outcome:
    return outcome


class _Work:
    """Turns proposals into tasks and their outcomes into lines of the journal."""

    def __init__(self, space: Space, journal: Journal, executor: Executor, folder: Path) -> None:
        self.space, self.journal, self.executor = space, journal, executor
        self.shared = _priced_alone(space)
        # A strategy that learns may ask later for another price of what was simulated before.
        learns = space.file.search.strategy in ("nsga2", "tpe")
        self.replays = str((folder / REPLAYS).absolute()) if learns and self.shared else None

    def evaluate(self, proposals: Sequence[Proposal]) -> Iterator[Sequence[Outcome]]:
        """The outcome of each proposal, as they come; what the journal knows is not done again."""
        known = self.journal.outcomes
        new: dict[str, Proposal] = {}
        for proposal in proposals:
            key = point_key(proposal.point)
            if key in known:
                yield [known[key]]
            else:
                new.setdefault(key, proposal)
        points = {proposal.number: proposal.point for proposal in new.values()}
        for _, outcomes in self.executor.run(evaluate_group, self._grouped([*new.values()])):
            self.journal.add([points[outcome.number] for outcome in outcomes], outcomes)
            yield outcomes

    def _grouped(self, proposals: Sequence[Proposal]) -> list[Group]:
        """Tasks: points that differ only in shared parameters go together, to share a replay."""
        together: dict[str, list[Proposal]] = {}
        for proposal in proposals:
            rest = {
                name: value for name, value in proposal.point.items() if name not in self.shared
            }
            together.setdefault(point_key(rest), []).append(proposal)
        space, limits = self.space, self.space.file.constraints.items()
        place = os.path.abspath if self.executor.is_remote else str
        return [
            Group(
                place(space.base),
                place(space.trace_of(members[0].point)),
                space.file.images,
                tuple((name, bound.at_most, bound.at_least) for name, bound in limits),
                tuple(sorted({*space.file.objectives, *space.file.constraints})),
                tuple(Candidate(each.number, space.overrides(each.point)) for each in members),
                self.replays,
            )
            for members in together.values()
        ]


def _priced_alone(space: Space) -> list[str]:
    """Parameters that seem to decide prices only: none of their values changes the base's replay.

    A guess that makes good groups; whether a replay is shared is decided machine by machine.
    """
    base = simulation_key(load_architecture(space.base))
    shared = []
    for name, parameter in space.parameters.items():
        tried = parameter.values() or (parameter.low, parameter.high)
        try:
            for value in (tried[0], tried[-1]):
                alone = load_architecture(space.base, [override(name, value)])
                if simulation_key(alone) != base:
                    break
            else:
                shared.append(name)
        except ArchitectureError:
            continue
    return shared


def _provenance(space: Space, *, strict: bool) -> dict[str, Any]:
    provenance: dict[str, Any] = {
        "schema": SCHEMA,
        "stasim": simulator.__version__,
        "space": space.file.model_dump(mode="json", by_alias=True),
        "space_hash": space.content_hash,
        "base": load_architecture(space.base).content_hash,
        "traces": {Path(file).name: digest for file, digest in space.traces.hashes.items()},
        "versions": {"numpy": np.__version__, "numba": numba.__version__},
    }
    if strict:
        provenance["strict"] = True
    return provenance
