"""A unit of the RTL as gates: synthesized by yosys, simulated gate by gate, its toggles counted.

Every gate is without delay, so glitches are not counted; wires have no capacitance; memories
(sram_1r1w) are boxes outside. What toggles costs half the capacitance of the input pins that it
drives times the voltage squared, and the energy inside the cell that the library states.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.calibration.cells import Library
from simulator.config.kernels import allocating_kernel, kernel
from simulator.errors import DeviceError
from simulator.hil.tools import run_tool
from simulator.hil.verilator import SOURCES, RtlDesign, cache_folder

LIMIT_S = 900
MEMORY = "sram_1r1w"


class Gates(NamedTuple):
    """A netlist as columns. Nets 0 and 1 are constants.

    `ports`: nets of each port, of inputs and outputs and of the memories' pins
    (`memory.<port>`), lowest bit first; gates in an order in which each follows those it reads:
    `inputs` int32 (gate, 4), `truth` uint16, `output` int32; flip-flops: `data`, `state` int32.
    `load_pf`: capacitance on each net; `toggle_pj`: inside cells, of a toggle of each net;
    `clock_pj`: of all flip-flops' clock pins, a cycle; `area_um2`; `cells` by kind.
    """

    ports: dict[str, npt.NDArray[np.int32]]
    inputs: npt.NDArray[np.int32]
    truth: npt.NDArray[np.uint16]
    output: npt.NDArray[np.int32]
    data: npt.NDArray[np.int32]
    state: npt.NDArray[np.int32]
    load_pf: npt.NDArray[np.float64]
    toggle_pj: npt.NDArray[np.float64]
    clock_pj: float
    area_um2: float
    cells: dict[str, int]

    @property
    def cell_count(self) -> int:
        """Cells of the library; memories are boxes outside."""
        return sum(self.cells.values()) - self.cells.get(MEMORY, 0)


class Energy(NamedTuple):
    """Of a simulation, pJ: `switching` of all nets but the clock, `clock` of its pins."""

    switching_pj: float
    clock_pj: float
    toggles: int
    cycles: int


class GateSimulation:
    """Runs gates cycle by cycle: set inputs, `settle`, look at outputs, `clock`."""

    def __init__(self, gates: Gates, library: Library) -> None:
        self.gates, self.library = gates, library
        nets = len(gates.load_pf)
        self.values = np.zeros(nets, np.uint8)
        self.values[1] = 1
        self.toggles = np.zeros(nets, np.int64)
        self.cycles = 0

    def put(self, port: str, value: int) -> None:
        """Set an input, given as a whole number."""
        nets = self.gates.ports[port]
        digits = np.frombuffer(value.to_bytes(-(-len(nets) // 8), "little"), np.uint8)
        bits = np.unpackbits(digits, count=len(nets), bitorder="little")
        self.toggles[nets] += bits != self.values[nets]
        self.values[nets] = bits

    def get(self, port: str) -> int:
        """An output as a whole number."""
        bits = self.values[self.gates.ports[port]]
        return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")

    def settle(self) -> None:
        """Let the inputs reach the outputs."""
        gates = self.gates
        _settle(gates.inputs, gates.truth, gates.output, self.values, self.toggles)

    def clock(self) -> None:
        """Flip-flops take their data; a cycle has passed."""
        gates = self.gates
        _clock(gates.data, gates.state, self.values, self.toggles)
        self.cycles += 1

    def forget(self) -> None:
        """Count from here on."""
        self.toggles[:] = 0
        self.cycles = 0

    def energy(self) -> Energy:
        """Of all that was counted."""
        gates = self.gates
        per_toggle = 0.5 * gates.load_pf * self.library.voltage_v**2 + gates.toggle_pj
        return Energy(
            float(self.toggles @ per_toggle),
            gates.clock_pj * self.cycles,
            int(self.toggles.sum()),
            self.cycles,
        )


def synthesize(design: RtlDesign, library: Library, liberty: Path) -> Gates:
    """Synthesize a unit for a library of cells. Raises DeviceError if yosys cannot."""
    return read_netlist(json.loads(_netlist(design, liberty)), design.top, library)


def _netlist(design: RtlDesign, liberty: Path) -> str:
    """Yosys's netlist in JSON; kept by the hash of what goes into it."""
    yosys = shutil.which("yosys")
    if yosys is None:
        raise DeviceError("gates: yosys not found (Debian: yosys)")
    sources = [SOURCES / name for name in design.sources if name != f"{MEMORY}.sv"]
    facts = hashlib.sha256(repr(sorted(design.parameters.items())).encode())
    for path in (*sources, liberty):
        facts.update(path.read_bytes())
    kept = cache_folder() / f"gates-{design.top}-{facts.hexdigest()[:24]}.json"
    if kept.is_file():
        return kept.read_text("utf-8")
    set_all = " ".join(f"-set {name} {value}" for name, value in design.parameters.items())
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "netlist.json"
        script = [
            f"read_verilog -sv -lib {SOURCES / MEMORY}.sv",
            f"read_verilog -sv -DSYNTHESIS {' '.join(map(str, sources))}",
            f"chparam {set_all} {design.top}",
            f"hierarchy -check -top {design.top}",
            f"rename -top {design.top}",
            f"synth -flatten -top {design.top}",
            f"dfflibmap -liberty {liberty}",
            f"abc -liberty {liberty}",
            "opt_clean -purge",
            f"write_json {made}",
        ]
        what = f"gates: {design.top}: yosys"
        run_tool(what, [yosys, "-q", "-p", "; ".join(script)], LIMIT_S)
        if not made.is_file():
            raise DeviceError(what, "no netlist")
        text = made.read_text("utf-8")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made, f"{kept}.{os.getpid()}")
        os.replace(f"{kept}.{os.getpid()}", kept)
        return text


