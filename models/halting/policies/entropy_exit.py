"""DT-SNN: nobody but whole images ends, by the entropy of their prediction."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from models.halting.recursion import Policy, register
from models.networks.config import ModelConfig


@register("entropy_exit")
class EntropyExit(Policy):
    """Halt no token; `exit` ends images."""

    granularities: ClassVar[tuple[str, ...]] = ("timestep",)

    @classmethod
    def of(cls, config: ModelConfig) -> Policy:
        """Return the policy of a network, whose exit is by entropy."""
        return cls(dataclasses.replace(config.halting, exit="entropy"))

    def stated(self) -> dict[str, Any]:
        """Return the level of entropy."""
        return {"entropy": self.config.entropy}
