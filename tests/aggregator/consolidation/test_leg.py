"""Tests when a leg counts."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.rules import Rules
from crosstape_schemas import Event, Exclusion, FeedState, Leg
from tests.aggregator.builders import MS, T0, S, X, alive, book, consolidated, d, instrument, quote, reasons, status

LIVE, DOWN, CONNECTING = FeedState.LIVE, FeedState.DOWN, FeedState.CONNECTING


class OneInstrument:
    """One instrument and its venues, with a clock that the test moves."""

    def __init__(self, **changed: object) -> None:
        self.instrument: ConsolidatedInstrument = instrument(**changed)
        self.now = T0

    def apply(self, *events: Event) -> OneInstrument:
        """Apply events now."""
        for event in events:
            if event.instrument == "*":
                self.instrument._venues.apply(event, self.now)  # type: ignore[arg-type]
            else:
                self.instrument.apply(event, self.now)
        return self

    def leg(self, venue: str, *, at: int | None = None) -> Leg:
        """Return a venue's leg in the quote as of `at`."""
        self.now = self.now if at is None else at
        found = self.instrument.consolidate(self.now)
        legs = found.legs if found is not None else self.instrument.quote._legs_shown
        return next(leg for leg in legs if leg.venue == venue)

    def why(self, venue: str, *, at: int | None = None) -> Exclusion | None:
        """Return why a venue's leg does not count as of `at`; None: it counts."""
        return self.leg(venue, at=at).excluded


def test_a_leg_says_where_it_comes_from() -> None:
    """A leg has the venue's prices with all digits, and the receipt time, epoch and `seq` of its input."""
    (leg,) = consolidated([quote("kraken", "100.10", "100.20", T0 - 5, sizes=("0.5", "7.000"), epoch=3, seq=42)]).legs

    assert leg == Leg("kraken", d("100.10"), d("0.5"), d("100.20"), d("7.000"), T0 - 5, LIVE, None, 3, 42)
    assert str(leg.bid_price) == "100.10"


def test_the_first_quote_counts_at_once() -> None:
    """It counts even after a status said that the feed is connecting."""
    one = OneInstrument().apply(status("kraken", CONNECTING))
    assert (one.leg("kraken").state, one.why("kraken")) == (CONNECTING, Exclusion.STATE)
    assert one.apply(status("kraken", LIVE), quote("kraken", "100", "101")).why("kraken") is None


def test_an_old_quote_without_a_sign_of_life_is_stale() -> None:
    """A quote younger than the limit counts; one exactly as old does not."""
    one = OneInstrument().apply(quote("kraken", "100", "101"))
    assert one.why("kraken", at=T0 + 3 * S - 1) is None
    assert one.why("kraken", at=T0 + 3 * S) is Exclusion.STALE


def test_a_quiet_market_is_not_stale_while_its_venue_lives() -> None:
    """An old quote counts as long as the signs of life continue."""
    one = OneInstrument().apply(quote("kraken", "100", "101"), alive("kraken", T0 + 60 * S))
    assert one.why("kraken", at=T0 + 62 * S) is None
    assert one.why("kraken", at=T0 + 63 * S) is Exclusion.STALE


@pytest.mark.parametrize("sign", [alive("binance", T0 + 60 * S), alive("kraken", T0 + 60 * S, state=FeedState.RECOVERING)])
def test_only_its_own_venue_saying_live_is_a_sign_of_life(sign: Event) -> None:
    """Neither another venue's status nor a status that is not live is a sign of life."""
    assert OneInstrument().apply(quote("kraken", "100", "101"), sign).why("kraken", at=T0 + 61 * S) is Exclusion.STALE


@pytest.mark.parametrize("kind", ["quote", "*"])
@pytest.mark.parametrize("state", [DOWN, FeedState.STALE, FeedState.RECOVERING, CONNECTING])
def test_a_feed_that_is_not_live_is_out_at_once(kind: str, state: FeedState) -> None:
    """The age of its quote does not matter."""
    one = OneInstrument().apply(quote("kraken", "100", "101"), status("kraken", state, T0 + 1, kind=kind))
    assert (one.leg("kraken").state, one.why("kraken")) == (state, Exclusion.STATE)


