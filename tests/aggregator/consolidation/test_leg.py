"""When a leg counts."""

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


class Desk:
    """One instrument and its venues, with the clock in hand."""

    def __init__(self, **changed: object) -> None:
        self.one: ConsolidatedInstrument = instrument(**changed)
        self.now = T0

    def apply(self, *events: Event) -> Desk:
        """Take events now."""
        for event in events:
            if event.instrument == "*":
                self.one._venues.apply(event, self.now)  # type: ignore[arg-type]
            else:
                self.one.apply(event, self.now)
        return self

    def leg(self, venue: str, *, at: int | None = None) -> Leg:
        """A venue's leg in the quote as of `at`."""
        self.now = self.now if at is None else at
        found = self.one.consolidate(self.now)
        legs = found.legs if found is not None else self.one.quote._legs_shown
        return next(leg for leg in legs if leg.venue == venue)

    def why(self, venue: str, *, at: int | None = None) -> Exclusion | None:
        """Why a venue's leg does not count as of `at`."""
        return self.leg(venue, at=at).excluded


def test_a_leg_says_where_it_comes_from() -> None:
    """Prices with the venue's digits, the input's receipt, epoch and number."""
    (leg,) = consolidated([quote("kraken", "100.10", "100.20", T0 - 5, sizes=("0.5", "7.000"), epoch=3, seq=42)]).legs

    assert leg == Leg("kraken", d("100.10"), d("0.5"), d("100.20"), d("7.000"), T0 - 5, LIVE, None, 3, 42)
    assert str(leg.bid_price) == "100.10"


def test_the_first_quote_counts_at_once() -> None:
    """Also after the feed said that it is connecting."""
    desk = Desk().apply(status("kraken", CONNECTING))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (CONNECTING, Exclusion.STATE)
    assert desk.apply(status("kraken", LIVE), quote("kraken", "100", "101")).why("kraken") is None


def test_an_old_quote_without_a_sign_of_life_is_stale() -> None:
    """Younger than the limit counts, as old does not."""
    desk = Desk().apply(quote("kraken", "100", "101"))
    assert desk.why("kraken", at=T0 + 3 * S - 1) is None
    assert desk.why("kraken", at=T0 + 3 * S) is Exclusion.STALE


def test_a_quiet_market_is_not_stale_while_its_venue_lives() -> None:
    """The sign of life keeps an old quote, as long as it goes on."""
    desk = Desk().apply(quote("kraken", "100", "101"), alive("kraken", T0 + 60 * S))
    assert desk.why("kraken", at=T0 + 62 * S) is None
    assert desk.why("kraken", at=T0 + 63 * S) is Exclusion.STALE


@pytest.mark.parametrize("sign", [alive("binance", T0 + 60 * S), alive("kraken", T0 + 60 * S, state=FeedState.RECOVERING)])
def test_only_its_own_venue_saying_live_is_a_sign_of_life(sign: Event) -> None:
    """Another venue's is none, and one that says it is not live is none."""
    assert Desk().apply(quote("kraken", "100", "101"), sign).why("kraken", at=T0 + 61 * S) is Exclusion.STALE


@pytest.mark.parametrize("kind", ["quote", "*"])
@pytest.mark.parametrize("state", [DOWN, FeedState.STALE, FeedState.RECOVERING, CONNECTING])
def test_a_feed_that_is_not_live_is_out_at_once(kind: str, state: FeedState) -> None:
    """Whatever its age."""
    desk = Desk().apply(quote("kraken", "100", "101"), status("kraken", state, T0 + 1, kind=kind))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (state, Exclusion.STATE)


def test_a_quote_says_its_state_itself() -> None:
    """Without any status."""
    assert reasons(consolidated([quote("kraken", "100", "101", state=FeedState.RECOVERING)])) == {"kraken": Exclusion.STATE}


def test_the_state_of_other_feeds_is_none_of_ours() -> None:
    """Trades may be down while quotes are live."""
    desk = Desk().apply(quote("kraken", "100", "101"), status("kraken", DOWN, T0 + 1, kind="trade"))
    desk.apply(status("kraken", DOWN, T0 + 1, kind="book"))
    assert desk.why("kraken") is None


def test_a_status_overtaken_on_another_stream_changes_nothing() -> None:
    """Streams are read side by side: what was said later holds, in whatever order it comes."""
    desk = Desk().apply(status("kraken", DOWN, T0 + 2), quote("kraken", "100", "101", T0 + 1))
    assert desk.why("kraken") is Exclusion.STATE
    desk = Desk().apply(quote("kraken", "100", "101", T0 + 2), status("kraken", DOWN, T0 + 1))
    assert desk.why("kraken") is None


