"""Is all of a page on paper, and does the page of a running search keep what its reader chose?"""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from reports.sweep import sweep_page as text_of_sweep
from tests.chromium import complaints, requests, scroll_to, wait_for
from tests.sample_sweep import sample_sweep

pytestmark = pytest.mark.slow

PAPER_PX = 794
"""Width of A4 at 96 dots an inch."""


@pytest.mark.parametrize("name", ["compare", "page", "sweep"])
def test_a_printed_page_cuts_nothing_off(
    name: str, driver: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    driver.set_window_size(PAPER_PX, 1100)
    driver.get(pages[name].as_uri())
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
        cut = "document.documentElement.scrollWidth"
        assert driver.execute_script(f"return {cut}") <= PAPER_PX
        outside = driver.execute_script(
            "return Array.from(document.querySelectorAll('th, td, .main-svg')).filter(each =>"
            " each.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert outside == 0
        # A cell of a wide table has its heading beside it.
        labels = driver.execute_script(
            "return Array.from(document.querySelectorAll('.wide tbody td'), each =>"
            " getComputedStyle(each, '::before').content)"
        )
        assert all(len(each) > 2 for each in labels)
        assert labels or name != "compare"
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_live_page_loads_itself_and_keeps_what_was_chosen(
    driver: webdriver.Chrome, folder: Path
) -> None:
    path = folder / "live.html"
    path.write_text(text_of_sweep(sample_sweep(20), live_s=4.0), encoding="utf-8")
    driver.get(path.as_uri())
    # Held until the reader has chosen, however long the browser takes for that.
    hold = "document.querySelector('#live button').click()"
    driver.execute_script(f"window.first = true; {hold}")
    card = driver.find_element(By.ID, "card-effects")
    scroll_to(driver, card)
    wait_for(driver, "arguments[0].querySelector('.buttons').children.length >= 3", card)
    driver.execute_script(
        "STASim.chosen.parameter = 'b';"
        "document.querySelector('#card-effects .to-table').click(); STASim.changed()"
    )
    # The search goes on, and ends: the open page follows by itself.
    path.write_text(text_of_sweep(sample_sweep(64)), encoding="utf-8")
    driver.execute_script(hold)
    wait_for(driver, "window.first === undefined && !document.getElementById('live')")
    wait_for(driver, "document.querySelector('#card-effects .numbers table')")
    shown = driver.find_element(By.CSS_SELECTOR, "#card-effects [data-choice=parameter]")
    assert Select(shown).first_selected_option.text == "b"
    assert complaints(driver) == []
    assert requests(driver) == []


def test_a_reader_holds_a_live_page(driver: webdriver.Chrome, folder: Path) -> None:
    path = folder / "held.html"
    path.write_text(text_of_sweep(sample_sweep(20), live_s=2.0), encoding="utf-8")
    driver.get(path.as_uri())
    driver.execute_script("window.first = true; document.querySelector('#live button').click()")
    driver.set_script_timeout(60)
    driver.execute_async_script("setTimeout(arguments[0], 2500)")
    assert driver.execute_script("return window.first") is True
