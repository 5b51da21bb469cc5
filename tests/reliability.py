"""The page of what the fault laboratory tried: docs/reliability.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

BEGIN, END = "<!-- counts: begin (written by `make reliability`) -->", "<!-- counts: end -->"


class Tally(NamedTuple):
    """Faults of a kind that were tried and survived; a test fails with the first that was not."""

    survived: int


def written(page: str, counts: Mapping[str, Tally]) -> str:
    """The page with these counts between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = ["| fault | tried | survived |", "|---|---:|---:|"]
    lines += [f"| {kind} | {n} | {n} |" for kind, (n,) in sorted(counts.items())]
    total = sum(n for (n,) in counts.values())
    lines.append(f"| **all** | **{total}** | **{total}** |")
    return f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"


def counted(page: str) -> dict[str, int]:
    """What the page says: faults tried by kind."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {row[0]: int(row[1]) for row in rows[1:] if not row[0].startswith("**")}
