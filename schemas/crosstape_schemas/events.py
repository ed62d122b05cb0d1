"""Defines the events of the tape: every producer writes them, every consumer reads them.

They are frozen, tagged msgspec structs; on the wire JSON with the tag in `type` and decimals as strings, so that no digit is lost in any
language. Schemas evolve by adding fields with defaults. Only this module says what an event means; `keys` says where it is written.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from crosstape_schemas import plain

VENUE_WIDE: Final = "*"
"""The instrument of a `Status` or `Gap` of a whole venue, and the kind of one that is about every feed."""

CONSOLIDATED: Final = "consolidated"
"""The venue of events computed across venues."""


class Side(StrEnum):
    """The taker's side of a trade: who crossed the spread."""

    BUY = "buy"
    SELL = "sell"


class FeedState(StrEnum):
    """How far a consumer may rely on a feed's data now."""

    CONNECTING = "connecting"  # no data yet, or none since the start
    LIVE = "live"
    RECOVERING = "recovering"  # a break was seen; a new snapshot is being fetched
    STALE = "stale"  # the connection is open, but this feed has stopped
    DOWN = "down"  # no connection


class GapCause(StrEnum):
    """Why something is missing from the tape."""

    DISCONNECT = "disconnect"  # the venue's connection was lost
    SEQUENCE = "sequence"  # the venue's numbering skipped
    CHECKSUM = "checksum"  # the book does not match the venue's checksum
    OVERFLOW = "overflow"  # a limit of crosstape was reached
    BUS = "bus"  # the bus's server lost entries that it had acknowledged
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> GapCause:
        """Read a cause that only a newer producer knows as `UNKNOWN`: a reader must not lose the gap because of it."""
        return cls.UNKNOWN


class Market(StrEnum):
    """The shape of a consolidated quote."""

    NORMAL = "normal"  # best bid < best ask
    LOCKED = "locked"  # best bid = best ask
    CROSSED = "crossed"  # best bid > best ask
    ONE_SIDED = "one_sided"
    EMPTY = "empty"


class Exclusion(StrEnum):
    """Why a leg does not count in a consolidated quote."""

    STATE = "state"  # its feed is not live
    STALE = "stale"  # too old, and its feed gives no sign of life
    EMPTY = "empty"  # it has neither a bid nor an ask
    CROSSED = "crossed"  # its own bid is not below its own ask
    OUTLIER = "outlier"  # its mid is too far from the median of the legs
    SETTLING = "settling"  # good again, but not yet for long enough
    SUSPECT = "suspect"  # it crossed other legs while its own feed was silent for longer than usual, and has been silent since
    OTHER = "other"  # never published: a reader reads a reason like this that only a newer aggregator knows

    @classmethod
    def _missing_(cls, value: object) -> Exclusion:
        """Read an unknown reason as `OTHER`, which still excludes the leg: a reader must not lose the quote because of it."""
        return cls.OTHER


type_tag = "type"
Level = tuple[Decimal, Decimal]
"""Price, and the size resting there in base units. In a `Delta` a size of zero removes the level."""


class _Stamp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields that the publisher sets (see `stamp`), never a parser. Keyword-only, so that both are last."""

    epoch: int = 0
    """Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs
    of one producer; do not use an epoch as a time."""
    seq: int = 0
    """1, 2, 3 … without a gap per (stream, venue, epoch)."""


class Event(_Stamp, frozen=True, gc=False):
    """The fields of all events. Times are ns since the epoch UTC."""

    venue: str
    instrument: str
    venue_ts: int | None
    """The venue's own time; null if it gives none."""
    received_ts: int
    """When the frame (or the newest input) was read from the socket, by our clock."""


class Trade(Event, frozen=True, gc=False, tag_field=type_tag, tag="trade"):
    """One execution. Price: quote per base; size: base units."""

    price: Decimal
    size: Decimal
    taker: Side | None
    trade_id: str
    backfilled: bool = False
    """The trade was not seen live: the venue replayed it, it was fetched by REST, or it came after it was reported as missing. It may be
    behind trades on the stream that were made later. It is there once, as all trades are."""


class Quote(Event, frozen=True, gc=False, tag_field=type_tag, tag="quote"):
    """Best bid and ask of one venue; a side is null where the venue's book is empty."""

    bid_price: Decimal | None
    bid_size: Decimal | None
    ask_price: Decimal | None
    ask_size: Decimal | None
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


