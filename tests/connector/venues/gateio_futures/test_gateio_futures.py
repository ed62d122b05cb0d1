"""Gate perpetuals: contracts, figures, forced orders and candles."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import pytest

from crosstape_connector.venues.gateio import FUTURES, recorded, rest_futures
from crosstape_connector.venues.gateio.futures import FuturesParser
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, ConnectionBreak, LastTrade, Odd, OddRow, Output, Unreadable
from crosstape_schemas import Candle, Funding, Instrument, Liquidation, Mark, OpenInterest, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES: Final = frames_of("gateio_futures")
REST: Final = answers_of("gateio_futures")
D: Final = Decimal
START: Final = 1_767_225_600 * 10**9


def parsed(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = FuturesParser(symbols_of("gateio_futures"))
    return [output for frame in frames for output in parser(frame, 7)]


def of_recording(*frames: bytes) -> list[Output]:
    """The same of a recording with other books."""
    parser = recorded.FuturesParser(symbols_of("gateio_futures"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_a_negative_size_is_a_sellers() -> None:
    """Sizes are contracts, as integers or as texts with decimals."""
    found = [one for one in parsed(FRAMES["trade"], FRAMES["trade_text"], FRAMES["trade_object"]) if isinstance(one, Trade)]

    assert [(one.taker, one.size) for one in found] == [
        (Side.SELL, "0.0015"),
        (Side.BUY, "0.0200"),
        (Side.SELL, "1.085"),
        (Side.BUY, "0.0003"),
    ]


def test_the_size_of_a_trade_is_its_own() -> None:
    """Also where one of as many contracts came before: on a connection sizes of linear contracts are remembered, for each side."""
    linear, inverse = FRAMES["trade"], FRAMES["trade_inverse"]
    dearer, odd = inverse.replace(b'"80000"', b'"160000"'), linear.replace(b'"91000.1"', b'"9.10001e4"')
    first, second, again, other, low, high, *same = parsed(linear, linear, inverse, dearer, odd)

    assert [first, second] == [again, other] == same
    assert [one.size for one in (low, high) if isinstance(one, Trade)] == ["0.05", "0.025"]


def test_a_takeover_by_the_venue_is_no_trade() -> None:
    """Its id is known, so that it is not missed."""
    (found,) = parsed(FRAMES["trade_internal"])

    assert found == LastTrade("BTC-USDT-PERP", START + 123_000_000, 7, 4000005, no_trade=True)
    page = rest_futures.parse_trades(
        REST["trades"].replace(b'"id":4000002', b'"is_internal":true,"id":4000002'), symbols_of("gateio_futures")["BTC_USDT"], 7
    )
    assert [one.trade_id for one in page.trades] == ["4000001"]


def test_a_trade_has_the_finest_time_that_its_frame_has() -> None:
    """Old ones have seconds only."""
    new, old = parsed(FRAMES["trade_object"], FRAMES["trade_old"])

    assert isinstance(new, Trade)
    assert isinstance(old, Trade)
    assert (new.venue_ts, old.venue_ts) == (START + 123_000_000, START)


def test_contracts_are_base_units() -> None:
    """A linear contract of bitcoin is 0.0001 here; an inverse one, whose multiplier is 0, one dollar's worth at the price beside it."""
    linear, inverse = parsed(FRAMES["book_full"], FRAMES["book_inverse"])
    quote, inverse_quote = parsed(FRAMES["book_ticker"], FRAMES["book_ticker_inverse"])
    (trade,) = parsed(FRAMES["trade_inverse"])

    assert isinstance(linear, BookSnapshot)
    assert linear.bids == [(D("91000.1"), D("3.1")), (D(91000), D(1))]
    assert isinstance(inverse, BookSnapshot)
    assert inverse.bids == [(D(80_000), D("0.1"))]
    assert isinstance(quote, Quote)
    assert (quote.bid_size, quote.ask_size) == (D("3.1"), D("0.5"))
    assert isinstance(inverse_quote, Quote)
    assert (inverse_quote.bid_size, inverse_quote.ask_size) == (D("0.1"), D(1))
    assert isinstance(trade, Trade)
    assert trade.size == "0.05"


def test_levels_may_have_sizes_as_integers() -> None:
    """As sizes of trades do; text of digits that are not ASCII is refused beside them."""
    texts = parsed(FRAMES["book_full"])
    numbers = re.sub(rb'",\s*"([0-9]+)"\]', rb'",\1]', FRAMES["book_full"])
    *_, lost = parsed(numbers.replace(b'"91000.1"', '"\u0661"'.encode()))

    assert numbers != FRAMES["book_full"]
    assert parsed(numbers) == texts
    assert isinstance(lost, ConnectionBreak)


def test_a_removed_level_has_no_size() -> None:
    """Of an inverse contract too."""
    (update,) = parsed(FRAMES["book_delta"])
    inverse = FRAMES["book_inverse"].replace(b'"full":true', b'"U":7').replace(b'"8000"', b'"0"')
    (removed,) = parsed(inverse)

    assert isinstance(update, BookUpdate)
    assert update.bids == [(D("90999.5"), D("2.5")), (D(91_000), D(0))]
    assert isinstance(removed, BookUpdate)
    assert removed.bids == [(D(80_000), D(0))]


