"""What has been played of a recording, for REST to tell: its trades, and the best prices as the last frame left them.

Frames are kept as they are and read when someone asks, but those of books, which have to be applied. Best prices are those of Binance's
`bookTicker`, of Kraken's `ticker`, or of a book that is whole on the stream; a symbol that was recorded without has none to tell.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_simulator.market.history import Best, Top, Traded, TradeHistory
from crosstape_simulator.market.market import PAST
from crosstape_simulator.recordings.recording import Recording
from crosstape_simulator.venues.spec import Levels, Seen, SimulatedVenue

_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, IndexError)


class _Symbol:
    """One symbol of the recording."""

    def __init__(self, depth: int | None) -> None:
        self.trades: dict[int, Traded] = {}
        self.unread: deque[tuple[str, bytes]] = deque(maxlen=PAST)
        """(channel, frame) with trades; the oldest is forgotten, and each holds one at least."""
        self.ticker: tuple[Callable[[bytes], Top], bytes] | None = None
        """The newest."""
        self.bids: dict[Decimal, str] = {}
        self.asks: dict[Decimal, str] = {}
        self.depth = depth

    def apply(self, levels: Levels) -> None:
        """A book's frame. What falls out of the depth is cut: it may not be there any more."""
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
        """What the last frame left."""
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
    """A `MarketData`. Its symbols are those that the recordings hold anything of, played or not."""

    def __init__(self, venue: SimulatedVenue, recordings: Sequence[Recording]) -> None:
        self._venue = venue
        self._rules = venue.recorded
        self._symbols: dict[str, _Symbol] = {}
        for recording in recordings:
            for _, topics in recording.needs:
                for topic in topics:
                    symbol = self._venue.named(topic)[1]
                    self._symbols.setdefault(symbol, _Symbol(recording.depths.get(symbol)))

    def note(self, seen: Seen, payload: bytes) -> None:
        """A data frame has been played."""
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

    def _read(self, symbol: _Symbol) -> None:
        while symbol.unread:
            channel, payload = symbol.unread.popleft()
            with contextlib.suppress(*_UNREADABLE):
                for name, traded in self._rules.trades[channel](payload):
                    if name in self._symbols:
                        self._symbols[name].trades[traded.trade_id] = traded
