"""Bars, candles and tickers with few fields that matter, for the tests of `CandleProvider` and `StreamCollector`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from crosstape import Bar, Candle, CandleProvider, Entry, Ticker
from crosstape_schemas import CONSOLIDATED
from tests.tape.writing import wait_for

MINUTE_NS = 60_000_000_000


def bar(
    minute: int, close: int = 1, *, closed: bool = False, instrument: str = "BTC-USD", venue: str = CONSOLIDATED, revision: int = 0
) -> Bar:
    """A bar that opened at `minute`. Received at `close`."""
    opened, price, one = minute * MINUTE_NS, Decimal(close), Decimal(1)
    return Bar(
        venue, instrument, None, close, "1m", opened, opened + MINUTE_NS, price, price, price, price, one, one, 1, None,
        closed=closed, revision=revision,
    )  # fmt: skip


def candle(minute: int, close: int = 1, *, closed: bool = False, instrument: str = "BTC-USD", venue: str = "kraken") -> Candle:
    """A candle that opened at `minute`. Received at `close`."""
    opened, price = minute * MINUTE_NS, Decimal(close)
    return Candle(
        venue, instrument, None, close, "1m", opened, opened + MINUTE_NS, price, price, price, price, Decimal(1), closed=closed
    )  # fmt: skip


def ticker(last: int, instrument: str = "BTC-USD", venue: str = "kraken") -> Ticker:
    """A ticker. Received at `last`."""
    return Ticker(venue, instrument, None, last, Decimal(last))


def polled(provider: CandleProvider, count: int) -> list[Bar | Candle]:
    """The next updates, at least so many."""
    found: list[Bar | Candle] = []

    def enough() -> bool:
        found.extend(provider.get_candle_updates(0.05))
        return len(found) >= count

    wait_for(enough, what=f"{count} updates")
    return found


def closes(updates: list[Bar | Candle]) -> list[int]:
    """By which they are told apart here."""
    return [close(update) for update in updates]


def close(update: Bar | Candle) -> int:
    """Its close."""
    assert update.close is not None
    return int(update.close)


def following(provider: CandleProvider, count: int = 1) -> bool:
    """Whether so many feeds are read."""
    return sum(map(bool, provider._follower.instruments.values())) >= count


def peeked(provider: CandleProvider) -> list[Any]:
    """What waits to be polled."""
    return [item.event for item in list(provider._polled._queue._items.values()) if isinstance(item, Entry)]
