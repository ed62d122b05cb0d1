"""A venue's connector: its parts, wired; what it says of itself on the tape and to those who run it; how it stops."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import prometheus_client
import structlog

from crosstape import telemetry
from crosstape.bus import Client, Publisher, connect
from crosstape.bus.usable import usable
from crosstape.errors import BusError, CrosstapeError, SettingsError, StorageError
from crosstape.lifecycle import on_hangup
from crosstape.run_dir import run_dir
from crosstape.settings import Settings, VenueSettings
from crosstape.settings_changes import changes
from crosstape_connector import instruments, plan
from crosstape_connector.capture import Capture
from crosstape_connector.errors import RestFailed
from crosstape_connector.feeds import REMOVED, Feeds
from crosstape_connector.instruments import Cache, Listing, Selection
from crosstape_connector.metrics import ConnectorCollector, Counters, Outlet, Readings, bus_metrics
from crosstape_connector.records import FeedRecord
from crosstape_connector.redundancy import Redundant
from crosstape_connector.rest import Rest
from crosstape_connector.resync import Resyncs
from crosstape_connector.session import Desk, paces
from crosstape_connector.supervisor import Supervisor, delays
from crosstape_connector.venue import Venue
from crosstape_connector.venues import find
from crosstape_connector.watchdog import Watchdog
from crosstape_connector.writer import Sole, Standing, Writer
from crosstape_schemas import VENUE_WIDE, FeedState, Instrument, Keys, Status, Trade

RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
"""Between attempts to get instruments, or last trades, that there is no working without."""

TICK_S: Final = 0.1
UNTRADED: Final = (FeedState.CONNECTING, FeedState.RECOVERING)
"""Trades are as good as live in these, once acknowledged: nobody has traded since."""

STATELESS: Final = frozenset({"status"})
"""Kinds of events that are no feed of their own."""

SHOWN: Final = 20
"""Feeds that are not live are shown by name up to so many."""

log = structlog.get_logger(__name__)


async def run(settings: Settings, venue: str, reload: Callable[[], Settings] | None = None) -> None:
    """Put this venue on the tape until cancelled; then what is pending is published, within `run.drain_s`.

    `reload`: gives the settings as they are at SIGHUP; what can be changed while running is. None: the signal is not heeded.
    Raises at the start `UnknownVenue`, `SettingsError`, `StorageError`, and `BusError` for a bus that is of no use within `bus.start_s`;
    later `Superseded`.
    """
    found = find(venue)
    own = settings.venues.get(venue)
    if own is None:
        raise SettingsError(f"venues.{venue}: not in the settings")
    ws_urls = addresses(f"venues.{venue}.ws_url", {endpoint.name: endpoint.url for endpoint in found.endpoints}, own.ws_url)
    rest_urls = addresses(f"venues.{venue}.rest_url", found.rest_urls, own.rest_url)
    own_dir = run_dir(settings.run)
    line = f".{settings.connector.line}" if settings.connector.line else ""
    cache = Cache(own_dir / "instruments" / f"{venue}{line}.json")
    producer = f"connector.{venue}"
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with (
        connect(settings.bus) as client,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        _capturing(settings, venue, next(iter(ws_urls.values()))) as capture,
    ):
        writer = _writer(settings, client, keys, found, own_dir / "spool")
        connector = Connector(
            venue=found,
            own=own,
            settings=settings,
            writer=writer,
            http=http,
            ws_urls=ws_urls,
            rest_urls=rest_urls,
            cache=cache,
            capture=capture,
        )
        with closing(writer), connector.measured(), nullcontext() if reload is None else on_hangup(lambda: connector.reload(reload)):
            async with telemetry.serve(settings.telemetry, connector.ready):
                await usable(client, keys, settings.bus, producer=producer)
                await connector.run()


def _writer(settings: Settings, client: Client, keys: Keys, venue: Venue, spools: Path) -> Writer:
    """The only line's, or that of one of several: each has a spool of its own, on one machine too."""
    line, producer = settings.connector.line, f"connector.{venue.id}"
    if line:
        spool = spools / f"{producer}.{line}"
        return Redundant(client, keys, settings, venue=venue, producer=producer, spool=spool, metrics=bus_metrics())
    return Sole(Publisher(client, keys, settings.bus, producer=producer, metrics=bus_metrics(), spool=spools / producer), venue.id)


