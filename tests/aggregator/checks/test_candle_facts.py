"""What the aggregator knows of venues' candles is what their connectors say."""

from __future__ import annotations

from crosstape_aggregator.checks.candle_facts import OPEN_IS_FIRST_TRADE, TRADES_ARE_AGGREGATES, VOLUME_AT_CLOSE, is_inverse
from crosstape_connector.venues.registry import VENUES
from tests.connector.venues.golden import symbols_of

CANDLES = {name: venue.candles for name, venue in VENUES.items() if venue.candles is not None}


def test_open_is_compared_where_the_venue_opens_with_its_first_trade() -> None:
    """The rules of the venues' candles decide."""
    assert {name for name, rules in CANDLES.items() if rules.open == "first trade"} == OPEN_IS_FIRST_TRADE


def test_trades_are_counted_alike_where_the_tape_has_single_executions() -> None:
    """Not where the channel of trades has aggregates."""
    aggregates = {
        name for name in CANDLES for endpoint in VENUES[name].endpoints if "agg" in endpoint.channels.get("trade", "").lower()
    }  # fmt: skip

    assert aggregates == TRADES_ARE_AGGREGATES


def test_inverse_contracts_are_known_by_their_names() -> None:
    """Of every instrument in the venues' examples."""
    for name in CANDLES:
        for one in symbols_of(name).values():
            assert is_inverse(name, one.name) == one.inverse, one

    assert {name for name, rules in CANDLES.items() if "at the closing price" in rules.volume} == VOLUME_AT_CLOSE
