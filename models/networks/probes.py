"""Probes: what watches a network while it runs, which calls its probe explicitly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from models.networks.layers import SpikingConv, SpikingLinear
    from models.networks.rows import Rows


class Probe:
    """Do nothing: the silent probe, and the interface of all others."""

    def record(self, name: str, values: Tensor, rows: Rows) -> None:
        """Take the stored tensor `name`: rows (row, channel) of spikes or of an integer stream."""

    def record_maps(self, name: str, maps: Tensor) -> None:
        """Take the stored tensor `name`: maps (step, image, channel, height, width)."""

    def record_active(self, block: int, active: Tensor) -> None:
        """Take the mask bool (image, token) with which `block` runs one timestep."""

    def potential(self, values: Tensor, rows: Rows | None) -> None:
        """See the residual potentials that the next layer adds its sums to.

        Rows (row, channel), or, where `rows` is None, maps (step, image, channel, height, width).
        """

    def before_norm(
        self,
        layer: SpikingConv | SpikingLinear,
        current: Tensor,
        timesteps: int,
        rows: Rows | None,
    ) -> None:
        """See a layer's sums before its batch-norm, and for how many timesteps its neurons run.

        `current` is (row, channel) of the rows given, or, in the patch splitting, where `rows` is
        None, (step, image, channel, height, width).
        """


SILENT = Probe()
