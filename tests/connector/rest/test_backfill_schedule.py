"""Which gap is filled next, and when it is given up."""

from __future__ import annotations

import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector import backoff
from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.rest.backfill_schedule import (
    MAX_AGE_S,
    MAX_PAGES,
    MAX_VAIN,
    OLDEST_EVERY,
    STREAM_SETTLE_S,
    BackfillJob,
    BackfillSchedule,
)
from crosstape_schemas import Instrument, Trade

PAGE = 4


def trade(number: int) -> Trade:
    """A trade with this id, made and received at that second."""
    ts = number * 1_000_000_000
    return Trade("v", "A-B", ts, ts, Decimal(1), Decimal(1), None, str(number))


def line(*numbers: int) -> TradeSequence:
    """A sequence that has accepted these trades."""
    found = TradeSequence(Instrument("A-B", "v", "AB", "A", "B"), contiguous=True)
    for number in numbers:
        found.accept(trade(number), number)
    return found


def planned(*lines: TradeSequence, longest_s: float = 1_000.0) -> BackfillSchedule:
    """The schedule of these sequences' gaps, known since 0; all are due at `STREAM_SETTLE_S`."""
    found = BackfillSchedule(longest_s=longest_s, page=PAGE)
    assert list(found.update(lines, 0.0)) == []
    return found


def answer(job: BackfillJob, has: range, now: float) -> None:
    """Answer the job's request as a venue does that has these trades."""
    first = max(job.next_id, has.start)
    got = range(first, min(first + PAGE, has.stop)) if first < has.stop else range(0)
    job.sequence.fill_gaps([trade(number) for number in got])
    job.page_received(got, trade(got[-1]).venue_ts if got else None, last=len(got) < PAGE, now=now)


def test_a_gap_may_settle_for_a_moment() -> None:
    """The stream may bring the trade by itself; then nothing is requested."""
    found = line(1, 3)
    plan = planned(found)
    assert (plan.next_job(0.0), plan.due_in(0.0), plan.due_in(2 * STREAM_SETTLE_S)) == (None, STREAM_SETTLE_S, 0.0)

    found.accept(trade(2), 2)

    list(plan.update([found], STREAM_SETTLE_S))
    assert (plan.next_job(STREAM_SETTLE_S), len(plan), plan.due_in(STREAM_SETTLE_S)) == (None, 0, math.inf)


