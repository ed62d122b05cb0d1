"""Events of one instrument in, consolidated quotes out."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_schemas import CONSOLIDATED, Cbbo, Exclusion, FeedState, Market, Ticker, Vwap, decode, encode
from tests.aggregator.builders import T0, S, X, alive, book, consolidated, d, gap, instrument, quote, reasons, status, trade


def test_three_venues_become_one_quote() -> None:
    """The quote contains the method, the moment, and all inputs that are needed to check it."""
    found = consolidated(
        [
            quote("kraken", "100.0", "100.3", T0 - 2, sizes=("1.5", "2")),
            quote("binance", "100.1", "100.2", T0 - 1, sizes=("2", "0.5")),
            quote("coinbase", "100.1", "100.4", T0 - 3, sizes=("0.25", "9")),
            trade("kraken", "100", "2", T0),
            trade("binance", "103", "1", T0),
        ]
    )

    assert (found.venue, found.instrument, found.ts, found.venue_ts, found.received_ts) == (CONSOLIDATED, X, T0, None, T0)
    assert (found.bid_price, found.bid_size, found.bid_venues) == (d("100.1"), d("2.25"), ("binance", "coinbase"))
    assert (found.ask_price, found.ask_size, found.ask_venues) == (d("100.2"), d("0.5"), ("binance",))
    assert (found.mid, found.spread, str(found.spread_bps)) == (d("100.15"), d("0.1"), "9.9850")
    assert (found.market, found.venues, found.method) == (Market.NORMAL, 3, "cbbo/1")
    assert [leg.venue for leg in found.legs] == ["binance", "coinbase", "kraken"]
    assert list(found.vwap) == ["1m", "5m", "1h", "1d"]
    assert found.vwap["1m"] == Vwap(Decimal(101), Decimal(3), 2, complete=False)
    assert decode(encode(found)) == found


def test_a_quote_is_published_when_it_says_something_new() -> None:
    """A later time alone makes no new quote; another `seq` of an input does."""
    one = instrument()
    one.apply(quote("kraken", "100", "101", seq=1), T0)
    assert one.consolidate(T0) is not None
    assert one.consolidate(T0 + 1) is None
    assert not one.apply(status("kraken", FeedState.LIVE, kind="ticker"), T0)
    assert one.apply(quote("kraken", "100", "101", seq=2), T0 + 1)
    found = one.consolidate(T0 + 1)
    assert found is not None
    assert found.legs[0].seq == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from(["quote", "state", "alive", "wait", "book"]),
            st.integers(95, 105),
            st.integers(-1, 4),
            st.sampled_from(list(FeedState)),
        ),
        max_size=40,
    )
)
def test_excluded_legs_never_touch_the_quote(steps: list[tuple[str, str, int, int, FeedState]]) -> None:
    """The best prices are always those of the legs shown as counting, and `next_ts` misses no change."""
    one = instrument(outlier_bps=300)
    now = T0
    for seq, (venue, what, bid, width, state) in enumerate(steps):
        if what == "quote":
            one.apply(quote(venue, str(bid), str(bid + width), now, seq=seq, state=state), now)
        elif what == "book":
            one.apply(book(venue, [(str(bid), "1")], [(str(bid + width), "1")], now), now)
        elif what == "state":
            one.apply(status(venue, state, now), now)
        elif what == "alive":
            one._venues.apply(alive(venue, now), now)
        else:
            due = one.quote.next_ts()
            if due is not None and due > now + 1:  # before the foretold moment nothing changes by itself
                assert one.consolidate(min(due - 1, now + bid * S // 100)) is None
            now += bid * S // 100
        found = one.consolidate(now)
        if found is not None:
            check(found)


def check(found: Cbbo) -> None:
    """Check what must be true of every consolidated quote."""
    counting = [leg for leg in found.legs if leg.excluded is None]
    assert found.venues == len(counting)
    assert found.bid_price == max((leg.bid_price for leg in counting if leg.bid_price is not None), default=None)
    assert found.ask_price == min((leg.ask_price for leg in counting if leg.ask_price is not None), default=None)
    assert set(found.bid_venues) == {leg.venue for leg in counting if leg.bid_price is not None and leg.bid_price == found.bid_price}
    for leg in counting:
        assert leg.state is FeedState.LIVE
        assert leg.bid_price is None or leg.ask_price is None or leg.bid_price < leg.ask_price


def test_trades_count_whatever_the_leg() -> None:
    """A trade is a fact, a quote is only an offer."""
    found = consolidated([quote("kraken", "101", "100"), trade("kraken", "100", "1"), trade("bitstamp", "100", "2")])

    assert reasons(found) == {"kraken": Exclusion.CROSSED}
    assert found.vwap["1m"].volume == 3


def test_trades_alone_make_a_quote_without_prices() -> None:
    """The volume is published, even if there are no prices."""
    found = consolidated([trade("kraken", "100", "1")])
    assert (found.market, found.legs, found.vwap["1m"].trades) == (Market.EMPTY, (), 1)


def test_a_backfilled_trade_counts_when_it_happened() -> None:
    """It counts in the windows that reach back to its second, and as late."""
    one = instrument()
    one.apply(trade("kraken", "100", "2", T0 - 100 * S, received_ts=T0), T0)
    found = one.consolidate(T0)
    assert found is not None
    assert [vwap.trades for vwap in found.vwap.values()] == [0, 1, 1, 1]
    assert one._counts.late == {"kraken": 1}


@pytest.mark.parametrize(
    ("price", "size"), [("NaN", "1"), ("1", "0"), ("-1", "1"), ("1." + "1" * 60, "1." + "1" * 60), ("1." + "1" * 300, "1")]
)
def test_a_trade_that_cannot_be_computed_with_is_a_hole(price: str, size: str) -> None:
    """The trade is counted as unusable and added to no sum; windows that should contain it are not complete."""
    one = instrument()
    one.known_from(0)
    one.apply(trade("kraken", price, size), T0)
    found = one.consolidate(T0)
    assert found is not None
    assert found.vwap["1m"] == Vwap(None, found.vwap["1m"].volume, 0, complete=False)
    assert one._counts.unusable == {"kraken": 1}


def test_a_gap_in_trades_makes_windows_incomplete_until_it_is_repaired() -> None:
    """Only windows that reach back to the gap are incomplete. Gaps of other kinds have no effect on windows."""
    one = instrument(windows=("1m", "5m"))
    one.known_from(0)
    one.windows.trust(True)
    assert one.apply(trade("kraken", "1", "1"), T0)
    assert not one.apply(gap("kraken", T0 - 200 * S, T0 - 100 * S, kind="quote"), T0)
    assert one.apply(gap("kraken", T0 - 200 * S, T0 - 100 * S), T0)
    found = one.consolidate(T0)
    assert found is not None
    assert [vwap.complete for vwap in found.vwap.values()] == [True, False]
    one.apply(gap("kraken", T0 - 200 * S, T0 - 100 * S, repaired=True), T0)
    found = one.consolidate(T0)
    assert found is not None
    assert [vwap.complete for vwap in found.vwap.values()] == [True, True]


def test_windows_roll_within_a_second() -> None:
    """Each instrument has its own moment within the second, and rolls at most once a second."""
    one = instrument(windows=("1m",))
    one.apply(trade("kraken", "100", "2", T0), T0)
    assert one.consolidate(T0) is not None
    due = one.quote.next_ts()
    assert due is not None
    assert T0 + 61 * S <= due < T0 + 62 * S
    found = one.consolidate(due)
    assert found is not None
    assert found.vwap["1m"].trades == 0
    assert one.quote.next_ts() is None


def test_other_kinds_are_let_pass() -> None:
    """A stream may contain kinds of events that this aggregator does not know. Feeds of no leg change nothing by their state or gaps."""
    one = instrument()
    assert not one.apply(Ticker("kraken", X, None, T0, None), T0)
    for kind in ("candle:1m", "mark", "liquidation"):
        assert not one.apply(status("kraken", FeedState.DOWN, kind=kind), T0)
        assert not one.apply(gap("kraken", T0, T0 + S, kind=kind), T0)
    assert one.legs == []
