"""The pages of the documentation and the commands in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_BESIDE = ("README.md", "CONTRIBUTING.md", "arch_configs/README.md", "simulator/energy/README.md")
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in _BESIDE)])
MARK = "<!-- not run by the tests: "
"""Stands on the line before a block that is too long for the tests, or is no use there, and why."""

_FENCE = re.compile(r"^(```+)(\w*)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, its text, the line it begins on, and why it is not run."""

    language: str
    text: str
    line: int
    excuse: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2].strip()
        excuse = before.removeprefix(MARK).removesuffix("-->").strip()
        line = text.count("\n", 0, match.start()) + 1
        told = excuse if before.startswith(MARK) else ""
        found.append(Block(match[2], match[3], line, told))
    return found


def script(block: Block) -> str:
    """The commands of a block: all of bash, the lines after `$ ` of a console."""
    if block.language == "bash":
        return block.text
    lines = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    return "\n".join(lines)
