"""What can be asked for: one struct a fault. The first sentence of its docstring and the docstrings under its fields are the reference.

Nothing here says how a fault is brought about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from crosstape_simulator.venues.registry import VENUES

DAY_S: Final = 86_400.0
Seconds = Annotated[float, msgspec.Meta(ge=0, le=DAY_S)]
Some = Annotated[float, msgspec.Meta(gt=0, le=DAY_S)]
Times = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Chance = Annotated[float, msgspec.Meta(gt=0, le=1)]
CloseCode = Annotated[int, msgspec.Meta(ge=1000, le=4999)]
Kind = Literal["all", "trade", "quote", "book", "ticker", "candle", "mark", "funding", "open_interest", "liquidation"]
if TYPE_CHECKING:
    VenueName = str
else:
    VenueName = Literal[("all", *VENUES)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault"):
    """What all have."""

    venue: VenueName = "all"
    """`all`: wherever the fault exists."""
    after_s: Seconds = msgspec.field(name="after", default=0.0)
    """Seconds from now to its start."""


class Lasting(Fault, frozen=True):
    """A fault that goes on."""

    for_s: Seconds = msgspec.field(name="for", default=0.0)
    """Seconds that it lasts; 0: until it is removed."""


class Selected(Lasting, frozen=True):
    """A fault of some feeds."""

    instrument: str = "all"
    """Our name (`BTC-USDT`) or the venue's own."""
    kind: Kind = "all"
    """Which data."""


class Counted(Selected, frozen=True):
    """A fault of single frames."""

    count: Times = 1
    """How often it acts in all; 0: without end."""
    probability: Chance = 1.0
    """Of each frame that it could act on."""
    seed: int = 1
    """Of the draw."""


class Cut(Lasting, frozen=True, tag="cut"):
    """Cut all connections without a close frame. With `for`, new ones too."""

    for_s: Seconds = msgspec.field(name="for", default=0.0)
    """Seconds that new connections are cut, too; 0: only those that exist now."""


class HalfOpen(Lasting, frozen=True, tag="half-open"):
    """Connections stay open and say nothing at all: no data, no heartbeat, no pong, no goodbye. Cut when it ends."""

    at: Literal["frames", "handshake"] = "frames"
    """From when a new connection is silent: after the WebSocket's handshake, or even its handshake is not answered."""


class Close(Fault, frozen=True, tag="close"):
    """Close all connections with a close frame."""

    code: CloseCode = 1012
    """1000 normal, 1001 going away, 1008 policy, 1011 error, 1012 restart, 1013 try later."""
    reason: Annotated[str, msgspec.Meta(max_length=100)] = ""
    """Its text."""


class Lifetime(Lasting, frozen=True, tag="lifetime"):
    """Close each connection once it is so old, as Binance does after 24 hours."""

    at: Some = 60.0
    """Seconds since it was opened."""
    code: CloseCode = 1000
    """Of the close frame."""


class Expired(Lasting, frozen=True, tag="expired"):
    """Tokens for connections have expired when they are used: those connections are refused, as the venue refuses them."""


class SlowLoris(Lasting, frozen=True, tag="slow-loris"):
    """Send everything byte by byte, at a crawl: frames begin and do not end."""

    rate: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20
    """Bytes a second and connection."""


class Oversized(Counted, frozen=True, tag="oversized"):
    """A frame is larger than clients allow: white space follows its JSON."""

    kind: Kind = "all"
    """Which data."""
    size: Annotated[int, msgspec.Meta(ge=1, le=256 * 1024 * 1024)] = 40 * 1024 * 1024
    """Bytes of it."""


class Malformed(Counted, frozen=True, tag="malformed"):
    """A frame is broken."""

    kind: Kind = "all"
    """Which data."""
    how: Literal["json", "utf8", "opcode", "unknown", "binary", "gzip"] = "json"
    """`json`: cut in half; `utf8`: with bytes that are no text; `opcode`: of a reserved kind; `unknown`: a message of no known kind
    comes before it, which itself is not broken; `binary`: its text as a binary frame that is not packed; `gzip`: packed, then cut."""


