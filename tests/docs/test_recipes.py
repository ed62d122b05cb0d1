"""Each recipe does what its page says: started as a user starts it, on a real server, with an aggregator that lives and one that dies."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
import textwrap
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape_schemas import CONSOLIDATED, Bar, Edge, EdgeChange, Exclusion, FeedState, Market, Vwap
from tests.docs import shown
from tests.docs.running import EXAMPLES, Lines, Producers, example, line, python, quote

PAGE = "docs/how-to/recipes.md"
DEAD = "its aggregator gives no sign of life"


@pytest.fixture
def producers(client: Redis) -> Producers:
    """Those that write on the test's server."""
    return Producers(client)


async def test_a_spread_is_printed_when_its_state_changes(producers: Producers, valkey: str) -> None:
    """Narrow, wide, crossed, of too few venues, one-sided; the same state twice is one line; a dead aggregator's spread is not current."""
    await producers.publish(quote("100", "100.005"))
    async with example(*python("spread_monitor.py", valkey)) as process:
        lines = Lines(process, "not current")
        async with producers.aggregator():
            assert await lines.next() == "BTC-USDT spread is narrow: 0.50 bps, 100 on kraken / 100.005 on binance"
            await producers.publish(quote("100", "100.006"), quote("100", "100.1"))
            assert await lines.next() == "BTC-USDT spread is wide: 10.00 bps, 100 on kraken / 100.1 on binance"
            await producers.publish(quote("101", "100", market=Market.CROSSED))
            assert await lines.next() == "BTC-USDT spread is crossed: -99.50 bps, 101 on kraken / 100 on binance"
            await producers.publish(quote("100", "100.005", venues=1))
            assert await lines.next() == "BTC-USDT spread is of 1 venue only: 0.50 bps, 100 on kraken / 100.005 on binance"
            sides: dict[str, Any] = {"ask_price": None, "ask_venues": (), "spread": None, "spread_bps": None}
            await producers.publish(quote("100", "101", market=Market.ONE_SIDED, **sides))
            assert await lines.next() == "BTC-USDT spread is one-sided: unknown, 100 on kraken / None on"
        assert (await line(process)).startswith("BTC-USDT spread is not current: ")


async def test_a_portfolio_is_valued_without_what_cannot_be_valued(producers: Producers, valkey: str) -> None:
    """Exact at the mid; an excluded leg is named; a position without a current quote is not in the total, and is named."""
    kraken = msgspec.structs.replace(quote("100", "101").legs[1], excluded=Exclusion.STATE, state=FeedState.STALE)
    binance = quote("100", "101").legs[0]
    await producers.publish(
        quote("100", "101", venues=2, legs=(binance, msgspec.structs.replace(binance, venue="coinbase"), kraken)),
        quote("10", "10.5", "ETH-USDT"), quote("1", "2", "SOL-USDT", epoch=9), quote("1", "2", "XRP-USDT"),
    )  # fmt: skip
    command = python("portfolio.py", valkey, "BTC-USDT=0.5", "ETH-USDT=-2", "SOL-USDT=7", "XRP-USDT=5", "ADA-USDT=1")
    async with producers.aggregator(), example(*command) as process:
        while (said := await line(process)).startswith("total 0"):  # until the first sign of life has been read
            pass
        assert said == (
            "total 29.75 USDT of 2 of 5 positions: BTC-USDT 0.5 at 100.5 without kraken (state); ETH-USDT -2 at 10.25; "
            "SOL-USDT 7 not valued: its quote is not current; XRP-USDT 5 not valued: its spread is 6667 bps; "
            "ADA-USDT 1 not valued: no quote"
        )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(("BTC-USDT=1", "BTC-EUR=1"), "several quote currencies"), (("BTC-USDT",), "INSTRUMENT=SIZE"), ((), "INSTRUMENT=SIZE")],
)
async def test_a_portfolio_that_cannot_be_added_up_is_refused(valkey: str, arguments: tuple[str, ...], why: str) -> None:
    """Prices in several currencies, and what is no position."""
    async with example(*python("portfolio.py", valkey, *arguments)) as process:
        _, err = await process.communicate()
    assert why in err.decode()
    assert process.returncode == 2


