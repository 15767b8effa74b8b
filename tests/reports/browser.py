"""Headless Chromium, where it is installed: a page's DOM after its scripts ran."""

import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str:
    browser = next((path for name in NAMES if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return browser


def dom(page, state: str = "", width: int = 1200, *more: str, budget_ms: int = 4000) -> str:
    """The page's DOM, `budget_ms` of the browser's own time later, with the state after # in its address."""
    result = subprocess.run(
        [chromium(), "--headless", "--no-sandbox", "--disable-gpu", f"--virtual-time-budget={budget_ms}",
         "--enable-logging=stderr",
         f"--window-size={width},900", *more, "--dump-dom", f"file://{page}#{state}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    console = [line for line in result.stderr.splitlines() if ":CONSOLE" in line]
    assert not console, console
    return result.stdout
