"""Which trades a standby replica keeps, and which of them it publishes when it takes over."""

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
from tests.connector.fake_venue import fake, instrument
from tests.connector.feeds.split import SplitFeeds

NAME, OTHER = "AAA-USD", "BBB-USD"
TOPIC = Topic("main", "trades", "AAAUSD")
NOW = 1_000_000


def trade(number: int, name: str = NAME, *, backfilled: bool = False) -> Trade:
    """The trade with this id; the id also gives its times."""
    return Trade("fake", name, number * 10, number * 10 + 1, Decimal(number), Decimal(1), Side.BUY, str(number), backfilled)


def holding(
    *numbers: int, bound: int = 1_000, ids: Literal["contiguous", "increasing", "unique", "none"] = "contiguous"
) -> StandbyTradeBuffer:
    """A buffer to which these trades were added, in this order."""
    buffer = StandbyTradeBuffer(ids, bound)
    for number in numbers:
        buffer.add(trade(number))
    return buffer


def ids(events: Sequence[Event]) -> list[int]:
    """The ids of the trades among these events."""
    return [int(event.trade_id) for event in events if isinstance(event, Trade)]


def gap(missed: int | None, after: int, until: int) -> Gap:
    """The gap of `missed` trades after the trade `after`. `until`: the trade that ends it, or a time (from `NOW` on)."""
    to_ts = until if until >= NOW else until * 10 + 1
    return Gap("fake", NAME, None, to_ts, "trade", after * 10 + 1, to_ts, missed, GapCause.DISCONNECT)


def test_what_is_on_the_tape_is_not_published_again() -> None:
    """Only the trades after the newest on the tape are published, each once, in order."""
    buffer = holding(5, 6, 7, 8)
    buffer.drop_published([trade(6)])

    assert buffer.release(NAME, 9, NOW) == [trade(7), trade(8)]
    assert len(buffer) == 0


def test_a_tape_that_is_ahead_needs_nothing() -> None:
    """The connection of the active replica is faster than ours."""
    buffer = holding(5, 6)
    buffer.drop_published([trade(9)])

    assert buffer.release(NAME, 7, NOW) == []


def test_trades_that_no_replica_has_are_a_gap_with_the_count() -> None:
    """Trades may be missing before those in the buffer, between them, and after them: there the venue named a newer id."""
    buffer = holding(8, 9, 12)
    buffer.drop_published([trade(5)])

    assert buffer.release(NAME, 15, NOW) == [gap(2, 5, 8), trade(8), trade(9), gap(2, 9, 12), trade(12), gap(2, 12, NOW)]


def test_repairs_are_put_in_their_place() -> None:
    """They came later than the trades that follow them."""
    buffer = holding(5, 9)
    for number in (7, 6):
        buffer.add(trade(number, backfilled=True))
    buffer.drop_published([trade(5)])

    found = buffer.release(NAME, 10, NOW)

    assert ids(found) == [6, 7, 9]
    assert [event.missed for event in found if isinstance(event, Gap)] == [1]


def test_a_tape_without_a_trade_begins_with_what_is_held() -> None:
    """Nothing can be missing before the first trade of a tape."""
    assert ids(holding(5, 6).release(NAME, 7, NOW)) == [5, 6]


def test_a_new_numbering_makes_the_old_one_past() -> None:
    """The venue has restarted its numbering: the buffer keeps only trades with new ids."""
    buffer = holding(500, 501, 1, 2)

    assert ids(buffer.release(NAME, 3, NOW)) == [1, 2]


def test_only_trades_are_held() -> None:
    """`FeedHandler` knows the states; a gap of this standby is not a gap of the tape."""
    buffer = StandbyTradeBuffer("contiguous")
    buffer.add(Status("fake", NAME, None, 1, "trade", FeedState.DOWN, ""))
    buffer.add(gap(1, 1, 2))

    assert len(buffer) == 0


def test_it_is_complete_when_nothing_is_missing_after_the_tape() -> None:
    """The buffer must have every trade from the end of the tape to the id that is expected next."""
    buffer = holding(8, 9)
    assert buffer.is_complete(NAME, 10)  # the end of the tape was not read yet
    buffer.drop_published([trade(5)])
    assert not buffer.is_complete(NAME, 10)
    buffer.drop_published([trade(7)])
    assert buffer.is_complete(NAME, 10)
    assert not buffer.is_complete(NAME, 11)
    buffer.drop_published([trade(12)])
    assert buffer.is_complete(NAME, 10)


def test_the_instrument_that_has_most_gives_way() -> None:
    """Its older trades are dropped, and are counted as missing on takeover; the trades of another instrument stay."""
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


