"""Runs one rehearsal on services that run: faults start, are reported and end, and all is live again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from crosstape_schemas import KIND_OF, VENUE_WIDE, Book, Candle, Cbbo, FeedState, Gap, Quote, Status, Trade
from crosstape_schemas.timeframes import close_of
from tests.chaos.cases import Case
from tests.chaos.stand import Stand, instruments, local, timeframes

LIVE_S: Final = 40.0
TOLD_S: Final = 25.0
"""Longest waits, in seconds. On a slow machine everything takes longer; a failure that is known uses all of it."""

OUT_S: Final = 3.0
"""How long a leg that does not count is watched: a doubt that is confirmed must not be forgotten."""

KNOWN: Final = 40
"""Events of a feed: twice as many as the watchdog wants."""

POLL_S: Final = 0.05
MINUTE: Final = 60_000_000_000
CLOSED_S: Final = 100.0
"""Longest wait for the end of a minute's candle."""


def feeds(venue: str) -> list[tuple[str, str]]:
    """The feeds of a venue that must be live."""
    return [(kind, name) for kind in ("trade", "quote", "book") for name in instruments(venue)]


class Watch:
    """The present states of a venue's feeds, read from the tape."""

    def __init__(self, stand: Stand) -> None:
        self._follower = stand.follower()
        self._listing = Counter(name for venue in stand.venues for name in instruments(venue))  # instrument → how many venues have it
        self._ended: dict[tuple[str, str], int] = {}  # (venue, instrument) → when the newest closed candle ended
        self._live: dict[tuple[str, str, str], int] = {}  # (venue, kind, instrument) → `received_ts` of its newest, if that is live
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._said: dict[tuple[str, str, str], FeedState] = {}
        self._told: dict[str, list[tuple[int, FeedState]]] = defaultdict(list)
        self._counts_in: dict[str, set[str]] = {}  # instrument → venues whose legs count in its newest consolidated quote
        self._complete: dict[str, bool] = {}  # instrument → whether any window of its newest consolidated quote says so
        self._missed: dict[str, Counter[bool]] = defaultdict(Counter)  # venue → trades that gaps reported: False missed, True repaired
        self._quoted: dict[str, int] = {}  # instrument → `received_ts` of its newest consolidated quote, if that is of all venues

    async def look(self) -> None:
        """Bring it up to now."""
        for _, _, event in await self._follower.more():
            match event:
                case Quote() | Book():
                    live = event.state is FeedState.LIVE
                    feed = event.venue, KIND_OF[type(event)], event.instrument
                    self._live[feed] = event.received_ts if live else 0
                    self._counts[feed] += live
                case Trade():
                    self._live[event.venue, "trade", event.instrument] = event.received_ts
                case Candle(closed=True):
                    key = event.venue, event.instrument
                    self._ended[key] = max(self._ended.get(key, 0), event.close_ts)
                case Cbbo():
                    whole = event.venues == self._listing[event.instrument]
                    self._quoted[event.instrument] = event.received_ts if whole else 0
                    self._complete[event.instrument] = any(window.complete for window in event.vwap.values())
                    self._counts_in[event.instrument] = {leg.venue for leg in event.legs if leg.excluded is None}
                case Gap(kind="trade"):
                    self._missed[event.venue][event.repaired] += event.missed or 0
                case Status(kind=kind, state=state):
                    self._said[event.venue, kind, event.instrument] = state
                    self._told[event.venue].append((event.received_ts, state))

    def waiting(self, venue: str, since: int, of: Sequence[tuple[str, str]]) -> list[str]:
        """Feeds that are not live with data of after that time."""
        return [
            f"{kind} {name}"
            for kind, name in of
            if self._live.get((venue, kind, name), 0) <= since
            or self._said.get((venue, kind, name)) is not FeedState.LIVE
            or self._said.get((venue, VENUE_WIDE, VENUE_WIDE)) is not FeedState.LIVE
            or self._said.get((venue, VENUE_WIDE, name), FeedState.LIVE) is not FeedState.LIVE
        ]

    def quoted(self, since: int) -> bool:
        """Whether the newest consolidated quotes are of all venues, and of after that time."""
        return all(self._quoted.get(name, 0) > since for name in self._listing)

    def counts(self, venue: str, instrument: str) -> bool:
        """Whether its leg counts in the newest consolidated quote."""
        return venue in self._counts_in.get(instrument, set())

    def complete(self) -> bool:
        """Whether some window of every instrument calls itself complete."""
        return all(self._complete.get(name, False) for name in self._listing)

    def missing(self, venue: str) -> int:
        """Returns how many trades gaps have reported as missing and not as repaired."""
        return self._missed[venue][False] - self._missed[venue][True]

    def count(self, venue: str, kind: str, instrument: str) -> int:
        """Live events so far."""
        return self._counts[venue, kind, instrument]

    def unclosed(self, venue: str, since: int) -> list[str]:
        """Instruments of which no candle is closed that ended after that time."""
        return [name for name in instruments(venue) if self._ended.get((venue, name), 0) <= since]

    def told(self, venue: str, since: int) -> set[FeedState]:
        """Returns the states that were published since then."""
        return {state for ts, state in self._told[venue] if ts >= since}