def test_a_halted_instrument_is_out_whatever_its_feeds_say() -> None:
    """Quotes of an auction do not end a halt; its end does not bring back a feed that is down."""
    desk = Desk().apply(quote("kraken", "100", "101"), status("kraken", FeedState.STALE, T0 + 1, kind="*"))
    desk.apply(quote("kraken", "100", "101", T0 + 2))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (FeedState.STALE, Exclusion.STATE)
    desk.apply(status("kraken", DOWN, T0 + 3), status("kraken", LIVE, T0 + 4, kind="*"))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (DOWN, Exclusion.STATE)


def test_what_is_said_of_one_kind_of_a_venues_feeds_is_no_sign_of_life() -> None:
    """Each of them says it itself."""
    desk = Desk().apply(quote("kraken", "100", "101"), status("kraken", DOWN, T0, kind="quote", instrument="*"))
    assert desk.why("kraken") is None
    desk.apply(status("kraken", LIVE, T0 + 60 * S, kind="quote", instrument="*"))
    assert desk.why("kraken", at=T0 + 60 * S) is Exclusion.STALE


def test_a_venue_that_is_down_takes_its_legs_with_it() -> None:
    """Venue-wide down concerns every feed; other venue-wide states leave the word to the feeds."""
    desk = Desk().apply(quote("kraken", "100", "101"), alive("kraken", state=FeedState.RECOVERING))
    assert desk.why("kraken") is None
    desk.apply(alive("kraken", state=DOWN))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (DOWN, Exclusion.STATE)


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
    """Crossed or locked in itself, or with nothing that can be computed with."""
    assert reasons(consolidated([quote("kraken", bid, ask)])) == {"kraken": why}


def test_an_excluded_leg_settles_before_it_counts_again() -> None:
    """The time begins when it is good again, and anew with every fault."""
    desk = Desk().apply(quote("kraken", "101", "100"))
    assert desk.why("kraken") is Exclusion.CROSSED
    desk.apply(quote("kraken", "100", "101"))
    assert desk.why("kraken", at=T0 + 100 * MS) is Exclusion.SETTLING
    desk.apply(quote("kraken", "101", "100"), quote("kraken", "100", "101"))  # a fault that no quote was computed at
    assert desk.why("kraken", at=T0 + 200 * MS) is Exclusion.SETTLING
    assert desk.why("kraken", at=T0 + 1_199 * MS) is Exclusion.SETTLING
    assert desk.why("kraken", at=T0 + 1_200 * MS) is None
    assert desk.why("kraken", at=T0 + 1_300 * MS) is None


def test_a_fault_that_passed_between_two_quotes_has_its_price() -> None:
    """Faults are noted as they arrive."""
    desk = Desk().apply(quote("kraken", "100", "101"))
    assert desk.why("kraken") is None
    desk.apply(status("kraken", DOWN, T0), status("kraken", LIVE, T0))
    assert desk.why("kraken") is Exclusion.SETTLING


def test_an_empty_leg_counts_at_once_when_it_has_prices() -> None:
    """Nothing was wrong with it; but a leg that was settling begins to anew."""
    desk = Desk().apply(quote("kraken", None, None))
    assert desk.why("kraken") is Exclusion.EMPTY
    assert desk.apply(quote("kraken", "100", "101")).why("kraken") is None

    desk.apply(quote("kraken", "101", "100"), quote("kraken", "100", "101"))
    assert desk.why("kraken", at=T0 + 100 * MS) is Exclusion.SETTLING
    desk.apply(quote("kraken", None, None))
    assert desk.why("kraken", at=T0 + 200 * MS) is Exclusion.EMPTY
    desk.apply(quote("kraken", "100", "101"))
    assert desk.why("kraken", at=T0 + 1_150 * MS) is Exclusion.SETTLING


def test_without_a_settling_time_a_leg_returns_at_once() -> None:
    """`settle_s = 0`."""
    desk = Desk(settle_s=0).apply(quote("kraken", "101", "100"))
    assert desk.why("kraken") is Exclusion.CROSSED
    assert desk.apply(quote("kraken", "100", "101")).why("kraken") is None


def test_an_outlier_is_out_and_settles_on_its_return() -> None:
    """And never touches the quote."""
    desk = Desk().apply(quote("a", "100", "101"), quote("b", "100", "101"), quote("c", "110", "111"))
    found = desk.one.consolidate(T0)
    assert found is not None
    assert reasons(found) == {"a": None, "b": None, "c": Exclusion.OUTLIER}
    assert (found.bid_price, found.venues) == (d("100"), 2)
    desk.apply(quote("c", "100", "101"))
    assert desk.why("c") is Exclusion.SETTLING
    assert desk.why("c", at=T0 + S) is None


def test_a_settling_leg_helps_to_judge_the_others() -> None:
    """What it says is good, it only has to go on for a while."""
    desk = Desk().apply(quote("a", "101", "100"))
    assert desk.why("a") is Exclusion.CROSSED
    desk.apply(quote("a", "100", "101"), quote("b", "100", "101"), quote("c", "110", "111"))
    assert [desk.why(venue) for venue in "abc"] == [Exclusion.SETTLING, None, Exclusion.OUTLIER]


