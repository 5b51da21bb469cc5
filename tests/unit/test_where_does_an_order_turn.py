"""Is the order of two designs by energy told with what turns it, and with nothing that does not?"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.energy.break_even import (
    Design,
    compare,
    sentences,
)
from simulator.energy.spans import NOTHING, Span, total


def design(chip: Span, bits: float, latency_ms: float, power_mw: Span) -> Design:
    """A design that pays for three causes."""
    dram, power = Span(4, 12, 22).times(bits), power_mw.times(1e6 * latency_ms)
    causes = {"add": chip, "dram ddr4": dram, "clock": power}
    return Design(causes, chip, dram, power, bits, latency_ms)


SHORT = design(Span(1e8, 1e8, 2e8), 3e8, 2.0, Span(100, 200, 1000))
LONG = design(Span(2e8, 2e8, 3e8), 1e8, 6.0, Span(100, 200, 1000))


def test_at_each_turn_both_designs_cost_the_same() -> None:
    power, price = compare(SHORT, LONG).turns[:2]
    assert power.value is not None
    assert price.value is not None
    for own_mw, bit_pj in ((power.value, 12.0), (200, price.value)):
        energies = [
            each.chip.nominal + bit_pj * each.dram_bits + own_mw * 1e6 * each.latency_ms
            for each in (SHORT, LONG)
        ]
        assert energies[0] == pytest.approx(energies[1])
    # The one that moves more and runs shorter is cheaper where power is dear and DRAM is cheap.
    assert not power.first_below
    assert price.first_below


def test_a_design_against_itself_is_a_tie() -> None:
    assert compare(SHORT, SHORT).is_robust
    assert sentences(("a", "b"), SHORT, SHORT, str) == [
        "a and b take the same energy, whatever the prices"
    ]


def test_a_design_that_is_never_dearer_has_no_turn() -> None:
    half = Design(
        {name: span.times(0.5) for name, span in LONG.causes.items()},
        LONG.chip.times(0.5), LONG.dram.times(0.5), LONG.power.times(0.5),
        LONG.dram_bits / 2, LONG.latency_ms / 2,
    )  # fmt: skip
    found = compare(half, LONG)
    assert found.is_robust
    assert [turn.value for turn in found.turns] == [None, None]
    told = sentences(("half", "all"), half, LONG, str)
    assert "robust over all bounds" in told[0]
    assert told[1:] == [
        "half is cheaper at any always-on power",
        "half is cheaper at any DRAM price",
    ]


spans = st.tuples(*[st.floats(0, 100)] * 3).map(lambda each: Span(*sorted(each)))


@given(st.lists(st.tuples(spans, spans), min_size=1, max_size=4))
def test_robust_is_what_trying_every_corner_says(pairs: list[tuple[Span, Span]]) -> None:
    one, other = (
        Design(
            {str(place): pair[side] for place, pair in enumerate(pairs)},
            total(pair[side] for pair in pairs), NOTHING, NOTHING, 0.0, 1.0,
        )
        for side in (0, 1)
    )  # fmt: skip
    corners = [
        sum(pair[0][at] - pair[1][at] for pair, at in zip(pairs, places, strict=True))
        for places in itertools.product(range(3), repeat=len(pairs))
    ]
    found = compare(one, other)
    assert found.difference_pj.low == pytest.approx(min(corners), abs=1e-9)
    assert found.difference_pj.high == pytest.approx(max(corners), abs=1e-9)
    for turn in found.turns[2:]:
        assert turn.is_within


def test_a_cause_that_turns_the_order_alone_is_named() -> None:
    cheap = design(Span(1e8, 3e8, 9e9), 1e8, 2.0, Span(200, 200, 200))
    dear = design(Span(1e8, 1e8, 1e8), 2e8, 2.0, Span(200, 200, 200))
    found = compare(cheap, dear)
    assert not found.is_robust
    (turn,) = [turn for turn in found.turns if turn.quantity == "add"]
    assert turn.value is not None
    at_turn = 3e8 + turn.value * (9e9 - 3e8)
    assert at_turn + 12e8 == pytest.approx(1e8 + 24e8)
    told = sentences(("cheap", "dear"), cheap, dear, lambda value: f"{value:.3g}")
    assert any("dear is cheaper from 11% of the way" in line and "of add" in line for line in told)
