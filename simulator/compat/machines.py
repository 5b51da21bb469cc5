"""Which of the designs with a rule an architecture file stands for."""

from __future__ import annotations

from typing import NamedTuple

from simulator.architecture import Architecture
from simulator.errors import ArchitectureError


class MachineRule(NamedTuple):
    """The kind of array, and the sizes that a design's rule is written for."""

    kind: str
    fields: dict[str, int | str]


RULES: dict[str, MachineRule] = {
    "Prosperity": MachineRule(
        "product_sparse", {"columns": 128, "tile_rows": 256, "row_inputs": 16}
    ),
    "PTB": MachineRule("time_batched", {"rows": 16, "columns": 8, "window_timesteps": 4}),
    "SATO": MachineRule("sorted_rows", {"rows": 128}),
    "MINT": MachineRule("spike_count", {"columns": 128}),
    "Eyeriss_linear": MachineRule("dense_systolic", {"rows": 14, "columns": 12}),
}


def design_of(architecture: Architecture) -> str:
    """The design whose rule fits the machine's array and clock.

    Raises ArchitectureError, naming the value and the rule, if there is none.
    """
    array = architecture.core.pe_array
    place = f"{architecture.name}: cores.0.pe_array"
    for design, rule in RULES.items():
        if rule.kind != array.kind:
            continue
        for field, value in rule.fields.items():
            if getattr(array, field) != value:
                raise ArchitectureError(
                    f"{place}.{field}: {getattr(array, field)}: must be {value}, for which the "
                    f"rule of {design} in prosperity_compat is written"
                )
        if architecture.clock_mhz != 500:
            raise ArchitectureError(
                f"{architecture.name}: clock_mhz: {architecture.clock_mhz:g}: must be 500, at "
                "which prosperity_compat states its times"
            )
        return design
    known = ", ".join(rule.kind for rule in RULES.values())
    raise ArchitectureError(
        f"{place}.kind: {array.kind}: prosperity_compat has rules for {known} only"
    )
