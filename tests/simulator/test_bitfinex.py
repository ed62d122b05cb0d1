"""Bitfinex as the simulator speaks it: seen by a client that keeps books and asks REST as the documentation says."""

from __future__ import annotations

import json
import time
import zlib
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Final

import pytest

from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.service import Simulator
from crosstape_simulator.venues.bitfinex.channels import KeptWindow, js
from tests.simulator.client import START_TS, Client, get, venue

BTC: Final = "tBTCUSD"
PERPETUAL: Final = "tBTCF0:USTF0"
ALL: Final = 32_768 | 65_536 | 131_072 | 536_870_912
NUMBERS: Final = 65_536


async def greeted(client: Client, flags: int = ALL) -> None:
    """Read the greeting, and set flags."""
    assert (await client.read())["version"] == 2
    await client.send({"event": "conf", "flags": flags})
    assert await client.read() == {"event": "conf", "status": "OK", "flags": flags}


async def subscribed(client: Client, **request: object) -> int:
    """Subscribe one channel; the number that it gets."""
    await client.send({"event": "subscribe", **request, "subId": "x"})
    answer = await client.read()
    assert answer == {"event": "subscribed", **request, "subId": "x", "chanId": answer["chanId"]}
    return int(answer["chanId"])


async def frames(client: Client) -> list[Any]:
    """All arrays until the answer to a ping that is sent now; each number is its text."""
    await client.send({"event": "ping", "cid": 7})
    texts = await client.texts(lambda text: '"pong"' in text)
    assert json.loads(texts[-1])["cid"] == 7
    return [json.loads(text, parse_float=str, parse_int=str) for text in texts[:-1]]


class Book:
    """A book kept as the documents say, with each number as it was sent."""

    def __init__(self) -> None:
        self.sides: tuple[dict[Decimal, tuple[str, str]], dict[Decimal, tuple[str, str]]] = ({}, {})
        self.sums = 0

    def apply(self, frame: list[Any]) -> None:
        """One frame; fails if a checksum is wrong, or if what is removed was not there."""
        if frame[1] == "cs":
            self.sums += 1
            assert self.checksum() == int(frame[2])
            return
        for price, orders, amount in frame[1] if isinstance(frame[1][0], list) else [frame[1]]:
            side = self.sides[amount.startswith("-")]
            if int(orders):
                side[Decimal(price)] = price, amount
            else:
                del side[Decimal(price)]

    def checksum(self) -> int:
        """Of the best 25 levels as they were written."""
        bids = [self.sides[0][price] for price in sorted(self.sides[0], reverse=True)[:25]]
        asks = [self.sides[1][price] for price in sorted(self.sides[1])[:25]]
        text = ":".join(part for pair in zip_longest(bids, asks) for row in pair if row is not None for part in row)
        found = zlib.crc32(text.encode())
        return found - 2**32 if found >= 2**31 else found

    def plain(self) -> list[dict[Decimal, Decimal]]:
        """Sizes by price."""
        return [{price: abs(Decimal(amount)) for price, (_, amount) in side.items()} for side in self.sides]


def true_book(made: Simulator, symbol: str, length: int) -> list[dict[Decimal, Decimal]]:
    """The best levels of the market."""
    assert made.market is not None
    pair = made.market.market.pairs["bitfinex", symbol]
    decimals = pair.listing.price_decimals, pair.listing.size_decimals
    return [
        {Decimal(price).scaleb(-decimals[0]): Decimal(size).scaleb(-decimals[1]) for price, size in side.levels(length)}
        for side in (pair.bids, pair.asks)
    ]


@pytest.mark.parametrize("length", [25, 100])
@pytest.mark.parametrize("flags", [ALL, ALL ^ 536_870_912])
async def test_a_book_is_kept_from_its_snapshot(length: int, flags: int) -> None:
    """In bulk or level by level: the venue removes what leaves the length, and its checksums are right."""
    async with venue("bitfinex", levels=60) as (made, client):
        await greeted(client, flags)
        number = await subscribed(client, channel="book", symbol=BTC, prec="P0", freq="F0", len=str(length))
        made.advance(20.0)
        found = [frame for frame in await frames(client) if frame[0] == str(number)]
        book = Book()
        for frame in found:
            book.apply(frame)

        assert book.plain() == true_book(made, BTC, length)
        assert book.sums == 8
        assert any(isinstance(frame[1][0], list) for frame in found[1:]) is (flags == ALL)


