"""Kraken v2 as the simulator speaks it. Wire format: docs.kraken.com, WebSocket v2, as of 2026."""

from __future__ import annotations

import json
import re
import zlib
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from crosstape_simulator.service import simulator
from tests.simulator.client import Client, connect, get, still, symbols, venue, ws

BTC = "BTC/USD"


class Book:
    """A book kept as Kraken's guide says, and its checksum from the text on the wire."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[Decimal, tuple[str, str]]] = {"bids": {}, "asks": {}}

    def apply(self, text: str) -> None:
        """One frame; fails if the checksum does not match or the book is crossed."""
        frame = json.loads(text, parse_float=lambda digits: digits, parse_int=lambda digits: digits)
        (data,) = frame["data"]
        if frame["type"] == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        for name, side in self.sides.items():
            for level in data[name]:
                price = Decimal(level["price"])
                side[price] = (level["price"], level["qty"])
                if not Decimal(level["qty"]):
                    del side[price]
            best = sorted(side, reverse=name == "bids")[: self.depth]
            self.sides[name] = {price: side[price] for price in best}
        assert max(self.sides["bids"]) < min(self.sides["asks"])
        assert self.checksum() == int(data["checksum"])

    def apply_all(self, texts: list[str]) -> None:
        """Frame after frame."""
        for text in texts:
            self.apply(text)

    def checksum(self) -> int:
        """Of the ten best levels, asks first: each number as written, without dot and leading zeros."""
        levels = [*list(self.sides["asks"].values())[:10], *list(self.sides["bids"].values())[:10]]
        return zlib.crc32("".join(number.replace(".", "").lstrip("0") for level in levels for number in level).encode())


async def greeted(client: Client) -> Any:
    """Read the status that every connection begins with."""
    return await client.read()


async def subscribe(client: Client, channel: str, names: list[str], request_id: int = 1, **params: object) -> list[Any]:
    """Subscribe and read the replies, one a symbol; data in between are left out."""
    await client.send({"method": "subscribe", "params": {"channel": channel, "symbol": names, **params}, "req_id": request_id})
    replies: list[Any] = []
    while len(replies) < len(names):
        frame = await client.read()
        if "method" in frame:
            replies.append(frame)
    return replies


async def test_the_first_word_is_the_status() -> None:
    """With a connection id beyond 63 bits; and again when the engine's state changes."""
    async with venue("kraken") as (made, client):
        status = await greeted(client)
        assert (status["channel"], status["data"][0]["system"]) == ("status", "online")
        assert status["data"][0]["connection_id"] > 2**63
        made.announce_state("kraken", "maintenance")
        assert (await client.read())["data"][0]["system"] == "maintenance"


async def test_each_symbol_is_acknowledged() -> None:
    """With the request's id and what was asked; then its data."""
    async with venue("kraken") as (_, client):
        await greeted(client)
        first, second = await subscribe(client, "book", [BTC, "ETH/USD"], request_id=11, depth=25)
        assert first["result"] == {"channel": "book", "depth": 25, "snapshot": True, "symbol": BTC}
        assert second["result"]["symbol"] == "ETH/USD"
        assert first["success"] is second["success"] is True
        assert first["req_id"] == second["req_id"] == 11


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"channel": "book", "symbol": [BTC], "depth": 27}, "Subscription depth not supported"),
        ({"channel": "book", "symbol": ["XBT/USD"]}, "Currency pair not supported XBT/USD"),
        ({"channel": "executions", "token": "x"}, "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"),
    ],
)
async def test_refusals_say_so_and_leave_the_socket_open(params: object, error: str) -> None:
    """`success` is false, the id is the request's."""
    async with venue("kraken") as (_, client):
        await greeted(client)
        await client.send({"method": "subscribe", "params": params, "req_id": 7})
        reply = await client.read()
        assert (reply["error"], reply["success"], reply["method"], reply["req_id"]) == (error, False, "subscribe", 7)
        (ack,) = await subscribe(client, "book", [BTC])
        assert ack["success"]


async def test_a_second_subscription_and_a_wrong_unsubscribe_are_refused() -> None:
    """An unsubscribe has to repeat the depth; one that fails calls itself a subscribe."""
    async with venue("kraken") as (_, client):
        await greeted(client)
        await subscribe(client, "book", [BTC], depth=25)
        (again,) = await subscribe(client, "book", [BTC], depth=25)
        assert (again["error"], again["symbol"]) == ("Already subscribed", BTC)
        await client.send({"method": "unsubscribe", "params": {"channel": "book", "symbol": [BTC]}})
        replies = [json.loads(text) for text in await client.texts(until=lambda text: '"method"' in text)]
        assert (replies[-1]["success"], replies[-1]["method"]) == (False, "subscribe")
        await client.send({"method": "unsubscribe", "params": {"channel": "book", "symbol": [BTC], "depth": 25}, "req_id": 9})
        reply = json.loads((await client.texts(until=lambda text: '"req_id":9' in text))[-1])
        assert reply["result"] == {"channel": "book", "depth": 25, "symbol": BTC}


async def test_pings_are_answered() -> None:
    """Without parameters."""
    async with venue("kraken") as (_, client):
        await greeted(client)
        await client.send({"method": "ping", "req_id": 101})
        pong = await client.read()
        assert (pong["method"], pong["req_id"], "time_out" in pong) == ("pong", 101, True)
        await client.send({"method": "ping", "params": {}})
        assert (await client.read())["error"] == "Unsupported field: 'params' for the given msg type: ping"
        await client.send({"method": "nope"})
        assert (await client.read())["error"] == "Unsupported event"


