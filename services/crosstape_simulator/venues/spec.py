"""A simulated venue as a value: everything that the shared code needs to know about a venue, and what that is made of.

The server, the market, recordings and faults know no venue by name: they ask the venue's `SimulatedVenue`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

import msgspec

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.market.history import MarketData, Top, Traded
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Move, Pair
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.manners import Grant, Packing, ServerPings
from crosstape_simulator.server.rest import Answer, Rest
from crosstape_simulator.server.server import Endpoint
from crosstape_simulator.venues.rewriting import Checksum, Numbers, UpdateIds

Options = Mapping[str, float]
"""Settings of one venue by name."""


class Role(Enum):
    """Whom a frame is for."""

    DATA = auto()  # clients that have subscribed to one of its topics
    REPLY = auto()  # the client that made a request
    FREE = auto()  # every client


class FrameInfo(NamedTuple):
    """What a frame is."""

    role: Role
    topics: tuple[Topic, ...] = ()
    """Any of these; of a reply: what it is about."""
    number: int | None = None
    """The connection's own number, where the venue counts frames."""
    book_depth: tuple[str, int] | None = None
    """(symbol, depth) of a reply that says it."""


class Request(NamedTuple):
    """A request to subscribe or unsubscribe."""

    subscribe: bool
    topics: tuple[Topic, ...]
    body: dict[str, Any]


Level = tuple[Decimal, str]
"""Price, and size as the venue wrote it."""


class Levels(NamedTuple):
    """A book, or the changes of one."""

    symbol: str
    snapshot: bool
    bids: list[Level]
    asks: list[Level]


class VenueMarket(Rest, Protocol):
    """A venue's view of the synthetic market: it turns moves into frames, and answers REST requests."""

    due: int
    """When `flush` must be called next (market time, ns)."""

    @property
    def feeds(self) -> Mapping[str, Feed]:
        """By the name of the endpoint."""
        ...

    def apply(self, move: Move) -> None:
        """Send what one move of this venue leads to. Moves come in order of time; the book already shows this one."""
        ...

    def flush(self, ts: int) -> None:
        """Send what has been gathered until `ts`."""
        ...

    def second(self, now: int) -> None:
        """Called once a second of real time: heartbeats that carry data of the market."""
        ...

    def number(self, symbol: str) -> int | None:
        """The venue's number of the newest change of a symbol's book; None: it has none."""
        ...


def _no_change(payload: bytes) -> bytes | None:
    return None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One WebSocket endpoint: where it is, and how to read its frames and requests."""

    name: str = ""
    """As the connector's settings call it; empty for a venue that has one endpoint."""
    path: str
    """Clients connect to it."""
    prefixes: tuple[str, ...]
    """Every path that leads here."""
    feed: Callable[[Source, Options], Feed]
    """Makes the feed that speaks the venue's protocol."""
    classify: Callable[[bytes], FrameInfo]
    """What a recorded frame is. May raise `msgspec.MsgspecError` or `UnicodeDecodeError`."""
    classify_sent: Callable[[bytes], FrameInfo] | None = None
    """The same for frames of the simulator, where these have more forms; None: `classify`."""
    asked: Callable[[dict[str, Any]], Request | None]
    """What a client's JSON object asks for; None: it is not a request about subscriptions."""
    refuse: Callable[[Request, Collection[Topic]], tuple[list[bytes], Request | None]]
    """(request, refused topics) → the venue's replies, and what is left of the request; None: nothing."""
    acknowledges_each: bool = False
    """One acknowledgement a topic, not one a request."""
    numbers: Numbers | None = None
    """How the frames of a connection are numbered; None: they are not."""
    repeat: Callable[[bytes], bytes | None] = _no_change
    """A recorded reply that came later than the first, as it is played to clients; None: it is not played."""
    rest_prefix: str = ""
    """How the paths of its REST address begin, where a venue's endpoints have REST addresses of their own."""
    binary: Packing | None = None
    """How its frames, which everything here sees as text, are sent as binary frames (`GZIP`, `AS_TEXT`); None: as text."""
    grant: Grant | None = None
    """The POST that gives the token which a connection needs; None: it needs none."""
    welcome: Callable[[Mapping[str, str]], bytes] | None = None
    """Query of the client's address → the frame that is sent a little after connecting; messages before it are lost. None: none."""
    pings: ServerPings | None = None
    """Pings that the server sends as data frames; the venue's options `ping_s` and `pong_within_s` replace their times."""
    silence_s: float = 0.0
    """A client that has sent nothing for so long, not even a ping of its own as text, is closed (s); 0: it is not."""

    def text(self, payload: bytes) -> bytes:
        """The text of a recorded frame: unpacked, if it can be."""
        if self.binary is None:
            return payload
        try:
            return self.binary.unpack(payload)
        except (OSError, EOFError, zlib.error):
            return payload

    def endpoint(self, feed: Feed, options: Options) -> Endpoint:
        """The server's endpoint for the dialect's feed."""
        pings = self.pings
        if pings is not None:
            times = options.get("ping_s", pings.every_s), options.get("pong_within_s", pings.within_s)
            pings = msgspec.structs.replace(pings, every_s=times[0], within_s=times[1])
        return Endpoint(
            self.name,
            self.path,
            feed,
            self.prefixes,
            rest_prefix=self.rest_prefix,
            packing=self.binary,
            grant=self.grant,
            welcome=self.welcome,
            pings=pings,
            silence_s=options.get("silence_s", self.silence_s),
        )


