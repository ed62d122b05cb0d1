"""REST: answers from the streams and last values on the bus.

parameters   reads the query of a request
instruments  finds the instrument and venue that a request names
bus          asks the bus, within a deadline
entries      reads rows of a stream, newest first
bars         the newest revision of each bar
closed_bars  keeps what has closed, of all venues together, for longer than the tape
recorded     trades, bars and candles of the recorded history, beyond the streams
last_values  /api/quotes, /api/depth, /api/last
history      /api/trades, /api/bars, /api/candles, /api/gaps
edges        /api/edges
inventory    /api/venues, /api/instruments
operation    /healthz, /readyz, /metrics
answers      writes rows into one JSON object, byte for byte
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from crosstape_gateway.rest import edges, history, inventory, last_values, operation

routes: Final[list[web.RouteDef]] = [
    web.get("/api/venues", inventory.venues),
    web.get("/api/instruments", inventory.tape_instruments),
    web.get("/api/quotes", last_values.quotes),
    web.get("/api/depth", last_values.depth),
    web.get("/api/last", last_values.last),
    web.get("/api/trades", history.trades),
    web.get("/api/bars", history.bars),
    web.get("/api/candles", history.candles),
    web.get("/api/gaps", history.gaps),
    web.get("/api/edges", edges.edges),
    web.get("/healthz", operation.healthz),
    web.get("/readyz", operation.readyz),
    web.get("/metrics", operation.metrics),
]
