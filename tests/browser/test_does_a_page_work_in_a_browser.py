"""Pages in a real browser: every plot is drawn, no network is asked, all that is offered works."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from reports.compare import main as compare
from tests.chromium import complaints, requests, scroll_to, wait_for, wait_until
from tests.sample_runs import sample_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(folder: Path, pages: dict[str, Path]) -> dict[str, Path]:
    """A page of each kind; the compared results are made up, of two workloads."""
    made = folder / "sample" / "compare.html"
    assert compare([*sample_runs(folder / "sample"), "--out", str(made)]) == 0
    return pages | {"compare": made}


@pytest.fixture(params=["compare", "page", "sweep"])
def opened(
    request: pytest.FixtureRequest, driver: webdriver.Chrome, pages: dict[str, Path]
) -> webdriver.Chrome:
    driver.get(pages[request.param].as_uri())
    return driver


@pytest.fixture
def comparison(driver: webdriver.Chrome, pages: dict[str, Path]) -> webdriver.Chrome:
    driver.get(pages["compare"].as_uri())
    return driver


def _cards(driver: webdriver.Chrome) -> list[WebElement]:
    return driver.find_elements(By.CSS_SELECTOR, "section.card")


def _card(driver: webdriver.Chrome, name: str) -> WebElement:
    """A card in the middle of the window, drawn."""
    card = driver.find_element(By.ID, f"card-{name}")
    scroll_to(driver, card)
    wait_for(driver, "arguments[0].querySelector('.buttons').children.length >= 3", card)
    return card


def _draw_all(driver: webdriver.Chrome) -> int:
    """Scrolls through the page; returns how many plots were drawn."""
    drawn = 0
    for card in _cards(driver):
        scroll_to(driver, card)
        has_figure = "'figure' in JSON.parse(arguments[0].querySelector('script').text).plots[0]"
        if driver.execute_script(f"return {has_figure}", card):
            drawn += 1
            # Every trace has put something into the plot.
            wait_for(
                driver,
                "arguments[0].querySelector('.main-svg') && arguments[0].querySelectorAll("
                "'g.trace, .heatmaplayer image').length > 0",
                card,
            )
    return drawn


def test_every_plot_is_drawn_without_error_and_without_network(opened: webdriver.Chrome) -> None:
    assert _draw_all(opened) >= 5
    assert complaints(opened) == []
    assert requests(opened) == []


def test_every_choice_of_every_card_is_drawn(comparison: webdriver.Chrome) -> None:
    seen = 0
    for card in _cards(comparison):
        scroll_to(comparison, card)
        wait_for(comparison, "arguments[0].querySelector('.buttons').children.length >= 3", card)
        for select in card.find_elements(By.TAG_NAME, "select"):
            for option in select.find_elements(By.TAG_NAME, "option"):
                option.click()
                assert select.get_property("value") == option.get_property("value")
                seen += 1
    assert seen > 30
    assert complaints(comparison) == []


def test_one_choice_holds_for_all_cards(comparison: webdriver.Chrome) -> None:
    first = _card(comparison, "stalls").find_element(By.TAG_NAME, "select")
    first.find_element(By.CSS_SELECTOR, "option[value=cifar_baseline]").click()
    for name in ("latency", "energy-by-part", "roofline", "dram"):
        card = _card(comparison, name)
        wait_for(
            comparison, "arguments[0].querySelector('select').value === 'cifar_baseline'", card
        )


def test_a_mark_tells_its_value_under_the_mouse(comparison: webdriver.Chrome) -> None:
    for name, mark in (
        ("energy-by-part", ".point path"),
        ("latency", ".scatterlayer .point"),
        ("roofline", ".scatterlayer .point"),
        ("cycles", ".point path"),
    ):
        card = _card(comparison, name)
        wait_for(comparison, f"arguments[0].querySelector('{mark}')", card)
        target = card.find_elements(By.CSS_SELECTOR, mark)[-1]
        ActionChains(comparison).move_to_element(target).perform()
        text = wait_for(comparison, "arguments[0].querySelector('.hovertext')?.textContent", card)
        assert any(sign.isdigit() for sign in text), name


def test_the_legend_hides_and_shows_a_series(comparison: webdriver.Chrome) -> None:
    card = _card(comparison, "energy-by-part")
    wait_for(comparison, "arguments[0].querySelector('.legendtoggle')", card)
    state = "document.getElementById('plot-energy-by-part').data[0].visible"
    for expected in ("=== 'legendonly'", "!== 'legendonly'"):
        card.find_element(By.CSS_SELECTOR, ".legendtoggle").click()
        wait_for(comparison, f"{state} {expected}")


def test_table_csv_and_definition_are_one_click_away(
    comparison: webdriver.Chrome, folder: Path
) -> None:
    for name, heading, file in (
        ("energy-by-part", "Energy", "energy-by-part-cifar.csv"),
        ("pareto", "Comparing designs", "pareto-cifar.csv"),
        ("overview", "Comparing designs", "overview.csv"),
    ):
        card = _card(comparison, name)
        if name != "overview":
            card.find_element(By.CSS_SELECTOR, ".to-table").click()
        table = wait_for(
            comparison,
            "Array.from(arguments[0].querySelectorAll('.numbers tr'),"
            " row => Array.from(row.cells, cell => cell.textContent))",
            card,
        )
        card.find_element(By.CSS_SELECTOR, ".to-csv").click()
        wait_until((folder / file).is_file, file)
        rows = list(csv.reader((folder / file).open(encoding="utf-8")))
        # An interval has columns of its own here.
        assert [name for name in rows[0] if not name.endswith((" low", " high"))] == table[0]
        assert [row[0] for row in rows] == [row[0] for row in table]
        assert len(rows) >= 4
        card.find_element(By.CSS_SELECTOR, ".to-definition").click()
        dialog = comparison.find_element(By.ID, "definition")
        assert dialog.find_element(By.TAG_NAME, "h2").text == heading
        dialog.find_element(By.CSS_SELECTOR, "form button").click()
        assert not dialog.is_displayed()


def _contrast(driver: webdriver.Chrome, of: str) -> float:
    """Contrast of text and paper as WCAG 2 defines it."""

    def luminance(variable: str) -> float:
        colour = driver.execute_script(
            "const place = document.createElement('i'); document.body.append(place);"
            f"place.style.color = 'var({variable})'; return getComputedStyle(place).color"
        )
        parts = [int(part) / 255 for part in colour.strip("rgba()").split(",")[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    one, other = sorted((luminance(of), luminance("--paper")))
    return (other + 0.05) / (one + 0.05)


def test_both_themes_are_readable_and_reach_the_plots(opened: webdriver.Chrome) -> None:
    papers = set()
    card = _cards(opened)[-1]
    for _ in range(2):
        opened.execute_script("window.scrollTo(0, 0)")
        opened.find_element(By.ID, "theme").click()
        for colour in ("--ink", "--soft", "--mark"):
            assert _contrast(opened, colour) >= 4.5
        papers.add(opened.execute_script("return getComputedStyle(document.body).backgroundColor"))
        scroll_to(opened, card)
        wait_for(
            opened,
            "arguments[0].querySelector('.js-plotly-plot')?._fullLayout.font.color === "
            "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()",
            card,
        )
    assert len(papers) == 2


@pytest.mark.parametrize("name", ["compare", "page", "cnn", "sweep"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    name: str, driver: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        driver.get(pages[name].as_uri())
        _draw_all(driver)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
        for plot in driver.find_elements(By.CSS_SELECTOR, ".plot .main-svg"):
            assert plot.size["width"] <= 360
        over = "Array.from(document.querySelectorAll('.numbers tbody th'))"
        over += ".filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"
        assert driver.execute_script(f"return {over}") == 0
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_points_yaml_is_copied_by_its_button(
    driver: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    driver.get(pages["sweep"].as_uri())
    card = _card(driver, "points")
    card.find_element(By.CSS_SELECTOR, ".to-table").click()
    driver.execute_script(
        "navigator.clipboard.writeText = text => (window.copied = text, Promise.resolve())"
    )
    button = card.find_element(By.CSS_SELECTOR, "td .copy")
    scroll_to(driver, button)
    button.click()
    wait_for(driver, "arguments[0].textContent === 'Copied'", button)
    copied = driver.execute_script("return window.copied")
    assert {*json.loads(copied)} == {"a", "b", "c", "d"}
