"""Trades and quotes by REST: one request of a venue's source, within the budget of that source, and its answer read."""

from __future__ import annotations

from collections.abc import Mapping

from crosstape_connector.errors import FRAME_ERRORS, RestFailed
from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.rest.client import RestClient
from crosstape_connector.venues.messages import Odd, TradeSnapshot
from crosstape_connector.venues.spec import QuoteSource, TradeSource, Venue
from crosstape_schemas import Quote


class RestSources:
    """Of one venue. Whoever asks, the budget of a source is one."""

    def __init__(self, venue: Venue, rest: RestClient) -> None:
        self.trade_source: TradeSource | None = venue.trades if venue.trade_ids != "none" else None
        """None: trades without ids cannot be told from those that are on the tape."""
        self.quote_source: QuoteSource | None = venue.quotes
        self.page_size = 0 if venue.trades is None else venue.trades.page
        """Trades in one answer at most."""
        self._rest = rest
        self._trade_limit = None if venue.trades is None else RateLimit.per_minute(venue.trades.per_minute)
        self._quote_limit = None if venue.quotes is None else RateLimit.per_minute(venue.quotes.per_minute)

    async def fetch_trades(self, line: TradeSequence, number: int | None, made_ts: int = 0) -> TradeSnapshot:
        """The page that begins with this id, made then at the earliest; None: the newest trades. Raises `RestFailed`."""
        source = self.trade_source
        assert source is not None  # else nobody asks
        path = source.newest(line.symbol) if number is None else source.path(line.symbol, number, made_ts)
        body, received_ts = await self._rest.get(source.rest, path, rate_limit=self._trade_limit)
        try:
            page = source.parse(body, line.instrument, received_ts)
        except FRAME_ERRORS as exc:
            raise RestFailed(f"{path}: not trades: {exc}") from exc
        self._rest.odd_rows.report("trades", page.odd)
        return page

    async def fetch_quotes(self, symbols: Mapping[str, str]) -> list[Quote]:
        """Of these: their symbol → our instrument. Raises `RestFailed`."""
        source = self.quote_source
        assert source is not None  # else nobody asks
        path = source.path(list(symbols))
        body, received_ts = await self._rest.get(source.rest, path, rate_limit=self._quote_limit)
        try:
            rows = source.parse(body, symbols, received_ts)
        except FRAME_ERRORS as exc:
            raise RestFailed(f"{path}: not quotes: {exc}") from exc
        self._rest.odd_rows.report("quotes", [row for row in rows if isinstance(row, Odd)])
        return [row for row in rows if isinstance(row, Quote)]
