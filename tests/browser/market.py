"""Two venues and an aggregator that publish what a test says, with signs of life of their own until they are silenced."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from typing import Final

from crosstape.bus import Publisher
from crosstape_schemas import (
    CONSOLIDATED,
    VENUE_WIDE,
    Bar,
    Cbbo,
    Depth,
    DepthLeg,
    Edge,
    EdgeChange,
    Event,
    Exclusion,
    FeedState,
    Gap,
    GapCause,
    Leg,
    Market,
    Status,
    Vwap,
)
from tests.bus.tape import fast, publishing

BTC: Final = "BTC-USDT"
DOGE: Final = "DOGE-USDT"
VENUES: Final = ("coinbase", "kraken")
MINUTE_NS: Final = 60 * 10**9
LIFE_S: Final = 0.5

D = Decimal


class Minute:
    """The present minute of a test: one for all its bars, whenever they are made."""

    opened_ts = time.time_ns() // MINUTE_NS * MINUTE_NS


class Stage:
    """The publishers of one test."""

    def __init__(self, publishers: dict[str, Publisher]) -> None:
        self._publishers = publishers
        self.silent: set[str] = set()
        """Producers that give no sign of life."""

    def epoch(self, venue: str) -> int:
        """The epoch of a producer's events."""
        return self._publishers[venue].epoch

    async def publish(self, *events: Event) -> None:
        """Put events on the tape; returns when they are there."""
        for event in events:
            self._publishers[event.venue].publish(event)
        for venue in {event.venue for event in events}:
            assert await self._publishers[venue].drain(10)

    async def live(self) -> None:
        """Repeat the signs of life until cancelled."""
        while True:
            for venue, publisher in self._publishers.items():
                if venue not in self.silent:
                    publisher.publish(status(venue))
            await asyncio.sleep(LIFE_S)

    def quote(
        self,
        bid: str,
        ask: str,
        *,
        instrument: str = BTC,
        excluded: Exclusion | None = None,
        state: FeedState = FeedState.LIVE,
        market: Market = Market.NORMAL,
    ) -> Cbbo:
        """A consolidated quote of both venues: coinbase has the best prices; `excluded` and `state` are kraken's."""
        now = time.time_ns()
        mid, spread = (D(bid) + D(ask)) / 2, D(ask) - D(bid)
        vwap = Vwap(D("100.123455000000000001"), D("12.50"), 7)
        legs = (
            Leg("coinbase", D(bid), D("0.50000000"), D(ask), D("1.25"), now, FeedState.LIVE, None, self.epoch("coinbase"), 1),
            Leg("kraken", D(bid) - 1, D(2), D(ask) + 1, D(3), now - 7 * 10**9, state, excluded, self.epoch("kraken"), 1),
        )
        return Cbbo(
            CONSOLIDATED, instrument, None, now, now, D(bid), D("0.50000000"), ("coinbase",), D(ask), D("1.25"), ("coinbase",), mid, spread,
            spread / mid * 10_000, market, 1 if excluded else 2, {"1m": vwap, "1h": Vwap(mid, D(20), 70, complete=False)}, legs,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def staged(url: str) -> AsyncIterator[Stage]:
    """A stage for the length of the block; its producers are alive."""
    Minute.opened_ts = time.time_ns() // MINUTE_NS * MINUTE_NS
    async with contextlib.AsyncExitStack() as stack:
        publishers = {
            venue: await stack.enter_async_context(publishing(fast(url), producer=f"test.{venue}")) for venue in (*VENUES, CONSOLIDATED)
        }
        stage = Stage(publishers)
        await stage.publish(*(status(venue) for venue in publishers))
        life = asyncio.create_task(stage.live(), name="signs of life")
        try:
            yield stage
        finally:
            life.cancel()


def status(
    venue: str, state: FeedState = FeedState.LIVE, *, kind: str = VENUE_WIDE, instrument: str = VENUE_WIDE, reason: str = ""
) -> Status:
    """A status of a venue, or of one of its feeds."""
    return Status(venue, instrument, None, time.time_ns(), kind, state, reason, 3_200_000 if instrument == VENUE_WIDE else None)


def bar(minute: int, close: str, *, closed: bool = True, revision: int = 0, complete: bool = True, trades: int = 9) -> Bar:
    """A consolidated bar of the minute that began so many minutes before the test's present one."""
    now = time.time_ns()
    opened = Minute.opened_ts - minute * MINUTE_NS
    price = D(close)
    return Bar(
        CONSOLIDATED, BTC, None, now, "1m", opened, opened + MINUTE_NS, price - 1, price + 2, price - 3, price, D("1.50"), price, trades,
        D(1), closed, revision, complete,
    )  # fmt: skip


def depth(bids: Iterable[tuple[str, str, str]], asks: Iterable[tuple[str, str, str]]) -> Depth:
    """A consolidated book of levels (price, size of coinbase, size of kraken)."""
    now = time.time_ns()

    def level(price: str, one: str, other: str) -> tuple[Decimal, Decimal, tuple[tuple[str, Decimal], ...]]:
        return D(price), D(one) + D(other), (("coinbase", D(one)), ("kraken", D(other)))

    legs = tuple(DepthLeg(venue, now, FeedState.LIVE, None, 1, 1) for venue in VENUES)
    return Depth(CONSOLIDATED, BTC, None, now, now, tuple(level(*one) for one in bids), tuple(level(*one) for one in asks), 20, (), legs)


def edge(change: EdgeChange, net: str, *, opened_ts: int = 1_000, buy: str = "kraken", sell: str = "coinbase") -> Edge:
    """An edge between both venues."""
    now = time.time_ns()
    return Edge(
        CONSOLIDATED, BTC, None, now, now, change, buy, sell, D("100.1"), D("100.9"), D("0.75"), D("7.99"), D(net), D(1), D(1), opened_ts,
        None, None,
    )  # fmt: skip


def gap(missed: int, *, venue: str = "kraken", repaired: bool = False) -> Gap:
    """A gap of trades."""
    now = time.time_ns()
    return Gap(venue, BTC, None, now, "trade", now - 9 * 10**9, now - 2 * 10**9, missed, GapCause.DISCONNECT, repaired)
