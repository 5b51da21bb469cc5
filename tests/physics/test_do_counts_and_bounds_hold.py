"""Do counts equal what the trace holds, and costs keep the order that physics gives them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.errors import LoweringError
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace, TraceWriter
from tests.factories import tiny_trace
from tests.messages import said

ROOT = Path(__file__).parents[2]
MACHINES = ("dense_pe", "sparse_pe", "sparse_pe_noskip")


def run(path: Path, machine: str, *overrides: str, images: int = 1) -> Result:
    """A checked result: sums, bounds, energies."""
    architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml", overrides)
    with Trace.open(path) as trace:
        result = Simulation(trace, architecture).run(range(images))
    result.check()
    return result


def total(result: Result, column: str, table: str = "images") -> float:
    return float(result.tables[table][column].sum())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("tiny") / "tiny.npz", timesteps=3, seed=5)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline")
    return tiny_trace(folder / "tiny.npz", timesteps=3, seed=5, halting="none")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["cifar10", "cifar10_baseline", "mnist"])
def test_the_results_of_real_traces_keep_their_sums_and_bounds(machine: str, name: str) -> None:
    run(ROOT / "traces" / f"{name}.npz", machine)


def test_useful_work_depends_on_the_trace_only() -> None:
    path = ROOT / "traces" / "cifar10.npz"
    assert len({total(run(path, machine), "useful_accumulations") for machine in MACHINES}) == 1


def test_the_spike_skip_array_adds_once_for_each_useful_spike() -> None:
    result = run(ROOT / "traces" / "cifar10.npz", "sparse_pe")
    actions = result.tables["actions"]
    counted = actions.loc[
        (actions.part == "cores.0.pe_array") & (actions.action == "accumulate"), "count"
    ].sum()
    layers = result.tables["layers"]
    assert counted == layers.loc[layers.kind != "head", "useful_accumulations"].sum()


def test_compaction_takes_no_longer_than_gating_and_gating_as_long_as_nothing(tiny: Path) -> None:
    compact = run(tiny, "sparse_pe")
    gate = run(tiny, "sparse_pe", "token_skip={kind: gate}")
    none = run(tiny, "sparse_pe", "token_skip={kind: none}")
    busy = [total(result, "pe_busy_cycles", "layers") for result in (compact, gate, none)]
    assert busy[0] <= busy[1] == busy[2]
    assert total(gate, "latency_cycles") == total(none, "latency_cycles")
    assert total(gate, "dynamic_energy_pj") <= total(none, "dynamic_energy_pj") * 1.001


@pytest.mark.parametrize("kind", ["none", "gate", "compact"])
def test_without_halting_a_token_skip_changes_neither_work_nor_arithmetic(
    kind: str, baseline: Path
) -> None:
    skip = "{kind: compact, scan_tokens_per_cycle: 8, queue_tokens: 64}"
    chosen = skip if kind == "compact" else f"{{kind: {kind}}}"
    result = run(baseline, "sparse_pe", f"token_skip={chosen}")
    plain = run(baseline, "sparse_pe", "token_skip={kind: none}")
    for name in ("pe_busy_cycles", "useful_accumulations"):
        assert total(result, name, "layers") == total(plain, name, "layers")


@pytest.mark.parametrize("machine", MACHINES)
def test_halting_more_tokens_never_costs_more_work(
    machine: str, tiny: Path, tmp_path: Path
) -> None:
    shorter = tmp_path / "shorter.npz"
    with Trace.open(tiny) as trace, TraceWriter(shorter, trace.manifest) as writer:
        for image in trace:
            active = {name: mask.copy() for name, mask in image.active.items()}
            for mask in active.values():
                mask[1:, ::2] = False  # every other token halts after the first timestep
            tensors = {}
            for name, bits in image.tensors.items():
                mask_name = trace.tensors[name].mask
                keep = bits.copy()
                if mask_name is not None:
                    keep[:] = np.where(active[mask_name][:, None, :, None], keep, 0)
                tensors[name] = keep
            writer.add(tensors, active, image.label, image.prediction)
    before, after = run(tiny, machine), run(shorter, machine)
    assert total(after, "useful_accumulations") <= total(before, "useful_accumulations")
    assert total(after, "pe_busy_cycles", "layers") <= total(before, "pe_busy_cycles", "layers")
    assert total(after, "dynamic_energy_pj") <= total(before, "dynamic_energy_pj")


def test_the_clock_changes_no_count(tiny: Path) -> None:
    slow, fast = run(tiny, "sparse_pe", "clock_mhz=250"), run(tiny, "sparse_pe", "clock_mhz=1000")
    # The DRAM's time does not change with the clock, so its cycles do.
    counts, more = (
        each.tables["actions"].query("action != 'active_cycle'")[["layer", "action", "count"]]
        for each in (slow, fast)
    )
    assert counts.reset_index(drop=True).equals(more.reset_index(drop=True))


def test_timesteps_together_cannot_halt_in_time(tiny: Path, baseline: Path) -> None:
    with pytest.raises(LoweringError, match=said("tick-batched though tokens halt in time")):
        run(tiny, "sparse_pe", "dataflow.kind=tick_batched")
    small = "cores.0.buffers.weights.size_kib=8.0"
    together = run(baseline, "sparse_pe", "dataflow.kind=tick_batched", small)
    serial = run(baseline, "sparse_pe", small)
    assert total(together, "useful_accumulations") == total(serial, "useful_accumulations")
    assert total(together, "dram_bytes") < total(serial, "dram_bytes")
    # Where the weights of all blocks fit, one timestep after another fetches them once as well.
    fitting = run(baseline, "sparse_pe")
    assert total(fitting, "dram_bytes") == total(together, "dram_bytes")


def test_a_second_run_is_the_first(tiny: Path) -> None:
    assert run(tiny, "sparse_pe", images=2) == run(tiny, "sparse_pe", images=2)
