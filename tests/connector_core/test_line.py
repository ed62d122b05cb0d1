"""The line of an instrument's trades: each once, and every hole told."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.line import TradeLine
from crosstape_connector.venue import LastTrade, TradeSnapshot
from crosstape_schemas import Event, FeedState, Gap, GapCause, Instrument, Side, Status, Trade

BITCOIN = Instrument("BTC-USD", "v", "BTC/USD", "BTC", "USD")


def trade(number: int, *, at: int | None = None, backfilled: bool = False) -> Trade:
    """Executed at its number (or another time) and received a thousand later."""
    moment = number if at is None else at
    return Trade("v", "BTC-USD", moment, moment + 1_000, Decimal(1), Decimal(1), Side.BUY, str(number), backfilled)


def line(*numbers: int, contiguous: bool = True) -> TradeLine:
    """A live line that has seen these."""
    found = TradeLine(BITCOIN, contiguous=contiguous)
    for number in numbers:
        found.accept(trade(number), number)
    return found


def accept(found: TradeLine, *numbers: int) -> list[Event]:
    """What these put on the tape."""
    return [event for number in numbers for event in found.accept(trade(number), number)]


def lose(found: TradeLine) -> None:
    """Its connection is gone."""
    found.interrupted(found.received_ts)
    found.turn(FeedState.DOWN, "lost", 0)


def ids(events: list[Event]) -> list[str]:
    """Of the trades among these."""
    return [event.trade_id for event in events if isinstance(event, Trade)]


def gaps(events: list[Event]) -> list[tuple[GapCause, int | None, int, int]]:
    """Cause, missed, from and to of the gaps among these."""
    return [(event.cause, event.missed, event.from_ts, event.to_ts) for event in events if isinstance(event, Gap)]


def test_the_first_trade_makes_the_line_live() -> None:
    """There is nothing before it that the tape could miss."""
    status, first = accept(line(), 5)

    assert isinstance(status, Status)
    assert (status.state, status.kind, first) == (FeedState.LIVE, "trade", trade(5))


def test_a_hole_says_how_many_and_from_when_to_when() -> None:
    """The gap comes before the trade that showed it."""
    events = accept(line(1, 2), 6)

    assert gaps(events) == [(GapCause.SEQUENCE, 3, 1_002, 1_006)]
    assert events[-1] == trade(6)


def test_a_trade_that_was_there_is_dropped_and_counted() -> None:
    """Its number and its time are not newer."""
    found = line(1, 2, 3)

    assert accept(found, 2, 3) == []
    assert found.duplicates == 2


def test_a_trade_of_a_told_hole_may_still_come() -> None:
    """Once, marked as not seen live."""
    found = line(1, 5)

    events = accept(found, 2, 4, 4, 3)

    assert events == [trade(2, backfilled=True), trade(4, backfilled=True)]
    assert found.duplicates == 2, "four came again, and three after it"


def test_a_venue_may_begin_its_numbering_anew() -> None:
    """An old number with a new time is no duplicate; how many were missed cannot be told."""
    found = line(1000)

    events = found.accept(trade(7, at=2_000), 7)

    assert gaps(events) == [(GapCause.SEQUENCE, None, 2_000, 3_000)]
    assert ids(events) == ["7"]
    assert ids(found.accept(trade(8, at=2_001), 8)) == ["8"]


def test_after_a_lost_connection_the_numbers_prove_that_nothing_was_missed() -> None:
    """Then there is no gap."""
    found = line(1, 2)
    lose(found)

    events = accept(found, 3)

    assert gaps(events) == []
    assert [type(event) for event in events] == [Status, Trade]


def test_after_a_lost_connection_the_hole_is_exact() -> None:
    """From the last trade before to the first after."""
    found = line(1, 2)
    lose(found)

    assert gaps(accept(found, 10)) == [(GapCause.DISCONNECT, 7, 1_002, 1_010)]
    assert gaps(accept(found, 12)) == [(GapCause.SEQUENCE, 1, 1_010, 1_012)]


def test_numbers_that_only_grow_tell_of_no_hole() -> None:
    """After a lost connection it is not known how many were missed."""
    found = line(1, 5, contiguous=False)
    assert gaps(accept(found, 9)) == []
    lose(found)

    assert gaps(accept(found, 10)) == [(GapCause.DISCONNECT, None, 1_009, 1_010)]


def replay(*numbers: int) -> TradeSnapshot:
    """The venue's newest trades, received at 5,000."""
    return TradeSnapshot("BTC-USD", 5_000, tuple(trade(number, backfilled=True) for number in numbers))


def test_a_line_does_not_begin_with_what_is_older_than_the_tape() -> None:
    """The replayed trades tell where it begins: the next one, or a hole before it."""
    found = line()

    assert [type(event) for event in found.snapshot(replay(8, 7, 9))] == [Status]
    assert ids(accept(found, 9, 10)) == ["10"]
    other = line()
    other.snapshot(replay(7, 8))
    assert gaps(accept(other, 12)) == [(GapCause.SEQUENCE, 3, 5_000, 1_012)]


