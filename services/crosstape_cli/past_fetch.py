"""Puts the connectors' fetching of the past behind the recorder's seam: `crosstape_recorder.fetching.Fetch`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from crosstape.bus import Client, connect
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.bus.request_budget import RequestBudget
from crosstape.errors import BusError, HistoryError, WrongTape
from crosstape.origin import SIMULATED_HEADER, Origin
from crosstape.runtime.run_dir import run_dir
from crosstape.settings import Settings, VenueSettings
from crosstape_cli.server import located
from crosstape_connector.connection.proxies import Proxies
from crosstape_connector.connection.tunnel import TunnelConnector
from crosstape_connector.errors import PastFailed
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.rest.client import RestClient
from crosstape_connector.rest.instruments import InstrumentCache
from crosstape_connector.rest.past.fetcher import PastFetcher
from crosstape_connector.rest.past.limiter import PastLimiter
from crosstape_connector.rest.past.reach import earliest_ts, refusal
from crosstape_connector.venue_choice import addresses, in_environment
from crosstape_connector.venues.registry import find
from crosstape_recorder.fetching import Page, Wanted
from crosstape_schemas import Keys


class VenuePasts:
    """Fetches the past of all venues. Implements `crosstape_recorder.fetching.Fetch`. Made by `venue_pasts`."""

    def __init__(self, settings: Settings, bus: Client | None, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._bus = bus
        self._stack = stack
        self._fetchers: dict[str, PastFetcher] = {}
        self.shares_limits = bus is not None
        """Whether a tape's server was found: then live connectors and this process keep the venues' limits together."""
        self.origins: dict[str, Origin] = {}
        """Venue → the origin of its answers."""
        self.waiting: Callable[[str, float], object] = lambda _venue, _seconds: None
        """Is told before each wait for a venue's limit how many seconds it may last."""

    def reach(self, wanted: Wanted) -> str:
        """See `Fetch.reach`."""
        return refusal(find(wanted.venue), wanted.timeframe, wanted.from_ts, time.time_ns())

    def earliest_ts(self, venue: str, timeframe: str | None) -> int:
        """Return the time before which the venue has nothing any more, ns; 0: it has all."""
        return earliest_ts(find(venue), timeframe, time.time_ns())

    async def fetch(self, wanted: Wanted) -> AsyncIterator[Page]:
        """See `Fetch.fetch`. Raises `HistoryError`."""
        fetcher = await self.fetcher(wanted.venue)
        made = fetcher.requests
        try:
            async for brought in fetcher.fetch(wanted.instrument, wanted.timeframe, wanted.from_ts, wanted.to_ts):
                yield Page(brought.rows, brought.complete_to_ts, fetcher.requests - made, brought.refused)
                made = fetcher.requests
        except PastFailed as exc:
            raise HistoryError(str(exc)) from exc

    async def fetcher(self, venue: str) -> PastFetcher:
        """Return the fetcher of one venue. Raises `SettingsError`, and as `run_dir`."""
        if venue not in self._fetchers:
            self._fetchers[venue] = await self._made(venue)
        return self._fetchers[venue]

    async def _made(self, venue: str) -> PastFetcher:
        settings = self._settings
        own = settings.venues.get(venue) or VenueSettings()
        table = in_environment(find(venue), own.environment)
        urls = addresses(f"venues.{venue}.rest_url", table.rest_urls, own.rest_url)
        proxies = Proxies(f"venues.{venue}.proxy", own.proxy, os.environ)
        trace = aiohttp.TraceConfig()

        async def answered(_: object, __: object, params: aiohttp.TraceRequestEndParams) -> None:
            simulated = SIMULATED_HEADER in params.response.headers
            self.origins[venue] = Origin.SIMULATED if simulated else Origin.TEST if own.environment else Origin.LIVE

        trace.on_request_end.append(answered)
        session = aiohttp.ClientSession(connector=TunnelConnector(proxies, limit=0), trace_configs=[trace])
        http = await self._stack.enter_async_context(session)
        keys = Keys(settings.bus.prefix, settings.bus.partitions)
        outbound = settings.connector.outbound
        budget = None if self._bus is None else RequestBudget(self._bus, keys, table.banned_with or venue, outbound=outbound)
        limiter = PastLimiter(table, budget, settings.connector.backfill_share, waiting=lambda seconds: self.waiting(venue, seconds))
        rest = RestClient(http, table, urls, timeout_s=own.rest_timeout_s, capture=None, counters=Counters(), spender=limiter)
        environment = f"-{own.environment}" if own.environment else ""
        cache = InstrumentCache(run_dir(settings.run) / "instruments" / f"{venue}{environment}.backfill.json")
        return PastFetcher(table, rest, limiter, cache)

    def check_origin(self, venue: str, bound: str) -> None:
        """Raise `WrongTape` if the venue's answers do not belong into a history of this origin; empty: it has none."""
        found = self.origins.get(venue)
        if bound and found is not None and found != bound:
            raise WrongTape(f"{venue}: its answers are {found}, and the history has the events of {bound} venues")


@asynccontextmanager
async def venue_pasts(settings: Settings) -> AsyncIterator[VenuePasts]:
    """Gives the fetching for the length of the block. If a tape runs, its connectors and we keep the venues' limits together."""
    async with AsyncExitStack() as stack:
        yield VenuePasts(settings, await _bus(settings, stack), stack)


async def _bus(settings: Settings, stack: AsyncExitStack) -> Client | None:
    """Return a client of the tape's server; None: no tape runs."""
    try:
        found = located(settings)
    except BusError:
        return None
    client = await stack.enter_async_context(connect(found.bus))
    with contextlib.suppress(*UNAVAILABLE):
        await execute(client, "TIME")
        return client
    return None
