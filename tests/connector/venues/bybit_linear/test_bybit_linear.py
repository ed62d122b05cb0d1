"""Bybit's linear contracts: ids without an order, tickers that are merged, liquidations, and names of contracts."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.venues.bybit import LINEAR
from crosstape_connector.venues.bybit.parser import Parser
from crosstape_connector.venues.messages import Odd, Output, Unreadable
from crosstape_schemas import Event, Funding, Gap, Instrument, Liquidation, Mark, OpenInterest, Side, Status, Ticker, Trade
from tests.connector.venues.golden import answers_of, frames_of, symbols_of

FRAMES: Final = frames_of("bybit_linear")
REST: Final = answers_of("bybit_linear")
BTC: Final = "BTC-USDT-PERP"
D: Final = Decimal


def read(*frames: bytes) -> list[Output]:
    """All that one connection finds in these, received at 7."""
    parser = Parser(symbols_of("bybit_linear"))
    return [output for frame in frames for output in parser(frame, 7)]


def published(*frames: bytes) -> list[Event]:
    """The events of the trades in these."""
    feeds = FeedHandler(LINEAR, {BTC: symbols_of("bybit_linear")["BTCUSDT"]}, ["trade"], book_depth=10, book_interval_ns=0)
    return [event for output in read(*frames) for event in feeds.apply(output) if isinstance(event, Event)]


def test_ids_of_contracts_are_texts_without_an_order() -> None:
    """UUIDs, which nothing takes for numbers: they are on the tape as they are."""
    assert LINEAR.trade_ids == "unique"
    assert LINEAR.trades is None
    assert [one.trade_id for one in published(FRAMES["trade"], FRAMES["trade_of_2023"]) if isinstance(one, Trade)] == [
        f"00000000-0000-5000-8000-00000000000{digit}" for digit in "abc"
    ]


def test_a_trade_that_comes_again_is_known_by_its_id() -> None:
    """After a reconnect, or on a second connection: it is on the tape once."""
    found = published(FRAMES["trade"], FRAMES["trade"], FRAMES["trade_of_2023"], FRAMES["trade"])

    assert len([one for one in found if isinstance(one, Trade)]) == 3


@pytest.mark.parametrize("trade_id", ["", "x" * 65, "é", "a\\nb"])
def test_an_id_that_cannot_be_one_is_a_row_that_cannot_be_read(trade_id: str) -> None:
    """Nothing shows which trade it was: the tape has a gap."""
    row = b'"i":"00000000-0000-5000-8000-00000000000b"'
    assert row in FRAMES["trade"]
    found = published(FRAMES["trade_of_2023"], FRAMES["trade"].replace(row, f'"i":"{trade_id}"'.encode()))

    assert [type(one) for one in found if not isinstance(one, Status)] == [Trade, Trade, Gap]


def test_a_field_that_a_ticker_leaves_out_is_as_it_was() -> None:
    """Mark, funding and open interest come with it; only kinds of which it has a field have an event."""
    day, mark, funding, interest, changed_mark, changed_interest = read(
        FRAMES["ticker"], FRAMES["ticker_changed"], FRAMES["ticker_best_prices_changed"]
    )

    assert isinstance(day, Ticker)
    assert mark == Mark("bybit_linear", BTC, 1_767_225_600_123_000_000, 7, D("91000.15"), D("91010.50"))
    assert isinstance(funding, Funding)
    assert (funding.rate, funding.interval_s, funding.next_ts) == (D("0.00008055"), 28_800, 1_767_254_400 * 10**9)
    assert isinstance(interest, OpenInterest)
    assert changed_mark == Mark("bybit_linear", BTC, 1_767_225_600_223_000_000, 7, D("91000.20"), D("91010.50"))
    assert isinstance(changed_interest, OpenInterest)
    assert (changed_interest.size, changed_interest.value) == (interest.size, D("5288651000.75"))


def test_an_empty_text_is_a_value_so_that_a_dated_contract_has_no_funding() -> None:
    """And it replaces the value before; a field that is missing does not."""
    assert not any(isinstance(one, Funding) for one in read(FRAMES["ticker_of_a_dated_contract"]))

    gone = msgspec.json.decode(FRAMES["ticker_changed"])
    gone["data"] = {"symbol": "BTCUSDT", "indexPrice": ""}
    found = read(FRAMES["ticker"], msgspec.json.encode(gone), FRAMES["ticker_changed"])
    assert [one.index_price for one in found if isinstance(one, Mark)] == [D("91010.50"), None, None]


def test_a_change_before_any_snapshot_is_of_unknown_figures() -> None:
    """Nothing is made of it, nor of a change after one that could not be read: what that had changed is not known."""
    assert read(FRAMES["ticker_changed"], FRAMES["ticker_changed_without_a_snapshot"]) == []

    bad = FRAMES["ticker_changed"].replace(b'"91000.20"', b"5")
    found = read(FRAMES["ticker"], bad, FRAMES["ticker_changed"], FRAMES["ticker"])[4:]
    assert [one.kind for one in found if isinstance(one, Unreadable)] == ["ticker", "mark", "funding", "open_interest"]
    assert [type(one) for one in found[5:]] == [Ticker, Mark, Funding, OpenInterest]

    parser = Parser(symbols_of("bybit_linear"))
    assert parser(FRAMES["ticker"], 7)
    with pytest.raises(FRAME_ERRORS):
        parser(FRAMES["ticker_changed"][:-20], 7)
    assert parser(FRAMES["ticker_changed"], 7) == ()


def test_a_figure_that_cannot_be_read_makes_its_own_feed_old() -> None:
    """The others are used."""
    found = read(FRAMES["ticker"].replace(b'"fundingRate":"0.00008055"', b'"fundingRate":"x"'))

    assert [type(one) for one in found] == [Ticker, Mark, Odd, Unreadable, OpenInterest]
    assert [one.kind for one in found if isinstance(one, Unreadable)] == ["funding"]


def test_the_side_of_a_liquidation_is_that_of_the_position() -> None:
    """Somebody who was short had to buy. An older channel has one order a frame, in other words."""
    short, long, old = read(FRAMES["liquidation"], FRAMES["liquidation_of_2024"])

    assert isinstance(short, Liquidation)
    assert isinstance(long, Liquidation)
    assert isinstance(old, Liquidation)
    assert (short.taker, short.price, short.size) == (Side.BUY, D("91000.00"), D("0.02"))
    assert (long.taker, old.taker) == (Side.SELL, Side.SELL)


def test_one_liquidation_that_cannot_be_read_harms_no_other() -> None:
    """It is counted."""
    found = read(FRAMES["liquidation"].replace(b'"91000.00"', b'"0"'))

    assert [type(one) for one in found] == [Liquidation, Odd]


def test_the_same_symbol_is_another_market_here() -> None:
    """`BTCUSDT` is a perpetual, and `BTCPERP` is quoted in USDC: no name is read from a symbol."""
    found = {one.symbol: one for one in LINEAR.instruments.parse(REST["instruments"]) if isinstance(one, Instrument)}

    assert {symbol: one.name for symbol, one in found.items()} == {
        "BTCUSDT": BTC,
        "BTCPERP": "BTC-USDC-PERP",
        "1000PEPEUSDT": "1000PEPE-USDT-PERP",
        "SHIB1000USDT": "SHIB1000-USDT-PERP",
        "BTCUSDT-25DEC26": "BTC-USDT-20261225",
        "BTC-25DEC26": "BTC-USDC-20261225",
        "NEWUSDT": "NEW-USDT-PERP",
        "BIOUSDT": "BIO-USDT-PERP",
    }


def test_a_contract_on_many_coins_keeps_its_own_base() -> None:
    """1000PEPE is 1,000 PEPE: its price would be that of no other market."""
    found = symbols_of("bybit_linear")

    assert (found["1000PEPEUSDT"].base, found["SHIB1000USDT"].base) == ("1000PEPE", "SHIB1000")
    assert str(found["1000PEPEUSDT"].size_step) == "100"


def test_a_contract_before_its_launch_has_no_feed_until_it_trades() -> None:
    """In the last phase of its auction it does, and is still called `PreLaunch`."""
    found = symbols_of("bybit_linear")

    assert (found["NEWUSDT"].active, found["BIOUSDT"].active) == (False, True)
    assert LINEAR.trading is not None
    assert LINEAR.trading.parse(REST["trading"], ["NEWUSDT", "BIOUSDT"]) == {"NEWUSDT": "PreLaunch", "BIOUSDT": ""}


def test_a_dated_contract_without_a_date_is_odd() -> None:
    """Its name needs one."""
    body = REST["instruments"].replace(b'"deliveryTime":"1798185600000"', b'"deliveryTime":"0"')

    assert len([one for one in LINEAR.instruments.parse(body) if not isinstance(one, Instrument)]) == 2
