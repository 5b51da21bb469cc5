"""An accelerator, read from a YAML file: validated, frozen, and with messages that name the line.

    architecture = load_architecture("arch_configs/sparse_pe.yaml", ["dataflow.kind=tick_batched"])

Every problem of a file is reported at once, one a line: `file:line: path: value: rule`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from simulator.components.base import Component
from simulator.components.dataflows.base import Dataflow
from simulator.components.interconnects.base import Interconnect
from simulator.components.memories.base import Memory
from simulator.components.pe_arrays.base import PEArray
from simulator.components.precision import Precision, with_widths_moved
from simulator.components.token_skip.base import TokenSkip
from simulator.components.vector_units.base import VectorUnit
from simulator.config.explain import WRITTEN_AS, report_errors
from simulator.config.located_yaml import Document, read_document
from simulator.config.shipped import MACHINES, file_of
from simulator.config.wording import shown
from simulator.errors import ArchitectureError

SCHEMA = "stasim-architecture/1"
FAMILY = SCHEMA.partition("/")[0]
MOST_CORES = 64


def _equal_cores(cores: tuple[Core, ...]) -> tuple[Core, ...]:
    if not 1 <= len(cores) <= MOST_CORES:
        raise PydanticCustomError(
            "cores", "must be a list of 1 to {most} cores", {"most": MOST_CORES}
        )
    for number, core in enumerate(cores):
        if core != cores[0]:
            raise PydanticCustomError(
                "equal_cores", "core {number} must equal core 0", {"number": number}
            )
    return cores


def _one_or_list(value: Any, handler: ValidatorFunctionWrapHandler) -> tuple[Core, ...]:
    """Take a count and the description of one core, or a list of equal cores."""
    if not isinstance(value, Mapping):
        listed: tuple[Core, ...] = handler(value)
        return listed
    cores = EqualCores.model_validate(value)
    core = Core(**{name: getattr(cores, name) for name in Core.model_fields})
    return (core,) * cores.count


def _single_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise PydanticCustomError("single_line", "must be one line of printable text")
    return text


class _Section(BaseModel):
    """A mapping of the file: frozen, no unknown fields, numbers strict and finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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


class Technology(_Section):
    """The process that the machine is made in, and the table that prices its actions."""

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


class Buffers(_Section):
    """The local buffers of a core, one a kind of data."""

    weights: Memory = Field(description="weights, shared by all rows of a tile")
    spikes: Memory = Field(description="input spikes, bit-packed")
    partial_sums: Memory = Field(description="accumulators that outlive a tile")
    membranes: Memory = Field(description="membrane potentials between timesteps")
    masks: Memory = Field(description="masks of the tokens that are still active")


class Engines(_Section):
    """Arrays of their own for some classes of products; `pe_array` takes all others."""

    input: PEArray | None = Field(
        default=None, description="products of the network's input, which is integers"
    )
    convolutions: PEArray | None = Field(default=None, description="convolutions")
    linears: PEArray | None = Field(default=None, description="linear layers")
    attention: PEArray | None = Field(default=None, description="products of two activations")


class Core(_Section):
    """A PE array, or several, with a vector unit and local buffers."""

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
    """Several equal cores, described once."""

    count: int = Field(ge=1, le=MOST_CORES, description="number of equal cores")


class Memories(_Section):
    """The memories that all cores share."""

    dram: Memory = Field(description="memory outside the chip")
    global_buffer: Memory | None = Field(
        default=None, description="on-chip memory between the cores and DRAM"
    )


class Published(_Section):
    """What the design's own authors state, to stand beside our figures."""

    area_mm2: float | None = Field(default=None, gt=0, le=1e4, description="area of the chip")
    power_mw: float | None = Field(default=None, gt=0, le=1e6, description="power")
    source: SingleLine = Field(description="where it is stated, and for what work")


