"""Books of which a client holds the best levels only, with a checksum: what to send so that its window stays right."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping

from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.market.market import Move
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues.archetypes.channels import Channel
from crosstape_simulator.venues.archetypes.symbols import Symbol

Rows = list[tuple[int, int]]
"""(price in ticks, size in lots)."""


class Window:
    """The best `depth` levels of one side as a client that truncates holds them, and how an update keeps it so."""

    def __init__(self, side: BookSide, depth: int) -> None:
        self._side = side
        self._depth = depth
        self._worst = self._edge()

    def changes(self, changed: Mapping[int, int]) -> Rows:
        """(key, size) to send now that levels `changed`; zero removes. One pushed out is not mentioned, one back in is sent again."""
        before, after = self._worst, self._edge()
        self._worst = after
        sent = [(key, size) for key, size in changed.items() if (edge := after if size else before) is None or key <= edge]
        if before is not None and (after is None or after > before):
            keys = self._side.keys
            back = keys[bisect_right(keys, before) : self._depth]
            sent += [(key, self._side.sizes[key]) for key in back if key not in changed]
        return sent

    def _edge(self) -> int | None:
        """Key of the worst level inside; None: there is room for more."""
        keys = self._side.keys
        return keys[self._depth - 1] if len(keys) >= self._depth else None


class WindowChannel(Channel):
    """A symbol's book in all depths that the venue offers. Each move is sent at once."""

    def __init__(
        self,
        feed: Feed,
        symbol: Symbol,
        topics: Mapping[Topic, int],
        *,
        checksum: Callable[[Symbol], int],
        write: Callable[[Symbol, Rows, Rows, int, int], str],
        first: Callable[[Symbol, int, int], str],
    ) -> None:
        """`topics`: topic → depth. `write`: (symbol, bids, asks, checksum, ts) → an update; `first`: (symbol, depth, ts) → a snapshot."""
        super().__init__(feed, symbol, *topics)
        self._depths = topics
        self._windows: dict[Topic, tuple[Window, Window]] = {}
        self._checksum = checksum
        self._write = write
        self._snapshot = first

    def joined(self, topic: Topic) -> None:
        """The first client of a depth: from now on its window is kept."""
        if len(self.feed.subscribers[topic]) == 1:
            pair, depth = self.symbol.pair, self._depths[topic]
            self._windows[topic] = (Window(pair.bids, depth), Window(pair.asks, depth))

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client the snapshot of its depth."""
        self.feed.send_data(connection, topic, self._snapshot(self.symbol, self._depths[topic], ts), ts)

    def apply(self, move: Move) -> None:
        """Send each depth what has changed in it."""
        if not self._windows:
            return
        changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for bid, price, size in move.changes:
            changed[0 if bid else 1][-price if bid else price] = size
        check: int | None = None
        for topic, (bids, asks) in tuple(self._windows.items()):
            if topic not in self.feed.subscribers:
                del self._windows[topic]
                continue
            sent_bids, sent_asks = bids.changes(changed[0]), asks.changes(changed[1])
            if sent_bids or sent_asks:
                check = self._checksum(self.symbol) if check is None else check
                prices = [(-key, size) for key, size in sent_bids]
                self.feed.publish_data(topic, self._write(self.symbol, prices, sent_asks, check, move.ts), move.ts)
