"""The instrument universe of a connector: instruments that the settings want and the venue lists, added and removed while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import Final

import structlog

from crosstape.errors import BusError
from crosstape_connector.backoff import delays
from crosstape_connector.connection import plan
from crosstape_connector.connection.supervisor import Supervisor
from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds.handler import REMOVED, FeedHandler
from crosstape_connector.publishing.predecessor import WHOLE_VENUE, LastEvents, silence, wanted
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.publishing.writer import Writer
from crosstape_connector.rest import instruments
from crosstape_connector.rest.client import RestClient
from crosstape_connector.rest.instruments import InstrumentCache, ListedInstruments, Selection
from crosstape_schemas import VENUE_WIDE, FeedState, Instrument, Status

RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
"""Shortest and longest pause between attempts to get the list of instruments, or the last events; nothing works without them."""

log = structlog.get_logger(__name__)


class Universe:
    """Keeps the instruments of one venue: publishes the status of each name, and adds new ones to `FeedHandler` and the supervisor."""

    def __init__(
        self,
        wanted: Sequence[str],
        kinds: Sequence[str],
        *,
        feeds: FeedHandler,
        sink: Sink,
        writer: Writer,
        rest: RestClient,
        cache: InstrumentCache,
        supervisor: Supervisor,
        watchdog: Watchdog,
        refresh_s: float,
    ) -> None:
        """`wanted`: names; `kinds`: what to subscribe of each. `refresh_s`: how often the venue's list is fetched again."""
        self.wanted = tuple(wanted)
        self.listing: ListedInstruments | None = None
        self.trouble = ""
        """Why the venue's list could not be fetched yet."""
        self.selection = Selection({}, dict.fromkeys(wanted, "the venue's instruments are not known yet"))
        self.taken: dict[str, Instrument] = {}
        self._kinds = kinds
        self._venue = feeds.venue
        self._feeds = feeds
        self._sink = sink
        self._writer = writer
        self._rest = rest
        self._cache = cache
        self._supervisor = supervisor
        self._watchdog = watchdog
        self._refresh_s = refresh_s
        self._removed: set[str] = set()  # names that were subscribed once, and reported as removed
        self._rewanted = asyncio.Event()
        self._told: set[str] = set()

    async def report_silence(self) -> None:
        """Report the gap in the venue's status since our predecessor's last one. Waits for the bus. A standby replica reports nothing."""
        left = await self._last_events([WHOLE_VENUE])
        if self._writer.active:
            self._sink.publish(silence(self._venue.id, left, time.time_ns()))

    def want(self, names: Sequence[str]) -> None:
        """Want these instruments from now on."""
        self.wanted = tuple(names)
        self._rewanted.set()

    async def run(self) -> None:
        """Fetch the venue's list and subscribe the wanted instruments; then fetch it again now and then, for names that were missing."""
        refresh_s = self._refresh_s
        waits = delays(RETRY_S, RETRY_MAX_S)
        while True:
            try:
                get = instruments.load if self.listing is None else instruments.fetch
                listing = await get(self._rest, self._venue, self._cache)
            except RestFailed as exc:
                self.trouble = f"instruments: {exc}"
                wait_s = max(next(waits), exc.retry_after_s or 0.0)
                log.warning("instruments.failed", venue=self._venue.id, error=str(exc), retry_in_s=round(wait_s, 1))
                await self._until_due(wait_s)
                continue
            fresh = listing.age_s(time.time_ns()) < refresh_s
            self.listing = listing
            await self._adopt()
            if fresh and self.taken:
                waits = delays(RETRY_S, RETRY_MAX_S)
                await self._until_due(refresh_s)
            else:
                await self._until_due(min(refresh_s, next(waits)))

    async def _until_due(self, wait_s: float) -> None:
        """Wait, and apply changes of the wanted names meanwhile. Returns early if the list that we have lacks one of them."""
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._rewanted.wait()
            except TimeoutError:
                return
            self._rewanted.clear()
            if self.listing is not None:
                await self._adopt()
                if self.selection.refused:
                    return

    async def _adopt(self) -> None:
        """Publish what changed about the wanted names, add new instruments, remove those that are not wanted any more.

        An instrument stays while it is wanted, even if the venue halts it.
        """
        assert self.listing is not None
        for name in [name for name in self.taken if name not in self.wanted]:
            self._remove(name)
        self._told.intersection_update(self.wanted)
        selection = instruments.select(self.listing, self.wanted)
        before, self.selection = self.selection, selection
        instruments.log_refused(self._venue.id, selection.refused, self._told)
        for name, reason in selection.refused.items():
            if before.refused.get(name) != reason and not self._is_probed(name):
                self._sink.publish([self._refusal(name, reason)])
        for name in self._told.intersection(selection.listed):
            self._told.remove(name)
            log.info("instrument.listed", venue=self._venue.id, instrument=name)
            if not self._is_probed(name):
                self._say(name, FeedState.LIVE)  # the status of the instrument; each feed has its own status, too
        new = {name: instrument for name, instrument in selection.listed.items() if name not in self.taken}
        if not new:
            return
        left = await self._last_events(wanted(self._kinds, new))
        for instrument in new.values():
            self._feeds.add_instrument(instrument)
        self._feeds.seed(left.values())
        self.taken |= new
        for name in self._removed.intersection(new):
            self._removed.remove(name)
            self._say(name, FeedState.LIVE)
        for connection in plan.connections(self._venue, new, self._kinds):
            self._supervisor.subscribe(connection)

    def _remove(self, name: str) -> None:
        """Remove an instrument that is not wanted any more."""
        self._supervisor.unsubscribe(plan.topics(self._venue, self.taken.pop(name), self._kinds))
        self._sink.publish(self._feeds.remove_instrument(name, time.time_ns()))
        self._say(name, FeedState.DOWN, REMOVED)
        self._watchdog.forget(name)
        self._removed.add(name)
        log.info("instrument.removed", venue=self._venue.id, instrument=name)

    def refusals(self) -> Iterator[Status]:
        """Return the statuses of the names that cannot be subscribed."""
        return starmap(self._refusal, [row for row in self.selection.refused.items() if not self._is_probed(row[0])])

    def _is_probed(self, name: str) -> bool:
        """Whether `Probes` checks if the instrument trades, and publishes the answer. It asks more often than this list is fetched."""
        return name in self.taken and self._venue.trading is not None

    def _refusal(self, name: str, reason: str) -> Status:
        return self._status(name, FeedState.STALE if name in self.taken else FeedState.DOWN, reason)

    def _say(self, name: str, state: FeedState, reason: str = "") -> None:
        self._sink.publish([self._status(name, state, reason)])

    def _status(self, name: str, state: FeedState, reason: str) -> Status:
        return Status(self._venue.id, name, None, time.time_ns(), kind=VENUE_WIDE, state=state, reason=reason)

    async def _last_events(self, names: Sequence[tuple[str, str]]) -> LastEvents:
        """Read the last events of our predecessor; without them we might publish trades twice. Waits for the bus without limit."""
        for wait_s in delays(RETRY_S, RETRY_MAX_S):
            try:
                return await self._writer.last_events(names)
            except BusError as exc:
                log.warning("connector.waiting_for_bus", venue=self._venue.id, error=str(exc), retry_in_s=round(wait_s, 1))
                await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: delays are endless")
