"""The candle chart: history, then live; late bars, gaps, and what a reconnect must not lose."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec
import pytest
from playwright.async_api import expect

from crosstape_schemas import Candle, encode
from tests.browser.market import BTC, MINUTE_NS, D, Minute, Stage, bar
from tests.browser.rig import Gateway, proxying
from tests.browser.tab import Tab
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

NETWORK = ("net::ERR_", "Failed to load resource")
SHOWN = "() => crosstape.chart.shown()"
PLOTTED = "() => crosstape.chart.plotted()"


async def by_rest(gateway: Gateway) -> list[list[Any]]:
    """Returns the bars as REST has them, in the form of `Chart.shown`."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{gateway.url}api/bars", params={"instrument": BTC, "timeframe": "1m", "limit": "600"}) as answer,
    ):
        rows = msgspec.json.decode(await answer.read()).get("bars", [])  # none: the gateway has not seen the stream yet
    return [[str(row["open_ts"]), *(row[name] for name in ("open", "high", "low", "close", "revision", "closed"))] for row in rows]


async def same(tab: Tab, gateway: Gateway) -> bool:
    """Whether the chart has exactly the bars of REST, and draws them."""
    shown, rows, plotted = await tab.run(SHOWN), await by_rest(gateway), await tab.run(PLOTTED)
    drawn = {str(time * 1_000_000_000): close for time, close, _ in plotted}
    return bool(rows) and shown == rows and all(drawn.get(row[0]) == float(row[4]) for row in rows)


async def test_history_then_live_then_late(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Bars come by REST, then from the stream; a late trade revises a bar in its place; a place without a bar stays empty."""
    await stage.publish(stage.quote("100.1", "100.3"), *(bar(ago, f"10{ago}.125") for ago in (9, 8, 7, 4, 3, 2)))
    await tab.open(gateway.url)

    async def whole() -> bool:
        return await same(tab, gateway)

    await wait_until(whole, what="the history is drawn")
    await tab.shows("#chart-legend", "C 102.125")
    places = await tab.run(PLOTTED)
    assert [(close, place) for _, close, place in places] == [
        (109.125, 0), (108.125, 1), (107.125, 2), (104.125, 5), (103.125, 6), (102.125, 7),
    ]  # fmt: skip
    await stage.publish(bar(1, "111.5", closed=False))
    await tab.shows("#chart-legend", "C 111.5")
    await stage.publish(
        bar(1, "112.25"), bar(0, "113", closed=False), bar(8, "90.0625", revision=1), bar(6, "95", revision=2, complete=False)
    )
    await tab.shows("#chart-legend", "C 113")
    await wait_until(whole, what="late bars are drawn")
    assert [(close, place) for _, close, place in await tab.run(PLOTTED)] == [
        (109.125, 0), (90.0625, 1), (107.125, 2), (95, 3), (104.125, 5), (103.125, 6), (102.125, 7), (112.25, 8), (113, 9),
    ]  # fmt: skip


async def test_after_a_reconnect_the_candles_are_those_of_rest(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Whatever closed, or was revised, while the page was away, long ago or just now."""
    tab.expected += NETWORK
    await stage.publish(stage.quote("100.1", "100.3"), *(bar(ago, f"20{ago}") for ago in range(9, 1, -1)))
    async with proxying(gateway.url) as proxy:
        await tab.open(proxy.url)

        async def whole() -> bool:
            return await same(tab, gateway)

        await wait_until(whole, what="the history is drawn")
        proxy.blocked = 503
        proxy.cut()
        await tab.link("reconnecting")
        await stage.publish(bar(7, "77.77", revision=1), bar(1, "211.5"), bar(0, "212.5", closed=False), bar(2, "299", revision=3))
        proxy.blocked = 0
        await tab.link("live")
        await wait_until(whole, what="the chart has what REST has")
        assert len(await tab.run(SHOWN)) == 10


async def test_a_tab_that_was_hidden_draws_what_it_missed(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """No frame is drawn meanwhile: more bars come than are kept. Then the newest ones are drawn, and no more are held."""
    await stage.publish(stage.quote("100.1", "100.3"), bar(2, "100"), bar(1, "101"))
    await tab.open(gateway.url)
    await tab.shows("#chart-legend", "C 101")
    await tab.run(
        """async ([text, count]) => {
            const { parse } = await import("/page/wire/json.js");
            const first = parse(text);
            for (let at = 1n; at <= count; at += 1n) {
                const later = at * 60_000_000_000n;
                const times = { open_ts: first.open_ts + later, close_ts: first.close_ts + later };
                crosstape.chart.accept({ ...first, ...times, close: String(1000n + at) });
                if (at === 5n) crosstape.chart.accept({ ...first, revision: 4, close: "55" });
            }
        }""",
        [encode(bar(1, "101")).decode(), 4_000],
    )
    await tab.shows("#chart-legend", "C 5000")

    async def newest() -> bool:
        plotted = await tab.run(PLOTTED)
        return bool(plotted[-1][1] == 5_000 and len(plotted) == 1_500)

    await wait_until(newest, what="the newest bars are drawn, and only those that are kept")


async def test_the_axis_has_the_digits_of_the_prices(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """A price of 0.00001734 is not drawn as 0.00; nothing traded is said."""
    await stage.publish(stage.quote("100.1", "100.3"), bar(2, "5.00001734"), bar(1, "5.00001734", trades=0))
    await tab.open(gateway.url)
    await tab.shows("#chart-legend", "no trades")
    assert await tab.run("() => crosstape.chart.candles.options().priceFormat.precision") == 8
    await expect(tab.find("#tv-attr-logo")).to_be_visible()


async def test_a_timeframe_brings_a_source_that_has_it(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Where the consolidated ones have no 5m, a venue's candles are shown, and said so; back at 1m it is the source that was chosen."""
    now = Minute.opened_ts
    candle = Candle(
        "kraken", BTC, None, now, "5m", now, now + 5 * MINUTE_NS, D(1), D(2), D(1), D("1.75"), D(3), None, None, None, closed=False
    )
    await stage.publish(stage.quote("100.1", "100.3"), bar(1, "100"), candle)
    await tab.open(gateway.url)
    await tab.shows("#chart-legend", "C 100")
    await tab.find("#chart-timeframe").select_option("5m")
    await tab.shows("#chart-legend", "C 1.75")
    await expect(tab.find("#chart-source")).to_have_value("candle@kraken")
    await expect(tab.find("#chart-source option")).to_have_text(["kraken candles"])
    await expect(tab.find("#chart-title")).to_have_text(f"Candles {BTC}, kraken candles")
    await tab.find("#chart-timeframe").select_option("1m")
    await tab.shows("#chart-legend", "C 100")
    await expect(tab.find("#chart-source")).to_have_value("bar@consolidated")


async def test_one_of_several_sources_is_chosen(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Bars of one venue instead of all; what the tape does not have is said in words."""
    await stage.publish(stage.quote("100.1", "100.3"), bar(1, "100"))
    await tab.open(gateway.url)
    await tab.shows("#chart-legend", "C 100")
    await tab.find("#chart-timeframe").select_option("1m")
    await tab.open(f"{gateway.url}#instrument={BTC}&timeframe=1m&source=candle@kraken")
    await tab.page.reload()
    await tab.shows("#chart-note", "no candles of 1m of BTC-USDT by kraken")
    await tab.find("#chart-source").select_option("bar@consolidated")
    await tab.shows("#chart-legend", "C 100")
