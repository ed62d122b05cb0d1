"""Trades that were missed, fetched by REST: from a fake venue onto the tape."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from aiohttp import web

from crosstape_connector import backoff
from crosstape_connector.feeds.trades import open_gaps
from crosstape_connector.rest import backfill_schedule, worker
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import AnyEvent, Event, Gap, GapCause, Trade
from tests.connector.fake_venue import T0, FakeVenue, fake, serving, trade
from tests.connector.rig import QUICK, Rig, rigged
from tests.connector.world import World, subscribed
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses."""
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    monkeypatch.setattr(worker, "LOOK_S", 0.05)
    monkeypatch.setattr(backfill_schedule, "STREAM_SETTLE_S", 0.05)


def trades(*numbers: int) -> list[bytes]:
    """Frames of trades with these ids. Each was made as many ms after `T0` as its id says, as the answers of REST have it."""
    return [trade("AAAUSD", number, t=T0 + number) for number in numbers]


def ids(events: Iterable[Event | AnyEvent]) -> list[tuple[int, bool]]:
    """Return the id of each trade, and whether it is `backfilled`."""
    return [(int(event.trade_id), event.backfilled) for event in events if isinstance(event, Trade)]


def gaps_of(events: Iterable[Event | AnyEvent]) -> list[tuple[bool, int | None]]:
    """Return whether each gap is repaired, and how many trades it counts."""
    return [(event.repaired, event.missed) for event in events if isinstance(event, Gap)]


async def outage(server: FakeVenue, rig: Rig, *, last: int, first: int) -> None:
    """Trades 1 to `last` come, then the connection is lost; `first` is the first trade of the next connection."""
    await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
    await server.peer.send(*trades(*range(1, last + 1)))
    await wait_until(lambda: len(rig.of(Trade)) == last, what="trades")
    server.peer.cut()
    await wait_until(lambda: len(server.peers) == 2 and server.peer.requests, what="connected again")
    await server.peer.send(*trades(first))


async def test_trades_missed_in_an_outage_are_fetched_and_the_gap_is_repaired() -> None:
    """Page by page, in order, each once. The gap is published at once, and again as repaired, with the same times."""
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


async def test_a_standby_replica_fetches_nothing_until_it_publishes() -> None:
    """Another replica has what it missed, or fetches it: two that do would use the venue's limits twice."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 10))
        rig.active = False
        await outage(server, rig, last=3, first=7)
        await wait_until(lambda: rig.of(Gap), what="the gap")
        asked = rig.asked
        await wait_until(lambda: rig.asked >= asked + 5, what="it has looked, and waited for longer than a gap may settle")
        assert not [call for call in server.calls if "/trades" in call]

        rig.active = True
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="the gap, repaired")
        assert ids(rig.tape)[-3:] == [(4, True), (5, True), (6, True)]


async def test_a_skipped_trade_is_fetched_too() -> None:
    """The venue's ids show which: a gap of cause `sequence` is repaired like one of a lost connection."""
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


async def test_a_failed_request_is_made_again() -> None:
    """Refusals and unreadable answers cost time, and nothing else; if the venue asks to wait, nothing is requested sooner."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 9))
        server.answers = [web.Response(status=500), web.Response(body=b"<html>"), web.Response(status=429, headers={"Retry-After": "1"})]
        await outage(server, rig, last=1, first=4)
        await wait_until(lambda: not server.answers, what="all refusals")
        assert gaps_of(rig.tape) == [(False, 2)]
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="repaired")

        assert ids(rig.tape) == [(1, False), (4, False), (2, True), (3, True)]
        assert rig.counters.rest_calls == {"500": 1, "200": 2, "429": 1}


async def test_what_the_venue_does_not_have_any_more_stays_missing() -> None:
    """The part that came is published as repaired; what remains missing is the gap's count less that of the part."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(8, 30))
        await outage(server, rig, last=2, first=12)
        await wait_until(lambda: rig.counters.backfills["part"], what="given up")

        assert ids(rig.tape) == [(number, False) for number in (1, 2, 12)] + [(number, True) for number in range(8, 12)]
        assert gaps_of(rig.tape) == [(False, 9), (True, 4)]
        gap, part = rig.of(Gap)
        assert gap.from_ts <= part.from_ts <= part.to_ts < gap.to_ts
        assert rig.backfill.queued == 0


async def test_a_gap_that_lasted_too_long_is_skipped_unless_one_request_fills_it() -> None:
    """The setting bounds what is requested of the venue; with 0 nothing is."""
    for longest_s, first, outcome in ((0.001, 5, "whole"), (0.001, 12, "skipped"), (0.0, 5, "skipped")):
        settings = msgspec.structs.replace(QUICK, backfill_s=longest_s)
        async with serving() as server, rigged(server, fake(past=True), settings, ["AAAUSD"]) as rig, rig.supervised():
            server.past["AAAUSD"] = list(range(1, 30))
            await outage(server, rig, last=2, first=first)
            await wait_until(lambda rig=rig: sum(rig.counters.backfills.values()), what="decided")  # type: ignore[misc]
            assert rig.counters.backfills[outcome] == 1
            assert any("/trades" in call for call in server.calls) == (outcome == "whole")


async def test_an_instrument_that_is_removed_is_not_repaired() -> None:
    """Nothing more is published for it."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 9))
        server.answers = [web.Response(status=500)] * 3
        await outage(server, rig, last=1, first=4)
        await wait_until(lambda: len(server.answers) < 3, what="the first attempt")
        rig.feeds.remove_instrument("AAA-USD", 1)
        await wait_until(lambda: not rig.backfill.queued, what="let go")
        assert gaps_of(rig.tape) == [(False, 2)]


async def test_what_was_missed_between_two_starts_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape shows where it ended, also after trades that were fetched late: a third start finds nothing missing, and repeats nothing."""
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
    assert gaps_of(await world.stream("gap:AAA-USD")) == [(False, 6), (True, 6)]


async def test_ids_that_never_existed_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue has the trades on both sides and none between: the gap is repaired, with its own times and the count of nonexistent ids."""
    monkeypatch.setattr(open_gaps, "CONFIRM_S", 0.1)
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
        await wait_until(lambda: ids(rig.tape)[-2:] == [(4, True), (9, False)], what="a trade with one of these ids")
        assert rig.of(Gap)[-1].nonexistent == -1


async def test_ids_are_nonexistent_only_after_a_second_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may be behind and lack a trade between two others: the trade is published when an answer has it."""
    monkeypatch.setattr(open_gaps, "CONFIRM_S", 1.0)
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = [1, 2, 4]
        await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
        await server.peer.send(*trades(1, 2, 4))
        await wait_until(lambda: sum("from=2" in call for call in server.calls) >= 1, what="asked with the trade before")
        server.past["AAAUSD"] = [1, 2, 3, 4]
        await wait_until(lambda: len(rig.of(Gap)) == 2, what="repaired")
        assert (ids(rig.tape)[-1], rig.of(Gap)[-1].nonexistent) == ((3, True), 0)
