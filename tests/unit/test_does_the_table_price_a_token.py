"""Does the cost table predict what an image costs when some of its tokens halt at one step?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.errors import DeviceError
from simulator.hil.cost_table import cost_table, main
from simulator.hil.simulated import SimulatedDevice
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.messages import said

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trace with tokens at every step: its seed is one whose tokens last."""
    path = tmp_path_factory.mktemp("lasting") / "tiny.npz"
    return tiny_trace(path, timesteps=2, tokens=24, seed=3, images=1)


def test_halting_all_tokens_of_a_step_saves_what_the_table_says(lasting: Path) -> None:
    with Trace.open(lasting) as trace:
        device = SimulatedDevice(trace, load_architecture(ARCH))
        costs = cost_table(device, trace, range(1))
        assert [(cost.timestep, cost.block) for cost in costs] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        image = trace.read(0)
        entire = device.total_of(image)
        for cost in costs:
            none = np.zeros(24, np.bool_)
            without = device.again(image, cost.timestep, cost.block, none)
            told = cost.step_cycles + cost.live_tokens * cost.token_cycles
            assert entire.cycles - without.cycles == pytest.approx(told)
            told = cost.step_energy_pj + cost.live_tokens * cost.token_energy_pj
            assert entire.energy_pj - without.energy_pj == pytest.approx(told)
            mask = image.active[str(cost.block)][cost.timestep]
            assert device.again(image, cost.timestep, cost.block, mask) == entire
            assert cost.step_energy_pj > 0
            assert cost.token_energy_pj > 0


def test_a_step_that_no_token_runs_is_one_error(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "short.npz", timesteps=4, tokens=2, seed=1)
    with (
        Trace.open(path) as trace,
        pytest.raises(DeviceError, match=said("no image with two tokens")),
    ):
        cost_table(SimulatedDevice(trace, load_architecture(ARCH)), trace, range(2))


def test_the_command_writes_the_table_whole_or_not_at_all(
    lasting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "costs.json"
    assert main(["--arch", ARCH, "--trace", str(lasting), "--out", str(out)]) == 0
    table = json.loads(out.read_text())
    assert table["schema"] == "stasim-cost-table/1"
    assert len(table["steps"]) == 4
    missing = str(tmp_path / "no" / "costs.json")
    assert main(["--arch", ARCH, "--trace", str(lasting), "--out", missing]) == 2
    assert main(["--arch", ARCH, "--trace", str(lasting), "--images", "3"]) == 2
    captured = capsys.readouterr()
    assert said("images beyond a trace") in captured.err
    assert "Traceback" not in captured.err
