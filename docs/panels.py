"""What the Grafana dashboard shows: rows of panels, their queries, units and words. `dashboard` makes Grafana's JSON of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from docs.panel import Panel, buckets, counted, per_second, quantile
from docs.panels_gateway import GATEWAYS
from docs.panels_recorder import RECORDERS

GONE: Final = -1
"""Stands for a venue whose connector does not answer: a row that disappears would not be seen."""

LAG: Final = "crosstape_aggregator_lag_seconds"
HOPS: Final[Sequence[tuple[str, str, str, str]]] = (
    (
        "venue → connector",
        "crosstape_connector_lag_seconds",
        "",
        "From the venue's time of an event to our receipt. Two clocks: it may be negative.",
    ),
    ("connector → bus", "crosstape_connector_publish_seconds", "", "From reading a frame to the server's having acknowledged its events."),
    (
        "connector → aggregator",
        LAG,
        ',hop="received_to_read"',
        "From the connector's receipt to the aggregator's having read it. Books wait for the end of their `book_interval_s` on the way.",
    ),
    (
        "connector → quote",
        LAG,
        ',hop="received_to_published"',
        "From the connector's receipt to handing over the consolidated quote that shows it.",
    ),
)

ROWS: Final[Sequence[tuple[str, Sequence[Panel]]]] = (
    (
        "Health",
        (
            Panel(
                "Venue health",
                "For how long the feed that waits for longest has not been live; live: none waits; gone: the connector does not answer.",
                "s",
                [
                    (
                        'max by (venue, kind) (crosstape_connector_waiting_seconds{tape="$tape"})'
                        f' or max by (venue, kind) (last_over_time(crosstape_connector_waiting_seconds{{tape="$tape"}}[1d])) * 0 + {GONE}',
                        "",
                    )
                ],
                shape="matrix",
                steps=((None, "green"), (0.001, "yellow"), (300, "red")),
            ),
            Panel(
                "Feeds live",
                "Share of a venue's feeds that are live; 0 too if its connector is gone. Trades that nobody has made yet are not.",
                "percentunit",
                [
                    (
                        'sum by (venue) (crosstape_connector_feeds{tape="$tape",state="live"})'
                        ' / sum by (venue) (crosstape_connector_feeds{tape="$tape"})'
                        ' or sum by (venue) (last_over_time(crosstape_connector_feeds{tape="$tape"}[1h])) * 0',
                        "{{venue}}",
                    )
                ],
                shape="states",
                steps=((None, "dark-red"), (0.001, "orange"), (0.9, "yellow"), (1, "green")),
            ),
            Panel(
                "Alerts",
                "What fires or is about to. docs/how-to/operate.md says what to do.",
                "none",
                [('ALERTS{tape="$tape"}', "")],
                shape="alerts",
                no_value="no alert",
            ),
        ),
    ),
    (
        "Flow",
        (
            Panel(
                "Frames",
                "Frames read from the venues' WebSockets, a second.",
                "frames/s",
                [(per_second("crosstape_connector_frames_total", "venue"), "{{venue}}")],
            ),
            Panel(
                "Events onto the tape",
                "Events handed to the bus, a second, by kind.",
                "events/s",
                [(per_second("crosstape_connector_events_total", "kind"), "{{kind}}")],
            ),
            Panel(
                "Through the aggregator",
                "Events taken from the bus and consolidated quotes published, a second.",
                "events/s",
                [
                    (per_second("crosstape_aggregator_events_total", "tape"), "events in"),
                    (per_second("crosstape_aggregator_published_total", "tape"), "quotes out"),
                ],
            ),
        ),
    ),
    (
        "Latency per hop",
        (
            *(Panel(name, text, "s", buckets(metric, where), width=6, shape="heatmap") for name, metric, where, text in HOPS),
            Panel(
                "Median per hop",
                "Half is at or below this, within a bucket's width. BusLag fires at 1 s from connector to aggregator.",
                "s",
                [(quantile("0.5", metric, where), name) for name, metric, where, _ in HOPS],
                width=12,
                steps=((None, "transparent"), (1, "red")),
            ),
            Panel(
                "99 % per hop",
                "99 % is at or below this, within a bucket's width.",
                "s",
                [(quantile("0.99", metric, where), name) for name, metric, where, _ in HOPS],
                width=12,
            ),
        ),
    ),
    (
        "Consolidated quotes",
        (
            Panel(
                "Spread",
                "Of the consolidated quote. Below zero, in red: the market is crossed across venues. A line ends where a side is missing.",
                "bps",
                [('max by (instrument) (crosstape_aggregator_spread_bps{tape="$tape",instrument=~"$instrument"})', "{{instrument}}")],
                width=12,
                height=12,
                steps=((None, "red"), (0, "transparent")),
            ),
            Panel(
                "Legs",
                "Whether a venue counts in an instrument's quote, else why not. LegExcluded fires after 10 minutes.",
                "none",
                [
                    (
                        'max by (instrument, venue) (crosstape_aggregator_leg_excluded{tape="$tape",instrument=~"$instrument"})',
                        "{{instrument}} {{venue}}",
                    )
                ],
                width=12,
                height=12,
                shape="legs",
            ),
        ),
    ),
    (
        "What went wrong",
        (
            Panel(
                "Gaps",
                "Gaps reported on the tape in each interval, by venue and cause, most of them first.",
                "short",
                [(counted("crosstape_connector_gaps_total", "venue, cause"), "{{venue}} {{cause}}")],
                shape="bars",
            ),
            Panel(
                "Connections lost",
                "In each interval, by venue and endpoint. Each leaves a gap.",
                "short",
                [(counted("crosstape_connector_lost_total", "venue, endpoint"), "{{venue}} {{endpoint}}")],
                shape="bars",
            ),
            Panel(
                "Lost",
                "Entries that did not get onto the tape (EventsDropped says of what kind), or were trimmed before they were read.",
                "short",
                [
                    (counted("crosstape_bus_dropped_total", "service, cause"), "{{service}} {{cause}}"),
                    (counted("crosstape_aggregator_missed_events_total", "service"), "{{service}} did not read"),
                ],
                shape="bars",
            ),
        ),
    ),
    (
        "Bus",
        (
            Panel(
                "Server memory",
                "What the server uses, and its limit where it has one.",
                "bytes",
                [
                    ('max(crosstape_bus_server_memory_bytes{tape="$tape"})', "used"),
                    ('max(crosstape_bus_server_memory_limit_bytes{tape="$tape"}) > 0', "limit"),
                ],
                width=6,
            ),
            Panel(
                "Waiting to be written",
                "Events in each service's memory: a batch or two when all is well.",
                "short",
                [('max by (service) (crosstape_bus_pending{tape="$tape"})', "{{service}}")],
                width=6,
            ),
            Panel(
                "Spool",
                "Bytes on each service's disk that the server has yet to take.",
                "bytes",
                [('max by (service) (crosstape_bus_spool_bytes{tape="$tape"})', "{{service}}")],
                width=6,
            ),
            Panel(
                "Spooled",
                "Entries on each service's disk now, and those that went there, a second.",
                "short",
                [
                    ('sum(crosstape_bus_spool_entries{tape="$tape"})', "entries waiting"),
                    (per_second("crosstape_bus_spooled_total", "tape"), "going there, a second"),
                ],
                width=6,
            ),
        ),
    ),
    (
        "Aggregators",
        (
            Panel(
                "Shares held",
                "By each aggregator, of all there are: the sum of the lines is to be the total.",
                "short",
                [
                    ('sum by (service) (crosstape_aggregator_leases{tape="$tape"})', "{{service}}"),
                    ('max(crosstape_aggregator_shares{tape="$tape"})', "all there are"),
                ],
            ),
            Panel(
                "Leases lost",
                "In each interval, by aggregator: not renewed in time.",
                "short",
                [(counted("crosstape_aggregator_leases_lost_total", "service"), "{{service}}")],
                shape="bars",
            ),
            Panel(
                "Catching up",
                "Instruments known, and those whose VWAP windows are not whole yet, as after a start.",
                "short",
                [
                    ('sum(crosstape_aggregator_instruments{tape="$tape"})', "instruments"),
                    ('sum(crosstape_aggregator_catching_up{tape="$tape"})', "catching up"),
                ],
            ),
        ),
    ),
    GATEWAYS,
    RECORDERS,
)
