"""KuCoin futures: contracts, figures and candles."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import pytest

from crosstape_connector.errors import NotANumber
from crosstape_connector.venues.kucoin import FUTURES, futures, pro, requests, rest_futures
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, OddRow, Output, Unreadable
from crosstape_connector.venues.spec import Request
from crosstape_schemas import Candle, Funding, Instrument, Mark, OpenInterest, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

PRO: Final = frames_of("kucoin_futures", "pro")
CLASSIC: Final = frames_of("kucoin_futures", "classic")
REST: Final = answers_of("kucoin_futures")
D: Final = Decimal


def from_pro(*frames: bytes) -> list[Output]:
    """All that one connection of the newer protocol finds in these, received at 7."""
    parser = pro.FuturesParser(symbols_of("kucoin_futures"))
    return [output for frame in frames for output in parser(frame, 7)]


def from_classic(*frames: bytes) -> list[Output]:
    """The same of the older protocol."""
    parser = futures.Parser(symbols_of("kucoin_futures"))
    return [output for frame in frames for output in parser(frame, 7)]


def test_contracts_are_base_units() -> None:
    """On every channel: a linear contract is 0.0005 bitcoins here, an inverse one is one dollar's worth at the price beside it."""
    linear, inverse = from_pro(PRO["book_snapshot"], PRO["book_inverse"])
    trade, of_inverse = from_classic(CLASSIC["trade"], CLASSIC["trade_inverse"])
    quote, old_quote, inverse_quote = from_classic(CLASSIC["tickerV2"], CLASSIC["tickerV2_numbers"], CLASSIC["tickerV2_inverse"])

    assert isinstance(linear, BookSnapshot)
    assert isinstance(inverse, BookSnapshot)
    assert linear.bids == [(D("91000.1"), D("3.1")), (D(91000), D(1))]
    assert inverse.bids == [(D(91000), D("0.1"))]
    assert isinstance(trade, Trade)
    assert isinstance(of_inverse, Trade)
    assert (trade.size, trade.taker, trade.venue_ts) == (D("0.0015"), Side.SELL, 1_767_225_600_123_456_789)
    assert (of_inverse.size, of_inverse.trade_id) == (D("0.05"), "1697901180000")
    assert isinstance(quote, Quote)
    assert (quote.bid_size, quote.ask_size) == (D("3.1"), D("0.5"))
    assert quote == old_quote
    assert isinstance(inverse_quote, Quote)
    assert (inverse_quote.bid_size, inverse_quote.ask_size) == (D("0.1"), D(1))


def test_a_removed_level_has_no_size() -> None:
    """Of an inverse contract too."""
    update, _ = from_pro(PRO["book_delta"], PRO["book_inverse"].replace(b"snapshot", b"delta"))

    assert isinstance(update, BookUpdate)
    assert update.bids == [(D(91000), D(0))]
    assert isinstance(from_pro(PRO["book_inverse"].replace(b'"91000","9100"', b'"0","9100"'))[0], Odd)


def test_one_frame_has_mark_index_and_open_interest() -> None:
    """The open interest is in contracts; that of an inverse contract is worth as many dollars."""
    mark, interest, _, inverse, alone = from_pro(PRO["mark"], PRO["mark_inverse"], PRO["mark_alone"])

    assert mark == Mark("kucoin_futures", "BTC-USDT-PERP", 1_767_225_600 * 10**9, 7, D("91000.15"), D("91010.5"))
    assert isinstance(interest, OpenInterest)
    assert (interest.size, interest.value) == (D("5740.877"), None)
    assert isinstance(inverse, OpenInterest)
    assert (inverse.size, inverse.value) == (D(50), D(4_000_000))
    assert alone == Mark("kucoin_futures", "ETH-USDT-PERP", 1_767_225_600 * 10**9, 7, D(3000))


def test_a_mark_that_cannot_be_read_makes_both_feeds_old() -> None:
    """They come in one frame."""
    found = from_pro(PRO["mark"].replace(b'"mp":"91000.15"', b'"mp":"0"'))

    assert [one.kind for one in found if isinstance(one, Unreadable)] == ["mark", "open_interest"]


def test_funding_is_the_rate_to_come() -> None:
    """With the time of its settlement, and how often there is one."""
    (found,) = from_pro(PRO["funding"])

    assert isinstance(found, Funding)
    assert (found.rate, found.interval_s, found.next_ts) == (D("-0.000076"), 28_800, 1_767_225_600 * 10**9)
    assert [type(one) for one in from_pro(PRO["funding"].replace(b'"-0.000076"', b'"x"'))] == [Odd, Unreadable]


def test_the_day_of_an_inverse_contract_has_no_volume() -> None:
    """The documents do not say what it counts; a linear one's is in base units."""
    linear, inverse = from_classic(CLASSIC["snapshot"], CLASSIC["snapshot_inverse"])

    assert isinstance(linear, Ticker)
    assert (linear.base_volume, str(linear.quote_volume)) == (D("5834.46"), "526928331.0482177734")
    assert isinstance(inverse, Ticker)
    assert (inverse.last, inverse.base_volume, inverse.quote_volume) == (D(91000), None, None)


