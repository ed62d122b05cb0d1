"""Frames of the bridge: what becomes of the library's results, and what is left out or null because the library does not say it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from crosstape_connector.bridge import writing
from crosstape_connector.errors import FrameError
from crosstape_connector.venues.ccxt import venue
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    ConnectionBreak,
    Heartbeat,
    Odd,
    OddRow,
    Output,
    Rejected,
    TradeSnapshot,
    Unreadable,
)
from crosstape_connector.venues.spec import Parser, Request
from crosstape_schemas import Candle, GapCause, Instrument, Quote, Side, Ticker, Trade
from tests.bridge.dialects import market

NOW = 1_767_225_600_000_000_000
SECOND = 1_000_000_000
SPOT = Instrument("BTC-USD", "ccxt.kraken", "BTC/USD", "BTC", "USD")
LINEAR = Instrument("BTC-USDT-PERP", "ccxt.kraken", "BTC/USDT:USDT", "BTC", "USDT", contract_size=Decimal("0.001"))
INVERSE = Instrument("BTC-USD-PERP", "ccxt.kraken", "BTC/USD:BTC", "BTC", "USD", contract_size=Decimal(100), inverse=True)


def parser(name: str = "ccxt.kraken") -> Parser:
    """The parser of a connection with three instruments."""
    return venue(name).endpoints[0].parser({one.symbol: one for one in (SPOT, LINEAR, INVERSE)})


def trade(**fields: Any) -> dict[str, Any]:
    """A trade of the library."""
    return {"id": "a7", "timestamp": NOW // 1_000_000, "side": "sell", "price": "61000.50", "amount": "2", "info": {}, **fields}


def trades(*rows: dict[str, Any], symbol: str = "BTC/USD", library_class: str = "kraken", since: int = NOW - SECOND) -> Sequence[Output]:
    """The outputs of these trades of the library."""
    return parser()(writing.trades(symbol, since, rows, library_class), NOW + 5)


def test_a_trade_has_the_texts_of_the_library() -> None:
    """No digit is lost or added; the side is the taker's."""
    (made,) = trades(trade())

    assert made == Trade("ccxt.kraken", "BTC-USD", NOW, NOW + 5, Decimal("61000.50"), Decimal(2), Side.SELL, "a7")
    assert isinstance(made, Trade)
    assert str(made.price) == "61000.50"


def test_the_texts_and_times_of_the_exchange_go_before_the_librarys_numbers() -> None:
    """Bitstamp writes both; the library reads the number, and cuts the time to ms."""
    info = {"price_str": "61000.50", "amount_str": "0.10000000", "microtimestamp": "1767225600123456"}
    (made,) = trades(trade(price="61000.5", amount="0.1", info=info), library_class="bitstamp")

    assert isinstance(made, Trade)
    assert (str(made.price), str(made.size), made.venue_ts) == ("61000.50", "0.10000000", 1_767_225_600_123_456_000)


