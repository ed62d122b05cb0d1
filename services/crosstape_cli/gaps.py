"""`crosstape gaps`: lists what the recorded history lacks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console

from crosstape.history.opening import history_url, open_store
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings, shown
from crosstape_cli.gaps_selection import Instrument, Kind, VenueName, facts, reach, selection, tolerance_ns
from crosstape_cli.moments import From, To, span
from crosstape_cli.options import SettingsFile, load
from crosstape_recorder.fetching import Wanted
from crosstape_recorder.selection import Selection
from crosstape_schemas import VENUE_WIDE, decode

WIDTH: Final = 100
"""Columns of the table where the output is no terminal."""


def gaps(
    instrument: Instrument = None,
    /,
    *,
    venue: VenueName = None,
    kind: Kind = None,
    from_: From = None,
    to: To = None,
    format: Annotated[Literal["table", "jsonl"], Parameter(help="A table, or one JSON object per line.")] = "table",  # noqa: A002
    settings: SettingsFile = None,
) -> Exit:
    """List what the recorded history lacks: gaps that were reported and not repaired, and what is missing without a report.

    That is: entries of the tape that were not recorded, trades by their ids where a venue's count by one, candles where a venue publishes
    each, and times in which nobody recorded. Each gap says when it is, how many events are missing if that is known, why, where it was
    seen, and whether `crosstape repair` can fill it from the venue, or why not.

    Without --from it looks at all that was recorded. What came within the last minutes is left out: it may not be in the store yet.
    """
    loaded = load(settings)
    now_ts = time.time_ns()
    wanted = selection(loaded, instrument, venue, kind, times=span(from_, to, now_ts), now_ts=now_ts)
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="error"), service="gaps")
    return main(lambda: _list(loaded, wanted, now_ts, as_lines=format == "jsonl"), short=True)


async def _list(settings: Settings, wanted: Selection, now_ts: int, *, as_lines: bool) -> Exit:
    async with open_store(settings) as store:
        await print_gaps(settings, store, wanted, lambda one: reach(one, now_ts), as_lines=as_lines)
    return Exit.OK


async def print_gaps(settings: Settings, store: Store, wanted: Selection, reach: Callable[[Wanted], str], *, as_lines: bool) -> None:
    """Print what the history lacks. Raises `HistoryError`."""
    from crosstape_cli.gaps_view import as_line, notes, table, to_seconds  # noqa: PLC0415 - after `open_store` has said which extra is missing
    from crosstape_recorder.examining import examine  # noqa: PLC0415
    from crosstape_recorder.gaps.stretches import listed  # noqa: PLC0415
    from crosstape_recorder.repairing import judged  # noqa: PLC0415

    tolerance = tolerance_ns(settings)
    found = await examine(store, wanted, facts, tolerance_ns=tolerance)
    lines = listed(judged(found.gaps, reach, tolerance_ns=tolerance, now_ts=time.time_ns()), found.venues)
    if as_lines:
        for one in lines:
            sys.stdout.write(f"{as_line(one)}\n")
        return
    if lines:
        Console(width=None if sys.stdout.isatty() else WIDTH).print(table(lines))
        sys.stdout.writelines(f"{note}\n" for note in notes(lines))
    else:
        sys.stdout.write(f"{await nothing_missing(settings, store, wanted)}\n")
    if found.until_ts is not None and found.until_ts < wanted.to_ts:
        sys.stdout.write(f"recorded up to {to_seconds(found.until_ts)}\n")


async def nothing_missing(settings: Settings, store: Store, wanted: Selection) -> str:
    """Return what to say where nothing is missing, and up to when that was looked at. Raises `HistoryError`."""
    from crosstape_cli.gaps_view import to_seconds  # noqa: PLC0415 - after `open_store` has said which extra is missing

    is_new = not any([(await store.position(kind)).number for kind in wanted.kinds])
    newest = await store.last(Query(kind="status", instrument=VENUE_WIDE))
    looked_ts = wanted.to_ts if newest is None else min(decode(newest).received_ts, wanted.to_ts)
    looked = f"nothing is missing up to {to_seconds(looked_ts)}, as far as the history can show it"
    text = "nothing was recorded yet" if is_new else looked
    return f"{shown(history_url(settings))}: {text}"
