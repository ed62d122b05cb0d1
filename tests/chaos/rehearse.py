"""A rehearsal: everything is live, faults are set, told and ended, everything is live again; then the tape is checked, venue by venue."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from crosstape_schemas import KIND_OF, VENUE_WIDE, Book, FeedState, Quote, Status, Trade
from tests.chaos.cases import Case
from tests.chaos.stand import INSTRUMENTS, Stand, standing
from tests.chaos.tape import Follower
from tests.waiting import wait_until

LIVE_S: Final = 40.0
TOLD_S: Final = 25.0
"""Longest waits: on a slow machine everything takes longer, and a known failure takes all of it."""

FEEDS: Final = tuple((kind, name) for kind in ("trade", "quote", "book") for name in INSTRUMENTS)


class Outcome(NamedTuple):
    """Of one venue in one rehearsal: all that is wrong, in words. Empty: nothing is."""

    wrong: list[str]


class Watch:
    """What a venue's feeds are like now, by the tape."""

    def __init__(self, stand: Stand) -> None:
        self._follower = Follower(stand.client)
        self._live: dict[tuple[str, str, str], int] = {}  # (venue, kind, instrument) → `received_ts` of its newest, if that is live
        self._said: dict[tuple[str, str, str], FeedState] = {}
        self._told: dict[str, list[tuple[int, FeedState]]] = defaultdict(list)

    async def look(self) -> None:
        """Bring it up to now."""
        for _, _, event in await self._follower.more():
            match event:
                case Quote() | Book():
                    live = event.state is FeedState.LIVE
                    self._live[event.venue, KIND_OF[type(event)], event.instrument] = event.received_ts if live else 0
                case Trade():
                    self._live[event.venue, "trade", event.instrument] = event.received_ts
                case Status(kind=kind, state=state):
                    self._said[event.venue, kind, event.instrument] = state
                    self._told[event.venue].append((event.received_ts, state))

    def waiting(self, venue: str, since: int) -> list[str]:
        """Feeds that are not live with data of after that time."""
        return [
            f"{kind} {name}"
            for kind, name in FEEDS
            if self._live.get((venue, kind, name), 0) <= since
            or self._said.get((venue, kind, name)) is not FeedState.LIVE
            or self._said.get((venue, VENUE_WIDE, VENUE_WIDE)) is not FeedState.LIVE
            or self._said.get((venue, VENUE_WIDE, name), FeedState.LIVE) is not FeedState.LIVE
        ]

    def told(self, venue: str, since: int) -> set[FeedState]:
        """States that were told since then."""
        return {state for ts, state in self._told[venue] if ts >= since}


async def rehearse(case: Case) -> dict[str, Outcome]:
    """By venue."""
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as directory:
        async with standing(Path(directory), venues=case.venues) as stand:
            watch = Watch(stand)
            wrong: dict[str, list[str]] = {venue: [] for venue in case.venues}
            since = time.time_ns()
            if not case.from_start:
                await stand.connectors()
                await live(watch, case.venues, since, wrong)
            since = time.time_ns()
            numbers = {venue: [await stand.rehearsal.set(f"{text} venue={_where(text, venue)}") for text in case.faults] for venue in case.venues}
            if case.from_start:
                await stand.connectors()
            await asyncio.sleep(case.hold_s)  # how long a fault lasts is part of it
            await told(stand, watch, case, since, numbers, wrong)
            for number in {number for of in numbers.values() for number in of}:
                await stand.rehearsal.end(number)
            if case.then:
                await stand.rehearsal.set(case.then)
            await live(watch, case.venues, time.time_ns(), wrong)
            for venue in case.venues:
                wrong[venue] += [str(violation) for violation in await stand.violations(case.bounds, venue=venue)]
            return {venue: Outcome(found) for venue, found in wrong.items()}


def _where(text: str, venue: str) -> str:
    """A faster market is one of all venues."""
    return "all" if text.startswith("burst") else venue


async def live(watch: Watch, venues: tuple[str, ...], since: int, wrong: dict[str, list[str]]) -> None:
    """Wait until every feed is live with data that came after that time."""

    def missing(venue: str) -> str:
        waiting = watch.waiting(venue, since)
        return f"not live again: {', '.join(waiting)}" if waiting else ""

    await _patiently(watch, venues, missing, LIVE_S, wrong)


async def told(stand: Stand, watch: Watch, case: Case, since: int, numbers: dict[str, list[int]], wrong: dict[str, list[str]]) -> None:
    """Wait until every fault has acted, and is told as it must be."""
    for number in {number for of in numbers.values() for number in of}:

        async def acted(number: int = number) -> bool:
            return await stand.rehearsal.acted(number) > 0

        await wait_until(acted, what=f"{case.name}: fault {number} acts", timeout_s=TOLD_S)

    def untold(venue: str) -> str:
        states = watch.told(venue, since)
        return "" if not case.told or states & case.told else f"never told as {' or '.join(sorted(case.told))}, but as {sorted(states)}"

    await _patiently(watch, case.venues, untold, TOLD_S, wrong)


async def _patiently(
    watch: Watch, venues: tuple[str, ...], trouble: Callable[[str], str], timeout_s: float, wrong: dict[str, list[str]]
) -> None:
    """Until there is no trouble with any venue, or time is up: then it is noted."""
    deadline = time.monotonic() + timeout_s
    while True:
        await watch.look()
        troubles = {venue: text for venue in venues if (text := trouble(venue))}
        if not troubles:
            return
        if time.monotonic() > deadline:
            for venue, text in troubles.items():
                wrong[venue].append(text)
            return
        await asyncio.sleep(0.05)