def test_a_quote_says_its_state_itself() -> None:
    """The state in a quote is used even without any status."""
    assert reasons(consolidated([quote("kraken", "100", "101", state=FeedState.RECOVERING)])) == {"kraken": Exclusion.STATE}


def test_the_state_of_other_feeds_is_none_of_ours() -> None:
    """The feed of trades may be down while quotes are live."""
    one = OneInstrument().apply(quote("kraken", "100", "101"), status("kraken", DOWN, T0 + 1, kind="trade"))
    one.apply(status("kraken", DOWN, T0 + 1, kind="book"))
    assert one.why("kraken") is None


def test_a_status_overtaken_on_another_stream_changes_nothing() -> None:
    """Streams are read independently. The newest `received_ts` decides, not the order of arrival."""
    one = OneInstrument().apply(status("kraken", DOWN, T0 + 2), quote("kraken", "100", "101", T0 + 1))
    assert one.why("kraken") is Exclusion.STATE
    one = OneInstrument().apply(quote("kraken", "100", "101", T0 + 2), status("kraken", DOWN, T0 + 1))
    assert one.why("kraken") is None


def test_a_halted_instrument_is_out_whatever_its_feeds_say() -> None:
    """Quotes of an auction do not end a halt; its end does not bring back a feed that is down."""
    one = OneInstrument().apply(quote("kraken", "100", "101"), status("kraken", FeedState.STALE, T0 + 1, kind="*"))
    one.apply(quote("kraken", "100", "101", T0 + 2))
    assert (one.leg("kraken").state, one.why("kraken")) == (FeedState.STALE, Exclusion.STATE)
    one.apply(status("kraken", DOWN, T0 + 3), status("kraken", LIVE, T0 + 4, kind="*"))
    assert (one.leg("kraken").state, one.why("kraken")) == (DOWN, Exclusion.STATE)


def test_what_is_said_of_one_kind_of_a_venues_feeds_is_no_sign_of_life() -> None:
    """Each feed of the kind publishes its own state."""
    one = OneInstrument().apply(quote("kraken", "100", "101"), status("kraken", DOWN, T0, kind="quote", instrument="*"))
    assert one.why("kraken") is None
    one.apply(status("kraken", LIVE, T0 + 60 * S, kind="quote", instrument="*"))
    assert one.why("kraken", at=T0 + 60 * S) is Exclusion.STALE


def test_a_venue_that_is_down_takes_its_legs_with_it() -> None:
    """The venue-wide state `down` overrules all feeds. With other venue-wide states, each feed's own state decides."""
    one = OneInstrument().apply(quote("kraken", "100", "101"), alive("kraken", state=FeedState.RECOVERING))
    assert one.why("kraken") is None
    one.apply(alive("kraken", state=DOWN))
    assert (one.leg("kraken").state, one.why("kraken")) == (DOWN, Exclusion.STATE)


@pytest.mark.parametrize(
    ("bid", "ask", "why"),
    [
        ("101", "100", Exclusion.CROSSED),
        ("100", "100", Exclusion.CROSSED),
        (None, None, Exclusion.EMPTY),
        ("NaN", "Infinity", Exclusion.EMPTY),
        ("0", "1E+500", Exclusion.EMPTY),
        ("100", None, None),
        (None, "100", None),
        ("NaN", "100", None),
    ],
)
def test_a_quote_is_judged_by_itself(bid: str | None, ask: str | None, why: Exclusion | None) -> None:
    """A quote is excluded if its bid is not below its ask, or if it has no usable side."""
    assert reasons(consolidated([quote("kraken", bid, ask)])) == {"kraken": why}


def test_an_excluded_leg_settles_before_it_counts_again() -> None:
    """The settling time starts when the leg has no fault any more, and starts again after every fault."""
    one = OneInstrument().apply(quote("kraken", "101", "100"))
    assert one.why("kraken") is Exclusion.CROSSED
    one.apply(quote("kraken", "100", "101"))
    assert one.why("kraken", at=T0 + 100 * MS) is Exclusion.SETTLING
    one.apply(quote("kraken", "101", "100"), quote("kraken", "100", "101"))  # a fault that no quote was computed at
    assert one.why("kraken", at=T0 + 200 * MS) is Exclusion.SETTLING
    assert one.why("kraken", at=T0 + 1_199 * MS) is Exclusion.SETTLING
    assert one.why("kraken", at=T0 + 1_200 * MS) is None
    assert one.why("kraken", at=T0 + 1_300 * MS) is None


