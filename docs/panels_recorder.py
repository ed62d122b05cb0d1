"""The dashboard's row about recorders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from docs.panel import Panel, counted, per_second, quantile

RECORDERS: Final[tuple[str, Sequence[Panel]]] = (
    "Recorders",
    (
        Panel(
            "Recorded",
            "Rows committed to the store, a second, by kind.",
            "short",
            [(per_second("crosstape_recorder_rows_total", "kind"), "{{kind}}")],
        ),
        Panel(
            "Behind the tape",
            "How old the newest entry that was read is, while more wait on the tape; and for how long rows wait for their commit."
            " RecorderBehind fires at a minute.",
            "s",
            [
                ('max by (service) (crosstape_recorder_lag_seconds{tape="$tape"})', "{{service}} lag"),
                ('max by (service) (crosstape_recorder_uncommitted_seconds{tape="$tape"})', "{{service}} not committed"),
            ],
        ),
        Panel(
            "Bytes to the store",
            "Written, a second: commits, and files that small ones were merged into.",
            "Bps",
            [(per_second("crosstape_recorder_bytes_total", "service"), "{{service}}")],
        ),
        Panel(
            "Commits",
            "How long a commit takes. That many rows wait in memory is no problem; the streams keep what was not read.",
            "s",
            [
                (quantile("0.5", "crosstape_recorder_commit_seconds"), "median"),
                (quantile("0.99", "crosstape_recorder_commit_seconds"), "99 %"),
            ],
        ),
        Panel(
            "Store",
            "Times in each interval that the store could not be used, and commits that another recorder was earlier with.",
            "short",
            [
                (counted("crosstape_recorder_store_errors_total", "service"), "{{service}} errors"),
                (counted("crosstape_recorder_races_total", "service"), "{{service}} races"),
            ],
            shape="bars",
            no_value="no errors",
        ),
        Panel(
            "Missed",
            "Events that had left the tape before they were read, in each interval: gaps of the history. RecorderMissed fires at one.",
            "short",
            [(counted("crosstape_recorder_missed_total", "service"), "{{service}}")],
            shape="bars",
            no_value="none missed",
        ),
    ),
)
