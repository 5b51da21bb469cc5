"""python -m experiments.size: lines of Python by room, now and at an earlier commit."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

from experiments.generated import ROOT, command, line, markdown

PAGE = "CONTRIBUTING.md"
PRODUCT = ("simulator", "models", "reports", "stasim")
ROOMS = (*PRODUCT, "experiments", "tests")
BEFORE = "bff3e41"
"""Version 0.1.0, when all that makes our own documents was in the product."""


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


def lines_by_room(commit: str = "") -> Counter[str]:
    """Return the lines of Python of each room and of each folder in it."""
    counts: Counter[str] = Counter()
    listed = ["ls-tree", "-r", "--name-only", commit] if commit else ["ls-files"]
    for name in _git(*listed, "--", *ROOMS).decode().splitlines():
        if name.endswith(".py") and (commit or (ROOT / name).exists()):
            content = _git("show", f"{commit}:{name}") if commit else (ROOT / name).read_bytes()
            room, _, rest = name.partition("/")
            counts[room] += content.count(b"\n")
            if "/" in rest:
                counts[f"{room}/{rest.partition('/')[0]}"] += content.count(b"\n")
    return counts


def table() -> str:
    """Return the rooms with their folders, the product's sum last."""
    before, now = lines_by_room(BEFORE), lines_by_room()
    for counts in (before, now):
        counts["product"] = sum(counts[room] for room in PRODUCT)
    names = sorted({*before, *now} - {"product"}, key=lambda name: name.split("/"))
    rows = []
    for name in [*names, "product"]:
        shown = name if "/" in name else f"**{name}**"
        rows.append(line([shown, f"{before[name]:,}", f"{now[name]:,}"]))
    return markdown(f"| room | {BEFORE} (0.1.0) | now |", rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table or write it."""
    what = "Count lines of Python by room, now and at 0.1.0."
    return command("experiments.size", what, PAGE, lambda: {"size": f"\n{table()}\n"}, arguments)


if __name__ == "__main__":
    sys.exit(main())