def test_a_fault_that_passed_between_two_quotes_has_its_price() -> None:
    """A fault is noted when its event arrives, even if no quote is computed then."""
    one = OneInstrument().apply(quote("kraken", "100", "101"))
    assert one.why("kraken") is None
    one.apply(status("kraken", DOWN, T0), status("kraken", LIVE, T0))
    assert one.why("kraken") is Exclusion.SETTLING


def test_an_empty_leg_counts_at_once_when_it_has_prices() -> None:
    """An empty leg has no fault; but a leg that was settling starts to settle again."""
    one = OneInstrument().apply(quote("kraken", None, None))
    assert one.why("kraken") is Exclusion.EMPTY
    assert one.apply(quote("kraken", "100", "101")).why("kraken") is None

    one.apply(quote("kraken", "101", "100"), quote("kraken", "100", "101"))
    assert one.why("kraken", at=T0 + 100 * MS) is Exclusion.SETTLING
    one.apply(quote("kraken", None, None))
    assert one.why("kraken", at=T0 + 200 * MS) is Exclusion.EMPTY
    one.apply(quote("kraken", "100", "101"))
    assert one.why("kraken", at=T0 + 1_150 * MS) is Exclusion.SETTLING


def test_without_a_settling_time_a_leg_returns_at_once() -> None:
    """With `settle_s = 0` a leg counts as soon as it has no fault."""
    one = OneInstrument(settle_s=0).apply(quote("kraken", "101", "100"))
    assert one.why("kraken") is Exclusion.CROSSED
    assert one.apply(quote("kraken", "100", "101")).why("kraken") is None


def test_an_outlier_is_out_and_settles_on_its_return() -> None:
    """An outlier never changes the best prices."""
    one = OneInstrument().apply(quote("a", "100", "101"), quote("b", "100", "101"), quote("c", "110", "111"))
    found = one.instrument.consolidate(T0)
    assert found is not None
    assert reasons(found) == {"a": None, "b": None, "c": Exclusion.OUTLIER}
    assert (found.bid_price, found.venues) == (d("100"), 2)
    one.apply(quote("c", "100", "101"))
    assert one.why("c") is Exclusion.SETTLING
    assert one.why("c", at=T0 + S) is None


def test_a_settling_leg_helps_to_judge_the_others() -> None:
    """The prices of a settling leg are good, so they count for the median."""
    one = OneInstrument().apply(quote("a", "101", "100"))
    assert one.why("a") is Exclusion.CROSSED
    one.apply(quote("a", "100", "101"), quote("b", "100", "101"), quote("c", "110", "111"))
    assert [one.why(venue) for venue in "abc"] == [Exclusion.SETTLING, None, Exclusion.OUTLIER]


def test_a_restarted_venue_is_connecting_until_it_has_data_of_the_new_epoch() -> None:
    """Neither time, nor a sign of life, nor a live status makes an old quote count again. The new quote settles first."""
    one = OneInstrument().apply(quote("kraken", "100", "101", epoch=1))
    assert one.why("kraken") is None
    one.apply(alive("kraken", epoch=2))
    assert (one.leg("kraken").state, one.why("kraken")) == (CONNECTING, Exclusion.STATE)
    one.apply(quote("kraken", "200", "201", T0 + 1, epoch=1, seq=2), status("kraken", LIVE, T0 + 1, epoch=1))
    assert (one.why("kraken"), one.leg("kraken").bid_price) == (Exclusion.STATE, Decimal(100))
    one.apply(status("kraken", LIVE, T0 + 1, epoch=2))
    assert (one.leg("kraken").state, one.why("kraken")) == (CONNECTING, Exclusion.STATE)
    one.apply(quote("kraken", "102", "103", T0 + 1, epoch=2))
    assert (one.why("kraken"), one.leg("kraken").epoch) == (Exclusion.SETTLING, 2)
    assert one.why("kraken", at=T0 + S) is None


def test_a_restart_so_quick_that_the_leg_was_never_out_needs_no_settling() -> None:
    """The new quote simply replaces the old one."""
    one = OneInstrument().apply(quote("kraken", "100", "101", epoch=1))
    assert one.why("kraken") is None
    assert one.apply(quote("kraken", "102", "103", epoch=2)).why("kraken") is None


