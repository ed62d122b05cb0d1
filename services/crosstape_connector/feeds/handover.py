"""Collects what a connection receives while it waits to replace another, and tells when it may. Pure: no I/O, no clock.

Both connections carry the same feeds, and which of them is ahead changes from frame to frame. Nothing may be lost between the two, and
nothing may be on the tape twice:

- **Trades** are kept. A `TradeSequence` drops those that it has by the venue's ids, so all that matters is that the older connection has
  come as far as the newer one's first trade.
- **Books by REST** number their updates across connections: these are kept, and must link to the book as it is.
- **Books in the stream** begin with a snapshot on each connection: a second book is built here, proven by the same rules, and replaces the
  one on the tape.
- **Quotes, tickers and statuses**: the newest of each is enough, where it is newer than what is on the tape; one that cannot be read
  counts as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, ConnectionBreak, Output, TradeSnapshot, Unreadable
from crosstape_schemas import KIND_OF, Quote, Status, Ticker, Trade

CAPACITY: Final = 100_000
"""Trades and updates kept at most: a connection that has waited for more cannot take over any more."""


class Handover:
    """Keeps the outputs of one waiting connection."""

    def __init__(self, feeds: FeedHandler) -> None:
        self._feeds = feeds
        self._in_stream = feeds.venue.book.snapshot == "stream"
        self._kept: list[Trade | TradeSnapshot | BookUpdate] = []
        self._first: dict[tuple[str, str], Trade | TradeSnapshot | BookUpdate | None] = {}  # by kind and instrument; None: it links
        self._newest: dict[tuple[str, str, str], Quote | Ticker | Unreadable | Status] = {}
        self._books: dict[str, OrderBook] = {}
        self._venue_ts: dict[str, int | None] = {}
        self._full = False

    def hold(self, output: Output) -> None:
        """Keep one output of the waiting connection."""
        match output:
            case Trade() if self._feeds.venue.trade_ids == "none":
                pass  # without an id nothing shows whether the other connection had it, and that one reads until the last moment
            case Trade() | TradeSnapshot():
                self._keep("trade", output)
            case BookUpdate() if not self._in_stream:
                self._keep("book", output)
            case BookUpdate() | BookSnapshot():
                self._apply_to_book(output)
            case ConnectionBreak():
                for name in output.instruments:
                    if name in self._books:
                        self._books[name].invalidate(output.cause, output.reason or "the connection's sequence skipped")
            case Quote() | Ticker():
                self._newest[KIND_OF[type(output)], output.instrument, ""] = output
            case Unreadable():
                self._newest[output.kind, output.instrument, ""] = output
            case Status():
                self._newest["status", output.instrument, output.kind] = output
            case _:
                pass  # the id of the newest trade: the other connection receives it too

    def not_ready(self, books: Iterable[str]) -> str:
        """Return why the connection may not take over yet; empty = it may. `books`: instruments whose books it has subscribed."""
        if self._full:
            return f"more than {CAPACITY} trades and updates wait"
        for (kind, name), first in self._first.items():
            if first is not None and not self._feeds.links(first):
                return f"{kind} of {name}: the connection before is behind"
            if kind == "trade":
                self._first[kind, name] = None  # the tape only goes on from there; a book may break meanwhile
        for name in books if self._in_stream else ():
            book = self._books.get(name)
            if self._feeds.has_live_book(name) and (book is None or not book.live):
                return f"book of {name}: not proven"
        return ""

    def hand_over(self, books: Iterable[str], now: int) -> Iterator[Effect]:
        """Apply what was kept and is not on the tape yet. Yields the effects, lazily and in order: publish each before the next."""
        feeds = self._feeds
        for newest in self._newest.values():
            if isinstance(newest, Status) or newest.received_ts > feeds.newest_ts(newest):
                yield from feeds.apply(newest)
        for output in self._kept:
            yield from feeds.apply(output)
        for name in books if self._in_stream else ():
            book = self._books.get(name)
            if book is not None:
                yield from feeds.adopt_book(name, book, self._venue_ts.get(name), now)

    def _keep(self, kind: str, output: Trade | TradeSnapshot | BookUpdate) -> None:
        if len(self._kept) >= CAPACITY:
            self._full = True
            return
        self._kept.append(output)
        self._first.setdefault((kind, output.instrument), output)

    def _apply_to_book(self, change: BookUpdate | BookSnapshot) -> None:
        book = self._books.get(change.instrument)
        if book is None:
            made = self._feeds.new_book(change.instrument)
            if made is None:
                return
            book = self._books[change.instrument] = made
        outcome = book.apply_update(change) if isinstance(change, BookUpdate) else book.apply_snapshot(change)
        if outcome is not Outcome.NOTHING:
            self._venue_ts[change.instrument] = change.venue_ts
