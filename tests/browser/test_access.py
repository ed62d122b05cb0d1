"""Whether everyone can use the page: axe's rules in light and dark, on a desk and on a phone; labels, live regions, motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from crosstape_schemas import CONSOLIDATED, EdgeChange, Exclusion, FeedState, Market
from tests.browser.market import BTC, DOGE, Stage, bar, depth, edge, gap, status
from tests.browser.rig import Gateway
from tests.browser.tab import Tab, opened
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
RULES = """async () => {
    const { violations } = await axe.run({ resultTypes: ["violations"] });
    const node = ({ html, failureSummary }) => [html.slice(0, 200), failureSummary];
    return violations.map(({ id, impact, nodes }) => [id, impact, nodes.slice(0, 3).map(node)]);
}"""
TOLERATED = ("minor", "moderate")


async def full(stage: Stage) -> None:
    """Puts something into every panel."""
    await stage.publish(
        stage.quote("100.10", "100.30", excluded=Exclusion.STATE, state=FeedState.STALE),
        stage.quote("0.2", "0.1", instrument=DOGE, market=Market.CROSSED),
        stage.quote("7", "7", instrument="ETH-USDT", market=Market.LOCKED),
        depth([("100.1", "1", "2")], [("100.3", "3", "1")]),
        edge(EdgeChange.OPEN, "1.5"),
        status("kraken", FeedState.STALE, kind="quote", instrument=DOGE, reason="no message for 43 s"),
        status("kraken", FeedState.RECOVERING, kind="book", instrument=DOGE, reason="sequence"),
        gap(12),
        gap(12, repaired=True),
        *(bar(ago, f"10{ago}", complete=ago != 3) for ago in range(8, 0, -1)),
    )


async def findings(tab: Tab) -> list[Any]:
    """Returns what axe finds that is serious."""
    await tab.page.evaluate(AXE.read_text())
    return [found for found in await tab.run(RULES) if found[1] not in TOLERATED]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm ci --prefix tests/browser")
@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_axe_finds_nothing_serious(stage: Stage, gateway: Gateway, chromium: Browser, scheme: Any) -> None:
    """With every panel filled, on a desk and on a phone; with all of it not current; and on the form for a token."""
    await full(stage)
    async with opened(chromium, color_scheme=scheme, reduced_motion="reduce") as tab:
        await tab.open(gateway.url)
        await expect(tab.row(DOGE)).to_be_visible()
        await tab.shows("#book-shares", "kraken")
        await tab.shows("#notices", "repaired")
        await tab.shows("#chart-legend", "closed")
        assert await findings(tab) == []
        await tab.page.set_viewport_size({"width": 390, "height": 844})
        assert await findings(tab) == []
        assert await tab.run("() => document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        stage.silent.add(CONSOLIDATED)
        await stage.publish(status(CONSOLIDATED, FeedState.DOWN))
        await expect(tab.row(BTC).locator(".state")).to_contain_text("no aggregator")
        await tab.run("() => { document.getElementById('access').hidden = false }")
        assert await findings(tab) == []


async def test_the_connection_is_announced_rarely(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """The only live regions are polite (or the form's error), and no number of the market is in one."""
    await full(stage)
    await tab.open(gateway.url)
    await tab.link("live")
    regions = await tab.run("() => [...document.querySelectorAll('[aria-live], [role=status], [role=alert]')].map(({ id }) => id)")
    assert regions == ["announce", "access-error"]
    await expect(tab.find("#announce")).to_have_text("")


async def test_motion_is_reduced_on_demand(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """A price that changes is coloured for a moment; with reduced motion it is not."""
    await stage.publish(stage.quote("100.1", "100.3"))
    await tab.open(gateway.url)
    await expect(tab.row(BTC).locator(".bid")).to_have_text("100.1")
    await tab.run(
        """() => {
            globalThis.flashed = [];
            const seen = new MutationObserver((all) => flashed.push(...all.map(({ target }) => target.getAttribute("data-flash"))));
            seen.observe(document.getElementById("quotes"), { subtree: true, attributeFilter: ["data-flash"] });
        }"""
    )
    await tab.page.emulate_media(reduced_motion="reduce")
    await stage.publish(stage.quote("100.2", "100.3"))
    await expect(tab.row(BTC).locator(".bid")).to_have_text("100.2")
    assert await tab.run("() => flashed") == []
    await tab.page.emulate_media(reduced_motion="no-preference")
    await stage.publish(stage.quote("100.1", "100.3"))
    await wait_until(lambda: tab.run("() => flashed.length === 2"), what="the price was coloured, and is not any more")
    assert await tab.run("() => flashed") == ["down", None]