def test_a_page_begins_where_the_one_before_ended() -> None:
    """By id, and by the time of the newest trade in it; the first by the time of the trade before the gap."""
    plan = planned(line(1, 10))
    job = plan.next_job(STREAM_SETTLE_S)
    assert job is not None
    asked = []
    while job.open_gap.missing:
        asked.append((job.next_id, job.at_ts // 1_000_000_000))
        answer(job, range(1, 20), STREAM_SETTLE_S)
    assert asked == [(2, 1), (6, 5)]


def test_trades_that_came_by_the_stream_are_not_requested() -> None:
    """The stream brought the middle of the gap."""
    found = line(1, 12)
    job = planned(found).next_job(STREAM_SETTLE_S)
    assert job is not None
    answer(job, range(1, 20), STREAM_SETTLE_S)
    for number in (6, 7, 8):
        found.accept(trade(number), number)

    assert job.next_id == 9


def test_passes_that_bring_nothing_are_repeated_with_pauses() -> None:
    """After `MAX_VAIN` of them the gap is given up; a trade that comes resets the count."""
    job = planned(line(1, 8)).next_job(STREAM_SETTLE_S)
    assert job is not None
    answer(job, range(1, 4), 10.0)
    assert (job.next_id, job.due) == (3, 10.0 + backoff.PAUSE_S), "with the trade before: it may show that there is none"
    for _ in range(MAX_VAIN - 1):
        assert not job.is_hopeless(20.0)
        answer(job, range(1, 4), 20.0)
    assert job.is_hopeless(20.0)
    assert job.due == 20.0 + backoff.pause_s(MAX_VAIN)


def test_a_page_that_gets_no_further_counts_as_none() -> None:
    """A venue may answer with the same page again and again."""
    job = planned(line(1, 30)).next_job(STREAM_SETTLE_S)
    assert job is not None
    for _ in range(2 * MAX_VAIN):
        job.page_received(range(2, 6), None, last=False, now=1.0)
    assert job.is_hopeless(1.0)


def test_every_gap_is_given_up_in_the_end() -> None:
    """Also one of very many pages, and one whose venue never answers."""
    long = planned(line(1, 10 * MAX_PAGES * PAGE), longest_s=1e6).next_job(STREAM_SETTLE_S)
    assert long is not None
    for _ in range(MAX_PAGES):
        assert not long.is_hopeless(1.0)
        answer(long, range(1, 10 * MAX_PAGES * PAGE), 1.0)
    assert long.is_hopeless(1.0)
    unanswered = planned(line(1, 3)).next_job(STREAM_SETTLE_S)
    assert unanswered is not None
    unanswered.request_failed(60.0, 1.0)
    assert (unanswered.due, unanswered.is_hopeless(MAX_AGE_S), unanswered.is_hopeless(MAX_AGE_S + 1)) == (61.0, False, True)


def test_a_gap_that_lasted_too_long_is_skipped_unless_a_page_fills_it() -> None:
    """It is returned once as skipped; with 0, all are."""
    few, many = line(1, 2, 1_000), line(1, 1_000)
    few.accept(trade(1_004), 1_004)
    plan = BackfillSchedule(longest_s=10.0, page=PAGE)

    assert [gap.first for gap in plan.update([few, many], 0.0)] == [3, 2]
    assert list(plan.update([few, many], 1.0)) == []
    assert len(plan) == 1
    assert len(list(BackfillSchedule(longest_s=0.0, page=PAGE).update([few, many], 0.0))) == 3


def test_a_small_gap_does_not_wait_for_a_large_one_nor_the_large_one_for_ever() -> None:
    """The smallest of those with the fewest pages goes first, and now and then the oldest."""
    large = line(1, 1_000)
    plan = planned(large)
    turns = []
    for number in range(4 * OLDEST_EVERY):
        small = line(1, 3)
        list(plan.update([large, small], float(number)))
        job = plan.next_job(number + STREAM_SETTLE_S)
        assert job is not None
        answer(job, range(1, 2_000), number + STREAM_SETTLE_S)
        turns.append("large" if job.sequence is large else "small")
    assert turns == (["small"] * (OLDEST_EVERY - 1) + ["large"]) * 4


@given(
    has=st.sets(st.integers(2, 40)),
    late=st.lists(st.integers(2, 40), max_size=10),
)
def test_all_that_a_venue_has_comes(has: set[int], late: list[int]) -> None:
    """Whatever the venue lacks, and whatever the stream brings meanwhile: each trade once; then the gap is filled or given up."""
    found = line(1, 41)
    plan = planned(found)
    published: list[int] = []
    now = STREAM_SETTLE_S
    while (job := plan.next_job(now)) is not None and job.open_gap.missing and not job.is_hopeless(now):
        got = sorted(number for number in has if number >= job.next_id)[:PAGE]
        published += [int(event.trade_id) for event in found.fill_gaps([trade(number) for number in got]) if isinstance(event, Trade)]
        spans = range(got[0], got[-1] + 1) if got else range(0)
        job.page_received(spans, None, last=len(got) < PAGE, now=now)
        if late:
            number = late.pop()
            published += [int(event.trade_id) for event in found.accept(trade(number), number) if isinstance(event, Trade)]
            has.discard(number)
        now = max(now, job.due)

    assert len(published) == len(set(published))
    assert has <= set(published)
    assert job is None or job.open_gap.missing == 39 - len(published)
