"""The widths of a machine's numbers, each stated once: parts, traffic and prices follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Precision(BaseModel):
    """Hold the bits of each kind of number that the machine moves, stores and computes with.

    Spikes take one bit. A tensor of integers takes the bit-planes that its values need, of which a
    narrower machine keeps the upper ones.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )

    weights_bits: int = Field(default=8, ge=1, le=32, description="weights")
    activations_bits: int = Field(
        default=8, ge=1, le=32, description="integers that enter an array, at most: pixels, sums"
    )
    residuals_bits: int = Field(
        default=16, ge=2, le=32, description="residual streams of real-valued sums"
    )
    membranes_bits: int = Field(default=16, ge=1, le=32, description="membrane potentials")
    partial_sums_bits: int = Field(default=16, ge=8, le=32, description="sums of the arrays")
    products_bits: int = Field(
        default=8,
        ge=2,
        le=32,
        description="products of spikes that are factors of another product; one that can be "
        "larger takes the bits that it needs",
    )

    @property
    def operand_bits(self) -> int:
        """Width of the vector unit's adders, which take membranes and residual streams."""
        return max(self.membranes_bits, self.residuals_bits)

    @property
    def factor_bits(self) -> int:
        """Width of a multiplier of a weight and an integer; 8 is the narrowest that has a price."""
        return max(self.weights_bits, self.activations_bits, 8)


_MOVED = {
    ("pe_array", "weight_bits"): "weights_bits",
    ("pe_array", "sum_bits"): "partial_sums_bits",
    ("vector_unit", "membrane_width_bits"): "membranes_bits",
    ("vector_unit", "sum_bits"): "residuals_bits",
}
"""Fields of parts that stated widths in machines of version 0.1, and what states them now."""


def with_widths_moved(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a machine's document with widths that its parts state moved to `precision`.

    Files and results from before the block state them part by part. Raises PydanticCustomError if
    two places state one width differently.
    """
    stated = document.get("precision")
    found: dict[str, Any] = dict(stated) if isinstance(stated, Mapping) else {}
    cores, moved = document.get("cores"), {**document}
    listed = cores if isinstance(cores, list | tuple) else [cores]
    moved_cores = []
    for core in listed:
        core = dict(core) if isinstance(core, Mapping) else core
        for slot, holder, place in _parts(core):
            own = dict(holder[place])
            for (of, field), width in _MOVED.items():
                if of == slot and field in own:
                    value = own.pop(field)
                    if found.setdefault(width, value) != value:
                        raise PydanticCustomError(
                            "widths",
                            "{slot}.{field}: {value}: precision.{width} states the width once, "
                            "and it is {known}",
                            {"slot": slot, "field": field, "value": value, "width": width,
                             "known": found[width]},
                        )  # fmt: skip
            holder[place] = own
        moved_cores.append(core)
    if found and (stated is None or isinstance(stated, Mapping)):
        moved["precision"] = found
    if isinstance(cores, list | tuple):
        moved["cores"] = moved_cores
    elif isinstance(cores, Mapping):
        moved["cores"] = moved_cores[0]
    return moved


def _parts(core: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the slot, holder and key of each part of a core that may state a width."""
    if not isinstance(core, dict):
        return
    for slot in ("pe_array", "vector_unit"):
        if isinstance(core.get(slot), Mapping):
            yield slot, core, slot
    if isinstance(core.get("engines"), Mapping):
        engines = core["engines"] = dict(core["engines"])
        for name in engines:
            if isinstance(engines[name], Mapping):
                yield "pe_array", engines, name
