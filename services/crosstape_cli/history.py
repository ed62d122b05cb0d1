"""`crosstape history`: prints what was recorded, for people and other programs."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
from cyclopts import Parameter

from crosstape.errors import HistoryError, SettingsError, UnknownName
from crosstape.history.opening import history_url, open_store
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings, shown
from crosstape.tape.selection import FRAMED, select
from crosstape_cli.history_absent import why_nothing
from crosstape_cli.instrument_names import InstrumentNames
from crosstape_cli.moments import From, To, span
from crosstape_cli.options import SettingsFile, load
from crosstape_schemas import CONSOLIDATED, KINDS, VENUE_WIDE
from crosstape_schemas.timeframes import close_of, open_of

if TYPE_CHECKING:
    import pyarrow as pa

Format: TypeAlias = Literal["jsonl", "csv", "parquet"]

STDOUT: Final = "-"


def history(
    kind: Annotated[str, Parameter(help="Kind of events: trade, quote, candle:1m, bar:1h …")],
    instrument: Annotated[str | None, Parameter(help="Instrument: BTC-USDT. Of statuses and gaps, * is a venue as a whole.")] = None,
    /,
    *,
    from_: From = None,
    to: To = None,
    venue: Annotated[str | None, Parameter(help="Venue, or `consolidated`; default: all.")] = None,
    limit: Annotated[int | None, Parameter(help="The newest rows, at most so many.")] = None,
    timeframe: Annotated[str | None, Parameter(help="Of candles and bars, if KIND does not name it: 1m.")] = None,
    from_trades: Annotated[
        bool, Parameter(negative="", help="Compute candles from the recorded trades: of --venue, else of all together alone.")
    ] = False,
    revisions: Annotated[bool, Parameter(negative="", help="All recorded revisions of candles and bars, not the newest alone.")] = False,
    format: Annotated[Format | None, Parameter(help="jsonl, csv or parquet; default: by the name of --output.")] = None,  # noqa: A002
    output: Annotated[str, Parameter(help="File to write; - is standard output.")] = STDOUT,
    files: Annotated[bool, Parameter(negative="", help="Print the files of KIND that other engines may read, one per line.")] = False,
    settings: SettingsFile = None,
) -> Exit:
    """Print recorded events, oldest first: each once, as JSON lines byte for byte as they were on the tape, as CSV, or as a Parquet file.

    --from and --to are the events' own time: of a trade when it was made, of a candle or bar when it opened, of a gap when it began, of a
    computed event the time for which it is true, of all others when they were received. What was received within the last
    recorder.commit_s may not be in the store yet; the streams of the tape have it.

    With --from-trades, `candle:1m` and `bar:1m` are candles of the recorded trades, exact, by the method of bars (bar/1): of the venue that
    --venue names; without it of all together, as `consolidated`, and not of each. Intervals without trades have none. They are those that
    opened within --from and --to, each with all its trades.
    """
    loaded = load(settings)
    query = _query(kind, instrument, venue, timeframe, limit, files=files)
    from_ts, to_ts = span(from_, to, time.time_ns())
    query = msgspec.structs.replace(query, from_ts=from_ts, to_ts=to_ts if to is not None else None, newest_revisions=not revisions)
    if from_trades and query.kind not in FRAMED:
        raise SettingsError(f"--from-trades: it makes candles, and {kind} is none: write candle:1m")
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="error"), service="history")
    chosen = format_of(format, output)
    if files:
        return main(lambda: _print_files(loaded, query), short=True)
    return main(lambda: _print_rows(loaded, query, chosen, output, from_trades=from_trades), short=True)


def _query(kind: str, instrument: str | None, venue: str | None, timeframe: str | None, limit: int | None, *, files: bool) -> Query:
    """Return what is meant, without its times. Raises `SettingsError` or `UnknownName`, which name what there is."""
    tag, _, named = kind.partition(":")
    if timeframe is not None and named not in ("", timeframe):
        raise SettingsError(f"--timeframe {timeframe}: {kind} names another one")
    if limit is not None and limit < 1:
        raise SettingsError(f"--limit {limit}: it is at least 1")
    if files:
        if tag not in KINDS:
            select(tag, ("BTC-USDT",), None)  # raises, with the nearest kind
        return Query(kind=tag)
    if instrument is None:
        raise SettingsError(f"name the instrument: crosstape history {kind} BTC-USDT")
    framed = f"{tag}:{named or timeframe}" if tag in FRAMED and (named or timeframe) else kind
    if timeframe is not None and tag not in FRAMED:
        raise UnknownName(f"--timeframe {timeframe}: {tag} has no timeframe")
    name = instrument if instrument == VENUE_WIDE else InstrumentNames(()).meant(instrument)
    select(framed, (name,), venue)
    return Query(kind=tag, instrument=name, venue=venue, timeframe=framed.partition(":")[2] or None, limit=limit)


def format_of(chosen: Format | None, output: str) -> Format:
    """Returns the format: that of the option, else what the file's name ends with, else JSON lines. Raises `SettingsError`."""
    ending = Path(output).suffix.lower()
    named: dict[str, Format] = {".csv": "csv", ".parquet": "parquet"}
    format_ = chosen or named.get(ending, "jsonl")
    if format_ == "parquet" and output == STDOUT:
        raise SettingsError("--format parquet needs a file: --output FILE")
    return format_


