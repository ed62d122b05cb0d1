"""The seam between a venue and the machinery that runs it.

A venue is data: a `Venue` with its endpoints, rules and pure functions. Its parsers return `Output`s (see `messages`). No I/O here, and no
clock. What a venue has by REST is in `sources`, how its books are kept in `book_rule`; both are to be had from here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from crosstape_connector.venues.book_rule import BookRule, Verdict
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.past import PastCandles, PastTrades, RestLimit
from crosstape_connector.venues.sources import (
    CandleSource,
    Grant,
    GrantSource,
    InstrumentSource,
    PolledSource,
    QuoteSource,
    SnapshotSource,
    TradeSource,
    TradingSource,
)
from crosstape_connector.venues.symbols import Symbols, lookup
from crosstape_schemas import CANDLE

__all__ = [
    "MEBIBYTE",
    "NOT_LISTED",
    "BookRule",
    "CandleRules",
    "CandleSource",
    "ConnectLimit",
    "Endpoint",
    "Environment",
    "Grant",
    "GrantSource",
    "InstrumentSource",
    "Parser",
    "PolledSource",
    "QuoteSource",
    "Request",
    "SnapshotSource",
    "Symbols",
    "TradeSource",
    "TradingSource",
    "Venue",
    "Verb",
    "Verdict",
    "candle_channels",
    "lookup",
    "subscribed_depth",
]

MEBIBYTE: Final = 1024 * 1024


class Parser(Protocol):
    """Parses the frames of one connection. It may hold state of that connection, and is thrown away with it."""

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """Returns all outputs of one frame, in order. Raises one of `errors.FRAME_ERRORS` for a frame that cannot be used."""
        ...


Verb = Literal["subscribe", "unsubscribe"]


class Request(msgspec.Struct, frozen=True):
    """One channel and some symbols, to subscribe or to unsubscribe with one message."""

    channel: str
    symbols: tuple[str, ...]
    request_id: int
    depth: int
    """Levels a side, for channels that have a choice."""
    handles: tuple[str, ...] = ()
    """Of an unsubscribe: what the venue's acknowledgements call these subscriptions, one for each symbol; empty where it has no such names
    (see `Ack.handle`)."""


def candle_channels(form: str, timeframes: Mapping[str, str]) -> dict[str, str]:
    """Return feed kind → channel for candles. `form`: the channel, with `{}` for the venue's name of a timeframe (ours → theirs)."""
    return {f"{CANDLE}{ours}": form.format(theirs) for ours, theirs in timeframes.items()}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One WebSocket address of a venue and the rules of a connection to it."""

    name: str
    url: str
    channels: Mapping[str, str]
    """Kind of feed → their channel. Several kinds may share one; a kind on two endpoints is taken from the first. For candles see
    `candle_channels`."""
    parser: Callable[[Symbols], Parser]
    request: Callable[[Verb, Request], bytes]
    """Writes the message that subscribes or unsubscribes."""
    answers: frozenset[str] = frozenset()
    """Channels whose subscription is answered with earlier data, which does not show that the stream goes on."""
    marks: Mapping[str, bytes] = {}
    """Kind of feed → text that only its frames have, where frames do not name their channel: one that cannot be read is known by it."""
    shared_channels: frozenset[str] = frozenset()
    """Channels of which one subscription brings the data of all symbols: it is requested once on a connection, with any one of the symbols.
    The parser ignores the data of symbols that are not this connection's."""
    awaits_unsubscribe: bool = False
    """A topic is subscribed again only once its unsubscribe is answered: to the venue, a subscribe before that changes nothing."""
    handles: bool = False
    """An unsubscribe must name what the acknowledgement called the subscription (`Ack.handle`): it cannot be sent before that has come."""
    binary: Callable[[bytes], bytes] | None = None
    """A binary frame → its JSON text; raises `FrameError` (see `parsing.binary`). None: a binary frame is a bad frame."""
    grant: GrantSource | None = None
    """Asked for before each connection; None: anyone may connect."""
    greets: bool = False
    """The venue sends a `Welcome` first, and nothing may be sent to it before."""
    greeting: tuple[bytes, ...] = ()
    """Sent first on every connection (channels without a symbol)."""
    ping: Callable[[int], bytes] | None = None
    """Writes an application ping with that request id, sent every `ping_s`; None: the venue has none."""
    ping_id: str | None = None
    """The ping's field that holds the request id; None: it has none."""
    ping_s: float = 30.0
    frame_ping_s: float = 0.0
    """Seconds between our WebSocket pings, which are frames of their own: for a venue that wants pings and has none as text; 0: none."""
    silence_s: float = 30.0
    """Seconds without any frame after which the session is dead."""
    max_frame_bytes: int = 4 * MEBIBYTE
    numbered: bool = False
    """All frames of a connection are numbered, so that a missing one makes all its books suspect: the parser returns `ConnectionBreak`."""
    topics: int = 1_000
    """Most (channel, symbol) pairs on one connection."""
    symbols_per_request: int = 100
    single_channels: frozenset[str] = frozenset()
    """Channels of which a request may name one symbol only, whatever `symbols_per_request` is."""
    time_field: str = ""
    """The field of each of our messages in which the venue wants the time of sending (s since the epoch): `request` and `ping` write 0
    there. Empty: there is no such field."""
    requests_per_s: float = 4.0
    requests_per_hour: int = 0
    """Subscribes and unsubscribes that the venue takes on one connection in an hour: one that has used most of them is replaced. 0: no such
    limit is known."""
    counts_symbols: bool = False
    """Each symbol of a request counts in `requests_per_hour`."""
    requests_shared: bool = False
    """The venue counts the requests of an address over all its connections."""
    connects_per_s: float = 0.5
    unknown_closes_s: float = 0.0
    """The venue answers a subscription of an unknown symbol by closing the connection, at most so many seconds later, without a word: after
    such a close symbols are subscribed one at a time, and one that closes the connection again is rejected (see
    `connection.quarantine`). 0: it refuses such a subscription."""
    lifetime_s: float = 0.0
    """Age in seconds at which the venue cuts a connection; 0: no such limit is known."""
    hosts: tuple[str, ...] = ()
    """Parts of a URL that identify a recording of this endpoint …"""
    speaks: Callable[[bytes], bool] | None = None
    """… or, if the URL does not, whether a frame is in its dialect. Not needed if the venue has one endpoint."""

    def subscribe(self, request: Request) -> bytes:
        """The message that subscribes what `request` names."""
        return self.request("subscribe", request)

    def unsubscribe(self, request: Request) -> bytes:
        """The message that unsubscribes it."""
        return self.request("unsubscribe", request)

    def dated(self, message: bytes, ts: int) -> bytes:
        """The message as it is sent at `ts` (ns since the epoch)."""
        if not self.time_field:
            return message
        field = f'"{self.time_field}":'.encode()
        return message.replace(field + b"0", field + b"%d" % (ts // 1_000_000_000), 1)

    def at_once(self, channel: str) -> int:
        """How many symbols of a channel one request may name."""
        return 1 if channel in self.single_channels else self.symbols_per_request


class ConnectLimit(msgspec.Struct, frozen=True):
    """How often a venue lets one address connect."""

    attempts: int
    window_s: float
    """Length of the window in which attempts are counted, in seconds."""


class CandleRules(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's candles: which it has, and what their figures mean. The reference of the venues is made from this."""

    timeframes: Mapping[str, str]
    """Our timeframe → the venue's name of it. Only those that begin when ours begin."""
    refused: Mapping[str, str] = {}
    """A timeframe that the venue has, or that users ask for, → why it cannot be had here."""
    open: Literal["first trade", "previous close", "not known"]
    """What `open` is."""
    empty: str
    """What the venue sends for an interval without trades."""
    closed: Literal["flag", "next candle"]
    """Who says that a candle is closed."""
    volume: str
    """The unit of the venue's volume, and how it becomes base units."""
    every_interval: bool = False
    """Whether the venue sends a candle for each interval, also one without trades: then none can be absent unless a frame was missed."""
    first: Literal["snapshot", "none"]
    """Whether a subscription is answered with past candles. `none`: they are fetched from `Venue.candle_source`."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Other addresses of a venue: its testnet or sandbox."""

    ws_urls: Mapping[str, str]
    """Endpoint → its address."""
    rest_urls: Mapping[str, str]
    """Key of `Venue.rest_urls` → its address."""
    headers: Mapping[str, str] = {}
    """Added to `Venue.headers`, where the environment is chosen by a header."""


NOT_LISTED: Final = "not listed any more"
"""The reason of an instrument that was listed once and is not now."""


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue as a value: everything that the connector knows about it."""

    id: str
    endpoints: tuple[Endpoint, ...]
    rest_urls: Mapping[str, str]
    headers: Mapping[str, str] = {}
    """Sent with each handshake and each request by REST; nothing secret."""
    posted: Callable[[str], tuple[str, bytes]] | None = None
    """A path and query as the sources below write them → the path of a POST that asks for the same, and its JSON body. Limits, captures and
    recordings use the path before. None: requests are GETs."""
    instruments: InstrumentSource
    book: BookRule
    snapshots: SnapshotSource | None = None
    trades: TradeSource | None = None
    quotes: QuoteSource | None = None
    trading: TradingSource | None = None
    candles: CandleRules | None = None
    """None: the venue publishes no candles."""
    candle_source: CandleSource | None = None
    polled: tuple[PolledSource, ...] = ()
    past_trades: PastTrades | str = "the venue has no such request"
    """Trades of any range; a text: why there are none, as a sentence without its full stop."""
    past_candles: PastCandles | None = None
    """Candles of any range; None: there are none."""
    rest_limits: tuple[RestLimit, ...] = ()
    """The venue's limits on REST requests of one address. The last one counts all that the others do not."""
    banned_with: str = ""
    """What the venue asks to wait (429, 418): the name that markets share which it bans together; empty: this venue alone."""
    asked_to_wait: Callable[[int, bytes], float | None] | None = None
    """(HTTP status, body) → for how many seconds the venue wants no more requests, where another status than 418, 429 and 503, or only the
    body, says so; None: it does not. A time in the answer's headers counts first."""
    environments: Mapping[str, Environment] = {}
    """Name of a testnet or sandbox → its addresses."""
    trade_ids: Literal["contiguous", "increasing", "unique", "none"] = "none"
    """contiguous: ids grow by one per instrument, a missing id is a gap; increasing: only duplicates show. Both: decimal integers. unique:
    texts in no order, which show duplicates among the newest trades; a `TradeSnapshot` has what was traded before the subscription."""
    trades_overtake: bool = False
    """Ids increase, but a trade may come after one with a later id: each id is published once, in whatever order."""
    quote_from_book: bool = False
    """The venue's quote feed is the top of its book, proven with it."""
    connects: ConnectLimit | None = None
    """The venue's limit over all its endpoints, of which `connect_budget` uses a part. None: it states none."""
    library_class: str = ""
    """The name of the class by which a library reaches this venue (see `bridge`); empty: we speak to it ourselves."""
    aliases: tuple[str, ...] = ()
    """Other names that recordings have this venue under."""
    recordings: Mapping[str, Venue] = {}
    """Part of a recording's address → the table that reads it, where its books keep other rules than those that we connect to."""
    recorded_channels: Mapping[str, Venue | None] = {}
    """The same by part of a frame or request, where addresses do not tell: the first of these that is among the first lines of a recording
    counts. None: this table reads it."""
    rest_error: Callable[[bytes], str | None] | None = None
    """The error in an answer that came with HTTP 200, if any."""

    @property
    def numbers_trades(self) -> bool:
        """Whether trade ids are decimal integers that grow."""
        return self.trade_ids in ("contiguous", "increasing")

    def rest_limit(self, path: str) -> RestLimit | None:
        """Return the limit that counts a request for this path; None: none is known."""
        return next((limit for limit in self.rest_limits if path.startswith(limit.prefix)), None)


def subscribed_depth(venue: Venue, book_depth: int) -> int:
    """Return the depth to subscribe: the smallest on offer that is not below ours, else the largest; ours if there is no choice."""
    return next((depth for depth in venue.book.depths if depth >= book_depth), max(venue.book.depths, default=book_depth))
