"""Cells of our tables: at which power and DRAM price the order of two designs turns."""

from __future__ import annotations

from simulator.energy.break_even import Design, compare, ratio_span


def order_cells(one: Design, other: Design) -> list[str]:
    """Return cells of a table: the ratio's bounds, and at which power and DRAM price one wins.

    In brackets what the first one has now.
    """
    low, _, high = ratio_span(one, other)
    cells = [f"{low:.2f} to {high:.2f}"]
    for turn in compare(one, other).turns[:2]:
        range_ = "any" if turn.first_below else "none"
        if turn.value is not None:
            range_ = f"{'below' if turn.first_below else 'above'} {_three(turn.value)}"
        cells.append(f"{range_} ({_three(turn.bounds.nominal)})")
    return cells


def _three(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):,g}"
