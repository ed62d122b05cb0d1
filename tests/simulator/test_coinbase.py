"""Coinbase's two feeds as the simulator speaks them. Wire format: docs.cdp.coinbase.com, as of 2026."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from crosstape_simulator.service import simulator
from tests.simulator.client import START_TS, Client, connect, get, still, symbols, venue, ws
from tests.waiting import wait_until

BTC = "BTC-USD"
US = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def take(client: Client, count: int) -> list[Any]:
    """The next frames, parsed."""
    return [await client.read() for _ in range(count)]


class L2:
    """A book kept from Advanced's `l2_data`, and the numbers of the connection."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "offer": {}}
        self.updates = 0
        self.empty = 0

    def apply(self, event: Any) -> None:
        """One event; fails if the book is crossed."""
        if event["type"] == "snapshot":
            self.sides = {"bid": {}, "offer": {}}
        else:
            self.updates += 1
            self.empty += not event["updates"]
        for row in event["updates"]:
            side, size = self.sides[row["side"]], Decimal(row["new_quantity"])
            side[Decimal(row["price_level"])] = size
            if not size:
                del side[Decimal(row["price_level"])]
        assert max(self.sides["bid"]) < min(self.sides["offer"])


async def test_numbers_count_the_whole_connection() -> None:
    """From 0 by one over acknowledgements, snapshots, updates and heartbeats of all products."""
    async with venue("coinbase", endpoint="advanced") as (made, client):
        await client.send({"type": "subscribe", "channel": "heartbeats"})
        for channel in ("level2", "market_trades", "ticker"):
            await client.send({"type": "subscribe", "channel": channel, "product_ids": [BTC, "ETH-USD"]})
        seen: list[Any] = []
        while sum(frame["channel"] == "subscriptions" for frame in seen) < 4:
            seen += await take(client, 1)
        made.advance(3.0)
        while seen[-1]["channel"] != "heartbeats":
            seen += await take(client, 1)
        assert [frame["sequence_num"] for frame in seen] == list(range(len(seen)))
        kinds = Counter(frame["channel"] for frame in seen)
        assert kinds["subscriptions"] == 4
        assert min(kinds[name] for name in ("l2_data", "market_trades", "ticker")) >= 2
        assert isinstance(seen[-1]["events"][0]["heartbeat_counter"], int)


async def test_an_acknowledgement_lists_everything() -> None:
    """All channels of the connection; a book's snapshot comes before it."""
    async with venue("coinbase", endpoint="advanced") as (_, client):
        await client.send({"type": "subscribe", "channel": "heartbeats"})
        assert (await client.read())["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"]}}]
        await client.send({"type": "subscribe", "channel": "level2", "product_ids": [BTC]})
        snapshot, ack = await take(client, 2)
        assert (snapshot["channel"], snapshot["events"][0]["type"]) == ("l2_data", "snapshot")
        assert ack["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"], "level2": [BTC]}}]
        await client.send({"type": "unsubscribe", "channel": "level2", "product_ids": [BTC]})
        assert (await client.read())["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"]}}]


@pytest.mark.parametrize(
    "request_",
    [{"type": "subscribe", "channel": "level2", "product_ids": ["NO-PE"]}, {"type": "subscribe", "channel": "nope"}, "{", {"type": "x"}],
)
async def test_advanced_refuses_without_a_number(request_: object) -> None:
    """An error names no product and does not count."""
    async with venue("coinbase", endpoint="advanced") as (_, client):
        await client.send(request_)
        error = await client.read()
        assert (error["type"], set(error)) == ("error", {"type", "message"})
        assert "NO-PE" not in error["message"]
        await client.send({"type": "subscribe", "channel": "heartbeats"})
        assert (await client.read())["sequence_num"] == 0


@pytest.mark.parametrize("endpoint", ["advanced", "exchange"])
async def test_who_does_not_subscribe_in_time_is_cut(endpoint: str) -> None:
    """Also one whose only request was refused."""
    async with venue("coinbase", endpoint=endpoint, options={"coinbase": {"subscribe_within_s": 0.9}}) as (_, client):
        await client.send({"type": "subscribe", "channel": "level2", "product_ids": ["NO-PE"], "channels": ["full"]})
        assert (await client.read())["type"] == "error"
        assert await client.closed() == 1000


