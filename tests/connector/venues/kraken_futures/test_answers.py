"""Kraken Futures' REST: contracts, best prices, candles, errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest

from crosstape_connector.venues.kraken_futures import VENUE, rest
from crosstape_connector.venues.kraken_futures.names import named
from crosstape_connector.venues.messages import Odd, OddRow
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_schemas import Instrument, Quote
from tests.connector.venues.golden import answers_of, symbols_of

REST: Final = answers_of("kraken_futures")
NOW: Final = 1_767_225_600 * 10**9
MS: Final = 10**6
D: Final = Decimal


def test_contracts_have_our_names() -> None:
    """XBT is BTC, whether the row says so or only its symbol. Linear and inverse contracts of a pair have two names."""
    found = {one.symbol: one for one in VENUE.instruments.parse(REST["instruments"]) if isinstance(one, Instrument)}

    assert {symbol: one.name for symbol, one in found.items()} == {
        "PF_XBTUSD": "BTC-USD-LINEAR-PERP", "PI_XBTUSD": "BTC-USD-PERP", "FI_XBTUSD_261225": "BTC-USD-20261225",
        "PF_PEPEUSD": "PEPE-USD-LINEAR-PERP", "FF_ETHUSD_261225": "ETH-USD-LINEAR-20261225", "PI_LTCUSD": "LTC-USD-PERP",
    }  # fmt: skip
    assert [one.inverse for one in found.values()] == [False, True, True, False, False, True]
    assert [one.active for one in found.values()] == [True, True, True, False, False, True]
    assert found["FI_XBTUSD_261225"].expiry == 1_798_214_400 * 10**9
    assert (found["PF_PEPEUSD"].price_tick, found["PF_PEPEUSD"].size_step) == (D("1E-10"), D(1000))
    assert named("XBT", "USD", inverse=True, expiry=None) == "BTC-USD-PERP"


@pytest.mark.parametrize(
    "change",
    [(b'"contractSize":1,', b'"contractSize":0,'), (b'"2026-12-25T16:00:00.000Z"', b'"soon"'), (b'"tickSize":0.5', b'"tickSize":-1')],
)
def test_a_contract_that_cannot_be_is_odd(change: tuple[bytes, bytes]) -> None:
    """It is not listed, and the others are."""
    found = VENUE.instruments.parse(REST["instruments"].replace(*change, 1))

    assert len([one for one in found if isinstance(one, OddRow)]) == 1
    assert len([one for one in found if isinstance(one, Instrument)]) == 5


def test_best_prices_of_all_contracts_come_at_once() -> None:
    """With the time of the answer; a side of zeros is empty; sizes are base units. A bad row harms no other."""
    linear, inverse = rest.parse_quotes(REST["quotes"], symbols_of("kraken_futures"), 7)

    assert isinstance(linear, Quote)
    assert isinstance(inverse, Quote)
    assert (inverse.bid_price, inverse.bid_size, inverse.ask_price) == (D(91000), D("0.1"), None)
    assert inverse.venue_ts == linear.venue_ts == NOW + 500 * MS
    bad, good = rest.parse_quotes(REST["quotes"].replace(b"91000.10000000", b'"9_1"'), symbols_of("kraken_futures"), 7)[::-1]
    assert isinstance(bad, Odd)
    assert good == inverse


def test_past_candles_are_asked_for_in_seconds_and_have_milliseconds() -> None:
    """Of an inverse contract the volume is dollars, which are base units at the close."""
    symbols = symbols_of("kraken_futures")
    assert VENUE.past_candles is not None
    asked = VENUE.past_candles.path("PF_XBTUSD", "1h", NOW, NOW + 7_200 * 10**9)
    assert asked == "/api/charts/v1/trade/PF_XBTUSD/1h?from=1767225600&to=1767236400"

    linear, inverse = (rest.parse_candles(REST["candles"], symbols[name], "1m", 7).candles for name in ("PF_XBTUSD", "PI_XBTUSD"))
    assert [one.open_ts for one in linear] == [NOW, NOW + 60 * 10**9]
    assert (linear[0].high, linear[0].volume, linear[0].quote_volume, linear[1].volume) == (D("91000.5"), D("1.5"), None, D(0))
    assert (inverse[0].volume, inverse[0].quote_volume) == (base_size(symbols["PI_XBTUSD"], D("1.5"), D("91000.5")), D("1.5"))
    swapped = REST["candles"].replace(b'"high":"91000.5","low":"90999"', b'"high":"90999","low":"91000.5"')
    found = rest.parse_candles(swapped, symbols["PF_XBTUSD"], "1m", 7)
    assert (len(found.candles), len(found.odd)) == (1, 1)


def test_errors_have_two_forms() -> None:
    """Both may come with HTTP 200."""
    assert rest.rest_error(b'{"result":"error","error":"apiLimitExceeded"}') == "apiLimitExceeded"
    assert rest.rest_error(b'{"errors":["invalid range"]}') == "invalid range"
    assert rest.rest_error(REST["quotes"]) is None


def test_past_trades_cannot_be_had() -> None:
    """Their numbers by REST are places in an answer: they would be taken for other trades."""
    assert VENUE.trades is None
    assert isinstance(VENUE.past_trades, str)
