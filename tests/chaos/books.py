"""The rule of prices: a price that is published as live was true at the moment that it describes, and is not kept when it is over.

**Which moment.** The strictest that each venue's data allow:

| venue | event | the true book |
|---|---|---|
| binance | `book` | after exactly the changes up to its `sequence` (the venue's update id) |
| binance | `book` while the ids start again | at its `venue_ts`; a REST snapshot has none: at most `answer_ns` before |
| binance | `quote`, which has neither number nor time | at a moment at most `transit_ns` before the sending of the message before it |
| coinbase | `quote`, `book` | at its `venue_ts`, to the ns: the venue sends all changes up to then |
| kraken | `quote`, `book` | at its `venue_ts`, which is cut to the µs: at any moment within that µs |
| the others | `quote`, `book` | the same, cut to the µs or the ms |

The times of the venue's other events show when the message before a quote was sent (`order`): on a slow machine they are as late as the
quote. A quote with no message before it gets `answer_ns`.

A clock that is wrong on purpose (`skews_ns`) may have shifted `venue_ts`. A quote must equal the best bid and ask, price and size; a book
all its levels, ten a side. Where several moments fit, the earliest that is not before the moment of the event before counts: no event may
describe an earlier moment than the event before it on its stream.

**For how long.** When the true best prices change, the published ones may stand for at most `fresh_ns`, until the next event, a status that
is not live (of the feed, its instrument or its venue), or a successor of the process: a frozen book that is marked live is as wrong as a
false one. A delay within the venue itself can be seen in its times, and is no error of the tape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from crosstape_schemas import Book, FeedState, Level, Quote, Status
from tests.chaos.order import Order
from tests.chaos.true_market import DEPTH, Moment, TrueInstrument
from tests.chaos.violations import Violation

CLOCK_NS: Final = 50_000_000
"""How far the market's clock and ours, on one machine, may be apart."""

CUT_NS: Final = {
    "binance_coinm": 999_999,
    "binance_us": 999_999,
    "binance_usdm": 999_999,
    "bingx": 999_999,
    "bingx_swap": 999_999,
    "bitfinex": 999_999,
    "bitget": 999_999,
    "bitget_futures": 999_999,
    "bitstamp": 999,
    "bybit": 999_999,
    "bybit_inverse": 999_999,
    "bybit_linear": 999_999,
    "deribit": 999_999,
    "hyperliquid": 999_999,
    "hyperliquid_spot": 999_999,
    "gateio": 999_999,
    "gateio_futures": 999_999,
    "htx": 999_999,
    "htx_swap": 999_999,
    "kraken": 999,
    "kraken_futures": 999_999,
    "kucoin": 999_999,
    "kucoin_futures": 999_999,
    "okx": 999_999,
    "okx_swap": 999_999,
}
"""ns by which the times of a venue's books and quotes may be too early, because the venue cuts digits off."""


class Limits(NamedTuple):
    """`checker.Bounds` in ns."""

    transit_ns: int
    answer_ns: int
    fresh_ns: int
    skews_ns: tuple[int, ...]