class Audience:
    """Watches some venues, and notes what does not come to pass. `wrong`: by venue."""

    def __init__(self, stand: Stand, watch: Watch | None = None) -> None:
        """`watch`: one that has looked before."""
        self.wrong: dict[str, list[str]] = {venue: [] for venue in stand.venues}
        self._stand = stand
        self._watch = Watch(stand) if watch is None else watch

    async def live(self, since: int) -> None:
        """Wait until every feed is live with data that came after that time."""

        def missing(venue: str) -> str:
            waiting = self._watch.waiting(venue, since, feeds(venue))
            return f"not live: {', '.join(waiting)}" if waiting else ""

        await self._patiently(missing, LIVE_S)

    async def quoted(self, since: int) -> None:
        """Wait until an aggregator has quoted every instrument from all venues, by what came after that time."""
        deadline = time.monotonic() + LIVE_S
        while not self._watch.quoted(since):
            if time.monotonic() > deadline:
                for wrong in self.wrong.values():
                    wrong.append("no consolidated quote of all venues")
                return
            await asyncio.sleep(POLL_S)
            await self._watch.look()

    async def complete(self) -> None:
        """Wait until a window of every instrument calls itself complete."""
        await self._patiently(lambda _: "" if self._watch.complete() else "no window is complete", LIVE_S)

    async def known(self) -> None:
        """Wait until every feed has spoken often enough for its silence to mean something."""

        def unknown(venue: str) -> str:
            few = [f"{kind} {name}" for kind, name in feeds(venue) if kind != "trade" and self._watch.count(venue, kind, name) < KNOWN]
            return f"spoke too little: {', '.join(few)}" if few else ""

        await self._patiently(unknown, LIVE_S)

    async def told(self, states: frozenset[FeedState], since: int, venues: Sequence[str]) -> None:
        """Wait until each of these venues has published one of these states since then."""

        def untold(venue: str) -> str:
            found = self._watch.told(venue, since)
            return (
                ""
                if venue not in venues or found & states
                else f"never told as {' or '.join(sorted(states))}, but as {', '.join(sorted(found)) or 'nothing'}"
            )

        await self._patiently(untold, TOLD_S)

    async def out(self, instrument: str) -> None:
        """Wait until no venue's leg of an instrument counts; then none must for a while."""

        def counting(venue: str) -> str:
            name = local(instrument, venue)
            return f"the leg of {name} still counts" if self._watch.counts(venue, name) else ""

        await self._patiently(counting, TOLD_S)
        deadline = time.monotonic() + OUT_S
        while time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            await self._watch.look()
            for venue, wrong in self.wrong.items():
                if not wrong and counting(venue):
                    wrong.append(f"the leg of {instrument} counts again")

    async def heals(self, instrument: str, since: int) -> None:
        """Wait until quotes and books of an instrument are live with data that came after that time, whatever is wrong with the venue."""

        def missing(venue: str) -> str:
            name = local(instrument, venue)
            waiting = self._watch.waiting(venue, since, (("quote", name), ("book", name)))
            return f"does not heal: {', '.join(waiting)}" if waiting else ""

        await self._patiently(missing, LIVE_S)

    async def closed(self, since: int) -> None:
        """Wait until a candle of every instrument that ended after that time is closed, where candles are short."""

        def unclosed(venue: str) -> str:
            ends = any(close_of(name, 0) <= MINUTE for name in timeframes(venue))
            open_still = self._watch.unclosed(venue, since) if ends else []
            return f"no candle is closed of {', '.join(open_still)}" if open_still else ""

        await self._patiently(unclosed, CLOSED_S)

    async def repaired(self) -> None:
        """Wait until every gap of trades is reported as repaired."""

        def open_gaps(venue: str) -> str:
            missing = self._watch.missing(venue)
            return f"{missing} trades are missing for ever" if missing else ""

        await self._patiently(open_gaps, LIVE_S)

    async def _patiently(self, trouble: Callable[[str], str], timeout_s: float) -> None:
        """Wait until `trouble` finds nothing, or the time is over: then note it. A venue that already has a failure is not waited for."""
        deadline = time.monotonic() + timeout_s
        well = [venue for venue in self._stand.venues if not self.wrong[venue]]
        while True:
            await self._watch.look()
            troubles = {venue: text for venue in well if (text := trouble(venue))}
            if not troubles:
                return
            if time.monotonic() > deadline:
                for venue, text in troubles.items():
                    self.wrong[venue].append(text)
                return
            await asyncio.sleep(POLL_S)


async def rehearse(case: Case, stand: Stand, audience: Audience) -> None:
    """Hold the rehearsal of a case. The services run, but the connectors if the case begins before them."""
    if case.known:
        await audience.known()
    if case.windows:
        await audience.complete()
    since = time.time_ns()
    numbers = [await stand.rehearsal.set(fault) for fault in case.all_faults]
    try:
        if case.from_start:
            await stand.connectors()
        await asyncio.sleep(case.hold_s)  # the fault must last this long
        for number in numbers:
            await stand.rehearsal.acts(number, LIVE_S if case.from_start else TOLD_S)
        if case.told:
            await audience.told(case.told, since, case.venues)
        for instrument in case.out:
            await audience.out(instrument)
        for instrument in case.heals:
            await audience.heals(instrument, time.time_ns())
    finally:
        for number in numbers:
            await stand.rehearsal.end(number)
    if case.then:
        await stand.rehearsal.set(case.then)
    await audience.live(time.time_ns())
    if case.closes:
        await audience.closed(time.time_ns())
    if case.quoted:
        await audience.quoted(time.time_ns())
    if case.repaired:
        await audience.repaired()