def test_a_candles_contracts_are_base_units() -> None:
    """An inverse contract's volume is dollars: its base units are those at the close."""
    linear, inverse = (one for one in from_pro(PRO["candle_closed"], PRO["candle_inverse"]) if isinstance(one, Candle))

    assert (linear.volume, linear.quote_volume, linear.closed) == (D("1.5"), D("136500.125"), True)
    assert (inverse.volume, inverse.quote_volume) == (D("0.05"), D(4000))


def test_past_candles_have_another_order_than_those_of_the_stream() -> None:
    """Open, high, low, close, contracts; times in ms."""
    instrument = symbols_of("kucoin_futures")["XBTUSDTM"]
    found = rest_futures.parse_candles(REST["candles"], instrument, "1m", 7)
    first = found.candles[0]

    assert (first.open, first.high, first.low, first.close) == (D("91000.1"), D("91000.2"), D(90999), D("91000.2"))
    assert (first.volume, first.quote_volume, first.open_ts) == (D("1.5"), None, 1_767_225_600 * 10**9)
    assert [one.open_ts // 10**9 for one in found.candles] == [1_767_225_600, 1_767_225_720]
    swapped = rest_futures.parse_candles(REST["candles"].replace(b"91000.2,90999,", b"90999,91000.2,"), instrument, "1m", 7)
    assert (len(swapped.candles), len(swapped.odd)) == (1, 1)


def test_past_candles_are_asked_for_from_one_before() -> None:
    """`from` itself is left out of the answer."""
    asked = rest_futures.candles_path("XBTUSDTM", "1h", 1_767_225_600 * 10**9)

    assert asked == "/api/v1/kline/query?symbol=XBTUSDTM&granularity=60&from=1767222000000"


def test_timeframes_without_past_candles_are_refused_with_the_reason() -> None:
    """REST has none of three minutes, and of a month."""
    assert FUTURES.candles is not None
    assert set(FUTURES.candles.refused) == {"3m", "1w", "1M"}
    assert set(FUTURES.candles.timeframes) == set(rest_futures.MINUTES)


def test_contracts_have_our_names() -> None:
    """XBT is BTC; a negative multiplier is an inverse contract; a dated one has its day in its name."""
    found = {one.symbol: one for one in FUTURES.instruments.parse(REST["instruments"]) if isinstance(one, Instrument)}

    assert {symbol: one.name for symbol, one in found.items()} == {
        "XBTUSDTM": "BTC-USDT-PERP", "ETHUSDTM": "ETH-USDT-PERP", "XBTUSDM": "BTC-USD-PERP", "XBTMZ26": "BTC-USD-20261225",
        "SOLUSDCM": "SOL-USDC-PERP",
    }  # fmt: skip
    inverse = found["XBTUSDM"]
    assert (inverse.base, inverse.inverse, inverse.contract_size, inverse.expiry) == ("BTC", True, D(1), None)
    assert found["XBTMZ26"].expiry == 1_798_185_600 * 10**9
    assert (found["SOLUSDCM"].active, found["SOLUSDCM"].price_tick) == (False, D("0.001"))


@pytest.mark.parametrize(
    "change", [(b'"multiplier":0.0005', b'"multiplier":-0.0005'), (b'"multiplier":0.0005', b'"multiplier":0'), (b"0.0005", b"null")]
)
def test_a_multiplier_that_cannot_be_is_odd(change: tuple[bytes, bytes]) -> None:
    """The contract is not listed, and the others are."""
    found = FUTURES.instruments.parse(REST["instruments"].replace(*change, 1))

    (odd,) = (one for one in found if isinstance(one, OddRow))
    assert (odd.symbol, odd.instrument) == ("XBTUSDTM", "BTC-USDT-PERP")
    assert len(found) == 5


def test_text_that_only_decimal_reads_is_no_number() -> None:
    """Where the venue has written JSON numbers."""
    found = from_classic(CLASSIC["tickerV2"].replace(b'"91000.1"', b'"91_000.1"'))

    assert [type(one) for one in found] == [Odd, Unreadable]
    with pytest.raises(NotANumber):
        rest_futures.parse_quotes(REST["quotes"].replace(b'"91000.10000000"', b'"abc"'), {"X": symbols_of("kucoin_futures")["XBTUSDTM"]}, 7)


def test_requests_name_the_market() -> None:
    """The newer protocol serves both."""
    asked = msgspec.json.decode(requests.pro("FUTURES")("subscribe", Request("mark-price", ("XBTUSDTM",), 4, 10)))

    assert asked == {"id": "4", "action": "subscribe", "channel": "mark-price", "tradeType": "FUTURES", "symbol": "XBTUSDTM"}
