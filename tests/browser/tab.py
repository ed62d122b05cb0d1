"""A tab of the browser: what it shows, and what it complains of."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

WAIT_MS = 20_000

expect.set_options(timeout=WAIT_MS)


class Tab:
    """A tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        """Errors and warnings of the console, of scripts, and of the Content-Security-Policy."""
        self.expected: list[str] = []
        """Parts of complaints that this test causes on purpose."""
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location.get('url', '')}")

    async def open(self, url: str) -> None:
        """Load the page."""
        await self.page.goto(url)

    def find(self, selector: str) -> Locator:
        """Elements by a CSS selector."""
        return self.page.locator(selector)

    def row(self, instrument: str) -> Locator:
        """The row of a consolidated quote."""
        return self.find(f'#quotes tr[data-instrument="{instrument}"]')

    def legs(self, instrument: str) -> Locator:
        """The rows of its legs."""
        return self.find(f'#quotes tr[data-of="{instrument}"]')

    async def shows(self, selector: str, text: str) -> None:
        """Wait until an element contains a text."""
        await expect(self.find(selector)).to_contain_text(text)

    async def link(self, state: str) -> None:
        """Wait until the connection indicator says this."""
        await expect(self.find("#link-state")).to_have_text(state)

    async def run(self, script: str, argument: Any = None) -> Any:
        """Returns what a function of the page returns."""
        return await self.page.evaluate(script, argument)

    def unexpected(self) -> list[str]:
        """Returns the complaints that the test does not expect."""
        return [text for text in self.complaints if not any(part in text for part in self.expected)]


@contextlib.asynccontextmanager
async def opened(browser: Browser, **options: Any) -> AsyncIterator[Tab]:
    """A tab for the length of the block. Fails if the browser complained of something unexpected."""
    context = await browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    try:
        tab = Tab(await context.new_page())
        yield tab
        if found := tab.unexpected():
            raise AssertionError(f"the browser complained: {found}")
    finally:
        await context.close()
