"""All instruments of one aggregator."""

from __future__ import annotations

import pytest

from crosstape.errors import SettingsError
from crosstape_aggregator.board import Board
from crosstape_schemas import Exclusion, FeedState, Ticker
from tests.aggregator.builders import MS, T0, S, alive, board, gap, quote, reasons, status, trade

ETH = "ETH-USDT"


def publish(one: Board, now: int) -> dict[str, dict[str, Exclusion | None]]:
    """What is due now: per instrument, why each leg does not count."""
    return {found.instrument: reasons(found) for found in one.due(now)}


def test_a_wrong_window_stops_the_start() -> None:
    """With the setting's name."""
    with pytest.raises(SettingsError, match="windows"):
        board(windows=("1 minute",))


def test_a_change_is_due_at_once_and_the_next_after_the_interval() -> None:
    """Newest state, one quote."""
    one = board()
    one.take([quote("kraken", "100", "101", seq=1)], T0)
    assert one.next_ts() == 0
    assert [found.legs[0].seq for found in one.due(T0)] == [1]
    for seq in (2, 3, 4):
        one.take([quote("kraken", "100", "101", T0 + seq, seq=seq)], T0 + seq)
    assert one.next_ts() == T0 + 10 * MS
    assert one.due(T0 + 5 * MS) == []
    assert [found.legs[0].seq for found in one.due(T0 + 10 * MS)] == [4]
    assert (one.tally.published, one.tally.merged, one.tally.taken["quote"]) == (2, 2, 4)


def test_under_load_a_share_of_the_instruments_is_due() -> None:
    """In the order in which they changed; the rest keep their turn."""
    one = board()
    for name in "abcde":
        one.take([quote("kraken", "100", "101", instrument=name)], T0)
    assert [found.instrument for found in one.due(T0, 2)] == ["a", "b"]
    assert [found.instrument for found in one.due(T0, 2)] == ["c", "d"]
    assert [found.instrument for found in one.due(T0)] == ["e"]


def test_a_leg_goes_stale_by_itself() -> None:
    """At the moment that the board foretells, and not while its venue lives."""
    one = board(windows=())
    one.take([quote("kraken", "100", "101")], T0)
    one.due(T0)
    one.take([alive("kraken", T0 + S)], T0 + S)
    assert publish(one, T0 + S) == {}
    assert one.next_ts() == T0 + 3 * S
    assert publish(one, T0 + 3 * S) == {}
    assert one.next_ts() == T0 + 4 * S
    assert publish(one, T0 + 4 * S) == {"BTC-USDT": {"kraken": Exclusion.STALE}}
    assert one.next_ts() is None


def test_a_venue_that_lives_again_revives_its_legs() -> None:
    """They settle, and count by themselves when they have."""
    one = board(windows=())
    for name in ("BTC-USDT", ETH):
        one.take([quote("kraken", "100", "101", instrument=name)], T0)
    one.due(T0)
    one.due(T0 + 4 * S)
    one.take([alive("kraken", T0 + 5 * S)], T0 + 5 * S)
    assert publish(one, T0 + 5 * S) == {"BTC-USDT": {"kraken": Exclusion.SETTLING}, ETH: {"kraken": Exclusion.SETTLING}}
    one.take([alive("kraken", T0 + 6 * S)], T0 + 6 * S)
    assert publish(one, T0 + 6 * S) == {"BTC-USDT": {"kraken": None}, ETH: {"kraken": None}}


def test_signs_of_life_that_were_held_back_revive_quiet_legs() -> None:
    """After an outage of the bus they come all at once, none long after the one before."""
    one = board(windows=())
    one.take([quote("kraken", "100", "101"), alive("kraken")], T0)
    one.due(T0)
    assert publish(one, T0 + 4 * S) == {"BTC-USDT": {"kraken": Exclusion.STALE}}
    one.take([alive("kraken", T0 + second * S) for second in range(1, 6)], T0 + 6 * S)
    assert publish(one, T0 + 6 * S) == {"BTC-USDT": {"kraken": Exclusion.SETTLING}}


def test_a_restart_seen_anywhere_concerns_all_legs_of_the_venue() -> None:
    """Another instrument's quote of the new epoch is enough."""
    one = board(windows=())
    for name in ("BTC-USDT", ETH):
        one.take([quote("kraken", "100", "101", instrument=name)], T0)
    one.due(T0)
    one.take([quote("kraken", "100", "101", T0 + S, epoch=2)], T0 + S)
    assert publish(one, T0 + S) == {"BTC-USDT": {"kraken": None}, ETH: {"kraken": Exclusion.STATE}}
    one.take([quote("kraken", "100", "101", T0 + S, epoch=1, instrument=ETH)], T0 + S)
    assert one.tally.outdated == {"kraken": 1}


def test_a_venue_that_goes_down_is_out_everywhere_at_once() -> None:
    """By its own status; an outdated one does nothing."""
    one = board(windows=())
    one.take([quote("kraken", "100", "101", epoch=2)], T0)
    one.take([quote("binance", "100", "101", epoch=2)], T0)
    one.due(T0)
    one.take([alive("kraken", T0 + S, state=FeedState.DOWN, epoch=1)], T0 + S)
    assert publish(one, T0 + S) == {}
    one.take([alive("kraken", T0 + S, state=FeedState.DOWN, epoch=2)], T0 + S)
    (found,) = one.due(T0 + S)
    assert reasons(found) == {"kraken": Exclusion.STATE, "binance": None}
    assert found.received_ts == T0 + S


def test_a_gap_of_a_whole_venue_concerns_the_instruments_it_is_seen_in() -> None:
    """By a leg or by trades."""
    one = board(windows=("1m",))
    one.take([trade("kraken", "1", "1")], T0)
    one.take([trade("kraken", "1", "1")], T0)
    one.take([trade("binance", "1", "1", instrument=ETH)], T0)
    for name in ("BTC-USDT", ETH):
        one.instrument(name, T0).known_from(0)
        one.instrument(name, T0).windows.trust(True)
    one.take([gap("kraken", T0 - S, T0, instrument="*")], T0)
    one.take([gap("kraken", T0 - S, T0, instrument="*", kind="quote")], T0)
    assert {found.instrument: found.vwap["1m"].complete for found in one.due(T0)} == {"BTC-USDT": False, ETH: True}


def test_what_does_not_matter_is_counted_and_nothing_more() -> None:
    """Other kinds, also venue-wide; a feed's status that is no quote's or book's."""
    one = board()
    one.take([Ticker("kraken", "*", None, T0, None)], T0)
    one.take([Ticker("kraken", ETH, None, T0, None)], T0)
    one.take([status("kraken", FeedState.DOWN, kind="trade")], T0)
    assert one.due(T0) == []
    assert one.next_ts() is None
    assert one.tally.taken == {"ticker": 2, "status": 1}


def test_what_was_learned_otherwise_is_published_too() -> None:
    """That the history has been read, say."""
    one = board(windows=("1m",))
    one.take([trade("kraken", "1", "1")], T0)
    assert not one.due(T0)[0].vwap["1m"].complete
    one.instrument("BTC-USDT", T0).known_from(0)
    one.instrument("BTC-USDT", T0).windows.trust(True)
    one.changed(["BTC-USDT"], T0)
    assert one.due(T0 + S)[0].vwap["1m"].complete
