"""One symbol's stream is dead while its connection, and all other symbols on it, go on: by sockets, with shortened patience."""

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
    """What the venue has, and what it sends of it. Stopping `AAA` leaves REST, and all that `BBB` says, as they are."""

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
        """A book by REST."""
        if symbol != "AAAUSD":
            return book(symbol, self.others, snap=True)
        if self.empty:
            return b'{"ch":"book","s":"AAAUSD","i":%d,"snap":true,"b":[],"a":[]}' % self.number
        return book(symbol, self.number, snap=True, bid=self.prices[0], ask=self.prices[1])

    def move(self, bid: str, ask: str) -> None:
        """The market moves; whoever listens to a dead stream does not hear of it."""
        self.number += 1
        self.prices = (bid, ask)
        self.moved_at = time.monotonic()

    async def tell(self) -> None:
        """The newest change of each symbol, on every connection."""
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
        """Thirty times a second, for ever."""
        while True:
            await self.tell()
            await asyncio.sleep(1 / 30)


@asynccontextmanager
async def living(settings: VenueSettings = SETTINGS, **options: Any) -> AsyncIterator[tuple[Rig, Market]]:
    """Two symbols that live, their paces known."""
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
    """Whether any of these feeds of the dead symbol is called live."""
    return any(rig.state(NAME, kind) is FeedState.LIVE for kind in kinds)


async def never_live(rig: Rig, seconds: float, *kinds: str) -> None:
    """None of these becomes live within so many seconds: what must not happen has to be waited for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert not live(rig, *kinds), [event for event in rig.tape if event.instrument == NAME][-12:]
        await asyncio.sleep(0.01)


def one_move(market: Market) -> None:
    """REST knows more by one update, and rests there."""
    market.move("89.99", "90.01")


def emptied(market: Market) -> None:
    """REST knows more by one update: nobody offers anything any more."""
    market.number += 1
    market.empty = True


def emptied_alike(market: Market) -> None:
    """REST has an empty book, and calls it by the number that the stream has reached."""
    market.empty = True


@pytest.mark.parametrize("change", [one_move, emptied, emptied_alike])
async def test_a_dead_stream_is_stale_once_rest_knows_more_and_until_it_speaks(change: Callable[[Market], None]) -> None:
    """It is subscribed again alone, then on another connection, and no answer of REST makes it live. The others are not concerned."""
    async with living() as (rig, market):
        (peer,) = market.server.peers
        market.dead = True
        change(market)
        at = time.monotonic()

        await wait_until(lambda: not live(rig, "quote", "book", "delta"), what="stale", timeout_s=DETECTED_S)

        assert {rig.state(NAME, kind) for kind in ("quote", "book", "delta")} == {FeedState.STALE}
        assert time.monotonic() - at < DETECTED_S
        assert {gap.kind for gap in rig.of(Gap, NAME)} >= {"book", "delta"}
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


async def test_a_dead_stream_of_a_market_that_goes_on_moving_is_never_live_again() -> None:
    """REST knows more each time that it is asked: nothing of it is taken for the stream."""
    async with living() as (rig, market):
        market.dead = True
        market.move("89.99", "90.01")
        await wait_until(lambda: not live(rig, "quote", "book", "delta"), what="stale", timeout_s=DETECTED_S)

        for step in range(8):
            market.move(f"{80 + step}.99", f"{81 + step}.01")
            await never_live(rig, 0.5, "quote", "book", "delta")


async def test_a_market_that_is_quiet_is_live_for_as_long_as_rest_has_what_the_stream_said() -> None:
    """Never stale, never subscribed again; and found out within the same time when it moves at last and the stream does not say so."""
    async with living() as (rig, market):
        (peer,) = market.server.peers
        market.dead = True
        started = time.monotonic()
        while time.monotonic() - started < 4.0:
            assert live(rig, "book")
            assert live(rig, "quote")
            await asyncio.sleep(0.01)
        assert {channel for channel, _ in peer.asked("unsubscribe")} <= {"trades"}, "nobody trades here"
        assert rig.feeds.book_checks()[NAME].quiet >= 2


async def test_a_stream_that_brings_what_rest_knew_first_is_not_stale() -> None:
    """REST may be ahead of the stream by the stream's delay: a second is given."""
    async with living() as (rig, market):
        market.dead = True
        for _ in range(3):
            asked = len([call for call in market.server.calls if "AAAUSD" in call])
            market.move("98.99", "99.01")
            await wait_until(lambda asked=asked: len([call for call in market.server.calls if "AAAUSD" in call]) > asked, what="asked")  # type: ignore[misc]
            await asyncio.sleep(0.3)
            peer: Peer = market.server.peer
            await peer.send(book("AAAUSD", market.number, bid="98.99", ask="99.01"), quote("AAAUSD", "98.99", "99.01"))
        assert rig.states(NAME, "book")[-1] is FeedState.LIVE
        assert FeedState.STALE not in rig.states(NAME, "book")
