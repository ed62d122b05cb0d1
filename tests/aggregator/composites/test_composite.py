"""One composite: which parts count, and what is published when. The clock is the test's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from crosstape_schemas import Cbbo, Depth, Exclusion, FeedState, Market, Vwap
from tests.aggregator.composites.builders import PAIR, USD, USDC, USDT, Driven, cbbo, depth, leg, level, rate, sign


def two_parts(**changed: object) -> Driven:
    """A composite of BTC-USD and BTC-USDT with the rate 1.001, as of one sign of life at 0 s."""
    driven = Driven(USD, USDT, **changed)  # type: ignore[arg-type]
    driven.apply(
        sign(),
        cbbo(USD, leg("kraken", "100", "102")),
        cbbo(USDT, leg("binance", "100", "101", sizes=("2", "3")), leg("kraken", "99", "103", excluded=Exclusion.SETTLING)),
        rate("1.000", "1.002"),
    )
    return driven


def test_prices_are_converted_exactly_and_legs_say_where_they_come_from() -> None:
    """A venue has a leg for each part; an unconverted price keeps its digits; exclusions of the part stay."""
    quote = two_parts().last

    assert (quote.bid_price, quote.bid_size, quote.bid_venues) == (Decimal("100.1"), Decimal(2), ("binance",))
    assert (quote.ask_price, quote.ask_size, quote.ask_venues) == (Decimal("101.101"), Decimal(3), ("binance",))
    assert (quote.market, quote.venues, quote.mid) == (Market.NORMAL, 2, Decimal("100.6005"))
    assert [(one.instrument, one.venue, one.bid_price, one.excluded) for one in quote.legs] == [
        (USD, "kraken", Decimal(100), None),
        (USDT, "binance", Decimal("100.1"), None),
        (USDT, "kraken", Decimal("99.099"), Exclusion.SETTLING),
    ]
    (shown,) = quote.rates
    assert (shown.instrument, shown.part, shown.rate, shown.excluded) == (PAIR, USDT, Decimal("1.001"), None)


def test_equal_converted_prices_are_summed_and_each_venue_is_named_once() -> None:
    """100 × 1.001 and 100.1 are one price."""
    driven = two_parts()
    driven.apply(cbbo(USD, leg("binance", "100.1", "102", sizes=("0.5", "1")), leg("kraken", "100.1", "102", sizes=("0.25", "1")), seq=2))

    assert (driven.last.bid_size, driven.last.bid_venues) == (Decimal("2.75"), ("binance", "kraken"))


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        ("0.9900", "0.9900", None),
        ("0.98999", "0.98999", Exclusion.DEPEG),
        ("1.0099", "1.0101", None),
        ("1.0099", "1.01011", Exclusion.DEPEG),
    ],
)
def test_a_rate_further_than_the_limit_from_1_takes_the_part_out(bid: str, ask: str, reason: Exclusion | None) -> None:
    """Exactly at the limit it counts. The other part goes on, and the part counts again as soon as the rate is back."""
    driven = two_parts(depeg_bps=Decimal(100))
    driven.apply(rate(bid, ask, seq=2))

    assert driven.reasons() == {USD: None, USDT: reason}
    assert driven.last.rates[0].excluded is reason
    assert [one.excluded for one in driven.last.legs] == [None, reason, Exclusion.SETTLING]
    converted = None if driven.last.rates[0].rate is None else 100 * driven.last.rates[0].rate
    assert driven.last.legs[1].bid_price == converted
    assert driven.last.bid_price == (100 if reason or converted is None else max(100, converted))
    driven.apply(rate("1", "1", seq=3))
    assert driven.reasons() == {USD: None, USDT: None}


def test_a_stale_rate_takes_the_part_out_by_the_clock_alone() -> None:
    """The pair's market is crossed, so its last rate is not proven any more. Nothing else arrives but signs of life."""
    driven = two_parts(rate_stale_s=2.0)
    driven.now_s = 1.0
    driven.apply(sign(now_s=1.0), rate("1.3", "1.2", seq=2))
    driven.wait_until(2.5)
    assert (driven.reasons()[USDT], driven.last.rates[0].rate, driven.last.rates[0].seq) == (None, Decimal("1.001"), 1)
    published = len(driven.quotes)
    driven.wait_until(10.0)

    assert [(quote.parts[1].excluded, quote.ts) for quote in driven.quotes[published:]] == [
        (Exclusion.RATE, driven.quotes[0].ts + 3_000_000_000),
        (Exclusion.STALE, driven.quotes[0].ts + 4_000_000_000),  # and the aggregator has been silent for 3 s since the sign at 1 s
    ]
    assert driven.last.market is Market.EMPTY


