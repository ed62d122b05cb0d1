"""The seam between a venue and the machinery that runs it.

A venue is data: a `Venue` with its endpoints, rules and pure functions. What a parser may find in a frame is an `Output`: an event of the
tape, a change of a book (which the book engine turns into events), or word about the session itself. No I/O here, and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, Literal, Protocol

import msgspec

from crosstape_schemas import GapCause, Instrument, Level, Quote, Status, Ticker, Trade, asset

MEBIBYTE: Final = 1024 * 1024


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


class Parser(Protocol):
    """What one connection's frames mean. May hold state of that connection; thrown away with it."""

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """Everything in one frame, in order. Raises one of `errors.FRAME_ERRORS` for a frame that cannot be used."""
        ...


Symbols = Mapping[str, str]
"""Their symbol → our instrument. Parsers look it up anew, so that it may grow while they run."""


class Request(msgspec.Struct, frozen=True):
    """What a subscribe or unsubscribe message asks for: one channel, some symbols."""

    channel: str
    symbols: tuple[str, ...]
    request_id: int
    depth: int
    """Levels a side, for channels that have a choice."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One WebSocket address of a venue and the rules of a connection to it."""

    name: str
    url: str
    channels: Mapping[str, str]
    """Kind of feed → their channel. Several kinds may share one; a kind on two endpoints is taken from the first."""
    parser: Callable[[Symbols], Parser]
    subscribe: Callable[[Request], bytes]
    unsubscribe: Callable[[Request], bytes]
    answers: frozenset[str] = frozenset()
    """Channels whose subscription is answered with data of before: these do not show that the stream goes on."""
    greeting: tuple[bytes, ...] = ()
    """Sent first on every connection (channels without a symbol)."""
    ping: Callable[[int], bytes] | None = None
    """An application ping with that request id, sent every `ping_s`; None: protocol pings only."""
    ping_s: float = 30.0
    silence_s: float = 30.0
    """No frame of any kind for so long: the session is dead."""
    max_frame_bytes: int = 4 * MEBIBYTE
    numbered: bool = False
    """All frames of a connection are numbered, so that a hole spoils every book on it: its parser tells by `ConnectionBreak`."""
    topics: int = 1_000
    """(channel, symbol) pairs on one connection at most."""
    symbols_per_request: int = 100
    requests_per_s: float = 4.0
    requests_shared: bool = False
    """The venue counts what an address sends on all its connections together."""
    connects_per_s: float = 0.5
    lifetime_s: float = 0.0
    """A connection that is so old is cut by the venue; 0: no such limit is known."""
    hosts: tuple[str, ...] = ()
    """Parts of a URL by which a recording of this endpoint is known …"""
    speaks: Callable[[bytes], bool] | None = None
    """… or else whether a frame is in its dialect. Not needed where a venue has one endpoint."""


class ConnectLimit(msgspec.Struct, frozen=True):
    """How often a venue lets one address connect."""

    attempts: int
    window_s: float
    """In any so many seconds."""


class Verdict(Enum):
    """What a book rule says of an update."""

    APPLY = auto()
    SKIP = auto()  # older than what the book holds
    BREAK = auto()  # something is missing before it


