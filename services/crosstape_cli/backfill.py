"""`crosstape backfill`: fetches past trades and candles of a venue into the history."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter

from crosstape.errors import SettingsError
from crosstape.history.opening import history_url, open_store
from crosstape.history.store import Store
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.run_dir import run_dir
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings
from crosstape_cli.backfill_view import BackfillView
from crosstape_cli.moments import From, To, iso, span
from crosstape_cli.options import SettingsFile, chosen_timeframes, find_venue, load
from crosstape_cli.past_fetch import VenuePasts, venue_pasts
from crosstape_connector.venues.registry import VENUES
from crosstape_recorder.backfill.progress_file import ProgressFile
from crosstape_recorder.backfill.spans import Span, left
from crosstape_recorder.backfill.writer import PastWriter, Written
from crosstape_recorder.fetching import Wanted
from crosstape_schemas import Candle, Trade
from crosstape_schemas.timeframes import DAY

COMMIT_ROWS: Final = 20_000
"""Rows after which a commit is made, …"""
COMMIT_S: Final = 20.0
"""… or seconds: what was fetched since the last commit is fetched again after a kill."""
STOP_S: Final = 10.0
"""After Ctrl-C, the last commit may take so long."""


class _Counts(msgspec.Struct):
    """What has happened so far."""

    written: Written = Written()
    requests: int = 0
    """Those that brought something, and those before them."""
    refused: int = 0
    complete_to_ts: int = 0


def backfill(
    venue: Annotated[str, Parameter(help=f"Venue: {', '.join(VENUES)}.")],
    instrument: Annotated[str, Parameter(help="Instrument by our name: BTC-USDT.")],
    /,
    *,
    kind: Annotated[Literal["trade", "candle"], Parameter(help="What to fetch.")] = "trade",
    timeframe: Annotated[str, Parameter(help="With --kind candle: the timeframe, 1m, 1h …")] = "1m",
    from_: From = None,
    to: To = None,
    again: Annotated[bool, Parameter(negative="", help="Fetch also what an earlier run has fetched, to find what has changed.")] = False,
    settings: SettingsFile = None,
) -> Exit:
    """Fetch a venue's past trades or candles by REST into the history (see recorder.store), each once.

    What the history has already, from the tape or from an earlier run, is left out; a candle whose figures the venue has changed is
    written as a revision. Stop it when you like, with Ctrl-C or by force: the same command goes on where it stopped.

    It uses at most connector.backfill_share of the venue's limit of requests, less what live connectors of a running tape use.
    How far back each venue goes is in the reference of venues.
    """
    loaded = load(settings)
    find_venue(venue, "VENUE")
    if kind == "candle":
        chosen_timeframes(timeframe, "--timeframe")
    now_ts = time.time_ns()
    from_ts, to_ts = span(from_, to, now_ts)
    if from_ts is None:
        raise SettingsError("--from is missing: from when on? 2026-11-30, -24h …")
    wanted = Wanted(
        venue=venue, instrument=instrument, from_ts=from_ts, to_ts=min(to_ts, now_ts), timeframe=timeframe if kind == "candle" else None
    )
    if note := short_lived(loaded.recorder.keep_days, from_ts, now_ts):
        sys.stderr.write(f"crosstape: {note}\n")
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="warning"), service="backfill")
    return main(lambda: run(loaded, wanted, again=again), short=True)


def short_lived(keep_days: int, from_ts: int, now_ts: int) -> str:
    """Return which days a recorder will delete of what is fetched from `from_ts` on, as a sentence; empty: none."""
    kept_ts = (now_ts - keep_days * DAY) // DAY * DAY
    if not keep_days or from_ts >= kept_ts:
        return ""
    return f"what is older than {iso(kept_ts)} is fetched, and deleted again by a recorder with recorder.keep_days = {keep_days}"


async def run(settings: Settings, wanted: Wanted, *, again: bool = False) -> Exit:
    """Fetch what is wanted into the store of the settings. Prints the progress on standard error, and a summary on standard output."""
    async with venue_pasts(settings) as pasts, open_store(settings) as store:
        if reason := pasts.reach(wanted):
            raise SettingsError(reason)
        return await Backfill(settings, pasts, store, wanted).run(again=again)


class Backfill:
    """Fetches one wanted range into a store. Run once."""

    def __init__(self, settings: Settings, pasts: VenuePasts, store: Store, wanted: Wanted) -> None:
        feed = "trade" if wanted.timeframe is None else f"candle:{wanted.timeframe}"
        self._pasts = pasts
        self._store = store
        self._wanted = wanted
        self._writer = PastWriter(store, wanted.venue, wanted.instrument, wanted.timeframe)
        self._file = ProgressFile(run_dir(settings.run), wanted.venue, wanted.instrument, feed, history_url(settings))
        self._title = f"{wanted.venue} {wanted.instrument} {feed}"
        self._counts = _Counts()
        self._rows: list[Trade | Candle] = []
        self._span: Span = (0, 0)
        """What was fetched and is not committed."""
        self._commit_s = time.monotonic()

    async def run(self, *, again: bool) -> Exit:
        """Fetch all that is not complete. `again`: and what is."""
        wanted = self._wanted
        number = await self._writer.number()
        complete = [] if again else self._file.load(number)
        if again:
            self._file.load(number)
        spans = left((wanted.from_ts, wanted.to_ts), complete)
        tapes = await self._store.tapes()
        bound = str(tapes[-1].origin) if tapes else ""
        with BackfillView(self._title, wanted.from_ts, wanted.to_ts) as view:
            self._pasts.waiting = view.waiting
            try:
                for one in spans:
                    await self._fetch(one, view, bound)
            except (asyncio.CancelledError, Exception) as exc:
                is_refused = not self._counts.requests and not isinstance(exc, asyncio.CancelledError)
                if not is_refused:  # else the venue gave nothing at all: there is nothing to go on from, and the error says all
                    await self._save()
                    view.__exit__(None, None, None)
                    self._report(spans, stopped=True)
                raise
            view.__exit__(None, None, None)
            self._report(spans, stopped=False)
        return Exit.OK

    async def _fetch(self, one: Span, view: BackfillView, bound: str) -> None:
        """Fetch one range, and commit now and then."""
        self._span = (one[0], one[0])
        self._counts.complete_to_ts = one[0]
        wanted = msgspec.structs.replace(self._wanted, from_ts=one[0], to_ts=one[1])
        async for page in self._pasts.fetch(wanted):
            self._pasts.check_origin(wanted.venue, bound)
            self._rows += page.rows
            self._counts.requests += page.requests
            self._counts.refused += page.refused
            self._span = (self._span[0], max(self._span[1], page.complete_to_ts))
            rows = self._counts.written.new + self._counts.written.known + self._counts.written.revised + len(self._rows)
            view.update(self._span[1], rows, self._counts.requests)
            if len(self._rows) >= COMMIT_ROWS or time.monotonic() - self._commit_s >= COMMIT_S:
                await self._commit()
        await self._commit()

    async def _commit(self) -> None:
        """Write what was fetched, then note that it is complete."""
        rows, done = self._rows, self._span
        self._counts.written += await self._writer.write(rows)
        self._rows = self._rows[len(rows) :]
        if done[0] < done[1]:
            await asyncio.to_thread(self._file.add, done, self._counts.written.number)
        self._counts.complete_to_ts = done[1]
        self._span = (done[1], done[1])
        self._commit_s = time.monotonic()

    async def _save(self) -> None:
        """Commit what was fetched before the end, if that can be done soon."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        try:
            async with asyncio.timeout(STOP_S):
                await self._commit()
        except Exception as exc:  # the first error is the one to report; nothing is lost, it is fetched again
            sys.stderr.write(f"crosstape: the last rows were not written, they will be fetched again: {exc}\n")

    def _report(self, spans: Sequence[Span], *, stopped: bool) -> None:
        """Print what was done, and how to go on."""
        counts, written, wanted = self._counts, self._counts.written, self._wanted
        if not spans:
            sys.stdout.write(f"{self._title}: {iso(wanted.from_ts)} to {iso(wanted.to_ts)} is in the history already; --again to compare\n")
            return
        revised = f", {written.revised:,} revised" if wanted.timeframe is not None else ""
        refused = f", {counts.refused:,} refused" if counts.refused else ""
        parts = f"{written.new:,} new{revised}, {written.known:,} known{refused}; {counts.requests:,} requests"
        until = f"complete up to {iso(counts.complete_to_ts)}" if counts.complete_to_ts else "nothing was fetched"
        sys.stdout.write(f"{self._title}: {parts}; {until}\n")
        if not self._pasts.shares_limits:
            sys.stderr.write("crosstape: no tape runs here: the venue's limit was not shared with live connectors\n")
        if stopped:
            sys.stderr.write("crosstape: stopped; the same command goes on from there\n")
        sys.stdout.flush()
