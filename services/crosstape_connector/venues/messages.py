"""The outputs of a parser: events of the tape, changes of a book, and messages about the connection itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

from crosstape_schemas import (
    AnyNumber,
    Candle,
    Funding,
    GapCause,
    Level,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
    Trade,
)
from crosstape_schemas.amounts import Number_co

N = TypeVar("N", bound=AnyNumber)


class Odd(msgspec.Struct, frozen=True):
    """Reports a part of an otherwise good frame, answer or list that was left out as impossible. Counted by `kind` (`size`, `row` …)."""

    kind: str
    reason: str = ""
    """The part, and what is wrong with it. Logged once a kind."""


class OddRow(Odd, frozen=True):
    """Reports a row of a venue's list of instruments that cannot be used, or not as it is."""

    symbol: str = ""
    """The venue's symbol; empty if it cannot be read."""
    instrument: str = ""
    """Our name of the instrument; empty if it cannot be read."""


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A complete book, from the stream or by REST; replaces the book before."""

    instrument: str
    venue_ts: int | None
    received_ts: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    sequence: int | None = None
    checksum: int | None = None
    depth: int | None = None
    """Levels a side that were subscribed, if the venue's acknowledgement has them; None: as many as we asked for."""
    limit: int | None = None
    """The most levels a side that it could have: a side with as many is cut there, and beyond its last price nothing is known. None: both
    sides are complete."""


class BookUpdate(msgspec.Struct, frozen=True, gc=False):
    """Changed levels of a book, in the venue's order; sizes are absolute, zero removes. Spans the venue's numbers `first` … `last`."""

    instrument: str
    venue_ts: int | None
    received_ts: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    first: int | None = None
    last: int | None = None
    previous: int | None = None
    checksum: int | None = None


class TradeSnapshot(msgspec.Struct, Generic[Number_co], frozen=True, gc=False):
    """The newest trades, oldest first, as the venue replays them on subscribing. They fill a gap, and do not begin a tape."""

    instrument: str
    received_ts: int
    trades: tuple[Trade[Number_co], ...]
    left_out: int = 0
    """How many trades of the same answer could not be read. If any, the answer does not show which ids do not exist."""
    odd: tuple[Odd, ...] = ()
    """Why they could not be read."""

    @property
    def rows(self) -> int:
        """How many trades the venue sent. A page with fewer than `TradeSource.page` is the last."""
        return len(self.trades) + self.left_out


def replay(trades: Sequence[Trade[N]], received_ts: int) -> list[TradeSnapshot[N]]:
    """Group the replayed trades of one frame, oldest first, into one snapshot per instrument."""
    names = dict.fromkeys(trade.instrument for trade in trades)
    return [TradeSnapshot(name, received_ts, tuple(trade for trade in trades if trade.instrument == name)) for name in names]


def page(instrument: str, trades: Iterable[Trade], received_ts: int, left_out: int = 0, odd: Sequence[Odd] = ()) -> TradeSnapshot:
    """Sorts the trades of a REST answer by id. `left_out`: how many of its rows could not be read; `odd`: why.

    A row that repeats another counts once. If two rows contradict each other, neither is used.
    """
    by_id: dict[int, Trade] = {}
    twice: dict[int, Odd] = {}
    for trade in trades:
        number = int(trade.trade_id)
        if by_id.setdefault(number, trade) != trade:
            twice[number] = Odd("duplicate", f"trade {number} of {instrument} is there twice, with different contents")
    good = tuple(by_id[number] for number in sorted(by_id) if number not in twice)
    return TradeSnapshot(instrument, received_ts, good, left_out + 2 * len(twice), (*odd, *twice.values()))


class LastTrade(msgspec.Struct, frozen=True, gc=False):
    """The id of the venue's newest trade, without the trade. It shows whether any was missed."""

    instrument: str
    venue_ts: int | None
    received_ts: int
    trade_id: int
    no_trade: bool = False
    """The venue used the id for what is no market trade (an insurance fund's, a row without a price): no trade comes with it."""


