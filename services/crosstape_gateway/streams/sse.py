"""Server-Sent Events: `/api/stream` for topics, `/api/candles/stream` for the candles of one instrument."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import hdrs, web

from crosstape.version import __version__
from crosstape_gateway.errors import RequestError
from crosstape_gateway.hub.item import Item
from crosstape_gateway.hub.wire import Options, Transfer
from crosstape_gateway.messages import Connected, encode
from crosstape_gateway.parts import PARTS
from crosstape_gateway.rest.instruments import ensure_known
from crosstape_gateway.streams import query as q
from crosstape_gateway.streams.connection import transport_of
from crosstape_gateway.symbols import instrument_of
from crosstape_gateway.topics import Topic
from crosstape_schemas import CONSOLIDATED, TIMEFRAMES

STREAM_NAMES: Final = frozenset({"topics", "after", "gather_ms", "last", "ints"})
CANDLE_NAMES: Final = frozenset({"symbol", "timeframe", "venue", "after", "gather_ms", "last", "ints"})
HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # else nginx keeps events until it has 8 KiB of them
}


class CandlesConnected(msgspec.Struct, frozen=True, tag_field="type", tag="connected"):
    """The first message of `/api/candles/stream`."""

    symbol: str
    """As the client wrote it."""
    instrument: str
    timeframe: str
    venue: str
    ts: int
    """The gateway's clock."""


async def stream(request: web.Request) -> web.StreamResponse:
    """`GET /api/stream?topics=…`. See `docs/reference/gateway.md`."""
    parts = request.app[PARTS]
    q.check_names(request.query, STREAM_NAMES)
    topics = q.topics_of(request.query.getall("topics", []))
    parts.hub.check_topics(topics)
    resume = q.resume_id(request.query, request.headers.get("Last-Event-ID", ""))
    heartbeat_s = parts.settings.heartbeat_s
    options = _options(request, candle_updates=False)
    resolved = await parts.hub.resolve(topics)
    connected = Connected(__version__, q.names_of(resolved.values()), time.time_ns(), bool(resume), heartbeat_s, q.respelled(resolved))
    return await _serve(request, options, resolved, encode(connected), resume)


async def candles(request: web.Request) -> web.StreamResponse:
    """`GET /api/candles/stream?symbol=…&timeframe=…`: consolidated bars, or with `venue` that venue's candles."""
    parts = request.app[PARTS]
    query = request.query
    q.check_names(query, CANDLE_NAMES)
    for name in ("symbol", "timeframe"):
        if not query.get(name):
            raise RequestError(400, "missing_parameter", f"{name}: it is missing; expected symbol=BTCUSD&timeframe=1m")
    if query["timeframe"] not in TIMEFRAMES:
        frames = ", ".join(TIMEFRAMES)
        raise RequestError(400, "unknown_timeframe", f"timeframe={query['timeframe'][:20]!r}: expected one of {frames}")
    venue = query.get("venue") or CONSOLIDATED
    kind = f"{'bar' if venue == CONSOLIDATED else 'candle'}:{query['timeframe']}"
    await ensure_known(parts)
    instrument = instrument_of(query["symbol"], parts.catalogue.instruments)
    topic = Topic.parse(f"{kind}:{instrument}@{venue}")
    resume = q.resume_id(query, request.headers.get("Last-Event-ID", ""))
    connected = CandlesConnected(query["symbol"], instrument, query["timeframe"], venue, time.time_ns())
    options = _options(request, candle_updates=True)
    return await _serve(request, options, await parts.hub.resolve((topic,)), msgspec.json.encode(connected), resume)


def _options(request: web.Request, *, candle_updates: bool) -> Options:
    return Options(
        Transfer.SSE,
        q.gather_s_of(request.query, request.app[PARTS].settings),
        quote_integers=q.quotes_integers(request.query),
        last_values=q.flag_of(request.query, "last", default=True),
        candle_updates=candle_updates,
    )


async def _serve(request: web.Request, options: Options, topics: Mapping[Topic, Topic], first: bytes, after: str) -> web.StreamResponse:
    """Send the stream until the client leaves or the gateway stops."""
    hub = request.app[PARTS].hub
    hub.check_running()
    transport = transport_of(request)
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    if response.headers.get(hdrs.TRANSFER_ENCODING) == "chunked":
        options = msgspec.structs.replace(options, transfer=Transfer.SSE_CHUNKED)
    subscriber = hub.join(transport, options)
    try:
        await hub.follow(subscriber, topics, after, Item(first))
        await subscriber.ended.wait()  # without a timeout: the hub ends it when the client leaves, does not read, or the gateway stops
    finally:
        hub.leave(subscriber)
    return response
