"""The metrics of the gateway. None names a client or a token."""

from __future__ import annotations

from typing import Final

import prometheus_client as prometheus

CLIENTS: Final = prometheus.Gauge("crosstape_gateway_clients", "Streaming clients now", ["transport"])
LIMIT: Final = prometheus.Gauge("crosstape_gateway_clients_limit", "Streaming clients that it may have at the same time: gateway.clients")
DELIVERIES: Final = prometheus.Counter(
    "crosstape_gateway_deliveries", "Events and messages sent to streaming clients: one sent to ten clients counts ten times", ["transport"]
)
BYTES: Final = prometheus.Counter("crosstape_gateway_bytes", "Bytes sent to streaming clients", ["transport"])
CONFLATED: Final = prometheus.Counter(
    "crosstape_gateway_conflated", "States that a slow client did not get, because a newer one replaced them before it read on"
)
MISSED: Final = prometheus.Counter(
    "crosstape_gateway_missed",
    "Events that a client was told it misses. slow: it read too slowly; trimmed: they were not on the tape any more; resume: more happened "
    "while it was away than is sent again. Where the number is not known, 1",
    ["reason"],
)
CUT: Final = prometheus.Counter("crosstape_gateway_cut_clients", "Clients that were disconnected because they read nothing for patience_s")
AWAY: Final = prometheus.Gauge("crosstape_gateway_bus_away", "1 while the bus does not answer")
OUTAGES: Final = prometheus.Counter("crosstape_gateway_bus_outages", "Times that the bus stopped answering")
STREAMS: Final = prometheus.Gauge("crosstape_gateway_streams", "Streams that are read because some client follows them")
REFUSED: Final = prometheus.Counter("crosstape_gateway_refused", "Requests that were refused, by the code in the answer", ["code"])
REQUEST_SECONDS: Final = prometheus.Histogram(
    "crosstape_gateway_request_seconds",
    "From a request that may be served to its answer, by route; streams are not counted",
    ["path"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
FOREIGN: Final = prometheus.Counter(
    "crosstape_gateway_foreign", "Times that an entry, a last value or a key was skipped, because it is no event of crosstape"
)
LAG: Final = prometheus.Histogram(
    "crosstape_gateway_lag_seconds",
    "From receiving an event from the venue to sending it to clients, gathering included; the oldest event of each write",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
for _transport in ("sse", "websocket"):  # create each series at 0: a rate misses the first count of a new series
    for _metric in (CLIENTS, DELIVERIES, BYTES):
        _metric.labels(_transport)
for _reason in ("slow", "trimmed", "resume"):
    MISSED.labels(_reason)
