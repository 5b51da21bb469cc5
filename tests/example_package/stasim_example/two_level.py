"""A token skip: a summary bit for each group of tokens is looked at first."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from stasim.parts import Action, Primitive, Scan, TokenSkip


class TwoLevel(TokenSkip, kind="two_level"):
    """Compaction in two looks: at the groups' summaries, then at the groups that have live tokens.

    How the live tokens lie in the groups is not known here: as many groups as can be are counted.
    """

    example: ClassVar[str] = "kind: two_level\ngroup_tokens: 16\nbits_per_cycle: 16\n"

    group_tokens: int = Field(gt=0, le=4096, description="tokens that share a summary bit")
    bits_per_cycle: int = Field(gt=0, le=4096, description="mask bits looked at in a cycle")

    @property
    def drops_rows(self) -> bool:
        return True

    @property
    def spares_energy(self) -> bool:
        return True

    def scan(self, tokens: int, live_tokens: int, passes: int) -> Scan:
        groups = -(-tokens // self.group_tokens)
        looked_at = groups + min(groups, live_tokens) * self.group_tokens
        return Scan(
            busy_cycles=-(-looked_at // self.bits_per_cycle),
            latency_cycles=2,
            mask_reads=looked_at,
            counts={"look": looked_at},
        )

    def actions(self) -> dict[str, Action]:
        compare = Primitive("compare", bits=8)
        return {"look": Action("looks at a mask or summary bit (narrowest compare)", (compare,))}