@pytest.mark.parametrize("kind", ["increasing", "unique", "none"])
def test_without_contiguous_ids_a_gap_is_reported_without_a_count(kind: Literal["increasing", "unique", "none"]) -> None:
    """The later trades are published after a gap whose `missed` is null."""
    buffer = holding(5, 6, 8, ids=kind)
    buffer.drop_published([trade(5)])

    assert buffer.release(NAME, -1, NOW) == [gap(None, 5, 6), trade(6), trade(8)]
    assert buffer.is_complete(NAME, -1)


def test_clear_forgets_the_trades_and_the_end_of_the_tape() -> None:
    """The next trade counts as the first."""
    buffer = holding(5, 6)
    buffer.drop_published([trade(5)])
    buffer.clear()
    buffer.add(trade(3))

    assert ids(buffer.release(NAME, 4, NOW)) == [3]


class ReplicaReads:
    """The pure part of one of two replicas, with the trades that its connection brings."""

    def __init__(self, reads: list[int]) -> None:
        self.feeds = SplitFeeds(fake(), {NAME: instrument("AAAUSD")}, ("trade",), book_depth=5, book_interval_ns=0)
        self.feeds.open_topics([TOPIC], 1)
        self.buffer = StandbyTradeBuffer("contiguous")
        self.reads = iter(reads)

    def read(self) -> Sequence[Event]:
        """The events of the next frame."""
        number = next(self.reads, None)
        return () if number is None else self.feeds.apply(trade(number))

    def cut(self) -> Sequence[Event]:
        """Its connection is lost, and a new one opens."""
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


def test_a_late_trade_that_is_on_the_tape_already_is_no_repair() -> None:
    """Our replica had missed the trade; the active one had not, and has published newer trades since."""
    replica = ReplicaReads([1, 2, 6, 4, 7, 8])
    for _ in range(3):
        replica.read()
    continue_tape(replica.feeds, replica.buffer, [trade(6)], NOW)

    assert [ids(replica.read()) for _ in range(3)] == [[], [7], [8]]


STEPS: Final = ("a reads", "b reads", "a reads", "b reads", "a is cut", "b is cut", "the other takes over")


@settings(max_examples=80)
@given(a=reading(), b=reading(), steps=st.lists(st.sampled_from(STEPS), max_size=60))
def test_after_any_takeovers_each_trade_is_on_the_tape_once_or_counted(a: list[int], b: list[int], steps: list[str]) -> None:
    """Two replicas miss different trades and publish in turn. From the first trade of the tape on, each trade is on the tape once, or is
    counted in a gap at its place; a trade that comes after its gap is marked as backfilled.
    """
    replicas, active, tape = {"a": ReplicaReads(a), "b": ReplicaReads(b)}, "a", list[Event]()
    for step in steps:
        if step == "the other takes over":
            active = "b" if active == "a" else "a"
            newest = max((event for event in tape if isinstance(event, Trade) and not event.backfilled), key=at, default=None)
            last = [event for event in tape if isinstance(event, Trade)][-1:]
            if newest is not None and last != [newest]:
                last = [newest]
            tape += continue_tape(replicas[active].feeds, replicas[active].buffer, last, NOW)
            continue
        replica = replicas[step[0]]
        for event in replica.read() if step.endswith("reads") else replica.cut():
            if step[0] == active:
                tape.append(event)
            else:
                replica.buffer.add(event)

    expected, missing, reported = 0, set[int](), 0
    for event in tape:
        if isinstance(event, Gap) and event.repaired:
            assert event.missed
            reported -= event.missed
            assert reported >= len(missing)
        elif isinstance(event, Gap) and expected:
            assert event.missed
            reported += event.missed
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


def test_a_gap_reported_on_takeover_can_be_repaired() -> None:
    """After the takeover, the open gaps are those reported on the tape. A filled gap is reported as repaired."""
    replica = ReplicaReads([1, 2, 5, 8, 9])
    for _ in range(5):
        for event in replica.read():
            replica.buffer.add(event)
    reported = [event for event in continue_tape(replica.feeds, replica.buffer, [trade(5)], NOW) if isinstance(event, Gap)]

    events = replica.feeds.trades.fill_gaps(TradeSnapshot(NAME, NOW, tuple(trade(number) for number in range(1, 10))))

    assert reported == [gap(2, 5, 8)]
    assert [event.trade_id for event in events if isinstance(event, Trade) and event.backfilled] == ["6", "7"]
    (repaired,) = (event for event in events if isinstance(event, Gap))
    assert repaired.repaired
    assert (repaired.from_ts, repaired.to_ts, repaired.missed) == (reported[0].from_ts, reported[0].to_ts, 2)


def at(event: Trade) -> int:
    """The id of this trade."""
    return int(event.trade_id)
