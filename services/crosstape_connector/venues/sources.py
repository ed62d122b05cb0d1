"""What a venue has by REST, as values: each source writes the path of a request, and parses the answer. No I/O here, and no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from crosstape_connector.venues.messages import BookSnapshot, CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.symbols import Symbols
from crosstape_schemas import Funding, Instrument, Mark, OpenInterest, Quote, asset


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
