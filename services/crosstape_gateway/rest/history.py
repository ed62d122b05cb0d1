"""Answers from streams: trades, bars, candles, gaps, as far back as the tape has them."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from crosstape_gateway.errors import RequestError
from crosstape_gateway.parts import PARTS, Parts
from crosstape_gateway.rest import bus
from crosstape_gateway.rest.answers import rows_answer
from crosstape_gateway.rest.bars import newest_bars
from crosstape_gateway.rest.closed_bars import CLOSED_BARS
from crosstape_gateway.rest.entries import Budget, Found, Range, Row, newest_rows, next_rows
from crosstape_gateway.rest.instruments import instrument, instruments, venue
from crosstape_gateway.rest.parameters import Parameters
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
    stream = parts.keys.stream("trade", await instrument(parts, parameters))
    async with bus.large_read(request.app), bus.reading(parts):
        found = await (next_rows if wanted.after else newest_rows)(parts, stream, wanted, Budget())
    return _answer("trades", found, as_text)


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
    if (f"{kind}:{timeframe}", which) not in parts.catalogue.streams:
        raise _not_on_tape(parts, kind, timeframe, which)
    stream = parts.keys.stream(f"{kind}:{timeframe}", which)
    async with bus.large_read(request.app), bus.reading(parts):
        found = await newest_bars(parts, stream, wanted, request.app[CLOSED_BARS].of(stream) if of == CONSOLIDATED else ())
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


def _answer(name: str, found: Found, as_text: bool) -> web.Response:
    places = {place: value for place, value in (("before", found.oldest), ("after", found.newest)) if value}
    return rows_answer(name, (row.data for row in found.rows), more=found.more, ids_as=places, whole_numbers_as_text=as_text)


def _not_on_tape(parts: Parts, kind: str, timeframe: str, which: str) -> RequestError:
    """Returns an error that names the timeframes that there are."""
    have = [name for name in TIMEFRAMES if (f"{kind}:{name}", which) in parts.catalogue.streams]
    if have:
        return RequestError(404, "no_such_timeframe", f"{which} has {kind}s of {', '.join(have)}, and none of {timeframe}")
    setting = "aggregator.bars sets which are built" if kind == "bar" else "candles in [venues.VENUE] sets which are published"
    return RequestError(404, "not_on_tape", f"the tape has no {kind}s of {which}; {setting}")