def test_a_quiet_rate_stays_proven_by_signs_of_life() -> None:
    """The pair has not been quoted anew for a minute."""
    driven = two_parts(rate_stale_s=2.0)
    for second in range(1, 60):
        driven.wait_until(float(second))
        driven.apply(sign(now_s=float(second)))

    assert len(driven.quotes) == 1
    assert driven.reasons() == {USD: None, USDT: None}


def test_without_a_rate_the_part_is_out_and_has_no_prices() -> None:
    """A one-sided quote of the pair gives no rate. The legs are there, so that one sees what is missing."""
    driven = Driven(USDT)
    driven.apply(sign(), cbbo(USDT, leg("binance", "100", "101")), rate("1.0", None))

    assert driven.reasons() == {USDT: Exclusion.RATE}
    assert (driven.last.rates[0].rate, driven.last.rates[0].seq) == (None, 0)
    assert (driven.last.legs[0].bid_price, driven.last.legs[0].excluded) == (None, Exclusion.RATE)
    driven.apply(rate("1.0", "1.0", seq=2))
    assert driven.reasons() == {USDT: None}


def test_windows_are_averaged_by_converted_value_and_complete_only_with_all_parts() -> None:
    """A part that does not count takes its trades away, and the window is not complete."""
    driven = Driven(USD, USDT, USDC)
    windows = {"1m": Vwap(Decimal(100), Decimal(3), 5), "1h": Vwap(None, Decimal("0.00"), 0)}
    driven.apply(sign(), *(cbbo(part, leg("kraken", "1", "2"), vwap=windows) for part in (USD, USDT)), rate("1.001", "1.001"))

    assert driven.last.vwap["1m"] == Vwap(Decimal("100.05"), Decimal(6), 10, complete=False)
    assert driven.last.vwap["1h"] == Vwap(None, Decimal(0), 0, complete=False)
    driven.apply(cbbo(USDC, vwap={"1m": Vwap(Decimal(7), Decimal(1), 1)}), rate("1", "1", pair="USDC-USD"))
    assert driven.last.vwap["1m"] == Vwap(Decimal("86.75714285714286"), Decimal(7), 11, complete=True)
    assert not driven.last.vwap["1h"].complete
    driven.apply(rate("0.5", "0.5", pair="USDC-USD", seq=2))
    assert driven.last.vwap["1m"] == Vwap(Decimal("100.05"), Decimal(6), 10, complete=False)


def test_at_most_one_quote_in_an_interval_and_the_last_change_is_not_lost() -> None:
    """Ten changes within an interval are two quotes: the first at once, the last at the interval's end, by the clock."""
    driven = Driven(USD, interval_s=0.5)
    driven.apply(sign())
    for seq in range(1, 11):
        driven.now_s = seq / 100
        driven.apply(cbbo(USD, leg("kraken", str(seq), "99"), seq=seq))
    driven.wait_until(2.0)

    assert [quote.bid_price for quote in driven.quotes] == [1, 10]
    assert driven.last.ts - driven.quotes[0].ts == 500_000_000


def test_a_depeg_is_published_within_one_interval() -> None:
    """It arrives right after a quote."""
    driven = two_parts(interval_s=0.5)
    driven.now_s = 0.1
    driven.apply(rate("0.9", "0.9", seq=2))
    assert driven.reasons()[USDT] is None
    driven.wait_until(2.0)

    assert [quote.parts[1].excluded for quote in driven.quotes] == [None, Exclusion.DEPEG]
    assert driven.last.ts - driven.quotes[0].ts == 500_000_000


def test_a_restarted_aggregator_takes_its_parts_out_until_it_has_quoted_them() -> None:
    """Its sign of life has another epoch. One that says that it stops is silent at once."""
    driven = two_parts()
    driven.now_s = 1.0
    driven.apply(sign(now_s=1.0, state=FeedState.DOWN))
    assert driven.reasons() == {USD: Exclusion.STALE, USDT: Exclusion.STALE}
    driven.apply(sign(2, 1.0))
    assert driven.reasons() == {USD: Exclusion.STALE, USDT: Exclusion.STALE}
    driven.apply(cbbo(USD, leg("kraken", "100", "102"), epoch=2))
    assert driven.reasons() == {USD: None, USDT: Exclusion.STALE}
    driven.apply(cbbo(USDT, leg("binance", "100", "101"), epoch=2))
    assert driven.reasons() == {USD: None, USDT: None}  # the rate of before is still proven: less than 10 s have passed
    driven.wait_until(3.0)
    driven.apply(sign(2, 3.0))
    driven.wait_until(5.9)
    driven.apply(sign(2, 5.9))
    driven.wait_until(8.8)
    driven.apply(sign(2, 8.8))
    driven.wait_until(11.0)
    assert driven.reasons() == {USD: None, USDT: Exclusion.RATE}


