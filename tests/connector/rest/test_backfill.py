"""Trades that were missed, fetched by REST: from a fake venue onto the tape."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from aiohttp import web

from crosstape_connector import backoff
from crosstape_connector.feeds.trades import gaps
from crosstape_connector.rest import backfill_schedule, worker
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import AnyEvent, Event, Gap, GapCause, Trade
from tests.connector.fake_venue import T0, FakeVenue, fake, serving, trade
from tests.connector.rig import QUICK, Rig, rigged
from tests.connector.world import World, subscribed
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test need not sit through."""
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "LOOK_S", 0.05)
    monkeypatch.setattr(backfill_schedule, "SETTLE_S", 0.05)


def trades(*numbers: int) -> list[bytes]:
    """Frames with these, each made as many ms after `T0` as its id says, as REST has them."""
    return [trade("AAAUSD", number, t=T0 + number) for number in numbers]


def ids(events: Iterable[Event | AnyEvent]) -> list[tuple[int, bool]]:
    """Id, and whether it says `backfilled`."""
    return [(int(event.trade_id), event.backfilled) for event in events if isinstance(event, Trade)]


def told(events: Iterable[Event | AnyEvent]) -> list[tuple[bool, int | None]]:
    """Whether a gap is repaired, and how many it counts."""
    return [(event.repaired, event.missed) for event in events if isinstance(event, Gap)]


async def outage(server: FakeVenue, rig: Rig, *, last: int, first: int) -> None:
    """Trades 1 to `last` are seen, then the connection is lost, and `first` is the first of the next."""
    await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
    await server.peer.send(*trades(*range(1, last + 1)))
    await wait_until(lambda: len(rig.of(Trade)) == last, what="trades")
    server.peer.cut()
    await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="connected again")
    await server.peer.send(*trades(first))


async def test_what_an_outage_cost_is_fetched_and_the_gap_repaired() -> None:
    """Page by page, in order, each once; the gap is told at once, and told again when all of it is there, with the same times."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 40))
        await outage(server, rig, last=3, first=17)
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="the gap, repaired")
        await server.peer.send(*trades(10, 18))
        await wait_until(lambda: len(rig.of(Trade)) == 18, what="the next trade")

        numbers = [(number, False) for number in (1, 2, 3, 17)] + [(number, True) for number in range(4, 17)] + [(18, False)]
        assert ids(rig.tape) == numbers
        gap, repaired = rig.of(Gap)
        assert (gap.cause, gap.missed, gap.repaired) == (GapCause.DISCONNECT, 13, False)
        assert msgspec.structs.replace(repaired, received_ts=gap.received_ts, repaired=False) == gap
        assert (rig.counters.backfills["whole"], rig.counters.backfilled, rig.counters.gaps["disconnect"]) == (1, 13, 1)
        assert [call for call in server.calls if "/trades" in call] == [f"/trades?symbol=AAAUSD&from={number}" for number in (4, 9, 14)]


async def test_a_line_that_stands_by_fetches_nothing_until_it_publishes() -> None:
    """Another has what it missed, or fetches it: two that do would spend the venue's budget twice."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 10))
        rig.active = False
        await outage(server, rig, last=3, first=7)
        await wait_until(lambda: rig.of(Gap), what="the gap")
        asked = rig.asked
        await wait_until(lambda: rig.asked >= asked + 5, what="it has asked, and waited for longer than a hole is left alone")
        assert not [call for call in server.calls if "/trades" in call]

        rig.active = True
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="the gap, repaired")
        assert ids(rig.tape)[-3:] == [(4, True), (5, True), (6, True)]


async def test_a_skipped_trade_is_fetched_too() -> None:
    """The venue's numbering tells which: a gap of cause `sequence` is repaired as one of a lost connection is."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 9))
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        await server.peer.send(*trades(1, 4))
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="repaired")

        assert ids(rig.tape) == [(1, False), (4, False), (2, True), (3, True)]
        assert [(gap.cause, gap.missed, gap.repaired) for gap in rig.of(Gap)] == [
            (GapCause.SEQUENCE, 2, False),
            (GapCause.SEQUENCE, 2, True),
        ]


async def test_a_rest_that_fails_is_asked_again() -> None:
    """Refusals and nonsense cost time, and nothing else; a venue that asks to wait is not asked sooner."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 9))
        server.answers = [web.Response(status=500), web.Response(body=b"<html>"), web.Response(status=429, headers={"Retry-After": "1"})]
        await outage(server, rig, last=1, first=4)
        await wait_until(lambda: not server.answers, what="all refusals")
        assert told(rig.tape) == [(False, 2)]
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="repaired")

        assert ids(rig.tape) == [(1, False), (4, False), (2, True), (3, True)]
        assert rig.counters.rest_calls == {"500": 1, "200": 2, "429": 1}


