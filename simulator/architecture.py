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
from simulator.components.precision import Precision, with_widths_moved
from simulator.components.sections import (
    MOST_CORES,
    Core,
    EqualCores,
    Memories,
    Published,
    Section,
    SingleLine,
    Technology,
)
from simulator.components.token_skip.base import TokenSkip
from simulator.config.explain import WRITTEN_AS, report_errors
from simulator.config.located_yaml import Document, read_document
from simulator.config.shipped import MACHINES, file_of
from simulator.config.wording import shown
from simulator.errors import ArchitectureError

SCHEMA = "stasim-architecture/1"
FAMILY = SCHEMA.partition("/")[0]


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


class Architecture(Section):
    """Describe a machine; attributes as in the file. Equal machines have equal content hashes."""

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
        """Return the first core; all others equal it."""
        return self.cores[0]

    @property
    def folder(self) -> Path:
        """Return the folder of the file, from which its relative paths count."""
        return self._folder

    @property
    def content_hash(self) -> str:
        """Return `sha256:<hex>` of the canonical JSON of all fields, defaults included."""
        data = self.model_dump(mode="json", by_alias=True)
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def for_halting(self, granularity: str) -> Architecture:
        """Return this machine with the dataflow that runs a trace with this halting granularity."""
        dataflow = self.dataflow.for_halting(granularity)
        return self if dataflow is self.dataflow else self.model_copy(update={"dataflow": dataflow})

    def parts(self) -> Iterator[tuple[str, Component]]:
        """Yield every part with its path in the file, in the order of the fields."""
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
            raise ArchitectureError("machine", f"{error}", "must hold what a file can") from None
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
