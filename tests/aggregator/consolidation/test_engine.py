"""Tests the engine with several instruments."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape.errors import SettingsError
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import Event, Exclusion, FeedState, Ticker
from tests.aggregator.builders import MS, T0, S, alive, engine, gap, quote, reasons, status, trade

ETH = "ETH-USDT"
LIVE = FeedState.LIVE


def publish(one: Engine, now: int) -> dict[str, dict[str, Exclusion | None]]:
    """Return, for each instrument that is due now, why each leg does not count."""
    return {found.instrument: reasons(found) for found in one.due(now)}


def test_a_wrong_window_stops_the_start() -> None:
    """The error names the setting."""
    with pytest.raises(SettingsError, match="windows"):
        engine(windows=("1 minute",))


def test_a_change_is_due_at_once_and_the_next_after_the_interval() -> None:
    """Several changes within the interval become one quote with the newest state."""
    one = engine()
    one.apply([quote("kraken", "100", "101", seq=1)], T0)
    assert one.next_ts() == 0
    assert [found.legs[0].seq for found in one.due(T0)] == [1]
    for seq in (2, 3, 4):
        one.apply([quote("kraken", "100", "101", T0 + seq, seq=seq)], T0 + seq)
    assert one.next_ts() == T0 + 10 * MS
    assert one.due(T0 + 5 * MS) == []
    assert [found.legs[0].seq for found in one.due(T0 + 10 * MS)] == [4]
    assert (one.counts.published, one.counts.merged, one.counts.applied["quote"]) == (2, 2, 4)


def test_under_load_a_share_of_the_instruments_is_due() -> None:
    """Instruments are computed in the order in which they changed; the others come next."""
    one = engine()
    for name in "abcde":
        one.apply([quote("kraken", "100", "101", instrument=name)], T0)
    assert [found.instrument for found in one.due(T0, 2)] == ["a", "b"]
    assert [found.instrument for found in one.due(T0, 2)] == ["c", "d"]
    assert [found.instrument for found in one.due(T0)] == ["e"]


def test_a_leg_goes_stale_by_itself() -> None:
    """It goes stale at the moment that `next_ts` gave, but not while its venue gives signs of life."""
    one = engine(windows=())
    one.apply([quote("kraken", "100", "101")], T0)
    one.due(T0)
    one.apply([alive("kraken", T0 + S)], T0 + S)
    assert publish(one, T0 + S) == {}
    assert one.next_ts() == T0 + 3 * S
    assert publish(one, T0 + 3 * S) == {}
    assert one.next_ts() == T0 + 4 * S
    assert publish(one, T0 + 4 * S) == {"BTC-USDT": {"kraken": Exclusion.STALE}}
    assert one.next_ts() is None


def test_a_venue_that_lives_again_revives_its_legs() -> None:
    """The legs settle, and then count without another event."""
    one = engine(windows=())
    for name in ("BTC-USDT", ETH):
        one.apply([quote("kraken", "100", "101", instrument=name)], T0)
    one.due(T0)
    one.due(T0 + 4 * S)
    one.apply([alive("kraken", T0 + 5 * S)], T0 + 5 * S)
    assert publish(one, T0 + 5 * S) == {"BTC-USDT": {"kraken": Exclusion.SETTLING}, ETH: {"kraken": Exclusion.SETTLING}}
    one.apply([alive("kraken", T0 + 6 * S)], T0 + 6 * S)
    assert publish(one, T0 + 6 * S) == {"BTC-USDT": {"kraken": None}, ETH: {"kraken": None}}


def test_signs_of_life_that_were_held_back_revive_quiet_legs() -> None:
    """After an outage of the bus many signs arrive at once, each shortly after the one before."""
    one = engine(windows=())
    one.apply([quote("kraken", "100", "101"), alive("kraken")], T0)
    one.due(T0)
    assert publish(one, T0 + 4 * S) == {"BTC-USDT": {"kraken": Exclusion.STALE}}
    one.apply([alive("kraken", T0 + second * S) for second in range(1, 6)], T0 + 6 * S)
    assert publish(one, T0 + 6 * S) == {"BTC-USDT": {"kraken": Exclusion.SETTLING}}


def test_a_restart_seen_anywhere_concerns_all_legs_of_the_venue() -> None:
    """A quote of another instrument with the new epoch is enough."""
    one = engine(windows=())
    for name in ("BTC-USDT", ETH):
        one.apply([quote("kraken", "100", "101", instrument=name)], T0)
    one.due(T0)
    one.apply([quote("kraken", "100", "101", T0 + S, epoch=2)], T0 + S)
    assert publish(one, T0 + S) == {"BTC-USDT": {"kraken": None}, ETH: {"kraken": Exclusion.STATE}}
    one.apply([quote("kraken", "100", "101", T0 + S, epoch=1, instrument=ETH)], T0 + S)
    assert one.counts.outdated == {"kraken": 1}


def test_an_older_epoch_is_the_present_one_once_the_newer_is_silent() -> None:
    """After the server has lost its data, a connector whose clock was ahead at its last start begins an older epoch. What it publishes
    while the newer epoch may still live, a snapshot of a quiet pair as well as the states of feeds, counts as soon as that is silent.
    """
    one = engine(windows=("1m",))
    ahead = T0 + 7_200 * S
    one.apply([alive("kraken", ahead, epoch=9)], T0)
    one.apply([quote("kraken", "100", "101", ahead, epoch=9, instrument=name) for name in ("BTC-USDT", ETH)], T0)
    one.due(T0)
    one.apply([quote("kraken", "200", "201", T0 + S, epoch=5), status("kraken", LIVE, T0 + S, epoch=5)], T0 + S)
    one.apply([status("kraken", LIVE, T0 + S, kind="trade", epoch=5)], T0 + S)
    one.apply([alive("kraken", T0 + second * S, epoch=5) for second in (1, 2)], T0 + 2 * S)
    assert publish(one, T0 + 2 * S) == {}
    assert one.counts.outdated == {"kraken": 5}

    one.apply([alive("kraken", T0 + 3 * S, epoch=5)], T0 + 3 * S)

    found = {quote.instrument: quote for quote in one.due(T0 + 3 * S)}
    assert {name: reasons(quote)["kraken"] for name, quote in found.items()} == {"BTC-USDT": None, ETH: Exclusion.STATE}
    assert (found["BTC-USDT"].legs[0].epoch, found["BTC-USDT"].bid_price) == (5, Decimal(200))
    for second in range(4, 8):
        one.apply([msgspec.structs.replace(alive("kraken", T0 + second * S, epoch=5), clock_offset_ns=0)], T0 + second * S)
        one.look(set(), T0 + second * S, second * S)
    assert one.instruments["BTC-USDT"].windows.trusted, "its signs of life and its feed of trades are known as well"
    assert publish(one, T0 + 7 * S).get("BTC-USDT", {"kraken": None}) == {"kraken": None}


def test_a_newer_epoch_is_the_present_one_at_once_also_after_an_older_one() -> None:
    """The connector with the newer epoch was silent, and continues."""
    one = engine(windows=())
    one.apply([alive("kraken", epoch=9), quote("kraken", "100", "101", epoch=9)], T0)
    one.apply([alive("kraken", T0 + 4 * S, epoch=5), quote("kraken", "200", "201", T0 + 4 * S, epoch=5)], T0 + 4 * S)
    assert publish(one, T0 + 4 * S) == {"BTC-USDT": {"kraken": None}}
    one.apply([alive("kraken", T0 + 5 * S, epoch=9), quote("kraken", "102", "103", T0 + 5 * S, epoch=9)], T0 + 5 * S)
    (found,) = one.due(T0 + 5 * S)
    assert found.legs[0].epoch == 9


@pytest.mark.parametrize("living", ["sign of life", "beginning", "down"])
def test_what_comes_late_of_an_older_epoch_revives_nothing_while_the_newer_lives(living: str) -> None:
    """Whatever the newer one says; its first event of any kind shows that it has begun. Without a sign of life of its own an older epoch
    does not come back at all.
    """
    one = engine(windows=())
    one.apply(
        [alive("kraken", epoch=5), quote("kraken", "100", "101", epoch=5), quote("kraken", "100", "101", epoch=5, instrument=ETH)], T0
    )
    one.due(T0)
    first: Event = quote("kraken", "102", "103", T0 + S, epoch=9)
    if living != "beginning":
        first = alive("kraken", T0 + S, epoch=9, state=FeedState.DOWN if living == "down" else LIVE)
    one.apply([first], T0 + S)
    publish(one, T0 + S)
    late: list[Event] = [quote("kraken", "200", "201", T0 + S, epoch=5, instrument=ETH), status("kraken", LIVE, T0 + S, epoch=5)]
    one.apply([*late, alive("kraken", T0 + S, epoch=5)], T0 + 4 * S - 1)
    assert publish(one, T0 + 4 * S - 1).get(ETH, {"kraken": Exclusion.STATE}) == {"kraken": Exclusion.STATE}
    one.apply([*late, status("kraken", LIVE, T0 + S, kind="trade", instrument="*", epoch=5)], T0 + 60 * S)
    assert publish(one, T0 + 60 * S).get(ETH, {"kraken": Exclusion.STATE}) == {"kraken": Exclusion.STATE}


def test_when_our_clock_is_set_back_an_older_epoch_still_has_its_turn() -> None:
    """The last sign of the newer epoch seems to be in the future then."""
    one = engine(windows=())
    one.apply([alive("kraken", epoch=9), quote("kraken", "100", "101", epoch=9)], T0)
    back = T0 - 3_600 * S
    one.apply([alive("kraken", back, epoch=5), quote("kraken", "200", "201", back, epoch=5)], back)
    assert one.instruments["BTC-USDT"].legs[0].liveness.epoch == 5


def test_a_venue_that_goes_down_is_out_everywhere_at_once() -> None:
    """Its own status excludes all of its legs; a status of an older epoch does nothing."""
    one = engine(windows=())
    one.apply([quote("kraken", "100", "101", epoch=2)], T0)
    one.apply([quote("binance", "100", "101", epoch=2)], T0)
    one.due(T0)
    one.apply([alive("kraken", T0 + S, state=FeedState.DOWN, epoch=1)], T0 + S)
    assert publish(one, T0 + S) == {}
    one.apply([alive("kraken", T0 + S, state=FeedState.DOWN, epoch=2)], T0 + S)
    (found,) = one.due(T0 + S)
    assert reasons(found) == {"kraken": Exclusion.STATE, "binance": None}
    assert found.received_ts == T0 + S


def test_a_gap_of_a_whole_venue_concerns_the_instruments_it_is_seen_in() -> None:
    """These are the instruments with a leg or with trades of the venue."""
    one = engine(windows=("1m",))
    one.apply([trade("kraken", "1", "1")], T0)
    one.apply([trade("kraken", "1", "1")], T0)
    one.apply([trade("binance", "1", "1", instrument=ETH)], T0)
    for name in ("BTC-USDT", ETH):
        one.instrument(name, T0).known_from(0)
        one.instrument(name, T0).windows.trust(True)
    one.apply([gap("kraken", T0 - S, T0, instrument="*")], T0)
    one.apply([gap("kraken", T0 - S, T0, instrument="*", kind="quote")], T0)
    assert {found.instrument: found.vwap["1m"].complete for found in one.due(T0)} == {"BTC-USDT": False, ETH: True}


def test_what_does_not_matter_is_counted_and_nothing_more() -> None:
    """Other kinds of events, venue-wide ones too, and statuses of other feeds change nothing."""
    one = engine()
    one.apply([Ticker("kraken", "*", None, T0, None)], T0)
    one.apply([Ticker("kraken", ETH, None, T0, None)], T0)
    one.apply([status("kraken", FeedState.DOWN, kind="trade")], T0)
    assert one.due(T0) == []
    assert one.next_ts() is None
    assert one.counts.applied == {"ticker": 2, "status": 1}


def test_what_was_learned_otherwise_is_published_too() -> None:
    """An instrument is due after `changed`, for example when its past has been read."""
    one = engine(windows=("1m",))
    one.apply([trade("kraken", "1", "1")], T0)
    assert not one.due(T0)[0].vwap["1m"].complete
    one.instrument("BTC-USDT", T0).known_from(0)
    one.instrument("BTC-USDT", T0).windows.trust(True)
    one.changed(["BTC-USDT"], T0)
    assert one.due(T0 + S)[0].vwap["1m"].complete
