"""python -m tests.browser.make_pictures: the pictures of docs/pictures, from fresh runs.

Screenshots of a page as a reader sees it, in few colours so that they stay small.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.chromium import chromium, scroll_to, wait_for

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
TRACES = ("cifar10", "cifar100_baseline", "mnist")
COLOURS = 128
BLOCK = 3


def run(*words: str) -> None:
    """A command of this repository, from its root."""
    subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def simulate(folder: Path) -> None:
    """A page of the shipped machines on three workloads, and a timeline of one image."""
    words = ["--trace", *TRACES, "--images", "0:4", "--baseline", "dense_pe"]
    run("stasim.matrix", *words, "--out", str(folder / "runs"))
    timeline = str(folder / "run.json")
    place = ["--arch", "arch_configs/sparse_pe.yaml", "--trace", "traces/cifar10.npz"]
    run("simulator.run", *place, "--images", "0", "--timeline", timeline)
    block = ["--block", str(BLOCK), "--out", str(PICTURES / f"block{BLOCK}.svg")]
    run("experiments.timeline_picture", timeline, *block)


def save(png: bytes, name: str) -> None:
    """A screenshot with few colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(PICTURES / name, optimize=True)


def photograph(driver: webdriver.Chrome, page: Path) -> None:
    """The top of the page, the ratios of two metrics, and the card of the halted patches."""
    driver.get(page.as_uri())
    driver.execute_script("document.documentElement.dataset.theme = 'light'")
    wait_for(driver, "document.querySelector('#card-overview .numbers tbody tr')")
    save(driver.get_screenshot_as_png(), "compare-light.png")
    # It would lie over a card that fills the window.
    driver.execute_script("document.getElementById('arrange').style.position = 'static'")
    for name, drawn in (("against-energy", ".main-svg"), ("halting", ".mosaic")):
        card = driver.find_element(By.ID, f"card-{name}")
        scroll_to(driver, card)
        wait_for(driver, f"arguments[0].querySelector('{drawn}')", card)
        wait_for(driver, "arguments[0].querySelector('.main-svg g.trace, .heatmaplayer')", card)
        scroll_to(driver, card)
        save(card.screenshot_as_png, f"{name}.png")


def main() -> None:
    """Make all of them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder)
        with chromium(folder, 1240, 1320) as driver:
            photograph(driver, folder / "runs" / "compare.html")


if __name__ == "__main__":
    main()
