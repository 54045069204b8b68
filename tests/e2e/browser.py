"""The browser of this machine."""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, async_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def _program() -> str:
    """Chromium; where there is none, the test is left out, or fails if LONGRUN_TEST_BROWSER is set."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        leave_out = pytest.fail if os.environ.get("LONGRUN_TEST_BROWSER") else pytest.skip
        leave_out("no Chromium on PATH: install the package chromium")
    return program


@asynccontextmanager
async def browser_page() -> AsyncGenerator[Page]:
    """An empty page in a browser without a window."""
    program = _program()
    async with async_playwright() as driver:
        # Its sandbox does not work for root, whom containers run as.
        arguments = ["--no-sandbox", "--no-proxy-server"]
        browser = await driver.chromium.launch(executable_path=program, args=arguments, headless=True)
        try:
            page = await browser.new_page(viewport={"width": 1400, "height": 1000})
            page.set_default_timeout(20_000)
            yield page
        finally:
            await browser.close()
