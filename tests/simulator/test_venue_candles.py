"""Candles of Kraken and Coinbase as the simulator sends them: against the market's trades, on the stream and by REST."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from crosstape_simulator.market.grid import Grid
from crosstape_simulator.service import Simulator
from crosstape_simulator.venues.archetypes import ChannelMarket
from tests.simulator.client import START_TS, Client, get, venue

S = 10**9
PRICES = ("open", "high", "low", "close", "volume")


def exact(text: str) -> Any:
    """JSON whose numbers keep their digits."""
    return json.loads(text, parse_float=Decimal)


def true(made: Simulator, name: str, symbol: str, minutes: int) -> dict[int, dict[str, Any]]:
    """Beginning (s) → the candle as the market has it."""
    assert made.market is not None
    market = made.market.venues[name]
    assert isinstance(market, ChannelMarket)
    found = market.candles(symbol, Grid(minutes * 60)) or []
    return {one.open_ts // S: {name: Decimal(getattr(one, name)) for name in PRICES} | {"trades": one.trades} for one in found}


def numbers(row: dict[str, Any]) -> dict[str, Decimal]:
    """A row's figures."""
    return {name: Decimal(row[name]) for name in PRICES}


async def kraken_frames(client: Client) -> list[Any]:
    """What was sent before the answer to a ping that is sent now."""
    await client.send({"method": "ping"})
    return [exact(text) for text in await client.texts(lambda text: '"pong"' in text)][:-1]


async def test_kraken_sends_the_candles_of_several_intervals() -> None:
    """A snapshot, newest last, then a frame for each trade; the row's `timestamp` is its end; nothing says that one is over."""
    async with venue("kraken") as (made, client):
        await client.read()
        for minutes in (1, 5):
            await client.send({"method": "subscribe", "params": {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": minutes}})
        first = [frame for frame in await kraken_frames(client) if frame.get("channel") == "ohlc"]
        made.advance(130.0)
        later = await kraken_frames(client)
        expected = {minutes: true(made, "kraken", "BTC/USD", minutes) for minutes in (1, 5)}
    assert [(frame["type"], frame["data"][-1]["interval"]) for frame in first] == [("snapshot", 1), ("snapshot", 5)]
    last: dict[tuple[int, int], Any] = {}
    for row in [row for frame in (*first, *later) for row in frame["data"]]:
        begin, end = (int(datetime.fromisoformat(row[name][:19] + "Z").timestamp()) for name in ("interval_begin", "timestamp"))
        assert end - begin == row["interval"] * 60
        last[row["interval"], begin] = row
    assert len(last) > 3
    for (minutes, begin), row in last.items():
        assert numbers(row) | {"trades": row["trades"]} == expected[minutes][begin]
        assert row["low"] <= row["vwap"] <= row["high"]
    assert {begin for minutes, begin in last if minutes == 1} == expected[1].keys()


async def test_kraken_fills_empty_intervals_by_rest_alone() -> None:
    """Flat at the close before, `vwap` 0.0, no trade; `last` is the newest closed one, and `since` leaves out what it names."""
    async with venue("kraken", rate=0.5) as (made, _):
        made.advance(1_200.0)
        expected = true(made, "kraken", "ADA/USDT", 1)
        _, body, _ = await get(made, "kraken", "/0/public/OHLC?pair=ADAUSDT&interval=1")
        first = body["result"]["ADAUSDT"][0][0]
        _, since, _ = await get(made, "kraken", f"/0/public/OHLC?pair=ADAUSDT&interval=1&since={first}")
        _, refused, _ = await get(made, "kraken", "/0/public/OHLC?pair=ADAUSDT&interval=2")
    rows = body["result"]["ADAUSDT"]
    assert [row[0] for row in rows] == list(range(first, first + 60 * len(rows), 60))
    assert since["result"]["ADAUSDT"] == rows[1:]
    assert refused["error"]
    assert body["result"]["last"] == rows[-2][0]
    close, flat = "", 0
    for begin, *prices, vwap, volume, count in rows:
        if begin in expected:
            row = dict(zip(PRICES, [Decimal(text) for text in (*prices, volume)], strict=True))
            assert row | {"trades": count} == expected[begin]
            close = prices[-1]
            continue
        flat += 1
        assert prices == [close] * 4
        assert vwap == "0.0"
        assert not Decimal(volume)
        assert not count
    assert flat > 3


@pytest.mark.parametrize("interval", [2, "1", 0])
async def test_kraken_refuses_other_intervals(interval: object) -> None:
    """As another parameter that a channel does not have."""
    async with venue("kraken") as (_, client):
        await client.read()
        await client.send({"method": "subscribe", "params": {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": interval}})
        assert (await client.read())["success"] is False


async def test_coinbase_sends_five_minutes_each_second() -> None:
    """A snapshot, then each second the candle that has changed; numbers are texts without zeros at their end."""
    async with venue("coinbase", endpoint="advanced") as (made, client):
        await client.send({"type": "subscribe", "channel": "candles", "product_ids": ["BTC-USD"]})
        first = json.loads((await client.texts(lambda text: '"candles":[{' in text))[-1])
        made.advance(310.0)
        await client.send({"type": "subscribe", "channel": "heartbeats"})
        frames = [json.loads(text) for text in await client.texts(lambda text: '"heartbeats"' in text)]
        expected = true(made, "coinbase", "BTC-USD", 5)
    events = [(frame["timestamp"], event) for frame in (first, *frames) if frame["channel"] == "candles" for event in frame["events"]]
    assert events[0][1]["type"] == "snapshot"
    assert {event["type"] for _, event in events[1:]} == {"update"}
    assert len({sent[:19] for sent, _ in events[1:]}) == len(events) - 1, "one a second at most"
    last = {int(row["start"]): row for _, event in events for row in event["candles"]}
    assert {begin: numbers(row) for begin, row in last.items()}.keys() == expected.keys()
    begin = START_TS // S
    assert numbers(last[begin]) == {name: expected[begin][name] for name in PRICES}
    assert not any(row["volume"].endswith("0") for row in last.values() if "." in row["volume"])


async def test_coinbase_rest_wants_both_bounds() -> None:
    """Newest first, low before high before open; one bound alone is ignored; more than 300 are refused."""
    path, start, end = "/products/ADA-USDT/candles?granularity=60", "&start=2027-01-15T08:10:00Z", "&end=2027-01-15T08:20:00Z"
    async with venue("coinbase", endpoint="exchange", rate=0.5) as (made, _):
        made.advance(1_200.0)
        expected = true(made, "coinbase", "ADA-USDT", 1)
        answers = [(await get(made, "coinbase", path + query))[1] for query in ("", start, end, start + end)]
        status, refused, _ = await get(made, "coinbase", path + start + "&end=2027-01-16T08:20:00Z")
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == len(expected) > len(answers[3]) > 0
    assert [row[0] for row in answers[0]] == sorted(expected, reverse=True)
    assert all(1_800_000_600 <= row[0] <= 1_800_001_200 for row in answers[3])
    for begin, low, high, first, last, _ in answers[0]:
        found = expected[begin]
        assert [Decimal(str(one)) for one in (low, high, first, last)] == [found[name] for name in ("low", "high", "open", "close")]
    assert status == 400
    assert "300" in refused["message"]
