"""Which hole in the trades is worked at next, and when it is given up. Pure: the shell (`backfill`) says the time and what an answer held.

One page at a time is asked for. Holes take turns: the one with the fewest pages so far, then the smallest, then the newest; and every
`PATIENT`th turn is the oldest's. So a small one is soon whole, and a large one is not forgotten for the small ones that follow it.

After a pass that brought nothing new, a page is asked for that also has the trade before the missing ids: if the trade after them follows
it there, in two answers some time apart, these ids never existed (`holes.Hole.prove`).

A hole is given up after `PAGES` pages, after `VAIN` passes that brought nothing (the venue does not have them any more, or not yet), or
when it has been known for `PATIENCE_S`. Then what came of it is told, and the rest stays missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from crosstape_connector.backoff import pause_s
from crosstape_connector.feeds.trades.gaps import OpenGap
from crosstape_connector.feeds.trades.sequence import TradeSequence

SETTLE_S: Final = 0.5
"""So long a hole is left alone: the stream may have only swapped two trades."""

PAGES: Final = 500
VAIN: Final = 6
PATIENCE_S: Final = 300.0
PATIENT: Final = 4


class BackfillJob:
    """One hole under repair. `reached`: up to which id the pass under way has come."""

    __slots__ = ("at_ts", "due", "failures", "open_gap", "page", "pages", "reached", "sequence", "since", "vain", "was_missing")

    def __init__(self, sequence: TradeSequence, open_gap: OpenGap, now: float, page: int) -> None:
        """`page`: trades in an answer at most."""
        self.sequence = sequence
        self.open_gap = open_gap
        self.page = page
        self.since = now
        self.due = now + SETTLE_S
        self.pages = 0
        self.vain = 0
        self.failures = 0
        self.was_missing = open_gap.missing
        self.reached = -1
        self.at_ts = open_gap.made_ts

    @property
    def next_id(self) -> int:
        """The id to ask for; there is one as long as the hole is not whole."""
        number = self.open_gap.next_missing(self.reached)
        if number is None:
            return self.open_gap.end - 1
        if not self.vain:
            return number
        first, end = self.open_gap.run_at(number)
        if end - first > self.page - 2 and not self.vain % 2:
            return end + 1 - self.page  # of a venue that counts a page's ids from its end, the page above would not reach the trade after
        return number - 1

    def page_received(self, numbers: range, newest_ts: int | None, *, last: bool, now: float) -> None:
        """A page was repaired with: the ids that it spans, empty if none, and when its newest was made. `last`: there is no more."""
        self.pages += 1
        self.failures = 0
        if numbers and numbers[-1] > self.reached and not last:
            self.reached = numbers[-1]
            self.at_ts = self.at_ts if newest_ts is None else max(self.at_ts, newest_ts)
            if self.open_gap.next_missing(self.reached) is not None:
                self.due = now
                return
        missing = self.open_gap.missing
        self.vain = self.vain + 1 if missing == self.was_missing else 1
        self.was_missing = missing
        self.reached, self.at_ts = -1, self.open_gap.made_ts
        self.due = now + pause_s(self.vain)

    def request_failed(self, wait_s: float, now: float) -> None:
        """No page came; the venue asked to wait so long (0: it did not)."""
        self.failures += 1
        self.due = now + max(pause_s(self.failures), wait_s)

    def is_hopeless(self, now: float) -> bool:
        """Whether to give it up."""
        return self.pages >= PAGES or self.vain >= VAIN or now - self.since > PATIENCE_S


class BackfillSchedule:
    """Those of one venue: as many as its lines have holes, which is bounded there. Times are seconds of one steady clock."""

    def __init__(self, *, longest_s: float, page: int) -> None:
        """`longest_s`: a hole that lasted longer is left, unless it has no more trades than a `page`; 0: all are."""
        self._longest_ns = round(longest_s * 1e9)
        self._page = page
        self._jobs: list[BackfillJob] = []
        self._known: set[OpenGap] = set()
        self._turn = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def update(self, lines: Iterable[TradeSequence], now: float) -> Iterator[OpenGap]:
        """Take up the holes that are new; yields those that are left as too long. Holes that are whole, or forgotten, are let go."""
        present = {hole: line for line in lines if len(line.open_gaps) for hole in line.open_gaps}
        self._known.intersection_update(present)
        self._jobs = [job for job in self._jobs if job.open_gap in present]
        for hole, line in present.items():
            if hole in self._known:
                continue
            self._known.add(hole)
            if self._repairable(hole):
                self._jobs.append(BackfillJob(line, hole, now, self._page))
            else:
                yield hole

    def remove_filled(self) -> list[OpenGap]:
        """Let go of the holes of which nothing is missing any more, though no page of their own brought the rest: returns them."""
        done = [job.open_gap for job in self._jobs if not job.open_gap.missing]
        self._jobs = [job for job in self._jobs if job.open_gap.missing]
        return done

    def next_job(self, now: float) -> BackfillJob | None:
        """The one whose turn it is; None: none is due."""
        due = [job for job in self._jobs if job.due <= now]
        if not due:
            return None
        self._turn += 1
        if not self._turn % PATIENT:
            return min(due, key=lambda job: job.since)
        return min(due, key=lambda job: (job.pages, job.open_gap.missing, -job.since))

    def remove(self, job: BackfillJob) -> None:
        """Nothing more is done for it."""
        self._jobs.remove(job)

    def _repairable(self, hole: OpenGap) -> bool:
        gap = hole.gap
        return bool(self._longest_ns) and (gap.to_ts - gap.from_ts <= self._longest_ns or hole.missing <= self._page)
