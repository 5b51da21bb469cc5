"""How large is a page of 12 designs on 3 workloads, how long does it take to make and to open?"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from reports.compare import compare_page
from reports.figures.base import Run
from reports.html import write_html
from reports.runs import load_runs
from tests.chromium import chromium, scroll_to, wait_for
from tests.sample_runs import sample_runs

DESIGNS = [f"design_{place:02d}" for place in range(12)]
WORKLOADS = ["cifar10", "cifar100", "imagenet"]
LIMIT_BYTES = 12_000_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """As many layers as an 8-block network has, on 20 images each."""
    folder = tmp_path_factory.mktemp("runs")
    sample_runs(folder, DESIGNS, WORKLOADS, images=20, blocks=8, timesteps=4)
    return load_runs([str(folder)])


@pytest.fixture(scope="module")
def page(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_html(compare_page(runs), path)
    return path


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.mark.slow
def test_the_page_is_small(page: Path) -> None:
    assert page.stat().st_size < LIMIT_BYTES


@pytest.mark.slow
@pytest.mark.benchmark(group="a page of 12 designs on 3 workloads")
def test_making_it(benchmark: Any, runs: list[Run]) -> None:
    benchmark.pedantic(compare_page, (runs,), rounds=3)


@pytest.mark.slow
@pytest.mark.benchmark(group="a page of 12 designs on 3 workloads")
def test_opening_it_until_its_first_tables_are_there(
    benchmark: Any, driver: webdriver.Chrome, page: Path
) -> None:
    """Also says how long the page's own thread computed, which other work does not change."""
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    computed = []

    def opened() -> None:
        driver.get(page.as_uri())
        wait_for(driver, "document.querySelector('#card-overview .numbers tbody tr')")
        found = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        computed.append({each["name"]: each["value"] for each in found}["TaskDuration"])

    benchmark.pedantic(opened, setup=lambda: driver.get("about:blank"), rounds=7)
    benchmark.extra_info["main thread, s"] = statistics.median(computed)


@pytest.mark.slow
@pytest.mark.benchmark(group="a page of 12 designs on 3 workloads")
def test_opening_it_and_going_to_the_first_plot(
    benchmark: Any, driver: webdriver.Chrome, page: Path
) -> None:
    def gone_to() -> None:
        driver.get(page.as_uri())
        wait_for(driver, "document.querySelector('#card-overview .numbers tbody tr')")
        scroll_to(driver, driver.find_element(By.ID, "card-pareto"))
        wait_for(driver, "document.querySelector('#plot-pareto .main-svg g.trace')")

    benchmark.pedantic(gone_to, setup=lambda: driver.get("about:blank"), rounds=5)