async def test_it_beats_once_something_is_subscribed() -> None:
    """Without type or data."""
    async with venue("kraken") as (_, client):
        await greeted(client)
        await subscribe(client, "trade", [BTC])
        assert await client.text() == '{"channel":"heartbeat"}'


@pytest.mark.parametrize("depth", [10, 25, 100])
async def test_every_checksum_holds(depth: int) -> None:
    """Kept as the guide says, with the digits on the wire: truncated after each frame, at every depth."""
    async with venue("kraken", levels=120) as (made, client):
        await greeted(client)
        await subscribe(client, "book", [BTC], depth=depth)
        book = Book(depth)
        book.apply(await client.text())
        made.advance(30.0)
        await client.send({"method": "ping"})
        frames = [text for text in await client.texts(until=lambda text: "pong" in text) if '"book"' in text]
        book.apply_all(frames)
        assert len(frames) > 100
        assert all(len(side) == depth for side in book.sides.values())


async def test_without_truncation_a_book_goes_wrong() -> None:
    """Levels pushed out of the window are not deleted: a client that keeps them fails a checksum before long."""
    async with venue("kraken", levels=120) as (made, client):
        await greeted(client)
        await subscribe(client, "book", [BTC], depth=10)
        book = Book(depth=1_000)
        book.apply(await client.text())
        made.advance(60.0)
        await client.send({"method": "ping"})
        frames = [text for text in await client.texts(until=lambda text: "pong" in text) if '"book"' in text]
        with pytest.raises(AssertionError):
            book.apply_all(frames)


async def test_numbers_have_all_their_zeros() -> None:
    """Prices with the pair's decimals, quantities with eight."""
    async with venue("kraken") as (_, client):
        await greeted(client)
        await subscribe(client, "book", ["DOGE/USDT"])
        text = await client.text()
        assert len(re.findall(r'"price":\d+\.\d{7}[,}]', text)) == text.count('"price"') == 20
        assert len(re.findall(r'"qty":\d+\.\d{8}[,}]', text)) == 20


async def test_trades_have_a_snapshot_only_if_asked() -> None:
    """The last fifty, oldest first; then each order's trades in one frame, ids rising by one."""
    async with venue("kraken") as (made, client):
        await greeted(client)
        (ack,) = await subscribe(client, "trade", ["ETH/USD"])
        assert ack["result"]["snapshot"] is False
        await subscribe(client, "trade", [BTC], snapshot=True)
        snapshot = await client.read()
        assert (snapshot["type"], len(snapshot["data"])) == ("snapshot", 50)
        made.advance(30.0)
        rows = list(snapshot["data"])
        sizes = set()
        while len(rows) < 120:
            frame = await client.read()
            if frame["channel"] == "trade" and frame["data"][0]["symbol"] == BTC:
                rows += frame["data"]
                sizes.add(len(frame["data"]))
        ids = [row["trade_id"] for row in rows]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert len(sizes) > 1


@pytest.mark.parametrize("trigger", ["bbo", "trades"])
async def test_tickers_follow_their_trigger(trigger: str) -> None:
    """A snapshot first; by `bbo` the best prices differ from frame to frame, by trades there is one per order."""
    async with venue("kraken") as (made, client):
        await greeted(client)
        await subscribe(client, "ticker", [BTC], event_trigger=trigger)
        await subscribe(client, "trade", [BTC])
        made.advance(20.0)
        await client.send({"method": "ping"})
        frames = [json.loads(text) for text in await client.texts(until=lambda text: "pong" in text)]
        tickers = [frame["data"][0] for frame in frames if frame.get("channel") == "ticker"]
        orders = sum(frame.get("channel") == "trade" for frame in frames)
        assert all(row["bid"] < row["ask"] for row in tickers)
        if trigger == "bbo":
            tops = [(row["bid"], row["bid_qty"], row["ask"], row["ask_qty"]) for row in tickers]
            assert all(one != next_ for one, next_ in pairwise(tops))
        else:
            assert orders <= len(tickers) <= orders + 1


async def test_instruments_by_channel_and_by_rest() -> None:
    """The channel has today's names, REST the old ones; errors of REST come with HTTP 200."""
    async with venue("kraken") as (made, client):
        await greeted(client)
        await client.send({"method": "subscribe", "params": {"channel": "instrument"}, "req_id": 1})
        assert (await client.read())["success"]
        data = (await client.read())["data"]
        assert [row["symbol"] for row in data["pairs"]] == symbols("kraken")
        status, body, _ = await get(made, "kraken", "/0/public/AssetPairs")
        assert status == 200
        assert body["result"]["XXBTZUSD"]["wsname"] == "XBT/USD"
        assert (body["result"]["XDGUSDT"]["wsname"], body["result"]["XDGUSDT"]["tick_size"]) == ("XDG/USDT", "0.0000001")
        assert list((await get(made, "kraken", "/0/public/AssetPairs?pair=XBTUSD"))[1]["result"]) == ["XXBTZUSD"]
        assert (await get(made, "kraken", "/0/public/AssetPairs?pair=NOPE"))[:2] == (200, {"error": ["EQuery:Unknown asset pair"]})


async def test_too_many_messages_are_lost() -> None:
    """With a bare `Error`; the socket stays open."""
    spec = still(venues=("kraken",), options={"kraken": {"messages_per_s": 3}})
    async with simulator(spec) as made, connect(ws(made, "kraken")) as client:
        await greeted(client)
        for number in range(5):
            await client.send({"method": "ping", "req_id": number})
        replies = [await client.read() for _ in range(5)]
        assert [reply.get("method", reply.get("Error")) for reply in replies] == ["pong"] * 3 + ["Exceeded msg rate"] * 2
