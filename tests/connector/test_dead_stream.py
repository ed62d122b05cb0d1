"""The stream of one symbol is dead while its connection and all other symbols on it go on: over sockets, with short limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crosstape.settings import VenueSettings
from crosstape_schemas import Book, FeedState, Gap, Quote
from tests.connector.fake_venue import FakeVenue, Peer, book, fake, quote, serving
from tests.connector.rig import Rig, rigged
from tests.waiting import wait_until

NAME = "AAA-USD"
SETTINGS = VenueSettings(
    kinds=("trade", "quote", "book", "delta"), stale_s=1.2, stale_min_s=0.8, backoff_min_s=0.01, backoff_max_s=0.05, fallback_s=0
)
DETECTED_S = SETTINGS.stale_min_s / 2 + 1.0 + 3 * 0.25 + 0.5
"""Half of the shortest limit, the grace that the stream has, three looks, and a slow machine."""


class Market:
    """The market of a fake venue, and the changes that the venue sends. After `AAA` has stopped, REST and `BBB` go on as before."""

    def __init__(self, server: FakeVenue) -> None:
        self.server = server
        self.number = 100
        self.prices = ("99.99", "100.01")
        self.dead = False
        self.empty = False
        self.others = 100
        self.moved_at = 0.0
        server.snapshots = self.snapshot

    def snapshot(self, symbol: str) -> bytes:
        """Return a book by REST."""
        if symbol != "AAAUSD":
            return book(symbol, self.others, snap=True)
        if self.empty:
            return b'{"ch":"book","s":"AAAUSD","i":%d,"snap":true,"b":[],"a":[]}' % self.number
        return book(symbol, self.number, snap=True, bid=self.prices[0], ask=self.prices[1])

    def change(self, bid: str, ask: str) -> None:
        """Change the market; a dead stream does not bring the change."""
        self.number += 1
        self.prices = (bid, ask)
        self.moved_at = time.monotonic()

    async def send_changes(self) -> None:
        """Send the newest change of each symbol on every connection."""
        self.others += 1
        frames = [book("BBBUSD", self.others), quote("BBBUSD")]
        if not self.dead:
            self.number += 1
            bid, ask = self.prices
            frames += [book("AAAUSD", self.number, bid=bid, ask=ask), quote("AAAUSD", bid, ask)]
        for peer in list(self.server.peers):
            if not peer.socket.closed and ("quotes", "BBBUSD") in peer.asked("subscribe"):
                await peer.send(*frames)

    async def run(self) -> None:
        """Send the changes thirty times a second, without end."""
        while True:
            await self.send_changes()
            await asyncio.sleep(1 / 30)


@asynccontextmanager
async def live_symbols(settings: VenueSettings = SETTINGS, **options: Any) -> AsyncIterator[tuple[Rig, Market]]:
    """Two symbols with live feeds and known intervals."""
    async with serving() as server, rigged(server, fake(rest_books=True, **options), settings) as rig:
        market = Market(server)
        async with rig.supervised():
            await wait_until(lambda: server.peers and ("quotes", "BBBUSD") in server.peer.asked("subscribe"), what="subscribed")
            telling = asyncio.create_task(market.run())
            try:
                await wait_until(lambda: rig.feeds.records["book", NAME].count > 60, what="a pace that is known")  # type: ignore[index]
                yield rig, market
            finally:
                telling.cancel()


def live(rig: Rig, *kinds: str) -> bool:
    """Return whether any of these feeds of the dead symbol is live."""
    return any(rig.state(NAME, kind) is FeedState.LIVE for kind in kinds)


async def never_live(rig: Rig, seconds: float, *kinds: str) -> None:
    """Check for some seconds that none of these feeds becomes live."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert not live(rig, *kinds), [event for event in rig.tape if event.instrument == NAME][-12:]
        await asyncio.sleep(0.01)


def one_change(market: Market) -> None:
    """REST has one more update than the stream, and no others follow."""
    market.change("89.99", "90.01")


