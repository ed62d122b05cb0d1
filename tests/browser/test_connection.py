"""What the page does when the gateway, the bus or something between fails, and when a token is needed."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests import engines
from tests.browser.market import BTC, Stage, bar, gap, staged
from tests.browser.rig import Gateway, proxying
from tests.browser.tab import Tab, opened
from tests.browser.test_access import AXE, findings
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

PANELS = 6
WATCH = """() => {
    globalThis.blamed = [];
    const main = document.querySelector("main");
    const look = () => blamed.push(...(main.innerText.match(/no sign of life|no aggregator|^0 of|silent for/gm) ?? []));
    new MutationObserver(look).observe(main, { subtree: true, childList: true, characterData: true });
}"""
"""Collects what the page says against venues from now on."""
TOKEN = "a-token-of-this-test-0123456789"
NETWORK = ("net::ERR_", "Failed to load resource")
"""What the browser says of requests that fail; the page cannot keep it from saying so."""


async def test_a_killed_gateway_is_said_and_found_again(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """While it is away, the page says that it reconnects, and nothing looks current; what happened meanwhile comes once it is back."""
    tab.expected += NETWORK
    await stage.publish(stage.quote("100.1", "100.3"), gap(3))
    await tab.open(gateway.url)
    await tab.link("live")
    await tab.shows("#notices", "3 events")
    await wait_until(lambda: tab.run("() => crosstape.stream.last"), what="the page knows where to resume")
    await gateway.end()
    await tab.link("reconnecting")
    await tab.shows("#announce", "Connection: reconnecting")
    await expect(tab.find(".as-of")).to_have_text([re.compile(r"^as it was at \d\d:\d\d:\d\d: no connection$")] * PANELS)
    await expect(tab.row(BTC).locator(".state")).to_have_text("no connection")
    await stage.publish(stage.quote("101.1", "101.3"), gap(5), gap(6))
    await gateway.start()
    await tab.link("live")
    await expect(tab.row(BTC).locator(".bid")).to_have_text("101.1")
    await expect(tab.find("#notices li")).to_have_count(3)
    await expect(tab.find(".as-of:visible")).to_have_count(0)
    await tab.shows("#announce", "Connection: live")


async def test_a_bad_answer_on_a_reconnect_does_not_end_the_stream(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """EventSource gives up for ever after one 502; the page tries again, from the last id on."""
    tab.expected += NETWORK
    await stage.publish(stage.quote("100.1", "100.3"))
    async with proxying(gateway.url) as proxy:
        await tab.open(proxy.url)
        await tab.link("live")
        await expect(tab.row(BTC).locator(".bid")).to_have_text("100.1")
        await wait_until(lambda: tab.run("() => crosstape.stream.last"), what="the page knows where to resume")
        proxy.answers = [502]
        proxy.cut()
        await tab.link("reconnecting")
        await tab.link("live")
        assert not proxy.answers
        assert len(proxy.streams()) == 3
        assert "after=" in proxy.streams()[-1]
        await stage.publish(stage.quote("102.1", "102.3"))
        await expect(tab.row(BTC).locator(".bid")).to_have_text("102.1")


async def test_without_a_stream_the_page_polls(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """After two misses; it goes on trying, and ends polling when the stream works."""
    tab.expected += NETWORK
    await stage.publish(stage.quote("100.1", "100.3"))
    async with proxying(gateway.url) as proxy:
        proxy.blocked = 404
        await tab.open(proxy.url)
        await tab.link("polling")
        await expect(tab.row(BTC).locator(".bid")).to_have_text("100.1")
        await expect(tab.row(BTC).locator(".state")).to_have_text("normal 2/2")
        await stage.publish(stage.quote("103.1", "103.3"))
        await expect(tab.row(BTC).locator(".bid")).to_have_text("103.1")
        proxy.blocked = 0
        await tab.run("() => dispatchEvent(new Event('online'))")  # else the next try may be seconds away
        await tab.link("live")


async def test_a_page_has_one_stream(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Another instrument means another stream with all topics, from the last id on; the one before is closed."""
    tab.expected += NETWORK  # of the proxy's end
    await stage.publish(stage.quote("1", "2"), stage.quote("3", "4", instrument="ETH-USDT"))
    async with proxying(gateway.url) as proxy:
        await tab.open(proxy.url)
        await tab.shows("#book-title", BTC)
        await tab.link("live")
        await wait_until(lambda: tab.run("() => crosstape.stream.last"), what="the page knows where to resume")
        before = len(proxy.streams())
        assert f"depth:{BTC}" in proxy.streams()[-1]
        await tab.row("ETH-USDT").click()
        await tab.shows("#book-title", "ETH-USDT")
        await tab.link("live")
        await wait_until(lambda: len(proxy.streams()) == before + 1 and proxy.open_streams == 1, what="one stream is open, another one")
        assert "depth:ETH-USDT" in proxy.streams()[-1]
        assert f"depth:{BTC}" not in proxy.streams()[-1]
        assert "after=" in proxy.streams()[-1]
        tab.expected += NETWORK  # the proxy ends before the tab


