"""Bybit's inverse contracts: sizes are US dollars, and volumes and turnovers change places."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from crosstape_connector.venues.bybit import INVERSE
from crosstape_connector.venues.bybit.parser import Parser
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Output, RepeatedQuote
from crosstape_schemas import Candle, Liquidation, OpenInterest, Quote, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES: Final = frames_of("bybit_inverse")
REST: Final = answers_of("bybit_inverse")
D: Final = Decimal


def read(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = Parser(symbols_of("bybit_inverse"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_sizes_are_dollars_on_every_channel() -> None:
    """Base units are those at the price beside them; a level that is removed has none."""
    trade, _, book, change, forced, _ = read(FRAMES["trade"], FRAMES["book"], FRAMES["book_changed"], FRAMES["liquidation"])
    (quote,) = read(FRAMES["quote"])

    assert isinstance(trade, Trade)
    assert (trade.size, trade.price) == (D(10), D("91000.10"))
    assert isinstance(book, BookSnapshot)
    assert book.bids[1] == (D("91000.00"), D(2))
    assert isinstance(change, BookUpdate)
    assert change.bids == [(D("91000.00"), D(0))]
    assert isinstance(forced, Liquidation)
    assert forced.size == D("20.00004395604395604395604396")
    assert isinstance(quote, Quote)
    assert quote.bid_size == D(282_100) / D("91000.10")


def test_a_repeated_quote_is_no_quote_here_either() -> None:
    """It is compared as the venue wrote it."""
    assert [type(one) for one in read(FRAMES["quote"], FRAMES["quote_repeated"])] == [Quote, RepeatedQuote]


def test_a_days_volume_is_its_turnover() -> None:
    """`volume24h` counts dollars, `turnover24h` base units."""
    day = read(FRAMES["ticker"])[0]

    assert isinstance(day, Ticker)
    assert (day.base_volume, day.quote_volume) == (D("7269.6625"), D(661543991))


def test_a_candles_volume_is_its_turnover() -> None:
    """On the stream and by REST: turnover over volume lies between low and high."""
    assert INVERSE.candle_source is not None
    (running,) = read(FRAMES["candle"])
    instrument = symbols_of("bybit_inverse")["BTCUSD"]
    past = INVERSE.candle_source.parse(REST["candles"], instrument, "1m", 7).candles[0]

    for one in (running, past):
        assert isinstance(one, Candle)
        assert (one.volume, one.quote_volume) == (D("1.5"), D(136_500))
        assert one.quote_volume is not None
        assert one.low <= one.quote_volume / one.volume <= one.high + 1


def test_open_interest_is_dollars_and_the_venues_own_base_units() -> None:
    """The value is exact, the size as the venue rounds it."""
    interest = read(FRAMES["ticker"])[3]

    assert isinstance(interest, OpenInterest)
    assert (interest.size, interest.value) == (D("4942.15"), D(449736676))


def test_a_month_is_a_letter_of_the_symbol_and_a_date_of_the_list() -> None:
    """`BTCUSDZ26`; a contract that settles is listed, and does not trade. Those of the other category are left out."""
    found = symbols_of("bybit_inverse")

    assert {symbol: (one.name, one.active, one.inverse) for symbol, one in found.items()} == {
        "BTCUSD": ("BTC-USD-PERP", True, True),
        "BTCUSDZ26": ("BTC-USD-20261225", True, True),
        "ETHUSD": ("ETH-USD-PERP", False, True),
    }
