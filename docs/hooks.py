"""What mkdocs does with these pages beyond its own: list, links out of this folder, inclusion.

The pages are read in the repository too, so their links lead to files of it. On the site a link to
a file that is shown as a page leads to that page, and any other becomes the file's name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[1]
PAGES = {
    "arch_configs/README.md": "architecture.md",
    "simulator/energy/README.md": "energy.md",
    "README.md": "index.md",
    "README.md#what-is-approximate": "approximate.md",
}
INCLUDE = re.compile(r'^include "([^":]+)(?::(\w+))?"$', re.MULTILINE)
"""A line in place of a file, or of a part of it between two comments."""
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s#]+)(#[^)]*)?\)")


_absent: set[str] = set()
"""Pages of the list that are not there."""


def on_config(config: Any) -> Any:
    """Leaves out of the list what is not there, and puts what is in no list at its end."""
    folder = Path(config.docs_dir)
    listed: set[str] = set()
    config.nav = _present(config.nav, folder, listed)
    _absent.clear()
    _absent.update(name for name in listed if not (folder / name).is_file())
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.md")}
    config.nav += sorted(found - listed)
    return config


def _present(entries: list[Any], folder: Path, listed: set[str]) -> list[Any]:
    kept: list[Any] = []
    for entry in entries:
        if isinstance(entry, str):
            listed.add(entry)
            if (folder / entry).is_file():
                kept.append(entry)
            continue
        for name, inner in entry.items():
            inside = _present(inner, folder, listed)
            if inside:
                kept.append({name: inside})
    return kept


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The text with what it includes, and with links that lead out of the folder turned."""
    docs = Path(config.docs_dir)
    folder = (docs / page.file.src_path).parent

    def included(match: re.Match[str]) -> str:
        path = ROOT / match[1]
        text = path.read_text(encoding="utf-8")
        if match[2]:
            text = text.split(f"<!-- part {match[2]}: begin -->")[1]
            text = text.split(f"<!-- part {match[2]}: end -->")[0]
        return _turned(text, path.parent, folder, docs)

    return INCLUDE.sub(included, _turned(markdown, folder, folder, docs))


def _turned(text: str, source: Path, folder: Path, docs: Path) -> str:
    """Links of a text in `source` as those of a page in `folder`."""

    def turned(match: re.Match[str]) -> str:
        shown, target, anchor = match[1], match[2], match[3] or ""
        path = (source / target).resolve()
        name = str(path.relative_to(ROOT))
        page = PAGES.get(name + anchor)
        if page is None:
            page = PAGES[name] + anchor if name in PAGES else None
        if page is None and path.is_relative_to(docs):
            page = str(path.relative_to(docs)) + anchor
        if page is not None:
            absent = page.partition("#")[0] in _absent
            return shown if absent else f"[{shown}]({os.path.relpath(docs / page, folder)})"
        if not path.exists():
            raise PluginError(f"{source}: {target}: no such file")
        return f"{shown} (`{name}`)"

    return LINK.sub(turned, text)
