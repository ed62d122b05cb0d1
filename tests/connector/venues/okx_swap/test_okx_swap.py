"""OKX's swaps and futures: contracts, figures, names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.messages import BookSnapshot, Odd, OddRow, Output, Unreadable
from crosstape_connector.venues.okx import SWAP, connection, instruments, parsers
from crosstape_connector.venues.spec import Request
from crosstape_schemas import Candle, Funding, Instrument, Liquidation, Mark, OpenInterest, Quote, Side, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

PUBLIC: Final = frames_of("okx_swap", "public")
BUSINESS: Final = frames_of("okx_swap", "business")
REST: Final = answers_of("okx_swap")
D: Final = Decimal


def found(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = parsers.SwapParser(symbols_of("okx_swap"))
    return [output for frame in frames for output in parser(frame, 7)]


def one(frame: bytes) -> Any:
    """The only output of a frame."""
    (output,) = found(frame)
    return output


def test_contracts_are_base_units() -> None:
    """A linear one is 0.01 bitcoins here, an inverse one 100 dollars' worth at the price beside it."""
    linear, inverse = one(PUBLIC["book_snapshot"]), one(PUBLIC["book_inverse_2022"])
    quote, of_inverse = one(PUBLIC["bbo"]), one(PUBLIC["bbo_inverse"])
    trade, inverse_trade = one(BUSINESS["trade"]), one(BUSINESS["trade_inverse"])

    assert isinstance(linear, BookSnapshot)
    assert linear.bids == [(D("91000.1"), D("3.1")), (D(91000), D(1))]
    assert inverse.bids[0] == (D(91000), D("0.1"))
    assert isinstance(quote, Quote)
    assert (quote.bid_size, quote.ask_size) == (D("3.1"), D("0.5"))
    assert (of_inverse.bid_size, of_inverse.ask_size) == (D("0.1"), D(1))
    assert isinstance(trade, Trade)
    assert (trade.size, trade.taker, inverse_trade.size) == (D("0.0015"), Side.SELL, D("0.05"))


def test_a_removed_level_has_no_size() -> None:
    """Of an inverse contract too."""
    frame = PUBLIC["book_update"].replace(b"BTC-USDT-SWAP", b"BTC-USD-SWAP")

    assert one(frame).asks[0] == (D("91000.3"), D(0))


@pytest.mark.parametrize(("symbol", "frame"), [("BTC-USD-SWAP", "book_inverse_2022"), ("BTC-USDT-SWAP", "book_snapshot")])
def test_checksums_are_of_contracts(symbol: str, frame: str) -> None:
    """Of base units, these are read back to the digit."""
    raw = msgspec.json.decode(PUBLIC[frame])["data"][0]
    rows = [row for pair in zip(raw["bids"], raw["asks"], strict=False) for row in pair]
    rows += raw["bids"][len(raw["asks"]) :]
    rule = SWAP.book.of(symbols_of("okx_swap")[symbol]).checksum
    made = one(PUBLIC[frame])
    spot = SWAP.book.of(Instrument("X", "okx", "X", "X", "Y")).checksum

    assert rule is not None
    assert spot is not None
    theirs = [[(D(row[0]), D(row[1])) for row in raw[side]] for side in ("bids", "asks")]
    assert rule(made.bids, made.asks) == spot(*theirs)
    assert len(rows) == len(raw["bids"]) + len(raw["asks"])


def test_the_day_has_base_units_in_another_field_than_spot() -> None:
    """Of an inverse contract, contracts are dollars."""
    linear, inverse = one(PUBLIC["ticker"]), one(PUBLIC["ticker_inverse"])

    assert isinstance(linear, Ticker)
    assert (linear.base_volume, linear.quote_volume) == (D("108540.53"), None)
    assert (inverse.base_volume, inverse.quote_volume) == (D("2620.289"), D(238_446_300))


def test_a_candles_contracts_are_base_units() -> None:
    """An inverse contract's base units are the venue's, its dollars exact; so in rows of seven columns."""
    linear, inverse, old = (one(BUSINESS[f"candle_{name}"]) for name in ("1m", "inverse", "2021"))

    assert isinstance(linear, Candle)
    assert (linear.volume, linear.quote_volume) == (D("1.5"), D("136500.125"))
    assert (inverse.volume, inverse.quote_volume, inverse.closed) == (D("0.05000001"), D(4000), True)
    assert (old.volume, old.quote_volume) == (D("0.05"), D(4000))


