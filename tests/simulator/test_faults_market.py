"""Faults of single markets: one that rests, moves in steps or is halted, trade ids that are skipped, a stream that is dead."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from crosstape_simulator.errors import FaultError
from crosstape_simulator.faults import parse
from crosstape_simulator.faults.active import State
from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import get, still, ws
from tests.simulator.test_faults_subscription import SUBSCRIBE, UNSUBSCRIBE
from tests.simulator.test_kraken import Book
from tests.simulator.wire import BINANCE, EXCHANGE, FEEDS, IDS, KRAKEN, Feed, Rig, books, clean, is_heartbeat, rig, wired
from tests.waiting import wait_until

every_feed = pytest.mark.parametrize("feed", FEEDS, ids=IDS)
every_venue = pytest.mark.parametrize("venue", ["binance", "coinbase", "kraken"])


def best(made: Simulator, venue: str, base: str = "BTC") -> tuple[Decimal, Decimal]:
    """The true best bid and ask of its USDT market."""
    assert made.market is not None
    (pair,) = [
        pair
        for pair in made.market.market.pairs.values()
        if (pair.listing.venue, pair.listing.base, pair.listing.quote) == (venue, base, "USDT")
    ]
    unit = Decimal(1).scaleb(-pair.listing.price_decimals)
    return -pair.bids.keys[0] * unit, pair.asks.keys[0] * unit


async def asked(made: Simulator, venue: str) -> tuple[Decimal, Decimal]:
    """The best bid and ask of BTC-USDT, as REST has it."""
    path = {
        "binance": "/api/v3/ticker/bookTicker?symbol=BTCUSDT",
        "coinbase": "/products/BTC-USDT/book?level=1",
        "kraken": "/0/public/Depth?pair=XBTUSDT&count=1",
    }[venue]
    _, body, _ = await get(made, venue, path)
    if venue == "binance":
        return Decimal(body["bidPrice"]), Decimal(body["askPrice"])
    (book,) = body["result"].values() if venue == "kraken" else [body]
    return Decimal(book["bids"][0][0]), Decimal(book["asks"][0][0])


@every_feed
async def test_a_market_that_rests_is_silent(feed: Feed) -> None:
    """One instrument says nothing more, the other goes on; afterwards it goes on as well."""
    async with rig(feed) as one:
        await one.subscribe()
        running = one.set("market how=rest instrument=BTC-USDT")
        one.made.advance(1.0)
        await one.sent()  # what was gathered before it rested

        seen = await one.flow()

        assert not [text for text in seen if feed.btc in text]
        assert books(seen, feed, feed.eth)
        one.made.faults.remove(running.id)
        assert books(await one.flow(), feed, feed.btc)


@every_venue
async def test_a_market_that_steps_is_seen_on_every_way(venue: str) -> None:
    """By so many percent at once, then again at its pace; between the steps it rests. REST and the truth follow."""
    async with simulator(still(venues=(venue,), control_port=0)) as made:
        bid, ask = best(made, venue)

        made.faults.add(parse.from_text(f"market venue={venue} instrument=BTC-USDT every=0.3 by=0.5"))
        made.advance(5.0)

        first = best(made, venue)
        assert Decimal("1.0049") < first[0] / bid < Decimal("1.0051")
        assert Decimal("1.0049") < first[1] / ask < Decimal("1.0051")
        stepped = True
        while stepped:  # a step between the two looks would make them differ
            true = best(made, venue)
            said = await asked(made, venue)
            stepped = best(made, venue) != true
        assert said == true
        await wait_until(lambda: best(made, venue) > first, what="the second step")


async def test_a_single_step_rests() -> None:
    """With `every=0`."""
    async with simulator(still(venues=("binance",))) as made:
        running = made.faults.add(parse.from_text("market venue=binance instrument=BTC-USDT every=0 by=-0.5"))
        made.advance(2.0)
        moved = best(made, "binance")
        other = best(made, "binance", "ETH")

        for _ in range(10):
            made.advance(2.0)
            made.faults.tick()

        assert best(made, "binance") == moved
        assert best(made, "binance", "ETH") != other
        assert running.acted == 2  # it rests, and has moved


async def test_a_step_keeps_a_kept_book_right() -> None:
    """A client of Kraken applies the updates: every checksum fits, and its best prices are the true ones."""
    async with rig(KRAKEN) as one:
        book = Book(10)
        book.apply_all(
            [text for text in await one.subscribe() if '"type":"snapshot"' in text and KRAKEN.btc in text and KRAKEN.book in text]
        )
        for by in (0.02, -0.3, 0.1):
            running = one.set(f"market instrument=BTC-USDT every=0 by={by}")
            book.apply_all([text for text in await one.flow() if KRAKEN.book in text and KRAKEN.btc in text])
            assert (max(book.sides["bids"]), min(book.sides["asks"])) == best(one.made, "kraken")
            one.made.faults.remove(running.id)
            book.apply_all([text for text in await one.flow() if KRAKEN.book in text and KRAKEN.btc in text])


async def test_a_market_that_moved_goes_back_by_trading() -> None:
    """Once it is left alone again, to where the other venues are."""
    async with simulator(still()) as made:
        running = made.faults.add(parse.from_text("market venue=kraken instrument=BTC-USDT every=0 by=2"))
        made.faults.remove(running.id)
        assert best(made, "kraken")[0] > best(made, "binance")[1]

        made.advance(120.0)

        assert abs(best(made, "kraken")[0] / best(made, "binance")[0] - 1) < Decimal("0.0005")


STATUS: dict[str, dict[str, Any]] = {
    "binance": {"halt": "HALT", "offline": "BREAK", "cancel_only": "CANCEL_ONLY", "delisted": "BREAK"},
    "coinbase": {"halt": "online", "offline": "offline", "cancel_only": "online", "post_only": "online", "delisted": "delisted"},
    "kraken": {
        "halt": "maintenance",
        "offline": "work_in_progress",
        "cancel_only": "cancel_only",
        "post_only": "post_only",
        "delisted": "delisted",
    },
}
LISTS = {"binance": "/api/v3/exchangeInfo", "coinbase": "/products", "kraken": "/0/public/AssetPairs"}
USUAL = {"binance": "TRADING", "coinbase": "online", "kraken": "online"}
FLAG = {"halt": "trading_disabled", "cancel_only": "cancel_only", "post_only": "post_only", "delisted": "trading_disabled"}


async def listed(made: Simulator, venue: str) -> dict[str, Any]:
    """Rows of the list by the venue's symbol."""
    _, body, _ = await get(made, venue, LISTS[venue])
    match venue:
        case "binance":
            return {row["symbol"]: row for row in body["symbols"]}
        case "coinbase":
            return {row["id"]: row for row in body}
        case _:
            return {row["wsname"]: row for row in body["result"].values()}


