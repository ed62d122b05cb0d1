"""`crosstape repair`: fills gaps of the recorded history from the venues, and revises the bars that change by it."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter

from crosstape.bus import Client, connect
from crosstape.errors import BusError
from crosstape.history.opening import open_store
from crosstape.history.store import Store
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings
from crosstape_cli.gaps_selection import Instrument, Kind, VenueName, facts, selection, tolerance_ns
from crosstape_cli.moments import From, To, iso, span
from crosstape_cli.options import SettingsFile, load
from crosstape_cli.past_fetch import VenuePasts, venue_pasts
from crosstape_cli.server import located
from crosstape_recorder.binding import tape_of
from crosstape_recorder.fetching import Page, Wanted
from crosstape_recorder.selection import Selection
from crosstape_schemas import Bar, Keys

if TYPE_CHECKING:
    from crosstape_recorder.gaps.gap import HistoryGap
    from crosstape_recorder.repairing import Repaired

SECOND: Final = 1_000_000_000


def repair(
    instrument: Instrument = None,
    /,
    *,
    venue: VenueName = None,
    kind: Kind = None,
    from_: From = None,
    to: To = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Show what would be fetched, and what cannot be, and change nothing.")] = False,
    settings: SettingsFile = None,
) -> Exit:
    """Fill the gaps that `crosstape gaps` lists by REST from the venues, within their limits: trades and candles, each once.

    What came is written to the store page by page, then that the gap is closed, and how many of it never existed. Stop it when you like:
    the next run goes on, and a run after the last one has nothing to do. What cannot be repaired stays listed, with the reason.

    Bars of times that the aggregator does not revise any more (aggregator.bar_history_s) are computed again from all recorded trades, and
    published on the tape with the next revision where they changed. That needs the server of the tape; bars of later times wait until a
    later run.
    """
    loaded = load(settings)
    now_ts = time.time_ns()
    wanted = selection(loaded, instrument, venue, kind, times=span(from_, to, now_ts), now_ts=now_ts)
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="warning"), service="repair")
    return main(lambda: _repair(loaded, wanted, dry_run=dry_run), short=True)


async def _repair(settings: Settings, wanted: Selection, *, dry_run: bool) -> Exit:
    async with venue_pasts(settings) as pasts, open_store(settings) as store:
        if dry_run:
            from crosstape_cli.gaps import print_gaps  # noqa: PLC0415

            await print_gaps(settings, store, wanted, pasts.reach, as_lines=False)
            return Exit.OK
        newest_ts = await _fill(settings, store, pasts, wanted)
        try:
            async with connect(located(settings).bus) as client:
                bars = await revise(settings, store, client, wanted, say=lambda text: sys.stderr.write(f"crosstape: {text}\n"))
        except BusError as exc:
            sys.stderr.write(f"crosstape: bars were not revised, a later run does it: {exc}\n")
            return Exit.OK
        if note := waiting_bars(settings, newest_ts, time.time_ns()):
            sys.stderr.write(f"crosstape: {note}\n")
    if bars:
        sys.stdout.write(f"{bars:,} bars were revised on the tape\n")
    return Exit.OK


def waiting_bars(settings: Settings, newest_ts: int, now_ts: int) -> str:
    """Return when bars of repaired trades are made again, if that is not now. `newest_ts`: the end of the newest of them; 0: none came."""
    from crosstape_recorder.revising import SETTLED_NS  # noqa: PLC0415 - after `open_store` has said which extra is missing

    ready_ts = newest_ts + int(settings.aggregator.bar_history_s * SECOND) + SETTLED_NS
    if not newest_ts or ready_ts <= now_ts:
        return ""
    return (
        f"bars of the newest of these times are made again by the next `crosstape repair` after {iso(ready_ts // SECOND * SECOND)}:"
        " until then they are the aggregator's (aggregator.bar_history_s and 2 minutes)"
    )


async def _fill(settings: Settings, store: Store, pasts: VenuePasts, wanted: Selection) -> int:
    """Print what became of each gap. Returns the end of the newest of which trades came, ns; 0: of none."""
    from crosstape_cli.gaps import nothing_missing  # noqa: PLC0415 - after `open_store` has said which extra is missing
    from crosstape_cli.gaps_view import outcome  # noqa: PLC0415

    count = newest_ts = 0
    async for done in fill(settings, store, pasts, wanted):
        count += 1
        if done.came and done.gap.feed.kind == "trade":
            newest_ts = max(newest_ts, done.gap.to_ts)
        sys.stdout.write(f"{outcome(done)}\n")
        sys.stdout.flush()
    if not count:
        sys.stdout.write(f"{await nothing_missing(settings, store, wanted)}\n")
    return newest_ts


async def fill(
    settings: Settings, store: Store, pasts: VenuePasts, wanted: Selection, leave: Callable[[HistoryGap], bool] = lambda gap: False
) -> AsyncIterator[Repaired]:
    """Repair all gaps of a selection, but those to `leave`; yields what became of each.

    Raises `HistoryError` for the store, `WrongTape` for venues of another origin than the history.
    """
    from crosstape_recorder.examining import examine  # noqa: PLC0415 - after `open_store` has said which extra is missing
    from crosstape_recorder.repairing import Repair  # noqa: PLC0415

    tapes = await store.tapes()
    fetch = _OfOneOrigin(pasts, str(tapes[-1].origin) if tapes else "")
    found = await examine(store, wanted, facts, tolerance_ns=tolerance_ns(settings))
    async for done in Repair(store, fetch, facts, tolerance_ns=tolerance_ns(settings)).run(found, leave):
        yield done


async def revise(settings: Settings, store: Store, client: Client, wanted: Selection, *, say: Callable[[str], object]) -> int:
    """Publish the bars that repairs of a selection have changed; returns how many. Raises `HistoryError`, `BusError`."""
    from crosstape_recorder import corrections  # noqa: PLC0415
    from crosstape_recorder.revising import Revision, RevisionRules, repairs_of  # noqa: PLC0415

    if "trade" not in wanted.kinds:
        return 0
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    tapes, here = await store.tapes(), await tape_of(client, keys)
    if tapes and here.id != tapes[-1].id:
        say(f"bars were not revised: the history is of the tape {tapes[-1].id}, and the server has {here.id or 'none'}")
        return 0
    aggregator = settings.aggregator
    rules = RevisionRules(int(aggregator.bar_history_s * SECOND), tolerance_ns(settings))

    async def taped(instrument: str, timeframe: str) -> list[Bar]:
        return await corrections.closed_bars(client, keys, instrument, timeframe)

    revision = Revision(store, facts, rules, taped)
    count = 0
    for instrument, repairs in sorted((await repairs_of(store, wanted)).items()):
        bars = await revision.bars(instrument, repairs, time.time_ns())
        await corrections.publish(client, keys, settings.bus, bars)
        count += len(bars)
    return count


class _OfOneOrigin:
    """Fetches from venues whose answers belong into the history: never from live ones into that of a simulation."""

    def __init__(self, pasts: VenuePasts, bound: str) -> None:
        self._pasts = pasts
        self._bound = bound

    def reach(self, wanted: Wanted) -> str:
        """See `Fetch`."""
        return self._pasts.reach(wanted)

    async def fetch(self, wanted: Wanted) -> AsyncIterator[Page]:
        """See `Fetch`. Raises `WrongTape` as well."""
        async for page in self._pasts.fetch(wanted):
            self._pasts.check_origin(wanted.venue, self._bound)
            yield page
