"""What DRAM standards share: a `dram` whose timing is given, behind a controller.

Timing is that of the configuration files of DRAMsim3 (Li et al., IEEE CAL 2020; github.com/
umd-memsys/DRAMsim3) or of the standard, as each class says. `latency_ns` is CL; a controller adds
`controller_ns`. The energy of a bit is the table's for the standard (`technology`).
"""

from __future__ import annotations

from pydantic import Field

from simulator.components.memories.base import Transfer
from simulator.components.memories.dram import Dram


class DramPreset(Dram, base=True):
    """Describe a DRAM standard: channels are free, the rest has the standard's values."""

    controller_ns: float = Field(
        default=30.0, ge=0, le=1e6, description="queue and controller, on top of latency_ns"
    )

    def _transfer(self, bits: int, clock_mhz: float, action: str) -> Transfer:
        plain = super()._transfer(bits, clock_mhz, action)
        added = round(self.controller_ns * clock_mhz / 1e3)
        return plain._replace(latency_cycles=plain.latency_cycles + added)