class CandleSnapshot(msgspec.Struct, frozen=True, gc=False):
    """Past candles of one instrument and timeframe, oldest first, from the stream or by REST. The last one may still be open."""

    instrument: str
    timeframe: str
    received_ts: int
    candles: tuple[Candle, ...]
    odd: tuple[Odd, ...] = ()
    """Rows that could not be read."""


class Ack(msgspec.Struct, frozen=True):
    """The venue accepted a subscription: the request with this id, or these symbols of this channel."""

    request_id: int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] = ()
    unsubscribed: bool = False
    handle: str = ""
    """What the venue calls this subscription on this connection; empty: it has no such names. An unsubscribe sends it back (see
    `Request.handles`). Without a request id, it alone says which subscription is acknowledged."""


class Rejected(msgspec.Struct, frozen=True):
    """The venue refused a subscription. Without an id and a symbol it concerns the oldest request that has no answer yet."""

    reason: str
    request_id: int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] = ()
    full: bool = False
    """Nothing is wrong with the subscription: this connection has no room for it."""


class Welcome(msgspec.Struct, frozen=True):
    """The venue is ready for requests."""

    ping_s: float | None = None
    """How often the venue wants a ping; None: it does not say."""


class Heartbeat(msgspec.Struct, frozen=True):
    """Shows that the session is alive, without data."""


class ConnectionBreak(msgspec.Struct, frozen=True):
    """The connection's own numbering skipped, so that its books are suspect, and trades may be missing."""

    received_ts: int
    missed: int | None
    cause: GapCause = GapCause.SEQUENCE
    instruments: tuple[str, ...] = ()
    """Instruments whose books, or trades without contiguous ids, are on that connection."""
    reason: str = ""
    """The cause, if it is not the connection's numbering."""


def unread(instrument: str, received_ts: int) -> ConnectionBreak:
    """Return the break of one book, of which a change cannot be read."""
    return ConnectionBreak(received_ts, None, GapCause.UNKNOWN, (instrument,), "a change of the book cannot be read")


def unread_book(instrument: str, received_ts: int, reason: object) -> tuple[Odd, ConnectionBreak]:
    """Return the outputs for a frame of a book that cannot be read; `reason` is the error."""
    return Odd("book", f"{instrument}: {reason}"), unread(instrument, received_ts)


class Unreadable(msgspec.Struct, frozen=True):
    """The newest data of a feed cannot be read, so that those on the tape are out of date."""

    kind: str
    """`quote`, `ticker`, `mark` …, `candle:1m`: a kind of which only the newest data count. Or `trade`: a gap is reported where no id
    shows that one is missing."""
    instrument: str
    received_ts: int


def unreadable(kind: str, instrument: str, received_ts: int, reason: object) -> tuple[Odd, Unreadable]:
    """Return the outputs for a quote, ticker … that cannot be read; `reason` is the error."""
    return Odd(kind.partition(":")[0], f"{kind} of {instrument}: {reason}"), Unreadable(kind, instrument, received_ts)


class RepeatedQuote(msgspec.Struct, Generic[Number_co], frozen=True, gc=False):
    """The venue has sent its newest quote again, by its number: it shows that the stream lives, and is not published again."""

    quote: Quote[Number_co]


class Reply(msgspec.Struct, frozen=True):
    """A frame to send back at once, such as the answer to an application ping."""

    data: bytes


class Rotate(msgspec.Struct, frozen=True):
    """The venue will close this connection soon: open the next one."""

    reason: str


Output = (
    Trade[AnyNumber]
    | TradeSnapshot[AnyNumber]
    | LastTrade
    | Quote[AnyNumber]
    | RepeatedQuote[AnyNumber]
    | Ticker
    | Candle
    | CandleSnapshot
    | Mark
    | Funding
    | OpenInterest
    | Liquidation
    | Status
    | BookSnapshot
    | BookUpdate
    | ConnectionBreak
    | Unreadable
    | Odd
    | Ack
    | Rejected
    | Welcome
    | Heartbeat
    | Reply
    | Rotate
)
