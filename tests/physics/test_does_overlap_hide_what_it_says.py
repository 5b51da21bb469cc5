"""Does what overlaps save time only: the same work, in the order that data and halting allow?"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.lowering import Lowered, lower, make_plan
from simulator.operations import read_network
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import machine
from tests.programs import agreed

COMPACT = "token_skip={kind: compact, scan_tokens_per_cycle: 2, queue_tokens: 64}"
LOOKAHEAD = COMPACT.replace("compact", "lookahead")
PIPELINED = "dataflow.kind=layer_pipelined"


@pytest.fixture(scope="module", params=["two_dimensional", "block", "none"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_trace(
        folder / "tiny.npz", timesteps=4, blocks=3, channels=64, heads=4, integrate=False,
        halting=request.param,
    )  # fmt: skip


def run(path: Path, *overrides: str, cores: int = 1) -> Result:
    with Trace.open(path) as trace:
        result = Simulation(trace, machine("sparse_pe", *overrides, cores=cores, global_kib=64))
        found = result.run([0])
    found.check()
    return found


def lowered(path: Path, *overrides: str, cores: int = 1) -> Lowered:
    with Trace.open(path) as trace:
        architecture = machine("sparse_pe", *overrides, cores=cores, global_kib=64)
        return lower(make_plan(read_network(trace), architecture), trace.read(0))


def test_a_scan_beside_the_decision_saves_time_and_nothing_else(path: Path) -> None:
    compact, lookahead = run(path, COMPACT), run(path, LOOKAHEAD)
    assert compact.tables["actions"].equals(lookahead.tables["actions"])
    before, after = (found.tables["images"].latency_cycles[0] for found in (compact, lookahead))
    halts = compact.tables["actions"].action.eq("halting_score").any()
    assert after < before if halts else after == before
    stalls = [found.tables["stalls"].set_index("cause") for found in (compact, lookahead)]
    waited = [table.stall_cycles["halting"] + table.stall_cycles["token_skip"] for table in stalls]
    assert waited[1] <= waited[0]


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_both_engines_agree_on_a_pipeline_and_dram_moves_what_is_counted(
    cores: int, path: Path
) -> None:
    found = lowered(path, PIPELINED, cores=cores)
    agreed(found.program)
    busy = int(
        found.program.busy_cycles[found.program.unit == found.unit_names.index("dram")].sum()
    )
    assert busy * 512 == int(found.dram_bits.sum())


def test_a_pipeline_does_the_same_work_and_each_layer_at_home(path: Path) -> None:
    serial, pipeline = run(path, PIPELINED), run(path, PIPELINED, cores=3)
    for name in ("useful_accumulations", "pe_busy_cycles", "live_rows"):
        assert serial.tables["layers"][name].equals(pipeline.tables["layers"][name])
    found = lowered(path, PIPELINED, cores=3)
    units = {0, *range(6, 12)} - {7, 8, 10, 11}
    for layer in set(found.op_layer.tolist()):
        own = found.program.unit[found.op_layer == layer]
        assert len(set(own.tolist()) & units) <= 1


def test_timesteps_overlap_unless_halting_forbids_it(path: Path) -> None:
    alone = run(path, PIPELINED).tables["images"].latency_cycles[0]
    several = run(path, PIPELINED, cores=3).tables["images"].latency_cycles[0]
    tight = run(path, PIPELINED, "dataflow.timesteps_held=1", cores=3)
    assert tight.tables["images"].latency_cycles[0] >= several
    with Trace.open(path) as trace:
        granularity = trace.manifest["model"]["halting"]["granularity"]
    if granularity == "none":
        assert several < 0.75 * alone
    stalls = run(path, PIPELINED, cores=3).tables["stalls"].set_index("cause").stall_cycles
    assert stalls["other_cores"] > 0
