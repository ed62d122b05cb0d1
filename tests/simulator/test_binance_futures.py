"""Binance's futures, US and candles as the simulator speaks them. Wire formats: developers.binance.com, as of 2026."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from crosstape_simulator.market.history import integer
from tests.simulator.client import Client, connect, get, venue, ws

MINUTE_MS = 60_000
SYMBOLS = {"binance_usdm": ("btcusdt", "market"), "binance_coinm": ("btcusd_perp", "")}
each_market = pytest.mark.parametrize("name", SYMBOLS)


async def frames(client: Client, stream: str, count: int) -> list[Any]:
    """The data of the next `count` frames of one stream."""
    found: list[Any] = []
    while len(found) < count:
        frame = await client.read()
        if frame.get("stream") == stream:
            found.append(frame["data"])
    return found


async def test_a_stream_of_the_other_address_is_acknowledged_and_silent() -> None:
    """USD-M has best prices and books at one address, all else at the other."""
    async with venue("binance_usdm", endpoint="market") as (made, client):
        await client.send({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "btcusdt@aggTrade"], "id": 1})
        assert await client.text() == '{"result":null,"id":1}'
        async with connect(ws(made, "binance_usdm", "public") + "?streams=btcusdt@bookTicker/btcusdt@aggTrade") as other:
            made.advance(5.0)
            assert {(await client.read())["stream"] for _ in range(20)} == {"btcusdt@aggTrade"}
            assert {(await other.read())["stream"] for _ in range(20)} == {"btcusdt@bookTicker"}


async def test_updates_name_the_one_before_and_not_the_number_before() -> None:
    """`pu` is the last `u`; `U` does not follow it, because other symbols have numbers between."""
    async with venue("binance_usdm", "?streams=btcusdt@depth@100ms", "public") as (made, client):
        made.advance(5.0)
        updates = await frames(client, "btcusdt@depth@100ms", 20)

    assert all(after["pu"] == before["u"] for before, after in pairwise(updates))
    assert all(after["U"] > before["u"] + 1 for before, after in pairwise(updates))
    assert all(update["U"] <= update["u"] for update in updates)


@each_market
async def test_a_snapshot_lies_within_an_update_or_before_the_next(name: str) -> None:
    """Its number is one of those that the stream has."""
    symbol, _ = SYMBOLS[name]
    stream = f"{symbol}@depth@100ms"
    prefix = {"binance_usdm": "/fapi/v1", "binance_coinm": "/dapi/v1"}[name]
    endpoint = "public" if name == "binance_usdm" else ""
    async with venue(name, f"?streams={stream}", endpoint, options={name: {"old_snapshot_every": 0}}) as (made, client):
        made.advance(2.03)
        _, snapshot, _ = await get(made, name, f"{prefix}/depth?symbol={symbol.upper()}&limit=1000")
        made.advance(2.0)
        updates = await frames(client, stream, 30)

    number = snapshot["lastUpdateId"]
    assert sum(update["U"] <= number <= update["u"] or update["pu"] == number for update in updates) == 1


@each_market
async def test_contracts_have_figures_and_forced_orders(name: str) -> None:
    """Of COIN-M without an index price. A forced order is at a better price than it asks for."""
    symbol, endpoint = SYMBOLS[name]
    async with venue(name, f"?streams={symbol}@markPrice@1s/{symbol}@forceOrder", endpoint) as (made, client):
        made.advance(60.0)
        first, second = await frames(client, f"{symbol}@markPrice@1s", 2)
        (forced,) = await frames(client, f"{symbol}@forceOrder", 1)

    assert second["E"] - first["E"] == 1_000
    assert ("i" in first) == (name == "binance_usdm")
    assert (first["st"], first["T"] % 28_800_000) == (1 if name == "binance_usdm" else 2, 0)
    order = forced["o"]
    gap = Decimal(order["p"]) - Decimal(order["ap"])
    assert gap > 0 if order["S"] == "BUY" else gap < 0
    assert order["z"] == order["q"]


async def test_a_dated_contract_has_no_funding() -> None:
    """USD-M writes zeros, COIN-M an empty rate."""
    for name, stream, endpoint, rate in (
        ("binance_usdm", "btcusdt_261225@markPrice@1s", "market", "0.00000000"),
        ("binance_coinm", "btcusd_261225@markPrice@1s", "", ""),
    ):
        async with venue(name, f"?streams={stream}", endpoint) as (made, client):
            made.advance(3.0)
            (mark,) = await frames(client, stream, 1)
        assert (mark["r"], mark["T"]) == (rate, 0)


@pytest.mark.parametrize(
    ("name", "stream", "endpoint"),
    [
        ("binance", "btcusdt@kline_1m", ""),
        ("binance_us", "btcusdt@kline_1m", ""),
        ("binance_usdm", "btcusdt@kline_1m", "market"),
        ("binance_coinm", "btcusd_perp@kline_1m", ""),
    ],
)
async def test_a_candle_is_closed_once_and_the_next_begins_at_its_end(name: str, stream: str, endpoint: str) -> None:
    """The running one comes again with more trades; REST has the same figures."""
    symbol = stream.partition("@")[0].upper()
    prefix = {"binance_usdm": "/fapi/v1", "binance_coinm": "/dapi/v1"}.get(name, "/api/v3")
    async with venue(name, f"?streams={stream}", endpoint, rate=40.0) as (made, client):
        made.advance(190.0)
        candles: list[Any] = []
        while sum(one["x"] for one in candles) < 2:
            candles += [frame["k"] for frame in await frames(client, stream, 1)]
        _, rows, _ = await get(made, name, f"{prefix}/klines?symbol={symbol}&interval=1m&limit=10")

    closed = [one for one in candles if one["x"]]
    assert closed[1]["t"] == closed[0]["t"] + MINUTE_MS == closed[0]["T"] + 1
    by_open = {row[0]: row for row in rows}
    second = by_open[closed[1]["t"]]
    assert second[1:6] == [closed[1][field] for field in "ohlcv"]
    assert (second[7], second[8], second[9]) == (closed[1]["q"], closed[1]["n"], closed[1]["V"])
    if name == "binance_coinm":
        worth = Decimal(second[5]) * 100 / Decimal(second[7])  # 100 USD a contract, by base units: a price of the candle
        assert Decimal(second[3]) <= worth.quantize(Decimal("0.1")) <= Decimal(second[2])


async def test_candles_are_asked_for_from_a_time_on() -> None:
    """Spot and USD-M forwards; COIN-M has the newest before the end."""
    async with venue("binance_usdm", endpoint="public", rate=40.0) as (made, _):
        made.advance(400.0)
        _, every, _ = await get(made, "binance_usdm", "/fapi/v1/klines?symbol=BTCUSDT&interval=1m")
        start = every[2][0]
        _, some, _ = await get(made, "binance_usdm", f"/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime={start}&limit=2")
        assert [row[0] for row in some] == [start, start + MINUTE_MS]
        status, refused, _ = await get(made, "binance_usdm", "/fapi/v1/klines?symbol=BTCUSDT&interval=7m")
        assert (status, refused["code"]) == (400, -1120)
    async with venue("binance_coinm", rate=40.0) as (made, _):
        made.advance(400.0)
        query = "/dapi/v1/klines?symbol=BTCUSD_PERP&interval=1m"
        _, every, _ = await get(made, "binance_coinm", query)
        _, some, _ = await get(made, "binance_coinm", f"{query}&startTime={every[0][0]}&limit=2")
        assert [row[0] for row in some] == [row[0] for row in every[-2:]]


@pytest.mark.parametrize(
    ("name", "path", "symbol"),
    [
        ("binance_us", "/api/v3/aggTrades", "BTCUSDT"),
        ("binance_usdm", "/fapi/v1/aggTrades", "BTCUSDT"),
        ("binance_coinm", "/dapi/v1/aggTrades", "BTCUSD_PERP"),
    ],
)
async def test_aggregates_are_asked_for_from_an_id_on(name: str, path: str, symbol: str) -> None:
    """Ascending, without a gap; without an id the newest."""
    endpoint = "public" if name == "binance_usdm" else ""
    async with venue(name, endpoint=endpoint) as (made, _):
        made.advance(20.0)
        _, newest, _ = await get(made, name, f"{path}?symbol={symbol}&limit=5")
        first = newest[0]["a"] - 10
        _, page, _ = await get(made, name, f"{path}?symbol={symbol}&fromId={first}&limit=3")

    assert [row["a"] for row in newest] == list(range(newest[0]["a"], newest[0]["a"] + 5))
    assert [row["a"] for row in page] == [first, first + 1, first + 2]


async def test_open_interest_and_instruments_are_those_of_the_market() -> None:
    """COIN-M says what a contract is worth, and calls the state by another name."""
    async with venue("binance_coinm") as (made, _):
        made.advance(2.0)
        _, interest, _ = await get(made, "binance_coinm", "/dapi/v1/openInterest?symbol=BTCUSD_PERP")
        _, info, _ = await get(made, "binance_coinm", "/dapi/v1/exchangeInfo")

    assert integer(interest["openInterest"], 0)
    rows = {row["symbol"]: row for row in info["symbols"]}
    assert (rows["BTCUSD_PERP"]["contractSize"], rows["BTCUSD_PERP"]["contractStatus"]) == (100, "TRADING")
    assert rows["BTCUSD_261225"]["deliveryDate"] == 1_798_185_600_000


async def test_the_weight_of_a_minute_is_limited() -> None:
    """2,400: snapshots of 1,000 levels weigh 20. Who goes on asking is banned. A minute may turn meanwhile; then there are two."""
    async with venue("binance_usdm", endpoint="public") as (made, _):
        began = time.time() // 60
        statuses = [(await get(made, "binance_usdm", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))[0] for _ in range(241)]
        turned = time.time() // 60 != began

    assert statuses[:120] == [200] * 120
    assert 429 in statuses if turned else statuses[120:] == [429] * 10 + [418] * 111
