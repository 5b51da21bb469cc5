"""What the page's sliders show is, to the last digit, what `simulator.reprice` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from reports.compare import main as compare
from simulator.reprice import main as reprice
from tests.chromium import chromium, complaints, requests, scroll_to, wait_for
from tests.real_runs import MACHINES, real_runs

pytestmark = pytest.mark.slow

SETTINGS: dict[str, dict[str, Any]] = {
    "sourced": {},
    "DRAM price": {"dram": 3.7},
    "free DRAM": {"dram": 0},
    "powers": {"standby": 123.4, "always": 0.7},
    "factors": {"sram": 1.9, "pe": 31},
    "cells": {"cells": "hp_350k"},
    "another node": {"table": "horowitz_45nm"},
    "all at once": {
        "dram": 17.3,
        "standby": 680,
        "always": 47,
        "sram": 0.49,
        "pe": 8,
        "cells": "foundry_28nm",
        "table": "aladdin_28nm",
    },
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prices")


@pytest.fixture(scope="module")
def results(folder: Path) -> list[str]:
    return real_runs(folder)


@pytest.fixture(scope="module")
def page(folder: Path, results: list[str]) -> Path:
    path = folder / "page.html"
    assert compare([*results, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[webdriver.Chrome]:
    with chromium(folder, 1400) as driver:
        yield driver


def _open(driver: webdriver.Chrome, page: Path, setting: dict[str, Any]) -> None:
    hashed = "&".join(f"{name}={value}" for name, value in setting.items())
    driver.get("about:blank")
    requests(driver)
    driver.get(f"{page.as_uri()}#{hashed}")
    wait_for(driver, "!document.getElementById('prices').hidden")


def _repriced(results: list[str], setting: dict[str, Any], capsys: Any) -> list[dict[str, Any]]:
    words = [word for name, value in setting.items() for word in (OPTIONS[name], str(value))]
    assert reprice([*results, "--json", *words]) == 0
    told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["results"]
    return told


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_link_shows_what_the_command_prints(
    setting: dict[str, Any],
    driver: webdriver.Chrome,
    page: Path,
    results: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    _open(driver, page, setting)
    told = _repriced(results, setting, capsys)
    for name, own in zip(MACHINES, told, strict=True):
        shown = driver.execute_script("return STASim.prices.energy(arguments[0], 'tiny')", name)
        assert shown == [own["energy_pj"][each] for each in ("low", "nominal", "high")]
    assert complaints(driver) == []
    assert requests(driver) == []


def test_a_slider_moves_bars_ranking_front_and_link_and_back(
    driver: webdriver.Chrome, page: Path, results: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _open(driver, page, {})
    cards = ("ranking", "energy-by-part", "pareto", "against-energy", "break-evens")
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
    for name in cards:
        scroll_to(driver, driver.find_element(By.ID, f"card-{name}"))
        wait_for(driver, f"!document.getElementById('card-{name}').hidden")
    after = driver.execute_script(tables, cards)
    changed = [name for name, a, b in zip(cards, before, after, strict=True) if a != b]
    assert set(changed) >= {"ranking", "energy-by-part", "pareto", "against-energy"}
    told = _repriced(results, {"dram": value}, capsys)
    by_energy = sorted(
        zip(MACHINES, told, strict=True), key=lambda each: float(each[1]["energy_pj"]["nominal"])
    )
    ranking = driver.execute_script(
        "return Array.from(document.querySelectorAll('#card-ranking tbody tr'),"
        " row => [row.cells[0].textContent, row.cells[1].textContent])"
    )
    ranks = {name: rank for name, rank in ranking}
    assert [ranks[name] for name, _ in by_energy] == ["1", "2", "3"]
    reset = driver.find_element(By.CSS_SELECTOR, "#prices .reset")
    scroll_to(driver, reset)
    reset.click()
    assert driver.execute_script("return location.hash") == ""
    for name in cards:
        scroll_to(driver, driver.find_element(By.ID, f"card-{name}"))
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
