"""Keeps the outputs of a connection that waits to replace an older one, and decides when it may take over. Pure: no I/O, no clock.

Both connections carry the same feeds, and either may be ahead at any moment. No event may be lost between the two, and none may be on the
tape twice:

- **Trades** are kept. A `TradeSequence` drops the trades that it has, by the venue's ids. So the new connection may take over once the
  older one has reached its first trade.
- **Books by REST** number their updates across connections: the updates are kept, and must link to the current book.
- **Books in the stream** begin with a snapshot on each connection: a second book is built here, proven by the same rules, and replaces the
  book on the tape.
- **Quotes, tickers, figures of derivatives and statuses**: only the newest of each is kept, and is published if it is newer than the one on
  the tape. A quote or ticker that cannot be read counts, too.
- **Candles**: the newest of each interval is kept, up to `CANDLES` of a feed. A `CandleSequence` drops those that it has.
- **Liquidations** and trades without ids are not kept: we could not see whether the older connection had them, and it reads until the last
  moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.venues.messages import (
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    ConnectionBreak,
    LastTrade,
    Output,
    RepeatedQuote,
    TradeSnapshot,
    Unreadable,
)
from crosstape_schemas import CANDLE, KIND_OF, AnyNumber, Candle, Funding, Mark, OpenInterest, Quote, Status, Ticker, Trade, feed_kind

Kept = Trade[AnyNumber] | TradeSnapshot[AnyNumber] | LastTrade | BookUpdate
"""Outputs that are kept in their order."""
CAPACITY: Final = 100_000
"""The most trades and updates kept: a connection that has received more while it waited cannot take over any more."""

CANDLES: Final = 64
"""The most candles kept of one instrument and timeframe: the newest."""


class Handover:
    """Keeps the outputs of one waiting connection."""

    def __init__(self, feeds: FeedHandler) -> None:
        self._feeds = feeds
        self._in_stream = feeds.venue.book.snapshot == "stream"
        self._kept: list[Kept] = []
        self._first: dict[tuple[str, str], Kept | None] = {}  # by kind and instrument; None: it links
        self._newest: dict[tuple[str, str, str], Quote[AnyNumber] | Ticker | Mark | Funding | OpenInterest | Unreadable | Status] = {}
        self._snapshots: dict[tuple[str, str], CandleSnapshot] = {}  # by kind and instrument
        self._candles: dict[tuple[str, str], dict[int, Candle]] = {}  # the same → by `open_ts`
        self._books: dict[str, OrderBook] = {}
        self._venue_ts: dict[str, int | None] = {}
        self._full = False

    def hold(self, output: Output) -> None:
        """Keep one output of the waiting connection."""
        match output:
            case Trade() if self._feeds.venue.trade_ids == "none":
                pass  # without ids we cannot see whether the older connection had this trade; it reads until the last moment
            case Trade() | TradeSnapshot() | LastTrade(no_trade=True):
                self._keep("trade", output)
            case BookUpdate() if not self._in_stream:
                self._keep("book", output)
            case BookUpdate() | BookSnapshot():
                self._apply_to_book(output)
            case ConnectionBreak():
                for name in output.instruments:
                    if name in self._books:
                        self._books[name].invalidate(output.cause, output.reason or "the connection's sequence skipped")
            case Candle():
                self._keep_candle(output)
            case CandleSnapshot():
                self._snapshots[f"{CANDLE}{output.timeframe}", output.instrument] = output
            case Quote() | Ticker() | Mark() | Funding() | OpenInterest():
                self._newest[KIND_OF[type(output)], output.instrument, ""] = output
            case RepeatedQuote():
                pass  # the older connection gets it, too
            case Unreadable():
                self._newest[output.kind, output.instrument, ""] = output
            case Status():
                self._newest["status", output.instrument, output.kind] = output
            case _:
                pass  # a liquidation, or the id of the newest trade: the other connection receives it too

    def not_ready(self, books: Iterable[str]) -> str:
        """Return why the connection may not take over yet; empty = it may. `books`: instruments whose books it has subscribed."""
        if self._full:
            return f"more than {CAPACITY} trades and updates wait"
        for (kind, name), first in self._first.items():
            if first is not None and not self._feeds.links(first):
                return f"{kind} of {name}: the connection before is behind"
            if kind == "trade":
                self._first[kind, name] = None  # it still links later: the tape only goes forward. A book may break meanwhile
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
        for snapshot in self._snapshots.values():
            yield from feeds.apply(snapshot)
        for candles in self._candles.values():
            for candle in candles.values():
                yield from feeds.apply(candle)
        for name in books if self._in_stream else ():
            book = self._books.get(name)
            if book is not None:
                yield from feeds.adopt_book(name, book, self._venue_ts.get(name), now)

    def _keep(self, kind: str, output: Kept) -> None:
        if len(self._kept) >= CAPACITY:
            self._full = True
            return
        self._kept.append(output)
        self._first.setdefault((kind, output.instrument), output)

    def _keep_candle(self, candle: Candle) -> None:
        candles = self._candles.setdefault((feed_kind(candle), candle.instrument), {})
        candles[candle.open_ts] = candle
        if len(candles) > CANDLES:
            del candles[next(iter(candles))]

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
