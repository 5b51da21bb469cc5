"""The head of the comparison in a browser: sentences, order and filter of designs, whole tables."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from tests.chromium import complaints, scroll_to, wait_for, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(driver: webdriver.Chrome, page: Path) -> webdriver.Chrome:
    driver.get(page.as_uri())
    wait_for(driver, "document.querySelector('#card-overview .numbers tbody tr')")
    return driver


def _column(driver: webdriver.Chrome, card: str, place: int = 0) -> list[str]:
    """The cells of a column of a card's table."""
    cells: list[str] = driver.execute_script(
        "return Array.from(document.querySelectorAll(`#card-${arguments[0]} tbody tr`),"
        " row => row.cells[arguments[1]].textContent)",
        card,
        place,
    )
    return cells


def test_the_sentences_are_those_of_the_chosen_baseline(opened: webdriver.Chrome) -> None:
    select = Select(opened.find_element(By.ID, "against"))
    for name in ("loas", "sparse_pe", "dense_pe"):
        select.select_by_visible_text(name)
        shown = [
            each for each in opened.find_elements(By.CLASS_NAME, "verdict") if each.is_displayed()
        ]
        assert [each.get_attribute("data-against") for each in shown] == [name]
        assert "faster" in shown[0].text
    assert complaints(opened) == []


def test_designs_are_sorted_by_the_metric_that_is_chosen(opened: webdriver.Chrome) -> None:
    assert _column(opened, "overview") == ["dense_pe", "sparse_pe", "loas"]
    Select(opened.find_element(By.ID, "arrange-metric")).select_by_value("energy (µJ)")
    by_energy = opened.execute_script(
        "const m = STASim.facts.metrics['energy (µJ)'].tiny;"
        "return Object.keys(m).sort((a, b) => m[a] - m[b])"
    )
    assert _column(opened, "overview") == by_energy
    heading = "document.querySelectorAll('#card-machines thead th')"
    names = opened.execute_script(f"return Array.from({heading}, c => c.textContent)")
    assert names == ["field", *by_energy]
    opened.find_element(By.ID, "arrange-reverse").click()
    assert _column(opened, "overview") == by_energy[::-1]
    card = opened.find_element(By.ID, "card-energy-by-part")
    scroll_to(opened, card)
    wait_for(opened, "arguments[0].querySelector('.main-svg')", card)
    order = "return document.getElementById('plot-energy-by-part').layout.yaxis.categoryarray"
    assert opened.execute_script(order) == by_energy[::-1]


def test_designs_are_filtered_by_their_names_everywhere(opened: webdriver.Chrome) -> None:
    opened.find_element(By.ID, "arrange-filter").send_keys("_pe")
    assert _column(opened, "overview") == ["dense_pe", "sparse_pe"]
    card = opened.find_element(By.ID, "card-roofline")
    scroll_to(opened, card)
    wait_for(opened, "arguments[0].querySelector('.main-svg')", card)
    names = "return document.getElementById('plot-roofline').data.map(each => each.name)"
    assert "loas" not in opened.execute_script(names)
    assert "sparse_pe" in opened.execute_script(names)


def test_no_column_is_lost_on_any_width(opened: webdriver.Chrome) -> None:
    for width in (1400, 700):
        opened.set_window_size(width, 900)
        table = opened.find_element(By.CSS_SELECTOR, "#card-overview .numbers")
        scroll_to(opened, table)
        wait_for(opened, "arguments[0].classList.contains('more')", table)
        first = opened.find_element(By.CSS_SELECTOR, "#card-overview tbody th")
        before = first.location["x"]
        opened.execute_script("arguments[0].scrollLeft = 1e6", table)
        wait_for(opened, "!arguments[0].classList.contains('more')", table)
        assert opened.execute_script("return arguments[0].scrollLeft", table) > 0
        # The names stay where they are, the last column can be seen.
        assert first.location["x"] == before
        last = opened.find_element(By.CSS_SELECTOR, "#card-overview tbody td:last-child")
        box = opened.execute_script("return arguments[0].getBoundingClientRect().right", last)
        assert box <= width
        assert table.get_attribute("tabindex") == "0"


def test_a_reader_chooses_the_columns(opened: webdriver.Chrome) -> None:
    card = opened.find_element(By.ID, "card-overview")
    card.find_element(By.CSS_SELECTOR, ".columns summary").click()
    cells = "document.querySelectorAll('#card-overview thead th')"
    headings = f"return Array.from({cells}, cell => cell.textContent)"
    assert "EDP (µJ ms)" in opened.execute_script(headings)
    boxes = card.find_elements(By.CSS_SELECTOR, ".column-list label")
    next(box for box in boxes if box.text == "EDP (µJ ms)").click()
    assert "EDP (µJ ms)" not in opened.execute_script(headings)
    # What is exported stays whole.
    card.find_element(By.CSS_SELECTOR, ".to-csv").click()


def test_cells_that_differ_are_marked(opened: webdriver.Chrome) -> None:
    marked = opened.execute_script(
        "return Array.from(document.querySelectorAll('#card-machines tbody tr'), row =>"
        " [row.cells[0].textContent, Array.from(row.querySelectorAll('.differs'),"
        " c => document.querySelectorAll('#card-machines thead th')[c.cellIndex].textContent)])"
    )
    fields = dict(marked)
    # Two of three have DDR4 and 500 MHz; LoAS has HBM2 and 800 MHz.
    assert fields["DRAM"] == fields["clock (MHz)"] == ["loas"]
    assert len(fields["PE array"]) == 3


def test_an_interval_is_shown_with_its_mean_and_exported_apart(
    opened: webdriver.Chrome, folder: Path
) -> None:
    cell = _column(opened, "overview", 3)[0]
    assert cell.count("[") == 1
    file = folder / "overview.csv"
    file.unlink(missing_ok=True)
    opened.find_element(By.CSS_SELECTOR, "#card-overview .to-csv").click()
    wait_until(file.is_file, "overview.csv")
    rows = list(csv.reader(file.open(encoding="utf-8")))
    place = rows[0].index("latency (ms)")
    assert rows[0][place : place + 3] == ["latency (ms)", "latency (ms) low", "latency (ms) high"]
    value, low, high = map(float, rows[1][place : place + 3])
    assert low < value < high
