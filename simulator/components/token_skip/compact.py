"""Compaction: a scan of the mask lists the live rows, and only they go to the array."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.token_skip.base import Scan, TokenSkip


class Compact(TokenSkip, kind="compact"):
    """Reads the mask `scan_tokens_per_cycle` tokens a cycle and queues the numbers of live tokens.

    The array starts when the scan of the block's mask has ended. A queue of `queue_tokens` keeps
    the list for all layers and column passes of the block. If more tokens live than the queue
    holds, the list is made again for each pass; the scans after the first run beside the array,
    which takes at most a row a cycle, and so cost accesses but no time.
    """

    example: ClassVar[str] = "kind: compact\nscan_tokens_per_cycle: 8\nqueue_tokens: 64\n"

    scan_tokens_per_cycle: int = Field(gt=0, le=4096, description="mask bits looked at in a cycle")
    queue_tokens: int = Field(gt=0, le=65536, description="live tokens that the queue holds")
    latency_cycles: int = Field(default=2, ge=0, description="from the mask read to the queue")

    @property
    def drops_rows(self) -> bool:
        return True

    @property
    def spares_energy(self) -> bool:
        return True

    def scan(self, tokens: int, live_tokens: int, passes: int) -> Scan:
        kept = live_tokens <= self.queue_tokens
        scans = 1 if kept else passes
        return Scan(
            busy_cycles=-(-tokens // self.scan_tokens_per_cycle),
            latency_cycles=self.latency_cycles,
            mask_reads=tokens * scans,
            counts={"scan_token": tokens * scans, "queue_token": live_tokens * scans},
        )

    def logic(self) -> tuple[Primitive, ...]:
        return (Primitive("compare", bits=8, times=self.scan_tokens_per_cycle),)

    def actions(self) -> dict[str, Action]:
        entry = Primitive("sram_write", size_kib=1.0, width_bits=32)
        return {
            "scan_token": Action(
                "looks at the mask bit of a token (as the narrowest compare)",
                (Primitive("compare", bits=8),),
            ),
            "queue_token": Action(
                "writes a live token's number to the queue and reads it (as the smallest bank)",
                (entry, entry._replace(operation="sram_read")),
            ),
        }
