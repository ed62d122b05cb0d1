"""The trades that have been played of a recording, and the best prices that the last frame left, for REST answers.

Frames are kept and parsed when a request needs them, except those of books, which are applied at once. Best prices are those of frames
that carry them, or of a book whose snapshots are on the stream; a symbol that was recorded without either has none.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import EVER, Best, Candle, Times, Top, Traded, TradeHistory, candles
from crosstape_simulator.market.market import PAST
from crosstape_simulator.recordings.recording import Recording
from crosstape_simulator.venues.spec import FrameInfo, Levels, SimulatedVenue

_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, IndexError)


class _Symbol:
    """One symbol of the recording."""

    def __init__(self, depth: int | None) -> None:
        self.trades: dict[int, Traded] = {}
        self.unread: deque[tuple[str, bytes]] = deque(maxlen=PAST)
        """(channel, frame) of frames with trades, not parsed yet; each has a trade at least, beyond `PAST` the oldest is dropped."""
        self.ticker: tuple[Callable[[bytes], Top], bytes] | None = None
        """The newest frame with best prices, and its parser."""
        self.bids: dict[Decimal, str] = {}
        self.asks: dict[Decimal, str] = {}
        self.depth = depth

    def apply(self, levels: Levels) -> None:
        """Apply a book's frame. Levels beyond the recorded depth are dropped: the venue says no more of them."""
        for side, changes, bid in ((self.bids, levels.bids, True), (self.asks, levels.asks, False)):
            if levels.snapshot:
                side.clear()
            for price, size in changes:
                if size.strip("0."):
                    side[price] = size
                else:
                    side.pop(price, None)
            if self.depth is not None and len(side) > self.depth:
                for price in sorted(side, reverse=bid)[self.depth :]:
                    del side[price]

    def top(self) -> Top | None:
        """The best prices after the last frame."""
        if self.ticker is not None:
            read, payload = self.ticker
            with contextlib.suppress(*_UNREADABLE):
                return read(payload)
        if not self.bids and not self.asks:
            return None
        return Top(_best(self.bids, max), _best(self.asks, min))


def _best(side: dict[Decimal, str], choose: Callable[[Iterable[Decimal]], Decimal]) -> Best:
    if not side:
        return None
    price = choose(side)
    return f"{price:f}", side[price]


class RecordedMarketData:
    """The `MarketData` of recordings: all symbols that they hold data of, played or not."""

    def __init__(self, venue: SimulatedVenue, recordings: Sequence[Recording]) -> None:
        self._venue = venue
        self._rules = venue.recorded
        self._symbols: dict[str, _Symbol] = {}
        for recording in recordings:
            for _, topics in recording.needs:
                for topic in topics:
                    symbol = self._venue.named(topic)[1]
                    self._symbols.setdefault(symbol, _Symbol(recording.depths.get(symbol)))

    def note(self, seen: FrameInfo, payload: bytes) -> None:
        """Add a data frame that has been played."""
        if not seen.topics:
            return
        channel, name = self._venue.named(seen.topics[0])
        symbol = self._symbols.get(name)
        if symbol is None:
            return
        if channel in self._rules.trades:
            symbol.unread.append((channel, payload))
        elif (read := self._rules.tops.get(channel)) is not None:
            symbol.ticker = read, payload
        elif (parse := self._rules.books.get(channel)) is not None:
            with contextlib.suppress(*_UNREADABLE):
                for levels in parse(payload):
                    if levels.symbol in self._symbols:
                        self._symbols[levels.symbol].apply(levels)

    def symbols(self) -> Sequence[str]:
        """See `MarketData`."""
        return tuple(self._symbols)

    def history(self, symbol: str) -> TradeHistory[Traded] | None:
        """See `MarketData`."""
        known = self._symbols.get(symbol)
        if known is None:
            return None
        self._read(known)
        rows = [known.trades[number] for number in sorted(known.trades)[-PAST:]]
        known.trades = {traded.trade_id: traded for traded in rows}
        return TradeHistory(rows, lambda traded: traded.trade_id, lambda traded: traded.ts, lambda traded: traded)

    def top(self, symbol: str) -> Top | None:
        """See `MarketData`."""
        known = self._symbols.get(symbol)
        return None if known is None else known.top()

    def candles(self, symbol: str, grid: Grid, *, flat: bool = False, times: Times = EVER) -> list[Candle] | None:
        """See `MarketData`. Recordings are short: no flat ones."""
        history = self.history(symbol)
        return None if history is None else candles(history.newest(PAST), grid)

    def _read(self, symbol: _Symbol) -> None:
        while symbol.unread:
            channel, payload = symbol.unread.popleft()
            with contextlib.suppress(*_UNREADABLE):
                for name, traded in self._rules.trades[channel](payload):
                    if name in self._symbols:
                        self._symbols[name].trades[traded.trade_id] = traded
