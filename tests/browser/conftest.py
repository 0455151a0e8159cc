"""A headless Chromium for tests of pages. Where there is none, the tests are skipped, and the summary says so."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INSTALL = "apt-get install chromium chromium-driver"
REQUIRED = "DISCOTRACE_BROWSER_REQUIRED"  # an environment variable: without a browser the tests fail
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
SKIPPED = pytest.StashKey[bool]()


@dataclass(frozen=True)
class Browser:
    """A Chromium that selenium drives."""

    driver: Any

    def open(self, page: Path) -> None:
        """Show a page and forget what was logged before."""
        self.logged("browser"), self.logged("performance")
        self.driver.get(page.as_uri())

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.driver.execute_script(f"return {expression}")

    def logged(self, log: str) -> list[dict[str, Any]]:
        """What was logged since this was asked last: "browser" is the console, "performance" the network."""
        entries: list[dict[str, Any]] = self.driver.get_log(log)
        return entries

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.logged("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def look(self, width: int, scheme: str = "light", media: str = "screen") -> None:
        """Be as wide as a phone or a desk's screen, prefer light or dark, show or print."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        missing = f"no chromium and chromedriver here: {INSTALL}"
        if os.environ.get(REQUIRED):
            pytest.fail(missing)
        request.config.stash[SKIPPED] = True
        pytest.skip(missing)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash.get(SKIPPED, False):
        terminalreporter.section("browser tests NOT RUN", red=True, bold=True)
        terminalreporter.line(f"There is no chromium here with its chromedriver. To run them: {INSTALL}")
