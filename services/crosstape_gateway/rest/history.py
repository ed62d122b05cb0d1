"""Answers from streams: trades, bars, candles, gaps, as far back as the tape has them; all but gaps beyond it from the recorded history."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from crosstape.history.query import Query
from crosstape_gateway.errors import RequestError
from crosstape_gateway.hub.item import parse_id
from crosstape_gateway.parts import PARTS, Parts
from crosstape_gateway.rest import bus
from crosstape_gateway.rest.answers import rows_answer
from crosstape_gateway.rest.bars import newest_bars
from crosstape_gateway.rest.closed_bars import CLOSED_BARS
from crosstape_gateway.rest.entries import Budget, Found, Range, Row, newest_rows, next_rows
from crosstape_gateway.rest.instruments import instrument, instruments, venue
from crosstape_gateway.rest.parameters import Parameters
from crosstape_gateway.rest.recorded import FoundTrades, Place, first_entry, next_trades, older_trades, with_recorded_bars
from crosstape_gateway.topics import ALL, VENUE
from crosstape_schemas import CONSOLIDATED, TIMEFRAMES

ROWS: Final = 500
"""Rows in an answer if the request does not say how many."""
_RANGE: Final = ("from_ts", "to_ts", "limit")
TRADES: Final = ("instrument", "symbol", "venue", *_RANGE, "after", "before", "ints")
BARS: Final = ("instrument", "symbol", "timeframe", "venue", *_RANGE, "ints")
CANDLES: Final = ("symbol", "instrument", "timeframe", "venue", *_RANGE, "ints")
GAPS: Final = ("instrument", "symbol", "venue", *_RANGE, "ints")


async def trades(request: web.Request) -> web.Response:
    """Trades of an instrument, oldest first: the newest of a range, or those behind an entry."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, TRADES)
    as_text = parameters.whole_numbers_as_text()
    wanted = _range(parts, parameters, await venue(parts, parameters))
    which = await instrument(parts, parameters)
    stream = parts.keys.stream("trade", which)
    if Place.parse(wanted.before) is not None:  # a page of the history alone
        if parts.store is None:
            raise RequestError(400, "bad_id", f"before = {wanted.before}: this gateway has no recorded history")
        return _answer("trades", Found([], False, "", ""), as_text, await older_trades(request, which, wanted, "", wanted.limit))
    if wanted.after:
        return _answer("trades", await _trades_after(request, which, stream, wanted), as_text)
    async with bus.large_read(request.app), bus.reading(parts):
        found = await newest_rows(parts, stream, wanted, Budget())
        if found.more or parts.store is None:
            return _answer("trades", found, as_text)
        border = found.oldest or await first_entry(request, stream)  # what was read may have left the stream meanwhile
    if wanted.before and (not border or parse_id(wanted.before) < parse_id(border)):
        border = wanted.before
    try:
        older = await older_trades(request, which, msgspec.structs.replace(wanted, before=""), border, wanted.limit - len(found.rows))
    except RequestError:
        if not found.rows:
            raise
        older = FoundTrades([], True, "")
    return _answer("trades", found, as_text, older)


async def _trades_after(request: web.Request, which: str, stream: str, wanted: Range) -> Found:
    """Return the oldest trades behind an id: what the stream has no more comes from the history. Raises `RequestError` if it is away."""
    parts = request.app[PARTS]
    async with bus.large_read(request.app), bus.reading(parts):
        found = await next_rows(parts, stream, wanted, Budget())
        if parts.store is None:
            return found
        first = await first_entry(request, stream)  # after reading: what was trimmed before that is looked for in the history
    if first and parse_id(first) <= parse_id(wanted.after):
        return found
    earlier = await next_trades(request, which, wanted, found.oldest)
    rows = [*earlier, *found.rows]
    if len(rows) > wanted.limit:
        rows = rows[: wanted.limit]
        return Found(rows, True, rows[0].id, rows[-1].id)
    return Found(rows, found.more, earlier[0].id if earlier else found.oldest, found.newest)


async def bars(request: web.Request) -> web.Response:
    """Bars of an instrument that the aggregator built: of one venue, or of all together."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, BARS)
    return await _bars(request, parameters, "bars", ("bar", await venue(parts, parameters) or CONSOLIDATED))


async def candles(request: web.Request) -> web.Response:
    """Candles of an instrument as a venue publishes them; without a venue, the bars of all venues together."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, CANDLES)
    of = await venue(parts, parameters)
    return await _bars(request, parameters, "candles", ("bar", CONSOLIDATED) if of in ("", CONSOLIDATED) else ("candle", of))


