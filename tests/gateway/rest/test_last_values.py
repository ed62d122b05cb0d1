"""Answers from last values: quotes, consolidated books, topics."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.settings import GatewaySettings
from crosstape_schemas import CONSOLIDATED, Cbbo, Depth, FeedState, Market, Quote, Status, Trade
from tests.bus.tape import command
from tests.gateway.rest.served import KEYS, publish, serving

TS = 1_786_000_000_123_456_789


def cbbo(instrument: str, bid: str = "57000.10") -> Cbbo:
    """A consolidated quote without legs."""
    price = Decimal(bid)
    return Cbbo(
        CONSOLIDATED, instrument, None, TS, TS, price, Decimal(1), ("kraken",), price + 1, Decimal(2), ("kraken",), price, Decimal(1),
        Decimal("0.1"), Market.NORMAL, 1, {}, (),
    )  # fmt: skip


def quote(venue: str, instrument: str = "BTC-USDT") -> Quote:
    """A venue's quote."""
    return Quote(venue, instrument, TS, TS, Decimal("57000.10"), Decimal("0.00000061"), Decimal("57000.20"), None)


async def test_consolidated_quotes_of_all_instruments_come_byte_for_byte(client: Redis, valkey: str) -> None:
    """What the tape has as the newest is in the answer with the same bytes, so with all digits."""
    await publish(valkey, cbbo("BTC-USDT"), cbbo("ETH-USDT", "3000.10"))
    async with serving(valkey) as gateway:
        answer = await gateway.get("/api/quotes")

    stored = [await command(client, "HGET", KEYS.last("cbbo", name), CONSOLIDATED) for name in ("BTC-USDT", "ETH-USDT")]
    assert b'{"quotes":[' + b",".join(stored) + b'],"ts":' in answer.body
    assert answer.json["more"] is False
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("spelling", ["BTC-USDT", "BTCUSDT", "btc_usdt", "BTC/USDT", "btcusdt"])
@pytest.mark.parametrize("name", ["instrument", "symbol"])
async def test_an_instrument_may_be_spelled_in_any_way(client: Redis, valkey: str, spelling: str, name: str) -> None:
    """All spellings that leave out or replace the separator mean the same instrument."""
    await publish(valkey, cbbo("BTC-USDT"), cbbo("ETH-USDT"))
    async with serving(valkey) as gateway:
        (row,) = await gateway.rows("/api/quotes", "quotes", **{name: spelling})

    assert row["instrument"] == "BTC-USDT"


async def test_with_a_venue_the_quotes_are_the_venues_own(client: Redis, valkey: str) -> None:
    """Without an instrument they are those of all its instruments."""
    await publish(valkey, cbbo("BTC-USDT"), quote("kraken"), quote("kraken", "ETH-USDT"), quote("binance"), *signs("kraken", "binance"))
    async with serving(valkey) as gateway:
        all_rows = await gateway.rows("/api/quotes", "quotes", venue="kraken")
        one = await gateway.rows("/api/quotes", "quotes", venue="kraken", instrument="BTCUSDT")

    assert [(row["venue"], row["instrument"]) for row in all_rows] == [("kraken", "BTC-USDT"), ("kraken", "ETH-USDT")]
    assert [(row["venue"], row["instrument"]) for row in one] == [("kraken", "BTC-USDT")]


def signs(*venues: str) -> list[Status]:
    """A sign of life of each venue."""
    return [Status(venue, "*", None, TS, "*", FeedState.LIVE) for venue in venues]


async def test_whole_numbers_may_be_asked_for_as_text(client: Redis, valkey: str) -> None:
    """Times and epochs come as strings with all digits; counts and decimals stay as they are."""
    await publish(valkey, cbbo("BTC-USDT"))
    async with serving(valkey) as gateway:
        answer = await gateway.get("/api/quotes", ints="string")

    (row,) = answer.json["quotes"]
    assert row["ts"] == row["received_ts"] == str(TS)
    assert row["epoch"].isdigit()
    assert (row["seq"], row["venues"], row["bid_price"], row["venue_ts"]) == (1, 1, "57000.10", None)
    assert answer.json["ts"].isdigit()


async def test_depth_is_the_newest_consolidated_book(client: Redis, valkey: str) -> None:
    """There is one row, or none while no book is computed."""
    level = (Decimal("57000.10"), Decimal(2), (("kraken", Decimal(2)),))
    book = Depth(CONSOLIDATED, "BTC-USDT", None, TS, TS, (level,), (), 10, (), ())
    await publish(valkey, book, cbbo("ETH-USDT"))
    async with serving(valkey) as gateway:
        (row,) = await gateway.rows("/api/depth", "depths", instrument="BTC-USDT")
        assert await gateway.rows("/api/depth", "depths", instrument="ETH-USDT") == []

    assert row["bids"] == [["57000.10", "2", [["kraken", "2"]]]]


async def test_last_gives_the_newest_event_of_each_venue_of_each_topic(client: Redis, valkey: str) -> None:
    """A topic with a venue gives only that venue's; a pattern those of all instruments; a topic that is covered twice comes once."""
    await publish(valkey, cbbo("BTC-USDT"), quote("kraken"), quote("binance"), quote("kraken", "ETH-USDT"), *signs("kraken", "binance"))
    async with serving(valkey) as gateway:

        async def last(topics: str) -> list[tuple[str, str, str]]:
            rows = await gateway.rows("/api/last", "events", topics=topics)
            return [(row["type"], row["instrument"], row["venue"]) for row in rows]

        assert await last("quote:BTC-USDT") == [("quote", "BTC-USDT", "binance"), ("quote", "BTC-USDT", "kraken")]
        assert await last("quote:BTC-USDT@kraken,cbbo:BTCUSDT") == [
            ("quote", "BTC-USDT", "kraken"), ("cbbo", "BTC-USDT", CONSOLIDATED)
        ]  # fmt: skip
        assert await last("quote:*@kraken,quote:ETH-USDT") == [("quote", "BTC-USDT", "kraken"), ("quote", "ETH-USDT", "kraken")]
        assert await last("venue:kraken") == [("status", "*", "kraken")]
        assert await last("venue:*") == [("status", "*", "binance"), ("status", "*", "kraken")]
        assert await last("trade:ETH-USDT") == []


