"""Ids of the stream that the venue uses for what is no market trade: they are in the row of ids, and no event has them."""

from __future__ import annotations

from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.venues.messages import LastTrade
from crosstape_schemas import FeedState, Gap, GapCause, Trade
from tests.connector.feeds.trades.test_sequence import BITCOIN, accept, gaps, ids, lose, sequence


def passed(number: int) -> LastTrade:
    """The id of what is no trade, received 1,000 ns after it."""
    return LastTrade("BTC-USD", number, number + 1_000, number, no_trade=True)


def test_an_id_without_a_trade_is_no_gap() -> None:
    """The next trade follows it."""
    found = sequence(1, 2)

    assert found.apply_last_trade(passed(3)) == []
    events = accept(found, 4)
    assert ids(events) == ["4"]
    assert gaps(events) == []


def test_a_trade_that_is_missing_before_such_an_id_is_a_gap() -> None:
    """It is found at once."""
    found = sequence(1)

    (gap,) = found.apply_last_trade(passed(3))
    assert isinstance(gap, Gap)
    assert (gap.missed, gap.cause) == (1, GapCause.SEQUENCE)
    assert gaps(accept(found, 4)) == []


def test_a_sequence_may_begin_with_one() -> None:
    """It shows that the feed is live, and which trade comes next."""
    found = TradeSequence(BITCOIN, contiguous=True)

    found.apply_last_trade(passed(7))
    assert found.state is FeedState.LIVE
    assert gaps(accept(found, 8)) == []
    (gap,) = [event for event in accept(found, 10) if isinstance(event, Gap)]
    assert gap.missed == 1


def test_it_ends_a_lost_connection_like_a_trade() -> None:
    """What was missed is a gap of that connection."""
    found = sequence(1, 2)
    lose(found)

    events = found.apply_last_trade(passed(5))
    assert [(cause, missed) for cause, missed, *_ in gaps(events)] == [(GapCause.DISCONNECT, 2)]
    assert found.state is FeedState.LIVE


def test_one_that_comes_late_never_was_a_trade() -> None:
    """It is taken out of its gap, which is repaired once nothing is missing; twice is not more."""
    found = sequence(1)
    accept(found, 4)  # 2 and 3 are missing

    assert found.apply_last_trade(passed(3)) == []
    events = accept(found, 2)
    (repaired,) = [event for event in events if isinstance(event, Gap)]
    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["2"]
    assert (repaired.repaired, repaired.missed, repaired.nonexistent) == (True, 2, 1)
    assert found.apply_last_trade(passed(3)) == []