async def gaps(request: web.Request) -> web.Response:
    """Gaps of an instrument, or of all instruments and of whole venues, oldest first."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, GAPS)
    as_text = parameters.whole_numbers_as_text()
    of = await venue(parts, parameters)
    wanted = _range(parts, parameters, of, type="gap")
    streams = [parts.keys.stream("gap", name) for name in await instruments(parts, parameters, "gap")]
    if parameters.text("instrument", "symbol") in ("", ALL):
        streams += [parts.keys.venue(name) for kind, name in sorted(parts.catalogue.streams) if kind == VENUE and of in ("", name)]
    rows: list[Row] = []
    more = False
    async with bus.large_read(request.app), bus.reading(parts):
        budget = Budget()
        for stream in streams:
            found = await newest_rows(parts, stream, wanted, budget)
            rows += found.rows
            more = more or found.more
    rows.sort(key=lambda row: row.head.received_ts)
    newest = rows[-wanted.limit :]
    return rows_answer("gaps", (row.data for row in newest), more=more or len(rows) > wanted.limit, whole_numbers_as_text=as_text)


async def _bars(request: web.Request, parameters: Parameters, name: str, source: tuple[str, str]) -> web.Response:
    """Returns bars or candles under `name`; `source` is their kind and venue."""
    parts, (kind, of) = request.app[PARTS], source
    as_text = parameters.whole_numbers_as_text()
    timeframe = parameters.timeframe()
    wanted = _range(parts, parameters, of)
    which = await instrument(parts, parameters)
    is_there = (f"{kind}:{timeframe}", which) in parts.catalogue.streams
    if not is_there and parts.store is None:
        raise _not_on_tape(parts, kind, timeframe, which)
    stream = parts.keys.stream(f"{kind}:{timeframe}", which)
    async with bus.large_read(request.app), bus.reading(parts):
        found = await newest_bars(parts, stream, wanted, request.app[CLOSED_BARS].of(stream) if of == CONSOLIDATED else ())
    recorded = Query(kind=kind, instrument=which, timeframe=timeframe)
    found = await with_recorded_bars(request, recorded, wanted, found)
    if not is_there and not found.rows:
        raise _not_on_tape(parts, kind, timeframe, which)
    return rows_answer(name, found.rows, more=found.more, whole_numbers_as_text=as_text)


def _range(parts: Parts, parameters: Parameters, of: str, **more: Any) -> Range:
    from_ts, to_ts = parameters.time("from_ts"), parameters.time("to_ts")
    if from_ts is not None and to_ts is not None and from_ts >= to_ts:
        raise RequestError(400, "bad_time", f"from_ts = {from_ts} is not before to_ts = {to_ts}")
    after, before = parameters.entry_id("after"), parameters.entry_id("before")
    if after and before:
        raise RequestError(400, "repeated_parameter", "after and before: leave one out")
    limit = parameters.count("limit", ROWS, parts.settings.rows)
    return Range(limit, of, from_ts, to_ts, before, after, **more)


def _answer(name: str, found: Found, as_text: bool, older: FoundTrades | None = None) -> web.Response:
    older = older or FoundTrades([], False, "")
    places = {place: value for place, value in (("before", older.before or found.oldest), ("after", found.newest)) if value}
    rows = [*older.rows, *(row.data for row in found.rows)]
    return rows_answer(name, rows, more=found.more or older.more, ids_as=places, whole_numbers_as_text=as_text)


def _not_on_tape(parts: Parts, kind: str, timeframe: str, which: str) -> RequestError:
    """Returns an error that names the timeframes that there are."""
    have = [name for name in TIMEFRAMES if (f"{kind}:{name}", which) in parts.catalogue.streams]
    if have:
        return RequestError(404, "no_such_timeframe", f"{which} has {kind}s of {', '.join(have)}, and none of {timeframe}")
    setting = "aggregator.bars sets which are built" if kind == "bar" else "candles in [venues.VENUE] sets which are published"
    return RequestError(404, "not_on_tape", f"the tape has no {kind}s of {which}; {setting}")
