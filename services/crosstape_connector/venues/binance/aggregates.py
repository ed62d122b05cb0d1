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
from crosstape_connector.venues.parsing.contracts import base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import Unchecked, are_amounts
from crosstape_connector.venues.parsing.wire import MICROSECONDS, Serial, Stamp, epoch_ns, trade_amounts, trade_numbers
from crosstape_schemas import Instrument, Side, Trade

BUY: Final = Side.BUY
SELL: Final = Side.SELL
"""Names of this module: looking them up in their class takes as long as one and a half dict look-ups."""
PAGE: Final = 1_000
"""Rows in an answer: the venue's most."""


class RawAggTrade(msgspec.Struct, frozen=True, gc=False):
    a: Serial
    p: Unchecked
    q: Unchecked
    T: Stamp
    m: bool


_agg_trade = msgspec.json.Decoder(RawAggTrade).decode
_agg_trades = list_reader(RawAggTrade)


def _trade(instrument: Instrument, raw: RawAggTrade, received_ts: int, *, backfilled: bool) -> Trade:
    price, size = trade_numbers(raw.p, raw.q, _named(raw))
    base = base_size(instrument, size, price)
    taker = SELL if raw.m else BUY
    return Trade(instrument.venue, instrument.name, epoch_ns(raw.T), received_ts, price, base, taker, str(raw.a), backfilled)


def _named(raw: RawAggTrade) -> str:
    return f"aggregate trade {raw.a}"


def agg_trade_route(instrument: Instrument) -> Route[RawAggTrade]:
    """`aggTrade`: one aggregate a frame."""
    venue, name = instrument.venue, instrument.name

    def outputs(t: RawAggTrade, received_ts: int) -> Sequence[Output]:
        price, size, made_ts = t.p, t.q, t.T
        made_ts *= 1_000_000 if made_ts < MICROSECONDS else 1_000  # `epoch_ns`, without its call
        if are_amounts(f"{price} {size}"):  # `trade_amounts`, the same
            return (Trade(venue, name, made_ts, received_ts, price, size, SELL if t.m else BUY, str(t.a)),)
        return (Trade(venue, name, made_ts, received_ts, *trade_amounts(price, size, _named(t)), SELL if t.m else BUY, str(t.a)),)

    def of_contracts(t: RawAggTrade, received_ts: int) -> Sequence[Output]:
        return (_trade(instrument, t, received_ts, backfilled=False),)

    return Route(_agg_trade, outputs if is_in_base_units(instrument) else of_contracts)


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
