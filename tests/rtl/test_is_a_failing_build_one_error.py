"""Is whatever goes wrong with the RTL's build or its bench one clear DeviceError?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.calibration.units import lif_design
from simulator.errors import DeviceError
from simulator.hil import verilator
from simulator.hil.benches import skip_design
from simulator.hil.tools import run_tool
from simulator.hil.verilator import RtlDesign, build, run
from tests.messages import cases, refused, said
from tests.rtl.rtl_cases import needs_verilator
from tests.rtl.test_does_rtl_skip_match_the_model import compact

pytestmark = needs_verilator


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "stasim" / "rtl"


def test_what_verilator_refuses_is_told_and_leaves_nothing(own_cache: Path) -> None:
    design = RtlDesign("no_such_top", ("lif_unit.sv",), "lif_bench.cpp", {})
    with pytest.raises(DeviceError, match=said("RTL that does not build")):
        build(design)
    assert [path for path in own_cache.iterdir() if path.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with refused(DeviceError, "device rtl", f"cache {tmp_path}/file/stasim/rtl"):
        build(lif_design(1, 8, 8, 1))


def test_commands_that_end_too_early_are_told() -> None:
    design = skip_design(compact(4, 12))
    with pytest.raises(DeviceError, match=said("commands that end too early")):
        run(design, np.array([5, 1], np.int32))


def test_a_bench_that_does_not_answer_in_time_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hanging = tmp_path / "bench"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(verilator, "build", lambda design: hanging)
    monkeypatch.setattr(verilator, "RUN_LIMIT_S", 0.2)
    with pytest.raises(DeviceError, match=said("a bench that hangs")):
        run(skip_design(compact(4, 12)), np.array([0], np.int32))


@cases("a_tool_that_fails_is_one_message")
def test_a_tool_that_fails_is_one_message(command: list[str], limit_s: int, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        run_tool("unit: yosys", command, limit_s)
