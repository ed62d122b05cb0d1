"""`crosstape check-bars`: compares the bars on a tape with the candles that venues publish."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from crosstape.bus import Client, connect
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.errors import BusError
from crosstape.runtime.lifecycle import Exit, main
from crosstape.runtime.telemetry import configure_logging
from crosstape.settings import Settings, shown
from crosstape.tape.connection import LATE
from crosstape_aggregator.checks.candle_compare import FIELDS, can_be_compared, differences, is_sound
from crosstape_cli.follow import reachable, streams
from crosstape_cli.instrument_names import instrument_names
from crosstape_cli.options import SettingsFile, chosen_timeframes, load
from crosstape_cli.server import located
from crosstape_cli.stream_events import stream_events
from crosstape_schemas import BAR, CANDLE, CONSOLIDATED, TIMEFRAMES, Bar, Candle, Keys

SECOND_NS: Final = 1_000_000_000
HEADINGS: Final = ("venue", "timeframe", "compared", "differ", "fields", "first example")


class Example(msgspec.Struct, frozen=True):
    """The first difference that was found."""

    instrument: str
    open_ts: int
    field: str
    bar: str
    candle: str


class Result(msgspec.Struct):
    """The comparison of all bars of one venue and timeframe."""

    venue: str
    timeframe: str
    compared: int = 0
    differ: int = 0
    """How many of these bars differ from their candle."""
    fields: Counter[str] = msgspec.field(default_factory=Counter)
    """Field → in how many of them it differs."""
    example: Example | None = None

    def add(self, bar: Bar, candle: Candle) -> None:
        """Compare a bar with its candle."""
        found = differences(bar, candle)
        self.compared += 1
        self.differ += bool(found)
        self.fields.update(one.field for one in found)
        if found and self.example is None:
            self.example = Example(bar.instrument, bar.open_ts, found[0].field, *found[0].texts)


def check_bars(
    *instruments: Annotated[str, Parameter(help="Instruments to check, in any spelling: BTC-USDT eth/usd …; default: all on the tape.")],
    timeframe: Annotated[str, Parameter(help="Timeframes to check, divided by commas: 1m,1h; default: all on the tape.")] = "",
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object per line: of each venue and timeframe.")] = False,
    settings: SettingsFile = None,
) -> Exit:
    """Compare the closed bars on the tape, which the aggregator builds from trades, with the candles that the venues publish.

    It reads both as far back as their streams reach, and compares complete bars, each with the highest revision of both sides: high, low,
    close, volume, trades, and open where a venue's candle opens with its first trade.

    Bars of venues that publish no candles of the timeframe are not compared: standard error names them.

    It exits with 0 if no bar differs from its candle, with 1 if one does, and with 5 if there was nothing to compare: bars are built if
    aggregator.bars names a timeframe, and candles are there if venues.VENUE.candles names the same one.
    """
    timeframes = chosen_timeframes(timeframe, "--timeframe") or TIMEFRAMES
    loaded = located(load(settings))
    configure_logging(msgspec.structs.replace(loaded.telemetry, log_level="error"), service="check-bars")
    return main(lambda: _check(loaded, instruments, timeframes, as_json=json))


async def _check(settings: Settings, instruments: Sequence[str], timeframes: Sequence[str], *, as_json: bool) -> Exit:
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with connect(settings.bus) as client:
        await reachable(client)
        names = await instrument_names(client, keys)
        instruments = tuple(dict.fromkeys(map(names.meant, instruments)))
        try:
            found = await compare(client, keys, instruments, timeframes)
            unknown, alone = await left_out(client, keys, instruments, timeframes)
        except UNAVAILABLE as exc:
            raise BusError(f"the server does not answer: {exc}") from exc
    compared = sum(one.compared for one in found)
    for row in map(as_line, found) if as_json else table(found) if found else ():
        sys.stdout.write(f"{row}\n")
    where = shown(settings.bus.url)
    if unknown:
        sys.stderr.write(f"crosstape: {where} has neither bars nor candles of {names.listed(unknown)}\n")
    if alone:
        text = "; ".join(f"{timeframe} of {', '.join(venues)}" for timeframe, venues in alone.items())
        sys.stderr.write(f"crosstape: not compared, because the tape has no such candles: {text}\n")
    if not compared:
        if len(unknown) < len(instruments) or not instruments:
            sys.stderr.write(
                f"crosstape: {where} has no complete bar beside a closed candle of the same venue and timeframe: "
                "set aggregator.bars and venues.VENUE.candles to the same timeframes\n"
            )
        return Exit.UNPROVEN
    return Exit.FAILED if any(one.differ for one in found) else Exit.OK


async def compare(client: Client, keys: Keys, instruments: Sequence[str], timeframes: Sequence[str]) -> list[Result]:
    """Returns the results by timeframe and venue. It holds the candles of one stream at a time. Raises one of `UNAVAILABLE`."""
    found: dict[tuple[str, str], Result] = {}
    for timeframe in timeframes:
        bar_streams = set(await streams(client, keys, f"{BAR}{timeframe}"))
        for stream in await streams(client, keys, f"{CANDLE}{timeframe}"):
            _, instrument = keys.parse(stream) or ("", "")
            name = keys.stream(f"{BAR}{timeframe}", instrument)
            if name not in bar_streams or (instruments and instrument not in instruments):
                continue
            candles: dict[tuple[str, int], Candle] = {}
            async for event in stream_events(client, stream):
                if isinstance(event, Candle) and event.closed and is_sound(event):
                    _keep_newer(candles, event)
            bars: dict[tuple[str, int], Bar] = {}
            async for event in stream_events(client, name):
                if isinstance(event, Bar) and event.closed and (event.venue, event.open_ts) in candles:
                    _keep_newer(bars, event)
            for key, bar in bars.items():
                if can_be_compared(bar):
                    found.setdefault((timeframe, bar.venue), Result(bar.venue, timeframe)).add(bar, candles[key])
    return [found[key] for key in sorted(found, key=lambda key: (TIMEFRAMES.index(key[0]), key[1]))]


async def left_out(
    client: Client, keys: Keys, instruments: Sequence[str], timeframes: Sequence[str]
) -> tuple[list[str], dict[str, list[str]]]:
    """Returns which of these instruments have neither bars nor candles, and timeframe → venues with bars and no candles.

    Raises one of `UNAVAILABLE`.
    """
    known: set[str] = set()
    alone: dict[str, list[str]] = {}
    for timeframe in timeframes:
        kinds = f"{BAR}{timeframe}", f"{CANDLE}{timeframe}"
        venues: dict[str, set[str]] = {kind: set() for kind in kinds}
        for stream in await streams(client, keys, *kinds):
            kind, instrument = keys.parse(stream) or ("", "")
            if not instruments or instrument in instruments:
                known.add(instrument)
                fields = [name.decode() for name in await execute(client, "HKEYS", keys.last(kind, instrument))]
                venues[kind] |= {name for name in fields if not name.endswith(LATE)}
        bars, candles = (venues[kind] for kind in kinds)
        if without := sorted(bars - candles - {CONSOLIDATED}):
            alone[timeframe] = without
    return [name for name in dict.fromkeys(instruments) if name not in known], alone


def _keep_newer(kept: dict[tuple[str, int], Any], event: Bar | Candle) -> None:
    key = event.venue, event.open_ts
    before = kept.get(key)
    if before is None or event.revision >= before.revision:
        kept[key] = event


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yields the results as lines of text, a line for each venue and timeframe."""
    rows = [HEADINGS, *map(_cells, results)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def as_line(result: Result) -> str:
    """Returns the result as JSON."""
    return msgspec.json.encode(result).decode()


def _cells(result: Result) -> tuple[str, ...]:
    fields = ", ".join(f"{name} {result.fields[name]}" for name in FIELDS if result.fields[name])
    one = result.example
    example = "" if one is None else f"{one.instrument} {_utc(one.open_ts)} {one.field}: bar {one.bar}, candle {one.candle}"
    return result.venue, result.timeframe, str(result.compared), str(result.differ), fields, example


def _utc(ts: int) -> str:
    return f"{dt.datetime.fromtimestamp(ts // SECOND_NS, dt.UTC):%Y-%m-%d %H:%M:%S}"