def test_lost_entries_make_the_last_one_doubtful_until_the_next_arrives() -> None:
    """A newer quote or rate was on the tape. A rate is not proven any more, though its aggregator is alive."""
    driven = two_parts(rate_stale_s=2.0)
    driven.composite.doubt(Cbbo, USD)
    driven.composite.doubt(Cbbo, PAIR)
    driven.publish()
    assert driven.reasons() == {USD: Exclusion.STALE, USDT: None}
    driven.wait_until(1.5)
    driven.apply(sign(now_s=1.5))
    driven.wait_until(2.5)
    assert driven.reasons() == {USD: Exclusion.STALE, USDT: Exclusion.RATE}
    driven.apply(cbbo(USD, leg("kraken", "100", "102"), seq=3), rate("1", "1", seq=9))
    assert driven.reasons() == {USD: None, USDT: None}


def test_streams_that_are_not_read_up_to_now_do_not_count() -> None:
    """The connection to their partition is lost, while signs of life arrive over another one."""
    driven = two_parts(rate_stale_s=2.0)
    driven.composite.set_behind({(Cbbo, USD), (Cbbo, PAIR)})
    for second in (1.0, 2.0, 3.0):
        driven.wait_until(second)
        driven.apply(sign(now_s=second))
    assert driven.reasons() == {USD: Exclusion.STALE, USDT: Exclusion.RATE}
    driven.composite.set_behind(set())
    driven.wait_until(4.0)
    driven.apply(sign(now_s=4.0))
    assert driven.reasons() == {USD: None, USDT: None}


def test_books_are_merged_by_converted_price_and_venue() -> None:
    """Levels that tie are one, with the sizes of a venue added over the parts. The shortest book says how many levels are known."""
    driven = two_parts(sweep_sizes=("3", "8", "100"))
    driven.apply(depth(USD, [level("100.1", kraken="1"), level("100", kraken="5")], [level("102", kraken="1")], levels=3))
    driven.apply(depth(USDT, [level("100", binance="2", kraken="4")], [level("101", binance="1"), level("103", okx="9")], levels=2))
    book = driven.depths[-1]

    assert book.levels == 2
    assert book.bids == (level("100.1", binance="2", kraken="5"), level("100", kraken="5"))
    assert book.asks == (level("101.101", binance="1"), level("102", kraken="1"))
    assert [(one.sell_average, one.sell_worst, one.buy_worst) for one in book.sweeps] == [
        (Decimal("100.1"), Decimal("100.1"), None),
        (Decimal("100.0875"), Decimal(100), None),
        (None, None, None),
    ]
    assert [(one.instrument, one.excluded) for one in book.legs] == [(USD, None), (USDT, None)]
    driven.apply(rate("0.5", "0.5", seq=2))
    book = driven.depths[-1]
    assert book.bids == (level("100.1", kraken="1"), level("100", kraken="5"))
    assert [one.excluded for one in book.legs] == [None, Exclusion.DEPEG]
    assert [one.excluded for one in book.rates] == [Exclusion.DEPEG]


def test_a_book_does_not_count_while_its_own_part_or_itself_is_stale() -> None:
    """A book without a quote of its part, and one of an aggregator that is dead."""
    driven = two_parts()
    driven.apply(depth(USD, [level("1", kraken="1")], [], epoch=5), depth(USDT, [level("1", kraken="1")], []))
    assert [part.excluded for part in driven.depths[-1].parts] == [Exclusion.STALE, None]
    driven.composite.doubt(Depth, USDT)
    driven.publish()
    assert driven.depths[-1].bids == ()


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "1E+400", "-1", "0", "1E-300", "1." + "1" * 200])
def test_a_number_that_cannot_be_computed_with_is_left_out(wrong: str) -> None:
    """A tape may hold anything: prices, sizes, rates, windows."""
    driven = two_parts()
    legs = leg("okx", "90", "103", sizes=(wrong, "1")), leg("kraken", wrong, "102")
    bids = level(wrong, kraken="1"), level("5", kraken="1"), (Decimal(6), Decimal(1), (("okx", Decimal(wrong)),))
    driven.apply(cbbo(USD, *legs, seq=2, vwap={"1m": Vwap(Decimal(wrong), Decimal(1), 1)}), depth(USD, bids, []))

    assert [one.bid_price for one in driven.last.legs[:2]] == [None, None]
    assert driven.last.bid_price == Decimal("100.1")
    assert driven.last.vwap["1m"] == Vwap(None, Decimal(0), 0, complete=False)
    assert driven.depths[-1].bids == (level("5", kraken="1"),)
