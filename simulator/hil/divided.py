"""Two devices that share a run: one for the blocks, one for what is outside them.

The RTL has no patch splitting and no head, so in a live run it answers for the blocks and the
simulated machine for the rest. Costs add up as if nothing overlapped between the two.
"""

from __future__ import annotations

from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device, Work


class DividedDevice:
    """Ask one device for pieces of a block, `rest` for all others; both at the same clock.

    An energy that one of the two lacks is in no answer.
    """

    def __init__(self, blocks: Device, rest: Device) -> None:
        self.blocks = blocks
        self.rest = rest
        self._clock_mhz: float | None = None

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.blocks.name} with {self.rest.name} outside the blocks"

    def begin_image(self) -> None:
        """Start an image."""
        self.blocks.begin_image()
        self.rest.begin_image()

    def estimate(self, work: Work) -> Cost:
        """Return the answer of whose piece it is; raises DeviceError where the clocks differ."""
        # What runs in a block names its mask.
        device = self.blocks if work.active else self.rest
        cost = device.estimate(work)
        if self._clock_mhz not in (None, cost.clock_mhz):
            raise DeviceError(
                self.name, f"clocks of {self._clock_mhz} and {cost.clock_mhz} MHz", "must be equal"
            )
        self._clock_mhz = cost.clock_mhz
        return cost._replace(energy_pj=None)

    def close(self) -> None:
        """Close both."""
        self.blocks.close()
        self.rest.close()
