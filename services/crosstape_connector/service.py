"""A venue's connector: its parts, wired; what it says of itself on the tape and to those who run it; how it stops."""

from __future__ import annotations

import asyncio
import difflib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import aiohttp
import prometheus_client
import structlog

from crosstape.bus import Client, Publisher, connect
from crosstape.bus.client.startup_check import wait_until_usable
from crosstape.bus.spool.tape_identity import Tape, identity_in_spools
from crosstape.errors import CrosstapeError, SettingsError, StorageError
from crosstape.paths import expanded
from crosstape.runtime import telemetry
from crosstape.runtime.group_files import check_leftovers
from crosstape.runtime.lifecycle import on_hangup
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import Settings, VenueSettings, shown
from crosstape.settings.diff import changes
from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection import plan
from crosstape_connector.connection.context import ConnectionContext, shared_rate_limits
from crosstape_connector.connection.origin_check import OriginCheck
from crosstape_connector.connection.proxies import Proxies, Proxy
from crosstape_connector.connection.supervisor import Supervisor
from crosstape_connector.connection.timekeeping import Timekeeping
from crosstape_connector.connection.tunnel import TunnelConnector
from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.connection.websocket import read_refusal
from crosstape_connector.failover.replica import Replica
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.collector import ConnectorCollector, Readings
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink, bus_metrics
from crosstape_connector.publishing.writer import SoleWriter, Standing, Writer
from crosstape_connector.rest import instruments
from crosstape_connector.rest.client import RestClient
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.instruments import InstrumentCache
from crosstape_connector.rest.requests import RestRequests
from crosstape_connector.rest.sources import RestSources
from crosstape_connector.universe import Universe
from crosstape_connector.venues.registry import find
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import VENUE_WIDE, FeedState, Keys, Status

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
    later `Superseded`, and `WrongTape` when the venue was heard of and does not belong on this tape.
    """
    found = find(venue)
    own = settings.venues.get(venue)
    if own is None:
        raise SettingsError(f"venues.{venue}: not in the settings")
    ws_urls = addresses(f"venues.{venue}.ws_url", {endpoint.name: endpoint.url for endpoint in found.endpoints}, own.ws_url)
    rest_urls = addresses(f"venues.{venue}.rest_url", found.rest_urls, own.rest_url)
    proxies = _proxies(venue, own.proxy, [*ws_urls.values(), *rest_urls.values()])
    own_dir = run_dir(settings.run)
    line = f".{settings.connector.replica}" if settings.connector.replica else ""
    cache = InstrumentCache(own_dir / "instruments" / f"{venue}{line}.json")
    producer = f"connector.{venue}"
    for name in ("instruments", f"spool/{producer}{line}"):
        check_leftovers(own_dir, name)
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(settings.bus))
        contact = OriginCheck(
            client,
            keys,
            tape := Tape(identity_in_spools(own_dir / "spool")),
            venue=venue,
            server=shown(settings.bus.url),
            mixes=settings.connector.any_origin,
            told=cache.bind,
        )
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=TunnelConnector(proxies, limit=0), trace_configs=[contact.trace()], raise_for_status=read_refusal
            )
        )
        capture = await stack.enter_async_context(_capturing(settings, venue, next(iter(ws_urls.values()))))
        writer = _writer(settings, client, keys, found, own_dir=own_dir, tape=tape)
        connector = Connector(
            contact=contact,
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
                await wait_until_usable(client, keys, settings.bus, producer=producer)
                await contact.expect()
                await connector.run()


def _writer(settings: Settings, client: Client, keys: Keys, venue: Venue, *, own_dir: Path, tape: Tape) -> Writer:
    """The only line's, or that of one of several: each has a spool of its own, on one machine too."""
    line, producer, spools = settings.connector.replica, f"connector.{venue.id}", own_dir / "spool"
    if line:
        spool = spools / f"{producer}.{line}"
        return Replica(client, keys, settings, venue=venue, producer=producer, spool=spool, metrics=bus_metrics(), tape=tape)
    superseded = own_dir / "superseded" / producer
    yields = superseded.exists()
    superseded.unlink(missing_ok=True)  # if the name is not ours now either, this is written again
    publisher = Publisher(
        client, keys, settings.bus, producer=producer, metrics=bus_metrics(), spool=spools / producer, tape=tape, yields=yields
    )
    return SoleWriter(publisher, venue.id, superseded)


def addresses(where: str, own: Mapping[str, str], given: str | Mapping[str, str]) -> dict[str, str]:
    """Name → URL: the venue's own, or what is given in its place, for all or by name. Raises `SettingsError` for a name it has not."""
    if isinstance(given, str):
        return {name: given or url for name, url in own.items()}
    for name in given:
        if name not in own:
            near = difflib.get_close_matches(name, own, n=1, cutoff=0.0)
            raise SettingsError(f"{where}.{name}: there is no such endpoint; the nearest is {near[0]}")
    return {name: given.get(name, url) for name, url in own.items()}


