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
    """Beyond `venue`, which all have."""


FAMILIES: Final = {
    "crosstape_connector_frames": Family("counter", "Frames read from WebSockets", ("endpoint",)),
    "crosstape_connector_bytes": Family("counter", "Bytes of those frames", ("endpoint",)),
    "crosstape_connector_bad_frames": Family("counter", "Frames that could not be used, and were skipped, by what was wrong", ("kind",)),
    "crosstape_connector_odd": Family("counter", "Values and rows left out of frames, answers and lists that were used", ("kind",)),
    "crosstape_connector_events": Family("counter", "Events handed to the bus", ("kind",)),
    "crosstape_connector_gaps": Family("counter", "Gaps reported on the tape", ("cause",)),
    "crosstape_connector_ignored": Family("counter", "Outputs that were not published: duplicates, and what nobody asked for", ("reason",)),
    "crosstape_connector_lag_seconds": Family("histogram", "Venue's time to ours, one frame in 64; negative where clocks differ"),
    "crosstape_connector_publish_seconds": Family("histogram", "From reading a frame to the bus having acknowledged its events, sampled"),
    "crosstape_connector_connects": Family("counter", "Attempts to connect", ("endpoint",)),
    "crosstape_connector_connect_waits": Family("counter", "Attempts to connect that waited for the venue's limits", ("endpoint",)),
    "crosstape_connector_connect_wait_seconds": Family("counter", "How long they waited", ("endpoint",)),
    "crosstape_connector_rotations": Family("counter", "Connections that were replaced by a younger one without a hole", ("endpoint",)),
    "crosstape_connector_rotations_failed": Family("counter", "Younger connections that could not take over", ("endpoint",)),
    "crosstape_connector_lost": Family("counter", "Connections that ended otherwise than by our own wish", ("endpoint",)),
    "crosstape_connector_connections": Family("gauge", "Connections that are open", ("endpoint",)),
    "crosstape_connector_heartbeats": Family("counter", "Heartbeats of venues", ("endpoint",)),
    "crosstape_connector_subscriptions": Family("gauge", "Subscriptions by what the venue said of them", ("state",)),
    "crosstape_connector_feeds": Family("gauge", "Feeds by state", ("kind", "state")),
    "crosstape_connector_waiting_seconds": Family(
        "gauge",
        "How long the feed that has been waiting for longest has not been live; 0 where none waits. Feeds that the venue refuses do not "
        "wait, nor do confirmed ones in which nobody has traded yet",
        ("kind",),
    ),
    "crosstape_connector_stalls": Family("counter", "Feeds found stale by the watchdog, each attempt", ("kind",)),
    "crosstape_connector_resyncs": Family(
        "counter", "Books that were begun anew, by how; `question`: asked for once more, to see whether they are merely quiet", ("how",)
    ),
    "crosstape_connector_recovery_seconds": Family("histogram", "From a feed's break to its being live again"),
    "crosstape_connector_backfills": Family(
        "counter",
        "Gaps in trades that were to be filled by REST, by what came of it: `whole`: nothing is missing any more, whoever brought it; "
        "`part`, `nothing`: given up; `skipped`: longer than `backfill_s`",
        ("outcome",),
    ),
    "crosstape_connector_backfilled_trades": Family(
        "counter",
        "Trades handed to the bus with `backfilled` true: fetched by REST to fill a gap or in place of a stream, replayed by the venue on "
        "subscribing, or late on the stream after they were reported missing. A standby replica counts what it publishes on taking over",
    ),
    "crosstape_connector_nonexistent_trades": Family(
        "counter", "Trade ids that were reported missing and, as the venue shows by REST, never existed"
    ),
    "crosstape_connector_backfilling": Family("gauge", "Gaps in trades that are being worked at, or wait for it"),
    "crosstape_connector_polls": Family("counter", "Requests made in place of a stream, by kind of feed", ("kind",)),
    "crosstape_connector_questions": Family(
        "counter",
        "Requests by which the venue was asked what silence means: `trading`, whether instruments trade; `best`, their best prices; "
        "`trades`, their newest trades",
        ("kind",),
    ),
    "crosstape_connector_polled_feeds": Family("gauge", "Feeds that are polled over REST now", ("kind",)),
    "crosstape_connector_rest_calls": Family("counter", "REST calls by HTTP status, or `failed` without one", ("status",)),
    "crosstape_connector_instruments": Family("gauge", "Instruments that were asked for, by whether the venue lists them", ("state",)),
    "crosstape_connector_instruments_age_seconds": Family("gauge", "Age of the list of instruments in use"),
    "crosstape_connector_clock_offset_seconds": Family(
        "gauge", "Our clock less the venue's, with the shortest way of a frame; negative: the venue's is ahead. None while it is not known"
    ),
    "crosstape_connector_capture_dropped": Family("counter", "Lines that the capture could not take"),
    "crosstape_connector_line_active": Family(
        "gauge", "1: this line publishes; 0: it stands by for another. None without `connector.replica`", ("line",)
    ),
    "crosstape_connector_line_covered": Family("gauge", "1: another line is well and could take this one's place; 0: none is", ("line",)),
    "crosstape_connector_line_held": Family("gauge", "Trades that a line which stands by holds, until they are on the tape", ("line",)),
    "crosstape_connector_line_takeovers": Family("counter", "Times that this line began to publish", ("line",)),
    "crosstape_connector_line_discarded": Family(
        "counter", "Events of this line that were not on the tape yet when another began to publish, which has them from its own", ("line",)
    ),
}
"""All metrics, counters without their `_total`."""
