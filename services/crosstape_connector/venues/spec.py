"""The seam between a venue and the machinery that runs it.

A venue is data: a `Venue` with its endpoints, rules and pure functions. Its parsers return `Output`s (see `messages`). No I/O here, and no
clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from crosstape_connector.errors import UnknownSymbol
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, CandleSnapshot, Odd, OddRow, Output, TradeSnapshot
from crosstape_connector.venues.past import PastCandles, PastTrades, RestLimit
from crosstape_schemas import CANDLE, Funding, Instrument, Level, Mark, OpenInterest, Quote, asset

MEBIBYTE: Final = 1024 * 1024


class Parser(Protocol):
    """Parses the frames of one connection. It may hold state of that connection, and is thrown away with it."""

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """Returns all outputs of one frame, in order. Raises one of `errors.FRAME_ERRORS` for a frame that cannot be used."""
        ...


Symbols = Mapping[str, Instrument]
"""Their symbol → our instrument. It may grow while parsers run, so that they look a symbol up each time that they need it."""


def lookup(symbols: Symbols, symbol: str, what: str = "symbol") -> Instrument:
    """Return our instrument for a venue's symbol. Raises `UnknownSymbol`, whose text begins with `what`."""
    instrument = symbols.get(symbol)
    if instrument is None:
        raise UnknownSymbol(f"{what} {symbol!r}")
    return instrument


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


class Grant(msgspec.Struct, frozen=True):
    """The venue's permission to connect once."""

    url: str
    """Where to connect, without a query. An address from the settings replaces it."""
    query: Mapping[str, str]
    """Secret. `{id}` in a value stands for a text that no other connection has."""
    ping_s: float | None = None
    """How often the venue wants a ping; None: as the endpoint says."""


class GrantSource(msgspec.Struct, frozen=True, kw_only=True):
    """A permission to connect, by a POST without a body before each connection."""

    rest: str = "rest"
    """The key of the address in `Venue.rest_urls`."""
    path: str
    parse: Callable[[bytes], Grant]
    """Raises `FrameError` or `msgspec.MsgspecError`."""


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


class Verdict(Enum):
    """The verdict of a book rule on an update."""

    APPLY = auto()
    SKIP = auto()  # older than what the book holds
    BREAK = auto()  # something is missing before it