async def _print_rows(settings: Settings, query: Query, format_: Format, output: str, *, from_trades: bool) -> Exit:
    async with open_store(settings) as store:
        from crosstape_cli.history_output import opened  # noqa: PLC0415 - after `open_store` has said which extra is missing

        tables = _computed(store, query) if from_trades else store.read(query)
        rows = 0
        try:
            with opened(format_, output) as out:
                async for table in tables:
                    out.write(table)
                    rows += len(table)
        except BrokenPipeError:  # the reader of our output has closed the pipe, as `head` does
            return Exit.OK
        if not rows:
            sys.stderr.write(f"crosstape: {await why_nothing(settings, store, query, from_trades=from_trades)}\n")
    return Exit.OK


async def _computed(store: Store, query: Query) -> AsyncIterator[pa.Table]:
    """Yield the candles that opened in the range of a query, computed from trades."""
    import pyarrow as pa  # noqa: PLC0415 - it needs an extra

    timeframe = query.timeframe or "1m"
    trades = msgspec.structs.replace(
        query,
        kind="trade",
        timeframe=None,
        venue=None if query.venue == CONSOLIDATED else query.venue,
        from_ts=None if query.from_ts is None else _next_open(timeframe, query.from_ts),
        to_ts=None if query.to_ts is None else _next_open(timeframe, query.to_ts),
    )
    if trades.from_ts is not None and trades.from_ts == trades.to_ts:
        return
    found = await store.candles(trades, timeframe)
    if not len(found):
        return
    count = len(found)
    said: dict[str, Any] = {"venue": query.venue or CONSOLIDATED, "instrument": query.instrument, "timeframe": timeframe}
    columns = {name: pa.array([value] * count, pa.string()) for name, value in said.items()}
    columns["open_ts"] = found.column("open_ts")
    columns["close_ts"] = pa.array([close_of(timeframe, ts) for ts in found.column("open_ts").to_pylist()], pa.int64())
    columns |= {name: found.column(name) for name in found.column_names if name != "open_ts"}
    yield pa.table(columns)


def _next_open(timeframe: str, ts: int) -> int:
    """Return when the first interval begins that does not begin before `ts`."""
    open_ts = open_of(timeframe, ts)
    return open_ts if open_ts == ts else close_of(timeframe, open_ts)


async def _print_files(settings: Settings, query: Query) -> Exit:
    """Print the files that hold each commit once. Other files of the folder may hold the same rows again."""
    async with open_store(settings) as store:
        from crosstape.history.parquet.store import ParquetStore  # noqa: PLC0415 - it needs an extra

        if not isinstance(store, ParquetStore):
            raise HistoryError(f"{shown(history_url(settings))}: this history is in a database, it has no files")
        found = await store.visible_files(query)
    for name in found.names:
        sys.stdout.write(f"{found.place}/{name}\n")
    return Exit.OK
