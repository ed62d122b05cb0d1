"""Makes the requests of one venue's REST sources, each within its source's rate limit, and parses the answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from crosstape_connector.errors import FRAME_ERRORS, RestFailed
from crosstape_connector.feeds.candles.sequence import CandleSequence
from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.rest.client import RestClient
from crosstape_connector.venues.messages import BookSnapshot, CandleSnapshot, Odd, TradeSnapshot
from crosstape_connector.venues.spec import CandleSource, PolledSource, QuoteSource, SnapshotSource, TradeSource, TradingSource, Venue
from crosstape_schemas import Funding, Instrument, Mark, OpenInterest, Quote

Source: TypeAlias = SnapshotSource | TradeSource | QuoteSource | TradingSource | CandleSource | PolledSource


class RestSources:
    """The sources of one venue. Each has one rate limit, whoever requests. Every method raises `RestFailed`.

    A method must not be called where the venue has no such source.
    """

    def __init__(self, venue: Venue, rest: RestClient, listed: Mapping[str, Instrument]) -> None:
        """`listed`: our name → instrument; it grows as instruments are added."""
        self._listed = listed
        self.snapshots: SnapshotSource | None = venue.snapshots
        self.trades: TradeSource | None = venue.trades if venue.numbers_trades else None
        """None also for a venue whose trades have no ids, or ids without an order: nothing tells which page has those that are missing."""
        self.quotes: QuoteSource | None = venue.quotes
        self.trading: TradingSource | None = venue.trading
        self.candles: CandleSource | None = venue.candle_source
        self.candles_page = 0 if self.candles is None else self.candles.page
        """Candles in one answer at most."""
        self.page_size = 0 if self.trades is None else self.trades.page
        """Trades in one answer at most."""
        self._rest = rest
        sources = (self.snapshots, self.trades, self.quotes, self.trading, self.candles, *venue.polled)
        self._limits = {id(source): RateLimit.per_minute(source.per_minute) for source in sources if source is not None}

    async def fetch_snapshot(self, symbol: str, instrument: str, levels: int = 0) -> BookSnapshot:
        """Fetch a book. `symbol`: the venue's name of `instrument`; `levels`: one of `SnapshotSource.levels`, if it has any."""
        source = self.snapshots
        assert source is not None
        path = source.path(symbol, levels)
        body, received_ts = await self._get(source, path, weight=source.levels.get(levels, 1))
        with _parsing(path, "a snapshot"):
            return source.parse(body, self._listed[instrument], received_ts)

    async def fetch_trades(self, sequence: TradeSequence, first_id: int | None, made_ts: int = 0) -> TradeSnapshot:
        """Fetch the page of past trades that begins with `first_id`; None: the newest trades.

        `made_ts`: the trade `first_id` was made at this time or later (ns, the venue's clock); some venues find it by that.
        """
        source = self.trades
        assert source is not None
        path = source.newest(sequence.symbol) if first_id is None else source.path(sequence.symbol, first_id, made_ts)
        body, received_ts = await self._get(source, path)
        with _parsing(path, "trades"):
            page = source.parse(body, self._listed[sequence.instrument], received_ts)
        self._rest.odd_rows.report("trades", page.odd)
        return page

    async def fetch_quotes(self, symbols: Mapping[str, str]) -> list[Quote]:
        """Fetch the best prices of these; `symbols`: the venue's symbol → our instrument, at most `quotes.batch`."""
        source = self.quotes
        assert source is not None
        path = source.path(list(symbols))
        body, received_ts = await self._get(source, path)
        with _parsing(path, "quotes"):
            rows = source.parse(body, {symbol: self._listed[name] for symbol, name in symbols.items()}, received_ts)
        self._rest.odd_rows.report("quotes", [row for row in rows if isinstance(row, Odd)])
        return [row for row in rows if isinstance(row, Quote)]

    async def fetch_trading(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """Fetch whether these symbols trade: symbol → why it does not; empty: it does. At most `trading.batch`. Not captured."""
        source = self.trading
        assert source is not None
        path = source.path(symbols)
        body, _ = await self._get(source, path, captured=False)
        with _parsing(path, "a list of instruments"):
            return source.parse(body, symbols)

    async def fetch_candles(self, sequence: CandleSequence, since_ts: int) -> CandleSnapshot:
        """Fetch the candles that open at `since_ts` or later, as many as one answer has."""
        source = self.candles
        assert source is not None
        path = source.path(sequence.symbol, sequence.timeframe, since_ts)
        body, received_ts = await self._get(source, path)
        with _parsing(path, "candles"):
            return source.parse(body, self._listed[sequence.instrument], sequence.timeframe, received_ts)

    async def fetch_values(self, source: PolledSource, symbols: Mapping[str, str]) -> list[Mark | Funding | OpenInterest]:
        """Fetch the figures of these; `symbols`: the venue's symbol → our instrument, at most `source.batch`."""
        path = source.path(list(symbols))
        body, received_ts = await self._get(source, path)
        with _parsing(path, "values"):
            rows = source.parse(body, {symbol: self._listed[name] for symbol, name in symbols.items()}, received_ts)
        self._rest.odd_rows.report("values", [row for row in rows if isinstance(row, Odd)])
        return [row for row in rows if not isinstance(row, Odd)]

    async def _get(self, source: Source, path: str, *, captured: bool = True, weight: int = 1) -> tuple[bytes, int]:
        return await self._rest.get(source.rest, path, rate_limit=self._limits[id(source)], weight=weight, captured=captured)


@contextlib.contextmanager
def _parsing(path: str, what: str) -> Iterator[None]:
    """Raise `RestFailed` in place of a parser's errors."""
    try:
        yield
    except FRAME_ERRORS as exc:
        raise RestFailed(f"{path}: not {what}: {exc}") from exc
