"""The metrics of a connector: name, type, help text and labels of each, in one table."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

LAG_BOUNDS: Final = (-1.0, -0.1, -0.01, -0.001, 0.0, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds. Clocks differ, so a lag may be negative; it is never clamped."""

DURATION_BOUNDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

PUBLISH_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)

BACKFILL_OUTCOMES: Final = ("whole", "part", "nothing", "skipped")


class Family(NamedTuple):
    """One metric."""

    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    """Labels besides `venue`, which every metric has."""


FAMILIES: Final = {
    "crosstape_connector_frames": Family("counter", "Frames read from WebSockets", ("endpoint",)),
    "crosstape_connector_bytes": Family("counter", "Bytes of the frames read from WebSockets", ("endpoint",)),
    "crosstape_connector_bad_frames": Family("counter", "Frames skipped because they could not be used, by reason", ("kind",)),
    "crosstape_connector_odd": Family("counter", "Values and rows left out of frames, answers and lists that were used", ("kind",)),
    "crosstape_connector_events": Family("counter", "Events passed to the bus", ("kind",)),
    "crosstape_connector_gaps": Family("counter", "Gaps reported on the tape", ("cause",)),
    "crosstape_connector_ignored": Family("counter", "Data not published: duplicates, and feeds that were not subscribed", ("reason",)),
    "crosstape_connector_lag_seconds": Family(
        "histogram", "Time from the venue's timestamp to our receipt, of one frame in 64; negative where the clocks differ"
    ),
    "crosstape_connector_publish_seconds": Family(
        "histogram", "Time from reading a frame until the bus has acknowledged its events, sampled"
    ),
    "crosstape_connector_connects": Family("counter", "Attempts to connect", ("endpoint",)),
    "crosstape_connector_connect_waits": Family("counter", "Attempts to connect that waited for the venue's limits", ("endpoint",)),
    "crosstape_connector_connect_wait_seconds": Family("counter", "Time that those attempts waited", ("endpoint",)),
    "crosstape_connector_rotations": Family("counter", "Connections replaced by a new one without a gap", ("endpoint",)),
    "crosstape_connector_rotations_failed": Family("counter", "New connections that could not replace the old one", ("endpoint",)),
    "crosstape_connector_lost": Family("counter", "Connections that ended though we did not close them", ("endpoint",)),
    "crosstape_connector_connections": Family("gauge", "Open connections", ("endpoint",)),
    "crosstape_connector_heartbeats": Family("counter", "Heartbeats received from the venue", ("endpoint",)),
    "crosstape_connector_subscriptions": Family("gauge", "Subscriptions by the venue's answer", ("state",)),
    "crosstape_connector_feeds": Family("gauge", "Feeds by state", ("kind", "state")),
    "crosstape_connector_waiting_seconds": Family(
        "gauge",
        "For how long the feed that has waited longest has not been live; 0 if none waits. Feeds that the venue refuses do not wait, nor "
        "do confirmed ones in which nobody has traded yet",
        ("kind",),
    ),
    "crosstape_connector_stalls": Family("counter", "Attempts to revive feeds that the watchdog found stale", ("kind",)),
    "crosstape_connector_resyncs": Family(
        "counter",
        "Snapshots requested of order books, by how; `question`: of a healthy but silent book, to see whether it is merely quiet",
        ("how",),
    ),
    "crosstape_connector_recovery_seconds": Family("histogram", "Time from the break of a feed until it is live again"),
    "crosstape_connector_backfills": Family(
        "counter",
        "Gaps in trades that were to be filled by REST, by outcome. `whole`: no trade is missing any more, from whatever source; "
        "`part`, `nothing`: given up; `skipped`: longer than `backfill_s`",
        ("outcome",),
    ),
    "crosstape_connector_backfilled_trades": Family(
        "counter",
        "Trades published with `backfilled` true: fetched by REST to fill a gap or in place of a stream, replayed by the venue on "
        "subscribing, or late on the stream after they were reported missing. A standby replica counts what it publishes on taking over",
    ),
    "crosstape_connector_nonexistent_trades": Family(
        "counter", "Trade ids that were reported missing and, as the venue's REST answers show, never existed"
    ),
    "crosstape_connector_backfilling": Family("gauge", "Gaps in trades that are being filled, or wait to be filled"),
    "crosstape_connector_polls": Family("counter", "REST requests made in place of a stream, by kind of feed", ("kind",)),
    "crosstape_connector_questions": Family(
        "counter",
        "REST requests about silent instruments: `trading`, whether they trade; `best`, their best prices; `trades`, their newest trades",
        ("kind",),
    ),
    "crosstape_connector_polled_feeds": Family("gauge", "Feeds that are polled by REST now", ("kind",)),
    "crosstape_connector_rest_calls": Family("counter", "REST calls by HTTP status; `failed`: no answer", ("status",)),
    "crosstape_connector_instruments": Family("gauge", "Wanted instruments, by whether the venue lists them", ("state",)),
    "crosstape_connector_instruments_age_seconds": Family("gauge", "Age of the venue's list of instruments in use"),
    "crosstape_connector_clock_offset_seconds": Family(
        "gauge",
        "Our clock minus the venue's, measured by the fastest frames; negative: the venue's clock is ahead. Absent while unknown",
    ),
    "crosstape_connector_capture_dropped": Family("counter", "Lines dropped because the capture file could not take them"),
    "crosstape_connector_replica_active": Family(
        "gauge", "1: this replica publishes; 0: it is a standby. Absent without `connector.replica`", ("replica",)
    ),
    "crosstape_connector_replica_covered": Family("gauge", "1: a healthy standby could take over; 0: none could", ("replica",)),
    "crosstape_connector_replica_held": Family(
        "gauge", "Trades that a standby keeps until the active replica has published them", ("replica",)
    ),
    "crosstape_connector_replica_takeovers": Family("counter", "Times that this replica became active", ("replica",)),
    "crosstape_connector_replica_discarded": Family(
        "counter", "Unpublished events dropped when another replica took over (it publishes its own copy)", ("replica",)
    ),
}
"""All metrics, counters without their `_total`."""

OLD_NAMES: Final = {
    f"crosstape_connector_line_{field}": f"crosstape_connector_replica_{field}"
    for field in ("active", "covered", "held", "takeovers", "discarded")
}
"""Old name → name now. Both are exported for one release; the old ones have the label `line` in place of `replica`."""

FAMILIES.update(
    {old: Family(FAMILIES[new].type, f"Old name of `{new}`, until the next release", ("line",)) for old, new in OLD_NAMES.items()}
)