class Prices:
    """Checks the prices of one feed: the quotes or the books of one instrument of one venue."""

    def __init__(self, true: TrueInstrument, kind: str, order: Order, limits: Limits) -> None:
        """`order`: of its venue, with all that was received until whatever is taken."""
        self._true = true
        self._order = order
        self._limits = limits
        self._where = f"{kind} of {true.instrument} at {true.venue}"
        self._index = 0  # of the moment, over all that were ever known, that the newest live event tells of
        self._shown: Quote | Book | None = None  # what stands as live
        self.newest_ts = 0
        """`received_ts` of the newest event if that is live, else 0."""
        self.checked = 0

    def take(self, event: Quote | Book) -> Iterator[Violation]:
        """The next on its stream."""
        shown = self._shown
        if event.state is not FeedState.LIVE:
            self.newest_ts = 0  # said again with another state, and an old time: since when it is not live, its status says
            return
        if shown is not None and shown.epoch == event.epoch:
            yield from self._outlived(shown, event.received_ts)
        self.checked += 1
        self._shown, self.newest_ts = event, event.received_ts
        where = f"{self._where}, epoch {event.epoch} seq {event.seq}"
        spans = list(self._spans(event))
        index = self._earliest(event, spans, since=self._index)
        if index is None:
            moments = self._true.moments
            index = self._earliest(event, spans)
            if index is None:
                candidates = [one for span in spans for one in span]
                shape = [_seen(moments[one], event) for one in candidates[-3:]]
                yield Violation("a price never was", where, f"one of {len(candidates)} true, the last {shape}", _said(event))
                self._shown = None
                return
            moment = moments[index - self._true.dropped]
            yield Violation("an older price came after a newer", where, f"moment {self._index} or later", (index, moment.ts))
        self._index = index

    def _earliest(self, event: Quote | Book, spans: Iterable[range], *, since: int = 0) -> int | None:
        """Returns the first moment from `since` on at which the true book was the published one; None: there was none."""
        moments, dropped = self._true.moments, self._true.dropped
        for span in spans:
            for index in range(max(span.start, since - dropped), span.stop):
                if _is(event, moments[index]):
                    return index + dropped
        return None

    def status(self, status: Status) -> Iterator[Violation]:
        """Check a status of this feed, or of its instrument or its venue, after the events that were received before it."""
        shown = self._shown
        if status.state is FeedState.LIVE or shown is None:
            return
        if shown.received_ts <= status.received_ts and shown.epoch <= status.epoch:
            if shown.epoch == status.epoch:
                yield from self._outlived(shown, status.received_ts)
            self._shown = None

    def done(self, now: int) -> Iterator[Violation]:
        """Check the end of the tape, which was last read at `now` (ns)."""
        if self._shown is not None:
            yield from self._outlived(self._shown, now)

    def _outlived(self, shown: Quote | Book, until: int) -> Iterator[Violation]:
        index = self._index - self._true.dropped
        over = self._true.next_top(index) if index >= 0 else None
        if over is not None and until - (since := max(over, shown.received_ts)) > self._limits.fresh_ns:
            where = f"{self._where}, epoch {shown.epoch} seq {shown.seq}"
            yield Violation("a price stood too long", where, f"{self._limits.fresh_ns / 1e9:g} s at most", f"{(until - since) / 1e9:.3f} s")

    def _spans(self, event: Quote | Book) -> Iterator[range]:
        """Yields the moments of the true market at which the event may have been true."""
        true = self._true
        if isinstance(event, Book) and event.sequence is not None:
            index = true.at_number(event.sequence)
            if index is not None:
                yield range(index, index + 1)
                return
        if event.venue_ts is None:
            sent_ts = self._order.sent_after(event.received_ts) if isinstance(event, Quote) else None
            first_ts = event.received_ts - self._limits.answer_ns if sent_ts is None else sent_ts - self._limits.transit_ns
            yield true.within(first_ts, event.received_ts + CLOCK_NS)
            return
        for skew in self._limits.skews_ns:
            if event.venue_ts - skew > event.received_ts + CLOCK_NS:
                continue  # of the future: that is not how wrong the clock is
            yield true.within(event.venue_ts - skew, event.venue_ts - skew + CUT_NS.get(true.venue, 0))


def _is(event: Quote | Book, moment: Moment) -> bool:
    if isinstance(event, Quote):
        return ((event.bid_price, event.bid_size), (event.ask_price, event.ask_size)) == moment.top
    depth = min(event.depth, DEPTH)
    return event.bids[:depth] == moment.bids[:depth] and event.asks[:depth] == moment.asks[:depth]


def _said(event: Quote | Book) -> tuple[object, ...]:
    if isinstance(event, Quote):
        return event.bid_price, event.bid_size, event.ask_price, event.ask_size
    return _plain(event.bids), _plain(event.asks), event.sequence, event.venue_ts


def _seen(moment: Moment, event: Quote | Book) -> tuple[object, ...]:
    if isinstance(event, Quote):
        return (*_plain(moment.bids[:1]), *_plain(moment.asks[:1]))
    return _plain(moment.bids), _plain(moment.asks), moment.number, moment.ts


def _plain(levels: tuple[Level, ...]) -> list[str]:
    return [f"{size} at {price}" for price, size in levels]
