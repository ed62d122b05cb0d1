"""Bitfinex's own channels: books whose windows the venue keeps, with checksums now and then; trades that are sent twice."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from itertools import zip_longest
from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.book_side import BookSide
from crosstape_simulator.market.market import Fill, Move
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.venues.archetypes.channels import Channel
from crosstape_simulator.venues.archetypes.symbols import Symbol
from crosstape_simulator.venues.bitfinex.protocol import BitfinexFeed

CHECKED: Final = 25
"""Levels a side that a checksum is of."""
AGAIN_NS: Final = NS
"""How long after `te` the `tu` of a trade is sent."""


def js(text: str) -> str:
    """A number as JavaScript writes it: no zeros at its end, an exponent below 0.000001."""
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return str(Decimal(short or "0")).lower()


def trade_row(symbol: Symbol, ts: int, fill: Fill) -> str:
    """A trade as the venue writes it."""
    sign = "" if fill.buyer_takes else "-"
    return f"[{fill.trade_id},{ts // 1_000_000},{sign}{js(symbol.size(fill.size))},{js(symbol.price(fill.price))}]"


def level(symbol: Symbol, price: int, size: int, *, bid: bool) -> str:
    """A level of a book, or, with size 0, its removal."""
    sign = "" if bid else "-"
    orders, amount = (1 + size % 7, js(symbol.size(size))) if size else (0, "1")
    return f"[{js(symbol.price(price))},{orders},{sign}{amount}]"


def levels(symbol: Symbol, length: int) -> list[str]:
    """The best levels of both sides."""
    pair = symbol.pair
    bids = [level(symbol, price, size, bid=True) for price, size in pair.bids.levels(length)]
    return bids + [level(symbol, price, size, bid=False) for price, size in pair.asks.levels(length)]


def checksum(symbol: Symbol) -> int:
    """Signed CRC-32 of the best 25 levels: a bid and an ask in turn, until both have run out."""
    parts: list[str] = []
    pair = symbol.pair
    for bid, ask in zip_longest(pair.bids.levels(CHECKED), pair.asks.levels(CHECKED)):
        if bid is not None:
            parts.append(f"{js(symbol.price(bid[0]))}:{js(symbol.size(bid[1]))}")
        if ask is not None:
            parts.append(f"{js(symbol.price(ask[0]))}:-{js(symbol.size(ask[1]))}")
    found = zlib.crc32(":".join(parts).encode())
    return int.from_bytes(found.to_bytes(4, "big"), "big", signed=True)


class KeptWindow:
    """The best levels of one side as a client holds them that removes nothing by itself."""

    def __init__(self, side: BookSide, depth: int) -> None:
        self._side = side
        self._depth = depth
        self._worst = self._edge()

    def changes(self, changed: Mapping[int, int]) -> list[tuple[int, int]]:
        """(key, size) to send now that levels `changed`: also the removal of those pushed out, and those that come back in."""
        before, after = self._worst, self._edge()
        self._worst = after
        sent: list[tuple[int, int]] = []
        for key, size in changed.items():
            was_in, is_in = before is None or key <= before, after is None or key <= after
            if size and is_in:
                sent.append((key, size))
            elif was_in:
                sent.append((key, 0))
        keys, sizes = self._side.keys, self._side.sizes
        if after is not None and (before is None or after < before):
            end = len(keys) if before is None else bisect_right(keys, before)
            sent += [(key, 0) for key in keys[self._depth : end] if key not in changed]
        elif before is not None and (after is None or after > before):
            sent += [(key, sizes[key]) for key in keys[bisect_right(keys, before) : self._depth] if key not in changed]
        return sent

    def _edge(self) -> int | None:
        """Key of the worst level inside; None: there is room for more."""
        keys = self._side.keys
        return keys[self._depth - 1] if len(keys) >= self._depth else None


class LevelChannel(Channel):
    """A symbol's book in all lengths. Each move is sent at once, a checksum when `flush` finds a change."""

    feed: BitfinexFeed

    def __init__(self, feed: BitfinexFeed, symbol: Symbol, topics: Mapping[Topic, int]) -> None:
        """`topics`: topic → length."""
        super().__init__(feed, symbol, *topics)
        self._lengths = topics
        self._windows: dict[Topic, tuple[KeptWindow, KeptWindow]] = {}
        self._moved: set[Topic] = set()

    def joined(self, topic: Topic) -> None:
        """The first client of a length: from now on its window is kept."""
        if len(self.feed.subscribers[topic]) == 1:
            pair, length = self.symbol.pair, self._lengths[topic]
            self._windows[topic] = (KeptWindow(pair.bids, length), KeptWindow(pair.asks, length))

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client the best levels."""
        self.feed.send_data(connection, topic, f"[{','.join(levels(self.symbol, self._lengths[topic]))}]", ts)

    def apply(self, move: Move) -> None:
        """Send each length what has changed in it."""
        if not self._windows:
            return
        changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for bid, price, size in move.changes:
            changed[0 if bid else 1][-price if bid else price] = size
        for topic, (bids, asks) in tuple(self._windows.items()):
            if topic not in self.feed.subscribers:
                del self._windows[topic]
                continue
            sent = [level(self.symbol, -key, size, bid=True) for key, size in bids.changes(changed[0])]
            sent += [level(self.symbol, key, size, bid=False) for key, size in asks.changes(changed[1])]
            if sent:
                self._moved.add(topic)
                self.feed.publish_levels(topic, sent, move.ts)

    def flush(self, ts: int) -> None:
        """Send the checksum of what has changed since the last one."""
        for topic in self._moved:
            if self._lengths[topic] >= CHECKED:
                self.feed.publish_checksum(topic, checksum(self.symbol), ts)
        self._moved.clear()


class TwiceChannel(Channel):
    """Trades: each at once as `te`, and a second later as `tu`."""

    trades_only = True

    def __init__(self, feed: BitfinexFeed, symbol: Symbol, topic: Topic) -> None:
        super().__init__(feed, symbol, topic)
        self._again: deque[tuple[int, str]] = deque()

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send a new client the newest trades, newest first."""
        rows = [trade_row(self.symbol, at, fill) for at, fill in self.symbol.pair.recent]
        self.feed.send_data(connection, topic, f"[{','.join(reversed(rows))}]", ts)

    def apply(self, move: Move) -> None:
        """Send the move's trades."""
        if not self.wanted:
            self._again.clear()
            return
        for fill in move.fills:
            row = trade_row(self.symbol, move.ts, fill)
            self.publish(f'"te",{row}', move.ts)
            self._again.append((move.ts + AGAIN_NS, row))

    def flush(self, ts: int) -> None:
        """Send trades again."""
        while self._again and self._again[0][0] <= ts:
            row = self._again.popleft()[1]
            if self.wanted:
                self.publish(f'"tu",{row}', ts)
