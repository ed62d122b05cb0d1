"""Bitget: what its documentation says, seen by a client of its sockets, and asked by REST."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import Client, connect, get, still, ws

BOTH = {"bitget": "SPOT", "bitget_futures": "USDT-FUTURES"}
each = pytest.mark.parametrize(("name", "product"), BOTH.items())


@asynccontextmanager
async def market(name: str, **options: float) -> AsyncIterator[Simulator]:
    """A still market of one venue."""
    async with simulator(still(venues=(name,), options={name: options})) as made:
        yield made


def part(product: str, channel: str, symbol: str = "BTCUSDT") -> dict[str, str]:
    """A part of a request."""
    return {"instType": product, "channel": channel, "instId": symbol}


async def subscribe(client: Client, *parts: dict[str, str]) -> None:
    """Subscribe these."""
    await client.send({"op": "subscribe", "args": list(parts)})


@each
async def test_each_part_of_a_request_is_answered_alone(name: str, product: str) -> None:
    """An unknown symbol or channel is refused, a wrong product acknowledged."""
    other = "USDC-FUTURES"
    async with market(name) as made, connect(ws(made, name, "v2")) as client:
        parts = [part(product, "books1"), part(product, "books1", "NOPEUSDT"), part(product, "weather"), part(other, "trade")]
        await subscribe(client, *parts)
        answers = [await client.read() for _ in range(4)]
        assert [(one["event"], one["arg"]) for one in answers] == [
            ("error", parts[1]),
            ("error", parts[2]),
            ("subscribe", parts[0]),
            ("subscribe", parts[3]),
        ]
        assert answers[0]["code"] == 30001
        assert (await client.read())["arg"] == parts[0]
        made.advance(5.0)
        await subscribe(client, part(product, "weather"))
        seen = [json.loads(text) for text in await client.texts(lambda text: '"error"' in text)]
        assert other not in {frame["arg"]["instType"] for frame in seen}


@each
async def test_a_ping_is_a_text(name: str, product: str) -> None:
    """Who sends none for too long is closed, however much data flow."""
    async with market(name, silence_s=1.0) as made, connect(ws(made, name, "v2")) as client:
        await client.socket.send_str("ping")
        assert (await client.socket.receive(timeout=10.0)).data == "pong"
        await subscribe(client, part(product, "books1"))
        made.advance(5.0)
        while (message := await client.socket.receive(timeout=10.0)).type is aiohttp.WSMsgType.TEXT:
            assert message.data
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


@each
async def test_too_many_parts_or_subscriptions_end_a_connection(name: str, product: str) -> None:
    """25 parts in one request, or more subscriptions than an hour has."""
    async with market(name, subscribes_per_hour=3.0) as made:
        async with connect(ws(made, name, "v2")) as client:
            await subscribe(client, *[part(product, "books1", f"A{number}USDT") for number in range(25)])
            assert (await client.socket.receive(timeout=10.0)).type is aiohttp.WSMsgType.CLOSED
        async with connect(ws(made, name, "v2")) as client:
            for _ in range(4):
                await subscribe(client, part(product, "trade", "NOPEUSDT"))
            types = [(await client.socket.receive(timeout=10.0)).type for _ in range(4)]
            assert types == [*[aiohttp.WSMsgType.TEXT] * 3, aiohttp.WSMsgType.CLOSED]


@each
async def test_trades_come_newest_first_and_past_ones_before(name: str, product: str) -> None:
    """The snapshot ends where the updates begin."""
    async with market(name) as made:
        made.advance(20.0)
        async with connect(ws(made, name, "v2")) as client:
            await subscribe(client, part(product, "trade"))
            await client.read()
            first = await client.read()
            assert first["action"] == "snapshot"
            made.advance(10.0)
            update = await client.read()
        assert update["action"] == "update"
        ids = [[int(row["tradeId"]) for row in frame["data"]] for frame in (first, update)]
        assert [sorted(one, reverse=True) for one in ids] == ids
        assert len(ids[0]) == 20
        assert min(ids[1]) == max(ids[0]) + 1


@each
async def test_a_book_begins_with_a_snapshot_and_each_update_names_the_frame_before(name: str, product: str) -> None:
    """Also where changes were gathered when the client came; in the end the book is the market's."""
    async with market(name) as made, connect(ws(made, name, "v2")) as client:
        made.advance(1.05)
        await subscribe(client, part(product, "books"))
        await client.read()
        made.advance(1.95)  # to where changes are sent
        frames: list[Any] = []
        assert made.market is not None
        pair = made.market.market.pairs[name, "BTCUSDT"]
        number = made.market.venues[name].number("BTCUSDT")
        while not frames or frames[-1]["data"][0]["seq"] != number:
            frames.append(await client.read())
        begin = max(at for at, frame in enumerate(frames) if frame["action"] == "snapshot")
        book, *updates = [frame["data"][0] for frame in frames[begin:]]
        assert book["pseq"] == 0
        sides = {side: {Decimal(price): size for price, size in book[side]} for side in ("bids", "asks")}
        last = book["seq"]
        for update in updates:
            assert update["pseq"] == last
            last = update["seq"]
            for side, levels in sides.items():
                levels |= {Decimal(price): size for price, size in update[side]}
                for price in [price for price, size in levels.items() if not Decimal(size)]:
                    del levels[price]
        scale = -pair.listing.price_decimals
        assert max(sides["bids"]) == Decimal(pair.bids.levels(1)[0][0]).scaleb(scale)
        assert min(sides["asks"]) == Decimal(pair.asks.levels(1)[0][0]).scaleb(scale)


