"""What every part of the hardware library is made of, and the registry that finds parts by kind.

A part is one class in one file of its slot's folder. Its class statement registers it:

    class SpikeSkip(PEArray, kind="spike_skip"):
        '''One sentence: what it models. Then the source.'''

        example: ClassVar[str] = "kind: spike_skip\\nrows: 8\\n"
        rows: int = Field(gt=0, description="rows of processing elements")

A slot is a folder with a base class in base.py, whose class statement says `slot="its_name"`.
Parts of other packages, and slots, come in through entry points of the group "stasim.components".
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from simulator.components.precision import Precision
from simulator.config.wording import suggestion
from simulator.errors import ArchitectureError

ENTRY_POINT_GROUP = "stasim.components"


class Primitive(NamedTuple):
    """Describe a priceable piece of an action, in the words of an energy table.

    `bits`: width of the operands; `size_kib`: capacity of one bank; `width_bits`: bits of one
    access; `technology`: e.g. a DRAM standard; `times`: how often one action does it. A field that
    does not apply keeps its default.
    """

    operation: str
    """add | multiply | compare | sram_read | sram_write | dram_read | dram_write | sram_leakage"""
    bits: int = 0
    size_kib: float = 0.0
    width_bits: int = 0
    technology: str = ""
    times: int = 1


NARROWEST_WORD_BITS, WIDEST_WORD_BITS, SMALLEST_BANK_KIB = 32, 512, 1.0
"""Of the banks that the SRAM grid holds (simulator/energy/tables/sram_cacti.csv)."""


def small_bank(operation: str, size_kib: float, width_bits: int, times: int = 1) -> Primitive:
    """Return accesses to a bank inside an array, as banks that the SRAM grid holds.

    A wider word is that of equal banks side by side, a smaller bank is the smallest.
    """
    banks = -(-width_bits // WIDEST_WORD_BITS)
    return Primitive(
        operation,
        size_kib=max(size_kib / banks, SMALLEST_BANK_KIB),
        width_bits=max(-(-width_bits // banks), NARROWEST_WORD_BITS),
        times=banks * times,
    )


class Action(NamedTuple):
    """Describe what a part does and counts: in words, and by the primitives that price it."""

    meaning: str
    primitives: tuple[Primitive, ...]


class Component(BaseModel):
    """Describe a part of a machine: frozen, with strict fields, known by its slot and kind.

    Numbers are strict: an int is never a bool or a float, a float is finite. A list in the YAML is
    a field `tuple[int, ...] = Field(strict=False, description=...)`. Every field has a description
    (its line in the table of parts), and the name of a field that has a unit ends in that unit.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )

    slot: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    """The name that selects the part in a YAML file; empty for a base class."""
    example: ClassVar[str] = ""
    """YAML of one valid part, with its `kind`; for the docs and for the contract tests."""

    _precision: Precision = PrivateAttr(default_factory=Precision)

    # Declared for type checkers: the work is done below, where the fields are known.
    def __init_subclass__(
        cls, *, kind: str | None = None, slot: str = "", base: bool = False, **config: Any
    ) -> None:
        super().__init_subclass__(**config)

    @classmethod
    def __pydantic_init_subclass__(
        cls, *, kind: str | None = None, slot: str = "", base: bool = False, **config: Any
    ) -> None:
        """Register the part; `slot=` declares a slot, `base=True` a class that parts share."""
        super().__pydantic_init_subclass__(**config)
        cls.kind = ""
        if slot:
            _open_slot(cls, slot)
        elif not base:
            _register(cls, kind)

    @model_validator(mode="wrap")
    @classmethod
    def _choose_by_kind(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn a mapping with a `kind` into the part of that kind."""
        if not isinstance(value, Mapping):
            return handler(value)
        known: dict[str, Any]
        if cls.kind:
            known = {cls.kind: cls}
            kind = value.get("kind", cls.kind)
        else:
            kind = value.get("kind")
            known = _shipped(cls, kind) or {
                name: part for name, part in registry(cls.slot).items() if issubclass(part, cls)
            }
        if not isinstance(kind, str) or kind not in known:
            raise _kind_error(cls, kind, "kind" in value, known)
        fields = {name: field for name, field in value.items() if name != "kind"}
        chosen: Any = known[kind]
        part: Self = handler(fields) if cls.kind else chosen.model_validate(fields)
        return part

    @property
    def precision(self) -> Precision:
        """The widths of the machine that the part is in; the usual ones of a part alone."""
        return self._precision

    def put_in(self, precision: Precision) -> Self:
        """Set the widths of the part's machine; return the part."""
        self._precision = precision
        return self

    @model_serializer(mode="plain")
    def _with_kind(self) -> dict[str, Any]:
        return {"kind": self.kind} | {name: getattr(self, name) for name in type(self).model_fields}

    def actions(self) -> dict[str, Action]:
        """Return everything the part counts, by the name that its counts use."""
        return {}

    def leakage(self) -> tuple[Primitive, ...]:
        """Return what leaks while the machine is on, as primitives of power: its SRAM banks."""
        return ()

    def logic(self) -> tuple[Primitive, ...]:
        """Return adders, comparators, multipliers, registers whose area is known, each `times`.

        What no source states (control, queues, networks) is left out, and said to be.
        """
        return ()

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        """Return all that the part's cycles and counts follow from.

        A replay on parts that are equal in this has the same cycles and counts, so it need only be
        priced again (simulator/results/repricing.py). All fields, unless a part knows of some
        that decide prices alone.
        """
        return self.model_dump()


_parts: dict[str, dict[str, type[Component]]] = {}
_bases: dict[str, type[Component]] = {}
_discovered = False


def slots() -> dict[str, type[Component]]:
    """Return the base class of each slot, in alphabetical order, those of other packages included.

    Raises ArchitectureError when an installed package offers a part that cannot be loaded.
    """
    _discover()
    return dict(sorted(_bases.items()))


def registry(slot: str) -> dict[str, type[Component]]:
    """Return the parts of a slot by kind, in alphabetical order, those of other packages included.

    Raises ArchitectureError when an installed package offers a part that cannot be loaded.
    """
    _discover()
    return dict(sorted(_parts[slot].items()))


def _shipped(cls: type[Component], kind: object) -> dict[str, type[Component]]:
    """Return the part of this library whose module is named as its kind, importing no other.

    A machine names some ten parts; to import them all takes longer than to read its file.
    """
    if not isinstance(kind, str) or not kind.isidentifier():
        return {}
    parent = __name__.rpartition(".")[0]
    name = f"{parent}.{cls.slot}.{kind}"
    if not _discovered and importlib.util.find_spec(f"{parent}.{cls.slot}") is not None:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    part = _parts.get(cls.slot, {}).get(kind)
    own = part is not None and part.__module__ == name and issubclass(part, cls)
    return {kind: part} if own and part is not None else {}


def _discover() -> None:
    global _discovered
    if not _discovered:
        _import_own_parts()
        _load_entry_points()
        _discovered = True


def build(slot: str, fields: Mapping[str, Any]) -> Component:
    """Return the part that `fields` (its YAML mapping, with `kind`) describes.

    Raises pydantic's ValidationError; architecture files report theirs with file and line.
    """
    part = registry(slot).get(fields.get("kind", ""))
    if part is None:
        raise _kind_error(Component, fields.get("kind"), "kind" in fields, registry(slot))
    return part.model_validate(fields)


def _full_name(cls: type[Component]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _open_slot(cls: type[Component], slot: str) -> None:
    """Enter the base class of a slot; a name that another class has is a TypeError."""
    name, other = _full_name(cls), _bases.get(slot, cls)
    if _full_name(other) != name:
        raise TypeError(f"{name}: the slot {slot!r} is taken by {_full_name(other)}")
    if not slot.isidentifier():
        raise TypeError(f"{name}: slot {slot!r}: must be an identifier")
    cls.slot = slot
    _bases[slot] = cls
    _parts.setdefault(slot, {})


def _register(cls: type[Component], kind: str | None) -> None:
    """Enter a part under its kind; a class statement that breaks a rule is a TypeError."""
    name = _full_name(cls)
    if cls.slot not in _parts:
        raise TypeError(
            f"{name}: derive a part from the base class of a slot ({', '.join(_bases)})"
        )
    if not kind or not kind.isidentifier():
        raise TypeError(f'{name}: a part names its kind: class X({cls.slot} base, kind="a_name")')
    if not (cls.__doc__ or "").strip() or "example" not in vars(cls) or not cls.example.strip():
        raise TypeError(f"{name}: a part has a docstring and an `example: ClassVar[str]` in YAML")
    missing = sorted(cls.__abstractmethods__)
    if missing:
        raise TypeError(f"{name}: a part of {cls.slot} defines {', '.join(missing)}")
    for field, info in cls.model_fields.items():
        if not (info.description or "").strip():
            raise TypeError(f"{name}.{field}: every field has a description, one line")
    other = _full_name(_parts[cls.slot].get(kind, cls))
    # The same class again is a module that was reloaded.
    if other != name:
        raise TypeError(f"{name}: the kind {kind!r} of {cls.slot} is taken by {other}")
    cls.kind = kind
    _parts[cls.slot][kind] = cls


def _kind_error(
    cls: type[Component], kind: object, given: bool, known: Iterable[str]
) -> ValidationError:
    rule = "unknown kind" if given else "a part needs its kind"
    error = PydanticCustomError(
        "unknown_kind" if given else "missing_kind",
        "{rule}",
        {"rule": f"{rule} {suggestion(kind, known)}"},
    )
    detail = InitErrorDetails(type=error, loc=("kind",), input=kind)
    return ValidationError.from_exception_data(cls.__name__, [detail])


def _import_own_parts() -> None:
    """Import every module of every folder beside this file; each folder is a slot."""
    parent = __name__.rpartition(".")[0]
    for folder in pkgutil.iter_modules(importlib.import_module(parent).__path__, f"{parent}."):
        if folder.ispkg:
            package = importlib.import_module(folder.name)
            for module in pkgutil.iter_modules(package.__path__, f"{folder.name}."):
                importlib.import_module(module.name)


def _load_entry_points() -> None:
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry.load()
        except Exception as error:  # whatever a foreign package does wrong, the user sees its name
            package = entry.dist.name if entry.dist else "unknown"
            raise ArchitectureError(
                f"package {package}: entry point '{entry.name} = {entry.value}' of group "
                f"{ENTRY_POINT_GROUP}: cannot be loaded: {type(error).__name__}: {error}"
            ) from error
