"""Compaction that does not wait: decisions stream into the mask scan of the next block."""

from __future__ import annotations

from typing import ClassVar

from simulator.components.token_skip.compact import Compact


class Lookahead(Compact, kind="lookahead"):
    """Compaction whose scan runs beside the halting decision, token by token as that is taken.

    The decision needs one score a token and no more; what the mean-field output adds for each
    channel is done afterwards, off the way to the next block, whose weights are fetched meanwhile.
    With `compact` all of it lies between two blocks. Both count the same actions. Our own
    microarchitecture: the difference between the two is what the serial check costs.
    """

    example: ClassVar[str] = "kind: lookahead\nscan_tokens_per_cycle: 8\nqueue_tokens: 64\n"

    @property
    def overlaps_decision(self) -> bool:
        return True
