"""The sections of a machine's file: its process, cores, buffers and memories."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from simulator.components.memories.base import Memory
from simulator.components.pe_arrays.base import PEArray
from simulator.components.vector_units.base import VectorUnit

MOST_CORES = 64


def _single_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise PydanticCustomError("single_line", "must be one line of printable text")
    return text


class Section(BaseModel):
    """Describe a mapping of the file: frozen, no unknown fields, numbers strict and finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )


TermName = Literal["gates", "operand_registers", "wires", "clock", "clock_tree", "logic_leakage"]
SramCellsName = Literal[
    "foundry_28nm",
    "lstp_300k",
    "lstp_350k",
    "lop_300k",
    "lop_350k",
    "hp_300k",
    "hp_350k",
    "hp_periphery_300k",
    "hp_periphery_350k",
]
DramPowerName = Literal["states", "table", "ddr4_x16", "ddr4_x8", "ddr3_x8", "lpddr3_x32", "hbm2"]
SingleLine = Annotated[str, Field(max_length=200), AfterValidator(_single_line)]


class Technology(Section):
    """Name the process that the machine is made in, and the table that prices its actions."""

    node_nm: int = Field(gt=0, le=10_000, description="technology node")
    voltage_v: float | None = Field(
        default=None,
        gt=0,
        le=10,
        exclude_if=lambda voltage_v: voltage_v is None,
        description="supply voltage; none or that of the energy table",
    )
    energy_table: SingleLine = Field(
        description="name of a built-in energy table, or path of one relative to this file"
    )
    terms: tuple[TermName, ...] = Field(
        default=("gates", "wires", "clock", "logic_leakage"),
        strict=False,
        description="what is priced beyond the table",
    )
    sram_cells: SramCellsName = Field(
        default="foundry_28nm", description="cells and temperature of the SRAM's leakage"
    )
    dram_power: DramPowerName = Field(
        default="states",
        description="DRAM by its states: a part's currents, or those that the standard has; or the "
        "table's price a bit",
    )


class Buffers(Section):
    """Hold the local buffers of a core, one a kind of data."""

    weights: Memory = Field(description="weights, shared by all rows of a tile")
    spikes: Memory = Field(description="input spikes, bit-packed")
    partial_sums: Memory = Field(description="accumulators that outlive a tile")
    membranes: Memory = Field(description="membrane potentials between timesteps")
    masks: Memory = Field(description="masks of the tokens that are still active")


class Engines(Section):
    """Hold arrays of their own for some classes of products; `pe_array` takes all others."""

    input: PEArray | None = Field(
        default=None, description="products of the network's input, which is integers"
    )
    convolutions: PEArray | None = Field(default=None, description="convolutions")
    linears: PEArray | None = Field(default=None, description="linear layers")
    attention: PEArray | None = Field(default=None, description="products of two activations")


class Core(Section):
    """Hold a PE array, or several, with a vector unit and local buffers."""

    pe_array: PEArray = Field(description="multiplies weights and spikes")
    engines: Engines | None = Field(
        default=None,
        exclude_if=lambda engines: engines is None,
        description="further arrays, each for a class of products; pe_array takes the others",
    )
    vector_unit: VectorUnit = Field(description="neurons, residuals, pooling, halting scores")
    buffers: Buffers = Field(description="local buffers")

    @property
    def arrays(self) -> dict[str, PEArray]:
        """All arrays by their path in the core; that of `pe_array` is the first."""
        found = {"pe_array": self.pe_array}
        for name in type(self.engines).model_fields if self.engines else ():
            engine = getattr(self.engines, name)
            if engine is not None:
                found[f"engines.{name}"] = engine
        return found

    @property
    def adders(self) -> int:
        """Adders of all arrays."""
        return sum(array.adders for array in self.arrays.values())

    def array_for(self, product_class: str) -> str:
        """Return the path of the array that takes a class of products."""
        path = f"engines.{product_class}"
        return path if path in self.arrays else "pe_array"


class EqualCores(Core):
    """Describe several equal cores once."""

    count: int = Field(ge=1, le=MOST_CORES, description="number of equal cores")


class Memories(Section):
    """Hold the memories that all cores share."""

    dram: Memory = Field(description="memory outside the chip")
    global_buffer: Memory | None = Field(
        default=None, description="on-chip memory between the cores and DRAM"
    )


class Published(Section):
    """Hold what the design's own authors state, beside our figures."""

    area_mm2: float | None = Field(default=None, gt=0, le=1e4, description="area of the chip")
    power_mw: float | None = Field(default=None, gt=0, le=1e6, description="power")
    source: SingleLine = Field(description="where it is stated, and for what work")
