"""Defines the events that connectors publish: what venues say, and what is missing of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Generic

from crosstape_schemas.amounts import Number_co
from crosstape_schemas.event import Event, FeedState, GapCause, Level, Side, type_tag


class Trade(Event, Generic[Number_co], frozen=True, gc=False, tag_field=type_tag, tag="trade"):
    """One execution. Price: quote per base; size: base units."""

    price: Number_co
    size: Number_co
    taker: Side | None
    trade_id: str
    backfilled: bool = False
    """The trade was not seen live: the venue replayed it, it was fetched by REST, or it came after it was reported as missing. It may be
    behind trades on the stream that were made later. It is there once, as all trades are."""


class Quote(Event, Generic[Number_co], frozen=True, gc=False, tag_field=type_tag, tag="quote"):
    """Best bid and ask of one venue; a side is null where the venue's book is empty."""

    bid_price: Number_co | None
    bid_size: Number_co | None
    ask_price: Number_co | None
    ask_size: Number_co | None
    state: FeedState = FeedState.LIVE


class Book(Event, frozen=True, gc=False, tag_field=type_tag, tag="book"):
    """The top `depth` levels of a venue's checked book, best first; conflated."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    depth: int
    state: FeedState
    sequence: int | None = None
    """The venue's own number of the last change in the book, where it has one."""


class Delta(Event, frozen=True, gc=False, tag_field=type_tag, tag="delta"):
    """Raw changes of one venue's book, in the venue's order; sizes are absolute."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    sequence: int | None = None
    snapshot: bool = False
    """True: drop all levels; these are the whole book."""


class Ticker(Event, frozen=True, gc=False, tag_field=type_tag, tag="ticker"):
    """Rolling 24 hours, as the venue counts them; null where it gives no value."""

    last: Decimal | None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    base_volume: Decimal | None = None
    quote_volume: Decimal | None = None
    change: Decimal | None = None
    """Last minus open, in quote units."""


class Candle(Event, frozen=True, gc=False, tag_field=type_tag, tag="candle"):
    """One interval of trading as the venue publishes it. It comes again with each change, then closed; identify it by its `open_ts`.

    What `open` is and what an interval without trades looks like are the venue's: see the reference of the venues.
    """

    timeframe: str
    """`1m`, `5m`, `1h` …: one of `timeframes.TIMEFRAMES`, aligned to UTC, weeks to Monday."""
    open_ts: int
    close_ts: int
    """The end of the interval, which is the `open_ts` of the next one."""
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    """Base units."""
    quote_volume: Decimal | None = None
    trades: int | None = None
    """How many trades the venue counts in it."""
    taker_buy_volume: Decimal | None = None
    """The part of `volume` whose taker bought, in base units."""
    closed: bool = False
    """The venue says that it is final, or has begun a later one."""
    revision: int = 0
    """How often the venue corrected it after it was closed. Keep the candle with the highest revision of an `open_ts`."""


class Mark(Event, frozen=True, gc=False, tag_field=type_tag, tag="mark"):
    """The prices by which a venue values a derivative; null where it gives no value."""

    mark_price: Decimal | None
    index_price: Decimal | None = None


class Funding(Event, frozen=True, gc=False, tag_field=type_tag, tag="funding"):
    """The funding rate of a perpetual, as the venue expects it for the next settlement."""

    rate: Decimal
    """A fraction of the position's value, for one interval: 0.0001 is 0.01 %. Positive: longs pay shorts."""
    interval_s: int | None = None
    """Seconds between settlements."""
    next_ts: int | None = None
    """When the next settlement is."""


class OpenInterest(Event, frozen=True, gc=False, tag_field=type_tag, tag="open_interest"):
    """All open positions of a derivative; null where the venue gives no value."""

    size: Decimal | None
    """Base units."""
    value: Decimal | None = None
    """Quote units."""


class Liquidation(Event, frozen=True, gc=False, tag_field=type_tag, tag="liquidation"):
    """A position that the venue closed by force. Venues publish only some of them."""

    taker: Side | None
    """The side of the forced order: `sell` closes a long position."""
    price: Decimal
    size: Decimal
    """Base units."""


class Status(Event, frozen=True, gc=False, tag_field=type_tag, tag="status"):
    """The state of one feed or, with `VENUE_WIDE`, of all feeds of an instrument or of a venue.

    A connector repeats the venue-wide status at a steady pace: it is the venue's sign of life while its market is quiet. An aggregator
    does the same with the venue `consolidated`. A consolidated quote is current only while the aggregator that published it, known by its
    `epoch`, gives this sign of life.
    """

    kind: str
    """The kind of the feed, `trade` or `candle:1m`, or `VENUE_WIDE`."""
    state: FeedState
    reason: str = ""
    clock_offset_ns: int | None = None
    """Of a venue-wide status: our clock minus the venue's, ns, as the smallest `received_ts` - `venue_ts` of the last minute. It includes
    the shortest transit time of a frame. Negative: the venue's clock is ahead of ours. Null where it is not known."""


class Gap(Event, frozen=True, gc=False, tag_field=type_tag, tag="gap"):
    """Events are missing from the tape: which, from when to when, how many if known, and why. With `repaired`: they have come after all."""

    kind: str
    from_ts: int
    to_ts: int
    missed: int | None
    """How many events are missing; null where that is not known."""
    cause: GapCause
    repaired: bool = False
    """True: `missed` trades of a gap that was reported before are on the tape now, with `backfilled` set. If `from_ts`, `to_ts` and `cause`
    are those of that gap, nothing of it is missing any more; if the times are narrower, a part came and no more is being fetched. The sum
    of `missed` minus that of repaired gaps is at least what is missing, and exactly that when nothing is being fetched."""
    nonexistent: int = 0
    """Of a repaired gap: how many of the `missed` ids never existed. By REST, the venue has the trades on both sides and none between, so
    no trade comes for these ids. Negative, with `missed` 0: trades came after all for this many ids that were counted before."""
