"""Is the RTL synthesizable, and do its gates compute and toggle as plain evaluation would?"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.calibration import gates as gates_module
from experiments.calibration.cells import OSU018, read_library
from experiments.calibration.gates import GateSimulation, read_netlist
from experiments.calibration.reference import lif_step
from experiments.calibration.units import lif_design
from simulator.errors import DeviceError
from simulator.hil.layer_design import SOURCES
from simulator.hil.verilator import SOURCES as FOLDER
from tests.messages import refused, said

needs_yosys = pytest.mark.skipif(shutil.which("yosys") is None, reason="no yosys (Debian: yosys)")
needs_cells = pytest.mark.skipif(
    not OSU018.is_file(), reason="no osu018 cells (Debian: qflow-tech-osu018)"
)


@needs_yosys
def test_yosys_takes_the_whole_layer_engine() -> None:
    sources = " ".join(str(FOLDER / name) for name in SOURCES if name != "sram_1r1w.sv")
    script = (
        f"read_verilog -sv -lib {FOLDER}/sram_1r1w.sv; read_verilog -sv -DSYNTHESIS {sources}; "
        "chparam -set ROWS 2 -set COLUMNS 4 -set WORD_INPUTS 16 -set BLOCK_ITEMS 8 -set SCAN 4 "
        "-set QUEUE 8 -set LAYER_BITS 3 -set HOST_BITS 512 layer_top; "
        "hierarchy -check -top layer_top; proc; opt -fast; check -assert; "
        "select -assert-none t:$dlatch"
    )
    done = subprocess.run(
        ["yosys", "-q", "-p", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def slow_steps(module: dict[str, Any], puts: list[dict[str, int]]) -> tuple[list[int], int]:
    """Spikes after each cycle and toggles of all nets, by evaluating until nothing changes."""
    cells = list(module["cells"].values())
    ports = module["ports"]
    library = read_library(OSU018).cells
    value: dict[object, int] = {"0": 0, "1": 1, "x": 0}
    toggles, outputs = 0, []

    def change(bit: object, new: int) -> bool:
        nonlocal toggles
        old = value.get(bit, 0)
        value[bit] = new
        toggles += old != new
        return old != new

    for put in puts:
        for name, number in put.items():
            for place, bit in enumerate(ports[name]["bits"]):
                change(bit, number >> place & 1)
        settled: dict[object, int] = dict(value)
        changing = True
        while changing:
            changing = False
            for cell in cells:
                kind = library[cell["type"]]
                if kind.truth is not None:
                    pins = cell["connections"]
                    index = sum(
                        settled.get(pins[name][0], 0) << place
                        for place, name in enumerate(kind.inputs)
                    )
                    new = kind.truth >> index & 1
                    changing |= settled.get(pins[kind.output][0], 0) != new
                    settled[pins[kind.output][0]] = new
        # Only what a net holds in the end counts: there are no glitches.
        for bit, new in settled.items():
            change(bit, new)
        spikes = ports["spikes"]["bits"]
        outputs.append(sum(value.get(bit, 0) << place for place, bit in enumerate(spikes)))
        flops = [cell["connections"] for cell in cells if library[cell["type"]].truth is None]
        for pins, new in [(pins, value.get(pins["D"][0], 0)) for pins in flops]:
            change(pins["Q"][0], new)
    return outputs, toggles


@needs_yosys
@needs_cells
def test_gates_of_a_neuron_toggle_as_their_slow_twin_and_spike_as_the_formula() -> None:
    random = np.random.default_rng(4)
    library = read_library(OSU018)
    design = lif_design(1, 6, 8, 2)
    document = json.loads(gates_module._netlist(design, OSU018))
    gates = read_netlist(document, "lif_unit", library)
    assert gates.area_um2 > 0
    assert len(gates.state) > 8
    simulation = GateSimulation(gates, library)
    sums, membrane = random.integers(-32, 32, 40), random.integers(-128, 128, 40)
    puts = [
        {
            "reset": 0,
            "sums_valid": 1,
            "sums": int(sums[cycle]) & 63,
            "bias": 3,
            "membrane": int(membrane[cycle - 1]) & 255,
            "at_rest": 0,
            "threshold": 20,
        }
        for cycle in range(40)
    ]
    found = []
    for put in puts:
        for name, number in put.items():
            simulation.put(name, number)
        simulation.settle()
        found.append(simulation.get("spikes"))
        simulation.clock()
    right, _ = lif_step(sums + 3, membrane, 20, 8, 2)
    assert found[3:] == right[:37].astype(int).tolist()
    slow, toggles = slow_steps(document["modules"]["lif_unit"], puts)
    assert found == slow
    assert simulation.energy().toggles == toggles
    assert simulation.energy().switching_pj > 0


@needs_cells
def test_a_library_is_read_as_it_is_written() -> None:
    library = read_library(OSU018)
    assert library.voltage_v == 1.8
    assert library.cells["NAND2X1"].truth == 0b0111
    assert library.cells["XOR2X1"].truth == 0b0110
    assert library.cells["OAI21X1"].truth == 0b00011111
    assert library.cells["NAND2X1"].area_um2 == 24
    assert library.cells["NAND2X1"].loads_pf["A"] == 0.0125
    flop = library.cells["DFFPOSX1"]
    assert flop.truth is None
    assert set(flop.inputs) == {"D", "CLK"}


@pytest.mark.parametrize("text", ["", "library(a) {", "library(a) { cell(b) { pin(c) { } } }", "!"])
def test_a_broken_library_gives_one_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.lib"
    path.write_text(text)
    with pytest.raises(DeviceError, match=said("a broken library of cells")):
        read_library(path)
    with refused(DeviceError, "cells", tmp_path / "absent.lib"):
        read_library(tmp_path / "absent.lib")


def test_without_yosys_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DeviceError, match=said("a machine without yosys")):
        gates_module._netlist(lif_design(1, 8, 8, 1), OSU018)
