"""Books of the library: one that it cannot begin takes nothing else with it, and is left alone for a while."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest

from crosstape_connector.bridge.parking import TRIES
from crosstape_schemas import Book, FeedState, Gap, Status, Trade
from tests.bridge.dialects import Bitstamp, Hyperliquid
from tests.bridge.rig import QUICK, Loopback, Rig, bridged, serving
from tests.waiting import wait_until

pytest.importorskip("ccxt", reason="needs the extra ccxt: `make test-ccxt` has an environment of its own")

BOOKS = msgspec.structs.replace(QUICK, kinds=("trade", "book"), book_interval_s=0.0)
CHANGES = "diff_order_book_btcusd"
BOOK = msgspec.structs.replace(BOOKS, kinds=("book",))


class BookOfHyperliquid(Hyperliquid):
    """Its books, too: complete in each frame, without a checksum."""

    def answers(self, request: Any, past: Any) -> list[str] | None:
        """Begin the book with a spread of 1."""
        if request.get("method") == "subscribe" and request["subscription"]["type"] == "l2Book":
            return [self.book([("61000.5", "0.25"), ("61000.0", "0.00001")], [("61001.5", "2.0")])]
        return super().answers(request, past)

    def book(self, *sides: list[tuple[str, str]]) -> str:
        """A frame of the book."""
        levels = [[{"px": price, "sz": size, "n": 1} for price, size in rows] for rows in sides]
        data = {"coin": "BTC", "time": time.time_ns() // 1_000_000, "levels": levels}
        return json.dumps({"channel": "l2Book", "data": data})


class BookOfBitstamp(Bitstamp):
    """Its changes of books, too. They begin with a snapshot by REST, which is not to be had."""

    def answers(self, request: Any, past: Any) -> list[str] | None:
        """Acknowledge the subscription."""
        if request.get("event") == "bts:subscribe" and request["data"]["channel"] == CHANGES:
            return [json.dumps({"event": "bts:subscription_succeeded", "channel": CHANGES, "data": {}})]
        return super().answers(request, past)


def states(rig: Rig, kind: str) -> list[FeedState]:
    """The states of a feed, in order."""
    return [status.state for status in rig.of(Status) if status.kind == kind]


async def trades(exchange: Loopback, rig: Rig, number: int) -> None:
    """Make a trade, and wait until it is published."""
    await exchange.trade(number)
    await wait_until(lambda: any(trade.trade_id == str(number) for trade in rig.of(Trade)), what=f"trade {number}")


async def test_a_book_that_the_library_cannot_begin_is_parked_and_trades_go_on() -> None:
    """It asks for a snapshot by REST, which fails; then it closes the connection of all its streams, by cancelling what they wait for."""
    async with serving(BookOfBitstamp()) as exchange, bridged(exchange, BOOKS) as rig:
        await exchange.subscribed(2)
        await trades(exchange, rig, 1)
        numbers = count()

        async def is_parked() -> bool:
            await exchange.send(json.dumps({"event": "data", "channel": CHANGES, "data": _change(next(numbers))}))
            return any("failed again and again" in status.reason for status in rig.of(Status) if status.kind == "book")

        await wait_until(is_parked, what="a parked book", timeout_s=90)
        await trades(exchange, rig, 2)

        assert FeedState.DOWN in states(rig, "book")
        assert len(exchange.sockets) <= 1 + TRIES + 1  # that of the trades, and one for each try and after the last
        assert not rig.of(Book)
        assert [gap for gap in rig.of(Gap) if gap.kind == "trade"] == []
        assert states(rig, "trade")[-1] is FeedState.LIVE


async def test_a_book_is_published_as_it_is_when_it_changes() -> None:
    """Its levels are the shortest decimals that mean the library's numbers, in plain notation."""
    dialect = BookOfHyperliquid()
    async with serving(dialect) as exchange, bridged(exchange, BOOK) as rig:
        await wait_until(lambda: rig.of(Book), what="a book")
        await exchange.send(dialect.book([("61000.5", "0.75")], [("61001.5", "2.0")]))
        await wait_until(lambda: rig.of(Book)[-1].bids[0][1] == Decimal("0.75"), what="a change")

        first = rig.of(Book)[0]
        assert [(str(price), f"{size:f}") for price, size in first.bids] == [("61000.5", "0.25"), ("61000.0", "0.00001")]
        assert [str(price) for price, _ in first.asks] == ["61001.5"]


async def test_a_crossed_book_is_broken_and_begun_again() -> None:
    """The library has missed a change, and does not know it."""
    dialect = BookOfHyperliquid()
    async with serving(dialect) as exchange, bridged(exchange, BOOK) as rig:
        await wait_until(lambda: rig.of(Book), what="a book")
        await exchange.send(dialect.book([("61002.0", "1.0")], [("61001.5", "2.0")]))
        await wait_until(lambda: FeedState.RECOVERING in states(rig, "book"), what="a broken book")

        assert all(book.state is not FeedState.LIVE or book.bids[0][0] < book.asks[0][0] for book in rig.of(Book))


def _change(number: int) -> dict[str, Any]:
    stamp = 1_767_225_600_000_000 + number
    return {"timestamp": str(stamp // 1_000_000), "microtimestamp": str(stamp), "bids": [["61000.5", "0.25"]], "asks": [["61001.5", "2"]]}
