"""What a line that stands by holds, and what of it goes on the tape when it takes over."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.failover.trade_buffer import StandbyTradeBuffer, continue_tape
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_schemas import Event, FeedState, Gap, GapCause, Side, Status, Trade
from tests.connector.fake_venue import fake
from tests.connector.feeds.split import SplitFeeds
from tests.connector.rig import instrument

NAME, OTHER = "AAA-USD", "BBB-USD"
TOPIC = Topic("main", "trades", "AAAUSD")
NOW = 1_000_000


def trade(number: int, name: str = NAME, *, backfilled: bool = False) -> Trade:
    """The trade with this id, made and read when its number says."""
    return Trade("fake", name, number * 10, number * 10 + 1, Decimal(number), Decimal(1), Side.BUY, str(number), backfilled)


def holding(*numbers: int, bound: int = 1_000, ids: Literal["contiguous", "increasing", "none"] = "contiguous") -> StandbyTradeBuffer:
    """These, in this order."""
    buffer = StandbyTradeBuffer(ids, bound)
    for number in numbers:
        buffer.add(trade(number))
    return buffer


def ids(events: Sequence[Event]) -> list[int]:
    """Of the trades among them."""
    return [int(event.trade_id) for event in events if isinstance(event, Trade)]


def gap(missed: int | None, after: int, until: int) -> Gap:
    """So many are missing after one trade, until another was read, or a time if it is late."""
    to_ts = until if until >= NOW else until * 10 + 1
    return Gap("fake", NAME, None, to_ts, "trade", after * 10 + 1, to_ts, missed, GapCause.DISCONNECT)


def test_what_is_on_the_tape_is_not_published_again() -> None:
    """Behind the newest there, each once, in order."""
    buffer = holding(5, 6, 7, 8)
    buffer.drop_published([trade(6)])

    assert buffer.release(NAME, 9, NOW) == [trade(7), trade(8)]
    assert len(buffer) == 0


def test_a_tape_that_is_ahead_needs_nothing() -> None:
    """The other line's connection is the faster one."""
    buffer = holding(5, 6)
    buffer.drop_published([trade(9)])

    assert buffer.release(NAME, 7, NOW) == []


def test_what_neither_line_has_is_a_gap_with_the_count() -> None:
    """Before what is held, between, and behind: there the venue has told of trades that never came."""
    buffer = holding(8, 9, 12)
    buffer.drop_published([trade(5)])

    assert buffer.release(NAME, 15, NOW) == [gap(2, 5, 8), trade(8), trade(9), gap(2, 9, 12), trade(12), gap(2, 12, NOW)]


def test_repairs_are_put_in_their_place() -> None:
    """They came later than what follows them."""
    buffer = holding(5, 9)
    for number in (7, 6):
        buffer.add(trade(number, backfilled=True))
    buffer.drop_published([trade(5)])

    found = buffer.release(NAME, 10, NOW)

    assert ids(found) == [6, 7, 9]
    assert [event.missed for event in found if isinstance(event, Gap)] == [1]


def test_a_tape_without_a_trade_begins_with_what_is_held() -> None:
    """There is nothing to be missing before it."""
    assert ids(holding(5, 6).release(NAME, 7, NOW)) == [5, 6]


def test_a_new_numbering_makes_the_old_one_past() -> None:
    """The venue has begun its ids anew: what is held is of the new ones."""
    buffer = holding(500, 501, 1, 2)

    assert ids(buffer.release(NAME, 3, NOW)) == [1, 2]


def test_only_trades_are_held() -> None:
    """States are known to `FeedHandler`; a gap of this line's own is none of the tape."""
    buffer = StandbyTradeBuffer("contiguous")
    buffer.add(Status("fake", NAME, None, 1, "trade", FeedState.DOWN, ""))
    buffer.add(gap(1, 1, 2))

    assert len(buffer) == 0


def test_it_is_whole_when_nothing_is_missing_after_the_tape() -> None:
    """By the ids that are expected next; what is not on the tape yet must all be there."""
    buffer = holding(8, 9)
    assert buffer.is_complete(NAME, 10)  # nobody knows of a tape
    buffer.drop_published([trade(5)])
    assert not buffer.is_complete(NAME, 10)
    buffer.drop_published([trade(7)])
    assert buffer.is_complete(NAME, 10)
    assert not buffer.is_complete(NAME, 11)
    buffer.drop_published([trade(12)])
    assert buffer.is_complete(NAME, 10)


def test_the_instrument_that_has_most_gives_way() -> None:
    """Its older trades go, and are counted when it comes to that; another's stay."""
    buffer = StandbyTradeBuffer("contiguous", bound=10)
    buffer.add(trade(1, OTHER))
    buffer.drop_published([trade(0), trade(0, OTHER)])
    for number in range(1, 100):
        buffer.add(trade(number))
        assert len(buffer) <= 10

    found = buffer.release(NAME, 100, NOW)
    assert ids(buffer.release(OTHER, 2, NOW)) == [1]
    assert isinstance(found[0], Gap)
    assert found[0].missed == 99 - len(ids(found))
    assert ids(found)[-1] == 99