async def test_an_excluded_leg_raises_an_alert_once(producers: Producers, valkey: str) -> None:
    """Not at once, but when it has been excluded for as long as one says; and when it counts again. A short exclusion is none."""
    good = quote("100", "101")

    def out(venue: str, why: Exclusion, state: FeedState) -> tuple[object, ...]:
        return tuple(msgspec.structs.replace(leg, excluded=why, state=state) if leg.venue == venue else leg for leg in good.legs)

    stale = quote("100", "101", legs=out("kraken", Exclusion.STATE, FeedState.STALE), venues=1)
    settling = quote("100", "101", legs=out("kraken", Exclusion.SETTLING, FeedState.LIVE), venues=1)
    unknown = f"ALERT nothing is known of BTC-USDT: {DEAD}"
    async with example(*python("excluded_legs.py", valkey, "--after", "2")) as process:
        lines = Lines(process, unknown)
        async with producers.aggregator():
            await producers.publish(good)
            await producers.publish(quote("100", "101", legs=out("binance", Exclusion.SUSPECT, FeedState.LIVE), venues=1), stale)
            assert await lines.next() == "ALERT kraken does not count in BTC-USDT: state, its feed is stale"
            await producers.publish(settling, good)
            assert re.fullmatch(r"kraken counts again in BTC-USDT, after \d+ s", await lines.next())
        assert await line(process) == unknown


async def test_a_deviation_from_the_vwap_is_printed_when_it_begins_and_ends(producers: Producers, valkey: str) -> None:
    """Above, near, below; not current when the aggregator stops; the next start's quotes are current again."""
    vwap = {"1m": Vwap(Decimal(100), Decimal(5), 3, complete=False)}
    await producers.publish(quote("101", "102", vwap=vwap))
    async with example(*python("vwap_deviation.py", valkey, "--window", "1m")) as process:
        lines = Lines(process, DEAD)
        async with producers.aggregator():
            assert await lines.next() == "BTC-USDT 101.5 is 150.00 bps above its 1m VWAP 100 (3 trades, some may be missing)"
            await producers.publish(quote("101", "103", vwap=vwap), quote("100", "100.02", vwap=vwap))
            assert await lines.next() == "BTC-USDT 100.01 is 1.00 bps near its 1m VWAP 100 (3 trades, some may be missing)"
            await producers.publish(quote("98", "100", vwap={"1m": Vwap(Decimal(100), Decimal(5), 4)}))
            assert await lines.next() == "BTC-USDT 99 is 100.00 bps below its 1m VWAP 100 (4 trades)"
        assert await line(process) == f"BTC-USDT is not current: {DEAD}"
        async with producers.aggregator(epoch=2):
            await producers.publish(quote("101", "102", vwap=vwap, epoch=2))
            assert (await lines.next()).startswith("BTC-USDT 101.5 is 150.00 bps above")


def edge(change: EdgeChange, net_bps: str | None, ts: int, reason: str = "") -> Edge:
    """An edge that opened at 10 s."""
    price = None if net_bps is None else Decimal(100)
    return Edge(
        CONSOLIDATED, "BTC-USDT", None, ts, ts=ts, change=change, buy_venue="binance", sell_venue="kraken", ask_price=price,
        bid_price=None if price is None else price + 1, size=None if price is None else Decimal("0.25"), gross_bps=price,
        net_bps=None if net_bps is None else Decimal(net_bps), buy_fee_bps=Decimal(1), sell_fee_bps=Decimal(1), opened_ts=10 * 10**9,
        buy=None, sell=None, reason=reason, epoch=1,
    )  # fmt: skip


async def test_edges_are_printed_when_they_open_and_close(producers: Producers, valkey: str) -> None:
    """With the best that was to be had; a change between is not printed; an edge of a dead aggregator is forgotten, and that is said."""
    where = "BTC-USDT: buy on binance, sell on kraken"
    async with AsyncExitStack() as aggregator, example(*python("edges.py", valkey)) as process:
        await aggregator.enter_async_context(producers.aggregator())
        first = asyncio.create_task(line(process))
        while not first.done():  # it reads from now on, and an edge that is open already is no news
            await producers.publish(edge(EdgeChange.OPEN, "3.126", 10 * 10**9))
            await asyncio.wait([first], timeout=0.1)
        assert await first == f"{where}: 3.13 bps after fees, for 0.25, at 100 and 101"
        await producers.publish(edge(EdgeChange.CHANGE, "4.5", 11 * 10**9), edge(EdgeChange.CHANGE, "1", 12 * 10**9))
        await producers.publish(edge(EdgeChange.CLOSE, None, 12_500_000_000, "prices"))
        assert await line(process) == f"{where}: over after 2.50 s (prices); at best 4.50 bps"
        nothing = msgspec.structs.replace(edge(EdgeChange.OPEN, "2", 10 * 10**9), size=Decimal(0))
        await producers.publish(nothing)
        assert await line(process) == f"{where}: 2.00 bps after fees, for what size the books do not show, at 100 and 101"
        await aggregator.aclose()
        assert await line(process) == f"{where}: not known any more, {DEAD}"


