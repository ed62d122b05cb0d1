"""The newest candles of one feed, one for each interval. Pure."""

from __future__ import annotations

from bisect import insort

from crosstape_schemas import Bar, Candle


class CandleBuffer:
    """The `limit` newest candles, by `open_ts`; of each interval the newest revision."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._opens: list[int] = []
        self._candles: dict[int, Bar | Candle] = {}

    def __len__(self) -> int:
        return len(self._opens)

    def put(self, candle: Bar | Candle) -> None:
        """Add a candle, in place of an older state of the same interval. In any order."""
        known = self._candles.get(candle.open_ts)
        if known is None:
            if len(self._opens) >= self._limit:
                if candle.open_ts < self._opens[0]:
                    return
                del self._candles[self._opens.pop(0)]
            insort(self._opens, candle.open_ts)
        elif _age(candle) < _age(known):
            return
        self._candles[candle.open_ts] = candle

    def candles(self) -> list[Bar | Candle]:
        """All of them, oldest first."""
        return [self._candles[open_ts] for open_ts in self._opens]


def _age(candle: Bar | Candle) -> tuple[bool, int, int]:
    """Greater is newer."""
    return candle.closed, candle.revision, candle.received_ts