def test_an_empty_text_is_an_empty_side() -> None:
    """Its size is zero, and a contract without orders has no time."""
    one_sided, empty = parsed(FRAMES["book_ticker_no_asks"], FRAMES["book_ticker_empty"])

    assert isinstance(one_sided, Quote)
    assert (one_sided.bid_size, one_sided.ask_price, one_sided.ask_size) == (D("3.1"), None, None)
    assert isinstance(empty, Quote)
    assert (empty.bid_price, empty.ask_price, empty.venue_ts) == (None, None, None)


def test_one_frame_has_day_mark_funding_and_open_interest() -> None:
    """Volume and open interest are contracts; that of an inverse contract is worth as many dollars."""
    day, mark, funding, interest = parsed(FRAMES["ticker"])
    inverse_day, _, _, inverse = parsed(FRAMES["ticker_inverse"])
    made_ts = START + 100_000_000

    assert isinstance(day, Ticker)
    assert (day.last, day.base_volume, day.change, day.venue_ts) == (D("91000.2"), D("67052.1289"), D("-355.6"), made_ts)
    assert mark == Mark("gateio_futures", "BTC-USDT-PERP", made_ts, 7, D("91000.15"), D("91010.5"))
    assert funding == Funding("gateio_futures", "BTC-USDT-PERP", made_ts, 7, D("0.000125"), 28_800, START + 28_800 * 10**9)
    assert isinstance(interest, OpenInterest)
    assert (interest.size, interest.value) == (D("57777.6862"), None)
    assert isinstance(inverse_day, Ticker)
    assert inverse_day.base_volume == D(100)
    assert isinstance(inverse, OpenInterest)
    assert (inverse.size, inverse.value) == (D(50), D(4_000_000))


def test_figures_that_a_frame_lacks_are_as_they_were() -> None:
    """Of its contract alone, and on its connection; without any, they are null or not there."""
    found = parsed(FRAMES["ticker"], FRAMES["ticker_some_fields"])[4:]
    alone = parsed(FRAMES["ticker_some_fields"])

    day, mark, funding, interest = found
    assert isinstance(day, Ticker)
    assert (day.last, day.high, day.base_volume) == (D("91000.3"), D(92_500), D("67052.1289"))
    assert isinstance(mark, Mark)
    assert (mark.mark_price, mark.index_price) == (D("91000.25"), D("91010.6"))
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.interval_s) == (D("0.000126"), 28_800)
    assert isinstance(interest, OpenInterest)
    assert interest.size == D("57777.6862")
    assert [type(one) for one in alone] == [Ticker, Mark, Funding]
    assert isinstance(alone[0], Ticker)
    assert (alone[0].high, alone[0].base_volume) == (None, None)


def test_rows_come_alone_in_a_list_or_in_a_list_in_a_list() -> None:
    """On the channels of tickers and trades alike; an index price of zero is none."""
    alone, nested = parsed(FRAMES["ticker_object"])[:2], parsed(FRAMES["ticker_list_in_list"])

    assert isinstance(alone[0], Ticker)
    assert isinstance(alone[1], Mark)
    assert alone[1].index_price is None
    assert [one.last for one in nested if isinstance(one, Ticker)] == [D("3000.2")]


def test_a_ticker_that_cannot_be_read_makes_all_its_feeds_old_and_is_not_remembered() -> None:
    """The four kinds of the frame."""
    bad = FRAMES["ticker"].replace(b'"mark_price":"91000.15"', b'"mark_price":"0"')
    found = parsed(bad)
    (after, *_) = parsed(bad, FRAMES["ticker_some_fields"])[len(found) :]

    assert [one.kind for one in found if isinstance(one, Unreadable)] == ["ticker", "mark", "funding", "open_interest"]
    assert isinstance(after, Ticker)
    assert after.high is None


def test_a_forced_order_that_sells_has_a_negative_size() -> None:
    """Its time is in s or in ms, under one of two names; several come in one frame."""
    found = [
        one
        for one in parsed(FRAMES["liquidation"], FRAMES["liquidation_old"], FRAMES["liquidation_seconds"])
        if isinstance(one, Liquidation)
    ]

    assert [(one.instrument, one.taker, one.size, (one.venue_ts or 0) - START) for one in found] == [
        ("ETH-USDT-PERP", Side.SELL, D("1.245"), 123_000_000),
        ("BTC-USDT-PERP", Side.BUY, D("0.001"), 456_000_000),
        ("BTC-USDT-PERP", Side.SELL, D("0.0124"), 123_000_000),
        ("BTC-USDT-PERP", Side.SELL, D("0.0124"), 0),
    ]
    assert [type(one) for one in parsed(FRAMES["liquidation_old"].replace(b"91000.1", b'"1_0"'))] == [Odd]


