"""Debian's Chromium without a window, for tests that look at pages as a reader does."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
)
WAIT_S = 20.0


def require_chromium() -> None:
    """Skip where there is no Chromium; in CI there has to be one."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"needs Debian's chromium and chromium-driver: no {' and no '.join(missing)}")
    assert not missing, f"not installed: {missing}; make packages"


@contextmanager
def chromium(folder: Path, width: int = 1280, height: int = 1000) -> Iterator[webdriver.Chrome]:
    """A browser of one's own, with its profile and downloads in `folder`."""
    require_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},{height}",
    ):
        options.add_argument(flag)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(folder), "download.prompt_for_download": False}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def wait_for(driver: webdriver.Chrome, what: str, *arguments: Any) -> Any:
    """The value of a JavaScript expression as soon as it is true."""
    value: Any = None

    def is_true() -> bool:
        nonlocal value
        value = driver.execute_script(f"return {what}", *arguments)
        return bool(value)

    wait_until(is_true, what)
    return value


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Returns once the condition holds; fails after WAIT_S."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.05)


def scroll_to(driver: webdriver.Chrome, element: WebElement) -> None:
    """Into the middle of the window, and again when the cards around it are drawn and in place."""
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    near = "each.bottom > -300 && each.top < innerHeight + 300"
    boxes = "document.querySelectorAll('.card.pending'), each => each.getBoundingClientRect()"
    wait_for(driver, f"!Array.from({boxes}).some(each => {near})")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)


def requests(driver: webdriver.Chrome) -> list[str]:
    """Addresses asked for since the last call, but for those of the page itself."""
    urls = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            urls.append(message["params"]["request"]["url"])
    return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What the page wrote on its console as warning or error since the last call."""
    entries = driver.get_log("browser")
    return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