async def test_advanced_books_follow_the_snapshot() -> None:
    """A book kept from the frames never crosses and equals the snapshot that another subscription gets; empty updates occur."""
    async with venue("coinbase", endpoint="advanced") as (made, client):
        await client.send({"type": "subscribe", "channel": "level2", "product_ids": [BTC]})
        book = L2()
        book.apply((await client.read())["events"][0])
        assert (await client.read())["channel"] == "subscriptions"
        made.advance(10.0)
        await client.send({"type": "unsubscribe", "channel": "level2", "product_ids": [BTC]})
        while (frame := await client.read())["channel"] == "l2_data":
            book.apply(frame["events"][0])
        await client.send({"type": "subscribe", "channel": "level2", "product_ids": [BTC]})
        again = L2()
        again.apply((await client.read())["events"][0])
        assert book.updates > 50
        assert book.empty > 0
        assert book.sides == again.sides


async def test_advanced_trades_are_contiguous() -> None:
    """Newest first in a frame, ids as strings and contiguous; a snapshot first."""
    async with venue("coinbase", endpoint="advanced") as (made, client):
        await client.send({"type": "subscribe", "channel": "market_trades", "product_ids": [BTC]})
        ack, snapshot = await take(client, 2)
        assert (ack["channel"], snapshot["events"][0]["type"]) == ("subscriptions", "snapshot")
        made.advance(20.0)
        rows = snapshot["events"][0]["trades"][::-1]
        while len(rows) < 80:
            rows += (await client.read())["events"][0]["trades"][::-1]
        ids = [int(row["trade_id"]) for row in rows]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert {row["side"] for row in rows} == {"BUY", "SELL"}
        assert all(US.fullmatch(row["time"]) for row in rows)


async def test_exchange_acknowledges_all_and_sends_first_data() -> None:
    """The alias of the batched book, then snapshot, last match and ticker."""
    async with venue("coinbase", endpoint="exchange") as (_, client):
        request = {
            "type": "subscribe",
            "product_ids": [BTC],
            "channels": ["level2_batch", "matches", {"name": "ticker", "product_ids": ["ETH-USD"]}],
        }
        await client.send(request)
        ack, book, match, ticker = await take(client, 4)
        assert ack == {
            "type": "subscriptions",
            "channels": [
                {"name": "level2_50", "product_ids": [BTC]},
                {"name": "matches", "product_ids": [BTC]},
                {"name": "ticker", "product_ids": ["ETH-USD"]},
            ],
        }
        assert [frame["type"] for frame in (book, match, ticker)] == ["snapshot", "last_match", "ticker"]
        assert ticker["product_id"] == "ETH-USD"
        await client.send({"type": "unsubscribe", "channels": ["matches", "level2_batch"]})
        assert (await client.read())["channels"] == [{"name": "ticker", "product_ids": ["ETH-USD"]}]


@pytest.mark.parametrize("channel", ["level2", "full", "nope"])
async def test_exchange_refuses_what_needs_a_key(channel: str) -> None:
    """And unknown channels, and one bad product for the whole message."""
    async with venue("coinbase", endpoint="exchange") as (_, client):
        await client.send({"type": "subscribe", "product_ids": [BTC], "channels": [channel]})
        error = await client.read()
        assert (error["type"], error["message"]) == ("error", "Failed to subscribe")
        assert ("require authentication" in error["reason"]) == (channel != "nope")
        await client.send({"type": "subscribe", "product_ids": [BTC, "NO-PE"], "channels": ["matches"]})
        assert "NO-PE is not a valid product" in (await client.read())["reason"]