class Architecture(_Section):
    """A whole machine; attributes as in the file. Equal machines have equal content hashes."""

    schema_version: Literal["stasim-architecture/1"] = Field(alias="schema", description=SCHEMA)
    name: SingleLine = Field(description="short name, for reports")
    source: str = Field(min_length=1, description="where the numbers come from")
    technology: Technology = Field(description="process, voltage and energy table")
    clock_mhz: float = Field(gt=0, le=1e6, description="clock of the whole machine")
    precision: Precision = Field(
        default_factory=Precision, description="widths of the machine's numbers"
    )
    cores: Annotated[
        tuple[Core, ...], AfterValidator(_equal_cores), WrapValidator(_one_or_list)
    ] = Field(
        strict=False,
        description="a core with its count, or a list of equal cores",
        json_schema_extra={WRITTEN_AS: EqualCores},  # type: ignore[dict-item]
    )
    split: Literal["tokens", "heads", "output_channels"] = Field(
        default="output_channels", description="what several cores share a layer by"
    )
    token_skip: TokenSkip = Field(description="what happens to halted tokens")
    memories: Memories = Field(description="memories that all cores share")
    interconnect: Interconnect | None = Field(
        default=None,
        description="links between cores, global buffer and DRAM; none: wires that never wait",
    )
    dataflow: Dataflow = Field(description="order of the loops, tiles, overlap")

    published: Published | None = Field(
        default=None, description="area and power that the design's authors state"
    )

    _folder: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="before")
    @classmethod
    def _state_widths_once(cls, data: Any) -> Any:
        return with_widths_moved(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _put_parts_in(self) -> Architecture:
        for _, part in self.parts():
            part.put_in(self.precision)
        return self

    @property
    def core(self) -> Core:
        """The first core; all others equal it."""
        return self.cores[0]

    @property
    def folder(self) -> Path:
        """The folder of the file, from which its relative paths count."""
        return self._folder

    @property
    def content_hash(self) -> str:
        """`sha256:<hex>` of the canonical JSON of all fields, defaults included."""
        data = self.model_dump(mode="json", by_alias=True)
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def for_halting(self, granularity: str) -> Architecture:
        """This machine with the dataflow that runs a trace with this halting granularity."""
        dataflow = self.dataflow.for_halting(granularity)
        return self if dataflow is self.dataflow else self.model_copy(update={"dataflow": dataflow})

    def parts(self) -> Iterator[tuple[str, Component]]:
        """Every part with its path in the file, in the order of the fields."""
        yield from _parts_in("", self)


def load_architecture(path: str | Path, overrides: Sequence[str] = ()) -> Architecture:
    """Read and validate an architecture file, with some of its values replaced.

    `path`: of a file, or the name of a shipped machine, such as `sparse_pe`. `overrides` are
    `path=value`, the value in YAML: `clock_mhz=500`, `cores.pe_array.rows=8`, `cores.count=4`,
    `dataflow={kind: tick_batched}`. `cores.0.` is all equal cores.
    Raises ArchitectureError, which lists all problems.
    """
    return _loaded(read_document(file_of(path, MACHINES, "machine", ArchitectureError)), overrides)


Machine = str | Path | Mapping[str, Any] | Architecture
"""A machine: a shipped name, a path, what a file would hold, or one that is loaded."""


def as_architecture(machine: Machine, overrides: Sequence[str] = ()) -> Architecture:
    """Return a machine, however it is given, with some of its values replaced, as in a file."""
    if isinstance(machine, str | Path):
        return load_architecture(machine, overrides)
    document = Document(Path("machine"))
    if isinstance(machine, Architecture):
        if not overrides:
            return machine
        document.path = machine.folder / machine.name
        document.data = machine.model_dump(mode="json", by_alias=True)
    else:
        try:
            document.data = json.loads(json.dumps(machine))
        except (TypeError, ValueError, RecursionError) as error:
            raise ArchitectureError(f"machine: {error}: must hold what a file can") from None
    return _loaded(document, overrides)


def _loaded(document: Document, overrides: Sequence[str]) -> Architecture:
    if isinstance(document.data, dict):
        for override in overrides:
            document.override(_of_all_cores(document, override))
    architecture = _validate(document)
    if architecture is None or document.problems:
        raise ArchitectureError(document.message())
    architecture._folder = document.path.parent
    return architecture


def _of_all_cores(document: Document, override: str) -> str:
    """Return the override with a path that reaches all equal cores, however the file lists them."""
    path, equals, value = override.partition("=")
    steps = path.strip().split(".")
    if steps[0] != "cores" or len(steps) < 2:
        return override
    cores, number = document.data.get("cores"), steps[1] if steps[1].isdecimal() else ""
    if isinstance(cores, list) and cores and (len(cores) > 1 or not number):
        if not isinstance(cores[0], dict) or any(core != cores[0] for core in cores):
            return override
        document.data["cores"] = cores = {"count": len(cores), **cores[0]}
        for place in [place for place in document.places if place[:2] == ("cores", 0)]:
            document.places["cores", *place[2:]] = document.places[place]
    if isinstance(cores, dict) and number and number not in cores:
        count = cores.get("count")
        if isinstance(count, int) and int(number[:9]) < count:
            del steps[1]
    return ".".join(steps) + equals + value


def _validate(document: Document) -> Architecture | None:
    """The architecture, or None and problems in the document."""
    data = document.data
    if data is None and document.problems:
        return None
    if isinstance(data, dict) and "schema" in data and data["schema"] != SCHEMA:
        # Of a file in another language nothing else can be said.
        document.problems.clear()
        rule = f"must be {SCHEMA!r}"
        if str(data["schema"]).startswith(FAMILY + "/"):
            rule += "; this file is for another version of STASim"
        place = document.place(("schema",))
        document.report(place, f"schema: {shown(data['schema'])}: {rule}")
        return None
    try:
        return Architecture.model_validate(data)
    except ValidationError as error:
        report_errors(document, error, Architecture)
        return None


def _parts_in(path: str, value: object) -> Iterator[tuple[str, Component]]:
    if isinstance(value, Component):
        yield path, value
    elif isinstance(value, tuple):
        for position, item in enumerate(value):
            yield from _parts_in(f"{path}.{position}", item)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _parts_in(f"{path}.{name}".lstrip("."), getattr(value, name))
