"""An FPGA that runs PYNQ as a board of the network engine.

overlay = pynq.Overlay("engine.bit")
board = PynqBoard(pynq.allocate, pynq.MMIO(base_address, 256))
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simulator.errors import DeviceError

Words = npt.NDArray[np.int32]
PAGE_BYTES, REGISTER_BYTES = 4096, 256
SECONDS_A_WAIT = 0.001


class Registers(Protocol):
    """Read and write registers, as `pynq.MMIO` does."""

    def read(self, offset: int) -> int:
        """Read a 32-bit register."""

    def write(self, offset: int, value: int) -> None:
        """Write a 32-bit register."""


class PynqBoard:
    """Hold buffers of `allocate` and registers behind `mmio`, of PYNQ or what acts like it."""

    def __init__(
        self,
        allocate: Callable[..., Any],
        mmio: Registers,
        pause: Callable[[], None] = lambda: time.sleep(SECONDS_A_WAIT),
    ) -> None:
        """`pause`: lets time pass between two looks at a register."""
        self._allocate, self._mmio, self.wait = allocate, mmio, pause
        self._buffers: dict[int, Any] = {}

    def allocate(self, words: int) -> int:
        """Reserve a buffer that the engine reads too; return its physical address."""
        buffer = self._allocate(shape=(words,), dtype=np.int32)
        address = int(buffer.physical_address)
        if address % PAGE_BYTES or address + 4 * words > 1 << 32:
            raise DeviceError(
                "network engine", f"a buffer at {address:#x}", "must begin a page below 4 GiB"
            )
        self._buffers[address] = buffer
        return address

    def write(self, address: int, words: Words) -> None:
        """Fill a buffer, and empty the processor's cache of it."""
        self._buffers[address][: len(words)] = words
        self._buffers[address].flush()

    def read(self, address: int, words: int) -> Words:
        """Read a buffer as the engine left it."""
        self._buffers[address].invalidate()
        return np.array(self._buffers[address][:words], np.int32)

    def write_register(self, address: int, value: int) -> None:
        """Write a register."""
        self._mmio.write(address, value)

    def read_register(self, address: int) -> int:
        """Read a register."""
        return int(self._mmio.read(address))

    def close(self) -> None:
        """Give the buffers back."""
        for buffer in self._buffers.values():
            buffer.freebuffer()
        self._buffers.clear()


def open_board(bitstream: str, engine: str) -> PynqBoard:
    """Load a bitstream that holds the engine under a name. Raises DeviceError without PYNQ."""
    try:
        pynq = importlib.import_module("pynq")
    except ImportError as error:
        raise DeviceError(f"{bitstream}: needs a board with the package pynq: {error}") from error
    overlay = pynq.Overlay(bitstream)
    if engine not in overlay.ip_dict:
        known = ", ".join(sorted(overlay.ip_dict)) or "none"
        raise DeviceError(bitstream, f"no block {engine!r}", f"must be one of {known}")
    base = int(overlay.ip_dict[engine]["phys_addr"])
    return PynqBoard(pynq.allocate, pynq.MMIO(base, REGISTER_BYTES))
