"""A page of headless Chromium that has no network beyond this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from . import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        pytest.skip("no Chromium: make chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=str(program), env=chromium.environment(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Page that fails the test for any error of its script and any request that leaves the machine."""
    found = browser.new_page(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.on("request", lambda request: problems.append(request.url) if _outside(request.url) else None)
    yield found
    found.close()
    assert problems == []


def _outside(url: str) -> bool:
    return not url.startswith(("file://", "data:", "http://127.0.0.1:"))
