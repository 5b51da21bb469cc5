"""The file of a space of designs, field by field.

schema: stasim-space/1
name: small
base: ../sparse_pe.yaml
parameters:
  cores.0.pe_array.rows: {choices: [4, 8, 16]}
  memories.dram.bandwidth_gb_per_s: {low: 8.0, high: 32.0, step: 8.0}
objectives: {latency_ms: minimize, energy_uj: minimize}
constraints: {sram_kib: {at_most: 1024}}
search: {strategy: grid}
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from simulator.config.wording import suggestion
from simulator.sweep.metrics import METRICS

SCHEMA = "stasim-space/1"
MOST_CHOICES = 10_000
MOST_POINTS = 1_000_000


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Parameter(_Section):
    """Describe what is varied: `choices`, or `low` to `high`, by `step` or on a `log` scale."""

    choices: tuple[Any, ...] | None = Field(
        default=None, strict=False, min_length=1, max_length=MOST_CHOICES, description="its values"
    )
    low: int | float | None = Field(default=None, description="least value of a range")
    high: int | float | None = Field(default=None, description="largest value of a range")
    step: int | float | None = Field(default=None, gt=0, description="between values of a range")
    log: bool = Field(default=False, description="whether a range is drawn from by its logarithm")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Parameter:
        given = {name for name in ("low", "high", "step") if getattr(self, name) is not None}
        if self.choices is not None:
            if given or self.log:
                raise _rule("choices, or a range with low and high, not both")
            texts = [json.dumps(choice, sort_keys=True) for choice in self.choices]
            if len(set(texts)) < len(texts):
                raise _rule("choices that differ")
            return self
        if self.low is None or self.high is None:
            raise _rule("choices: [...], or a range with low and high")
        if not self.low < self.high:
            raise _rule("a range whose low is under its high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise _rule("a log range with low above 0 and without step")
        return self

    @property
    def is_integer(self) -> bool:
        """Say whether a range holds whole numbers only."""
        return all(type(end) is int for end in (self.low, self.high)) and type(self.step) in (
            int,
            type(None),
        )

    def values(self) -> tuple[Any, ...] | None:
        """Return all values in order; None for a range of real numbers."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None
        assert self.high is not None
        step = 1 if self.is_integer and self.step is None else self.step
        if step is None or (self.log and not self.is_integer):
            return None
        count = int((self.high - self.low) / step + 1e-9) + 1
        if count > MOST_CHOICES:
            return None
        return tuple(self.low + place * step for place in range(count))


class MetricBound(_Section):
    """Hold a limit on a metric."""

    at_most: float | None = Field(default=None, description="upper limit")
    at_least: float | None = Field(default=None, description="lower limit")

    @model_validator(mode="after")
    def _limits(self) -> MetricBound:
        if self.at_most is None and self.at_least is None:
            raise _rule("a mapping with at_most or at_least")
        return self


class Search(_Section):
    """Say how points are proposed. The same space and seed propose the same points anywhere."""

    strategy: Literal["grid", "random", "nsga2", "tpe"] = Field(description="how to search")
    points: int | None = Field(
        default=None, gt=0, le=MOST_POINTS, description="how many; a grid has all its points"
    )
    seed: int = Field(default=0, ge=0, le=2**31, description="of what is drawn")
    batch: int = Field(
        default=16,
        gt=0,
        le=4096,
        description="points that nsga2 (its population) and tpe propose before they learn again",
    )

    @model_validator(mode="after")
    def _points(self) -> Search:
        if (self.strategy == "grid") != (self.points is None):
            kind = "no points for a grid" if self.strategy == "grid" else "points: how many"
            raise _rule(kind)
        return self


def _rule(text: str) -> PydanticCustomError:
    return PydanticCustomError("space", "must be {rule}", {"rule": text})


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise PydanticCustomError(
            "metric", "{rule}", {"rule": f"unknown {suggestion(name, METRICS)}"}
        )
    return name


MetricName = Annotated[str, AfterValidator(_known_metric)]


class SpaceFile(_Section):
    """Describe the file as it is written."""

    schema_version: Literal["stasim-space/1"] = Field(alias="schema", description=SCHEMA)
    name: str = Field(min_length=1, max_length=200, description="short name, for reports")
    base: str = Field(min_length=1, description="architecture file, relative to this file")
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, description="what is varied, by path in the architecture file"
    )
    traces: tuple[dict[str, Any], ...] = Field(
        default=(), strict=False, description="traces, each with the values it was captured at"
    )
    images: str | None = Field(
        default=None, description="A:B, the images to simulate of each trace"
    )
    objectives: dict[MetricName, Literal["minimize", "maximize"]] = Field(
        min_length=1, description="what to optimise, and in which direction"
    )
    constraints: dict[MetricName, MetricBound] = Field(
        default_factory=dict, description="limits that a design has to keep"
    )
    search: Search = Field(description="how to search")
