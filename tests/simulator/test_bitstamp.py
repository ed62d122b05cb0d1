"""Bitstamp: what its documentation says, seen by a client that keeps books and asks REST as it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crosstape_simulator.errors import FaultError
from crosstape_simulator.faults import parse
from crosstape_simulator.service import Simulator
from crosstape_simulator.venues.registry import find
from tests.simulator.client import Client, get, venue, ws
from tests.simulator.client import connect as connected
from tests.simulator.test_playing import capture, inward, played
from tests.waiting import wait_until

BOOK = "/api/v2/order_book/btcusd/?group=1"
HEARTBEAT = {"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}}


async def subscribe(client: Client, *channels: str) -> None:
    """Subscribe, one request a channel, and read the acknowledgements."""
    for channel in channels:
        await client.send({"event": "bts:subscribe", "data": {"channel": channel}})
        assert await client.read() == {"event": "bts:subscription_succeeded", "channel": channel, "data": {}}


async def until_heartbeat(client: Client) -> list[Any]:
    """All frames before the answer to a heartbeat that is sent now."""
    await client.send({"event": "bts:heartbeat"})
    frames = [json.loads(text) for text in await client.texts(lambda text: "bts:heartbeat" in text)]
    assert frames[-1] == HEARTBEAT
    return frames[:-1]


def sides(data: Any) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
    """Bids and asks of a book's data, as numbers."""
    bids, asks = ({Decimal(price): Decimal(size) for price, size in data[side]} for side in ("bids", "asks"))
    return bids, asks


def apply(book: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]], diff: Any) -> None:
    """Steps 4 and 5 of the documentation: set or delete."""
    for side, changes in zip(book, sides(diff), strict=True):
        side.update(changes)
        for price in [price for price, size in changes.items() if not size]:
            del side[price]


def true_book(made: Simulator) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
    """What the market's book of BTC/USD is."""
    assert made.market is not None
    pair = made.market.market.pairs["bitstamp", "btcusd"]
    bids, asks = ({Decimal(price).scaleb(-2): Decimal(size).scaleb(-8) for price, size in side.levels()} for side in (pair.bids, pair.asks))
    return bids, asks