def test_a_replay_repairs_a_line() -> None:
    """What was seen already is dropped, what was missed is published as not seen live, and no gap is left."""
    found = line(1, 2)
    lose(found)

    events = found.snapshot(replay(1, 2, 3, 4))

    assert ids(events) == ["3", "4"]
    assert all(event.backfilled for event in events if isinstance(event, Trade))
    assert gaps(events + accept(found, 5)) == []


def test_a_replay_that_does_not_reach_back_far_enough_leaves_a_gap() -> None:
    """With the number of those that are missing."""
    found = line(1, 2)
    lose(found)

    assert gaps(found.snapshot(replay(6, 7)))[0][:2] == (GapCause.DISCONNECT, 3)


def test_an_empty_replay_is_a_sign_of_life() -> None:
    """A product that never traded."""
    found = line()

    assert [type(event) for event in found.snapshot(replay())] == [Status]
    assert found.next == -1


def test_a_line_goes_on_from_the_tape() -> None:
    """After a restart: older trades are dropped, a hole since then is a lost connection's."""
    found = line()
    found.seed(trade(5))
    found.seed(trade(4))

    events = accept(found, 5, 8)

    assert gaps(events) == [(GapCause.DISCONNECT, 2, 1_005, 1_008)]
    assert ids(events) == ["8"]


def test_a_connection_lost_before_it_spoke_does_not_forget_the_tape() -> None:
    """The gap still begins at the last trade that is on it."""
    found = line()
    found.seed(trade(5))
    lose(found)

    assert gaps(accept(found, 8)) == [(GapCause.DISCONNECT, 2, 1_005, 1_008)]


def told(number: int, at: int) -> LastTrade:
    """The venue's word of its newest trade."""
    return LastTrade("BTC-USD", at, at, number)


def test_a_trade_the_venue_speaks_of_twice_and_never_sends_is_missed() -> None:
    """Once may be an overtaking."""
    found = line(1, 2)

    assert found.told(told(4, 2_000)) == []
    assert ids(accept(found, 3)) == ["3"]
    assert gaps(found.told(told(4, 3_000))) == [(GapCause.SEQUENCE, 1, 1_003, 3_000)]
    assert found.told(told(4, 4_000)) == []
    assert ids(accept(found, 5)) == ["5"]


def test_a_hole_told_in_parts_may_still_be_filled() -> None:
    """A venue whose trades stall speaks of each newest one all the same: when they come after all, they are late, not a new numbering."""
    found = line(1)
    parts = [gap for number in (3, 5, 7) for at in (2_000, 3_000) for gap in gaps(found.told(told(number, at + number)))]

    assert [missed for _, missed, _, _ in parts] == [2, 2, 2]
    late = accept(found, *range(2, 9))
    assert gaps(late) == []
    assert [(event.trade_id, event.backfilled) for event in late if isinstance(event, Trade)] == [
        *((str(number), True) for number in range(2, 8)),
        ("8", False),
    ]


def test_a_lost_connection_is_the_cause_of_one_gap_only() -> None:
    """Told by the venue's word; what is missed after it has a cause of its own."""
    found = line(1, 2)
    lose(found)
    found.told(told(4, 2_000))

    assert gaps(found.told(told(4, 3_000))) == [(GapCause.DISCONNECT, 2, 1_002, 3_000)]
    assert gaps(accept(found, 7)) == [(GapCause.SEQUENCE, 2, 1_002, 1_007)]


def test_the_venues_word_proves_a_quiet_line() -> None:
    """Nothing is missing: that is as good as a trade for whoever looks for silence. Trades that never came prove nothing."""
    found = line(1, 2, 3)
    found.told(told(3, 2_000))
    assert found.proven_ts == 2_000

    for at in (3_000, 4_000, 5_000):
        found.told(told(4, at))
    assert found.proven_ts == 2_000

    accept(found, 5)
    found.told(told(5, 6_000))
    assert found.proven_ts == 6_000


def test_the_venues_word_is_no_beginning() -> None:
    """Nothing is known, so nothing is missed."""
    assert line().told(told(9, 1)) == []


@given(steps=st.lists(st.one_of(st.integers(1, 30), st.just("lose"), st.just("told")), max_size=40))
def test_published_and_missed_add_up(steps: list[int | str]) -> None:
    """Whatever comes in whatever order: no trade twice, and every number up to the newest is published or told as missed."""
    found = line()
    published: list[int] = []
    missed = 0
    newest = 0
    for step in steps:
        if step == "lose":
            lose(found)
            continue
        if step == "told":
            events = found.told(told(newest, 10_000))
        else:
            newest = max(newest, int(step))
            events = found.accept(trade(int(step), at=0), int(step))
        published += [int(trade_id) for trade_id in ids(events)]
        late = sum(event.backfilled for event in events if isinstance(event, Trade))
        missed += sum(event.missed or 0 for event in events if isinstance(event, Gap)) - late
    assert len(published) == len(set(published))
    if published:
        assert missed == max(published) - published[0] + 1 - len(published)
