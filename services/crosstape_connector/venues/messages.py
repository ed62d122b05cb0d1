"""What a parser returns: events of the tape, changes of a book, and messages about the connection itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from crosstape_schemas import GapCause, Level, Quote, Status, Ticker, Trade


class Odd(msgspec.Struct, frozen=True):
    """Something impossible in an otherwise good frame, answer or list was left out (`size`, `time`, `quote`, `row` …): counted by kind."""

    kind: str
    reason: str = ""
    """Which part it was, and what is wrong with it: for the log, once a kind."""


class OddRow(Odd, frozen=True):
    """A row of a venue's list of instruments that cannot be used, or not as it stands."""

    symbol: str = ""
    """Theirs; empty where the row does not tell."""
    instrument: str = ""
    """Our name; empty where the row does not tell."""


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A whole book, in-band or by REST; replaces whatever was known."""

    instrument: str
    venue_ts: int | None
    received_ts: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    sequence: int | None = None
    checksum: int | None = None
    depth: int | None = None
    """Levels a side that were subscribed, where the venue's acknowledgement said so; None: what was asked for."""
    partial: bool = False
    """There are levels beyond these that the venue did not tell: what lies outside is unknown until it changes."""


class BookUpdate(msgspec.Struct, frozen=True, gc=False):
    """Changed levels in the venue's order; sizes are absolute, zero removes. `first` … `last`: the venue's numbers it spans."""

    instrument: str
    venue_ts: int | None
    received_ts: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    first: int | None = None
    last: int | None = None
    previous: int | None = None
    checksum: int | None = None


class TradeSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The newest trades, oldest first, replayed by the venue on subscribing: they repair a hole, and do not begin a tape."""

    instrument: str
    received_ts: int
    trades: tuple[Trade, ...]
    left_out: int = 0
    """Trades of the same answer that could not be read: then it does not show which ids do not exist."""
    odd: tuple[Odd, ...] = ()
    """What was wrong with those."""

    @property
    def rows(self) -> int:
        """How many trades the venue sent: fewer than a page's most are its last."""
        return len(self.trades) + self.left_out


def replay(trades: Sequence[Trade], received_ts: int) -> list[TradeSnapshot]:
    """Replayed trades of one frame, oldest first, as one snapshot per instrument."""
    names = dict.fromkeys(trade.instrument for trade in trades)
    return [TradeSnapshot(name, received_ts, tuple(trade for trade in trades if trade.instrument == name)) for name in names]


def page(instrument: str, trades: Iterable[Trade], received_ts: int, left_out: int = 0, odd: Sequence[Odd] = ()) -> TradeSnapshot:
    """Trades of a REST answer in whatever order, ascending by id. `left_out`: how many rows of the answer could not be read; `odd`: why.

    A row that repeats another counts once; of two that contradict each other neither is taken.
    """
    by_id: dict[int, Trade] = {}
    twice: dict[int, Odd] = {}
    for trade in trades:
        number = int(trade.trade_id)
        if by_id.setdefault(number, trade) != trade:
            twice[number] = Odd("duplicate", f"trade {number} of {instrument} is there twice, and not the same")
    good = tuple(by_id[number] for number in sorted(by_id) if number not in twice)
    return TradeSnapshot(instrument, received_ts, good, left_out + 2 * len(twice), (*odd, *twice.values()))


class LastTrade(msgspec.Struct, frozen=True, gc=False):
    """Word of the venue's newest trade, without the trade: proof that none was missed, or that some were."""

    instrument: str
    venue_ts: int | None
    received_ts: int
    trade_id: int


class Ack(msgspec.Struct, frozen=True):
    """The venue accepted: the request of that id, or these symbols of that channel, whichever it tells."""

    request_id: int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] = ()
    unsubscribed: bool = False


class Rejected(msgspec.Struct, frozen=True):
    """The venue refused. Without an id and a symbol it is the oldest request still waiting that is meant."""

    reason: str
    request_id: int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] = ()


class Heartbeat(msgspec.Struct, frozen=True):
    """The session proves itself alive without data."""


class ConnectionBreak(msgspec.Struct, frozen=True):
    """The connection's own numbering skipped: every book on it is suspect."""

    received_ts: int
    missed: int | None
    cause: GapCause = GapCause.SEQUENCE
    instruments: tuple[str, ...] = ()
    """Whose books were seen on that connection."""
    reason: str = ""
    """What happened, where it was not the connection's numbering that skipped."""


def unread(instrument: str, received_ts: int) -> ConnectionBreak:
    """A change of that instrument's book cannot be read, so the book lacks it: only this book is suspect."""
    return ConnectionBreak(received_ts, None, GapCause.UNKNOWN, (instrument,), "a change of the book cannot be read")


class Unreadable(msgspec.Struct, frozen=True):
    """The newest quote or ticker of an instrument cannot be read: the one before it, which is on the tape, is out of date."""

    kind: Literal["quote", "ticker"]
    instrument: str
    received_ts: int


def unreadable(kind: Literal["quote", "ticker"], instrument: str, received_ts: int, reason: object) -> tuple[Odd, Unreadable]:
    """What a parser returns for it. `reason`: the error."""
    return Odd(kind, f"{kind} of {instrument}: {reason}"), Unreadable(kind, instrument, received_ts)


class Reply(msgspec.Struct, frozen=True):
    """A frame to send back at once (an application ping answered)."""

    data: bytes


class Rotate(msgspec.Struct, frozen=True):
    """The venue says that it will close this connection soon: open the next one."""

    reason: str


Output = (
    Trade
    | TradeSnapshot
    | LastTrade
    | Quote
    | Ticker
    | Status
    | BookSnapshot
    | BookUpdate
    | ConnectionBreak
    | Unreadable
    | Odd
    | Ack
    | Rejected
    | Heartbeat
    | Reply
    | Rotate
)