@pytest.mark.parametrize("kind", ["increasing", "none"])
def test_where_no_hole_can_be_counted_one_is_told_all_the_same(kind: Literal["increasing", "none"]) -> None:
    """What is later goes on the tape, behind a gap that does not count."""
    buffer = holding(5, 6, 8, ids=kind)
    buffer.drop_published([trade(5)])

    assert buffer.release(NAME, -1, NOW) == [gap(None, 5, 6), trade(6), trade(8)]
    assert buffer.is_complete(NAME, -1)


def test_forgotten_is_forgotten() -> None:
    """Where the tape was, too: what comes next is the first."""
    buffer = holding(5, 6)
    buffer.drop_published([trade(5)])
    buffer.clear()
    buffer.add(trade(3))

    assert ids(buffer.release(NAME, 4, NOW)) == [3]


class Line:
    """One of two connectors of a venue, as far as it is pure."""

    def __init__(self, reads: list[int]) -> None:
        self.feeds = SplitFeeds(fake(), {NAME: instrument("AAAUSD")}, ("trade",), book_depth=5, book_interval_ns=0)
        self.feeds.open_topics([TOPIC], 1)
        self.buffer = StandbyTradeBuffer("contiguous")
        self.reads = iter(reads)

    def read(self) -> Sequence[Event]:
        """What the next frame is good for."""
        number = next(self.reads, None)
        return () if number is None else self.feeds.apply(trade(number))

    def cut(self) -> Sequence[Event]:
        """Its connection is lost, and there is another."""
        return [*self.feeds.close_topics([TOPIC], NOW, "cut"), *self.feeds.open_topics([TOPIC], NOW)]


@st.composite
def reading(draw: st.DrawFn) -> list[int]:
    """Trades 1 … 20 as one connection brings them: some never, some late, some twice."""
    order = [number for number in range(1, 21) if number not in draw(st.sets(st.integers(1, 20), max_size=8))]
    for number in draw(st.lists(st.sampled_from(order), max_size=4)):
        order.insert(draw(st.integers(order.index(number), len(order))), number)  # again, later
        if draw(st.booleans()):
            order.remove(number)  # and not before
    return order


def test_a_late_trade_that_the_tape_has_from_the_other_line_is_no_repair() -> None:
    """Its line had missed it; the other had not, and has gone on since."""
    line = Line([1, 2, 6, 4, 7, 8])
    for _ in range(3):
        line.read()
    continue_tape(line.feeds, line.buffer, [trade(6)], NOW)

    assert [ids(line.read()) for _ in range(3)] == [[], [7], [8]]


STEPS: Final = ("a reads", "b reads", "a reads", "b reads", "a is cut", "b is cut", "the other takes over")


@settings(max_examples=80)
@given(a=reading(), b=reading(), steps=st.lists(st.sampled_from(STEPS), max_size=60))
def test_whoever_takes_over_whenever_each_trade_is_there_once_or_counted(a: list[int], b: list[int], steps: list[str]) -> None:
    """Two connections of one market, each with holes of its own, whose lines publish in turn: from the first trade on the tape on, each is
    there once, or is one of as many as a gap in its place says; one that comes after that says so itself.
    """
    lines, active, tape = {"a": Line(a), "b": Line(b)}, "a", list[Event]()
    for step in steps:
        if step == "the other takes over":
            active = "b" if active == "a" else "a"
            newest = max((event for event in tape if isinstance(event, Trade) and not event.backfilled), key=at, default=None)
            last = [event for event in tape if isinstance(event, Trade)][-1:]
            if newest is not None and last != [newest]:
                last = [newest]
            tape += continue_tape(lines[active].feeds, lines[active].buffer, last, NOW)
            continue
        line = lines[step[0]]
        for event in line.read() if step.endswith("reads") else line.cut():
            if step[0] == active:
                tape.append(event)
            else:
                line.buffer.add(event)

    expected, missing, told = 0, set[int](), 0
    for event in tape:
        if isinstance(event, Gap) and event.repaired:
            assert event.missed
            told -= event.missed
            assert told >= len(missing)
        elif isinstance(event, Gap) and expected:
            assert event.missed
            told += event.missed
            missing |= set(range(expected, expected + event.missed))
            expected += event.missed
        elif isinstance(event, Trade):
            expected = expected or at(event)
            if at(event) in missing:
                assert event.backfilled
                missing.remove(at(event))
            else:
                assert at(event) == expected
                expected += 1


def test_what_is_told_on_takeover_can_be_repaired() -> None:
    """The holes of the line are those that were told, whatever it had missed before; once one is whole, its gap is told as repaired."""
    line = Line([1, 2, 5, 8, 9])
    for _ in range(5):
        for event in line.read():
            line.buffer.add(event)
    told = [event for event in continue_tape(line.feeds, line.buffer, [trade(5)], NOW) if isinstance(event, Gap)]

    events = line.feeds.trades.fill_gaps(TradeSnapshot(NAME, NOW, tuple(trade(number) for number in range(1, 10))))

    assert told == [gap(2, 5, 8)]
    assert [event.trade_id for event in events if isinstance(event, Trade) and event.backfilled] == ["6", "7"]
    (repaired,) = (event for event in events if isinstance(event, Gap))
    assert repaired.repaired
    assert (repaired.from_ts, repaired.to_ts, repaired.missed) == (told[0].from_ts, told[0].to_ts, 2)


def at(event: Trade) -> int:
    """Its id."""
    return int(event.trade_id)
