"""Does the network engine classify by the board's script, behind other people's models of AXI?

Memory and register master are cocotbext-axi's. A stand-in for the package pynq, whose buffers are
in that memory and whose registers are behind that master, is given to simulator.hil.classify.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave, MemoryRegion

from simulator.architecture import load_architecture
from simulator.errors import DeviceError
from simulator.hil import classify
from simulator.hil.network.driver import Driver
from simulator.hil.network.engine import network_design
from simulator.hil.network.files import read_fixed
from simulator.hil.network.program import compile_network
from simulator.hil.network.pynq_board import PynqBoard
from simulator.hil.network.twin import run_twin
from tests.messages import refused

NETWORK, ARCH = os.environ.get("STASIM_NETWORK", ""), os.environ.get("STASIM_ARCH", "")
"""A file of a fixed-point network, and the machine of the engine's sizes."""
IMAGE_ADDRESS = 16
"""Register of the image's address."""
MEMORY_BYTES = 1 << 21
PAGE_BYTES = 4096
CYCLES_A_PAUSE = 256


class Buffer(np.ndarray[Any, np.dtype[np.int32]]):
    """A buffer with the processor's cache: memory sees it after `flush`, and it memory after
    `invalidate`, as those of pynq.allocate.
    """

    memory: Any
    physical_address: int

    def flush(self) -> None:
        """Write the cache back."""
        self.memory[self._place] = self.tobytes()

    def invalidate(self) -> None:
        """Read memory."""
        self[:] = np.frombuffer(self.memory[self._place], np.int32)

    def freebuffer(self) -> None:
        """Give it back."""

    @property
    def _place(self) -> slice:
        return slice(self.physical_address, self.physical_address + self.nbytes)


class StandIn:
    """The package pynq, over models of AXI; `free`: the next page of memory."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.memory = MemoryRegion(MEMORY_BYTES)
        self.free = PAGE_BYTES
        self.slave = AxiSlave(AxiBus.from_prefix(dut, "m"), dut.clk, target=self.memory)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s"), dut.clk)

    def Overlay(self, bitstream: str) -> Any:
        """One block, by the name that Vivado would give it."""
        return SimpleNamespace(ip_dict={"network_top_0": {"phys_addr": 0}})

    def MMIO(self, base: int, length: int) -> StandIn:
        """Registers."""
        return self

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Buffer:
        """A buffer of junk: what was not flushed must show."""
        buffer = np.full(shape, -1, dtype).view(Buffer)
        buffer.memory, buffer.physical_address = self.memory, self.free
        self.free += -(-buffer.nbytes // PAGE_BYTES) * PAGE_BYTES
        return buffer

    @resume
    async def read(self, offset: int) -> int:
        """Read a register."""
        return int(await self.master.read_dword(offset))

    @resume
    async def write(self, offset: int, value: int) -> None:
        """Write a register."""
        await self.master.write_dword(offset, value)

    @resume
    async def pause(self) -> None:
        """Let cycles pass."""
        await ClockCycles(self.dut.clk, CYCLES_A_PAUSE)


async def begin(dut: Any) -> StandIn:
    """Start the clock, reset, and put the models at the ports."""
    dut.reset.value = 1
    found = StandIn(dut)
    Clock(dut.clk, 2, "step").start()
    await ClockCycles(dut.clk, 4)
    dut.reset.value = 0
    return found


@cocotb.test()
async def the_boards_script_classifies_as_the_twin(dut: Any) -> None:
    """The script with --bitstream, word for word as on a board."""
    stand_in = await begin(dut)
    sys.modules["pynq"] = stand_in  # type: ignore[assignment]
    PynqBoard.__init__.__defaults__ = (stand_in.pause,)
    arguments = [NETWORK, "--arch", ARCH, "--bitstream", "engine.bit", "--images", "1"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert not await bridge(classify.main)(arguments)
    content = read_fixed(Path(NETWORK))
    twin = run_twin(content.network, content.images[0], membrane_bits=16)
    line = [cell.strip() for cell in said.getvalue().splitlines()[-1].split("|")[1:-1]]
    assert line[:3] == ["0", str(content.labels[0]), str(int(twin.logits.argmax()))]
    assert int(line[3].replace(",", "")) > 10_000


@cocotb.test()
async def logits_are_the_twins_and_a_refused_access_is_an_error(dut: Any) -> None:
    """All bits of the logits; then the same image, with its address beyond the memory."""
    stand_in = await begin(dut)
    content = read_fixed(Path(NETWORK))
    design = network_design(load_architecture(Path(ARCH)))
    compiled = compile_network(content.network, design.parameters)
    board = PynqBoard(stand_in.allocate, stand_in, stand_in.pause)
    driver = await bridge(Driver)(board, compiled)
    outcome = await bridge(driver.classify)(content.images[0])
    twin = run_twin(content.network, content.images[0], membrane_bits=16)
    assert np.array_equal(outcome.logits, twin.logits)
    await bridge(board.write_register)(IMAGE_ADDRESS, MEMORY_BYTES)
    with refused(DeviceError, "network engine"):
        await bridge(driver.classify)(content.images[0])