class OddRow(Counted, frozen=True, tag="odd-row"):
    """One row of a frame cannot be read: a trade, a level of a book, a ticker; the rows beside it are as usual."""

    kind: Kind = "all"
    """Which data."""
    what: Literal["price", "size"] = "price"
    """Which of its numbers."""
    how: Literal["text", "null", "empty", "nan", "negative", "huge", "type", "missing"] = "text"
    """What is in its place: `text`: letters; `empty`: an empty text; `huge`: more than any price; `type`: an object; `missing`: nothing."""


class Stall(Selected, frozen=True, tag="stall"):
    """Feeds say nothing while heartbeats and all other feeds go on, on all connections, and after a new subscription too: a venue's dead
    shard. When it ends, what was held comes at once, in order.
    """

    heals: Literal["never", "resubscribe", "reconnect"] = "never"
    """What makes a feed speak while it lasts: `never` nothing; `resubscribe` a new subscription, on any connection; `reconnect` only a
    subscription on a connection that was opened since."""


class Drop(Counted, frozen=True, tag="drop"):
    """An update is lost on the way; those after it keep their numbers."""

    kind: Kind = "book"
    """Which data."""


class Duplicate(Counted, frozen=True, tag="duplicate"):
    """An update comes twice."""

    kind: Kind = "book"
    """Which data."""


class Swap(Counted, frozen=True, tag="swap"):
    """An update and the next one of its feed change places."""

    kind: Kind = "book"
    """Which data."""


class Delay(Selected, frozen=True, tag="delay"):
    """Data come later, in order."""

    kind: Kind = "book"
    """Which data."""
    by: Some = 2.0
    """Seconds."""


class Checksum(Counted, frozen=True, tag="checksum"):
    """The checksum of a book frame does not match."""

    kind: Literal["book"] = "book"
    """Only books have one."""
    what: Literal["checksum", "level", "missing"] = "checksum"
    """What is wrong: the checksum, or the size of one level; `missing`: a snapshot has no checksum."""


class Reset(Lasting, frozen=True, tag="reset"):
    """The venue's numbers begin again: Binance's update ids at 1 (by REST too), Coinbase's `sequence_num` at 0."""

    instrument: str = "all"
    """Our name or the venue's own; Coinbase's numbers count all of a connection."""


class Burst(Lasting, frozen=True, tag="burst"):
    """The market of all synthetic venues, which they share, runs faster."""

    factor: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 20.0
    """Of orders a second."""


class Market(Lasting, frozen=True, tag="market"):
    """The true market of an instrument rests, or moves in steps and rests between them; what was set is over, it goes on as before. REST
    and stream follow it.
    """

    instrument: str = "all"
    """Our name or the venue's own."""
    how: Literal["rest", "step"] = "step"
    """`rest`: nothing happens; `step`: all levels of the book move, at once and then at a steady pace. No trade is made of it."""
    every: Seconds = 30.0
    """Seconds from one step to the next; 0: only the first."""
    by: Annotated[float, msgspec.Meta(ge=-50, le=50)] = 0.1
    """Percent of the price, of each step; negative: down."""


class Halt(Lasting, frozen=True, tag="halt"):
    """Trading in an instrument is halted and the stream does not say so: its market rests, its book stays, and only the venue's list of
    instruments by REST says it, as the venue writes it.
    """

    instrument: str = "all"
    """Our name or the venue's own."""
    how: Literal["halt", "offline", "cancel_only", "post_only", "delisted", "gone"] = "halt"
    """What the list says; `gone`: the instrument is in it no more."""


class SkipIds(Fault, frozen=True, tag="skip-ids"):
    """The next trade's id is higher than usual, on the stream and by REST: the ids between never existed."""

    instrument: str = "all"
    """Our name or the venue's own."""
    ids: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 3
    """How many are skipped."""


