"""The parsers of OKX's two venues: they share all channels, and differ in whose frames they pass over.

Status  `status` announces maintenance of the venue. While it goes on, of the WebSocket or of trading as a whole, the venue is down;
        of anything else (a demo, block trades, bots) it is not
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.okx import connection, contracts, stream
from crosstape_connector.venues.okx.books import CHANNELS, Books
from crosstape_connector.venues.okx.connection import IGNORED, INDEX, LIQUIDATIONS, Route
from crosstape_connector.venues.okx.values import SPOT_ID, SWAP_ID, moment
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import VENUE_WIDE, FeedState, Status

ONGOING: Final = frozenset({"ongoing", "pre_open"})
OF_ALL: Final = frozenset({"0", "5"})
"""`serviceType` of the WebSocket, and of trading."""
DEMO: Final = "2"
LIVE: Final = "live"


class RawStatus(msgspec.Struct, frozen=True, gc=False):
    state: str
    begin: str
    title: str = ""
    service: str = msgspec.field(name="serviceType", default="")
    env: str = ""
    ts: str = ""


class RawState(msgspec.Struct, frozen=True, gc=False):
    symbol: str = msgspec.field(name="instId")
    state: str


_status = msgspec.json.Decoder(RawStatus).decode
_state = msgspec.json.Decoder(RawState).decode


class Parser(connection.Parser):
    """Frames of one connection to either address: recordings are older than the second one."""

    __slots__ = ("_books", "_maintenance", "_marks")
    venue: ClassVar[str]
    channels: ClassVar = {**stream.ROUTES, **contracts.ROUTES}

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(symbols)
        self._books = Books()
        self._marks = contracts.Marks(symbols)
        self._maintenance: dict[tuple[str, str], str] = {}  # begin and kind of what goes on → its title

    def parts(self, data: bytes, head: bytes, rest: bytes, received_ts: int) -> Sequence[Output]:
        """See `connection.Parser.parts`."""
        try:
            return super().parts(data, head, rest, received_ts)
        except FRAME_ERRORS:
            self._marks.forget()
            raise

    def route(self, channel: str, symbol: str, action: str) -> Route[Any]:
        """See `connection.Parser.route`."""
        match channel:
            case "status":
                return stream.rows_route("status", self._statuses)
            case "instruments":
                return stream.rows_route("state", self._states)
            case _ if channel == LIQUIDATIONS:
                return contracts.forced_route(self._symbols) if self.venue == SWAP_ID else IGNORED
            case _ if channel == INDEX:
                return self._marks.index_route(symbol) if self.venue == SWAP_ID else IGNORED
        if channel not in CHANNELS and channel != "mark-price":
            return super().route(channel, symbol, action)
        if self.is_elsewhere(symbol):
            return IGNORED
        instrument = lookup(self._symbols, symbol)
        return self._books.route(instrument, channel, action) if channel in CHANNELS else self._marks.mark_route(instrument)

    def _statuses(self, raw: msgspec.Raw, received_ts: int) -> Sequence[Status]:
        """Return the state of the venue after this announcement; none if it is about something else."""
        row = _status(raw)
        if row.env == DEMO or row.service not in OF_ALL:
            return ()
        key = row.begin, row.service
        if row.state in ONGOING:
            self._maintenance[key] = row.title or "maintenance"
        else:
            self._maintenance.pop(key, None)
        reason = next(iter(self._maintenance.values()), "")
        state = FeedState.DOWN if reason else FeedState.LIVE
        return (Status(self.venue, VENUE_WIDE, moment(row.ts), received_ts, VENUE_WIDE, state, reason[:200]),)

    def _states(self, raw: msgspec.Raw, received_ts: int) -> Sequence[Status]:
        """Return whether one of our instruments trades."""
        row = _state(raw)
        instrument = self._symbols.get(row.symbol)
        if instrument is None:
            return ()
        trades = row.state == LIVE
        state, reason = (FeedState.LIVE, "") if trades else (FeedState.DOWN, f"does not trade: {row.state[:40]}")
        return (Status(self.venue, instrument.name, None, received_ts, VENUE_WIDE, state, reason),)


class SpotParser(Parser):
    """Frames of spot."""

    __slots__ = ()
    venue = SPOT_ID

    def is_elsewhere(self, symbol: str) -> bool:
        """Contracts and options have more than two parts in their names."""
        return symbol not in self._symbols and symbol.count("-") > 1


class SwapParser(Parser):
    """Frames of contracts."""

    __slots__ = ()
    venue = SWAP_ID

    def is_elsewhere(self, symbol: str) -> bool:
        """Spot has two parts in its names, options five."""
        return symbol not in self._symbols and symbol.count("-") not in (2, 3)
