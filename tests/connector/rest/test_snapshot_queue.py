"""Which request for a snapshot is next."""

from __future__ import annotations

import math
from collections.abc import Iterable

from crosstape_connector.backoff import pause_s
from crosstape_connector.feeds.books.snapshot_need import PROBE
from crosstape_connector.feeds.effects import SnapshotRequest
from crosstape_connector.rest.snapshot_queue import SnapshotJob, SnapshotQueue


def request(name: str, cause: str = "sequence", attempt: int = 1) -> SnapshotRequest:
    """A request for this book."""
    return SnapshotRequest(name, name, "rest", cause, attempt)


def next_jobs(queue: SnapshotQueue, now: float, count: int) -> list[SnapshotJob]:
    """Return the next jobs, at most `count`; all are under way then."""
    jobs = [queue.next_job(now) for _ in range(count)]
    return [job for job in jobs if job is not None]


def names(jobs: Iterable[SnapshotJob]) -> str:
    """Return the instruments of these jobs."""
    return " ".join(job.request.instrument for job in jobs)


def test_one_job_per_book_in_the_order_in_which_they_are_due() -> None:
    """A book that breaks again and again waits longer each time."""
    queue = SnapshotQueue(set[str]().__contains__)
    assert queue.add(request("often", attempt=4), 0.0) is not None
    assert queue.add(request("once"), 1.0) is not None
    assert queue.add(request("once"), 2.0) is None
    assert (len(queue), names(next_jobs(queue, 1.0, 2))) == (2, "once")
    assert queue.due_in(1.0) == pause_s(3) - 1.0
    assert names(next_jobs(queue, pause_s(3), 2)) == "often"
    assert queue.due_in(pause_s(3)) == math.inf, "both are under way"


def test_after_a_failure_others_go_on() -> None:
    """The pause doubles, and what the venue asks for is heeded; a job that is done makes room for another request."""
    queue = SnapshotQueue(set[str]().__contains__)
    queue.add(request("a"), 0.0)
    queue.add(request("b"), 0.0)
    (job,) = next_jobs(queue, 0.0, 1)
    assert queue.retry(job, 0.0, 0.0) == pause_s(1)
    assert names(next_jobs(queue, 0.0, 2)) == "b"
    assert names(next_jobs(queue, pause_s(1), 2)) == "a"
    assert queue.retry(job, 0.0, 1.0) == pause_s(2)
    assert queue.retry(job, 60.0, 1.0) == 60.0
    assert queue.due_in(31.0) == 30.0
    queue.remove(job, 61.0)
    assert queue.add(request("a"), 61.0) is not None


def test_a_broken_book_waits_for_one_probe_at_most() -> None:
    """One probe is under way at a time; the next one comes after what broke meanwhile."""
    queue = SnapshotQueue(set[str]().__contains__)
    for number in range(3):
        queue.add(request(f"quiet{number}", PROBE, attempt=0), 0.0)
    (probe,) = next_jobs(queue, 0.0, 2)
    assert (names([probe]), queue.due_in(0.0)) == ("quiet0", math.inf)

    queue.add(request("broken"), 1.0)
    queue.remove(probe, 2.0)

    assert names(next_jobs(queue, 2.0, 4)) == "broken quiet1"


def test_a_broken_book_is_fetched_before_live_ones_are_renewed() -> None:
    """Also if it broke while its own renewal waited: when all markets move at once, hundreds of books are near their edges."""
    live = {"a", "b", "c"}
    queue = SnapshotQueue(live.__contains__)
    for at, name in enumerate("abc"):
        queue.add(request(name, "near"), float(at))
    queue.add(request("broken"), 3.0)
    live.discard("c")

    assert names(next_jobs(queue, 4.0, 4)) == "c broken a b"
