"""Does a table of the documentation site lose a column, at 1400 px or on a phone?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.chromium import complaints, wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WIDE, PHONE = 1400, 390
TABLES = """
return Array.from(document.querySelectorAll('.md-typeset table'), table => {
  const place = table.closest('.md-typeset__scrollwrap'), first = table.rows[0].cells[0];
  return {
    name: table.rows[0].textContent.trim(),
    hidden: place.scrollWidth - place.clientWidth,
    cut: Array.from(table.querySelectorAll('th, td')).filter(
      cell => cell.scrollWidth > cell.clientWidth + 1).length,
    first: getComputedStyle(first).position,
    width: first.getBoundingClientRect().width,
    chooser: place.previousElementSibling?.className === 'columns',
    reached: place.tabIndex === 0,
  };
})"""


@pytest.fixture(scope="module")
def site(folder: Path) -> Path:
    """The site, built once."""
    target = folder / "site"
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return target


def _tables(driver: webdriver.Chrome, page: Path) -> list[dict[str, Any]]:
    driver.get(page.as_uri())
    wait_for(driver, "document.readyState === 'complete'")
    # The observers of the tables have looked.
    driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert driver.execute_script(f"return {wide}"), page
    found: list[dict[str, Any]] = driver.execute_script(TABLES)
    return found


def test_nothing_is_hidden_at_1400_px(driver: webdriver.Chrome, site: Path) -> None:
    seen = 0
    for page in sorted(site.rglob("index.html")):
        for table in _tables(driver, page):
            assert table["hidden"] <= 1, (page, table)
            assert table["cut"] == 0, (page, table)
            seen += 1
    assert seen > 50
    # The search of a site asks for its index, which a file system does not serve.
    assert [each for each in complaints(driver) if "search_index.js" not in each] == []


def test_the_parts_table_shows_what_a_field_means(driver: webdriver.Chrome, site: Path) -> None:
    driver.get((site / "architecture" / "index.html").as_uri())
    cell = driver.find_element(By.CSS_SELECTOR, ".md-typeset table th:last-child")
    assert cell.text == "meaning"
    place = cell.rect
    assert place["x"] + place["width"] <= WIDE
    # The widest column, as it is the one of sentences.
    widths = "Array.from(arguments[0].parentNode.cells, each => each.clientWidth)"
    each = driver.execute_script(f"return {widths}", cell)
    assert each[-1] == max(each)


def test_a_phone_keeps_the_first_column_and_leads_to_the_others(
    driver: webdriver.Chrome, site: Path
) -> None:
    size = {"width": PHONE, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        scrolled = 0
        for page in sorted(site.rglob("index.html")):
            for table in _tables(driver, page):
                assert table["first"] == "sticky", (page, table)
                assert table["cut"] == 0, (page, table)
                if table["hidden"] > 1:
                    assert table["width"] < 0.6 * PHONE, (page, table)
                    assert table["chooser"], (page, table)
                    assert table["reached"], (page, table)
                    scrolled += 1
        assert scrolled > 10
        driver.get((site / "architecture" / "index.html").as_uri())
        wait_for(driver, "document.querySelector('details.columns')")
        hidden = "document.querySelector('.md-typeset table').rows[3].cells[1].hidden"
        assert not driver.execute_script(f"return {hidden}")
        driver.find_element(By.CSS_SELECTOR, "details.columns summary").click()
        driver.find_element(By.CSS_SELECTOR, "details.columns input").click()
        assert driver.execute_script(f"return {hidden}")
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
