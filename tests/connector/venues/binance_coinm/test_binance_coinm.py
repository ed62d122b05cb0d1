"""Binance COIN-M futures: what is different from USD-M, above all that sizes are contracts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from crosstape_connector.venues.binance_coinm import VENUE
from crosstape_connector.venues.binance_futures import rest, stream
from crosstape_connector.venues.messages import BookUpdate, OddRow, Output
from crosstape_schemas import Candle, Funding, Instrument, Liquidation, Mark, OpenInterest, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES = frames_of("binance_coinm")
BITCOIN = "BTC-USD-PERP"
SECOND = 1_767_225_601_000_000_000
MADE = 1_767_225_600_123_000_000


def parse(*frames: bytes) -> list[Output]:
    """All outputs of one connection for these frames, received at 7."""
    parser = stream.Parser(symbols_of("binance_coinm"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_a_trade_of_contracts_has_a_size_in_coins() -> None:
    """Contracts × 100 USD / price, with 28 digits; of other coins a contract is 10 USD."""
    long, exact, ether = parse(FRAMES["agg_trade"], FRAMES["agg_trade_taker_buys"], FRAMES["trade"])

    assert isinstance(long, Trade)
    assert long.size == Decimal("0.002197799782637601497141211933")
    assert exact == Trade("binance_coinm", BITCOIN, MADE + 10**6, 7, Decimal(80000), Decimal("0.02"), Side.BUY, "424952")
    assert isinstance(ether, Trade)
    assert (ether.instrument, ether.size) == ("ETH-USD-PERP", Decimal("0.05"))


def test_sizes_of_books_and_quotes_are_in_coins() -> None:
    """Each at its own price; zero still removes a level."""
    quote, one, depth = parse(FRAMES["book_ticker"], FRAMES["book_ticker_one_side"], FRAMES["depth"])

    assert quote == Quote("binance_coinm", BITCOIN, MADE, 7, Decimal(80000), Decimal("0.03"), Decimal(81920), Decimal("0.078125"))
    assert isinstance(one, Quote)
    assert (one.bid_size, one.ask_price, one.ask_size) == (Decimal("0.03"), None, None)
    assert isinstance(depth, BookUpdate)
    assert list(depth.bids) == [(Decimal(80000), Decimal("0.03")), (Decimal(78125), Decimal(0))]
    assert list(depth.asks) == [(Decimal(81920), Decimal("0.078125"))]
    snapshot = rest.parse_depth(answers_of("binance_coinm")["snapshot"], symbols_of("binance_coinm")["BTCUSD_PERP"], 7)
    assert list(snapshot.bids) == [(Decimal(80000), Decimal("0.02")), (Decimal(78125), Decimal("0.01024"))]
    assert snapshot.sequence == depth.previous


@pytest.mark.parametrize("price", [b'"0"', b'"NaN"', b'"-5"'])
def test_a_level_at_an_impossible_price_takes_no_process_with_it(price: bytes) -> None:
    """Dividing by it is not possible: the book is suspect, or refuses the level itself."""
    assert parse(FRAMES["depth"].replace(b'"80000.0"', price))


def test_volumes_are_turned_into_base_units() -> None:
    """`v` counts contracts, `q` and `Q` are coins; what is published as quote volume is the contracts' value."""
    (candle,) = parse(FRAMES["kline"])

    assert isinstance(candle, Candle)
    assert (candle.volume, candle.quote_volume, candle.taker_buy_volume) == (Decimal("1.49996704"), Decimal(136_500), Decimal("0.99998351"))
    assert candle.closed


def test_the_day_is_that_of_the_venue() -> None:
    """Volumes as those of candles."""
    (ticker,) = parse(FRAMES["ticker"])

    assert ticker == Ticker(
        "binance_coinm", BITCOIN, SECOND, 7, Decimal("91000.2"), Decimal("91500.3"), Decimal(92000), Decimal(90500),
        Decimal("2157.45198546"), Decimal(196_760_700), Decimal("-500.1"),
    )  # fmt: skip


def test_a_perpetual_has_a_mark_and_a_funding_rate() -> None:
    """The index price is in a stream of its own; a dated future's empty rate is none."""
    mark, funding, dated = parse(FRAMES["mark_price"], FRAMES["mark_price_dated"])

    assert mark == Mark("binance_coinm", BITCOIN, SECOND, 7, Decimal("91000.15"), None)
    assert funding == Funding("binance_coinm", BITCOIN, SECOND, 7, Decimal("0.0001"), None, 1_767_254_400_000_000_000)
    assert isinstance(dated, Mark)
    assert dated.index_price == Decimal("91010.62659091")


def test_a_forced_order_counts_as_far_as_it_is_filled() -> None:
    """In coins, at its average price."""
    assert parse(FRAMES["force_order"]) == [
        Liquidation("binance_coinm", BITCOIN, 1_767_225_601_421_000_000, 7, Side.SELL, Decimal(80000), Decimal("0.01"))
    ]


def test_open_interest_is_contracts_of_a_known_value() -> None:
    """Their size in coins would need a price that is not in the answer."""
    (source,) = VENUE.polled
    assert list(source.parse(answers_of("binance_coinm")["open_interest"], symbols_of("binance_coinm"), 7)) == [
        OpenInterest("binance_coinm", BITCOIN, 1_767_225_600_500_000_000, 7, None, Decimal(1_500_400))
    ]


def test_instruments_say_what_a_contract_is_worth() -> None:
    """100 USD for bitcoin, 10 for others; steps are in USD. A state that is not `TRADING` is another field's here."""
    found = {row.symbol: row for row in VENUE.instruments.parse(answers_of("binance_coinm")["instruments"]) if isinstance(row, Instrument)}

    assert {symbol: (row.name, row.contract_size, row.inverse, row.active) for symbol, row in found.items()} == {
        "BTCUSD_PERP": (BITCOIN, Decimal(100), True, True),
        "ETHUSD_PERP": ("ETH-USD-PERP", Decimal(10), True, True),
        "BTCUSD_261225": ("BTC-USD-20261225", Decimal(100), True, True),
        "LINKUSD_PERP": ("LINK-USD-PERP", Decimal(10), True, False),
    }
    assert found["BTCUSD_PERP"].size_step == 100


@pytest.mark.parametrize("size", [b"0", b"null", b'"x"', b"-100"])
def test_a_contract_without_a_worth_is_odd(size: bytes) -> None:
    """No size of it could be given in coins."""
    body = answers_of("binance_coinm")["instruments"].replace(b'"contractSize":100', b'"contractSize":' + size)
    rows = VENUE.instruments.parse(body)

    assert [row.symbol for row in rows if isinstance(row, OddRow)] == ["BTCUSD_PERP", "BTCUSD_261225"]
    assert {row.name for row in rows if isinstance(row, Instrument)} == {"ETH-USD-PERP", "LINK-USD-PERP"}
