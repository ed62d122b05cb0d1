"""How `crosstape backfill` shows how far it is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from crosstape_cli.moments import iso

EVERY_S: Final = 10.0
"""Seconds between two lines where there is no terminal."""
WAIT_S: Final = 1.0
"""A shorter wait for a venue's limit is not shown."""
STEPS: Final = 10_000
"""Steps of the bar: times in ns are too large for its arithmetic."""


class BackfillView:
    """Shows the progress of one range on standard error."""

    def __init__(self, title: str, from_ts: int, to_ts: int) -> None:
        self._title = title
        self._from_ts, self._to_ts = from_ts, to_ts
        self._began_s = self._shown_s = time.monotonic()
        self._told_s = float("-inf")
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s, {task.fields[requests]:,} requests"),
                TextColumn("left"),
                TimeRemainingColumn(compact=True),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(title, total=STEPS, rows=0, rate=0.0, requests=0)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, at_ts: int, rows: int, requests: int) -> None:
        """Show that everything up to `at_ts` was fetched: so many rows in so many requests."""
        now_s = time.monotonic()
        rate = rows / max(0.001, now_s - self._began_s)
        part = (at_ts - self._from_ts) / max(1, self._to_ts - self._from_ts)
        if self._bar is not None:
            self._bar.update(self._task, description=self._title, completed=round(part * STEPS), rows=rows, rate=rate, requests=requests)
        elif now_s - self._shown_s >= EVERY_S:
            self._shown_s = now_s
            left_s = (now_s - self._began_s) * (1 - part) / part if part > 0 else 0.0
            left = f", about {_span(left_s)} left" if left_s else ""
            sys.stderr.write(f"{self._title}: {part:.1%}, up to {iso(at_ts)}; {rows:,} rows, {rate:,.0f}/s, {requests:,} requests{left}\n")
            sys.stderr.flush()

    def waiting(self, venue: str, seconds: float) -> None:
        """Show that a request waits for the venue's limit."""
        if seconds < WAIT_S:
            return
        text = f"{self._title}: waiting for the limit of requests of {venue} (connector.backfill_share), {_span(seconds)}"
        now_s = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, description=text)
        elif now_s - self._told_s >= EVERY_S:
            self._told_s = now_s
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