def minute_bar(venue: str, ago: int, volume: str, price: str, **changes: Any) -> Bar:
    """A closed and complete bar of a minute that began some minutes ago."""
    minute_ns = 60 * 10**9
    opened = (time.time_ns() // minute_ns - ago) * minute_ns
    at, size = Decimal(price), Decimal(volume)
    made = Bar(
        venue, "BTC-USDT", None, opened, "1m", opened, opened + minute_ns, at, at + 1, at - 1, at, size, size * at, 2, None,
        closed=True, complete=True, epoch=1,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


async def test_the_last_hour_is_added_up_for_each_venue(producers: Producers, valkey: str) -> None:
    """The newest revision of each closed bar counts, in exact sums; what is older than an hour does not."""
    await producers.publish(
        minute_bar("binance", 90, "100", "1"),
        minute_bar("binance", 3, "0.10000001", "100"),
        minute_bar("kraken", 3, "1", "101"),
        minute_bar("binance", 2, "0.3", "102", complete=False),
        minute_bar("binance", 2, "0.30000002", "102", revision=1, complete=False),
        minute_bar("binance", 1, "7", "500", closed=False),
        minute_bar(CONSOLIDATED, 3, "1.10000001", "101"),
    )
    async with example(*python("last_hour.py", valkey, "BTC-USDT")) as process:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b"")
    rows = [re.findall(r"[\w.]+", row) for row in out.decode().splitlines() if re.search(r"binance|kraken|consolidated", row)]
    assert rows == [
        ["binance", "2", "1", "4", "0.40000003", "99", "103", "101.5"],
        ["consolidated", "1", "1", "2", "1.10000001", "100", "102", "101.0"],
        ["kraken", "1", "1", "2", "1", "100", "102", "101.0"],
    ]


async def test_an_agent_acts_only_on_quotes_that_pass_its_checks(producers: Producers, valkey: str, tmp_path: Path) -> None:
    """It waits for a living aggregator, two venues, a normal market and a complete VWAP; each decision names its quote on the tape."""
    log = tmp_path / "decisions.jsonl"
    known = {"1m": Vwap(Decimal(101), Decimal(5), 3)}

    def decisions() -> list[dict[str, object]]:
        return [json.loads(text) for text in log.read_text().splitlines()] if log.exists() else []

    async with example(*python("agent.py", valkey, "BTC-USDT", "--log", str(log), "--every", "0.1")) as process:
        assert await line(process) == "wait: no quote yet; position 0"
        lines = Lines(process, DEAD)
        async with producers.aggregator():
            await producers.publish(quote("100", "100.1", vwap={"1m": Vwap(Decimal(101), Decimal(5), 3, complete=False)}))
            assert await lines.next() == "wait: the 1m VWAP is not known to be complete; position 0"
            await producers.publish(quote("100", "100.1", vwap=known, market=Market.CROSSED))
            assert await lines.next() == "wait: the market is crossed; position 0"
            out = tuple(msgspec.structs.replace(leg, excluded=Exclusion.STALE) for leg in quote("100", "100.1").legs)
            await producers.publish(quote("100", "100.1", vwap=known, venues=0, legs=out))
            assert await lines.next() == "wait: too few venues count: binance is out (stale), kraken is out (stale); position 0"
            await producers.publish(quote("100", "100.1", vwap=known))
            assert await lines.next() == "buy: the ask 100.1 is below the 1m VWAP 101; position 0.01"
            while not (said := await lines.next()).startswith("hold"):
                assert said.startswith("buy")
            assert said == "hold: no edge, or the position is full; position 0.05"
        assert await line(process) == f"wait: the quote is not current: {DEAD}; position 0.05"
    bought = [decision for decision in decisions() if decision["action"] == "buy"]
    assert len(bought) == 5
    assert {(decision["epoch"], decision["seq"]) for decision in bought} == {(1, 4)}
    assert bought[-1]["cash"] == "-5.005"
    assert {decision["position"] for decision in decisions() if decision["action"] == "wait"} >= {"0", "0.05"}


def test_the_log_of_an_agent_is_bounded(tmp_path: Path) -> None:
    """The file and one before it, each up to its limit."""
    module = runpy.run_path(str(EXAMPLES / "agent.py"))
    logger = module["decision_log"](str(tmp_path / "log"), limit=1000)
    for number in range(200):
        logger.info("%0100d", number)
    for handler in logger.handlers:
        handler.close()
    logger.handlers.clear()

    kept = sorted(path.stat().st_size for path in tmp_path.iterdir())
    assert len(kept) == 2
    assert max(kept) <= 1000
    assert (tmp_path / "log").read_text().endswith("199\n")


@pytest.mark.parametrize("block", [block for block in shown.blocks() if block.name.startswith(PAGE) and block.language == "python"])
def test_the_page_shows_a_part_of_the_example_that_it_links_to(block: shown.Block) -> None:
    """To the letter; a method without its indentation."""
    _, _, section = (shown.ROOT / PAGE).read_text().rpartition(block.text)[0].rpartition("\n## ")
    (example_name,) = re.findall(r"\]\(\.\./\.\./examples/(\w+\.py)\)", section)
    text = (EXAMPLES / example_name).read_text()

    assert block.text in text or textwrap.indent(block.text, "    ") in text