class Vwap(msgspec.Struct, frozen=True, gc=False):
    """Volume-weighted average price of one window."""

    price: Decimal | None
    """Null when nothing traded."""
    volume: Decimal
    trades: int
    complete: bool = True
    """True only while it is known that the window holds all its trades and no others: everything back to the window's start was read, no
    gap is unrepaired, every venue that trades the instrument is connected, and the clocks agree."""


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One venue's part of a consolidated quote, and the input it came from."""

    venue: str
    bid_price: Decimal | None
    bid_size: Decimal | None
    ask_price: Decimal | None
    ask_size: Decimal | None
    quote_ts: int | None
    """`received_ts` of the input; the leg's age is the quote's `ts` minus this."""
    state: FeedState
    excluded: Exclusion | None
    epoch: int
    seq: int
    kind: str = "quote"
    """Kind of the input, `quote` or `book`. Together with it, `epoch` and `seq` identify one event of the stream `tape:KIND:INSTRUMENT`."""


class Cbbo(Event, frozen=True, gc=False, tag_field=type_tag, tag="cbbo"):
    """The consolidated quote: the best price over the legs that count, and why each leg counts or not."""

    ts: int
    """The time at which the quote is valid."""
    bid_price: Decimal | None
    bid_size: Decimal | None
    bid_venues: tuple[str, ...]
    ask_price: Decimal | None
    ask_size: Decimal | None
    ask_venues: tuple[str, ...]
    mid: Decimal | None
    spread: Decimal | None
    spread_bps: Decimal | None
    market: Market
    venues: int
    """How many legs count."""
    vwap: dict[str, Vwap]
    legs: tuple[Leg, ...]
    method: str = "cbbo/1"


AnyEvent = Trade | Quote | Book | Delta | Ticker | Candle | Mark | Funding | OpenInterest | Liquidation | Status | Gap | Cbbo
"""An event of any kind: what `decode` returns."""

KINDS: Final[dict[str, type[Event]]] = {
    "trade": Trade,
    "quote": Quote,
    "book": Book,
    "delta": Delta,
    "ticker": Ticker,
    "candle": Candle,
    "mark": Mark,
    "funding": Funding,
    "open_interest": OpenInterest,
    "liquidation": Liquidation,
    "status": Status,
    "gap": Gap,
    "cbbo": Cbbo,
}
"""Every kind of event, by its tag: also the second part of its stream's name. Candles have their timeframe after it."""

KIND_OF: Final[dict[type[Event], str]] = {cls: kind for kind, cls in KINDS.items()}

CANDLE: Final = "candle:"
"""What the kind of a feed of candles begins with; its timeframe follows."""


def feed_kind(event: Event) -> str:
    """Returns the kind of the feed that an event belongs to: its tag, and `candle:1m` for a candle of one minute."""
    return f"{CANDLE}{event.timeframe}" if isinstance(event, Candle) else KIND_OF[type(event)]


_encode = msgspec.json.Encoder().encode
_set = msgspec.structs.force_setattr

_E: Final = ord("E")
_HEAD: Final = 49
"""Greatest length of the JSON up to the instrument's end, without venue and instrument; no decimal starts within 20 bytes of it."""


def encode(event: Event) -> bytes:
    """Returns the event's JSON, as it is in field `d` of a stream's entry and on a channel. Decimals are in plain notation, see `plain`."""
    data = _encode(event)
    if _E in data and _E in data[len(event.venue) + len(event.instrument) + _HEAD :]:
        return plain.encode(event, data)
    return data


def stamp(event: Event, epoch: int, seq: int) -> bytes:
    """Sets the epoch and the number of an event and returns its JSON. Only a publisher calls this: nothing else changes an event.

    A copy of the event that differs in these two fields would cost more than all the rest of publishing.
    """
    _set(event, "epoch", epoch)
    _set(event, "seq", seq)
    data = _encode(event)
    if _E in data and _E in data[len(event.venue) + len(event.instrument) + _HEAD :]:  # the same as `encode`, without the call
        return plain.encode(event, data)
    return data


decode = msgspec.json.Decoder(AnyEvent).decode
"""Returns the event of these bytes. Raises `msgspec.DecodeError` (malformed) or `msgspec.ValidationError` (no event of ours)."""
