"""Are the pages free of barriers that axe-core finds, small enough, and quickly there?"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.chromium import scroll_to, wait_for

pytestmark = pytest.mark.slow

MOST_BYTES = 12_000_000
RULES = ("wcag2a", "wcag2aa", "best-practice")


@pytest.fixture(scope="module")
def axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["compare", "page", "cnn", "sweep", "diff", "matrix"])
def test_axe_finds_no_barrier(
    name: str, driver: webdriver.Chrome, pages: dict[str, Path], axe: str
) -> None:
    driver.get(pages[name].as_uri())
    driver.execute_script(axe)
    driver.set_script_timeout(120)
    theme = "document.documentElement.dataset.theme = arguments[0]; STASim.changed()"
    driver.execute_script(theme, "dark")
    for card in driver.find_elements(By.CSS_SELECTOR, "section.card"):
        scroll_to(driver, card)
        wait_for(driver, "arguments[0].querySelector('.buttons').children.length >= 3", card)
    # A theme changes colours alone: all other rules are the same in both.
    assert _barriers(driver, {"type": "rule", "values": ["color-contrast"]}) == []
    driver.execute_script(theme, "light")
    # Plotly measures texts in an invisible picture beside the landmarks: no reader meets it.
    driver.execute_script("document.getElementById('js-plotly-tester').remove()")
    assert _barriers(driver, {"type": "tag", "values": RULES}) == []


def _barriers(driver: webdriver.Chrome, rules: dict[str, Any]) -> list[tuple[str, str, int]]:
    """What axe finds: its rule, the first element, and how many there are."""
    found: list[dict[str, Any]] = driver.execute_async_script(
        "const done = arguments[1]; axe.run(document, {runOnly: arguments[0],"
        " resultTypes: ['violations']}).then(result => done(result.violations))",
        rules,
    )
    return [(each["id"], each["nodes"][0]["html"][:120], len(each["nodes"])) for each in found]


def test_a_page_of_many_designs_is_small(pages: dict[str, Path]) -> None:
    """A page of 3 designs; what a run adds to it is small against plotly's 4.8 MB."""
    sizes = {name: path.stat().st_size for name, path in pages.items()}
    alone = min(sizes.values())
    assert sizes["compare"] + 12 * (sizes["compare"] - alone) < MOST_BYTES


def test_plots_wait_until_the_page_is_there(
    driver: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    text = pages["compare"].read_text(encoding="utf-8")
    # Plotly travels as text that no browser runs on its way to the first paint.
    assert text.index('<script type="text/plain" id="plotly">') > text.index("</main>")
    driver.get(pages["compare"].as_uri())
    wait_for(driver, "window.Plotly")
    # What is far below is drawn when its reader comes to it.
    waiting = len(driver.find_elements(By.CSS_SELECTOR, "section.card.pending"))
    assert waiting > len(driver.find_elements(By.CSS_SELECTOR, "section.card")) / 2


def test_the_keyboard_goes_through_head_order_and_cards(
    driver: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    driver.get(pages["compare"].as_uri())
    wait_for(driver, "document.querySelector('#card-overview .numbers tbody tr')")
    seen = []
    for _ in range(12):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        active = driver.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("class") or active.tag_name)
    order = [seen.index(name) for name in ("theme", "against", "arrange-metric", "arrange-filter")]
    assert order == sorted(order)
    assert any("to-table" in name for name in seen)