class BookRule(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue's books are kept and proven. `sequence` below is that of the snapshot, or of the last update applied."""

    snapshot: Literal["rest", "stream"]
    bridges: Callable[[BookUpdate, int], Verdict] | None = None
    """Whether an update links to a REST snapshot."""
    follows: Callable[[BookUpdate, int], Verdict] | None = None
    """Whether an update links to the one before; None: the venue has no numbers (or they count the connection, see `ConnectionBreak`)."""
    checksum: Callable[[Sequence[Level], Sequence[Level]], int] | None = None
    """Of the book's best levels (bids best first, asks best first; at least ten of each where there are so many)."""
    ordered: bool = False
    """The times of a book's frames never go back, so that one which does was overtaken: for a venue without numbers."""
    truncates: bool = False
    """The venue never deletes what falls out of the subscribed depth: cut after every frame."""
    depths: tuple[int, ...] = ()
    """Depths that can be subscribed, ascending; empty: no choice."""
    proof: str = ""
    """For the table of what is proven how."""


class SnapshotSource(msgspec.Struct, frozen=True, kw_only=True):
    """A book by REST."""

    rest: str
    """Which of `Venue.rest_urls`."""
    path: Callable[[str], str]
    """Their symbol → path and query."""
    parse: Callable[[bytes, str, int], BookSnapshot]
    """(body, our instrument, received_ts). Raises `FrameError` or `msgspec.MsgspecError`."""
    match: Callable[[str], str | None]
    """URL → their symbol if it is such a request (used on captures)."""
    per_minute: int
    """How many may be asked for within the venue's limits."""


class TradeSource(msgspec.Struct, frozen=True, kw_only=True):
    """Past trades by REST, a page at a time, oldest first."""

    rest: str
    """Which of `Venue.rest_urls`."""
    path: Callable[[str, int, int], str]
    """(their symbol, first id wanted, when that trade was made at the earliest, ns) → path and query of the page that begins there.

    A venue is asked by whichever of the two it understands; the page may begin earlier, so what is known already is dropped by id.
    """
    newest: Callable[[str], str]
    """Their symbol → path and query of the newest trades."""
    parse: Callable[[bytes, str, int], TradeSnapshot]
    """(body, our instrument, received_ts) → its trades, ascending by id. Raises `FrameError` or `msgspec.MsgspecError`."""
    page: int
    """Trades in a page at most: a shorter page is the last."""
    per_minute: int
    """How many requests of this kind may be made within the venue's limits, beside snapshots."""


class QuoteSource(msgspec.Struct, frozen=True, kw_only=True):
    """Best bid and ask by REST."""

    rest: str
    path: Callable[[Sequence[str]], str]
    """Their symbols, at most `batch` → path and query."""
    parse: Callable[[bytes, Symbols, int], Sequence[Quote | Odd]]
    """(body, their symbol → our instrument of those asked for, received_ts) → quotes, and what else was among them. Raises `FrameError` or
    `msgspec.MsgspecError`."""
    batch: int
    per_minute: int


class InstrumentSource(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's instruments by REST."""

    rest: str
    path: str
    parse: Callable[[bytes], Sequence[Instrument | OddRow]]
    """The instruments, no name and no symbol twice, and the rows that are odd. Rows that are not ours to map are left out. Raises
    `FrameError` or `msgspec.MsgspecError` for what is no list at all."""
    match: Callable[[str], bool]
    ours: Callable[[str], str] = asset
    """The venue's name of an asset → ours."""


class TradingSource(msgspec.Struct, frozen=True, kw_only=True):
    """Whether instruments trade now, by REST."""

    rest: str
    path: Callable[[Sequence[str]], str]
    """Their symbols, at most `batch` → path and query. The answer may tell of others, too."""
    parse: Callable[[bytes, Sequence[str]], Mapping[str, str]]
    """(body, their symbols that were asked for) → symbol → why it does not trade; empty: it does.

    A symbol that is not listed any more has a reason, one whose row cannot be read is left out. Raises as `InstrumentSource.parse`.
    """
    unknown: Callable[[str], bool]
    """Whether an error is the venue's word that one of the symbols is not listed."""
    batch: int
    per_minute: int


NOT_LISTED: Final = "not listed any more"
"""Why an instrument that was traded here does not trade."""


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """All that the machinery knows of a venue."""

    id: str
    endpoints: tuple[Endpoint, ...]
    rest_urls: Mapping[str, str]
    instruments: InstrumentSource
    book: BookRule
    snapshots: SnapshotSource | None = None
    trades: TradeSource | None = None
    quotes: QuoteSource | None = None
    trading: TradingSource | None = None
    trade_ids: Literal["contiguous", "increasing", "none"] = "none"
    """contiguous: + 1 per instrument, a hole is a gap; increasing: only duplicates can be told. Both: ids are decimal integers."""
    quote_from_book: bool = False
    """The venue's quote feed is the top of its book, proven with it."""
    connects: ConnectLimit | None = None
    """Of all its endpoints together, as the venue states it: a part of that is used, see `connects`. None: it states nothing."""
    aliases: tuple[str, ...] = ()
    """Other names that recordings have this venue under."""
    rest_error: Callable[[bytes], str | None] | None = None
    """The error in an answer that came with HTTP 200, if any."""
