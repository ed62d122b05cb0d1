"""Holds the requests for new snapshots of one venue's books, and decides which is next. Pure: times are seconds of one steady clock."""

from __future__ import annotations

import math
from collections.abc import Callable

from crosstape_connector.backoff import pause_s
from crosstape_connector.feeds.books.snapshot_need import PROBE
from crosstape_connector.feeds.effects import SnapshotRequest


class SnapshotJob:
    """One request, from when it is queued until it is answered."""

    __slots__ = ("due", "failures", "is_under_way", "request")

    def __init__(self, request: SnapshotRequest, due: float) -> None:
        self.request = request
        self.due = due
        self.failures = 0
        self.is_under_way = False

    @property
    def is_probe(self) -> bool:
        """The book is healthy but silent: the snapshot is to show whether the market is quiet."""
        return self.request.cause == PROBE


class SnapshotQueue:
    """Holds at most one job per book, so its size is bounded. The job that has been due for longest is next.

    Only one probe at a time may be next, and it counts as due since the probe before it ended. So a broken book waits for at most one. The
    renewal of a book that is live yet comes after all others: when all markets move at once, many books must be renewed.
    """

    def __init__(self, is_live: Callable[[str], bool]) -> None:
        """`is_live`: whether the book of an instrument is live. A book may break while its renewal waits here."""
        self._is_live = is_live
        self._jobs: dict[str, SnapshotJob] = {}
        self._probe_ended = -math.inf

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, request: SnapshotRequest, now: float) -> SnapshotJob | None:
        """Queue a request, due after the pause that its attempt asks for. None: the book has a job already, which answers this one too."""
        if request.instrument in self._jobs:
            return None
        job = self._jobs[request.instrument] = SnapshotJob(request, now + pause_s(request.attempt - 1))
        return job

    def next_job(self, now: float) -> SnapshotJob | None:
        """Return the job that is next, and mark it as under way; None: none is due."""
        job = min((job for job in self._waiting() if job.due <= now), key=self._place, default=None)
        if job is not None:
            job.is_under_way = True
        return job

    def due_in(self, now: float) -> float:
        """Return the seconds until the next job is due; `math.inf`: none waits."""
        return min((max(0.0, job.due - now) for job in self._waiting()), default=math.inf)

    def retry(self, job: SnapshotJob, retry_after_s: float, now: float) -> float:
        """Let a job wait after a failure; returns the seconds. `retry_after_s`: what the venue asked for (0: nothing)."""
        self._end_attempt(job, now)
        job.failures += 1
        wait_s = max(pause_s(job.failures), retry_after_s)
        job.due = now + wait_s
        return wait_s

    def remove(self, job: SnapshotJob, now: float) -> None:
        """Drop a job that is done."""
        self._end_attempt(job, now)
        del self._jobs[job.request.instrument]

    def _end_attempt(self, job: SnapshotJob, now: float) -> None:
        job.is_under_way = False
        if job.is_probe:
            self._probe_ended = now

    def _waiting(self) -> list[SnapshotJob]:
        """Return the jobs that may be next: no probe while one is under way."""
        jobs = self._jobs.values()
        is_probing = any(job.is_under_way and job.is_probe for job in jobs)
        return [job for job in jobs if not job.is_under_way and not (is_probing and job.is_probe)]

    def _place(self, job: SnapshotJob) -> tuple[bool, float]:
        if job.is_probe:
            return False, max(job.due, self._probe_ended)
        return self._is_live(job.request.instrument), job.due