async def test_a_browser_without_exact_numbers_asks_for_text(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Where JSON.parse gives no source text, times and epochs come as strings, on the stream and by requests."""
    tab.expected += NETWORK  # of the proxy's end
    await tab.page.add_init_script(
        """const exact = JSON.parse;
        JSON.parse = (text, revive) => exact(text, revive && function (key, value) { return revive.call(this, key, value); });"""
    )
    await stage.publish(stage.quote("100.1", "100.3"), bar(1, "5"))
    async with proxying(gateway.url) as proxy:
        await tab.open(proxy.url)
        await expect(tab.row(BTC).locator(".state")).to_have_text("normal 2/2")
        await tab.shows("#chart-legend", "C 5")
        assert all("ints=string" in path for path in proxy.requests if path.startswith("/api/") and "session" not in path)
        shown = await tab.run("() => crosstape.chart.shown()")
        assert [open_ts for open_ts, *_ in shown] == [str(bar(1, "5").open_ts)]
        tab.expected += NETWORK  # the proxy ends before the tab


async def test_a_bus_that_is_away_is_said(chromium: Browser) -> None:
    """The stream goes on; every panel says of what time it is and blames no venue; when the bus is back, it is as before."""
    root = Path(tempfile.mkdtemp(prefix="crosstape-"))
    async with engines.running(engines.server("embedded", lambda: root, persist=True)) as server, staged(server.url) as stage:
        await stage.publish(stage.quote("100.1", "100.3"))
        async with Gateway(server.url) as gateway, opened(chromium) as tab:
            tab.expected += NETWORK
            await tab.open(gateway.url)
            await tab.link("live")
            await expect(tab.row(BTC).locator(".state")).to_have_text("normal 2/2")
            await server.kill()
            await tab.link("bus away")
            await expect(tab.row(BTC).locator(".state")).to_have_text("bus away")
            await tab.shows("#notices li:first-child", "bus away")
            await expect(tab.find(".as-of:visible")).to_have_text([re.compile(r"^as it was at \d\d:\d\d:\d\d: bus away$")] * PANELS)
            await expect(tab.find("#edges-note")).to_have_text("None was open then.")
            await expect(tab.find("#venues-meta")).to_have_text("2 venues")
            await expect(tab.find("#venues .venue .state")).to_have_text(["● live"] * 3)
            assert not AXE.exists() or await findings(tab) == []
            await tab.run(WATCH)
            await server.start()
            await tab.link("live")
            await stage.publish(stage.quote("104.1", "104.3"))
            await expect(tab.row(BTC).locator(".bid")).to_have_text("104.1")
            await expect(tab.row(BTC).locator(".state")).to_have_text("normal 2/2")
            await tab.shows("#venues-meta", "2 of 2 venues alive")
            await expect(tab.find(".as-of:visible")).to_have_count(0)
            assert await tab.run("() => blamed") == []


async def test_a_token_is_asked_for(bus_url: str, stage: Stage, tab: Tab, tmp_path: Path) -> None:
    """A wrong one is refused with words; the right one opens the page, also after a reload; signing out closes it."""
    tab.expected += ["401", *NETWORK]
    file = tmp_path / "tokens"
    file.write_text(f"desk:{TOKEN}\n")
    file.chmod(0o600)
    await stage.publish(stage.quote("100.1", "100.3"))
    async with Gateway(bus_url, tokens_file=str(file)) as gateway:
        await tab.open(gateway.url)
        await tab.link("no token")
        await expect(tab.find("#token")).to_be_focused()
        await expect(tab.find("#main")).to_be_hidden()
        await tab.find("#token").fill("not-a-token-of-this-gateway")
        await tab.page.keyboard.press("Enter")
        await tab.shows("#access-error", "This token is not valid.")
        await tab.find("#token").fill(TOKEN)
        await tab.page.keyboard.press("Enter")
        await tab.link("live")
        await expect(tab.row(BTC).locator(".bid")).to_have_text("100.1")
        assert TOKEN not in await tab.run("() => document.cookie + JSON.stringify({...localStorage, ...sessionStorage}) + location")
        await tab.page.reload()
        await tab.link("live")
        await tab.find("#leave").click()
        await tab.link("no token")


async def test_a_session_that_ends_is_noticed(bus_url: str, stage: Stage, tab: Tab, tmp_path: Path) -> None:
    """A token that is removed ends the stream; EventSource does not say why, the page finds out and asks for a token."""
    tab.expected += ["401", *NETWORK]
    file = tmp_path / "tokens"
    file.write_text(f"desk:{TOKEN}\n")
    file.chmod(0o600)
    async with Gateway(bus_url, tokens_file=str(file)) as gateway:
        await tab.open(gateway.url)
        await tab.find("#token").fill(TOKEN)
        await tab.page.keyboard.press("Enter")
        await tab.link("live")
        await expect(tab.find("#leave")).to_be_visible()
        file.write_text(f"other:{TOKEN}-other\n")
        await tab.link("no token")
        await expect(tab.find("#leave")).to_be_hidden()
        await expect(tab.find("#token")).to_be_focused()
