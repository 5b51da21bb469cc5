"""The energy of counted actions: tables of prices with sources, and the field's convention."""

from simulator.energy.field_convention import (
    CONVENTIONS,
    FieldAttention,
    FieldEnergy,
    FieldLayer,
    field_energy,
    trace_field_energy,
)
from simulator.energy.logic import Price
from simulator.energy.pricing import EnergyTable, Leakage, table_names

__all__ = [
    "CONVENTIONS",
    "EnergyTable",
    "FieldAttention",
    "FieldEnergy",
    "FieldLayer",
    "Leakage",
    "Price",
    "field_energy",
    "table_names",
    "trace_field_energy",
]