@each
async def test_candles_begin_with_many_in_one_frame(name: str, product: str) -> None:
    """The running one is the last of them; names that count from 16:00 UTC are not simulated."""
    async with market(name) as made:
        made.advance(400.0)
        async with connect(ws(made, name, "v2")) as client:
            await subscribe(client, part(product, "candle1m"))
            await client.read()
            frame = await client.read()
        assert frame["action"] == "snapshot"
        starts = [int(row[0]) for row in frame["data"]]
        assert starts == list(range(starts[0], starts[-1] + 1, 60_000))
        assert len(starts) > 1


@each
async def test_a_candle_opens_at_the_close_before_it(name: str, product: str) -> None:
    """In the first frame, in those after it and by REST, wherever the answer begins; high and low contain the open."""
    place, words = ("spot", "1min") if name == "bitget" else ("mix", "1m")
    path = f"/api/v2/{place}/market/candles?symbol=BTCUSDT&productType={product}&granularity={words}"
    async with market(name) as made:
        made.advance(300.0)
        async with connect(ws(made, name, "v2")) as client:
            await subscribe(client, part(product, "candle1m"))
            await client.read()
            first = (await client.read())["data"]
            made.advance(150.0)
            await client.send("ping")
            frames = [json.loads(text) for text in (await client.texts(lambda text: text == "pong"))[:-1]]
        _, body, _ = await get(made, name, path)
        _, later, _ = await get(made, name, f"{path}&startTime={first[0][0]}")
    rows = {int(row[0]): row for row in [*first, *(row for frame in frames for row in frame["data"])]}
    sent = [rows[start] for start in sorted(rows)]
    assert later["data"] == body["data"][-len(later["data"]) :]
    for before, row in pairwise(sent):
        assert row[1] == before[4]
        assert Decimal(row[3]) <= Decimal(row[1]) <= Decimal(row[2])
    assert {row[0]: row[1:5] for row in body["data"] if int(row[0]) in rows} == {row[0]: row[1:5] for row in sent}


async def test_liquidations_are_those_of_all_contracts_of_a_product() -> None:
    """On the other address; its errors repeat the part in a text."""
    async with market("bitget_futures") as made, connect(ws(made, "bitget_futures", "v3")) as client:
        await subscribe(client, {"instType": "usdt-futures", "topic": "liquidation"}, {"instType": "usdt-futures", "topic": "weather"})
        error, ack = await client.read(), await client.read()
        assert json.loads(error["msg"].removesuffix(" doesn't exist"))["topic"] == "weather"
        assert ack == {"event": "subscribe", "arg": {"instType": "usdt-futures", "topic": "liquidation"}}
        made.advance(60.0)
        symbols: set[str] = set()
        while len(symbols) < 2:
            frame = await client.read()
            assert frame["arg"] == ack["arg"]
            symbols |= {row["symbol"] for row in frame["data"]}
        assert all("USDT" in symbol for symbol in symbols)


async def test_a_list_of_contracts_is_of_one_product() -> None:
    """A dated one has its end; an unknown symbol is an error."""
    async with market("bitget_futures") as made:
        path = "/api/v2/mix/market/contracts?productType="
        rows = {
            product: (await get(made, "bitget_futures", path + product))[1]["data"]
            for product in ("USDT-FUTURES", "USDC-FUTURES", "COIN-FUTURES")
        }
        assert {row["quoteCoin"] for row in rows["USDC-FUTURES"]} == {"USDC"}
        assert [row["deliveryTime"] for row in rows["COIN-FUTURES"]] == ["", "", "1798185600000"]
        status, body, _ = await get(made, "bitget_futures", path + "USDT-FUTURES&symbol=NOPEUSDT")
        assert (status, body["code"]) == (400, "40034")


@pytest.mark.parametrize(("name", "market_name", "words"), [("bitget", "spot", "1min"), ("bitget_futures", "mix", "1m")])
async def test_words_of_timeframes_differ_by_rest(name: str, market_name: str, words: str) -> None:
    """Neither the beginning nor the end is in an answer; past trades are newest first, below an id."""
    about = "symbol=BTCUSDT&productType=USDT-FUTURES"
    async with market(name) as made:
        made.advance(300.0)
        path = f"/api/v2/{market_name}/market"
        _, body, _ = await get(made, name, f"{path}/candles?{about}&granularity={words}")
        starts = [int(row[0]) for row in body["data"]]
        _, later, _ = await get(made, name, f"{path}/candles?{about}&granularity={words}&startTime={starts[0]}&endTime={starts[-1]}")
        assert [int(row[0]) for row in later["data"]] == starts[1:-1]
        status, _, _ = await get(made, name, f"{path}/candles?{about}&granularity=1minute")
        assert status == 400
        _, newest, _ = await get(made, name, f"{path}/fills-history?{about}&limit=3")
        ids = [int(row["tradeId"]) for row in newest["data"]]
        assert ids == sorted(ids, reverse=True)
        _, below, _ = await get(made, name, f"{path}/fills-history?{about}&limit=2&idLessThan={ids[0]}")
        assert [int(row["tradeId"]) for row in below["data"]] == ids[1:]