def _proxies(venue: str, given: str, urls: Iterable[str]) -> Proxies:
    """The proxies of these addresses, which are logged once. Raises `SettingsError`."""
    proxies = Proxies(f"venues.{venue}.proxy", given, os.environ)
    through: dict[Proxy, list[str]] = {}
    for url in dict.fromkeys(urls):
        if (proxy := proxies.of(url)) is not None:
            through.setdefault(proxy, []).append(shown(url))
    for proxy, found in through.items():
        log.info("proxy.used", venue=venue, proxy=str(proxy), urls=found)
    return proxies


@asynccontextmanager
async def _capturing(settings: Settings, venue: str, url: str) -> AsyncIterator[Capture | None]:
    """The capture, if one is wanted, whole and closed at the end. Raises `StorageError`."""
    options = settings.connector
    if not options.capture_dir:
        yield None
        return
    try:
        directory = expanded(options.capture_dir)
    except ValueError as exc:
        raise SettingsError(f"connector.capture_dir = {exc}") from exc
    capture = Capture(directory, venue, url, max_bytes=options.capture_bytes, max_s=options.capture_s)
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
        contact: OriginCheck,
        venue: Venue,
        own: VenueSettings,
        settings: Settings,
        writer: Writer,
        http: aiohttp.ClientSession,
        ws_urls: Mapping[str, str],
        rest_urls: Mapping[str, str],
        cache: InstrumentCache,
        capture: Capture | None,
    ) -> None:
        self.feeds = FeedHandler(venue, {}, own.kinds, book_depth=own.book_depth, book_interval_ns=int(own.book_interval_s * 1e9))
        self.counters = Counters()
        self._contact = contact
        self._venue = venue
        self._own = own
        self._settings = settings
        self._writer = writer
        self._capture = capture
        self._sink = Sink(writer.publish, self.counters, pending=lambda: writer.pending, acknowledged=lambda: writer.acknowledged)
        rest = RestClient(http, venue, rest_urls, timeout_s=own.rest_timeout_s, capture=capture, counters=self.counters)
        self._rest = RestRequests(
            RestContext(RestSources(venue, rest), self.feeds, self._sink, self.counters, active=lambda: writer.active),
            own,
            flow=writer.flow,
            resubscribe=lambda topic: self.supervisor.resubscribe(topic),  # noqa: PLW0108  (it is made below)
            answered=lambda endpoint: self.supervisor.answered(endpoint),  # noqa: PLW0108
        )
        self._sink.route_requests(self._rest.snapshots.request)
        watchdog = Watchdog(stale_s=own.stale_s, stale_min_s=own.stale_min_s)
        self._time = Timekeeping(self.feeds, watchdog, warn_s=settings.connector.clock_warn_s)
        context = ConnectionContext(
            venue=venue,
            settings=own,
            feeds=self.feeds,
            sink=self._sink,
            counters=self.counters,
            http=http,
            urls=ws_urls,
            watchdog=watchdog,
            flow=writer.flow,
            capture=capture,
            rate_limits=shared_rate_limits(venue),
            check_clock=self._time.check,
            probe=self._rest.probes.request,
        )
        self.supervisor = Supervisor(context, ())
        self.counters.begin(plan.channels(venue, own.kinds))
        self._started_ts = time.time_ns()
        self._universe = Universe(
            own.instruments,
            own.kinds,
            feeds=self.feeds,
            sink=self._sink,
            writer=writer,
            rest=rest,
            cache=cache,
            supervisor=self.supervisor,
            watchdog=watchdog,
            refresh_s=settings.connector.instruments_refresh_s,
        )
        writer.attach(self.feeds, self._sink, Standing(self._is_well, self._connections, self._standing))

    async def run(self) -> None:
        """Until cancelled. Raises `Superseded` and `WrongTape`."""
        async with asyncio.TaskGroup() as outer:
            writing = outer.create_task(self._write(), name="writer")
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(self._say_alive(), name="status")
                    inner.create_task(self._tick(), name="tick")
                    inner.create_task(self.supervisor.run(), name="supervisor")
                    inner.create_task(self._rest.run(), name="rest")
                    inner.create_task(self._universe.run(), name="instruments")
            finally:
                if not writing.done() and not self._contact.refused:
                    await self._finish()
                writing.cancel()

    async def _write(self) -> None:
        """Claim our name once it is known that what we read belongs on this tape: a live connector of the same name would end."""
        await self._contact.first()
        await self._writer.run()

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
        added = [name for name in own.instruments if name not in self._universe.wanted]
        removed = [name for name in self._universe.wanted if name not in own.instruments]
        log.info("settings.read", venue=self._venue.id, added=added, removed=removed)
        self._universe.want(own.instruments)

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
                backfilling=lambda: self._rest.backfill.queued,
                polled_feeds=self._rest.polling.polled_feeds,
                instruments=lambda: instruments.counts(self._universe.selection),
                instruments_age_s=lambda: None if self._universe.listing is None else self._universe.listing.age_s(time.time_ns()),
                clock_offset_s=lambda: self._time.offset_s,
                capture_dropped=lambda: None if self._capture is None else self._capture.dropped,
                line=self._writer.reading,
            ),
        )
        prometheus_client.REGISTRY.register(collector)
        bus_metrics().after = self._sink.acknowledged
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
        bus = self._writer.healthy
        state, reason = self._state()
        details = {
            "venue": self._venue.id,
            "state": state.value,
            "reason": reason,
            "bus": bus,
            "pending": self._writer.pending,
            "connections": self._connections(),
            "clock_offset_s": self._time.offset_s,
            "feeds": Counter(record.state.value for record in self.feeds.records.values()),
            "polled": self._rest.polling.polled_feeds(),
            "waiting": [f"{record.kind} {record.instrument}: {record.state.value} {record.reason}".rstrip() for record in waiting[:SHOWN]],
            "refused": {**self._universe.selection.refused, **self.feeds.halts, **refused},
            **self._writer.details(),
        }
        return bus and self._is_well(waiting), details

    def _is_well(self, waiting: Sequence[FeedRecord] | None = None) -> bool:
        return bool(self.feeds.records) and self.supervisor.up and not (self._waiting() if waiting is None else waiting)

    def _connections(self) -> int:
        return sum(session.open for session in self.supervisor.sessions)

    def _standing(self) -> Iterator[Status]:
        """What we say of the venue as a whole, and of what cannot be taken of it."""
        yield self._status(*self._state())
        yield from self._universe.refusals()

    def _waiting(self) -> list[FeedRecord]:
        """The feeds that are not live but should be: not those that the venue refuses, nor those in which nobody has traded since."""
        refused = {(topic.channel, topic.symbol) for session in self.supervisor.sessions for topic in session.subscriptions.reasons}
        channels = {kind: name for endpoint in reversed(self._venue.endpoints) for kind, name in endpoint.channels.items()}
        return [
            record
            for record in self.feeds.records.values()
            if record.state is not FeedState.LIVE
            and (channels.get(record.kind), record.symbol) not in refused
            and not self.feeds.is_halted(record.instrument)
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
        return {**none, **Counter((record.kind, record.state.value) for record in self.feeds.records.values())}

    def _state(self) -> tuple[FeedState, str]:
        """What the venue-wide status says: never better than the venue itself does."""
        if self.supervisor.up:
            return self.feeds.venue_state, self.feeds.venue_reason
        if not self._universe.taken:
            if self._universe.listing is not None and not self._universe.selection.listed:
                return FeedState.DOWN, "none of the wanted instruments can be taken"
            trouble = self._universe.trouble
            return (FeedState.DOWN if trouble else FeedState.CONNECTING), trouble
        return (FeedState.DOWN if self.supervisor.reason else FeedState.CONNECTING), self.supervisor.reason

    def _status(self, state: FeedState, reason: str) -> Status:
        now, offset_ns = time.time_ns(), self._time.offset_ns
        return Status(self._venue.id, VENUE_WIDE, None, now, kind=VENUE_WIDE, state=state, reason=reason, clock_offset_ns=offset_ns)

    def _subscriptions(self) -> Mapping[str, int]:
        total: Counter[str] = Counter()
        for session in self.supervisor.sessions:
            total.update(session.subscriptions.counts())
        return total

    def _ignored(self) -> Mapping[str, int]:
        return {**self.feeds.counts, "duplicate": self.feeds.duplicate_trades()}

    async def _say_alive(self) -> None:
        await self._universe.silence()
        while True:
            self._time.measure_offset()
            self._sink.publish([self._status(*self._state())])
            await asyncio.sleep(self._settings.connector.status_interval_s)

    async def _tick(self) -> None:
        """Books are due by the clock too: the last change of a burst must not wait for the next."""
        pause_s = max(0.01, self._own.book_interval_s / 2) if self._own.book_interval_s else TICK_S
        while True:
            self._time.check()
            self._sink.publish(self.feeds.due_books(time.time_ns()))
            await asyncio.sleep(pause_s)

    async def _finish(self) -> None:
        """The sessions have ended: say so, and wait until all is on the tape."""
        self._sink.publish([self._status(FeedState.DOWN, "stopped")])
        if await self._writer.finish(self._settings.run.drain_s):
            log.info("connector.drained", venue=self._venue.id, acknowledged=self._writer.acknowledged)
        else:
            left = self._writer.unpublished
            say = log.error if left.lossless > left.spooled else log.warning
            say("connector.not_published", venue=self._venue.id, events=left.lossless, spooled=left.spooled, states=left.conflatable)
