"""Channels: what one channel of a venue sends of one symbol, and when. How it is written is the venue's, given as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from crosstape_simulator.market.market import Fill, Move
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues.archetypes.symbols import Symbol

Trades = Sequence[tuple[int, Fill]]
"""(ts, fill), oldest first."""
Write = Callable[[Symbol, int], str]
"""(symbol, ts) → a frame about the symbol as it is now."""


class Channel:
    """One channel of one symbol. It sends nothing."""

    trades_only = False
    """Moves without trades do not concern it."""

    def __init__(self, feed: Feed, symbol: Symbol, *topics: Topic, first: Write | None = None) -> None:
        """`topics`: what clients subscribe to. `first`: writes what a new client gets at once; None: nothing."""
        self.feed = feed
        self.symbol = symbol
        self.topics = topics
        self._first = first

    @property
    def wanted(self) -> bool:
        """Whether a client has subscribed to the (first) topic."""
        return self.topics[0] in self.feed.subscribers

    def publish(self, text: str, ts: int) -> None:
        """Send a frame to all clients of the (first) topic."""
        self.feed.publish_data(self.topics[0], text, ts)

    def joined(self, topic: Topic) -> None:
        """A client has subscribed to one of the topics."""

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client its first frame."""
        if self._first is not None:
            self.feed.send_data(connection, topic, self._first(self.symbol, ts), ts)

    def apply(self, move: Move) -> None:
        """The market has moved; the book already shows it."""

    def flush(self, ts: int) -> None:
        """It is time to send what was gathered."""


class TradeChannel(Channel):
    """Trades: at once, or gathered until `flush`."""

    trades_only = True

    def __init__(
        self,
        feed: Feed,
        symbol: Symbol,
        topic: Topic,
        write: Callable[[Symbol, Trades], Iterable[str]],
        *,
        gathers: bool = False,
        first: Write | None = None,
    ) -> None:
        """`write`: makes the frames of some trades, one or several."""
        super().__init__(feed, symbol, topic, first=first)
        self._write = write
        self._gathers = gathers
        self._gathered: list[tuple[int, Fill]] = []

    def apply(self, move: Move) -> None:
        """Send or gather the move's trades."""
        trades = [(move.ts, fill) for fill in move.fills]
        if self._gathers:
            self._gathered += trades
        elif self.wanted:
            self._publish(trades, move.ts)

    def flush(self, ts: int) -> None:
        """Send what was gathered."""
        if self._gathered and self.wanted:
            self._publish(self._gathered, ts)
        self._gathered = []

    def _publish(self, trades: Trades, ts: int) -> None:
        for text in self._write(self.symbol, trades):
            self.publish(text, ts)


class QuoteChannel(Channel):
    """The best bid and ask, whenever one of their prices or sizes has changed."""

    def __init__(self, feed: Feed, symbol: Symbol, topic: Topic, write: Write, *, first: Write | None = None) -> None:
        super().__init__(feed, symbol, topic, first=first)
        self._write = write
        self._best = (0, 0, 0, 0)

    def apply(self, move: Move) -> None:
        """Send the best prices if they are new."""
        bids, asks = self.symbol.pair.bids, self.symbol.pair.asks
        bid, ask = bids.keys[0], asks.keys[0]
        best = (bid, bids.sizes[bid], ask, asks.sizes[ask])
        if best != self._best:
            self._best = best
            if self.wanted:
                self.publish(self._write(self.symbol, move.ts), move.ts)


class TickerChannel(Channel):
    """The day so far: after each move with trades, or at `flush` if there were any moves (or trades) since the last."""

    def __init__(
        self,
        feed: Feed,
        symbol: Symbol,
        topic: Topic,
        write: Write,
        *,
        gathers: bool = False,
        trades_only: bool = True,
        every_ns: int = 1,
        first: Write | None = None,
    ) -> None:
        """`trades_only`: moves without trades do not count. `every_ns`: only flushed at multiples of it."""
        super().__init__(feed, symbol, topic, first=first)
        self._write = write
        self._gathers = gathers
        self.trades_only = trades_only
        self._every_ns = every_ns
        self._moved = not trades_only

    def apply(self, move: Move) -> None:
        """Send the ticker, or note that there is something new."""
        if self._gathers:
            self._moved = True
        else:
            self._publish(move.ts)

    def flush(self, ts: int) -> None:
        """Send the ticker if there is something new."""
        if ts % self._every_ns == 0:
            if self._moved:
                self._publish(ts)
            self._moved = False

    def _publish(self, ts: int) -> None:
        if self.wanted:
            self.publish(self._write(self.symbol, ts), ts)


class Delta(NamedTuple):
    """Changes of a book since the last delta."""

    first: int
    """The number of the first change, …"""
    last: int
    """… and of the last, where the venue numbers them."""
    changes: dict[tuple[bool, int], int]
    """(is a bid, price in ticks) → size in lots, zero: the level is gone; in order of the first change of each."""

    def side(self, *, bid: bool) -> list[tuple[int, int]]:
        """(price, size) of one side's changes."""
        return [(price, size) for (is_bid, price), size in self.changes.items() if is_bid == bid]


class DeltaChannel(Channel):
    """Changes of the book, gathered until `flush`, from number to number. Clients begin with a snapshot: `first`, or by REST."""

    def __init__(
        self,
        feed: Feed,
        symbol: Symbol,
        topic: Topic,
        write: Callable[[Symbol, Delta, int], str],
        *,
        every_ns: int = 1,
        first: Write | None = None,
    ) -> None:
        """`write`: (symbol, delta, ts) → its frame. `every_ns`: only flushed at multiples of it."""
        super().__init__(feed, symbol, topic, first=first)
        self._write = write
        self._every_ns = every_ns
        self._number = symbol.number + 1
        self._changes: dict[tuple[bool, int], int] = {}

    def apply(self, move: Move) -> None:
        """Gather the move's changes."""
        for bid, price, size in move.changes:
            self._changes[bid, price] = size

    def flush(self, ts: int) -> None:
        """Send what was gathered."""
        if ts % self._every_ns or not self._changes:
            return
        if self.wanted:
            self.publish(self._write(self.symbol, Delta(self._number, self.symbol.number, self._changes), ts), ts)
            self.sent(ts)
        self._number = self.symbol.number + 1
        self._changes = {}

    def sent(self, ts: int) -> None:
        """A delta has been sent: a venue may have more to say."""


class BookChannel(Channel):
    """The best levels of the book, complete, at each `flush` if the book has changed since the last."""

    def __init__(self, feed: Feed, symbol: Symbol, topic: Topic, write: Write) -> None:
        super().__init__(feed, symbol, topic)
        self._write = write
        self._moved = True

    def apply(self, move: Move) -> None:
        """Note whether the book has changed."""
        self._moved = self._moved or bool(move.changes)

    def flush(self, ts: int) -> None:
        """Send the book if it has changed."""
        if self._moved and self.wanted:
            self.publish(self._write(self.symbol, ts), ts)
            self._moved = False