async def test_what_the_venue_does_not_have_any_more_stays_missing() -> None:
    """Of the gap, the part that came is told; the rest is what its count less that of the part says."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(8, 30))
        await outage(server, rig, last=2, first=12)
        await wait_until(lambda: rig.counters.backfills["part"], what="given up")

        assert ids(rig.tape) == [(number, False) for number in (1, 2, 12)] + [(number, True) for number in range(8, 12)]
        assert told(rig.tape) == [(False, 9), (True, 4)]
        gap, part = rig.of(Gap)
        assert gap.from_ts <= part.from_ts <= part.to_ts < gap.to_ts
        assert rig.backfill.queued == 0


async def test_a_gap_that_lasted_too_long_is_left_unless_one_request_brings_it() -> None:
    """The setting bounds what is asked of the venue; 0 asks nothing."""
    for longest_s, first, outcome in ((0.001, 5, "whole"), (0.001, 12, "skipped"), (0.0, 5, "skipped")):
        settings = msgspec.structs.replace(QUICK, backfill_s=longest_s)
        async with serving() as server, rigged(server, fake(past=True), settings, ["AAAUSD"]) as rig, rig.supervised():
            server.past["AAAUSD"] = list(range(1, 30))
            await outage(server, rig, last=2, first=first)
            await wait_until(lambda rig=rig: sum(rig.counters.backfills.values()), what="decided")  # type: ignore[misc]
            assert rig.counters.backfills[outcome] == 1
            assert any("/trades" in call for call in server.calls) == (outcome == "whole")


async def test_an_instrument_that_is_removed_is_not_repaired() -> None:
    """Nor is anything of it published."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 9))
        server.answers = [web.Response(status=500)] * 3
        await outage(server, rig, last=1, first=4)
        await wait_until(lambda: len(server.answers) < 3, what="the first attempt")
        rig.feeds.remove_instrument("AAA-USD", 1)
        await wait_until(lambda: not rig.backfill.queued, what="let go")
        assert told(rig.tape) == [(False, 2)]


async def test_what_was_missed_between_two_starts_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape says where it ended, also after trades that were fetched late: a third start finds nothing missing, and doubles nothing."""
    monkeypatch.setitem(VENUES, "fake", fake(past=True))
    world.server.past["AAAUSD"] = list(range(1, 40))
    async with world.running():
        await subscribed(world.server)
        await world.server.peer.send(*trades(1, 2))
        await wait_until(lambda: world.has("trade:AAA-USD", 2), what="two trades")
    async with world.running():
        await subscribed(world.server, 2)
        await world.server.peer.send(*trades(9))
        await wait_until(lambda: world.has("gap:AAA-USD", 2), what="repaired")
    async with world.running():
        await subscribed(world.server, 3)
        await world.server.peer.send(*trades(8, 9, 10))
        await wait_until(lambda: world.has("trade:AAA-USD", 10), what="the next trade")

    late = [(number, True) for number in range(3, 9)]
    assert ids(await world.stream("trade:AAA-USD")) == [(1, False), (2, False), (9, False), *late, (10, False)]
    assert told(await world.stream("gap:AAA-USD")) == [(False, 6), (True, 6)]


async def test_ids_that_never_existed_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue has the trades on both sides and none between: the gap is closed, with its own times, and what is not there is said."""
    monkeypatch.setattr(gaps, "CONFIRM_S", 0.1)
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = [1, 2, 6, 8, 9]
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        await server.peer.send(*trades(1, 2, 8))
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="the gap, closed")

        gap, repaired = rig.of(Gap)
        assert (gap.missed, repaired.missed, repaired.nonexistent) == (5, 5, 4)
        assert msgspec.structs.replace(repaired, received_ts=gap.received_ts, repaired=False, nonexistent=0) == gap
        assert ids(rig.tape) == [(1, False), (2, False), (8, False), (6, True)]
        assert (rig.counters.backfills["whole"], rig.counters.nonexistent) == (1, 4)
        await wait_until(lambda: not rig.backfill.queued, what="nothing left to do")
        await server.peer.send(*trades(4, 9))
        await wait_until(lambda: ids(rig.tape)[-2:] == [(4, True), (9, False)], what="one that came after all")
        assert rig.of(Gap)[-1].nonexistent == -1


async def test_a_venue_that_is_behind_is_believed_only_when_it_says_so_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers lack a trade for a while, between two that they have: that trade is published when it is there."""
    monkeypatch.setattr(gaps, "CONFIRM_S", 1.0)
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = [1, 2, 4]
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        await server.peer.send(*trades(1, 2, 4))
        await wait_until(lambda: sum("from=2" in call for call in server.calls) >= 1, what="asked with the trade before")
        server.past["AAAUSD"] = [1, 2, 3, 4]
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="repaired")
        assert (ids(rig.tape)[-1], rig.of(Gap)[-1].nonexistent) == ((3, True), 0)