async def test_a_book_is_kept_from_a_snapshot_by_rest_and_diffs() -> None:
    """Diffs not newer than the snapshot are left out, the others applied: the book is the market's."""
    async with venue("bitstamp", options={"bitstamp": {"old_snapshot_every": 0}}) as (made, client):
        await subscribe(client, "diff_order_book_btcusd")
        made.advance(1.23)
        diffs = await until_heartbeat(client)
        assert diffs
        _, snapshot, _ = await get(made, "bitstamp", BOOK)
        assert int(snapshot["microtimestamp"]) >= int(diffs[-1]["data"]["microtimestamp"])
        made.advance(3.0)
        made.advance(0.1 - 0.03)  # to a flush: the diffs tell all
        later = await until_heartbeat(client)

    book = sides(snapshot)
    for frame in [*diffs, *later]:
        assert frame["channel"] == "diff_order_book_btcusd"
        if int(frame["data"]["microtimestamp"]) > int(snapshot["microtimestamp"]):
            apply(book, frame["data"])
    assert book == true_book(made)
    times = [int(frame["data"]["microtimestamp"]) for frame in [*diffs, *later]]
    assert times == sorted(set(times))
    assert all(int(frame["data"]["timestamp"]) == at // 10**6 for frame, at in zip([*diffs, *later], times, strict=True))


async def test_a_snapshot_by_rest_may_be_older_than_the_stream() -> None:
    """Whoever takes it as it comes misses diffs; asked again it is new."""
    async with venue("bitstamp", options={"bitstamp": {"old_snapshot_every": 2}}) as (made, client):
        await subscribe(client, "diff_order_book_btcusd")
        made.advance(1.5)
        newest = int((await until_heartbeat(client))[-1]["data"]["microtimestamp"])
        times = [int((await get(made, "bitstamp", BOOK))[1]["microtimestamp"]) for _ in range(3)]

    assert times[0] >= newest
    assert times[1] < newest
    assert times[2] == times[0]


async def test_order_book_is_complete_each_time() -> None:
    """The best hundred levels a side, in order, whenever the book has changed."""
    async with venue("bitstamp", levels=150) as (made, client):
        await subscribe(client, "order_book_btcusd")
        made.advance(1.0)
        frames = await until_heartbeat(client)

    bids, asks = true_book(made)
    data = frames[-1]["data"]
    assert 1 < len(frames) <= 10
    assert [Decimal(price) for price, _ in data["bids"]] == sorted(bids, reverse=True)[:100]
    assert [Decimal(price) for price, _ in data["asks"]] == sorted(asks)[:100]


async def test_trades_are_the_same_by_rest() -> None:
    """`type` is the taker's side: a number on the stream, text by REST; REST is newest first; the taker's order is the newer one."""
    async with venue("bitstamp") as (made, client):
        await subscribe(client, "live_trades_btcusd")
        made.advance(5.0)
        trades = [frame["data"] for frame in await until_heartbeat(client)]
        _, rows, _ = await get(made, "bitstamp", "/api/v2/transactions/btcusd/?time=minute")

    assert {trade["type"] for trade in trades} == {0, 1}
    for trade, row in zip(reversed(trades), rows, strict=False):
        assert row == {
            "date": trade["timestamp"],
            "tid": str(trade["id"]),
            "price": trade["price_str"],
            "amount": trade["amount_str"],
            "type": str(trade["type"]),
        }
        assert (trade["buy_order_id"] > trade["sell_order_id"]) is (trade["type"] == 0)
        assert Decimal(str(trade["price"])) == Decimal(trade["price_str"])


async def test_requests_are_answered_by_channel() -> None:
    """Errors name no channel; a channel that was left says nothing more."""
    bad = {"event": "bts:error", "channel": "", "data": {"code": None, "message": "Bad subscription string."}}
    async with venue("bitstamp") as (made, client):
        for channel, error in (
            ("live_trades_nope", bad),
            ("nope_btcusd", bad),
            ("private-my_orders_btcusd-1", {**bad, "data": {"code": 4009, "message": "Connection is unauthorized."}}),
        ):
            await client.send({"event": "bts:subscribe", "data": {"channel": channel}})
            assert await client.read() == error
        await client.send("{")
        assert await client.read() == bad
        await subscribe(client, "live_trades_btcusd")
        await client.send({"event": "bts:unsubscribe", "data": {"channel": "live_trades_btcusd"}})
        assert await client.read() == {"event": "bts:unsubscription_succeeded", "channel": "live_trades_btcusd", "data": {}}
        made.advance(5.0)
        assert await until_heartbeat(client) == []


async def test_the_venue_asks_its_clients_to_leave() -> None:
    """Once, when maintenance begins."""
    async with venue("bitstamp") as (made, client):
        made.faults.add(parse.from_text("maintenance venue=bitstamp"))
        assert await client.read() == {"event": "bts:request_reconnect", "channel": "", "data": ""}
        assert await until_heartbeat(client) == []


async def test_instruments_tickers_and_candles() -> None:
    """Names, decimals and state of each pair; its day; candles up to now, or from a start."""
    async with venue("bitstamp") as (made, _):
        made.advance(200.0)
        _, rows, _ = await get(made, "bitstamp", "/api/v2/trading-pairs-info/")
        _, ticker, _ = await get(made, "bitstamp", "/api/v2/ticker/btcusd/")
        _, tickers, _ = await get(made, "bitstamp", "/api/v2/ticker/")
        _, candles, _ = await get(made, "bitstamp", "/api/v2/ohlc/btcusd/?step=60&limit=2")
        start = int(candles["data"]["ohlc"][0]["timestamp"])
        _, closed, _ = await get(made, "bitstamp", f"/api/v2/ohlc/btcusd/?step=60&limit=9&start={start}&exclude_current_candle=true")
        unknown, _, _ = await get(made, "bitstamp", "/api/v2/ticker/nope/")
        refused, error, _ = await get(made, "bitstamp", "/api/v2/ohlc/btcusd/?step=61&limit=2")

    listed = {row["name"]: row for row in rows}
    assert listed["BTC/USD"]["url_symbol"] == "btcusd"
    assert listed["BTC/USDT"]["counter_decimals"] == 2
    assert {row["trading"] for row in rows} == {"Enabled"}
    bids, asks = true_book(made)
    assert (Decimal(ticker["bid"]), Decimal(ticker["ask"])) == (max(bids), min(asks))
    assert {"pair": "BTC/USD", **ticker} in tickers
    assert len(candles["data"]["ohlc"]) == 2
    assert closed["data"]["ohlc"] == candles["data"]["ohlc"][:1]
    assert Decimal(candles["data"]["ohlc"][-1]["close"]) == Decimal(ticker["last"])
    assert (unknown, refused, error["status"]) == (404, 400, "error")


async def test_faults_speak_bitstamps_words() -> None:
    """Times are shifted in all their fields, a halted pair is disabled, a refusal has its code; there is nothing to number."""
    async with venue("bitstamp") as (made, client):
        await subscribe(client, "live_trades_btcusd")
        for text in ("skew by=-3600", "halt instrument=ETH-USD", "rest-status path=/api/v2/ticker status=429"):
            made.faults.add(parse.from_text(f"{text} venue=bitstamp"))
        made.advance(5.0)
        assert made.market is not None
        (trade, *_) = [frame["data"] for frame in await until_heartbeat(client)]
        assert made.market.now // 10**9 - 3_605 <= int(trade["timestamp"]) <= made.market.now // 10**9 - 3_600
        assert int(trade["microtimestamp"]) // 10**6 == int(trade["timestamp"])
        _, rows, _ = await get(made, "bitstamp", "/api/v2/trading-pairs-info/")
        assert [row["name"] for row in rows if row["trading"] == "Disabled"] == ["ETH/USD"]
        status, body, _ = await get(made, "bitstamp", "/api/v2/ticker/btcusd/")
        assert (status, body["code"]) == (429, "400.002")
    assert find("bitstamp").ids is None


def lines(frames: Sequence[str]) -> list[dict[str, object]]:
    """Of a recording: a snapshot by REST, then frames."""
    url = "https://www.bitstamp.net/api/v2/order_book/btcusd"
    body = '{"timestamp":"1","microtimestamp":"1000000","bids":[],"asks":[]}'
    return [{"t": 1, "d": "rest", "u": url, "f": body}, *map(inward, frames)]


async def test_a_recording_is_played(tmp_path: Path) -> None:
    """Byte for byte, with the recorded snapshot, and trades by REST as the frames say them, exponents written out."""
    numbers = '"amount":1e-08,"amount_str":"1E-8","price":5.5,"price_str":"5.50","buy_order_id":2,"sell_order_id":1'
    trade = f'{{"channel":"live_trades_btcusd","data":{{"id":7,{numbers},"microtimestamp":"1616297318187000","type":0}},"event":"trade"}}'
    path = capture(tmp_path / "x.jsonl", "bitstamp", "wss://ws.bitstamp.net", lines([trade]))
    async with played(path) as made, connected(ws(made, "bitstamp")) as client:
        await subscribe(client, "live_trades_btcusd")
        assert await client.text() == trade
        await wait_until(made.finished, what="the recording is at its end")
        _, rows, _ = await get(made, "bitstamp", "/api/v2/transactions/btcusd/")
        _, book, _ = await get(made, "bitstamp", BOOK)

    assert rows == [{"date": "1616297318", "tid": "7", "price": "5.50", "amount": "0.00000001", "type": "0"}]
    assert book["microtimestamp"] == "1000000"


@pytest.mark.parametrize("text", ["reset", "checksum", "halt how=post_only", "rest-status status=418"])
async def test_faults_that_bitstamp_cannot_have(text: str) -> None:
    """They are refused with a reason that names the venue."""
    async with venue("bitstamp") as (made, _):
        with pytest.raises(FaultError, match="Bitstamp"):
            made.faults.add(parse.from_text(f"{text} venue=bitstamp"))
