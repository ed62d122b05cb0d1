"""The time in which nobody listened to a venue: after a kill, a takeover, a stopped process. The tape has a gap of every kind for it."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from pathlib import Path
from typing import Final

import pytest

from crosstape_schemas import KIND_OF, VENUE_WIDE, Event, Gap, GapCause, Status
from crosstape_simulator.spec import VENUES
from tests.chaos.stand import Stand
from tests.end_to_end.lines import Lines, market, other
from tests.rare import rare_but
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

KINDS: Final = ("trade", "quote", "book", "delta", "ticker")
NAME: Final = "BTC-USDT"
LONG_S: Final = 60.0
STOPPED_S: Final = 6.0


def all_kinds(venue: str) -> dict[str, str]:
    """The setting, as a variable."""
    return {f"CROSSTAPE_VENUES__{venue.upper()}__KINDS": json.dumps([*KINDS, "status"])}


async def tape(stand: Stand) -> list[Event]:
    """Returns all events on the tape of one instrument and of the venue as a whole."""
    return [entry.event for entry in await stand.follower().more() if entry.event.instrument in {NAME, VENUE_WIDE}]


async def epochs(stand: Stand, kind: str) -> list[int]:
    """Returns the epochs of the processes that published something of this kind."""
    return sorted({event.epoch for event in await tape(stand) if KIND_OF[type(event)] == kind and event.instrument == NAME})


async def published(stand: Stand, count: int) -> None:
    """Wait until this many processes have published something of every kind."""

    async def so() -> bool:
        return all([len(await epochs(stand, kind)) >= count for kind in KINDS])

    await wait_until(so, what=f"{count} processes have published all kinds", timeout_s=LONG_S)


async def check(stand: Stand) -> None:
    """Between the last event of each process and the first of the next there is a gap of that kind."""
    events = await tape(stand)
    gaps = [event for event in events if isinstance(event, Gap) and event.instrument == NAME and not event.repaired]
    for kind in KINDS[1:]:  # of trades the venue may have repeated all that was missed
        ours = [event for event in events if KIND_OF[type(event)] == kind and event.instrument == NAME]
        for before, after in itertools.pairwise(await epochs(stand, kind)):
            last = [event for event in ours if event.epoch == before][-1]
            (gap,) = [gap for gap in gaps if (gap.kind, gap.epoch) == (kind, after) and gap.from_ts == last.received_ts]
            assert (gap.missed, gap.cause) == (None, GapCause.DISCONNECT)
            assert gap.from_ts <= gap.to_ts <= gap.received_ts
    statuses = sorted({event.epoch for event in events if isinstance(event, Status) and event.instrument == VENUE_WIDE})
    wide = [event for event in events if isinstance(event, Gap) and event.instrument == VENUE_WIDE]
    assert [(gap.kind, gap.epoch) for gap in wide] == [("status", epoch) for epoch in statuses[1:]]


@pytest.mark.parametrize("venue", rare_but(zip(VENUES, strict=True), ("binance",), ("kraken",)))
async def test_a_killed_connectors_successor_reports_every_kind(short_path: Path, venue: str) -> None:
    """Killed, and started again at once; then stopped in order, and started after a while."""
    async with market(short_path, venue) as stand:
        for count, number in enumerate((signal.SIGKILL, signal.SIGTERM, None), 1):
            process = await stand.start("connector", "--venue", venue, **all_kinds(venue))
            await published(stand, count)
            if number is not None:
                process.send_signal(number)
                await asyncio.wait_for(process.wait(), LONG_S)
        await check(stand)


async def test_a_replica_that_takes_over_reports_what_it_did_not_publish(short_path: Path) -> None:
    """No trade is missing. Of other kinds, it reports the time between the last event on the tape and its own first state."""
    async with market(short_path, "kraken") as stand:
        lines = Lines(stand, "kraken")
        line = await lines.both(**all_kinds("kraken"))
        for number in (signal.SIGKILL, signal.SIGTERM):
            await published(stand, 1)
            await lines.end(line, number)
            await lines.active(other(line))
            await lines.start(line, **all_kinds("kraken"))
            line = await lines.ready()
        await published(stand, 3)
        events = await tape(stand)
        gaps = [event for event in events if isinstance(event, Gap) and event.instrument == NAME]
        assert {gap.kind for gap in gaps} >= {"quote", "book", "delta"}
        assert [gap for gap in gaps if gap.kind == "trade"] == []
        for gap in gaps:
            assert 0 <= gap.to_ts - gap.from_ts < 10 * 10**9, gap
            (first,) = [one for one in [e for e in events if KIND_OF[type(e)] == gap.kind and e.epoch == gap.epoch] if one.seq == 1]
            assert gap.received_ts >= gap.to_ts
            assert first.received_ts <= gap.received_ts
        wide = [event for event in events if isinstance(event, Gap) and event.instrument == VENUE_WIDE]
        assert [gap.kind for gap in wide] == ["status", "status"]


async def test_a_process_that_was_stopped_while_its_connections_broke_reports_all_of_it(short_path: Path) -> None:
    """When it continues, it reads old data from its sockets; only the stop itself shows that they are old."""
    async with market(short_path, "kraken") as stand:
        process = await stand.start("connector", "--venue", "kraken", **all_kinds("kraken"))
        await published(stand, 1)
        process.send_signal(signal.SIGSTOP)
        stopped_ts = max(event.received_ts for event in await tape(stand))
        fault = await stand.rehearsal.set("cut for=600")
        await asyncio.sleep(STOPPED_S)  # as long as it is stopped: that is what this test is about
        await stand.rehearsal.end(fault)
        process.send_signal(signal.SIGCONT)

        async def told() -> bool:
            gaps = [event for event in await tape(stand) if isinstance(event, Gap) and event.instrument == NAME]
            return {gap.kind for gap in gaps} == set(KINDS)

        await wait_until(told, what="gaps of every kind", timeout_s=LONG_S)
        gaps = [event for event in await tape(stand) if isinstance(event, Gap) and event.instrument == NAME and not event.repaired]
        for gap in gaps:
            assert gap.from_ts <= stopped_ts + 10**9 < stopped_ts + STOPPED_S * 10**9 <= gap.to_ts, gap
        assert "process.stopped" in stand.logged()["connector.kraken"]
