"""Coinbase's products: two names, two lists."""

from __future__ import annotations

from decimal import Decimal

import pytest

from crosstape_connector.errors import UnknownSymbol
from crosstape_connector.venues.coinbase import exchange, products, rest
from crosstape_connector.venues.messages import Ack, BookSnapshot
from crosstape_schemas import Instrument, Trade
from tests.connector.venues.coinbase.connection import from_advanced, from_exchange
from tests.connector.venues.golden import answers_of, frames_of, instrument

ADVANCED = frames_of("coinbase", "advanced")
EXCHANGE = frames_of("coinbase", "exchange")


def test_a_usdc_product_answered_with_the_name_of_its_usd_one_is_not_lost() -> None:
    """Unless that is asked for itself: then the frames are its own, once."""
    only = {"BTC-USDC": instrument("BTC-USDC")}
    both = {**only, "BTC-USD": instrument("BTC-USD")}

    (match,) = from_exchange(EXCHANGE["match"], symbols=only)
    (snapshot,) = from_advanced(ADVANCED["l2_snapshot"], symbols=only)
    (own,) = from_exchange(EXCHANGE["match"], symbols=both)

    assert isinstance(match, Trade)
    assert isinstance(snapshot, BookSnapshot)
    assert isinstance(own, Trade)
    assert (match.instrument, snapshot.instrument, own.instrument) == ("BTC-USDC", "BTC-USDC", "BTC-USD")
    assert from_advanced(ADVANCED["subscriptions"], symbols=only) == [Ack(channel="level2", symbols=("BTC-USDC",))]


def test_a_product_with_a_book_of_its_own_has_no_second_name() -> None:
    """`USDT-USDC` is no view of `USDT-USD`."""
    frame = EXCHANGE["match"].replace(b"BTC-USD", b"USDT-USD")

    with pytest.raises(UnknownSymbol):
        exchange.Parser({"USDT-USDC": instrument("USDT-USDC")})(frame, 7)


def test_instruments_come_in_two_dialects() -> None:
    """A list of Exchange, an object of Advanced Trade; what cannot be traded now is not active."""
    bitcoin = Instrument("BTC-USD", "coinbase", "BTC-USD", "BTC", "USD", Decimal("0.01"), Decimal("1E-8"))

    assert products.parse_instruments(answers_of("coinbase")["instruments"]) == [
        bitcoin,
        Instrument("ETH-USD", "coinbase", "ETH-USD", "ETH", "USD", Decimal("0.01"), Decimal("1E-8"), active=False),
    ]
    assert products.parse_instruments(answers_of("coinbase")["instruments_advanced"]) == [bitcoin]


def test_an_error_in_a_rest_answer_is_found() -> None:
    """An answer without one has none."""
    assert products.rest_error(b'{"message":"NotFound"}') == "NotFound"
    assert products.rest_error(b"[]") is None


def test_prices_of_an_auction_are_no_quote() -> None:
    """Nothing can be had at them."""
    body = answers_of("coinbase")["quotes"].replace(b'"auction_mode":false', b'"auction_mode":true')

    assert rest.parse_quotes(body, {"BTC-USD": instrument("BTC-USD")}, 7) == []
