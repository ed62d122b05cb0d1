"""Binance.US: what is different from Binance spot."""

from __future__ import annotations

from crosstape_connector.venues.binance import VENUE as BINANCE
from crosstape_connector.venues.binance_us import VENUE
from crosstape_schemas import Quote
from tests.connector.venues.golden import answers_of, symbols_of


def test_it_is_an_exchange_of_its_own() -> None:
    """With its own hosts; every event and instrument has its id."""
    hosts = [endpoint.url for endpoint in VENUE.endpoints] + list(VENUE.rest_urls.values())

    assert hosts == ["wss://stream.binance.us:9443/stream", "https://api.binance.us"]
    assert {instrument.venue for instrument in symbols_of("binance_us").values()} == {"binance_us"}
    assert VENUE.endpoints[0].parser is BINANCE.endpoints[0].parser


def test_trades_can_be_asked_for_without_a_key() -> None:
    """Single trades cannot, so aggregates are subscribed: their ids are those of the answers."""
    assert VENUE.trades is not None
    assert VENUE.endpoints[0].channels["trade"] == "aggTrade"
    assert VENUE.trades.path("BTCUSDT", 5, 0) == "/api/v3/aggTrades?symbol=BTCUSDT&fromId=5&limit=1000"


def test_quotes_of_others_in_the_same_answer_are_passed_over() -> None:
    """The venue answers with one symbol or with all."""
    assert VENUE.quotes is not None
    found = VENUE.quotes.parse(answers_of("binance_us")["quotes"], symbols_of("binance_us"), 7)

    assert [one.instrument for one in found if isinstance(one, Quote)] == ["BTC-USDT", "ETH-USDT"]
    assert len(found) == 2


def test_requests_leave_a_third_of_the_weight() -> None:
    """1,200 a minute: snapshots count what they weigh, trades and candles 1, all quotes 2, states 10."""
    weights = {"snapshots": 1, "trades": 1, "quotes": 2, "trading": 10, "candle_source": 1}

    assert sum(getattr(VENUE, name).per_minute * weight for name, weight in weights.items()) <= 1_200 * 2 / 3