def addresses(where: str, own: Mapping[str, str], given: str | Mapping[str, str]) -> dict[str, str]:
    """Name → URL: the venue's own, or what is given in its place, for all or by name. Raises `SettingsError` for a name it has not."""
    if isinstance(given, str):
        return {name: given or url for name, url in own.items()}
    for name in given:
        if name not in own:
            near = difflib.get_close_matches(name, own, n=1, cutoff=0.0)
            raise SettingsError(f"{where}.{name}: there is no such endpoint; the nearest is {near[0]}")
    return {name: given.get(name, url) for name, url in own.items()}


@asynccontextmanager
async def _capturing(settings: Settings, venue: str, url: str) -> AsyncIterator[Capture | None]:
    """The capture, if one is wanted, whole and closed at the end. Raises `StorageError`."""
    options = settings.connector
    if not options.capture_dir:
        yield None
        return
    capture = Capture(options.capture_dir, venue, url, max_bytes=options.capture_bytes, max_s=options.capture_s)
    try:
        capture.start()
    except OSError as exc:
        raise StorageError(f"connector.capture_dir = {options.capture_dir}: cannot be written: {exc.strerror}") from exc
    try:
        yield capture
    finally:
        await asyncio.to_thread(capture.stop)


class Connector:
    """One venue. `run` once."""

    def __init__(
        self,
        *,
        venue: Venue,
        own: VenueSettings,
        settings: Settings,
        writer: Writer,
        http: aiohttp.ClientSession,
        ws_urls: Mapping[str, str],
        rest_urls: Mapping[str, str],
        cache: Cache,
        capture: Capture | None,
    ) -> None:
        self.feeds = Feeds(venue, {}, own.kinds, book_depth=own.book_depth, book_interval_ns=int(own.book_interval_s * 1e9))
        self.counters = Counters()
        self._venue = venue
        self._own = own
        self._settings = settings
        self._writer = writer
        self._cache = cache
        self._capture = capture
        self._outlet = Outlet(writer.publish, self.counters, pending=lambda: writer.pending, acknowledged=lambda: writer.acknowledged)
        self._rest = Rest(http, venue, rest_urls, timeout_s=own.rest_timeout_s, capture=capture, counters=self.counters)
        self._resyncs = Resyncs(
            venue,
            feeds=self.feeds,
            outlet=self._outlet,
            counters=self.counters,
            rest=self._rest,
            sessions=lambda: self.supervisor.sessions,
        )
        self._watchdog = Watchdog(stale_s=own.stale_s, stale_min_s=own.stale_min_s)
        desk = Desk(
            venue=venue,
            settings=own,
            feeds=self.feeds,
            outlet=self._outlet,
            counters=self.counters,
            http=http,
            urls=ws_urls,
            watchdog=self._watchdog,
            resync=self._resyncs.dispatch,
            flow=writer.flow,
            capture=capture,
            paces=paces(venue),
        )
        self.supervisor = Supervisor(desk, ())
        self.counters.begin(plan.channels(venue, own.kinds))
        self._started_ts = time.time_ns()
        self._listing: Listing | None = None
        self._trouble = ""  # why there is no listing yet
        self._selection = Selection({}, dict.fromkeys(own.instruments, "the venue's instruments are not known yet"))
        self._taken: dict[str, Instrument] = {}
        self._removed: set[str] = set()  # names that were taken once and said to be removed
        self._rewanted = asyncio.Event()  # `instruments` of the settings changed
        self._told: set[str] = set()
        writer.attach(self.feeds, self._outlet, Standing(self._is_well, self._connections, self._standing))

    async def run(self) -> None:
        """Until cancelled. Raises `Superseded`."""
        async with asyncio.TaskGroup() as outer:
            writing = outer.create_task(self._writer.run(), name="writer")
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(self._say_alive(), name="status")
                    inner.create_task(self._tick(), name="tick")
                    inner.create_task(self.supervisor.run(), name="supervisor")
                    inner.create_task(self._resyncs.run(), name="resyncs")
                    inner.create_task(self._follow_instruments(), name="instruments")
            finally:
                if not writing.done():
                    await self._finish()
                writing.cancel()

    def reload(self, load: Callable[[], Settings]) -> None:
        """Go on with the instruments that the settings name now. What else has changed is told, and waits for the next start."""
        where = f"venues.{self._venue.id}"
        try:
            fresh = load()
            own = fresh.venues.get(self._venue.id)
            if own is None:
                raise SettingsError(f"{where}: not in the settings")
        except CrosstapeError as exc:
            log.error("settings.refused", venue=self._venue.id, error="; ".join(str(exc).splitlines()))
            return
        others = [path for path in changes(self._settings, fresh) if self._concerns_us(path)]
        if others:
            log.warning("settings.not_applied", venue=self._venue.id, changed=others, until="the next start")
        added = [name for name in own.instruments if name not in self._own.instruments]
        removed = [name for name in self._own.instruments if name not in own.instruments]
        log.info("settings.read", venue=self._venue.id, added=added, removed=removed)
        self._own = msgspec.structs.replace(self._own, instruments=own.instruments)
        self._rewanted.set()

    def _concerns_us(self, path: str) -> bool:
        where = f"venues.{self._venue.id}."
        return not path.startswith(("venues.", "aggregator.")) or (path.startswith(where) and path != f"{where}instruments")

    @contextmanager
    def measured(self) -> Iterator[None]:
        """While open, `/metrics` has this venue's numbers."""
        collector = ConnectorCollector(
            self._venue.id,
            self.counters,
            Readings(
                feeds=self._states,
                waiting_s=self._waiting_s,
                subscriptions=self._subscriptions,
                ignored=self._ignored,
                instruments=lambda: instruments.describe(self._selection),
                instruments_age_s=lambda: None if self._listing is None else self._listing.age_s(time.time_ns()),
                capture_dropped=lambda: None if self._capture is None else self._capture.dropped,
                line=self._writer.reading,
            ),
        )
        prometheus_client.REGISTRY.register(collector)
        bus_metrics().after = self._outlet.acknowledged
        try:
            yield
        finally:
            del bus_metrics().after
            prometheus_client.REGISTRY.unregister(collector)

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether the bus takes our events and every feed is live, or refused by the venue for a reason that is told; and the details."""
        refused = {
            f"{topic.channel} {topic.symbol}": reason
            for session in self.supervisor.sessions
            for topic, reason in session.subscriptions.reasons.items()
        }
        waiting = self._waiting()
        bus = self._writer.well
        state, reason = self._state()
        details = {
            "venue": self._venue.id,
            "state": state.value,
            "reason": reason,
            "bus": bus,
            "pending": self._writer.pending,
            "connections": self._connections(),
            "feeds": Counter(record.state.value for record in self.feeds.feeds.values()),
            "waiting": [f"{record.kind} {record.instrument}: {record.state.value} {record.reason}".rstrip() for record in waiting[:SHOWN]],
            "refused": {**self._selection.refused, **refused},
            **self._writer.details(),
        }
        return bus and self._is_well(waiting), details

    def _is_well(self, waiting: Sequence[FeedRecord] | None = None) -> bool:
        return bool(self.feeds.feeds) and self.supervisor.up and not (self._waiting() if waiting is None else waiting)

    def _connections(self) -> int:
        return sum(session.open for session in self.supervisor.sessions)

    def _standing(self) -> Iterator[Status]:
        """What we say of the venue as a whole, and of what cannot be taken of it."""
        yield self._status(*self._state())
        for name, reason in self._selection.refused.items():
            yield self._status(FeedState.STALE if name in self._taken else FeedState.DOWN, reason, name)

    def _waiting(self) -> list[FeedRecord]:
        """The feeds that are not live but should be: not those that the venue refuses, nor those in which nobody has traded since."""
        refused = {(topic.channel, topic.symbol) for session in self.supervisor.sessions for topic in session.subscriptions.reasons}
        channels = {kind: name for endpoint in reversed(self._venue.endpoints) for kind, name in endpoint.channels.items()}
        return [
            record
            for record in self.feeds.feeds.values()
            if record.state is not FeedState.LIVE
            and (channels.get(record.kind), record.symbol) not in refused
            and not (record.kind == "trade" and record.confirmed and record.state in UNTRADED)
        ]

    def _waiting_s(self) -> Mapping[str, float]:
        """Kind → how long the feed that has been waiting for longest has done so; 0 where none is."""
        now = time.time_ns()
        longest = dict.fromkeys(self.feeds.kinds - STATELESS, 0.0)
        for record in self._waiting():
            since_ts = record.waiting_ts or record.opened_ts or self._started_ts
            longest[record.kind] = max(longest.get(record.kind, 0.0), (now - since_ts) / 1e9)
        return longest

    def _states(self) -> Mapping[tuple[str, str], int]:
        """(kind, state) → feeds, also where there is none: a series that is not there cannot be compared with 0."""
        none = dict.fromkeys(((kind, state.value) for kind in self.feeds.kinds - STATELESS for state in FeedState), 0)
        return {**none, **Counter((record.kind, record.state.value) for record in self.feeds.feeds.values())}

    def _state(self) -> tuple[FeedState, str]:
        """What the venue-wide status says: never better than the venue itself does."""
        if self.supervisor.up:
            return self.feeds.venue_state, self.feeds.venue_reason
        if not self._taken:
            if self._listing is not None:
                return FeedState.DOWN, "none of the wanted instruments can be taken"
            return (FeedState.DOWN if self._trouble else FeedState.CONNECTING), self._trouble
        return (FeedState.DOWN if self.supervisor.reason else FeedState.CONNECTING), self.supervisor.reason

    def _status(self, state: FeedState, reason: str, instrument: str = VENUE_WIDE) -> Status:
        return Status(self._venue.id, instrument, None, time.time_ns(), kind=VENUE_WIDE, state=state, reason=reason)

    def _subscriptions(self) -> Mapping[str, int]:
        total: Counter[str] = Counter()
        for session in self.supervisor.sessions:
            total.update(session.subscriptions.counts())
        return total

    def _ignored(self) -> Mapping[str, int]:
        return {**self.feeds.counts, "duplicate": self.feeds.duplicates()}

    async def _say_alive(self) -> None:
        while True:
            self._outlet.put([self._status(*self._state())])
            await asyncio.sleep(self._settings.connector.status_interval_s)

    async def _tick(self) -> None:
        """Books are due by the clock too: the last change of a burst must not wait for the next."""
        pause_s = max(0.01, self._own.book_interval_s / 2) if self._own.book_interval_s else TICK_S
        while True:
            self._outlet.put(self.feeds.tick(time.time_ns()))
            if self.feeds.requests:
                self._resyncs.dispatch()
            await asyncio.sleep(pause_s)

    async def _follow_instruments(self) -> None:
        """Get the venue's instruments, take those that are wanted; then look again now and then for those that were not there."""
        refresh_s = self._settings.connector.instruments_refresh_s
        waits = delays(RETRY_S, RETRY_MAX_S)
        while True:
            try:
                get = instruments.load if self._listing is None else instruments.fetch
                listing = await get(self._rest, self._venue, self._cache)
            except RestFailed as exc:
                self._trouble = f"instruments: {exc}"
                wait_s = max(next(waits), exc.retry_after_s or 0.0)
                log.warning("instruments.failed", venue=self._venue.id, error=str(exc), retry_in_s=round(wait_s, 1))
                await self._until_due(wait_s)
                continue
            fresh = listing.age_s(time.time_ns()) < refresh_s
            self._listing = listing
            await self._adopt()
            if fresh and self._taken:
                waits = delays(RETRY_S, RETRY_MAX_S)
                await self._until_due(refresh_s)
            else:
                await self._until_due(min(refresh_s, next(waits)))

    async def _until_due(self, wait_s: float) -> None:
        """Wait so long, taking up what is wanted anew meanwhile; no longer if the list that we have does not have all of it."""
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._rewanted.wait()
            except TimeoutError:
                return
            self._rewanted.clear()
            if self._listing is not None:
                await self._adopt()
                if self._selection.refused:
                    return

    async def _adopt(self) -> None:
        """Say what changed about the wanted names, begin those that are new, end those that are not wanted any more.

        What is taken stays taken while it is wanted: a halt is not the end.
        """
        assert self._listing is not None
        for name in [name for name in self._taken if name not in self._own.instruments]:
            self._let_go(name)
        self._told.intersection_update(self._own.instruments)
        selection = instruments.select(self._listing, self._own.instruments)
        before, self._selection = self._selection, selection
        instruments.report(self._venue.id, selection.refused, self._told)
        for name, reason in selection.refused.items():
            if before.refused.get(name) != reason:
                state = FeedState.STALE if name in self._taken else FeedState.DOWN
                self._outlet.put([self._status(state, reason, name)])
        for name in self._told.intersection(selection.listed):
            self._told.remove(name)
            log.info("instrument.listed", venue=self._venue.id, instrument=name)
            self._outlet.put([self._status(FeedState.LIVE, "", name)])  # nothing against it as a whole; each feed speaks for itself
        new = {name: instrument for name, instrument in selection.listed.items() if name not in self._taken}
        if not new:
            return
        trades = await self._last_trades(list(new))
        for instrument in new.values():
            self.feeds.add(instrument)
        self.feeds.seed(trades)
        self._taken |= new
        for name in self._removed.intersection(new):
            self._removed.remove(name)
            self._outlet.put([self._status(FeedState.LIVE, "", name)])
        for connection in plan.connections(self._venue, new, self._own.kinds):
            self.supervisor.add(connection)

    def _let_go(self, name: str) -> None:
        """It is not wanted any more."""
        self.supervisor.remove(plan.topics(self._venue, self._taken.pop(name), self._own.kinds))
        self._outlet.put(self.feeds.remove(name, time.time_ns()))
        self._outlet.put([self._status(FeedState.DOWN, REMOVED, name)])
        self._watchdog.forget(name)
        self._removed.add(name)
        log.info("instrument.removed", venue=self._venue.id, instrument=name)

    async def _last_trades(self, names: Sequence[str]) -> list[Trade]:
        """What our predecessor left on the tape; without knowing, we might write it again. Waits for the bus for ever."""
        for wait_s in delays(RETRY_S, RETRY_MAX_S):
            try:
                return await self._writer.last_trades(names)
            except BusError as exc:
                log.warning("connector.waiting_for_bus", venue=self._venue.id, error=str(exc), retry_in_s=round(wait_s, 1))
                await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: delays are endless")

    async def _finish(self) -> None:
        """The sessions have ended: say so, and wait until all is on the tape."""
        self._outlet.put([self._status(FeedState.DOWN, "stopped")])
        if await self._writer.finish(self._settings.run.drain_s):
            log.info("connector.drained", venue=self._venue.id, acknowledged=self._writer.acknowledged)
        else:
            log.error("connector.not_published", venue=self._venue.id, events=self._writer.pending)