def test_a_time_of_the_library_that_is_another_is_not_taken() -> None:
    """Of Upbit it has the time at which the frame was sent."""
    (made,) = trades(trade(timestamp=NOW // 1_000_000 + 40, info={"trade_timestamp": NOW // 1_000_000}), library_class="upbit")

    assert isinstance(made, Trade)
    assert made.venue_ts == NOW


@pytest.mark.parametrize(("symbol", "size"), [("BTC/USDT:USDT", "0.002"), ("BTC/USD:BTC", "0.003125")])
def test_sizes_of_contracts_become_base_units(symbol: str, size: str) -> None:
    """Linear: contracts × size; inverse: contracts × value / price."""
    (made,) = trades(trade(price="64000"), symbol=symbol)

    assert isinstance(made, Trade)
    assert str(made.size) == size


def test_a_row_at_price_zero_is_no_trade() -> None:
    """Some exchanges send rows of their insurance funds among the trades."""
    outputs = trades(trade(price="0"), trade(id="a8"), trade(id="a9", price=None))

    assert [type(output).__name__ for output in outputs] == ["Odd", "Trade", "Odd"]


def test_a_trade_that_cannot_be_right_is_odd_and_a_gap() -> None:
    """Its neighbours are published."""
    outputs = trades(trade(price="-5"), trade(id="a8"))

    assert [type(output) for output in outputs] == [Odd, Unreadable, Trade]


def test_what_was_traded_before_the_subscription_is_the_past() -> None:
    """The library hands out what an exchange replays as if it were new."""
    outputs = trades(trade(id="old", timestamp=(NOW - 2 * SECOND) // 1_000_000), trade(id="new"))

    assert [type(output) for output in outputs] == [TradeSnapshot, Trade]
    assert [one.trade_id for one in outputs[0].trades] == ["old"]  # type: ignore[union-attr]


def test_a_trade_may_lack_what_the_library_does_not_know() -> None:
    """No side, no time, no id."""
    (made,) = trades(trade(id=None, side=None, timestamp=None))

    assert isinstance(made, Trade)
    assert (made.taker, made.venue_ts, made.trade_id) == (None, None, "")


def book(
    parse: Parser, bids: list[list[Any]], asks: list[list[Any]], *, ms: int | None = None, at: int = NOW, depth: int = 10
) -> Sequence[Output]:
    """The outputs of a book of the library."""
    return parse(writing.book("BTC/USD", {"bids": bids, "asks": asks, "timestamp": ms, "nonce": 9}, depth), at)


def test_a_book_begins_with_a_snapshot_and_goes_on_with_changes() -> None:
    """The library gives the complete book each time. A binary number becomes the shortest decimal that means it."""
    parse = parser()
    (first,) = book(parse, [[100.1, 2.0], [100.0, 1e-07]], [[100.2, 3.0]])
    (second,) = book(parse, [[100.1, 2.5]], [[100.2, 3.0]])

    assert first == BookSnapshot(
        "BTC-USD",
        None,
        NOW,
        [(Decimal("100.1"), Decimal("2.0")), (Decimal("100.0"), Decimal("1E-7"))],
        [(Decimal("100.2"), Decimal("3.0"))],
    )
    assert second == BookUpdate("BTC-USD", None, NOW, [(Decimal("100.0"), Decimal(0)), (Decimal("100.1"), Decimal("2.5"))], [])


def test_a_book_is_copied_when_it_is_handed_out() -> None:
    """It is the library's own object, and changes with the next frame. Beyond the depth nothing is copied."""
    live = {"bids": [[100.1, 2.0, "order"], [100.0, 1.0]], "asks": [], "timestamp": None}
    frame = json.loads(writing.book("BTC/USD", live, 1))

    assert frame["bids"] == [[100.1, 2.0]]


def test_a_book_whose_time_goes_back_is_left_out() -> None:
    """An equal time is not back: the library has ms."""
    parse, ms = parser(), NOW // 1_000_000
    book(parse, [[100.1, 2.0]], [], ms=ms)

    assert [type(output) for output in book(parse, [[100.1, 3.0]], [], ms=ms)] == [BookUpdate]
    assert [type(output) for output in book(parse, [[100.1, 4.0]], [], ms=ms - 1)] == [Odd]


def test_a_book_that_changes_with_an_old_time_is_broken() -> None:
    """The library goes on with a book that the exchange has not updated. A quiet one may be old."""
    parse, ms = parser(), NOW // 1_000_000
    (first,) = book(parse, [[100.1, 2.0]], [], ms=ms, at=NOW + 3_600 * SECOND)
    (same,) = book(parse, [[100.1, 2.0]], [], ms=ms, at=NOW + 3_601 * SECOND)
    (late,) = book(parse, [[100.1, 3.0]], [], ms=ms, at=NOW + 3_602 * SECOND)

    assert (type(first), type(same)) == (BookSnapshot, BookUpdate)
    assert isinstance(late, ConnectionBreak)
    assert (late.instruments, late.cause, late.reason) == (("BTC-USD",), GapCause.UNKNOWN, "its time is 3602 s behind")


def test_an_impossible_level_breaks_the_book() -> None:
    """A level of size zero is none."""
    parse = parser()
    assert [type(output) for output in book(parse, [[-1.0, 2.0]], [])] == [Odd, ConnectionBreak]

    (after,) = book(parse, [[100.1, 2.0], [100.0, 0.0]], [])
    assert isinstance(after, BookSnapshot)
    assert len(after.bids) == 1


def test_a_renewed_subscription_begins_a_book_again() -> None:
    """So does one that was broken."""
    parse = parser()
    book(parse, [[100.1, 2.0]], [])
    parse(b'{"t":"ready","channel":"book","symbols":["BTC/USD"],"id":4}', NOW)

    assert [type(output) for output in book(parse, [[100.1, 2.0]], [])] == [BookSnapshot]


def test_best_prices_become_a_quote() -> None:
    """An empty side is null; a price without a size cannot be published."""
    found: dict[str, Any] = {"bid": "100.10", "bidVolume": "2", "ask": None, "askVolume": None, "timestamp": None, "info": {}}
    (quote,) = parser()(writing.bid_ask("BTC/USD", found), NOW)
    assert quote == Quote("ccxt.kraken", "BTC-USD", None, NOW, Decimal("100.10"), Decimal(2), None, None)

    outputs = parser()(writing.bid_ask("BTC/USD", found | {"bidVolume": None}), NOW)
    assert [type(output) for output in outputs] == [Odd, Unreadable]


TICKER = {
    "last": "100.1", "open": "90", "high": "110", "low": "80", "baseVolume": "5", "quoteVolume": "500", "change": "10.1",
    "bid": "1", "ask": "2", "timestamp": NOW // 1_000_000, "info": {},
}  # fmt: skip


def test_a_ticker_has_what_the_library_has() -> None:
    """All else is null."""
    (ticker,) = parser()(writing.ticker("BTC/USD", TICKER), NOW)

    figures = (Decimal(text) for text in ("100.1", "90", "110", "80", "5", "500", "10.1"))
    assert ticker == Ticker("ccxt.kraken", "BTC-USD", NOW, NOW, *figures)


@pytest.mark.parametrize(
    ("name", "symbol", "nulls"),
    [
        ("ccxt.okx", "BTC/USDT:USDT", {"base_volume", "quote_volume"}),  # the first counts contracts
        ("ccxt.deribit", "BTC/USD", {"quote_volume"}),  # it is in base units
        ("ccxt.hyperliquid", "BTC/USD", {"last", "change"}),  # `last` is the mid price
    ],
)
def test_what_the_library_says_wrong_is_null(name: str, symbol: str, nulls: set[str]) -> None:
    """A figure that is missing misleads nobody."""
    (ticker,) = parser(name)(writing.ticker(symbol, TICKER), NOW)

    assert isinstance(ticker, Ticker)
    assert {
        field for field in ("last", "open", "high", "low", "base_volume", "quote_volume", "change") if getattr(ticker, field) is None
    } == nulls


def test_candles_are_changes_or_the_past() -> None:
    """One or two rows are what has changed; more answer the subscription. A row that lacks a figure is left out."""
    ms = NOW // 1_000_000
    rows = [[ms + 60_000 * minute, "100.0", "101", "99.5", "100.5", "7"] for minute in range(4)]
    (change,) = parser()(writing.candles("BTC/USD", "1m", rows[:1]), NOW)
    (past,) = parser()(writing.candles("BTC/USD", "1m", [*rows, [ms, None, "1", "1", "1", "1"]]), NOW)

    assert isinstance(change, Candle)
    assert (change.timeframe, change.open_ts, change.open, change.volume, change.closed) == ("1m", NOW, Decimal("100.0"), Decimal(7), False)
    assert (change.quote_volume, change.trades, change.taker_buy_volume) == (None, None, None)
    assert isinstance(past, CandleSnapshot)
    assert len(past.candles) == 4


def test_a_candle_that_contradicts_itself_is_unreadable() -> None:
    """Its columns may be in another order."""
    outputs = parser()(writing.candles("BTC/USD", "1m", [[NOW // 1_000_000, "100", "90", "99", "100", "7"]]), NOW)

    assert [type(output) for output in outputs] == [Odd, Unreadable]


def test_messages_about_the_connection() -> None:
    """They are those of any venue."""
    parse = parser()

    assert parse(b'{"t":"ready","channel":"trades","symbols":["BTC/USD"],"id":4}', NOW) == (Ack(4, "trades", ("BTC/USD",)),)
    assert parse(b'{"t":"alive"}', NOW) == (Heartbeat(),)
    assert parse(b'{"t":"refused","channel":"trades","symbol":"BTC/USD","reason":"no"}', NOW) == (
        Rejected("no", channel="trades", symbols=("BTC/USD",)),
    )
    for channel, kind in (("trades", "trade"), ("ticker", "ticker"), ("bidsasks", "quote"), ("ohlcv 1m", "candle:1m")):
        broken = b'{"t":"broken","channel":"%s","symbols":["BTC/USD"],"reason":"no"}' % channel.encode()
        assert parse(broken, NOW) == [Unreadable(kind, "BTC-USD", NOW)], channel  # the book of the instrument is not concerned
    with pytest.raises(FrameError, match="KeyError: price"):
        parse(b'{"t":"bad","error":"KeyError: price","frame":"x"}', NOW)


def test_a_request_names_what_the_bridge_is_to_start() -> None:
    """With the levels that are wanted of a book."""
    frame = venue("ccxt.kraken").endpoints[1].subscribe(Request("book", ("BTC/USD", "ETH/USD"), 3, 25))

    assert json.loads(frame) == {"op": "subscribe", "channel": "book", "symbols": ["BTC/USD", "ETH/USD"], "id": 3, "depth": 25}


def listed(*rows: dict[str, Any]) -> dict[str, Instrument | OddRow]:
    """The instruments by name, and odd rows by symbol."""
    found = venue("ccxt.kraken").instruments.parse(writing.markets({row["symbol"]: row for row in rows}))
    return {one.symbol if isinstance(one, OddRow) else one.name: one for one in found}


def test_markets_become_instruments_by_their_parts() -> None:
    """Base, quote, settlement, type and expiry; no id is taken apart. Options and quanto contracts are left out."""
    found = listed(
        market("BTC/USD", "XXBTZUSD"),
        market("BTC/USDT:USDT", "PF_1", contractSize="0.001"),
        market("BTC/USD:BTC", "PI_1", contractSize="1.0", inverse=True, linear=False),
        market(
            "BTC/USDT:USDT-261225", "F_1", type="future", settle="USDT", quote="USDT", swap=False, future=True, expiry=1_798_185_600_000
        ),
        market("ETH/USD:BTC", "Q_1", inverse=True),
        market("BTC/USD:BTC-261225-60000-C", "O_1", type="option"),
        market("DOGE/USD", "XDGUSD", active=False),
    )

    assert set(found) == {"BTC-USD", "BTC-USDT-PERP", "DOGE-USD", "BTC-USD-PERP", "BTC-USDT-20261225"}
    perpetual, future, inverse = (found[name] for name in ("BTC-USDT-PERP", "BTC-USDT-20261225", "BTC-USD-PERP"))
    assert isinstance(perpetual, Instrument)
    assert isinstance(future, Instrument)
    assert isinstance(inverse, Instrument)
    assert (perpetual.symbol, perpetual.contract_size, perpetual.size_step) == ("BTC/USDT:USDT", Decimal("0.001"), Decimal("1E-11"))
    assert future.expiry == 1_798_185_600_000_000_000
    assert (inverse.inverse, str(inverse.contract_size)) == (True, "1")
    assert not found["DOGE-USD"].active  # type: ignore[union-attr]


def test_of_two_contracts_with_one_name_that_in_the_quote_asset_counts() -> None:
    """The other is reported, and cannot be had."""
    found = listed(market("BTC/USD:USDC", "B"), market("BTC/USD:USD", "A"))

    assert found["BTC-USD-PERP"].symbol == "BTC/USD:USD"
    assert isinstance(found["BTC/USD:USDC"], OddRow)


def test_a_contract_without_a_size_cannot_be_used() -> None:
    """Its sizes in base units are not known."""
    found = listed(market("BTC/USDT:USDT", "A", contractSize=None), market("ETH/USDT:USDT", "B"))

    assert isinstance(found["BTC/USDT:USDT"], OddRow)
    assert isinstance(found["ETH-USDT-PERP"], Instrument)
