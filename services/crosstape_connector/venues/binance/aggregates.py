"""Aggregate trades of Binance's markets, by stream and by REST: the executions of one taker order at one price.

Their ids `a` grow by one for each symbol and are those of `aggTrades` by REST, which needs no key and is asked from an id. `f` … `l` are
the single trades in them. Only market trades are in them: no insurance fund and no liquidation by the venue itself.
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from crosstape_connector.venues.binance.connection import Route
from crosstape_connector.venues.messages import Output, TradeSnapshot
from crosstape_connector.venues.parsing.answers import list_reader, trade_page
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, trade_numbers
from crosstape_schemas import Instrument, Side, Trade

PAGE: Final = 1_000
"""Rows in an answer: the venue's most."""


class RawAggTrade(msgspec.Struct, frozen=True, gc=False):
    a: Serial
    p: str
    q: str
    T: Stamp
    m: bool


_agg_trade = msgspec.json.Decoder(RawAggTrade).decode
_agg_trades = list_reader(RawAggTrade)


def _trade(instrument: Instrument, raw: RawAggTrade, received_ts: int, *, backfilled: bool) -> Trade:
    price, size = trade_numbers(raw.p, raw.q, f"aggregate trade {raw.a}")
    base = base_size(instrument, size, price)
    taker = Side.SELL if raw.m else Side.BUY
    return Trade(instrument.venue, instrument.name, epoch_ns(raw.T), received_ts, price, base, taker, str(raw.a), backfilled)


def agg_trade_route(instrument: Instrument) -> Route:
    """`aggTrade`: one aggregate a frame."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        return (_trade(instrument, _agg_trade(raw), received_ts, backfilled=False),)

    return route


def agg_trades_path(prefix: str) -> Callable[[str, int, int], str]:
    """See `TradeSource.path`. `prefix`: `/api/v3`, `/fapi/v1`, `/dapi/v1`."""
    return lambda symbol, first, since_ts: f"{prefix}/aggTrades?symbol={quote(symbol)}&fromId={first}&limit={PAGE}"


def past_path(prefix: str) -> Callable[[str, int], str]:
    """See `TradesById.path`."""
    return lambda symbol, first: agg_trades_path(prefix)(symbol, first, 0)


def newest_path(prefix: str) -> Callable[[str], str]:
    """See `TradeSource.newest`."""
    return lambda symbol: f"{prefix}/aggTrades?symbol={quote(symbol)}&limit={PAGE}"


def parse_agg_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """Parse the answer to either path. `m` true: the taker sold."""
    read = _agg_trades(body, lambda raw: _trade(instrument, raw, received_ts, backfilled=True), f"trades of {instrument.name}")
    return trade_page(instrument.name, received_ts, read)
