"""The events of the tape: what every producer writes and every consumer reads.

Frozen, tagged msgspec structs; JSON on the wire with the tag in `type` and decimals as strings, so that no digit is lost in any
language. Schemas evolve by adding fields with defaults. What an event means is said here and nowhere else; where it travels is
said in `keys`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from crosstape_schemas import plain

VENUE_WIDE: Final = "*"
"""The instrument of a `Status` or `Gap` that concerns a venue as a whole, and the kind of one that concerns every feed."""

CONSOLIDATED: Final = "consolidated"
"""The venue of events computed across venues."""


class Side(StrEnum):
    """The taker's side of a trade: who crossed the spread."""

    BUY = "buy"
    SELL = "sell"


class FeedState(StrEnum):
    """What a consumer may think of a feed's data right now."""

    CONNECTING = "connecting"  # never had data, or not yet since the start
    LIVE = "live"
    RECOVERING = "recovering"  # a break was seen; a resync is under way
    STALE = "stale"  # the session lives, this feed has stopped
    DOWN = "down"  # no session


class GapCause(StrEnum):
    """Why something is missing from the tape."""

    DISCONNECT = "disconnect"  # the venue's connection was lost
    SEQUENCE = "sequence"  # the venue's numbering skipped
    CHECKSUM = "checksum"  # the book does not match the venue's checksum
    OVERFLOW = "overflow"  # a bound of ours was reached
    BUS = "bus"  # the server lost what it had acknowledged
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> GapCause:
        """A cause that only a newer producer knows: a reader must not lose the gap for it."""
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
    SUSPECT = "suspect"  # it crossed other legs while its own feed had been silent for longer than usual, and has not spoken since
    OTHER = "other"  # never published: what a reader makes of a reason that only a newer aggregator knows

    @classmethod
    def _missing_(cls, value: object) -> Exclusion:
        """An unknown reason still excludes the leg: a reader must not lose the quote for it."""
        return cls.OTHER


type_tag = "type"
Level = tuple[Decimal, Decimal]
"""Price, and the size resting there in base units. In a `Delta` a size of zero removes the level."""


class _Stamp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Set by the publisher, see `stamp`; never by a parser. Keyword-only, so that both stand last."""

    epoch: int = 0
    """Numbers the starts of the publishing process: the time of the start in ns, or more where a former one had a clock that was ahead.
    Compare epochs of one producer; do not take one for a time."""
    seq: int = 0
    """1, 2, 3 … without a hole per (stream, venue, epoch)."""


class Event(_Stamp, frozen=True, gc=False):
    """What all events carry. Times are ns since the epoch UTC."""

    venue: str
    instrument: str
    venue_ts: int | None
    """The venue's own time, or null if it gives none."""
    received_ts: int
    """When the frame (or the newest input) was read from the socket, by our clock."""


class Trade(Event, frozen=True, gc=False, tag_field=type_tag, tag="trade"):
    """One execution. Price: quote per base; size: base units."""

    price: Decimal
    size: Decimal
    taker: Side | None
    trade_id: str
    backfilled: bool = False
    """Not seen live: replayed by the venue, fetched by REST, or come after it was told as missing. Its place on the stream may be behind
    trades that were made later; it is there once, as all are."""


class Quote(Event, frozen=True, gc=False, tag_field=type_tag, tag="quote"):
    """Best bid and ask of one venue; a side is null where the venue's book is empty."""

    bid_price: Decimal | None
    bid_size: Decimal | None
    ask_price: Decimal | None
    ask_size: Decimal | None
    state: FeedState = FeedState.LIVE


class Book(Event, frozen=True, gc=False, tag_field=type_tag, tag="book"):
    """The top `depth` levels of a venue's proven book, best first; conflated."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    depth: int
    state: FeedState
    sequence: int | None = None
    """The venue's own number of the last change it contains, where it has one."""


class Delta(Event, frozen=True, gc=False, tag_field=type_tag, tag="delta"):
    """Raw changes of one venue's book, in the venue's order; sizes are absolute."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    sequence: int | None = None
    snapshot: bool = False
    """True: forget all levels, these are the book."""


class Ticker(Event, frozen=True, gc=False, tag_field=type_tag, tag="ticker"):
    """Rolling 24 hours, as the venue counts them; null where it does not say."""

    last: Decimal | None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    base_volume: Decimal | None = None
    quote_volume: Decimal | None = None
    change: Decimal | None = None
    """Last minus open, in quote units."""


class Status(Event, frozen=True, gc=False, tag_field=type_tag, tag="status"):
    """The state of one feed, or with `VENUE_WIDE` of every feed of an instrument or of a venue.

    A connector repeats the venue-wide one at a steady pace: it is the venue's sign of life while its market is quiet. An aggregator does
    the same with the venue `consolidated`: a consolidated quote is current only while the aggregator that published it, known by its
    `epoch`, gives this sign of life.
    """

    kind: str
    state: FeedState
    reason: str = ""
    clock_offset_ns: int | None = None
    """Of a venue-wide one: our clock less the venue's, ns, as the smallest `received_ts` less `venue_ts` of the last minute. The shortest
    way of a frame is in it. Negative: the venue's clock is ahead of ours. Null where it is not known."""