def emptied(market: Market) -> None:
    """REST has one more update than the stream, after which the book is empty."""
    market.number += 1
    market.empty = True


def emptied_alike(market: Market) -> None:
    """REST has an empty book with the number that the stream has reached."""
    market.empty = True


@pytest.mark.parametrize("change", [one_change, emptied, emptied_alike])
async def test_a_dead_stream_is_stale_from_a_newer_book_by_rest_until_it_has_data(change: Callable[[Market], None]) -> None:
    """It is subscribed again alone, then on another connection, and no answer of REST makes it live. The others are not affected."""
    async with live_symbols() as (rig, market):
        (peer,) = market.server.peers
        market.dead = True
        change(market)
        at = time.monotonic()

        await wait_until(lambda: {gap.kind for gap in rig.of(Gap, NAME)} >= {"book", "delta"}, what="refuted", timeout_s=DETECTED_S)

        assert {rig.state(NAME, kind) for kind in ("quote", "book", "delta")} == {FeedState.STALE}
        assert time.monotonic() - at < DETECTED_S
        assert rig.of(Quote, NAME)[-1].state is FeedState.STALE
        assert rig.of(Book, NAME)[-1].state is FeedState.STALE
        await wait_until(lambda: ("book", "AAAUSD") in peer.asked("unsubscribe"), what="subscribed again, alone")
        assert {symbol for _, symbol in peer.asked("unsubscribe")} == {"AAAUSD"}
        await never_live(rig, 4.0, "quote", "book", "delta")
        assert len(market.server.peers) > 1, "the connection was replaced"
        assert rig.state("BBB-USD", "book") is rig.state("BBB-USD", "quote") is FeedState.LIVE

        market.dead = market.empty = False
        await wait_until(lambda: all(rig.state(NAME, kind) is FeedState.LIVE for kind in ("quote", "book", "delta")), what="live")
        newest = rig.of(Book, NAME)[-1]
        assert (str(newest.bids[0][0]), newest.state) == (market.prices[0], FeedState.LIVE)


async def test_a_dead_stream_of_a_changing_market_is_never_live_again() -> None:
    """Each answer of REST has changes that the stream did not bring."""
    async with live_symbols() as (rig, market):
        market.dead = True
        market.change("89.99", "90.01")
        await wait_until(lambda: not live(rig, "quote", "book", "delta"), what="stale", timeout_s=DETECTED_S)

        for step in range(8):
            market.change(f"{80 + step}.99", f"{81 + step}.01")
            await never_live(rig, 0.5, "quote", "book", "delta")


async def test_a_quiet_market_is_live_while_rest_has_the_same_book() -> None:
    """It is never stale and never subscribed again. When the market changes at last and the stream does not, that is found as soon."""
    async with live_symbols() as (rig, market):
        (peer,) = market.server.peers
        market.dead = True
        started = time.monotonic()
        while time.monotonic() - started < 4.0:
            assert live(rig, "book")
            assert live(rig, "quote")
            await asyncio.sleep(0.01)
        assert {channel for channel, _ in peer.asked("unsubscribe")} <= {"trades"}, "nobody trades here"
        assert rig.feeds.book_checks()[NAME].quiet >= 2


async def test_a_stream_that_is_a_little_behind_rest_is_not_stale() -> None:
    """The stream gets a second to bring a change that REST has."""
    async with live_symbols() as (rig, market):
        market.dead = True
        for _ in range(3):
            asked = len([call for call in market.server.calls if "AAAUSD" in call])
            market.change("98.99", "99.01")
            await wait_until(lambda asked=asked: len([call for call in market.server.calls if "AAAUSD" in call]) > asked, what="asked")  # type: ignore[misc]
            await asyncio.sleep(0.3)
            peer: Peer = market.server.peer
            await peer.send(book("AAAUSD", market.number, bid="98.99", ask="99.01"), quote("AAAUSD", "98.99", "99.01"))
        assert rig.states(NAME, "book")[-1] is FeedState.LIVE
        assert FeedState.STALE not in rig.states(NAME, "book")
