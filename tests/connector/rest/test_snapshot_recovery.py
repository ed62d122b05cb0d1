"""Many snapshots by REST at once: they keep the venue's limits, none is forgotten, and each recovery is measured."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec
import pytest
from aiohttp import web

from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.rest.snapshot_recovery import AT_ONCE
from crosstape_schemas import FeedState
from tests.connector.fake_venue import FakeVenue, book, fake, serving
from tests.connector.rig import QUICK, Rig, rigged
from tests.waiting import wait_until

BOOKS = msgspec.structs.replace(QUICK, kinds=("book",))
MANY = [f"{number:03}USD" for number in range(200)]
HELD_BACK_S = 2


class Weighing(FakeVenue):
    """Notes when each snapshot was requested; refuses request number `refuse_at`, for `HELD_BACK_S`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[float, str]] = []
        self.refuse_at = -1
        self.refused_at = 0.0
        self.busy = self.busiest = 0
        self.gate = asyncio.Event()
        """While cleared, answers wait."""
        self.gate.set()

    async def rest(self, http: web.Request) -> web.StreamResponse:
        """See `FakeVenue`."""
        self.asked.append((time.monotonic(), http.query["symbol"]))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            if len(self.asked) == self.refuse_at:
                self.refused_at = time.monotonic()
                return web.Response(status=429, headers={"Retry-After": str(HELD_BACK_S)})
            await self.gate.wait()
            return await super().rest(http)
        finally:
            self.busy -= 1


def live(rig: Rig) -> bool:
    """Return whether all books are live."""
    return all(record.state is FeedState.LIVE for record in rig.feeds.records.values())


@pytest.mark.slow
async def test_two_hundred_books_recover_without_a_ban_and_without_starving() -> None:
    """A refused one is requested again; while the venue asks to wait nothing is requested; each recovery is measured."""
    async with serving(Weighing()) as server, rigged(server, fake(rest_books=True), BOOKS, MANY) as rig:
        assert isinstance(server, Weighing)
        async with rig.supervised():
            await wait_until(lambda: live(rig), what="all books", timeout_s=60)
            assert Counter(symbol for _, symbol in server.asked) == dict.fromkeys(MANY, 1)
            server.asked.clear()
            server.refuse_at = 50

            server.peer.cut()
            await wait_until(lambda: not live(rig), what="they are lost")
            await wait_until(lambda: live(rig), what="all books, again", timeout_s=60)

    since = server.refused_at
    assert [at for at, _ in server.asked if since + HELD_BACK_S / 2 < at < since + HELD_BACK_S] == []
    counts = Counter(symbol for _, symbol in server.asked)
    assert len(counts) == len(MANY)
    assert sorted(counts.values())[-2:] == [1, 2], "only the refused one was asked for twice"
    assert server.busiest <= AT_ONCE
    assert rig.counters.rest_calls == {"200": 400, "429": 1}
    (*_, (_, recoveries)), _ = rig.counters.recovery.cumulative()
    assert recoveries == len(MANY)


async def test_a_broken_book_does_not_wait_behind_probes() -> None:
    """Of many silent books one at a time is requested; a book that breaks comes next."""
    async with serving(Weighing()) as server, rigged(server, fake(rest_books=True), BOOKS, MANY[:20]) as rig:
        assert isinstance(server, Weighing)
        async with rig.supervised():
            await wait_until(lambda: live(rig), what="all books", timeout_s=60)
            server.asked.clear()
            server.gate.clear()
            server.snapshots = lambda symbol: book(symbol, 109 if symbol == MANY[19] else 100, snap=True)
            for symbol in MANY[:19]:
                rig.sink.publish(rig.feeds.probe(FeedKey("book", f"{symbol[:3]}-USD")))
            await server.peer.send(book(MANY[19], 101), book(MANY[19], 109))

            await wait_until(lambda: MANY[19] in [symbol for _, symbol in server.asked], what="the broken one is asked for")
            assert len(server.asked) == 2

            server.gate.set()
            await wait_until(lambda: len(server.asked) == 20, what="all of them are asked for")

    assert rig.counters.resyncs == {"rest": 21, "question": 19}