class Gap(Event, frozen=True, gc=False, tag_field=type_tag, tag="gap"):
    """Something is missing from the tape: what, from when to when, how many if known, and why; or, `repaired`, has come after all."""

    kind: str
    from_ts: int
    to_ts: int
    missed: int | None
    """How many; null where that is not known."""
    cause: GapCause
    repaired: bool = False
    """True: of a gap that was told before, so many as `missed` says are on the tape now; those trades say `backfilled`. With that gap's own
    `from_ts`, `to_ts` and `cause`, nothing of it is missing any more; with narrower times a part came, and no more is being fetched. The
    sum of `missed`, less that of repaired gaps, is at least what is missing, and just that when nothing is being fetched."""
    nonexistent: int = 0
    """Of a repaired gap: how many of the `missed` ids never existed. The venue, asked by REST, has the trades on both sides and none
    between: no trade comes for these. Negative, with `missed` 0: a trade came after all for so many that were counted before."""


class Vwap(msgspec.Struct, frozen=True, gc=False):
    """Volume-weighted average price of one window."""

    price: Decimal | None
    """Null when nothing traded."""
    volume: Decimal
    trades: int
    complete: bool = True
    """True only while it is known that no trade is missing in the window and none is in it that does not belong there: all that there is
    has been read, back to the window's start, no gap is unrepaired, every venue that trades here is connected, and clocks agree."""


class Leg(msgspec.Struct, frozen=True, gc=False):
    """One venue's part of a consolidated quote, and the input it came from."""

    venue: str
    bid_price: Decimal | None
    bid_size: Decimal | None
    ask_price: Decimal | None
    ask_size: Decimal | None
    quote_ts: int | None
    """`received_ts` of the input; the leg's age is the quote's `ts` less this."""
    state: FeedState
    excluded: Exclusion | None
    epoch: int
    seq: int
    kind: str = "quote"
    """Of the input: `quote` or `book`. With it `epoch` and `seq` name one event of one stream, `tape:KIND:INSTRUMENT`."""


class Cbbo(Event, frozen=True, gc=False, tag_field=type_tag, tag="cbbo"):
    """The consolidated quote: the best price over the legs that count, and why each leg counts or not."""

    ts: int
    """The moment it is true for."""
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


AnyEvent = Trade | Quote | Book | Delta | Ticker | Status | Gap | Cbbo
"""An event of any kind: what `decode` returns."""

KINDS: Final[dict[str, type[Event]]] = {
    "trade": Trade,
    "quote": Quote,
    "book": Book,
    "delta": Delta,
    "ticker": Ticker,
    "status": Status,
    "gap": Gap,
    "cbbo": Cbbo,
}
"""Every kind of event, by its tag: also the second part of its stream's name."""

KIND_OF: Final[dict[type[Event], str]] = {cls: kind for kind, cls in KINDS.items()}

_encode = msgspec.json.Encoder().encode
_set = msgspec.structs.force_setattr

_E: Final = ord("E")
_HEAD: Final = 42
"""Length of the JSON up to the instrument's end, at most, less the venue and the instrument; no decimal begins within 20 bytes of it."""


def encode(event: Event) -> bytes:
    """The event's JSON, as it stands in a stream's field `d` and on a channel. Decimals are in plain notation, see `plain`."""
    data = _encode(event)
    if _E in data and _E in data[len(event.venue) + len(event.instrument) + _HEAD :]:
        return plain.encode(event, data)
    return data


def stamp(event: Event, epoch: int, seq: int) -> bytes:
    """The event's JSON with this stamp, which the event then bears: for its publisher, the one place where an event is altered.

    A second struct that differs in the stamp would cost more than all the rest of publishing.
    """
    _set(event, "epoch", epoch)
    _set(event, "seq", seq)
    data = _encode(event)
    if _E in data and _E in data[len(event.venue) + len(event.instrument) + _HEAD :]:  # as `encode`, without its call
        return plain.encode(event, data)
    return data


decode = msgspec.json.Decoder(AnyEvent).decode
"""Bytes to the event they hold. Raises `msgspec.DecodeError` (malformed) or `msgspec.ValidationError` (not one of ours)."""
