"""What the page shows of quotes, books, edges, venues and gaps."""

from __future__ import annotations

import msgspec
import pytest
from playwright.async_api import expect

from crosstape_schemas import CONSOLIDATED, EdgeChange, Exclusion, FeedState, Market, Sweep
from tests.browser.market import BTC, DOGE, D, Stage, depth, edge, gap, status
from tests.browser.rig import Gateway
from tests.browser.tab import Tab

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]


async def test_quotes_move_and_every_digit_is_the_tapes(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Prices and sizes are the strings of the tape, also where a float would change them; computed numbers are rounded."""
    await stage.publish(stage.quote("100.10", "100.30"), stage.quote("0.123456789012345678", "0.123456789012345679", instrument=DOGE))
    await tab.open(gateway.url)
    btc = tab.row(BTC)
    await expect(btc.locator(".bid")).to_have_text("100.10")
    await expect(btc.locator(".bid-size")).to_have_text("0.50000000")
    await expect(tab.row(DOGE).locator(".ask")).to_have_text("0.123456789012345679")
    await expect(btc.locator(".bps")).to_have_text("19.96")
    await expect(btc.locator(".vwap").first).to_have_text("100.12346 ●")
    await expect(btc.locator(".vwap").nth(1)).to_have_text("100.20 ○")
    await stage.publish(stage.quote("100.20", "100.30", market=Market.LOCKED))
    await expect(btc.locator(".bid")).to_have_text("100.20")
    await expect(btc.locator(".state")).to_have_text("locked 2/2")
    await tab.link("live")


async def test_what_is_shortened_is_marked(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """A composite's price of more than eight digits ends in …; of several best venues the rest is counted; all is in the title."""
    both = msgspec.structs.replace(stage.quote("64320.55412345", "64320.5"), bid_venues=("coinbase", "kraken"), instrument="BTC-USD*")
    await stage.publish(both, stage.quote("100.3", "100.1", market=Market.CROSSED))
    await tab.open(gateway.url)
    composite = tab.row("BTC-USD*")
    await expect(composite.locator(".bid")).to_have_text("64320.554…")
    await expect(composite.locator(".bid")).to_have_attribute("title", "64320.55412345")
    await expect(composite.locator(".ask")).to_have_text("64320.5")
    await expect(composite.locator(".bid-at")).to_have_text("coinbase +1")
    await expect(composite.locator(".bid-at")).to_have_attribute("title", "coinbase, kraken")
    await expect(composite.locator(".ask-at")).to_have_text("coinbase")
    await expect(tab.row(BTC).locator(".state")).to_have_attribute("data-tone", "crossed")


async def test_a_desk_shows_eighteen_instruments_and_a_phone_whole_names(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """At 1440 by 900 without scrolling in the table; at 390 no name runs into its price, and the search is not cut."""
    names = ["BTC-USDT-20261225", *(f"AA{letter}-USDT" for letter in "ABCDEFGHIJKLMNOPQ")]
    await stage.publish(*(stage.quote("64207.76", "64207.77", instrument=name) for name in names))
    await tab.open(gateway.url)
    await expect(tab.find("#quotes .quote")).to_have_count(18)
    await expect(tab.find("#quotes .leg")).to_have_count(2)
    hidden = (
        """() => { const { scrollHeight, clientHeight } = document.getElementById("quotes-scroll"); return scrollHeight - clientHeight; }"""
    )
    assert await tab.run(hidden) <= 0
    await tab.page.set_viewport_size({"width": 390, "height": 844})
    assert (
        await tab.run(
            """() => [...document.querySelectorAll("#quotes .quote .name")].filter((name) => {
            const text = document.createRange();
            text.selectNodeContents(name);
            return text.getBoundingClientRect().right > name.parentNode.querySelector(".bid").getBoundingClientRect().left - 4;
        }).length"""
        )
        == 0
    )
    assert await tab.run("() => document.getElementById('find').clientWidth") > 300


async def test_a_leg_that_does_not_count_says_why(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """The legs of the selected instrument have price, size, age, state and the reason; the best ones are named."""
    await stage.publish(stage.quote("100.1", "100.3", excluded=Exclusion.OUTLIER))
    await tab.open(gateway.url)
    coinbase, kraken = tab.legs(BTC).first, tab.legs(BTC).nth(1)
    await expect(coinbase.locator(".state")).to_have_text("● live")
    await expect(coinbase.locator(".bid-at")).to_have_text("best bid")
    await expect(kraken.locator(".state")).to_have_text("× outlier")
    await expect(kraken.locator(".ask")).to_have_text("101.3")
    await expect(kraken.locator(".age")).to_contain_text(" s")
    await stage.publish(stage.quote("100.1", "100.3", excluded=Exclusion.STATE, state=FeedState.RECOVERING))
    await expect(kraken.locator(".state")).to_have_text("× recovering")


async def test_without_signs_of_life_nothing_looks_current(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """After three seconds of silence the legs of a venue say so in words; so does all of an aggregator that is down."""
    await stage.publish(stage.quote("100.1", "100.3"), depth([("100.1", "1", "2")], [("100.3", "3", "1")]), edge(EdgeChange.OPEN, "1.5"))
    await tab.open(gateway.url)
    await expect(tab.legs(BTC).nth(1).locator(".state")).to_have_text("● live")
    stage.silent.add("kraken")
    await expect(tab.legs(BTC).nth(1).locator(".state")).to_contain_text("silent for")
    await expect(tab.legs(BTC).first.locator(".state")).to_have_text("● live")
    stage.silent.add(CONSOLIDATED)
    await stage.publish(status(CONSOLIDATED, FeedState.DOWN))
    await expect(tab.row(BTC).locator(".state")).to_contain_text("no aggregator")
    await tab.shows("#book-meta", "not current")
    await tab.shows("#edges tbody", "no aggregator")
    await tab.shows("#venues-meta", "1 of 2 venues alive")
    stage.silent.clear()
    await expect(tab.row(BTC).locator(".state")).to_have_text("normal 2/2")
    await tab.shows("#venues-meta", "2 of 2 venues alive")


async def test_book_edges_venues_and_gaps(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Each venue's share of the book, edges until they close, feeds that are not live, and gaps, the newest first."""
    sweeps = (
        Sweep(D("1"), D("100.3"), D("100.3"), D("100.1"), D("100.1")),
        Sweep(D("5"), None, None, D("100"), D("99")),
        Sweep(D("9"), None, None, None, None),
    )
    await stage.publish(
        stage.quote("100.1", "100.3"),
        msgspec.structs.replace(depth([("100.1", "1", "3"), ("100.0", "1", "1")], [("100.3", "3.00", "1")]), sweeps=sweeps),
        edge(EdgeChange.OPEN, "1.234567"),
        edge(EdgeChange.OPEN, "2.5", opened_ts=2_000, buy="coinbase", sell="kraken"),
        status("kraken", FeedState.STALE, kind="quote", instrument=DOGE, reason="no message for 43 s"),
        status("kraken", kind="trade", instrument=BTC),
    )
    await tab.open(gateway.url)
    await expect(tab.find("#book .price.bid")).to_have_text(["100.1", "100.0"])
    await expect(tab.find("#book .price.ask")).to_have_text(["100.3"])
    await tab.shows("#book-shares", "coinbase")
    await tab.shows("#book-shares .share:nth-child(2)", "bid 66.7 %, ask 25.0 %")
    await tab.shows("#book .middle", "spread 0.2")
    await tab.shows(
        "#book-note", "1: buy 100.3, sell 100.1; 5: buy –, the book does not hold this size, sell 100; 9: the book does not hold"
    )
    await expect(tab.find("#edges tbody .net")).to_have_text(["2.5", "1.23"])
    await tab.shows("#venues", "no message for 43 s")
    await tab.shows("#venues", "1 of 2 live")
    await stage.publish(edge(EdgeChange.CLOSE, "0", opened_ts=2_000, buy="coinbase", sell="kraken"), gap(12))
    await expect(tab.find("#edges tbody .net")).to_have_text(["1.23"])
    await tab.shows("#notices li:first-child", "kraken BTC-USDT trade: 12 events")
    await stage.publish(gap(12, repaired=True))
    await tab.shows("#notices li:first-child", "repaired")
    await expect(tab.find("#notices li")).to_have_count(2)


async def test_the_table_is_used_by_keyboard(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """Arrows move and open, Enter selects for chart and book; the focus is seen; a slash goes to the search."""
    await stage.publish(*(stage.quote("1", "2", instrument=name) for name in (BTC, DOGE, "ETH-USDT")))
    await tab.open(gateway.url)
    await expect(tab.row("ETH-USDT")).to_be_visible()
    await expect(tab.row(BTC)).to_have_attribute("aria-selected", "true")
    await tab.row(BTC).focus()
    for key in ("ArrowLeft", "ArrowDown"):
        await tab.page.keyboard.press(key)
    await expect(tab.row(DOGE)).to_be_focused()
    assert await tab.run("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await tab.page.keyboard.press("ArrowRight")
    await expect(tab.legs(DOGE)).to_have_count(2)
    await tab.page.keyboard.press("ArrowDown")
    await expect(tab.legs(DOGE).first).to_be_focused()
    await tab.page.keyboard.press("ArrowLeft")
    await expect(tab.row(DOGE)).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(tab.row(DOGE)).to_have_attribute("aria-selected", "true")
    await expect(tab.find("#book-title")).to_have_text(f"Book {DOGE}")
    await expect(tab.find("#chart-instrument")).to_have_value(DOGE)
    await tab.link("live")
    await tab.page.keyboard.press("End")
    await expect(tab.row("ETH-USDT")).to_be_focused()
    await tab.page.keyboard.press("/")
    await tab.page.keyboard.type("dog")
    await expect(tab.row(BTC)).to_be_hidden()
    await expect(tab.find("#quotes-meta")).to_have_text("1 of 3 instruments")


async def test_the_theme_is_switched_and_kept(stage: Stage, gateway: Gateway, tab: Tab) -> None:
    """The system's scheme is used until the user chooses another one."""
    await tab.page.emulate_media(color_scheme="light")
    await tab.open(gateway.url)
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    light = await tab.run(ground)
    await tab.find("#theme").click()
    dark = await tab.run(ground)
    assert light != dark
    await tab.page.reload()
    await expect(tab.find("#theme")).to_have_text("Theme: dark")
    assert await tab.run(ground) == dark
