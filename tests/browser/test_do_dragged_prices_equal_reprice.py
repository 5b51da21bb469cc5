"""What the page's sliders show is, to the last digit, what `simulator.reprice` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from simulator.reprice import main as reprice
from tests.chromium import complaints, requests, scroll_to, wait_for, wait_until
from tests.real_runs import MACHINES

pytestmark = pytest.mark.slow

SETTINGS: dict[str, dict[str, Any]] = {
    "all at once": {
        "dram": 17.3,
        "standby": 680,
        "always": 47,
        "sram": 0.49,
        "pe": 8,
        "cells": "foundry_28nm",
        "table": "aladdin_28nm",
    },
    "sourced": {},
    "DRAM price": {"dram": 3.7},
    "free DRAM": {"dram": 0},
    "powers": {"standby": 123.4, "always": 0.7},
    "factors": {"sram": 1.9, "pe": 31},
    "cells": {"cells": "hp_350k"},
    "another node": {"table": "horowitz_45nm"},
}
OPTIONS = {
    "dram": "--dram-pj-per-bit",
    "standby": "--dram-standby-mw",
    "always": "--always-on-mw",
    "sram": "--sram-factor",
    "pe": "--pe-factor",
    "cells": "--sram-cells",
    "table": "--table",
}


def _open(driver: webdriver.Chrome, page: Path, setting: dict[str, Any]) -> None:
    hashed = "&".join(f"{name}={value}" for name, value in setting.items())
    driver.get(f"{page.as_uri()}#{hashed}")
    wait_for(driver, "!document.getElementById('prices').hidden")


def _repriced(results: list[str], setting: dict[str, Any], capsys: Any) -> list[dict[str, Any]]:
    words = [word for name, value in setting.items() for word in (OPTIONS[name], str(value))]
    assert reprice([*results, "--json", *words]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["results"]
    return found


def test_a_link_shows_what_the_command_prints(
    driver: webdriver.Chrome, page: Path, results: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # The first link opens the page with all prices moved, the others are followed within it.
    shown = "return arguments[0].map(name => STASim.prices.energy(name, 'tiny'))"
    for title, setting in SETTINGS.items():
        _open(driver, page, setting)
        spans = [each["energy_pj"] for each in _repriced(results, setting, capsys)]
        expected = [[span["low"], span["nominal"], span["high"]] for span in spans]

        def is_shown(expected: list[list[float]] = expected) -> bool:
            return bool(driver.execute_script(shown, MACHINES) == expected)

        wait_until(is_shown, f"{title}: {expected}")
    assert complaints(driver) == []
    assert requests(driver) == []


def test_every_slider_and_choice_equals_its_option(
    driver: webdriver.Chrome, page: Path, results: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _open(driver, page, {})
    knobs = driver.execute_script(
        "return Array.from(document.querySelectorAll('[data-knob]'), k => k.dataset.knob)"
    )
    chosen = {"cells": "hp_350k", "table": "aladdin_28nm"}
    assert {*knobs, *chosen} == {*OPTIONS}
    moved: dict[str, Any] = {}
    for place, name in enumerate(knobs):
        # As a reader drags it: the field says what its place is worth.
        value = driver.execute_script(
            "const slider = document.querySelector(`[data-knob=${arguments[0]}]`);"
            "slider.value = arguments[1]; slider.dispatchEvent(new Event('input'));"
            "return document.getElementById('price-' + arguments[0]).value",
            name,
            130 + 170 * place,
        )
        moved[name] = value
    for name, value in chosen.items():
        Select(driver.find_element(By.ID, f"price-{name}")).select_by_value(value)
        moved[name] = value
    shown = driver.execute_script(
        "return arguments[0].map(name => STASim.prices.energy(name, 'tiny'))", MACHINES
    )
    spans = [each["energy_pj"] for each in _repriced(results, moved, capsys)]
    assert shown == [[span["low"], span["nominal"], span["high"]] for span in spans]


def test_a_slider_moves_bars_ranking_front_and_link_and_back(
    driver: webdriver.Chrome, page: Path, results: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _open(driver, page, {})
    cards = (
        "ranking",
        "energy-by-part",
        "pareto",
        "against-energy",
        "break-evens",
        "waterfall-energy",
    )
    for name in cards:
        card = driver.find_element(By.ID, f"card-{name}")
        scroll_to(driver, card)
        wait_for(driver, "arguments[0].querySelector('.buttons').children.length >= 3", card)
        card.find_element(By.CSS_SELECTOR, ".to-table").click()
    tables = (
        "return arguments[0].map(name =>"
        " document.querySelector(`#card-${name} .numbers`).textContent)"
    )
    before = driver.execute_script(tables, cards)
    driver.execute_script(
        "const slider = document.querySelector('[data-knob=dram]'); slider.value = 900;"
        "slider.dispatchEvent(new Event('input'))"
    )
    field = driver.find_element(By.ID, "price-dram")
    value = float(str(field.get_property("value")))
    assert value > 20
    assert f"dram={value:g}" in driver.execute_script("return location.hash")
    # Cards out of sight are drawn when they come into view.
    shown = "document.querySelector(`#card-${arguments[0]} .numbers`).textContent"
    for name, text in zip(cards, before, strict=True):
        scroll_to(driver, driver.find_element(By.ID, f"card-{name}"))
        wait_for(driver, f"{shown} !== arguments[1]", name, text)
    repriced = _repriced(results, {"dram": value}, capsys)
    by_energy = sorted(
        zip(MACHINES, repriced, strict=True),
        key=lambda each: float(each[1]["energy_pj"]["nominal"]),
    )
    ranking = driver.execute_script(
        "return Array.from(document.querySelectorAll('#card-ranking tbody tr'),"
        " row => [row.cells[0].textContent, row.cells[1].textContent])"
    )
    note = driver.find_element(By.ID, "note-against-energy").text
    assert "at the prices above" in note
    assert "brackets" not in note
    ranks = {name: rank for name, rank in ranking}
    assert [ranks[name] for name, _ in by_energy] == ["1", "2", "3"]
    stale = driver.find_element(By.CSS_SELECTOR, ".verdicts .stale")
    assert stale.is_displayed()
    reset = driver.find_element(By.CSS_SELECTOR, "#prices .reset")
    scroll_to(driver, reset)
    reset.click()
    assert driver.execute_script("return location.hash") == ""
    assert not stale.is_displayed()
    for name, text in zip(cards, before, strict=True):
        scroll_to(driver, driver.find_element(By.ID, f"card-{name}"))
        wait_for(driver, f"{shown} === arguments[1]", name, text)
    assert driver.execute_script(tables, cards) == before


def test_break_evens_are_those_of_the_command(
    driver: webdriver.Chrome, page: Path, results: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _open(driver, page, {})
    rows = driver.execute_script("return STASim.live['break-evens'](['tiny']).table.rows")
    assert reprice([*results, "--json"]) == 0
    pairs = json.loads(capsys.readouterr().out)["pairs"]
    found = {(row[0], row[1]): row for row in rows}
    assert len(found) == len(pairs) == 3
    for pair in pairs:
        row = found[Path(pair["first"]).name, Path(pair["second"]).name]
        turns = {turn["quantity"]: turn["value"] for turn in pair["turns"]}
        expected = turns["DRAM price"]
        assert (row[4] is None) == (expected is None)
        if expected is not None:
            assert row[4] == pytest.approx(expected, rel=1e-6)
        # The command states all of the first design's power, the page what is drawn further.
        power = next(turn for turn in pair["turns"] if turn["quantity"] == "always-on power")
        further_mw = (power["value"] or 0) - power["bounds"]["nominal"]
        assert row[3] == (pytest.approx(further_mw, rel=1e-6) if further_mw > 0 else None)


def test_the_map_holds_the_ratio_at_every_place(driver: webdriver.Chrome, page: Path) -> None:
    _open(driver, page, {"sram": 2})
    card = driver.find_element(By.ID, "card-ratio-map")
    scroll_to(driver, card)
    wait_for(driver, "arguments[0].querySelector('.heatmaplayer image, g.trace')", card)
    found = driver.execute_script(
        "const plot = document.getElementById('plot-ratio-map').data[0];"
        "const i = 7, j = 31, one = document.querySelector('#card-ratio-map [data-pick=of]').value;"
        "const other = document.querySelector('#card-ratio-map [data-pick=over]').value;"
        "STASim.prices.set({always: plot.x[i], dram: plot.y[j]});"
        "const ratio = STASim.prices.energy(one, 'tiny')[1] /"
        " STASim.prices.energy(other, 'tiny')[1];"
        "return [plot.customdata[j][i], ratio, one, other]"
    )
    assert found[0] == found[1]
    assert found[2] != found[3]


def test_sums_are_rounded_once_as_pythons_are(driver: webdriver.Chrome, page: Path) -> None:
    _open(driver, page, {})
    parts = driver.execute_script(
        "return Array.from(STASim.prices.parts('sparse_pe', 'tiny').values(), each => each[1])"
    )
    whole = driver.execute_script("return STASim.prices.energy('sparse_pe', 'tiny')[1]")
    assert sum(parts) == pytest.approx(whole, rel=1e-12)


def test_what_stays_at_the_sourced_prices_says_so(driver: webdriver.Chrome, page: Path) -> None:
    _open(driver, page, {"dram": 7})
    for name in ("energy-by-stage", "against-edp", "why", "roofline"):
        card = driver.find_element(By.ID, f"card-{name}")
        scroll_to(driver, card)
        wait_for(driver, "arguments[0].querySelector('.buttons').children.length >= 3", card)
        for select in card.find_elements(By.CSS_SELECTOR, "[data-choice=roofs]"):
            Select(select).select_by_visible_text("in joules")
        assert "sourced prices" in card.find_element(By.CLASS_NAME, "note").text
    assert "sourced prices" in driver.find_element(By.CLASS_NAME, "verdicts").text