def read_netlist(document: Mapping[str, Any], top: str, library: Library) -> Gates:
    """The top module of yosys's JSON, flat, of cells of the library and memories."""
    module = document["modules"][top]
    number: dict[int | str, int] = {"0": 0, "1": 1, "x": 0}
    for bit in sorted({bit for bit in _bits(module) if isinstance(bit, int)}):
        number[bit] = len(number) - 1

    def nets(bits: list[int | str]) -> list[int]:
        return [number[bit] for bit in bits]

    ports = {name: np.array(nets(port["bits"]), np.int32) for name, port in module["ports"].items()}
    count = len(number) - 1
    load, internal = np.zeros(count), np.zeros(count)
    rows: list[tuple[list[int], int, int]] = []
    data, state = [], []
    cells: dict[str, int] = {}
    area = clock = 0.0
    for cell in module["cells"].values():
        kind, pins = cell["type"], cell["connections"]
        cells[kind] = cells.get(kind, 0) + 1
        if kind == MEMORY:
            for name, bits in pins.items():
                ports[f"memory.{name}"] = np.array(nets(bits), np.int32)
            continue
        if kind not in library.cells:
            raise DeviceError(
                "gates", top, f"cell {kind}", f"library {library.name} does not tell of it"
            )
        known = library.cells[kind]
        area += known.area_um2
        read = [nets(pins[name])[0] for name in known.inputs]
        out = nets(pins[known.output])[0]
        internal[out] += known.internal_pj
        for name, net in zip(known.inputs, read, strict=True):
            if known.truth is None and name != "D":
                # Two toggles a cycle: of the capacitance, and inside.
                pin = known.loads_pf[name] * library.voltage_v**2 + 2 * known.input_pj[name]
                clock += pin
                continue
            load[net] += known.loads_pf[name]
            internal[net] += known.input_pj[name]
        if known.truth is None:
            data.append(read[known.inputs.index("D")])
            state.append(out)
        else:
            rows.append((read, known.truth, out))
    inputs, truth, output = _ordered(rows, count)
    return Gates(
        ports,
        inputs,
        truth,
        output,
        np.array(data, np.int32),
        np.array(state, np.int32),
        load,
        internal,
        clock,
        area,
        cells,
    )


def _bits(module: Mapping[str, Any]) -> list[int | str]:
    found = [bit for port in module["ports"].values() for bit in port["bits"]]
    for cell in module["cells"].values():
        found += [bit for bits in cell["connections"].values() for bit in bits]
    return found


def _ordered(
    rows: list[tuple[list[int], int, int]], nets: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Gates so that each follows those that drive its inputs."""
    driver = {out: index for index, (_, _, out) in enumerate(rows)}
    missing = [len({driver[net] for net in read if net in driver}) for read, _, _ in rows]
    readers: dict[int, set[int]] = {}
    for index, (read, _, _) in enumerate(rows):
        for net in read:
            if net in driver:
                readers.setdefault(driver[net], set()).add(index)
    ready = [index for index, count in enumerate(missing) if count == 0]
    order: list[int] = []
    while ready:
        index = ready.pop()
        order.append(index)
        for reader in readers.get(index, ()):
            missing[reader] -= 1
            if missing[reader] == 0:
                ready.append(reader)
    if len(order) != len(rows):
        raise DeviceError("gates", "a loop of gates without a flip-flop in it")
    inputs = np.zeros((len(rows), 4), np.int32)
    for place, index in enumerate(order):
        inputs[place, : len(rows[index][0])] = rows[index][0]
    truth = np.array([rows[index][1] for index in order], np.uint16)
    return inputs, truth, np.array([rows[index][2] for index in order], np.int32)


@kernel
def _settle(
    inputs: npt.NDArray[np.int32],
    truth: npt.NDArray[np.uint16],
    output: npt.NDArray[np.int32],
    values: npt.NDArray[np.uint8],
    toggles: npt.NDArray[np.int64],
) -> None:
    for gate in range(len(truth)):
        index = (
            values[inputs[gate, 0]]
            | values[inputs[gate, 1]] << 1
            | values[inputs[gate, 2]] << 2
            | values[inputs[gate, 3]] << 3
        )
        value = np.uint8((truth[gate] >> index) & 1)
        net = output[gate]
        toggles[net] += value != values[net]
        values[net] = value


@allocating_kernel
def _clock(
    data: npt.NDArray[np.int32],
    state: npt.NDArray[np.int32],
    values: npt.NDArray[np.uint8],
    toggles: npt.NDArray[np.int64],
) -> None:
    taken = values[data]
    for flop in range(len(state)):
        toggles[state[flop]] += taken[flop] != values[state[flop]]
        values[state[flop]] = taken[flop]
