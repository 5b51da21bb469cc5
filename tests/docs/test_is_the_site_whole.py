"""The site builds strictly, holds every page, and asks no network for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PICTURES = ROOT / "docs" / "pictures"


def _build(target: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site") / "site"
    done = _build(target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("")
        built = site / ("index.html" if str(name) == "index" else f"{name}/index.html")
        assert built.is_file(), built


@pytest.mark.slow
def test_no_page_asks_a_network_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe|source)[^>]*>", text):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), f"{page}: {tag}"


@pytest.mark.slow
def test_no_link_leads_out_of_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r'<(?:a|img)[^>]*(?:href|src)="([^"]*)"', text):
            target = link.partition("#")[0]
            # The page of a missing page counts from the root of whatever serves it.
            if target and not re.match(r"https?:|mailto:", target) and page.name != "404.html":
                found = (page.parent / target).resolve()
                assert found.is_relative_to(site), f"{page}: {link}"
                assert found.exists(), f"{page}: {link}"


@pytest.mark.slow
def test_every_page_can_be_reached_from_every_other(site: Path) -> None:
    front = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("")
        target = "." if str(name) == "index" else f"{name}/"
        assert re.search(rf'<a href="{re.escape(target)}" class="md-nav__link', front), name


def test_pictures_are_small_and_shown() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = re.findall(r"!\[[^\]]*\]\(\S*pictures/(\S+)\)", "".join(map(Path.read_text, pages)))
    sizes = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert set(shown) == sizes.keys()
    assert max(sizes.values()) < 150_000
