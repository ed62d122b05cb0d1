"""Defines the events that aggregators compute from those of the venues."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from crosstape_schemas.event import Event, FeedState, type_tag


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
    DEPEG = "depeg"  # of a composite: the rate of its quote currency is too far from 1
    RATE = "rate"  # of a composite: the rate of its quote currency is not known, or not current
    OTHER = "other"  # never published: a reader reads a reason like this that only a newer aggregator knows

    @classmethod
    def _missing_(cls, value: object) -> Exclusion:
        """Read an unknown reason as `OTHER`, which still excludes the leg: a reader must not lose the quote because of it."""
        return cls.OTHER


class Vwap(msgspec.Struct, frozen=True, gc=False):
    """Volume-weighted average price of one window."""

    price: Decimal | None
    """Null when nothing traded."""
    volume: Decimal
    trades: int
    complete: bool = True
    """True only while it is known that the window holds all its trades and no others: everything back to the window's start was read, no
    gap is unrepaired, every venue that trades the instrument is connected, and the clocks agree."""


class Rate(msgspec.Struct, frozen=True, gc=False):
    """The rate by which the part of a composite in another quote currency is converted."""

    instrument: str
    """The pair that it comes from: `USDT-USD`. The part's own quote currency times `rate` is the composite's."""
    part: str
    """The instrument that it converts: `BTC-USDT`."""
    rate: Decimal | None
    """The mid of the pair's newest consolidated quote that is `normal` or `locked`; null if there was none yet."""
    rate_ts: int | None
    """`ts` of that quote."""
    epoch: int
    seq: int
    """With `epoch`: the event of the stream `tape:cbbo:INSTRUMENT` that it came from."""
    excluded: Exclusion | None = None
    """Why the part does not count; null: it counts."""


class Part(msgspec.Struct, frozen=True, gc=False):
    """One part of a composite, and the event of it that was used."""

    instrument: str
    epoch: int
    seq: int
    """With `epoch`: the part's event of the same kind, on `tape:cbbo:INSTRUMENT` or `tape:depth:INSTRUMENT`. 0: there was none."""
    excluded: Exclusion | None = None
    """Why the part does not count; null: it counts."""


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
    instrument: str | None = None
    """The instrument of the input where it is another one, as in a composite; else null. A venue may have several legs in a composite."""


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
    rates: tuple[Rate, ...] = ()
    """Of a composite: the rates by which its parts are converted. The prices of its legs are converted already."""
    parts: tuple[Part, ...] = ()
    """Of a composite: its parts, in the order of the settings."""


class Bar(Event, frozen=True, gc=False, tag_field=type_tag, tag="bar"):
    """One interval of trading, built from the trades on the tape: of one venue or, with the venue `consolidated`, of all.

    It comes while it is open, at most a few times a second, then closed, and again with the next `revision` if trades for it come later.
    Keep the bar with the highest revision of a venue and `open_ts`.
    """

    timeframe: str
    """`1s`, `1m`, `1h` …: one of `timeframes.TIMEFRAMES`, aligned to UTC, weeks to Monday."""
    open_ts: int
    close_ts: int
    """The end of the interval, which is the `open_ts` of the next one: a trade at this moment is not in it."""
    open: Decimal | None
    """Price of the first trade. Without trades all four prices are the last close before; null before the first trade."""
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None
    volume: Decimal
    """Base units."""
    quote_volume: Decimal
    """The sum of price × size, exact."""
    trades: int
    taker_buy_volume: Decimal | None
    """The part of `volume` whose taker bought, in base units; null if a venue does not say the taker of a trade."""
    closed: bool = False
    revision: int = 0
    """0 when it is closed for the first time, then one more for each later change."""
    complete: bool = False
    """Whether it is known that it holds all trades of its interval and no others. Never before it is closed."""
    method: str = "bar/1"


class DepthLeg(msgspec.Struct, frozen=True, gc=False):
    """One venue's part of a consolidated book, and the book it came from."""

    venue: str
    book_ts: int | None
    """`received_ts` of the book."""
    state: FeedState
    excluded: Exclusion | None
    epoch: int
    seq: int
    """With `epoch`: the event of the stream `tape:book:INSTRUMENT`."""
    instrument: str | None = None
    """The instrument of the book where it is another one, as in a composite; else null."""


class Sweep(msgspec.Struct, frozen=True, gc=False):
    """What it would cost to trade one size at once, across the venues of a consolidated book, before fees."""

    size: Decimal
    """Base units."""
    buy_average: Decimal | None
    """Null where the books do not hold the size."""
    buy_worst: Decimal | None
    sell_average: Decimal | None
    sell_worst: Decimal | None


DepthLevel = tuple[Decimal, Decimal, tuple[tuple[str, Decimal], ...]]
"""Price, the size of all venues there, and (venue, size) of each."""


class Depth(Event, frozen=True, gc=False, tag_field=type_tag, tag="depth"):
    """The consolidated book: the best levels over the venues that count in the consolidated quote, best first."""

    ts: int
    """The time at which it is valid."""
    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]
    levels: int
    """The most levels of each side."""
    sweeps: tuple[Sweep, ...]
    """One for each size of the settings `aggregator.sweep_sizes`."""
    legs: tuple[DepthLeg, ...]
    rates: tuple[Rate, ...] = ()
    """Of a composite: the rates by which its parts are converted."""
    method: str = "depth/1"
    parts: tuple[Part, ...] = ()
    """Of a composite: its parts, in the order of the settings."""


class EdgeChange(StrEnum):
    """What an `Edge` event tells."""

    OPEN = "open"
    CHANGE = "change"
    CLOSE = "close"


class InputEvent(msgspec.Struct, frozen=True, gc=False):
    """Names one event on the tape: entry `epoch`, `seq` of its venue in the stream `tape:KIND:INSTRUMENT`."""

    kind: str
    epoch: int
    seq: int


class Edge(Event, frozen=True, gc=False, tag_field=type_tag, tag="edge"):
    """A pair of venues whose prices cross after both taker fees: one sells below what the other pays.

    One event when it opens, for each change, and one when it closes. Edges of an older epoch than the newest are closed.
    """

    ts: int
    change: EdgeChange
    buy_venue: str
    sell_venue: str
    ask_price: Decimal | None
    """Where one buys: the best ask of `buy_venue`. Null when the edge closed and this leg has no such price."""
    bid_price: Decimal | None
    """Where one sells: the best bid of `sell_venue`."""
    size: Decimal | None
    """Base units that both books hold at prices that cross after fees. Null where a book is not live, and when the edge closes."""
    gross_bps: Decimal | None
    """10,000 × (bid - ask) / ask."""
    net_bps: Decimal | None
    """The same with both fees paid: 10,000 × (bid × (1 - sell fee) - ask × (1 + buy fee)) / (ask × (1 + buy fee))."""
    buy_fee_bps: Decimal
    sell_fee_bps: Decimal
    opened_ts: int
    """When this edge opened; with the two venues, it identifies it."""
    buy: InputEvent | None
    """The event that `ask_price` came from."""
    sell: InputEvent | None
    reason: str = ""
    """Of an edge that closed: why. `prices`: they do not cross after fees any more; `one_sided`: a leg has no such price any more; else the
    `Exclusion` of the leg that does not count any more."""
    method: str = "edge/1"
    buy_book: InputEvent | None = None
    """With `sell_book`: the two books that `size` came from; null where `size` is."""
    sell_book: InputEvent | None = None
