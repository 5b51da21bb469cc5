"""Which points to try: all of a grid, some at random, or what Optuna learns from those before.

A strategy proposes points in batches and gets the outcome of each batch before it is asked
again. What it proposes depends on the space, its seed and those outcomes only: not on how many
workers there are, in which order they end, or whether the search was interrupted in between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from simulator.errors import SpaceError
from simulator.sweep.evaluation import FAILED, Outcome
from simulator.sweep.space import Point, Space, point_key
from simulator.sweep.space_file import Parameter

_TRIES = 50


class Proposal(NamedTuple):
    """Hold a point and its number in the search, from 0."""

    number: int
    point: Point


class Strategy(Protocol):
    """Propose points. `total`: how many it will propose."""

    total: int

    def ask(self) -> list[Proposal]:
        """Return the next batch; empty when there is nothing left to try."""

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Take what came of the batch, in its order."""


def make_strategy(space: Space) -> Strategy:
    """Return the strategy that the space names."""
    kind = space.file.search.strategy
    if kind == "grid":
        return _Listed(list(space.grid()))
    if kind == "random":
        return _Listed(_drawn(space))
    return _Learned(space)


class _Listed:
    """Points that are known from the start."""

    def __init__(self, points: list[Point]) -> None:
        self.total = len(points)
        self._left = [Proposal(number, point) for number, point in enumerate(points)]

    def ask(self) -> list[Proposal]:
        asked, self._left = self._left, []
        return asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        pass


def _drawn(space: Space) -> list[Point]:
    """Points that differ, each from a random stream of its own; fewer if the space has no more."""
    search = space.file.search
    points: dict[str, Point] = {}
    tries = 0
    while len(points) < (search.points or 0) and tries < _TRIES * (search.points or 0):
        rng = np.random.default_rng([search.seed, tries])
        point = {name: draw(parameter, rng) for name, parameter in space.axes.items()}
        points.setdefault(point_key(point), point)
        tries += 1
    return list(points.values())


def draw(parameter: Parameter, rng: np.random.Generator) -> Any:
    """Return a value of the parameter, all alike, or a range's logarithm evenly."""
    values = parameter.values()
    if values is not None and not parameter.log:
        return values[int(rng.integers(len(values)))]
    assert parameter.low is not None
    assert parameter.high is not None
    if not parameter.log:
        return float(rng.uniform(parameter.low, parameter.high))
    value = math.exp(rng.uniform(math.log(parameter.low), math.log(parameter.high)))
    value = min(max(value, parameter.low), parameter.high)
    return round(value) if parameter.is_integer else value


class _Learned:
    """Optuna's NSGA-II or TPE, batch by batch; its study is in memory.

    A trial's sampler is seeded by the trial's number, so after an interruption the same trials are
    asked again, in the same order, and the journal answers those that were evaluated.
    """

    def __init__(self, space: Space) -> None:
        try:
            import optuna
        except ImportError:
            rule = "needs the extra 'search': pip install 'stasim[search]'"
            raise SpaceError(f"strategy {space.file.search.strategy}", rule) from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._space = space
        self._search = space.file.search
        self.total = self._search.points or 0
        self._asked: list[Any] = []
        self._study = optuna.create_study(directions=list(space.file.objectives.values()))

    def ask(self) -> list[Proposal]:
        done = len(self._study.get_trials(deepcopy=False))
        size = min(self._search.batch, self.total - done)
        self._asked = []
        for number in range(done, done + size):
            self._study.sampler = self._sampler(number)
            self._asked.append(self._study.ask())
        return [Proposal(trial.number, self._point(trial)) for trial in self._asked]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        for trial, outcome in zip(self._asked, outcomes, strict=True):
            if outcome.status == FAILED:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                continue
            trial.set_constraint("limits", outcome.violation)
            self._study.tell(trial, [self._value(outcome, name) for name in self._objectives])

    @property
    def _objectives(self) -> list[str]:
        return list(self._space.file.objectives)

    def _value(self, outcome: Outcome, name: str) -> float:
        """An objective; of a point that was not simulated, as it breaks a limit, the worst."""
        worst = math.inf if self._space.file.objectives[name] == "minimize" else -math.inf
        return outcome.metrics.get(name, worst)

    def _sampler(self, number: int) -> Any:
        samplers = self._optuna.samplers
        seed = int(np.random.SeedSequence([self._search.seed, number]).generate_state(1)[0])
        batch = self._search.batch
        if self._search.strategy == "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=max(2, batch))
        return samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=batch
        )

    def _point(self, trial: Any) -> Point:
        return {name: _suggested(trial, name, axis) for name, axis in self._space.axes.items()}


def _suggested(trial: Any, name: str, parameter: Parameter) -> Any:
    """The trial's value of a parameter; a choice that is no plain value goes by its position."""
    if parameter.choices is not None:
        plain = all(
            isinstance(choice, bool | int | float | str | None) for choice in parameter.choices
        )
        known = list(parameter.choices) if plain else list(range(len(parameter.choices)))
        chosen = trial.suggest_categorical(name, known)
        return chosen if plain else parameter.choices[chosen]
    low, high, log = parameter.low, parameter.high, parameter.log
    if parameter.is_integer:
        return trial.suggest_int(name, low, high, step=parameter.step or 1, log=log)
    return trial.suggest_float(name, low, high, step=parameter.step, log=log)