def test_a_candles_v_counts_contracts() -> None:
    """And `a` is the turnover, unlike on spot. An inverse contract's volume is dollars."""
    linear, closed, old, inverse = (
        one
        for one in parsed(FRAMES["candle"], FRAMES["candle_closed"], FRAMES["candle_old"], FRAMES["candle_inverse"])
        if isinstance(one, Candle)
    )

    assert (linear.volume, linear.quote_volume, linear.closed) == (D("1.5"), D("136500.125"), False)
    assert (closed.volume, closed.closed) == (D(2), True)
    assert (old.volume, old.quote_volume) == (D(0), None)
    assert (inverse.volume, inverse.quote_volume, inverse.timeframe) == (D("0.05"), D(4000), "5m")
    assert parsed(FRAMES["candle_mark"]) == []


def test_past_candles_have_the_turnover_as_their_sum() -> None:
    """Weeks that begin on Monday, and months of the calendar, come by REST only."""
    page = rest_futures.parse_candles(REST["candles"], symbols_of("gateio_futures")["BTC_USDT"], "1m", 7)

    assert [(one.volume, one.quote_volume) for one in page.candles] == [
        (D("1.5"), D("136500.125")),
        (D(0), D(0)),
        (D("0.5"), D("45500.25")),
    ]
    assert rest_futures.range_path("BTC_USDT", "1w", START, START).endswith("&interval=1w&from=1767225600&to=1767225600")
    assert FUTURES.candles is not None
    assert FUTURES.past_candles is not None
    assert {"1w", "1M"} == set(FUTURES.candles.refused) == set(FUTURES.past_candles.timeframes) - set(FUTURES.candles.timeframes)


def test_contracts_have_our_names() -> None:
    """Stocks are left out; a multiplier of 0 is an inverse contract of one dollar; a contract that is being delisted does not trade."""
    rows = FUTURES.instruments.parse(REST["instruments"])
    found = {one.symbol: one for one in rows if isinstance(one, Instrument)}

    assert len(rows) == 4
    assert {symbol: one.name for symbol, one in found.items()} == {
        "BTC_USDT": "BTC-USDT-PERP", "ETH_USDT": "ETH-USDT-PERP", "BTC_USD": "BTC-USD-PERP", "LUNA_USDT": "LUNA-USDT-PERP",
    }  # fmt: skip
    assert (found["BTC_USD"].inverse, found["BTC_USD"].contract_size) == (True, D(1))
    assert (found["BTC_USDT"].contract_size, found["BTC_USDT"].size_step) == (D("0.0001"), D("0.0001"))
    assert (found["ETH_USDT"].size_step, found["LUNA_USDT"].active) == (None, False)


@pytest.mark.parametrize("multiplier", ["0", "-1", "NaN", "x"])
def test_a_multiplier_that_cannot_be_is_odd(multiplier: str) -> None:
    """A linear contract of nothing, too; the others are listed."""
    rows = FUTURES.instruments.parse(
        REST["instruments"].replace(b'"quanto_multiplier":"0.0001"', b'"quanto_multiplier":"%s"' % multiplier.encode(), 1)
    )

    (odd,) = (one for one in rows if isinstance(one, OddRow))
    assert (odd.symbol, odd.instrument) == ("BTC_USDT", "BTC-USDT-PERP")
    assert len(rows) == 4


def test_sizes_are_asked_for_with_their_decimals() -> None:
    """Without the header the sizes of contracts that can be divided are cut."""
    assert FUTURES.headers == {"X-Gate-Size-Decimal": "1"}


def test_a_best_level_whose_size_was_cut_to_zero_is_no_quote() -> None:
    """A null side would say that there is no order."""
    body = REST["quotes"].replace(b'"s":"31000"', b'"s":0')

    assert rest_futures.parse_quotes(body, {"BTC_USDT": symbols_of("gateio_futures")["BTC_USDT"]}, 7) == []


def test_other_books_are_read_in_recordings() -> None:
    """Changes as objects, complete books, and changed levels whose sign is their side."""
    update, complete = of_recording(FRAMES["order_book_update"], FRAMES["order_book"])
    changed = of_recording(
        b'{"time":1767225604,"channel":"futures.order_book","event":"update","error":null,"result":['
        b'{"p":"91000.2","s":-390,"c":"BTC_USDT","id":103},{"p":"91000.1","s":0,"c":"BTC_USDT","id":104},'
        b'{"p":"90999","s":"12.5","c":"ETH_USDT","id":7}]}'
    )

    assert update == BookUpdate("BTC-USDT-PERP", START + 100_000_000, 7, [], [(D("91000.3"), D("1.25"))], 103, 105)
    assert isinstance(complete, BookSnapshot)
    assert (complete.sequence, complete.bids) == (102, [(D("91000.1"), D("3.1"))])
    assert [(one.bids, one.asks, one.first) for one in changed if isinstance(one, BookUpdate)] == [
        ([], [(D("91000.2"), D("0.039"))], 103),
        ([(D("91000.1"), D(0))], [(D("91000.1"), D(0))], 104),
        ([(D(90_999), D("0.125"))], [], 7),
    ]


def test_the_open_interest_of_statistics_is_read_in_recordings() -> None:
    """Its numbers are JSON numbers or texts."""
    (found,) = parsed(FRAMES["contract_stats"])

    assert isinstance(found, OpenInterest)
    assert found.size == D("57777.6862")