class InstrumentList(msgspec.Struct, frozen=True, kw_only=True):
    """One of the venue's lists of instruments by REST: where its rows are, and what their fields are called."""

    path: str
    rows: tuple[str, ...]
    """Keys from the answer to the rows, of a list the place as text; none: they are the answer."""
    symbol: str
    base: str
    tick: str
    lot: str
    status: str = "status"
    nested: str = ""
    """Key of a row's list that holds tick and lot; empty: the row holds them."""
    lists: int = 0
    """The answer is a list of so many lists of symbols (and of others after them): a row is a symbol, without fields."""
    has_rows: bool = False
    """Each row can be asked for under the path, too."""
    unlisted: Callable[[str], Mapping[str, object]]
    """The names in the row of a pair that nobody lists, from its base asset; it is quoted in USDT."""
    names: Callable[[str], str] = str
    """Symbol → what the row's `symbol` says."""


class RestBook(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot of a book by REST."""

    path: str
    """`{symbol}` in it is the symbol."""
    query: Mapping[str, str] = {}
    """Of the complete book, besides the symbol."""
    parameter: str = ""
    """The query's name of the symbol, where the path does not have it."""
    topics: Callable[[str], tuple[Topic, ...]]
    """Symbol → topics whose clients need the snapshot to begin."""
    cut: Callable[[bytes, Mapping[str, str]], bytes] = lambda body, query: body
    """(complete book, query) → with as many levels as the query asks for."""

    def request(self, symbol: str) -> tuple[str, Mapping[str, str]]:
        """Path and query of a symbol's complete book."""
        return self.path.format(symbol=symbol), {self.parameter: symbol, **self.query} if self.parameter else self.query

    def symbol(self, path: str, query: Mapping[str, str]) -> str | None:
        """The symbol whose book is asked for; None: it is another request."""
        if self.parameter:
            return query.get(self.parameter, "") if path == self.path else None
        before, _, after = self.path.partition("{symbol}")
        found = re.fullmatch(re.escape(before) + "([^/]+)" + re.escape(after.rstrip("/")) + "/?", path)
        return found[1] if found else None


def _not_posted(path: str, body: bytes) -> str | None:
    return None


def _same_query(query: Mapping[str, str], ns: int) -> Mapping[str, str]:
    return query


class RestRules(msgspec.Struct, frozen=True, kw_only=True):
    """What recordings and faults need to know of the venue's REST side."""

    history: Callable[[MarketData, str, Mapping[str, str], int], Answer | None]
    """(data, path, query, now) → the answer about trades or best prices; None: the path is about something else."""
    unknown: Answer
    """The answer to an unknown symbol or path."""
    refusal: Callable[[int, str], object]
    """(HTTP status, reason) → the JSON of a refusal; an empty reason: the venue's usual text."""
    statuses: frozenset[int] = frozenset()
    """Which of 200 and 418 the venue refuses with; others are every venue's."""
    lists: tuple[InstrumentList, ...]
    halted: Mapping[str, Mapping[str, object]]
    """How a pair is halted → what its row in the lists says."""
    book: RestBook | None = None
    """None: snapshots come on the stream."""
    posted: Callable[[str, bytes], str | None] = _not_posted
    """(path, body) of a POST → path and query of the GET that asks for the same, by which all else here knows it; None: there is none."""
    shift_query: Callable[[Mapping[str, str], int], Mapping[str, str]] = _same_query
    """(query, ns) → the query with all its times earlier by `ns`."""
    complete: Callable[[dict[tuple[str, str], list[bytes]]], None] = lambda answers: None
    """Adds to recorded answers ((path, symbol) → bodies) those that can be made from them."""


def plain(topic: Topic) -> tuple[str, str]:
    """(channel, symbol) of a topic of the form (channel, symbol, …) or (channel,)."""
    return topic[0], topic[1] if len(topic) > 1 else ""


class RecordedRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue's recordings are read. The three tables are by channel."""

    names: str = ""
    """What the venue is called in recordings, as a regular expression; empty: its id."""
    endpoint: Callable[[str, str], str] = lambda name, url: ""
    """(name in the recording, address) → the endpoint of a connection."""
    is_greeting: Callable[[bytes], bool] = lambda payload: False
    """Whether this frame is the one that greets every client."""
    trades: Mapping[str, Callable[[bytes], Iterable[tuple[str, Traded]]]] = {}
    """All trades in a frame, with their symbols."""
    books: Mapping[str, Callable[[bytes], Iterable[Levels]]] = {}
    """Books, where the stream sends their snapshots."""
    tops: Mapping[str, Callable[[bytes], Top]] = {}
    """Best prices, of a frame's newest row."""


def _named_alike(listing: Listing, base: str) -> str:
    symbol = listing.symbol.replace(listing.base, base)
    return symbol if symbol != listing.symbol else symbol.replace(listing.base.lower(), base.lower())


class SimulatedVenue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue: what it lists, how it speaks, and which faults it can have."""

    id: str
    title: str
    """Its name in sentences."""
    listings: tuple[Listing, ...]
    stablecoins: tuple[Listing, ...] = ()
    """Pairs of stablecoins against the dollar, which are listed only where they are asked for."""
    symbol_of: Callable[[Listing, str], str] = _named_alike
    """(one of its listings, another base asset) → the symbol of that asset's pair."""
    options: Options = {}
    """Settings that only this venue has, with their defaults; `SimulatorSpec.options` may change them."""
    dialects: tuple[Dialect, ...]
    market: Callable[[Sequence[Pair], int, Options], VenueMarket]
    """(pairs, start (ns), options) → its view of the synthetic market."""
    rest: RestRules
    recorded: RecordedRules = RecordedRules()
    named: Callable[[Topic], tuple[str, str]] = plain
    """Topic → (channel, symbol)."""
    kinds: Mapping[str, frozenset[str]]
    """Channel → our kinds of data (`trade`, `candle`, …); one that is not here has none (a status)."""
    fields: Mapping[str, tuple[str, str]]
    """Kind → names of price and size, where a row is a JSON object; as regular expressions."""
    rows: Mapping[str, bytes] = {}
    """Kind → a regular expression of a row that is a list, with the groups `price` and `size`; books of `["price","size"]` need none."""
    shift: Callable[[bytes, int], bytes]
    """(frame, ns) → the frame with all its times later by `ns`."""
    shift_answer: Callable[[bytes, int], bytes] | None = None
    """The same for REST answers, where these have other times; None: `shift`."""
    checksum: Checksum | None = None
    """None: books have none."""
    ids: UpdateIds | None = None
    """How changes of a book are numbered; None: they are not."""
    maintenance: str
    """How the venue announces maintenance, for the reference; empty: it does not."""
    maintenance_once: bool = False
    """It is announced once, and nothing says that it is over."""
    maintenance_words: tuple[bytes, bytes] | None = None
    """In frames of the channel `status` while there is maintenance: what is replaced, by what."""

    def settings(self, given: Mapping[str, Options]) -> Options:
        """The venue's options. `given`: those that were set, by venue. Raises `SimulatorError` for one that the venue does not have."""
        own = given.get(self.id, {})
        if unknown := [name for name in own if name not in self.options]:
            raise SimulatorError(f"{self.id}: {unknown[0]}: no such option; there are {', '.join(self.options)}")
        return {**self.options, **own}

    def dialect(self, name: str) -> Dialect:
        """The endpoint of this name."""
        return next(dialect for dialect in self.dialects if dialect.name == name)

    def classify(self, endpoint: str, payload: bytes) -> FrameInfo:
        """What a recorded frame is. One that cannot be read is for every client: it is played as it is."""
        return _classified(self.dialect(endpoint).classify, payload)

    def classify_sent(self, endpoint: str, payload: bytes) -> FrameInfo:
        """What a frame of the simulator is."""
        dialect = self.dialect(endpoint)
        return _classified(dialect.classify_sent or dialect.classify, payload)


def _classified(classify: Callable[[bytes], FrameInfo], payload: bytes) -> FrameInfo:
    try:
        return classify(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return FrameInfo(Role.FREE)
