"""Decides which gap in the trades is filled next, and when it is given up. Pure: `backfill` reads the clock and makes the requests.

One page is requested at a time. Gaps take turns: the gap with the fewest pages so far goes first, then the smallest, then the newest. Every
`OLDEST_EVERY`th turn goes to the oldest gap. So a small gap is filled soon, and a large gap does not wait for ever.

After a pass that brought nothing new, the requested page also includes the trade before the missing ids. If the trade after them follows it
directly, in two answers some time apart, these ids never existed (`OpenGap.check_nonexistent`).

A gap is given up after `MAX_PAGES` pages, after `MAX_VAIN` passes that brought nothing (the venue does not have the trades any more, or not
yet), or when it has been known for `MAX_AGE_S`. The part that came is then reported as repaired; the rest stays missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from crosstape_connector.backoff import pause_s
from crosstape_connector.feeds.trades.open_gaps import OpenGap
from crosstape_connector.feeds.trades.sequence import TradeSequence

STREAM_SETTLE_S: Final = 0.5
"""The wait before the first request for a gap: the stream may only have swapped two trades, and bring the missing one at once."""

MAX_PAGES: Final = 500
MAX_VAIN: Final = 6
MAX_AGE_S: Final = 300.0
OLDEST_EVERY: Final = 4


class BackfillJob:
    """One gap that is being filled, in passes over its missing ids."""

    __slots__ = ("at_ts", "due", "failures", "open_gap", "page", "pages", "reached", "sequence", "since", "vain", "was_missing")

    def __init__(self, sequence: TradeSequence, open_gap: OpenGap, now: float, page: int) -> None:
        """`page`: trades in an answer at most."""
        self.sequence = sequence
        self.open_gap = open_gap
        self.page = page
        self.since = now
        self.due = now + STREAM_SETTLE_S
        self.pages = 0
        self.vain = 0
        """Passes that ended with ids still missing, counted from the last pass that brought a trade (included)."""
        self.failures = 0
        self.was_missing = open_gap.missing
        self.reached = -1
        """The highest id that this pass has seen; -1: none yet."""
        self.at_ts = open_gap.made_ts
        """No trade that this pass still looks for was made earlier; ns, the venue's clock."""

    @property
    def next_id(self) -> int:
        """The trade id that the next page should begin with."""
        number = self.open_gap.next_missing(self.reached)
        if number is None:
            return self.open_gap.end - 1
        if not self.vain:
            return number
        first, end = self.open_gap.run_at(number)
        if end - first > self.page - 2 and not self.vain % 2:
            return end + 1 - self.page  # some venues count a page's ids from its end: from `number` it would not reach the trade after
        return number - 1

    def page_received(self, ids: range, newest_ts: int | None, *, last: bool, now: float) -> None:
        """Note a page, after its trades were applied. `ids`: first to last; `newest_ts`: of its newest trade; `last`: no more."""
        self.pages += 1
        self.failures = 0
        if ids and ids[-1] > self.reached and not last:
            self.reached = ids[-1]
            self.at_ts = self.at_ts if newest_ts is None else max(self.at_ts, newest_ts)
            if self.open_gap.next_missing(self.reached) is not None:
                self.due = now
                return
        missing = self.open_gap.missing
        self.vain = self.vain + 1 if missing == self.was_missing else 1
        self.was_missing = missing
        self.reached, self.at_ts = -1, self.open_gap.made_ts
        self.due = now + pause_s(self.vain)

    def request_failed(self, retry_after_s: float, now: float) -> None:
        """Note that no page came; the venue asked to wait `retry_after_s` (0: it did not)."""
        self.failures += 1
        self.due = now + max(pause_s(self.failures), retry_after_s)

    def is_hopeless(self, now: float) -> bool:
        """Return whether to give this gap up."""
        return self.pages >= MAX_PAGES or self.vain >= MAX_VAIN or now - self.since > MAX_AGE_S


class BackfillSchedule:
    """The gaps of one venue that are being filled; their number is bounded by the sequences. Times are seconds of one steady clock."""

    def __init__(self, *, longest_s: float, page: int) -> None:
        """`longest_s`: a gap that lasted longer is skipped, unless one `page` can fill it; 0: every gap is skipped."""
        self._longest_ns = round(longest_s * 1e9)
        self._page = page
        self._jobs: list[BackfillJob] = []
        self._known: set[OpenGap] = set()
        self._turn = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def update(self, sequences: Iterable[TradeSequence], now: float) -> Iterator[OpenGap]:
        """Start a job for each new gap; yield the new gaps that are skipped as too long. Jobs of gaps that are closed are dropped."""
        present = {gap: sequence for sequence in sequences if len(sequence.open_gaps) for gap in sequence.open_gaps}
        self._known.intersection_update(present)
        self._jobs = [job for job in self._jobs if job.open_gap in present]
        for gap, sequence in present.items():
            if gap in self._known:
                continue
            self._known.add(gap)
            if self._is_worth_filling(gap):
                self._jobs.append(BackfillJob(sequence, gap, now, self._page))
            else:
                yield gap

    def remove_filled(self) -> list[OpenGap]:
        """Drop the jobs whose gaps have nothing missing any more, though no page of their own brought the rest; return these gaps."""
        filled = [job.open_gap for job in self._jobs if not job.open_gap.missing]
        self._jobs = [job for job in self._jobs if job.open_gap.missing]
        return filled

    def next_job(self, now: float) -> BackfillJob | None:
        """Return the job whose turn it is; None: none is due."""
        due = [job for job in self._jobs if job.due <= now]
        if not due:
            return None
        self._turn += 1
        if not self._turn % OLDEST_EVERY:
            return min(due, key=lambda job: job.since)
        return min(due, key=lambda job: (job.pages, job.open_gap.missing, -job.since))

    def due_in(self, now: float) -> float:
        """Return the seconds until the next job is due; `math.inf`: there is none."""
        return min((max(0.0, job.due - now) for job in self._jobs), default=math.inf)

    def remove(self, job: BackfillJob) -> None:
        """Drop this job."""
        self._jobs.remove(job)

    def _is_worth_filling(self, open_gap: OpenGap) -> bool:
        gap = open_gap.gap
        return bool(self._longest_ns) and (gap.to_ts - gap.from_ts <= self._longest_ns or open_gap.missing <= self._page)
