"""What candles open at, how late they are closed, and what their volume is: found from the trades beside them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.evidence.candles import CandleEvidence
from crosstape_connector.evidence.finding import Finding, Verdict
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Candle, Side, Trade

MINUTE = 60_000_000_000
START = 29_454_545 * MINUTE
TRADES = ((0, "100", "1"), (1, "101", "2"), (2, "103", "1"), (3, "102", "4"), (5, "105", "1"))
"""Minute, price and size of one trade each; there is none in minute 4."""


def trade(minute: int, price: str, size: str) -> Trade:
    """A trade in the middle of a minute."""
    ts = START + minute * MINUTE + MINUTE // 2
    return Trade("kraken", "BTC-USD", ts, ts + 1, Decimal(price), Decimal(size), Side.BUY, str(minute))


def candle(minute: int, prices: Sequence[str], volume: str, *, late_ns: int = 50_000_000) -> Candle:
    """A closed candle that came so long after its end."""
    open_ts = START + minute * MINUTE
    close_ts = open_ts + MINUTE
    opened, high, low, close = (Decimal(price) for price in prices)
    return Candle(
        "kraken", "BTC-USD", close_ts, close_ts + late_ns, "1m", open_ts, close_ts, opened, high, low, close, Decimal(volume), closed=True
    )


def findings(candles: Sequence[Candle], **rules: str) -> dict[str, Finding]:
    """The rows by their subject, of a venue with these rules."""
    venue = VENUES["kraken"]
    assert venue.candles is not None
    venue = msgspec.structs.replace(venue, candles=msgspec.structs.replace(venue.candles, **rules))
    evidence = CandleEvidence(venue, "1m")
    for row in TRADES:
        evidence.trade(trade(*row))
    for one in candles:
        evidence.candle(one)
    return {one.subject: one for one in evidence.findings()}


def honest() -> list[Candle]:
    """Candles that open at the first trade."""
    return [candle(minute, [price] * 4, size) for minute, price, size in TRADES]


def at_the_close_before() -> list[Candle]:
    """Candles that open at the close before."""
    found, close = [], "100"
    for minute, price, size in TRADES:
        found.append(candle(minute, [close, max(close, price), min(close, price), price], size))
        close = price
    return found


@pytest.mark.parametrize(
    ("candles", "claim", "verdict"),
    [
        (honest(), "first trade", Verdict.HOLDS),
        (honest(), "previous close", Verdict.BROKEN),
        (at_the_close_before(), "previous close", Verdict.HOLDS),
        (at_the_close_before(), "first trade", Verdict.BROKEN),
        (honest(), "not known", Verdict.NOTED),
    ],
)
def test_what_a_candle_opens_at_is_found_from_the_trades(candles: list[Candle], claim: str, verdict: Verdict) -> None:
    """Where the close before and the first trade differ, the open is one of them."""
    assert findings(candles, open=claim)["open"].verdict is verdict


def test_a_volume_in_other_units_is_found_by_its_ratio() -> None:
    """Twice the trades: the venue counts both sides."""
    assert findings(honest())["volume"].verdict is Verdict.HOLDS
    doubled = [msgspec.structs.replace(one, volume=2 * one.volume) for one in honest()]
    found = findings(doubled)["volume"]
    assert found.verdict is Verdict.BROKEN
    assert "ratio is 2.000000" in found.seen


def test_the_delay_of_the_close_is_measured_and_old_candles_do_not_count() -> None:
    """A candle that comes a minute after its end was not closed then: it is of the past."""
    old = candle(1, ["101"] * 4, "2", late_ns=5 * MINUTE)
    found = findings([old, candle(2, ["103"] * 4, "1", late_ns=70_000_000), candle(3, ["102"] * 4, "4", late_ns=90_000_000)])
    assert found["closed after the end"].seen.startswith("min 70.0 ms")
    assert found["closed by"].seen == "2 closed in this time"


def test_an_interval_without_trades_shows_what_the_venue_sends() -> None:
    """Minute 4 had no trade: a flat candle without volume, or none."""
    assert "0 have a candle" in findings(honest())["intervals without trades"].seen
    flat = candle(4, ["102"] * 4, "0")
    assert "1 have a candle, 1 of these are flat" in findings([*honest(), flat])["intervals without trades"].seen


def test_an_interval_of_which_trades_are_missing_proves_nothing() -> None:
    """A gap of trades in minute 3: its volume is not compared."""
    venue = VENUES["kraken"]
    evidence = CandleEvidence(venue, "1m")
    for row in TRADES:
        evidence.trade(trade(*row))
    for one in honest():
        evidence.candle(msgspec.structs.replace(one, volume=Decimal(9)) if one.open_ts == START + 3 * MINUTE else one)
    evidence.gap(START + 3 * MINUTE, START + 3 * MINUTE + 1)
    found = {one.subject: one for one in evidence.findings()}
    assert found["volume"].verdict is Verdict.HOLDS
