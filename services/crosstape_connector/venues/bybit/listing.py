"""Bybit's list of instruments, and whether they trade.

Quirks  the list has those that trade: others are gone from it. Base and quote are fields of their own, and in no fixed place of the symbol:
        BTCPERP is quoted in USDC, 1000PEPEUSDT is a contract on 1000PEPE. It has 1,000 rows at most
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.bybit.rest import SPOT, decode_result, stamp_of
from crosstape_connector.venues.messages import OddRow
from crosstape_connector.venues.parsing.answers import trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import ROW, readable
from crosstape_connector.venues.parsing.wire import epoch_ns
from crosstape_schemas import Instrument, future, perpetual, spot

LISTED: Final = 1_000
"""Rows in a list of instruments: the venue's most."""
STATUSES: Final = frozenset({"PreLaunch", "Trading", "Settling", "Delivering", "Closed"})
"""What `status` may be."""
STOCKS: Final = frozenset({"xstocks", "stock"})
"""`symbolType` of tokenised stocks, and of contracts on stocks."""
PERPETUALS: Final = {"LinearPerpetual": "linear", "InversePerpetual": "inverse"}
FUTURES: Final = {"LinearFutures": "linear", "InverseFutures": "inverse"}
NULL: Final = msgspec.Raw(b"null")


class RestPrices(msgspec.Struct, frozen=True):
    tick: msgspec.Raw = msgspec.field(name="tickSize", default=NULL)


class RestSizes(msgspec.Struct, frozen=True):
    step: msgspec.Raw = msgspec.field(name="qtyStep", default=NULL)
    precision: msgspec.Raw = msgspec.field(name="basePrecision", default=NULL)


class RestPhase(msgspec.Struct, frozen=True):
    phase: str = msgspec.field(name="curAuctionPhase", default="")


class RestRow(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    base: str = msgspec.field(name="baseCoin")
    quote: str = msgspec.field(name="quoteCoin")
    prices: RestPrices = msgspec.field(name="priceFilter", default=RestPrices())
    sizes: RestSizes = msgspec.field(name="lotSizeFilter", default=RestSizes())
    contract: str = msgspec.field(name="contractType", default="")
    kind: str = msgspec.field(name="symbolType", default="")
    option: str = msgspec.field(name="optionsType", default="")
    delivery: str = msgspec.field(name="deliveryTime", default="0")
    launch: RestPhase | None = msgspec.field(name="preListingInfo", default=None)


class RestState(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    launch: RestPhase | None = msgspec.field(name="preListingInfo", default=None)


_row = msgspec.json.Decoder(RestRow).decode
_state = msgspec.json.Decoder(RestState).decode


def list_path(category: str) -> str:
    """Return the path of the list of instruments."""
    return f"/v5/market/instruments-info?category={category}&limit={LISTED}"


def instruments(venue: str, category: str) -> Callable[[bytes], Sequence[Instrument | OddRow]]:
    """Return the parser of the list of a category. Rows of other categories, options too, and stocks are left out."""

    def parse(body: bytes) -> Sequence[Instrument | OddRow]:
        rows = decode_result(body).result.rows
        found = listed(rows, lambda raw: _instrument(venue, category, raw), _named)
        if len(rows) >= LISTED:
            found.append(OddRow(f"instrument_{ROW}", f"the list is cut after {LISTED} rows: the venue has more in another page"))
        return found

    return parse


def _instrument(venue: str, category: str, raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _row(raw)
    of = PERPETUALS.get(row.contract) or FUTURES.get(row.contract) or (row.contract or SPOT)
    if of != category or row.kind in STOCKS or row.option:
        return None
    base, quote, symbol = asset_of(row.base, "baseCoin"), asset_of(row.quote, "quoteCoin"), row.symbol
    for part in symbol.split("-"):
        asset_of(part, "symbol")
    tick, expiry = step_of(row.prices.tick), None
    trouble = "" if row.status in STATUSES else f"status {row.status[:40]!r} is not known"
    if category == SPOT:
        name, step = spot(base, quote), step_of(row.sizes.precision)
    else:
        step = step_of(row.sizes.step)
        if row.contract in FUTURES:
            expiry = epoch_ns(stamp_of(row.delivery))
            if not expiry:
                raise FrameError("a dated contract without a date")
            name = future(base, quote, expiry)
        else:
            name = perpetual(base, quote)
    made = Instrument(name, venue, symbol, base, quote, tick, step, active=_trades(row), inverse=category == "inverse", expiry=expiry)
    return made, trouble


def _trades(row: RestRow | RestState) -> bool:
    """Whether it trades: a contract before its launch does so in the last phase of its auction only, and has no feed before."""
    if row.status == "PreLaunch":
        return row.launch is not None and row.launch.phase == "ContinuousTrading"
    return row.status == "Trading"


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote, contract = row.get("symbol"), row.get("baseCoin"), row.get("quoteCoin"), row.get("contractType", "")
    name = ""
    if isinstance(base, str) and isinstance(quote, str) and base and quote and contract not in FUTURES:
        name = perpetual(base, quote) if contract in PERPETUALS else spot(base, quote)
    return symbol if isinstance(symbol, str) else "", name


def parse_trading(body: bytes, symbols: Sequence[str]) -> Mapping[str, str]:
    """`instruments-info`: what does not trade any more is not in it. Of a list that is cut, absence says nothing."""
    rows = decode_result(body).result.rows

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        if not row.status:
            raise FrameError("no status")
        return row.symbol, "" if _trades(row) else row.status

    found = trading_states(rows, read, dict(zip(symbols, symbols, strict=True)))
    if len(rows) < LISTED:
        return found
    named = {row.symbol for row in readable(rows, _state, "state", [])}
    return {symbol: reason for symbol, reason in found.items() if symbol in named}
