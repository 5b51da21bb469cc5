"""A small valid architecture file and the small parts it is made of, for tests of the loader."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from simulator.components.dataflows.base import Dataflow
from simulator.components.memories.base import Memory
from simulator.components.pe_arrays.base import PEArray
from simulator.components.token_skip.base import TokenSkip
from simulator.components.vector_units.base import VectorUnit

TINY_MACHINE = """\
schema: stasim-architecture/1
name: tiny
source: made for this test
technology:
  node_nm: 28
  voltage_v: 0.9
  energy_table: tiny_28nm
clock_mhz: 500
cores:
  - pe_array:
      kind: walker
      rows: 8
      mode: wide
    vector_unit: {kind: lanes, lanes: 4}
    buffers:
      weights: {kind: plain, size_kib: 64}
      spikes: {kind: plain, size_kib: 16}
      partial_sums: {kind: plain, size_kib: 32}
      membranes: {kind: plain, size_kib: 32}
      masks: {kind: plain, size_kib: 1}
token_skip: {kind: nothing}
memories:
  dram: {kind: plain, size_kib: 1048576}
dataflow: {kind: in_order, tile: [4, 8]}
"""


def define_parts() -> None:
    """Small parts, one or two a slot, for the registry of the test."""

    class Walker(PEArray, kind="walker"):
        """Walks."""

        example: ClassVar[str] = "kind: walker\nrows: 8\n"
        rows: int = Field(gt=0, le=1024, description="rows of processing elements")
        lanes: int = Field(default=1, gt=0, description="spikes a cycle")
        mode: Literal["wide", "narrow"] = Field(default="wide", description="how it walks")
        gated: bool = Field(default=False, description="whether idle lanes are gated")

    class Plain(Memory, kind="plain"):
        """Stores."""

        example: ClassVar[str] = "kind: plain\nsize_kib: 8\n"
        size_kib: float = Field(gt=0, description="capacity")

    class Lanes(VectorUnit, kind="lanes"):
        """Updates."""

        example: ClassVar[str] = "kind: lanes\nlanes: 4\n"
        lanes: int = Field(gt=0, description="elements a cycle")

    class Nothing(TokenSkip, kind="nothing"):
        """Skips nothing."""

        example: ClassVar[str] = "kind: nothing\n"

    class InOrder(Dataflow, kind="in_order"):
        """One after another."""

        example: ClassVar[str] = "kind: in_order\n"
        tile: tuple[int, ...] = Field(default=(1, 1), strict=False, description="rows, columns")

    class AnyOrder(Dataflow, kind="any_order"):
        """In any order."""

        example: ClassVar[str] = "kind: any_order\n"
