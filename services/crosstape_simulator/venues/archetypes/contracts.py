"""Channels that only contracts have: figures on a timer, and liquidations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crosstape_simulator.market.derivatives import is_liquidation
from crosstape_simulator.market.market import Move
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues.archetypes.channels import Channel, Trades, Write
from crosstape_simulator.venues.archetypes.symbols import Symbol


class ValueChannel(Channel):
    """Figures of a contract (mark price, funding, open interest) at a steady pace, whether they have changed or not."""

    def __init__(self, feed: Feed, symbol: Symbol, topic: Topic, write: Write, *, every_ns: int, first: Write | None = None) -> None:
        """`write`: from `Symbol.figures`. `every_ns`: the pace; the channel has to be flushed by a timer whose pace divides it."""
        super().__init__(feed, symbol, topic, first=first)
        self._write = write
        self._every_ns = every_ns

    def flush(self, ts: int) -> None:
        """Send the figures if it is time."""
        if ts % self._every_ns == 0 and self.wanted:
            self.publish(self._write(self.symbol, ts), ts)


class LiquidationChannel(Channel):
    """Trades that closed somebody's position by force, at once. Several symbols may share one topic."""

    trades_only = True

    def __init__(self, feed: Feed, symbol: Symbol, topic: Topic, write: Callable[[Symbol, Trades], Iterable[str]]) -> None:
        """`write`: makes the frames of some of them, one or several."""
        super().__init__(feed, symbol, topic)
        self._write = write

    def apply(self, move: Move) -> None:
        """Send those of the move."""
        listing = self.symbol.pair.listing
        forced = [(move.ts, fill) for fill in move.fills if is_liquidation(listing, fill.trade_id)]
        if forced and self.wanted:
            for text in self._write(self.symbol, forced):
                self.publish(text, move.ts)