async def test_numbers_and_times_are_those_that_were_asked_for() -> None:
    """Numbers count every array of the connection from 1; objects have none. Flags replace those before."""
    async with venue("bitfinex") as (made, client):
        await greeted(client)
        for channel in ("trades", "ticker"):
            await client.send({"event": "subscribe", "channel": channel, "symbol": BTC})
        made.advance(1.0)
        rows = [frame for frame in await frames(client) if isinstance(frame, list)]
        assert [int(row[-2]) for row in rows] == list(range(1, len(rows) + 1))
        assert all(START_TS // 10**6 <= int(row[-1]) <= START_TS // 10**6 + 1_000 for row in rows)
        await client.send({"event": "conf", "flags": NUMBERS})
        assert (await client.read())["flags"] == NUMBERS
        made.advance(1.0)
        later = [frame for frame in await frames(client) if isinstance(frame, list)]
        assert int(later[-1][-1]) == len(rows) + len(later)


async def test_a_trade_is_sent_twice() -> None:
    """`te` at once, `tu` a second later with the same content; a new client gets the newest first."""
    async with venue("bitfinex") as (made, client):
        await greeted(client, 0)
        await subscribed(client, channel="trades", symbol=BTC)
        made.advance(5.0)
        first, *rows = await frames(client)

    ids = [int(row[0]) for row in first[1]]
    assert ids == sorted(ids, reverse=True)
    executed = [row[2] for row in rows if row[1] == "te"]
    updated = [row[2] for row in rows if row[1] == "tu"]
    assert executed[: len(updated)] == updated
    assert 0 < len(updated) < len(executed)
    assert {amount.startswith("-") for _, _, amount, _ in executed} == {True, False}


async def test_candles_are_the_same_on_the_stream_and_by_rest() -> None:
    """Close before high, newest first; nothing is sent of an interval without trades."""
    async with venue("bitfinex") as (made, client):
        await greeted(client, 0)
        await subscribed(client, channel="candles", key=f"trade:1m:{BTC}")
        made.advance(150.0)
        past, *updates = await frames(client)
        _, rows, _ = await get(made, "bitfinex", f"/v2/candles/trade:1m:{BTC}/hist?limit=100")

    newest = {row[1][0]: row[1] for row in updates}
    assert [int(row[0]) for row in past[1]] == sorted((int(row[0]) for row in past[1]), reverse=True)
    assert len(newest) >= 2
    by_rest = {str(row[0]): [Decimal(str(one)) for one in row] for row in rows}
    for at, row in newest.items():
        assert [Decimal(one) for one in row] == by_rest[at]
        _, first, last, high, low, _ = map(Decimal, row)
        assert low <= min(first, last) <= max(first, last) <= high


async def test_a_perpetual_has_a_status_and_liquidations() -> None:
    """One of each second; a liquidation's trigger comes before its execution. Spot has none, and gets no answer."""
    async with venue("bitfinex") as (made, client):
        await greeted(client, 0)
        await client.send({"event": "subscribe", "channel": "status", "key": "deriv:tNOPE"})
        status = await subscribed(client, channel="status", key=f"deriv:{PERPETUAL}")
        assert (await client.read())[0] == status
        forced = await subscribed(client, channel="status", key="liq:global")
        made.advance(10.0)
        rows = await frames(client)

    states = [row[1] for row in rows if row[0] == str(status)]
    assert len(states) == 10
    assert {len(row) for row in states} == {23}
    found = [row[1][0] for row in rows if row[0] == str(forced)]
    assert found
    assert [row[8] for row in found] == ["0", "1"] * (len(found) // 2)
    assert {row[4] for row in found} <= {PERPETUAL, "tETHF0:USTF0", "tSOLF0:USTF0"}


async def test_requests_are_answered_as_documented() -> None:
    """Errors repeat the request; a subscription that exists has its number in the refusal."""
    async with venue("bitfinex", options={"bitfinex": {"channels": 2}}) as (_, client):
        await greeted(client)
        ticker = {"channel": "ticker", "symbol": BTC}
        for request, code in (
            ({"channel": "ticker", "symbol": "tNOPE"}, 10300),
            ({"channel": "book", "symbol": BTC, "len": "7"}, 10300),
            ({"channel": "nope"}, 10302),
        ):
            await client.send({"event": "subscribe", **request, "subId": "5"})
            answer = await client.read()
            assert answer == {**request, "subId": "5", "event": "error", "msg": answer["msg"], "code": code}
        number = await subscribed(client, **ticker)
        assert (await client.read())[0] == number
        await client.send({"event": "subscribe", **ticker})
        assert (await client.read()).items() >= {"code": 10301, "chanId": number}.items()
        await subscribed(client, channel="trades", symbol=BTC)
        await client.read()
        await client.send({"event": "subscribe", "channel": "trades", "symbol": "tETHUSD"})
        assert (await client.read())["code"] == 10305
        for answer in ({"event": "unsubscribed", "status": "OK", "chanId": number}, {"code": 10400}):
            await client.send({"event": "unsubscribe", "chanId": number})
            assert (await client.read()).items() >= answer.items()
        await client.send({"event": "nonsense"})
        assert (await client.read())["code"] == 10000


async def test_maintenance_is_announced() -> None:
    """And whoever connects meanwhile is greeted with it."""
    async with venue("bitfinex") as (made, client):
        await greeted(client)
        feed = made.servers["bitfinex"].endpoints[0].feed
        assert feed.announce("maintenance", START_TS) == 1
        assert (await get(made, "bitfinex", "/v2/platform/status"))[1] == [0]
        feed.announce("online", START_TS)
        assert [json.loads(frame)["code"] for frame in (await client.text(), await client.text())] == [20060, 20061]


async def test_rest_errors_and_limits() -> None:
    """An error has status 500; beyond the limit of a minute there is 429."""
    async with venue("bitfinex") as (made, client):
        await greeted(client)
        assert (await get(made, "bitfinex", "/v2/trades/tNOPE/hist"))[:2] == (500, ["error", 10020, "symbol: invalid"])
        assert (await get(made, "bitfinex", f"/v2/trades/{BTC}/hist?limit=10001"))[:2] == (500, ["error", 10020, "limit: invalid"])
        began = time.monotonic()
        statuses = [(await get(made, "bitfinex", f"/v2/trades/{BTC}/hist?limit=1"))[0] for _ in range(20)]
        refilled = (time.monotonic() - began) * 15 / 60  # 15 a minute flow back
        assert 13 <= statuses.count(200) <= 13 + refilled + 1


def test_a_window_says_what_leaves_and_what_comes_back() -> None:
    """A client that removes nothing by itself always holds the best levels."""
    side, held = BookSide(), dict[int, int]()
    for key in (1, 3, 5):
        side.set(key, 10)
    window = KeptWindow(side, 3)
    held.update(side.sizes)
    for changed in ({2: 5}, {1: 0}, {4: 7, 2: 0}, {3: 0, 5: 0}, {6: 1, 7: 1, 8: 1}, {4: 0}, {1: 9, 2: 9, 3: 9}, {9: 2}):
        for key, size in changed.items():
            side.set(key, size)
        for key, size in window.changes(changed):
            held.pop(key, None)
            if size:
                held[key] = size
        assert held == {key: side.sizes[key] for key in side.keys[:3]}


@pytest.mark.parametrize(
    ("text", "written"),
    [("64250", "64250"), ("3120.0", "3120"), ("0.00000070", "7e-7"), ("0.00000110", "0.0000011"), ("0.00000000", "0"), ("100", "100")],
)
def test_numbers_are_written_as_javascript_does(text: str, written: str) -> None:
    """No zeros at the end, an exponent below 0.000001."""
    assert js(text) == written
