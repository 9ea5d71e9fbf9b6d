"""A headless browser that stays open and is used as a person does: keys, pointer, windows of any size.

Playwright drives the chromium of this machine; where either is missing the tests that ask are skipped.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.integration.browser import PROGRAM

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; skips the test where there is none."""
    if PROGRAM is None:
        pytest.skip("no chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page that is looked at, with everything it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, and wait until what they changed is drawn."""
        for key in keys:
            self.page.keyboard.press(key)
        self.settled()

    def settled(self) -> None:
        """Wait until the grid is drawn and the view stands in the address."""
        self.page.wait_for_selector("#grid[data-settled='1']")
        self.page.evaluate("View.keepNow()")

    def ask(self, script: str, argument: Any = None) -> Any:
        """What a script in the page answers."""
        return self.page.evaluate(script, argument)

    def until(self, script: str) -> None:
        """Wait until a script in the page answers true. The page's policy forbids Playwright's own way of waiting."""
        deadline = time.monotonic() + 8
        while not self.page.evaluate(script):
            assert time.monotonic() < deadline, f"never came true: {script}"
            time.sleep(0.02)

    @property
    def here(self) -> str:
        """The label of the cell that is looked at."""
        return str(self.page.inner_text("#here-label", timeout=2000))

    def go(self, file: Path, fragment: str = "") -> Visit:
        """Open a viewer from the disk."""
        self.page.goto(file.resolve().as_uri() + (f"#{quote(fragment, safe='=&')}" if fragment else ""))
        self.settled()
        return self


@contextlib.contextmanager
def visiting(browser: Browser, *, quiet: bool = True, **context: Any) -> Iterator[Visit]:
    """A fresh window with storage of its own. Fails when the page complains, unless told not to."""
    with contextlib.closing(browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})) as made:
        page = made.new_page()
        page.set_default_timeout(8000)
        visit = Visit(page)
        page.on("request", lambda request: visit.requests.append(request.url))
        page.on("console", lambda message: visit.complaints.append(message.text))
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        yield visit
        assert not (quiet and visit.complaints), visit.complaints
