"""Deribit: what its documentation says, seen by a client that keeps a book."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from crosstape_simulator.venues.archetypes import ChannelMarket
from tests.simulator.client import Client, get, venue

LINEAR, INVERSE = "BTC_USDC-PERPETUAL", "BTC-PERPETUAL"


def request(method: str, *channels: str, number: int = 3) -> dict[str, Any]:
    """A JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": number, "method": f"public/{method}", "params": {"channels": list(channels)} if channels else {}}


async def until_answer(client: Client) -> list[Any]:
    """The data of all notifications before the answer to a request that is sent now."""
    await client.send(request("set_heartbeat", number=77))
    frames = [json.loads(text) for text in await client.texts(lambda text: '"id":77' in text)]
    assert frames[-1]["result"] == "ok"
    return [frame["params"]["data"] for frame in frames[:-1]]


async def test_wrong_names_are_missing_from_an_acknowledgement() -> None:
    """No error: an instrument, an interval or a depth that does not exist. The order is another."""
    async with venue("deribit") as (_, client):
        await client.send(request("subscribe", f"trades.{LINEAR}.100ms", "quote.NOPE", f"book.{LINEAR}.77ms", f"chart.trades.{INVERSE}.1"))
        answer = await client.read()
        assert (answer["id"], answer["result"]) == (3, [f"chart.trades.{INVERSE}.1", f"trades.{LINEAR}.100ms"])
        await client.send(request("subscribe", "quote.NOPE"))
        assert (await client.read())["result"] == []
        await client.send(request("nothing"))
        assert (await client.read())["error"]["code"] == -32601


async def test_each_change_of_a_book_names_the_one_before() -> None:
    """From the snapshot on, and the book is the market's."""
    async with venue("deribit") as (made, client):
        made.advance(1.25)
        await client.send(request("subscribe", f"book.{LINEAR}.100ms"))
        await client.read()
        made.advance(1.95)  # to a tenth of a second: nothing is gathered
        first, *changes = await until_answer(client)
        assert (first["type"], {one["type"] for one in changes}) == ("snapshot", {"change"})
        last, book = first["change_id"], [{row[1]: row[2] for row in first[side]} for side in ("bids", "asks")]
        for change in changes:
            assert change["prev_change_id"] == last
            assert change["change_id"] > last + 1, "it jumps"
            last = change["change_id"]
            for side, rows in zip(book, (change["bids"], change["asks"]), strict=True):
                for action, price, amount in rows:
                    assert (action == "delete") is (amount == 0)
                    side[price] = amount
        assert made.market is not None
        market = made.market.venues["deribit"]
        assert isinstance(market, ChannelMarket)
        pair = market.listed[LINEAR].pair
        for side, levels in zip(book, (pair.bids.levels(None), pair.asks.levels(None)), strict=True):
            assert {Decimal(str(price)): Decimal(str(size)) for price, size in side.items() if size} == {
                Decimal(price).scaleb(-1): Decimal(size).scaleb(-4) for price, size in levels
            }


async def test_a_second_subscription_brings_no_second_snapshot() -> None:
    """It is acknowledged. After an unsubscribe there is one."""
    async with venue("deribit") as (_, client):
        name = f"book.{LINEAR}.100ms"
        await client.send(request("subscribe", name))
        await client.read()
        assert len(await until_answer(client)) == 1
        await client.send(request("subscribe", name))
        assert (await client.read())["result"] == [name]
        assert await until_answer(client) == []
        for method in ("unsubscribe", "subscribe"):
            await client.send(request(method, name))
            assert (await client.read())["result"] == [name]
        assert len(await until_answer(client)) == 1


async def test_amounts_of_an_inverse_contract_are_dollars() -> None:
    """Multiples of ten at bitcoin; trades are numbered without a hole, and some are liquidations."""
    async with venue("deribit") as (made, client):
        await client.send(request("subscribe", f"trades.{INVERSE}.100ms", f"trades.{LINEAR}.100ms"))
        await client.read()
        made.advance(60.0)
        rows = [row for data in await until_answer(client) for row in data]
        mine = [row for row in rows if row["instrument_name"] == INVERSE]
        assert len(mine) > 20
        assert all(row["amount"] % 10 == 0 for row in mine)
        assert any(row["amount"] < 1 for row in rows if row["instrument_name"] == LINEAR)
        numbers = [row["trade_seq"] for row in mine]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert {row.get("liquidation") for row in rows} == {None, "T"}
        path = f"/api/v2/public/get_last_trades_by_instrument?instrument_name={INVERSE}&start_seq={numbers[3]}&count=5&sorting=asc"
        _, body, _ = await get(made, "deribit", path)
        assert [(row["trade_seq"], row["price"], row["amount"]) for row in body["result"]["trades"]] == [
            (row["trade_seq"], row["price"], row["amount"]) for row in mine[3:8]
        ]


async def test_a_client_that_does_not_answer_a_test_request_is_cut() -> None:
    """The answer is a call of its own."""
    quick = {"deribit": {"ping_s": 1.0, "pong_within_s": 1.0}}
    async with venue("deribit", options=quick) as (_, client):
        assert (await client.read())["params"] == {"type": "test_request"}
        await client.send(request("test", number=5))
        assert (await client.read())["params"] == {"type": "test_request"}
        assert await client.closed() is not None


async def test_candles_of_intervals_without_trades_are_flat() -> None:
    """On the stream and by REST, where each figure is a list of its own."""
    async with venue("deribit", rate=0.5) as (made, client):
        await client.send(request("subscribe", "chart.trades.XRP_USDC-PERPETUAL.1"))
        await client.read()
        made.advance(900.0)
        frames = await until_answer(client)
        ticks = sorted({frame["tick"] for frame in frames})
        assert ticks == list(range(ticks[0], ticks[0] + 60_000 * len(ticks), 60_000))
        assert any(frame["volume"] == 0 and frame["open"] == frame["close"] for frame in frames)
        times = f"start_timestamp={ticks[0]}&end_timestamp={ticks[-1]}&resolution=1"
        _, body, _ = await get(made, "deribit", f"/api/v2/public/get_tradingview_chart_data?instrument_name=XRP_USDC-PERPETUAL&{times}")
        chart = body["result"]
        assert chart["ticks"] == ticks
        assert {len(chart[name]) for name in ("open", "high", "low", "close", "volume", "cost")} == {len(ticks)}
        last = {frame["tick"]: frame["volume"] for frame in frames}
        assert chart["volume"][:-1] == [last[tick] for tick in ticks[:-1]]