def test_a_mark_has_the_newest_price_of_its_index() -> None:
    """Which comes for all contracts on it; alone where no mark has come. One that cannot be read is forgotten."""
    mark, index, bad = PUBLIC["mark"], PUBLIC["index"], PUBLIC["index"].replace(b'"91010.5"', b'"0"')

    assert found(mark, index, mark)[0] == Mark("okx_swap", "BTC-USDT-PERP", 1_767_225_600_600_000_000, 7, D("91000.15"), None)
    marks = [(out.instrument, out.mark_price, out.index_price) for out in found(mark, index, mark) if isinstance(out, Mark)]
    assert marks[1:] == [("BTC-USDT-20261225", None, D("91010.5")), ("BTC-USDT-PERP", D("91000.15"), D("91010.5"))]
    odd, after = found(mark, index, bad, mark)[2:]
    assert isinstance(odd, Odd)
    assert isinstance(after, Mark)
    assert after.index_price is None
    assert [type(out) for out in found(mark.replace(b'"91000.15"', b'""'))] == [Odd, Unreadable]
    late = mark.replace(b'"1767225600600"', b'"1767225660600"')
    assert [out.index_price for out in found(index, late) if isinstance(out, Mark)][-1] is None


def test_a_mark_that_comes_late_has_no_index_of_a_later_moment() -> None:
    """Channels overtake each other: an index price that is a second later, or more, is not the one that the mark price had."""
    just, late = (PUBLIC["mark"].replace(b'"1767225600600"', b'"1767225599%d"' % ms) for ms in (501, 500))

    assert [out.index_price for out in found(PUBLIC["index"], just, late) if isinstance(out, Mark)][-2:] == [D("91010.5"), None]


def test_a_frame_that_cannot_be_read_may_have_had_an_index() -> None:
    """Until the next one, marks come without."""
    parser = parsers.SwapParser(symbols_of("okx_swap"))
    parser(PUBLIC["index"], 7)
    with pytest.raises(FRAME_ERRORS):
        parser(PUBLIC["index"][:-1], 7)

    (mark,) = parser(PUBLIC["mark"], 7)
    assert isinstance(mark, Mark)
    assert mark.index_price is None


def test_the_index_of_a_contract_is_asked_for_with_its_mark() -> None:
    """Each once, after all marks; it stays subscribed when a mark is not wanted any more."""
    wanted = Request("mark-price", ("BTC-USDT-SWAP", "BTC-USD_UM-SWAP", "BTC-USD-261225", "BTC-USD_UM_XPERP-310404"), 4, 10)
    asked = msgspec.json.decode(connection.request("subscribe", wanted))

    assert [arg["instId"] for arg in asked["args"] if arg["channel"] == "index-tickers"] == ["BTC-USDT", "BTC-USD"]
    assert asked["args"][-3]["channel"] == "mark-price"
    assert b"index" not in connection.request("unsubscribe", wanted)
    assert [type(out) for out in found(PUBLIC["error_of_an_index"])] == [Odd]


def test_funding_is_the_rate_to_come() -> None:
    """With the time at which it is paid; frames of 2021 lack the rest, and may lack the rate. An empty one is an error."""
    new, old = one(PUBLIC["funding"]), one(PUBLIC["funding_2021"])

    assert isinstance(new, Funding)
    assert (new.rate, new.interval_s, new.next_ts) == (D("-0.0000768071865029"), 28_800, 1_767_254_400 * 10**9)
    assert (old.rate, old.interval_s, old.next_ts, old.venue_ts) == (D("0.00048105"), None, 1_767_254_400 * 10**9, None)
    assert found(PUBLIC["funding_without_rate"]) == []
    empty = PUBLIC["funding_2021"].replace(b'"0.00048105"', b'""')
    assert [type(out) for out in found(empty)] == [Odd, Unreadable]


def test_open_interest_is_in_base_units() -> None:
    """To all of its digits; of an inverse contract in the venue's coins, and in dollars."""
    linear, inverse = one(PUBLIC["interest"]), one(PUBLIC["interest_inverse"])

    assert isinstance(linear, OpenInterest)
    assert (linear.size, linear.value) == (D("33010.0566000002036"), None)
    assert (inverse.size, inverse.value) == (D("5.4945"), D(500_000))


