"""Has each stage of arch_configs/fpga_spiking_transformer.yaml the cycles of the board's RTL?"""

from __future__ import annotations

import numpy as np
import pytest

from experiments.rtl_runs import (
    BLOCK,
    BOARD_RUNS,
    CIFAR,
    FPGA_ST,
    board_program,
    board_stages,
    rows,
)
from simulator.architecture import load_architecture
from simulator.components.pe_arrays import conv_strip
from simulator.errors import LoweringError
from simulator.lowering import lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace
from tests.messages import said

needs_rtl = pytest.mark.skipif(not FPGA_ST.is_dir(), reason="the board's RTL is not here")


@needs_rtl
@pytest.mark.parametrize("run", BOARD_RUNS)
def test_each_stage_takes_the_cycles_of_the_rtl(run: str) -> None:
    latency, unchanged = BOARD_RUNS[run]
    found = board_stages(latency, unchanged=unchanged)
    own = [row for row in rows(FPGA_ST / "stage_cycles.csv") if row["run"] == run]
    measured = {row["stage"]: int(row["cycles"]) for row in own}
    total = measured.pop("total")
    assert measured.keys() == found.keys()
    for stage, cycles in measured.items():
        assert found[stage] == pytest.approx(cycles, rel=0.005), stage
    assert sum(found.values()) == pytest.approx(total, rel=0.001)


@needs_rtl
def test_convolutions_wait_for_a_slower_memory_as_in_the_rtl() -> None:
    """At 60 cycles of latency: the stages up to the end of each convolution, pools among them."""
    found = list(board_stages(60).values())
    ends = np.cumsum(found)[[0, 1, 2, 4, 6]]
    run = "axi4_quiet_lat60_rand"
    measured = [int(row["cycle"]) for row in rows(FPGA_ST / "dram_bytes.csv") if row["run"] == run]
    assert ends == pytest.approx(np.array(measured[:5]), rel=0.001)
    assert sum(found) == pytest.approx(measured[5], rel=0.001)


def test_a_map_larger_than_the_sums_of_an_output_is_refused() -> None:
    """Parts of a map are no strips of it: they took no cycles."""
    with Trace.open("imagenet_baseline") as trace:
        network = read_network(trace)
    machine = load_architecture("fpga_spiking_transformer")
    with pytest.raises(LoweringError, match=said("map larger than the sums of an output")):
        make_plan(network, machine)


def test_a_reader_beside_the_weights_is_served_burst_by_burst() -> None:
    """The rule of `_shared` cycle by cycle: the port serves weights first, else the reader."""
    words, latency, strips, groups, written = 16, 7, 90, 3, 40
    held, rival, behind = 8 + 6 + latency, words + 10 + latency, 11
    now, free, ends = 0, 0, []
    for _ in range(rival):
        for _ in range(groups):
            for second in (False, True):
                while free < now:  # the reader has the port
                    free += rival
                started, free = free, free + held
                if not second:
                    now = started + held + behind
            now += strips
        now += written
        ends.append(now)
    cycles = np.zeros(1, np.int64)
    one, three, lines, end = (np.array([value]) for value in (1, groups, strips, written))
    conv_strip._shared(one, three, lines, end, held, rival, behind, cycles)
    assert cycles[0] == round(ends[-1] / rival)


def test_no_parameter_of_a_port_makes_convolutions_faster() -> None:
    """Beyond the given runs: latency, a rival and its burst, each stage is never shorter."""
    before = board_stages(0)
    for latency, unchanged in ((0, True), (5, True), (17, True), (45, True), (120, True)):
        found = board_stages(latency, unchanged=unchanged)
        convolutions = [name for name in found if name.startswith(("conv1", "conv2", "rpe"))]
        quiet = board_stages(latency)
        assert all(found[name] >= quiet[name] * 0.99 for name in convolutions)
        assert sum(quiet.values()) >= sum(before.values())
        before = quiet


def test_projection_and_mlp_take_the_published_time() -> None:
    """4.634 ms at 200 MHz, equal to all digits; conv0 to the last residual 48.8 ms, stated 48."""
    found = board_stages(0)
    block = sum(found[name] for name in ("proj", "mlp_fc1", "mlp_fc2"))
    assert round(block / 200e3, 3) == 4.634
    stem = sum(list(found.values())[:7])
    assert stem / 200e3 == pytest.approx(48.0, rel=0.03)


def test_weights_of_the_block_are_read_for_every_16_tokens() -> None:
    found, names = board_program()
    layer = names.index(f"{BLOCK}.attn.proj")
    bits = found.counts[layer, "memories.dram", "read_bit"]
    assert bits == 4 * 384 * 384 * 8  # 64 tokens
    conv = found.counts[names.index("sps.1.conv"), "memories.dram", "read_bit"]
    assert conv == 96 * 48 * 2 * 64  # a kernel of 9 bytes takes two words


def test_nothing_depends_on_spikes() -> None:
    found, _ = board_program()
    with Trace.open(CIFAR) as trace:
        machine = load_architecture("fpga_spiking_transformer")
        other = lower(make_plan(read_network(trace), machine), trace.read(1))
    assert (found.program.busy_cycles == other.program.busy_cycles).all()
