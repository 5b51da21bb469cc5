"""What the tests in a browser share: results, their pages, and one browser a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from reports.compare import main as compare
from reports.diff import main as diff
from reports.page import main as draw_page
from reports.sweep import main as sweep
from simulator.run import main as simulate
from stasim.matrix import main as matrix
from tests.chromium import chromium, complaints, requests
from tests.factories import tiny_trace
from tests.real_runs import real_runs
from tests.sample_result import sample_result
from tests.sample_sweep import sample_sweep

WIDTH, HEIGHT = 1400, 1000


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results, pages and downloads."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="session")
def results(folder: Path) -> list[str]:
    """Real counts of three machines."""
    return real_runs(folder)


@pytest.fixture(scope="session")
def page(folder: Path, results: list[str]) -> Path:
    """The page that compares the results."""
    path = folder / "compare.html"
    assert compare([*results, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def sweep_page(folder: Path) -> Path:
    """The page of a search."""
    search, path = folder / "search", folder / "sweep.html"
    search.mkdir()
    sample_sweep().save(search)
    assert sweep([str(search), "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def pages(folder: Path, results: list[str], page: Path, sweep_page: Path) -> dict[str, Path]:
    """A page of each kind; that of a run holds a stream too.

    `cnn`: without tokens; `matrix`: with a pair that cannot be run, left out; `sweep`: of a search
    with accuracy among its metrics, as one of network and machine has.
    """
    tiny_trace(folder / "tiny.npz", images=3)
    words = ["--arch", "sparse_pe", "--trace", str(folder / "tiny.npz"), "--out"]
    arrivals = ["--arrivals", "poisson:20000,seed=1,images=12", "--in-flight", "2"]
    assert simulate([*words, str(folder / "streamed"), *arrivals]) == 0
    sample_result(blocks=0, timesteps=1).save(folder / "cnn")
    assert draw_page([str(folder / "cnn"), "--out", str(folder / "cnn.html")]) == 0
    assert diff([*results[:2], "--out", str(folder / "diff.html")]) == 0
    machines = ["--arch", "sparse_pe_noskip", "sparse_pe", "exspike"]
    words = ["--trace", str(folder / "tiny.npz"), "--out", str(folder / "matrix")]
    assert matrix([*machines, *words]) == 0
    return {
        "diff": folder / "diff.html",
        "matrix": folder / "matrix" / "compare.html",
        "compare": page,
        "page": folder / "streamed" / "page.html",
        "cnn": folder / "cnn.html",
        "sweep": sweep_page,
    }


# Not of the session: a test of commands that are stopped ends all children of its worker.
@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """A browser whose downloads are in the folder."""
    with chromium(folder, WIDTH, HEIGHT) as browser:
        yield browser


@pytest.fixture
def driver(browser: webdriver.Chrome) -> webdriver.Chrome:
    """The browser without a page, with empty logs and its first size."""
    browser.get("about:blank")
    browser.set_window_size(WIDTH, HEIGHT)
    complaints(browser)
    requests(browser)
    return browser
