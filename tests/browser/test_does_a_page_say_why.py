"""Do waterfall, rooflines and stalls over time draw what a result holds?"""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from simulator.results.result import Result
from tests.chromium import complaints, requests, scroll_to, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["compare", "page"])
def test_stalls_over_time_are_drawn_and_add_up(
    kind: str, driver: webdriver.Chrome, pages: dict[str, Path], results: list[str]
) -> None:
    driver.get(pages[kind].as_uri())
    card = driver.find_element(By.ID, "card-over-time")
    scroll_to(driver, card)
    wait_for(driver, "arguments[0].querySelector('.main-svg g.trace.bars .point')", card)
    # A bar is all cycles of the arrays in its part of the time.
    heights = driver.execute_script(
        "const data = document.getElementById('plot-over-time').data;"
        "return data[0].y.map((_, place) => data.reduce((sum, trace) => sum + trace.y[place], 0))"
    )
    assert 100 <= len(heights) <= 120
    assert heights == pytest.approx([1.0] * len(heights), abs=1e-3)
    if kind == "compare":
        name = Path(results[2]).name
        Select(card.find_element(By.CSS_SELECTOR, "[data-choice=design]")).select_by_value(name)
        latency = Result.load(results[2]).tables["images"]["latency_cycles"][0]
        card.find_element(By.CSS_SELECTOR, ".to-table").click()
        cycles = driver.execute_script(
            "const rows = arguments[0].querySelectorAll('.numbers tbody tr');"
            "return Array.from(rows, row => Array.from(row.cells).slice(1, -1).reduce("
            "(sum, cell) => sum + Number(cell.textContent.replaceAll(',', '')), 0))",
            card,
        )
        assert sum(cycles) == latency
    card.find_element(By.CSS_SELECTOR, ".to-definition").click()
    shown = driver.find_element(By.CSS_SELECTOR, "#definition .text").text
    assert "Stalls over time" in shown
    assert complaints(driver) == []
    assert requests(driver) == []


def test_a_waterfall_leads_from_one_design_to_the_other(
    driver: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    complaints(driver)
    requests(driver)
    for name in ("waterfall-time", "waterfall-energy"):
        driver.get(pages["compare"].as_uri())
        card = driver.find_element(By.ID, f"card-{name}")
        scroll_to(driver, card)
        wait_for(driver, "arguments[0].querySelector('.main-svg g.trace')", card)
        steps = driver.execute_script(f"return document.getElementById('plot-{name}').data[0].y")
        ends = driver.execute_script(
            "const card = JSON.parse(arguments[0].querySelector('script').textContent);"
            "return card.plots[0].table.rows.map(row => row.slice(1).reduce((a, b) => a + b))",
            card,
        )
        assert sum(steps) == pytest.approx(min(ends))
        assert steps[0] == pytest.approx(ends[0])
        select = card.find_element(By.CSS_SELECTOR, "[data-pick=to]")
        select.find_elements(By.TAG_NAME, "option")[1].click()
        steps = driver.execute_script(f"return document.getElementById('plot-{name}').data[0].y")
        assert sum(steps) == pytest.approx(ends[1])
    assert complaints(driver) == []
    assert requests(driver) == []


def test_both_roofs_of_every_design_are_drawn(driver: webdriver.Chrome, page: Path) -> None:
    driver.get(page.as_uri())
    card = driver.find_element(By.ID, "card-roofline")
    scroll_to(driver, card)
    wait_for(driver, "arguments[0].querySelector('.main-svg g.trace')", card)
    Select(card.find_element(By.CSS_SELECTOR, "[data-choice=roofs]")).select_by_value("in joules")
    names = "return document.getElementById('plot-roofline').data.map(each => each.name)"
    drawn = driver.execute_script(names)
    assert {"dense_pe", "sparse_pe", "loas"} <= set(drawn)
    assert "roof with what is always on of loas" in drawn
    assert complaints(driver) == []