async def test_matches_carry_the_makers_side_and_tickers_the_takers() -> None:
    """Ids rise by one after the last match; a ticker follows the last match of an order and has its id and the other side."""
    async with venue("coinbase", endpoint="exchange") as (made, client):
        await client.send({"type": "subscribe", "product_ids": [BTC], "channels": ["matches", "ticker"]})
        _, last, _ = await take(client, 3)
        made.advance(20.0)
        seen = await take(client, 80)
        matches = [frame for frame in seen if frame["type"] == "match"]
        assert [frame["trade_id"] for frame in matches] == list(range(last["trade_id"] + 1, last["trade_id"] + 1 + len(matches)))
        sides = {frame["trade_id"]: frame["side"] for frame in matches}
        tickers = [frame for frame in seen if frame["type"] == "ticker"]
        assert len(tickers) > 5
        assert all({ticker["side"], sides[ticker["trade_id"]]} == {"buy", "sell"} for ticker in tickers)
        assert all(US.fullmatch(frame["time"]) for frame in seen)


async def test_exchange_books_follow_the_snapshot() -> None:
    """Prices in updates have other zeros than in the snapshot: as numbers they fit, and the book never crosses."""
    async with venue("coinbase", endpoint="exchange") as (made, client):
        await client.send({"type": "subscribe", "product_ids": [BTC], "channels": ["level2_batch"]})
        _, snapshot = await take(client, 2)
        sides = {
            "buy": {Decimal(price): Decimal(size) for price, size in snapshot["bids"]},
            "sell": {Decimal(price): Decimal(size) for price, size in snapshot["asks"]},
        }
        made.advance(5.0)
        known = 0
        for frame in await take(client, 40):
            assert frame["type"] == "l2update"
            for side, price, size in frame["changes"]:
                known += Decimal(price) in sides[side]
                sides[side][Decimal(price)] = Decimal(size)
                if not Decimal(size):
                    del sides[side][Decimal(price)]
            assert max(sides["buy"]) < min(sides["sell"])
        assert known > 5


async def test_exchange_beats_per_product() -> None:
    """Once a second, with the last trade's id, in the market's time."""
    async with venue("coinbase", endpoint="exchange") as (made, client):
        await client.send({"type": "subscribe", "product_ids": [BTC], "channels": ["matches", "heartbeat"]})
        _, last, beat = await take(client, 3)
        assert (beat["type"], beat["last_trade_id"], beat["time"]) == ("heartbeat", last["trade_id"], "2027-01-15T08:00:00.000000Z")
        assert made.market is not None
        assert made.market.now == START_TS


async def test_products_by_rest() -> None:
    """Both APIs list the same; what is not there is NotFound."""
    async with simulator(still(venues=("coinbase",))) as made:
        exchange = (await get(made, "coinbase", "/products"))[1]
        advanced = (await get(made, "coinbase", "/api/v3/brokerage/market/products?product_type=SPOT"))[1]
        assert [row["id"] for row in exchange] == [row["product_id"] for row in advanced["products"]] == symbols("coinbase")
        assert (exchange[0]["quote_increment"], exchange[0]["base_increment"]) == ("0.01", "0.00000001")
        assert (advanced["products"][0]["price_increment"], advanced["num_products"]) == ("0.01", len(exchange))
        assert (await get(made, "coinbase", "/nope"))[:2] == (404, {"message": "NotFound"})


async def test_a_client_that_comes_back_finds_the_market_further_on() -> None:
    """Trade ids have gone on meanwhile, and it gets the newest."""
    async with venue("coinbase", endpoint="exchange") as (made, client):
        await client.send({"type": "subscribe", "product_ids": [BTC], "channels": ["matches"]})
        _, first = await take(client, 2)
        assert made.drop_connections("coinbase", endpoint="exchange") == 1
        assert await client.closed() == 1006
        await wait_until(lambda: made.counters("coinbase").clients == 0, what="the server has noticed")
        made.advance(20.0)
        async with connect(ws(made, "coinbase", "exchange")) as again:
            await again.send({"type": "subscribe", "product_ids": [BTC], "channels": ["matches"]})
            _, later = await take(again, 2)
            assert later["trade_id"] > first["trade_id"] + 10