class BookRule(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue's books are kept and proven. The `int` that the functions get is the number of the snapshot or of the last update."""

    snapshot: Literal["rest", "stream"]
    bridges: Callable[[BookUpdate, int], Verdict] | None = None
    """Whether an update links to a REST snapshot."""
    follows: Callable[[BookUpdate, int], Verdict] | None = None
    """Whether an update links to the one before; None: the venue has no numbers (or they count the connection, see `ConnectionBreak`)."""
    checksum: Callable[[Sequence[Level], Sequence[Level]], int] | None = None
    """Computes the checksum of the book's best levels: bids and asks, best first, `checksum_levels` of each if there are as many."""
    checksum_levels: int = 10
    checksum_of: Callable[[Instrument], Callable[[Sequence[Level], Sequence[Level]], int]] | None = None
    """Makes `checksum` for an instrument, where it is of the venue's own sizes, and levels have base units. For recordings alone: that the
    venue sends checksums today is said by `checksum`."""
    ordered: bool = False
    """The times of a book's frames never go back: a frame whose time does was overtaken. For a venue without numbers."""
    truncates: bool = False
    """The venue never deletes what falls out of the subscribed depth: cut after every frame."""
    jumps: bool = False
    """Numbers may skip while nothing is missing (`follows` allows it): such updates are counted."""
    restarts: bool = False
    """A snapshot of the stream whose time is later than the book's replaces it whatever its number is: numbers may begin again. Any other
    one with a lower number is a late repetition."""
    crossed_updates: int = 0
    """How many updates in a row may leave the book crossed: it is not published meanwhile, and broken after more."""
    depths: tuple[int, ...] = ()
    """Depths that can be subscribed, ascending; empty: no choice."""
    proof: str = ""
    """The rule in words, for docs/reference/venues.md."""

    def of(self, instrument: Instrument) -> BookRule:
        """Return the rule for the book of an instrument."""
        return self if self.checksum_of is None else msgspec.structs.replace(self, checksum=self.checksum_of(instrument), checksum_of=None)


class SnapshotSource(msgspec.Struct, frozen=True, kw_only=True):
    """A book by REST."""

    rest: str = "rest"
    """The key of the address in `Venue.rest_urls`."""
    path: Callable[[str, int], str]
    """(their symbol, levels a side: one of `levels`, or 0 where there is no choice) → path and query."""
    levels: Mapping[int, int] = {}
    """Levels a side that a snapshot may have, ascending → what such a request counts in `per_minute`; empty: no choice, each counts 1."""
    parse: Callable[[bytes, Instrument, int], BookSnapshot]
    """(body, instrument, received_ts). Raises `FrameError` or `msgspec.MsgspecError`."""
    match: Callable[[str], str | None]
    """URL → their symbol, if it is a request for a snapshot (for captures)."""
    per_minute: int
    """Most requests of this kind a minute, by what each counts, within the venue's limits."""


class TradeSource(msgspec.Struct, frozen=True, kw_only=True):
    """Past trades by REST, a page at a time, oldest first."""

    rest: str = "rest"
    """The key of the address in `Venue.rest_urls`."""
    path: Callable[[str, int, int], str]
    """(their symbol, first id wanted, when that trade was made at the earliest, ns) → path and query of the page that begins there.

    A venue uses whichever of the two it understands. The page may begin earlier: trades that are known already are dropped by id.
    """
    newest: Callable[[str], str]
    """Their symbol → path and query of the newest trades."""
    parse: Callable[[bytes, Instrument, int], TradeSnapshot]
    """(body, instrument, received_ts) → its trades, ascending by id. Raises `FrameError` or `msgspec.MsgspecError`."""
    page: int
    """Trades in a page at most: a shorter page is the last."""
    per_minute: int
    """Most requests of this kind a minute, within the venue's limits beside the others."""


class QuoteSource(msgspec.Struct, frozen=True, kw_only=True):
    """Best bid and ask by REST."""

    rest: str = "rest"
    path: Callable[[Sequence[str]], str]
    """Their symbols, at most `batch` → path and query."""
    parse: Callable[[bytes, Symbols, int], Sequence[Quote | Odd]]
    """(body, their symbol → our instrument of those asked for, received_ts) → quotes, and the rows that are odd. Raises `FrameError` or
    `msgspec.MsgspecError`."""
    batch: int = 1
    """Symbols in one request at most."""
    per_minute: int


class InstrumentSource(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's instruments by REST."""

    rest: str = "rest"
    path: str
    more: tuple[str, ...] = ()
    """Paths of further lists, where the venue has no list of all: each is fetched, and parsed by itself."""
    parse: Callable[[bytes], Sequence[Instrument | OddRow]]
    """The instruments, no name and no symbol twice, and the rows that are odd. Rows that are not ours to map are left out. Raises
    `FrameError` or `msgspec.MsgspecError` for what is no list at all."""
    ours: Callable[[str], str] = asset
    """The venue's name of an asset → ours."""
    recorded: tuple[str, ...] = ()
    """Other paths that recordings have this list, or parts of it, under: `parse` can read their answers. One that ends with a slash stands
    for all paths below it."""

    def match(self, url: str) -> bool:
        """Whether a captured request is one for this list."""
        place = urlsplit(url).path
        below = any(one.endswith("/") and one in place for one in self.recorded)
        return below or place.endswith((*(path.partition("?")[0] for path in self.paths), *self.recorded))

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all lists."""
        return self.path, *self.more


class TradingSource(msgspec.Struct, frozen=True, kw_only=True):
    """Whether instruments trade now, by REST."""

    rest: str = "rest"
    path: Callable[[Sequence[str]], str]
    """Their symbols, at most `batch` → path and query. The answer may have others, too."""
    parse: Callable[[bytes, Sequence[str]], Mapping[str, str]]
    """(body, their symbols that were asked for) → symbol → why it does not trade; empty: it does.

    A symbol that is not listed any more has a reason; one whose row cannot be read is left out. Raises as `InstrumentSource.parse`.
    """
    unknown: Callable[[str], bool] = lambda error: False
    """Whether an error says that one of the symbols is not listed. Not needed where the answer lists all."""
    batch: int = 1_000
    """Symbols in one request at most."""
    per_minute: int


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


class CandleSource(msgspec.Struct, frozen=True, kw_only=True):
    """Past candles by REST."""

    rest: str = "rest"
    """The key of the address in `Venue.rest_urls`."""
    path: Callable[[str, str, int], str]
    """(their symbol, our timeframe, `open_ts` of the first candle wanted) → path and query. The answer may begin earlier."""
    parse: Callable[[bytes, Instrument, str, int], CandleSnapshot]
    """(body, instrument, our timeframe, received_ts) → its candles, ascending; the last one may still be open. Raises `FrameError` or
    `msgspec.MsgspecError`."""
    page: int
    """Candles in one answer at most."""
    per_minute: int
    """Most requests of this kind a minute, within the venue's limits beside the others."""


class PolledSource(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of derivatives that the venue has only by REST."""

    kinds: tuple[Literal["mark", "funding", "open_interest"], ...]
    """Kinds of feeds that the answer brings."""
    rest: str = "rest"
    """The key of the address in `Venue.rest_urls`."""
    path: Callable[[Sequence[str]], str]
    """Their symbols, at most `batch` → path and query. The answer may have others, too."""
    parse: Callable[[bytes, Symbols, int], Sequence[Mark | Funding | OpenInterest | Odd]]
    """(body, those asked for, received_ts) → their figures, and the rows that are odd. Raises `FrameError` or `msgspec.MsgspecError`."""
    batch: int = 1
    """Symbols in one request at most."""
    interval_s: float
    """How often each symbol is asked for, where the rate limit allows it."""
    per_minute: int


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