def test_a_restarted_venue_is_connecting_until_it_has_data_of_the_new_epoch() -> None:
    """An old quote revives by nothing: not by itself, not by a sign of life, not by a status that says live. The new one then settles."""
    desk = Desk().apply(quote("kraken", "100", "101", epoch=1))
    assert desk.why("kraken") is None
    desk.apply(alive("kraken", epoch=2))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (CONNECTING, Exclusion.STATE)
    desk.apply(quote("kraken", "200", "201", T0 + 1, epoch=1, seq=2), status("kraken", LIVE, T0 + 1, epoch=1))
    assert (desk.why("kraken"), desk.leg("kraken").bid_price) == (Exclusion.STATE, Decimal(100))
    desk.apply(status("kraken", LIVE, T0 + 1, epoch=2))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (CONNECTING, Exclusion.STATE)
    desk.apply(quote("kraken", "102", "103", T0 + 1, epoch=2))
    assert (desk.why("kraken"), desk.leg("kraken").epoch) == (Exclusion.SETTLING, 2)
    assert desk.why("kraken", at=T0 + S) is None


def test_a_restart_so_quick_that_the_leg_was_never_out_needs_no_settling() -> None:
    """The new quote replaces the old one."""
    desk = Desk().apply(quote("kraken", "100", "101", epoch=1))
    assert desk.why("kraken") is None
    assert desk.apply(quote("kraken", "102", "103", epoch=2)).why("kraken") is None


def test_events_of_a_past_epoch_are_counted_and_ignored() -> None:
    """Also a venue's own status."""
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
    """Where a venue sends none; from the first quote of an epoch on, books are of no interest."""
    desk = Desk().apply(book("kraken", [("100", "2"), ("99", "5")], [("101", "3")]))
    assert (desk.leg("kraken").bid_price, desk.leg("kraken").ask_size, desk.why("kraken")) == (d("100"), d("3"), None)
    desk.apply(quote("kraken", "100.5", "100.7"))
    assert not desk.one.apply(book("kraken", [("90", "2")], []), T0)
    assert desk.leg("kraken").bid_price == d("100.5")
    desk.apply(book("kraken", [], [("102", "1")], epoch=2))
    assert (desk.leg("kraken").bid_price, desk.leg("kraken").ask_price) == (None, d("102"))


def test_a_book_has_its_own_state() -> None:
    """In itself, and by the status of its feed; that of the quotes that do not come is of no interest."""
    desk = Desk().apply(book("kraken", [("100", "2")], [("101", "3")], state=FeedState.RECOVERING))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (FeedState.RECOVERING, Exclusion.STATE)
    desk.apply(book("kraken", [("100", "2")], [("101", "3")], T0 + 1), status("kraken", DOWN, T0 + 1))
    assert desk.why("kraken", at=T0 + 1) is Exclusion.SETTLING
    desk.apply(status("kraken", DOWN, T0 + 2, kind="book"), book("kraken", [("100", "2")], [], T0 + 1))
    assert (desk.leg("kraken").state, desk.why("kraken")) == (DOWN, Exclusion.STATE)


def test_a_leg_says_when_it_must_be_judged_anew() -> None:
    """When it would go stale, or has settled; never for what only an event can change."""
    desk = Desk().apply(quote("kraken", "100", "101", T0))
    desk.why("kraken")
    (leg,) = desk.one.legs
    assert leg.next_ts(3 * S, S) == T0 + 3 * S
    desk.apply(alive("kraken", T0 + S))
    assert leg.next_ts(3 * S, S) == T0 + 4 * S
    desk.apply(status("kraken", DOWN, T0), status("kraken", LIVE, T0)).why("kraken")
    assert leg.next_ts(3 * S, S) == T0 + S
    desk.why("kraken", at=T0 + 4 * S)
    assert leg.next_ts(3 * S, S) is None


def test_a_leg_that_says_the_same_is_the_same() -> None:
    """So that unchanged legs cost nothing, and a change of state alone is one."""
    desk = Desk().apply(quote("kraken", "100", "101"))
    first = desk.leg("kraken")
    assert desk.leg("kraken", at=T0 + S) is first
    assert desk.apply(alive("kraken", state=DOWN)).leg("kraken") != first


def test_a_leg_names_the_kind_of_event_that_it_comes_from() -> None:
    """A book and a quote of one venue may have the same epoch and number; the kind tells which of the two it is."""
    desk = Desk().apply(msgspec.structs.replace(book("kraken", [("100", "1")], [("101", "1")]), seq=7))
    assert (desk.leg("kraken").kind, desk.leg("kraken").seq) == ("book", 7)
    desk.apply(quote("kraken", "100", "102", T0 + 1, seq=7))
    assert (desk.leg("kraken").kind, desk.leg("kraken").seq) == ("quote", 7)
