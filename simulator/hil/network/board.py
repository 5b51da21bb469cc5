"""The compiled RTL of the network engine as a board: a process that answers commands."""

from __future__ import annotations

import subprocess

import numpy as np
import numpy.typing as npt

from simulator.errors import DeviceError
from simulator.hil.verilator import RtlDesign, build

Words = npt.NDArray[np.int32]

CYCLES_A_WAIT = 4096
PAGE_BYTES = 4096
ENTRY_WORDS = 11
_FILL, _READ, _WRITE_REGISTER, _READ_REGISTER, _PASS, _LOG, _MEMORY = range(1, 8)


class RtlBoard:
    """Run the engine, and a memory of a latency and a gap between beats, in cycles."""

    def __init__(self, design: RtlDesign, latency_cycles: int, gap_cycles: int = 0) -> None:
        """Build the RTL unless the cache has it, and start it. Raises DeviceError."""
        self.name = design.top
        self.free = PAGE_BYTES
        self.process = subprocess.Popen(
            [str(build(design))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._send(_MEMORY, latency_cycles, gap_cycles)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def allocate(self, words: int) -> int:
        """Reserve words of memory from a page's first byte on."""
        address = self.free
        self.free += -(-4 * words // PAGE_BYTES) * PAGE_BYTES
        return address

    def write(self, address: int, words: Words) -> None:
        """Fill memory."""
        self._send(_FILL, address, len(words), *words.tolist())

    def read(self, address: int, words: int) -> Words:
        """Read memory."""
        self._send(_READ, address, words)
        return self._take(words)

    def write_register(self, address: int, value: int) -> None:
        """Write a register over AXI4-Lite."""
        self._send(_WRITE_REGISTER, address, value)

    def read_register(self, address: int) -> int:
        """Read a register over AXI4-Lite."""
        self._send(_READ_REGISTER, address)
        return int(self._take(1)[0]) & 0xFFFFFFFF

    def wait(self) -> None:
        """Let cycles pass."""
        self._send(_PASS, CYCLES_A_WAIT)

    def log(self) -> Words:
        """Return what happened in the last image, (entry, word) as in network_bench.cpp."""
        self._send(_LOG)
        return self._take(ENTRY_WORDS * int(self._take(1)[0])).reshape(-1, ENTRY_WORDS)

    def _send(self, *values: int) -> None:
        assert self.process.stdin is not None
        words = np.array(values, np.int64).astype(np.int32).astype("<i4")
        try:
            self.process.stdin.write(words.tobytes())
            self.process.stdin.flush()
        except OSError as error:
            raise DeviceError("device rtl", self.name, self._last_words()) from error

    def _take(self, count: int) -> Words:
        assert self.process.stdout is not None
        data = self.process.stdout.read(4 * count)
        if len(data) < 4 * count:
            raise DeviceError("device rtl", self.name, self._last_words(data))
        return np.frombuffer(data, "<i4").astype(np.int32)

    def _last_words(self, before: bytes = b"") -> str:
        """Why the process ended: the RTL prints the assertion that failed."""
        rest = self.process.communicate()[0] or b""
        lines = (before + rest).decode(errors="replace").splitlines()
        said = [line for line in lines if "%Fatal" in line or "%Error" in line]
        return said[0] if said else f"stopped with code {self.process.returncode}"
