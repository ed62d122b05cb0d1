"""Trade ids that never existed: when the venue's answers show it, and what is published then."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.feeds.trades.open_gaps import CONFIRM_S
from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.rest.backfill_schedule import BackfillJob, BackfillSchedule
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_schemas import Event, Gap, Instrument, Side, Trade

PAGE: Final = 4
BITCOIN: Final = Instrument("BTC-USD", "v", "BTC/USD", "BTC", "USD")


def trade(number: int) -> Trade:
    """A trade made at its number, received 1,000 ns later."""
    return Trade("v", "BTC-USD", number, number + 1_000, Decimal(1), Decimal(1), Side.BUY, str(number))


def sequence(*numbers: int) -> TradeSequence:
    """A sequence that has accepted these trades."""
    found = TradeSequence(BITCOIN, contiguous=True)
    for number in numbers:
        found.accept(trade(number), number)
    return found


def answer(found: TradeSequence, *numbers: int, at: float, left_out: int = 0) -> list[Event]:
    """Apply an answer of REST with these trades at this second, and return the events for the tape."""
    (open_gap,) = found.open_gaps
    page = TradeSnapshot("BTC-USD", 9_000, tuple(map(trade, numbers)), left_out)
    events = found.fill_gaps(page.trades)
    return events + (found.check_nonexistent(open_gap, page, at) if open_gap in found.open_gaps else [])


def counts_of(events: list[Event]) -> list[tuple[bool, int | None, int]]:
    """Return (repaired, missed, nonexistent) of the gaps among these events."""
    return [(event.repaired, event.missed, event.nonexistent) for event in events if isinstance(event, Gap)]


def test_two_answers_with_both_neighbours_and_none_between_close_the_gap() -> None:
    """The repaired gap has the times of the gap, so that a reader counts nothing as missing any more."""
    found = sequence(4)
    (gap,) = [event for event in found.accept(trade(8), 8) if isinstance(event, Gap)]

    assert answer(found, 4, 8, 9, at=0.0) == []
    events = answer(found, 4, 8, 9, at=CONFIRM_S)

    assert counts_of(events) == [(True, 3, 3)]
    assert isinstance(events[0], Gap)
    assert (events[0].from_ts, events[0].to_ts, events[0].cause) == (gap.from_ts, gap.to_ts, gap.cause)
    assert len(found.open_gaps) == 0


def test_one_answer_is_not_enough_nor_are_two_in_a_row() -> None:
    """An answer may be cached, or come from a server that is behind."""
    found = sequence(4, 8)
    for at in (0.0, 1.0, CONFIRM_S - 0.1):
        assert answer(found, 4, 8, at=at) == []


def test_a_neighbour_that_is_not_in_the_answer_proves_nothing() -> None:
    """Ids beyond a page are unknown, and an answer that lacks a trade we have may lack others."""
    found = sequence(4, 8)
    for page in ((8, 9), (3, 4), (), (3, 8), (4, 9)):
        for at in (0.0, 2 * CONFIRM_S):
            assert answer(found, *page, at=at) == []


def test_an_answer_of_which_a_row_could_not_be_read_proves_nothing() -> None:
    """The unreadable row may be the missing trade."""
    found = sequence(4, 8)
    for at in (0.0, 2 * CONFIRM_S, 4 * CONFIRM_S):
        assert answer(found, 4, 8, at=at, left_out=1) == []


def test_some_came_and_the_rest_never_existed() -> None:
    """The repaired gap has the count of both, and of the nonexistent ids alone."""
    found = sequence(4, 12)
    assert counts_of(answer(found, 4, 6, 7, 12, at=0.0)) == []
    assert counts_of(answer(found, 4, 6, 7, 12, at=CONFIRM_S)) == [(True, 7, 5)]


def test_a_nonexistent_part_is_reported_when_the_rest_is_given_up() -> None:
    """It is reported within narrower times, as any part; the rest stays missing."""
    found = sequence(4, 12)
    for at in (0.0, CONFIRM_S):
        assert counts_of(answer(found, 4, 8, at=at)) == []  # the venue does not have what follows
    (open_gap,) = found.open_gaps
    (part,) = open_gap.report(9_000)

    assert (part.missed, part.nonexistent, open_gap.missing) == (4, 3, 3)
    assert part.to_ts < open_gap.gap.to_ts


def test_a_trade_that_comes_after_all_is_published_once_and_the_count_corrected() -> None:
    """The sums over all repaired gaps stay right: `missed` does not change, and `nonexistent` is one less."""
    found = sequence(4, 8)
    answer(found, 4, 8, at=0.0)
    answer(found, 4, 8, at=CONFIRM_S)

    events = found.accept(trade(6), 6)
    assert [event.trade_id for event in events if isinstance(event, Trade) and event.backfilled] == ["6"]
    assert counts_of(events) == [(True, 0, -1)]
    assert counts_of(found.accept(trade(6), 6)) == []
    assert found.duplicates == 1


def test_a_trade_that_comes_before_the_gap_is_closed_is_no_correction() -> None:
    """No event has reported this id as nonexistent yet."""
    found = sequence(4, 12)
    for at in (0.0, CONFIRM_S):
        answer(found, 4, 8, at=at)
    assert counts_of(found.accept(trade(6), 6)) == []
    for at in (0.0, CONFIRM_S):
        events = answer(found, 4, 8, 12, at=at)
    assert counts_of(events) == [(True, 7, 5)]


class Venue:
    """A venue whose ids are not all used; it counts pages from their first id, or from their last, or by time."""

    def __init__(self, ids: set[int], how: str) -> None:
        self.ids = sorted(ids)
        self.how = how

    def page(self, job: BackfillJob) -> list[int]:
        """Return the venue's answer."""
        match self.how:
            case "first":
                return [number for number in self.ids if number >= job.next_id][:PAGE]
            case "last":
                return [number for number in self.ids if number < job.next_id + PAGE][-PAGE:]
            case _:
                return [number for number in self.ids if number >= job.at_ts][:PAGE]


@given(
    ids=st.sets(st.integers(2, 40), max_size=38),
    how=st.sampled_from(["first", "last", "time"]),
)
def test_a_gap_is_closed_and_everything_that_exists_is_published(ids: set[int], how: str) -> None:
    """For any trades between two others, and any way of paging: no id stays missing, and the counts are exact."""
    venue = Venue({0, 1, *ids, 41, 42, 43}, how)
    found = sequence(0, 1, 41)
    plan = BackfillSchedule(longest_s=1_000.0, page=PAGE)
    list(plan.update([found], 0.0))
    now, tape = 0.0, list[Event]()
    (open_gap,) = found.open_gaps
    while open_gap in found.open_gaps:
        now += 0.25
        job = plan.next_job(now)
        if job is None:
            continue
        numbers = venue.page(job)
        page = TradeSnapshot("BTC-USD", 9_000, tuple(map(trade, numbers)))
        tape += found.fill_gaps(page.trades)
        if open_gap in found.open_gaps:
            tape += found.check_nonexistent(open_gap, page, now)
        span = range(numbers[0], numbers[-1] + 1) if numbers else range(0)
        job.page_received(span, numbers[-1] if numbers else None, last=len(numbers) < PAGE, now=now)
        assert open_gap not in found.open_gaps or not job.is_hopeless(now), "given up"
    assert sorted(int(event.trade_id) for event in tape if isinstance(event, Trade)) == sorted(ids)
    assert counts_of(tape) == [(True, 39, 39 - len(ids))]
