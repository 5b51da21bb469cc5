"""Drives the network engine through its registers and its DRAM, as a program on a board would.

A board is anything with memory that the engine reads and registers that it obeys: the compiled RTL
(board.py), or an FPGA by `pynq` (pynq_board.py).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Ints
from simulator.errors import DeviceError
from simulator.hil.network.contents import image_words
from simulator.hil.network.program import Compiled

Words = npt.NDArray[np.int32]

CONTROL, STATUS, FIRST_SETTING, FIRST_COUNTER = 0, 4, 8, 128
"""Addresses of registers.sv, in bytes."""
RUN, CONFIGURE = 1, 2
IDLE, CLASSIFIED, REFUSED = 1, 2, 4
COUNTERS = (
    "cycles",
    "weight_port",
    "pe_array",
    "vector_unit",
    "token_skip",
    "halting",
    "head",
    "vectors",
    "words_dropped",
    "words_pushed",
    "words_merged",
)
MOST_WAITS = 4000


class Board(Protocol):
    """Hold memory that the engine reads and registers that it obeys."""

    def allocate(self, words: int) -> int:
        """Reserve 32-bit words of DRAM; return their address, a multiple of 4096."""

    def write(self, address: int, words: Words) -> None:
        """Fill DRAM."""

    def read(self, address: int, words: int) -> Words:
        """Read DRAM."""

    def write_register(self, address: int, value: int) -> None:
        """Write a register."""

    def read_register(self, address: int) -> int:
        """Read a register."""

    def wait(self) -> None:
        """Let some time pass."""


class BoardOutcome(NamedTuple):
    """Hold what the engine gave for an image: int (class,) logits, and its counters by name."""

    logits: Ints
    counters: dict[str, int]


class Driver:
    """Classify images by a network on a board."""

    def __init__(self, board: Board, compiled: Compiled) -> None:
        """Put the network into DRAM and configure the engine. Raises DeviceError if it hangs."""
        self.board = board
        self.classes = len(compiled.network.head)
        self.beat_words = compiled.beat_words
        side = compiled.network.side
        configuration = board.allocate(len(compiled.configuration))
        weights = board.allocate(len(compiled.weights))
        self.image = board.allocate(side * side)
        self.result = board.allocate(self.beat_words)
        board.write(configuration, compiled.configuration)
        board.write(weights, compiled.weights)
        values = [configuration, weights, self.image, self.result, *compiled.settings]
        for place, value in enumerate(values):
            board.write_register(FIRST_SETTING + 4 * place, value)
        self._start(CONFIGURE)

    def classify(self, pixels: npt.NDArray[np.uint8]) -> BoardOutcome:
        """Classify an image (y, x) or (y, x, channel). Raises DeviceError if the engine hangs."""
        self.board.write(self.image, image_words(pixels, self.beat_words))
        status = self._start(RUN)
        if not status & CLASSIFIED:
            raise DeviceError("network engine", "idle again without a result")
        words = self.board.read(self.result, 2 * self.classes).astype("<i4")
        logits = np.ascontiguousarray(words).view("<i8").astype(np.int64)
        counters = {
            name: self.board.read_register(FIRST_COUNTER + 4 * place)
            for place, name in enumerate(COUNTERS)
        }
        return BoardOutcome(logits, counters)

    def _start(self, command: int) -> int:
        """Write a command and wait until the engine is idle; return its status."""
        self.board.write_register(CONTROL, command)
        for _ in range(MOST_WAITS):
            status = self.board.read_register(STATUS)
            if status & IDLE:
                if status & REFUSED:
                    raise DeviceError("network engine", "DRAM refused an access")
                return status
            self.board.wait()
        raise DeviceError("network engine", f"not idle after {MOST_WAITS} waits")