async def test_statuses_of_all_feeds_are_last_values(client: Redis, valkey: str) -> None:
    """They stand beside one another: a venue has one for each kind of feed of an instrument."""
    feeds = [Status("kraken", "BTC-USDT", None, TS, kind, FeedState.STALE, "silent") for kind in ("trade", "quote")]
    await publish(valkey, *feeds)
    async with serving(valkey) as gateway:
        rows = await gateway.rows("/api/last", "events", topics="status:BTC-USDT")

    assert [(row["kind"], row["state"]) for row in rows] == [("quote", "stale"), ("trade", "stale")]


async def test_a_trade_that_came_late_is_not_the_last_one(client: Redis, valkey: str) -> None:
    """The tape keeps the newest entry of the stream in a field of its own; it is not the newest trade."""
    newest = Trade("kraken", "BTC-USDT", TS, TS, Decimal(1), Decimal(1), None, "9")
    late = Trade("kraken", "BTC-USDT", TS - 10**9, TS + 1, Decimal(1), Decimal(1), None, "5", backfilled=True)
    await publish(valkey, newest, late)
    assert len(await command(client, "HKEYS", KEYS.last("trade", "BTC-USDT"))) == 2
    async with serving(valkey) as gateway:
        (row,) = await gateway.rows("/api/last", "events", topics="trade:BTC-USDT")

    assert row["trade_id"] == "9"


async def test_what_other_programs_wrote_is_left_out(client: Redis, valkey: str) -> None:
    """A field that holds no event would make the answer unreadable."""
    await publish(valkey, cbbo("BTC-USDT"), cbbo("ETH-USDT"))
    await command(client, "HSET", KEYS.last("cbbo", "BTC-USDT"), "stranger", "{not json", "other", "\x00", "half", '{"type":"cbbo"}')
    await command(client, "DEL", KEYS.last("cbbo", "ETH-USDT"))
    await command(client, "SET", KEYS.last("cbbo", "ETH-USDT"), "no hash")
    async with serving(valkey) as gateway:
        rows = await gateway.rows("/api/last", "events", topics="cbbo:*")

    assert [row["venue"] for row in rows] == [CONSOLIDATED]


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/api/quotes", {"instrument": "BTC-USDD"}, (404, "unknown_instrument", "did you mean BTC-USDT?")),
        ("/api/quotes", {"instrument": "ZZZ"}, (404, "unknown_instrument", "see /api/instruments")),
        ("/api/quotes", {"instrument": "ETHUSDTPERP"}, (400, "ambiguous_symbol", "ETH-USDT-PERP or ETH-USDTPERP")),
        ("/api/quotes", {"venue": "krakn"}, (404, "unknown_venue", "did you mean kraken?")),
        ("/api/quotes", {"instrumnt": "BTC-USDT"}, (400, "unknown_parameter", "did you mean instrument?")),
        ("/api/quotes", {"zz": "1"}, (400, "unknown_parameter", "there are instrument, symbol, venue, ints")),
        ("/api/quotes", {"ints": "text"}, (400, "bad_parameter", "there are number, string")),
        ("/api/quotes", {"instrument": "BTC-USDT", "symbol": "BTCUSDT"}, (400, "repeated_parameter", "leave one out")),
        ("/api/depth", {}, (400, "missing_parameter", "for example instrument=BTC-USDT")),
        ("/api/last", {}, (400, "missing_parameter", "for example topics=cbbo:BTC-USDT")),
        ("/api/last", {"topics": " , ,"}, (400, "no_topics", "name one at least")),
        ("/api/last", {"topics": "cbo:BTC-USDT"}, (400, "unknown_kind", "there is no kind 'cbo'")),
        ("/api/last", {"topics": "bar:7m:BTC-USDT"}, (400, "unknown_timeframe", "expected a timeframe")),
        ("/api/last", {"topics": "cbbo:BTC-USDX"}, (404, "unknown_instrument", "did you mean BTC-USDT?")),
        ("/api/last", {"topics": "venue:kraaken"}, (404, "unknown_venue", "did you mean kraken?")),
        ("/api/last", {"topics": "quote:BTC-USDT@krkn"}, (404, "unknown_venue", "did you mean kraken?")),
        ("/api/last", {"topics": "cbbo:*,quote:*,mark:*"}, (400, "too_many_topics", "at most 2")),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    client: Redis, valkey: str, path: str, query: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    """The error names the part that is wrong and what was probably meant."""
    await publish(valkey, cbbo("BTC-USDT"), cbbo("ETH-USDT-PERP"), cbbo("ETH-USDTPERP"), *signs("kraken"))
    async with serving(valkey, GatewaySettings(port=0, topics_per_client=2)) as gateway:
        status, code, message = (await gateway.get(path, **query)).error

    assert (status, code) == expected[:2]
    assert expected[2] in message


async def test_a_parameter_that_is_given_twice_is_refused(client: Redis, valkey: str) -> None:
    """None of the two is silently preferred."""
    async with serving(valkey) as gateway:
        assert (await gateway.ask("/api/quotes?venue=a&venue=b")).error == (400, "repeated_parameter", "venue: given more than once")