def test_events_of_a_past_epoch_are_counted_and_ignored() -> None:
    """Venue-wide statuses are ignored, too."""
    venues, counts = Liveness(3 * S), Counts()
    one = ConsolidatedInstrument(X, Rules(3 * S, S, 2 * S, Decimal(100), ()), venues, counts, T0)
    one.apply(quote("kraken", "100", "101", epoch=2), T0)

    assert not one.apply(quote("kraken", "200", "201", epoch=1), T0)
    assert not one.apply(book("kraken", [("200", "1")], [], epoch=1), T0)
    assert not one.apply(status("kraken", DOWN, epoch=1), T0)
    assert not venues.apply(alive("kraken", epoch=1, state=DOWN), T0)
    assert counts.outdated == {"kraken": 3}
    assert reasons(one.consolidate(T0) or pytest.fail("nothing")) == {"kraken": None}


def test_the_top_of_the_book_stands_in_for_quotes() -> None:
    """Books are used if a venue sends no quotes. From the first quote of an epoch on, books are ignored."""
    one = OneInstrument().apply(book("kraken", [("100", "2"), ("99", "5")], [("101", "3")]))
    assert (one.leg("kraken").bid_price, one.leg("kraken").ask_size, one.why("kraken")) == (d("100"), d("3"), None)
    one.apply(quote("kraken", "100.5", "100.7"))
    assert not one.instrument.apply(book("kraken", [("90", "2")], []), T0)
    assert one.leg("kraken").bid_price == d("100.5")
    one.apply(book("kraken", [], [("102", "1")], epoch=2))
    assert (one.leg("kraken").bid_price, one.leg("kraken").ask_price) == (None, d("102"))


def test_a_book_has_its_own_state() -> None:
    """The state comes from the book and the status of its feed, not from the feed of quotes that does not exist."""
    one = OneInstrument().apply(book("kraken", [("100", "2")], [("101", "3")], state=FeedState.RECOVERING))
    assert (one.leg("kraken").state, one.why("kraken")) == (FeedState.RECOVERING, Exclusion.STATE)
    one.apply(book("kraken", [("100", "2")], [("101", "3")], T0 + 1), status("kraken", DOWN, T0 + 1))
    assert one.why("kraken", at=T0 + 1) is Exclusion.SETTLING
    one.apply(status("kraken", DOWN, T0 + 2, kind="book"), book("kraken", [("100", "2")], [], T0 + 1))
    assert (one.leg("kraken").state, one.why("kraken")) == (DOWN, Exclusion.STATE)


def test_a_leg_says_when_it_must_be_judged_anew() -> None:
    """`next_ts` is when the leg goes stale or has settled; None if only an event can change it."""
    one = OneInstrument().apply(quote("kraken", "100", "101", T0))
    one.why("kraken")
    (leg,) = one.instrument.legs
    assert leg.next_ts(3 * S, S) == T0 + 3 * S
    one.apply(alive("kraken", T0 + S))
    assert leg.next_ts(3 * S, S) == T0 + 4 * S
    one.apply(status("kraken", DOWN, T0), status("kraken", LIVE, T0)).why("kraken")
    assert leg.next_ts(3 * S, S) == T0 + S
    one.why("kraken", at=T0 + 4 * S)
    assert leg.next_ts(3 * S, S) is None


def test_a_leg_that_says_the_same_is_the_same() -> None:
    """An unchanged leg is the same object, so that it costs nothing. A change of the state alone makes a new one."""
    one = OneInstrument().apply(quote("kraken", "100", "101"))
    first = one.leg("kraken")
    assert one.leg("kraken", at=T0 + S) is first
    assert one.apply(alive("kraken", state=DOWN)).leg("kraken") != first


def test_a_leg_names_the_kind_of_event_that_it_comes_from() -> None:
    """A book and a quote of one venue may have the same epoch and number; the kind differs."""
    one = OneInstrument().apply(msgspec.structs.replace(book("kraken", [("100", "1")], [("101", "1")]), seq=7))
    assert (one.leg("kraken").kind, one.leg("kraken").seq) == ("book", 7)
    one.apply(quote("kraken", "100", "102", T0 + 1, seq=7))
    assert (one.leg("kraken").kind, one.leg("kraken").seq) == ("quote", 7)
