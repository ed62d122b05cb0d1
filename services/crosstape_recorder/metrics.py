"""The metrics of the recorder."""

from __future__ import annotations

from typing import Final

import prometheus_client as prometheus

from crosstape_schemas import KINDS

ROWS: Final = prometheus.Counter("crosstape_recorder_rows", "Rows committed to the store, by kind", ["kind"])
COMMITS: Final = prometheus.Counter("crosstape_recorder_commits", "Commits to the store, by kind", ["kind"])
BYTES: Final = prometheus.Counter("crosstape_recorder_bytes", "Bytes written to the store: commits, and what was merged")
MISSED: Final = prometheus.Counter(
    "crosstape_recorder_missed",
    "Events that had left the tape before they were read; each time that their number is not known, 1. The history has them as gaps",
)
REFUSED: Final = prometheus.Counter(
    "crosstape_recorder_refused", "Entries left out of the history, because a number in them is none", ["kind"]
)
RACES: Final = prometheus.Counter(
    "crosstape_recorder_races", "Commits that were dropped because another recorder had committed the same events"
)
STORE_ERRORS: Final = prometheus.Counter("crosstape_recorder_store_errors", "Times that the store could not be read or written")
STORE_AWAY: Final = prometheus.Gauge("crosstape_recorder_store_away", "1 while the store cannot be read or written")
STREAMS: Final = prometheus.Gauge("crosstape_recorder_streams", "Streams of the tape that are recorded")
LAG: Final = prometheus.Gauge(
    "crosstape_recorder_lag_seconds", "Age of the newest entry that was read, while more wait on the tape; 0: all was read"
)
UNCOMMITTED: Final = prometheus.Gauge(
    "crosstape_recorder_uncommitted_seconds", "For how long the oldest row that is not in the store yet waits; 0: there is none"
)
LAST_COMMIT: Final = prometheus.Gauge(
    "crosstape_recorder_last_commit_timestamp_seconds", "When rows were committed last, Unix time; 0: never"
)
COMMIT_SECONDS: Final = prometheus.Histogram(
    "crosstape_recorder_commit_seconds",
    "How long one commit took: columns, file or table, disk or bucket",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
MERGED: Final = prometheus.Counter("crosstape_recorder_merged_commits", "Commits that were merged into larger files")
EXPIRED: Final = prometheus.Counter("crosstape_recorder_expired_rows", "Rows deleted by keep_days or keep_bytes")
for _kind in KINDS:  # create each series at 0: a rate misses the first count of a new series
    for _metric in (ROWS, COMMITS, REFUSED):
        _metric.labels(_kind)
