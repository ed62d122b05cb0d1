"""The connector as a service: from the settings to a running `Connector` with its telemetry, and back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing, nullcontext
from pathlib import Path

import aiohttp
import structlog

from crosstape.bus import Client, Publisher, connect
from crosstape.bus.client.startup_check import wait_until_usable
from crosstape.bus.metrics.prometheus import PrometheusPublisherMetrics
from crosstape.bus.request_budget import BestEffort, RequestBudget
from crosstape.bus.spool.tape_identity import Tape, identity_in_spools
from crosstape.errors import SettingsError, StorageError
from crosstape.paths import expanded
from crosstape.runtime import telemetry
from crosstape.runtime.group_files import check_leftovers
from crosstape.runtime.lifecycle import on_hangup
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import Settings, shown
from crosstape_connector.bridge import client as bridge
from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection.origin_check import OriginCheck
from crosstape_connector.connection.proxies import Proxies, Proxy
from crosstape_connector.connection.tunnel import TunnelConnector
from crosstape_connector.connection.websocket import read_refusal
from crosstape_connector.connector import Connector, VenueAccess
from crosstape_connector.failover.replica import Replica
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.http import Http
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.publishing.sink import Sink
from crosstape_connector.publishing.writer import SoleWriter, Writer
from crosstape_connector.rest.instruments import InstrumentCache
from crosstape_connector.venue_choice import addresses, chosen
from crosstape_connector.venues.parsing.refusals import public
from crosstape_connector.venues.registry import find
from crosstape_schemas import Keys

log = structlog.get_logger(__name__)


async def run(settings: Settings, venue: str, reload: Callable[[], Settings] | None = None) -> None:
    """Put this venue on the tape until cancelled; then publish what is pending, within `run.drain_s`.

    `reload`: reads the settings again at SIGHUP; changes that need no restart are applied. None: SIGHUP is ignored.
    Raises at the start `UnknownVenue`, `SettingsError`, `StorageError`, and `BusError` for a bus that is not usable within `bus.start_s`;
    later `Superseded`, and `WrongTape` when the venue's answers do not belong on this tape.
    """
    own = settings.venues.get(venue)
    table = find(venue)
    if own is None:
        raise SettingsError(f"venues.{venue}: not in the settings")
    found = chosen(table, own.environment, own.candles)
    ws_urls = addresses(f"venues.{venue}.ws_url", {endpoint.name: endpoint.url for endpoint in found.endpoints}, own.ws_url)
    rest_urls = addresses(f"venues.{venue}.rest_url", found.rest_urls, own.rest_url)
    proxies = _proxies(venue, own.proxy, [*ws_urls.values(), *rest_urls.values()])
    own_dir = run_dir(settings.run)
    replica = f".{settings.connector.replica}" if settings.connector.replica else ""
    environment = f"-{own.environment}" if own.environment else ""
    cache = InstrumentCache(own_dir / "instruments" / f"{venue}{environment}{replica}.json")
    producer = f"connector.{venue}"
    for name in ("instruments", f"spool/{producer}{replica}"):
        check_leftovers(own_dir, name)
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    tape = Tape(identity_in_spools(own_dir / "spool"))
    feeds = FeedHandler(found, {}, own.feed_kinds, book_depth=own.book_depth, book_interval_ns=int(own.book_interval_s * 1e9))
    counters = Counters()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(settings.bus))
        mixes, server = settings.connector.any_origin, shown(settings.bus.url)
        contact = OriginCheck(
            client, keys, tape, venue=venue, server=server, mixes=mixes, environment=own.environment, on_origin=cache.bind
        )
        connections = TunnelConnector(proxies, limit=0)
        http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connections, trace_configs=[contact.trace()], raise_for_status=read_refusal)
        )
        capture = await stack.enter_async_context(_capturing(settings, venue, public(next(iter(ws_urls.values())))))
        writer = stack.enter_context(closing(_writer(settings, client, keys, feeds, counters, own_dir=own_dir, tape=tape)))
        budget = RequestBudget(client, keys, found.banned_with or venue, outbound=settings.connector.outbound)
        reached: Http = http
        if found.library_class:
            reached = await stack.enter_async_context(bridge.opened(found, own, http, ws_urls, rest_urls))
        access = VenueAccess(reached, ws_urls, rest_urls, contact, BestEffort(budget, belongs=lambda: contact.belongs))
        connector = Connector(settings, own, access, feeds=feeds, counters=counters, writer=writer, cache=cache, capture=capture)
        stack.enter_context(connector.measured())
        stack.enter_context(nullcontext() if reload is None else on_hangup(lambda: connector.reload(reload)))
        async with telemetry.serve(settings.telemetry, connector.ready):
            await wait_until_usable(client, keys, settings.bus, producer=producer)
            await contact.apply_known_origin()
            await connector.run()


def _writer(settings: Settings, client: Client, keys: Keys, feeds: FeedHandler, counters: Counters, *, own_dir: Path, tape: Tape) -> Writer:
    """Make the writer of the only connector of this venue, or of one replica. Each has a spool of its own, on one machine too."""
    replica, producer, spools = settings.connector.replica, f"connector.{feeds.venue.id}", own_dir / "spool"
    metrics = PrometheusPublisherMetrics()
    if replica:
        spool = spools / f"{producer}.{replica}"
        return Replica(client, keys, settings, feeds=feeds, counters=counters, producer=producer, spool=spool, metrics=metrics, tape=tape)
    superseded = own_dir / "superseded" / producer
    yields = superseded.exists()
    superseded.unlink(missing_ok=True)  # if the name is not ours now either, the file is written again
    sink = Sink(counters)
    publisher = Publisher(
        client,
        keys,
        settings.bus,
        producer=producer,
        metrics=metrics,
        spool=spools / producer,
        tape=tape,
        yields=yields,
        on_acknowledged=sink.acknowledged,
    )
    return SoleWriter(publisher, sink, feeds.venue.id, superseded)


def _proxies(venue: str, given: str, urls: Iterable[str]) -> Proxies:
    """Choose the proxies of these addresses, and log each proxy in use. Raises `SettingsError`."""
    proxies = Proxies(f"venues.{venue}.proxy", given, os.environ)
    through: dict[Proxy, list[str]] = {}
    for url in dict.fromkeys(urls):
        if (proxy := proxies.for_url(url)) is not None:
            through.setdefault(proxy, []).append(shown(url))
    for proxy, found in through.items():
        log.info("proxy.used", venue=venue, proxy=str(proxy), urls=found)
    return proxies


@asynccontextmanager
async def _capturing(settings: Settings, venue: str, url: str) -> AsyncIterator[Capture | None]:
    """Give the capture, if the settings want one; it is complete and closed after the block. Raises `StorageError`."""
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