SYMBOL = {"binance": "BTCUSDT", "coinbase": "BTC-USDT", "kraken": "XBT/USDT"}
HALTS = [(venue, how) for venue, known in STATUS.items() for how in known]


@pytest.mark.parametrize(("venue", "how"), HALTS)
async def test_a_halted_pair_is_halted_only_in_the_list(venue: str, how: str) -> None:
    """In the venue's words; its book stays, and no other row differs."""
    async with simulator(still(venues=(venue,))) as made:
        before = await listed(made, venue)
        made.faults.add(parse.from_text(f"halt venue={venue} instrument=BTC-USDT how={how}"))
        made.advance(3.0)
        prices = best(made, venue)
        made.advance(3.0)

        after = await listed(made, venue)

        row = after.pop(SYMBOL[venue])
        assert before.pop(SYMBOL[venue])["status"] == USUAL[venue]
        assert row["status"] == STATUS[venue][how]
        assert venue != "coinbase" or how not in FLAG or row[FLAG[how]] is True
        assert after == before
        assert best(made, venue) == prices
        assert await asked(made, venue) == prices


@every_venue
async def test_a_pair_can_vanish_from_the_list(venue: str) -> None:
    """Until the fault ends."""
    async with simulator(still(venues=(venue,))) as made:
        before = await listed(made, venue)
        running = made.faults.add(parse.from_text(f"halt venue={venue} instrument=BTC-USDT how=gone"))

        assert set(await listed(made, venue)) == set(before) - {SYMBOL[venue]}
        made.faults.remove(running.id)
        assert await listed(made, venue) == before


async def test_coinbase_tells_of_one_product_too() -> None:
    """By either of its names for the list, halted or gone."""
    async with simulator(still(venues=("coinbase",))) as made:
        paths = ("/products/BTC-USDT", "/api/v3/brokerage/market/products/BTC-USDT")
        halted = made.faults.add(parse.from_text("halt venue=coinbase instrument=BTC-USDT how=halt"))
        assert [(await get(made, "coinbase", path))[1]["trading_disabled"] for path in paths] == [True, True]
        made.faults.remove(halted.id)
        assert [(await get(made, "coinbase", path))[1]["trading_disabled"] for path in paths] == [False, False]
        made.faults.add(parse.from_text("halt venue=coinbase instrument=BTC-USDT how=gone"))
        assert [(await get(made, "coinbase", path))[0] for path in paths] == [404, 404]


