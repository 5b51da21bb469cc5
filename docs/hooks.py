"""What mkdocs does with these pages beyond its own: pages by list, links out of this folder.

The pages are read in the repository too, so their links lead to files of it. On the site a link to
a file that is shown as a page leads to that page, and any other becomes the file's name.
"""

from __future__ import annotations

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
    """The text with links that lead out of the folder of pages turned into ones of the site."""
    source = Path(config.docs_dir, page.file.src_path).parent
    depth = len(Path(page.file.src_path).parts) - 1

    def turned(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = (source / target).resolve()
        if path.is_relative_to(config.docs_dir):
            name = str(path.relative_to(config.docs_dir))
            return text if name in _absent else match[0]
        if not path.exists():
            raise PluginError(f"{page.file.src_path}: {target}: no such file")
        name = str(path.relative_to(ROOT))
        if name + anchor in PAGES:
            return f"[{text}]({'../' * depth}{PAGES[name + anchor]})"
        if name in PAGES:
            return f"[{text}]({'../' * depth}{PAGES[name]}{anchor})"
        return f"{text} (`{name}`)"

    return LINK.sub(turned, markdown)