class Skew(Selected, frozen=True, tag="skew"):
    """The venue's clock is wrong: all times in its frames are shifted, and if it is of all data, those in its REST answers too."""

    by: Annotated[float, msgspec.Meta(ge=-DAY_S, le=DAY_S)] = -5.0
    """Seconds; negative: its clock is behind."""


class Refuse(Selected, frozen=True, tag="refuse"):
    """Subscriptions are refused, as the venue refuses them."""


class Silent(Selected, frozen=True, tag="silent"):
    """Subscriptions are acknowledged, but no data come, until they are made again after the fault's end."""


class Late(Selected, frozen=True, tag="late"):
    """Subscriptions are acknowledged late; their data may come before."""

    by: Some = 5.0
    """Seconds."""


class Maintenance(Lasting, frozen=True, tag="maintenance"):
    """The venue says that it is under maintenance, or about to restart, as it says so; data go on."""

    system: Literal["maintenance", "cancel_only", "post_only", "limit_only"] = "maintenance"
    """The state, as Kraken names it."""


class RestFault(Lasting, frozen=True):
    """A fault of REST answers."""

    path: str = ""
    """Only of paths that begin so; empty: of all."""
    count: Times = 0
    """How often it acts in all; 0: without end."""


class RestStatus(RestFault, frozen=True, tag="rest-status"):
    """REST refuses: with an HTTP error, 429 and 418 with Retry-After, and the reason as the venue writes it; or as Kraken does, with 200
    and a list of errors.
    """

    status: Literal[200, 403, 418, 429, 451, 500, 501, 502, 503, 504] = 429
    """HTTP status; 200 and 418 are not every venue's."""
    retry_after: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 5
    """Seconds in the header of 429, 418 and 503; 0: no such header."""
    reason: Annotated[str, msgspec.Meta(max_length=400)] = ""
    """The reason in place of the venue's usual one."""
    body: Literal["json", "html", "empty"] = "json"
    """`json`: as the venue's API answers; `html`: a page, as a proxy before it answers; `empty`: nothing."""


class OddList(Lasting, frozen=True, tag="odd-list"):
    """A row in the venue's list of instruments by REST is odd; all others are as usual."""

    instrument: str = ""
    """Whose row; empty: one more row, the first, of a pair that is not traded."""
    how: Literal["null", "empty", "status", "missing", "type", "row", "duplicate"] = "null"
    """`null`: its base asset (Kraken: its name) is null; `empty`: its tick is an empty text; `status`: one that nobody knows; `missing`:
    it has no status; `type`: its lot is a list; `row`: there is null in place of the row; `duplicate`: it is there twice."""


class RestHang(RestFault, frozen=True, tag="rest-hang"):
    """REST requests are taken and not answered while it lasts; then they are cut."""


class RestTruncate(RestFault, frozen=True, tag="rest-truncate"):
    """REST answers end in the middle."""


class RestOld(Lasting, frozen=True, tag="rest-old"):
    """The snapshot of a book stays as it was when the fault began, while the stream goes on: older than the stream."""

    instrument: str = "all"
    """Our name or the venue's own."""


class OddPast(Lasting, frozen=True, tag="odd-past"):
    """REST answers about past trades or candles of an instrument are odd, as venues' are now and then."""

    instrument: str = "all"
    """Our name or the venue's own."""
    how: Literal["overlap", "twice", "moving"] = "overlap"
    """`overlap`: a page of trades repeats some of the page before; `twice`: some candles have two rows, of which the older one is wrong;
    `moving`: the newest closed candles have only a part of their volume, for as many answers as `number`."""
    number: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 3
    """Trades that are repeated; every so many candles one is there twice; or answers."""


AnyFault = (
    Cut | HalfOpen | Close | Lifetime | Expired | SlowLoris | Oversized | Malformed | OddRow
    | Stall | Drop | Duplicate | Swap | Delay | Checksum | Reset | Burst | Market | Halt | SkipIds | Skew
    | Refuse | Silent | Late | Maintenance
    | OddPast | RestStatus | RestHang | RestTruncate | RestOld | OddList
)  # fmt: skip