def test_liquidations_are_those_of_our_contracts() -> None:
    """They come for a type; the side is the order's, or that which closes the position. A bad one harms no other."""
    first, second = found(PUBLIC["liquidations"])

    assert isinstance(first, Liquidation)
    assert isinstance(second, Liquidation)
    assert (first.taker, first.price, first.size) == (Side.BUY, D("91500.5"), D("0.13"))
    assert (second.taker, second.size) == (Side.SELL, D("0.015"))
    assert one(PUBLIC["liquidation_inverse"]).size == D("0.05")
    assert [type(out) for out in found(PUBLIC["liquidations"].replace(b'"91500.5"', b'"x"'))] == [Liquidation, Odd]


def test_liquidations_of_both_types_are_asked_for_at_once() -> None:
    """One request for all contracts."""
    asked = msgspec.json.decode(connection.request("subscribe", Request(connection.LIQUIDATIONS, ("BTC-USDT-SWAP",), 4, 10)))

    assert [arg["instType"] for arg in asked["args"]] == ["SWAP", "FUTURES"]


def test_frames_of_spot_and_of_options_are_passed_over() -> None:
    """They are not this venue's."""
    assert found(PUBLIC["trade_of_elsewhere"], PUBLIC["trade_of_an_option"]) == []


def test_contracts_have_our_names() -> None:
    """A family of its own has a name of its own; one that never expires is a perpetual, whatever list it is in."""
    listed = {row.symbol: row for row in SWAP.instruments.parse(REST["instruments"]) if isinstance(row, Instrument)}

    assert {symbol: row.name for symbol, row in listed.items()} == {
        "BTC-USDT-SWAP": "BTC-USDT-PERP",
        "BTC-USD-SWAP": "BTC-USD-PERP",
        "BTC-USD_UM-SWAP": "BTC-USD_UM-PERP",
        "BTC-USD-261225": "BTC-USD-20261225",
        "BTC-USDT-261225": "BTC-USDT-20261225",
        "BTC-USD_UM_XPERP-310404": "BTC-USD_UM_XPERP-PERP",
        "ETH-USDT-SWAP": "ETH-USDT-PERP",
    }
    inverse, dated = listed["BTC-USD-SWAP"], listed["BTC-USD-261225"]
    assert (inverse.inverse, inverse.contract_size, inverse.size_step, inverse.expiry) == (True, D(100), D(10), None)
    assert dated.expiry == 1_798_185_600 * 10**9
    assert listed["BTC-USDT-SWAP"].size_step == D("0.0001")
    assert not listed["ETH-USDT-SWAP"].active


@pytest.mark.parametrize(
    "change",
    [
        (b'"ctVal":"0.01"', b'"ctVal":""'),
        (b'"ctVal":"0.01"', b'"ctVal":"0"'),
        (b'"ctMult":"1"', b'"ctMult":"x"'),
        (b'"ctType":"linear"', b'"ctType":"quanto"'),
        (b'"ctValCcy":"BTC"', b'"ctValCcy":"USDT"'),
        (b'"instFamily":"BTC-USDT"', b'"instFamily":null'),
    ],
)
def test_a_contract_that_cannot_be_is_odd(change: tuple[bytes, bytes]) -> None:
    """It is not listed, and the others are."""
    rows = SWAP.instruments.parse(REST["instruments"].replace(*change, 1))

    (odd,) = (row for row in rows if isinstance(row, OddRow))
    assert odd.symbol == "BTC-USDT-SWAP"
    assert len(rows) == 7


def test_contracts_are_listed_by_type() -> None:
    """So there are two lists; whether one trades is asked for by its type and name."""
    assert SWAP.instruments.paths == ("/api/v5/public/instruments?instType=SWAP", "/api/v5/public/instruments?instType=FUTURES")
    assert instruments.state_path(["BTC-USD-261225"]) == "/api/v5/public/instruments?instType=FUTURES&instId=BTC-USD-261225"
    assert SWAP.trading is not None
    assert SWAP.trading.unknown("51001 Instrument ID does not exist")