async def test_what_a_market_cannot_have_is_refused() -> None:
    """With the reason."""
    async with simulator(still()) as made:
        with pytest.raises(FaultError, match="halt: Binance has no such status"):
            made.faults.add(parse.from_text("halt venue=binance how=post_only"))
        with pytest.raises(FaultError, match=r"market: instrument=BTC-USDTT: not listed; did you mean BTC-USDT\?"):
            made.faults.add(parse.from_text("market instrument=BTC-USDTT"))


def ids(seen: list[str], feed: Feed) -> list[int]:
    """Of the trades of BTC, in order."""
    rows: list[Any] = []
    for text in seen:
        frame = json.loads(text)
        match feed:
            case _ if feed is BINANCE and frame.get("stream") == "btcusdt@trade":
                rows.append(frame["data"]["t"])
            case _ if feed is EXCHANGE and frame.get("type") == "match":
                rows.append(frame["trade_id"])
            case _ if feed is KRAKEN and frame.get("channel") == "trade":
                rows += [row["trade_id"] for row in frame["data"]]
    return rows


@pytest.mark.parametrize("feed", [BINANCE, EXCHANGE, KRAKEN], ids=[IDS[0], IDS[2], IDS[3]])
async def test_skipped_trade_ids_are_nowhere(feed: Feed) -> None:
    """Neither on the stream nor by REST, which has both neighbours."""
    async with rig(feed) as one:
        await one.subscribe()
        first = ids(await one.flow(), feed)
        running = one.set("skip-ids instrument=BTC-USDT ids=4")
        then = ids(await one.flow(), feed)

        assert (running.state, running.acted) == (State.ENDED, 1)
        assert then[0] == first[-1] + 5
        path = {
            "binance": "/api/v3/historicalTrades?symbol=BTCUSDT&fromId={}",
            "coinbase": "/products/BTC-USDT/trades",
            "kraken": "/0/public/Trades?pair=XBTUSDT",
        }[feed.venue]
        _, body, _ = await get(one.made, feed.venue, path.format(first[-1]))
        rows = next(iter(body["result"].values())) if feed is KRAKEN else body
        known = {row[6] if feed is KRAKEN else row["id"] if feed is BINANCE else row["trade_id"] for row in rows}
        assert {first[-1], then[0]} <= known
        assert not known.intersection(range(first[-1] + 1, then[0]))


async def again(one: Rig) -> list[str]:
    """End the subscription of BTC's book and make it again; all that comes of it and of the market."""
    name = one.feed.endpoint or one.feed.venue
    one.wire.send(UNSUBSCRIBE[name])
    one.wire.send(SUBSCRIBE[name])
    received = one.made.counters(one.feed.venue).messages + 2
    await wait_until(lambda: one.made.counters(one.feed.venue).messages >= received, what="it is subscribed again")
    return await one.flow()


@pytest.mark.parametrize(("heals", "helped"), [("never", (False, False)), ("resubscribe", (True, True)), ("reconnect", (False, True))])
@every_feed
async def test_a_dead_stream_heals_as_was_asked(feed: Feed, heals: str, helped: tuple[bool, bool]) -> None:
    """By a new subscription, by a new connection, or by nothing; the other instrument flows all the time."""
    async with rig(feed) as one:
        await one.subscribe()
        one.set(f"stall instrument=BTC-USDT heals={heals}")
        dead = await one.flow()
        assert not [text for text in dead if feed.btc in text and feed.book in text]
        assert books(dead, feed, feed.eth)

        resubscribed = await again(one)
        async with wired(ws(one.made, feed.venue, feed.endpoint)) as wire:
            other = Rig(one.made, feed, wire)
            asked = one.made.counters(feed.venue).messages + len(feed.requests)
            for request in feed.requests:
                wire.send(request)
            await wait_until(lambda: one.made.counters(feed.venue).messages >= asked, what="it has subscribed")
            one.made.advance(2.0)
            reconnected: list[str] = []
            while len(books(reconnected, feed, feed.eth)) < 3:
                text = await other.wire.text()
                reconnected += [] if is_heartbeat(text) else [text]

        for seen, is_alive in zip((resubscribed, reconnected), helped, strict=True):
            data = [text for text in seen if '"method"' not in text and '"bts:' not in text]  # answers name their book, too
            assert bool(books(data, feed, feed.btc)) is is_alive


async def test_a_snapshot_can_be_without_a_checksum() -> None:
    """Of Kraken; its updates have theirs."""
    sound = await clean(KRAKEN)
    async with rig(KRAKEN) as one:
        one.set("checksum what=missing count=0")
        snapshots = [json.loads(text)["data"][0] for text in await one.subscribe() if KRAKEN.book in text and '"type":"snapshot"' in text]
        assert snapshots
        assert not any("checksum" in row for row in snapshots)
        assert await one.flow() == sound
