"""Does a DRAM channel keep the gaps of its standard, its refresh and its power-down?"""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from simulator.components.memories.dram_channels import DramChannels
from simulator.components.memories.dram_gaps import place_bursts
from simulator.components.memories.dram_standards import STANDARDS
from simulator.components.memories.dram_state import ACTIVE, ACTIVE_DOWN, DOWN_ENTRIES, REFRESHED
from tests.messages import said

ROW = "row_bank_column"


def memory(standard: str = "ddr4_2400", **fields: object) -> DramChannels:
    """One channel, rows of consecutive columns, no refresh, if not stated otherwise."""
    given = {"channels": 1, "mapping": ROW, "refresh": False} | fields
    return DramChannels.model_validate({"standard": standard} | given)


def done_cycles(dram: DramChannels, addresses: list[int], write: list[int]) -> list[int]:
    """When each burst is complete, in cycles of the DRAM."""
    where = np.array(addresses, np.int64)
    served = dram.serve(where, np.full(len(where), 64), np.array(write), 0.0)
    return [round(each) for each in served.done_ns / dram.timing.tck_ns]


def test_a_read_of_a_closed_bank_opens_it_and_a_second_one_waits_for_its_group() -> None:
    timing = STANDARDS["ddr4_2400"]
    first, second = done_cycles(memory(), [0, 64], [0, 0])
    assert first == timing.rcd_read + timing.cl + timing.bl
    assert second == first + timing.ccd_l


def test_another_row_of_the_bank_waits_for_the_whole_row_cycle() -> None:
    timing = STANDARDS["ddr4_2400"]
    next_row = timing.columns * timing.banks * timing.bank_groups * timing.burst_bytes
    first, second = done_cycles(memory(), [0, next_row], [0, 0])
    assert second - first == max(timing.rc, timing.ras + timing.rp)


def test_a_read_after_a_drained_write_waits_for_the_turn() -> None:
    timing = STANDARDS["ddr4_2400"]
    dram = memory()
    served = dram.serve(np.array([0, 64]), np.array([64, 64]), np.array([1, 0]), [0.0, 20.0])
    written, read = (round(each) for each in served.done_ns / timing.tck_ns)
    assert read - written == timing.cwl + timing.bl + timing.wtr_l + timing.cl + timing.bl


def test_a_read_of_what_waits_to_be_written_is_answered_by_the_queue() -> None:
    assert done_cycles(memory(), [0, 0], [1, 0])[1] == 1


def test_channels_serve_small_requests_at_the_same_time() -> None:
    drawn = np.random.default_rng(3).integers(0, 1 << 22, 2000) * 64
    sizes, reads = np.full(2000, 64), np.zeros(2000, np.bool_)
    one, four = (
        memory(channels=channels).serve(drawn, sizes, reads, 0.0).done_ns.max()
        for channels in (1, 4)
    )
    assert four < 0.4 * one


def test_refresh_comes_each_interval_and_takes_its_time() -> None:
    timing = STANDARDS["ddr4_2400"]
    addresses = np.arange(20_000, dtype=np.int64) * 64
    sizes, reads = np.full(20_000, 64), np.zeros(20_000, np.bool_)
    # Mapped so that the bus is the limit: what a refresh takes is then lost.
    without = memory(mapping="four_burst_xor").serve(addresses, sizes, reads, 0.0)
    served = memory(mapping="four_burst_xor", refresh=True).serve(addresses, sizes, reads, 0.0)
    refreshes = int(served.counts[0, REFRESHED])
    assert 0 <= served.done_ns.max() / timing.tck_ns // timing.refi - refreshes <= 1
    added = (served.done_ns.max() - without.done_ns.max()) / timing.tck_ns
    assert refreshes * timing.rfc <= added <= refreshes * (timing.rfc + 4 * timing.rc)


def test_an_idle_channel_powers_down_and_wakes_late() -> None:
    timing = STANDARDS["ddr4_2400"]
    idle_ns = 1000 * timing.tck_ns
    times = []
    for after in (0, 100):
        dram = memory(power_down_after_cycles=after)
        # Two bank groups, so that the second read need not wait for anything of the first.
        addresses = np.array([0, timing.columns * 64])
        served = dram.serve(addresses, np.array([64, 64]), np.zeros(2), [0.0, idle_ns])
        times.append((served.done_ns[1] / timing.tck_ns, served.counts[0]))
    (awake, quiet), (woken, counts) = times
    assert round(woken - awake) == timing.xp
    assert quiet[DOWN_ENTRIES] == 0
    assert counts[DOWN_ENTRIES] == 1
    # The bank of the first read stays open, so this is active power-down.
    assert 850 <= counts[ACTIVE_DOWN] <= 900
    assert counts[ACTIVE] + counts[ACTIVE_DOWN] <= woken


@pytest.mark.parametrize("mapping", [ROW, "four_burst_xor"])
@pytest.mark.parametrize("standard", STANDARDS)
def test_each_address_has_a_place_of_its_own(standard: str, mapping: str) -> None:
    timing = STANDARDS[standard]
    bursts = 4 * timing.columns * timing.pseudo_channels * timing.bank_groups * timing.banks * 8
    addresses = np.arange(bursts, dtype=np.int64) * timing.burst_bytes
    places = place_bursts(addresses, timing, 4, mapping)
    rows = set(zip(*(each.tolist() for each in places), strict=True))
    assert len(rows) * timing.columns == bursts


def test_a_number_of_channels_that_bits_cannot_count_is_refused() -> None:
    with pytest.raises(ValidationError, match=said("three channels")):
        memory(channels=3)
