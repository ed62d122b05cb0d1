"""Bitget's lists of instruments by REST, and whether they trade.

Lists   that of spot has numbers of decimals, that of contracts a step and its decimals, v3's (which recordings may have) steps; contracts
        are listed by product; the base assets of tokenised shares begin with a small letter (`rNVDA`), or their row says `isRwa`
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.bitget.rest import about, rows_of
from crosstape_connector.venues.bitget.values import PRODUCTS, SPOT, product_of
from crosstape_connector.venues.messages import OddRow
from crosstape_connector.venues.parsing.answers import trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.numbers import decimal
from crosstape_connector.venues.parsing.wire import epoch_ns
from crosstape_schemas import Instrument, asset, future, perpetual, spot

SPOT_LIST, CONTRACTS = "/api/v2/spot/public/symbols", "/api/v2/mix/market/contracts"
LIST: Final = "/api/v3/market/instruments"
STATUSES: Final = frozenset(
    {"online", "gray", "offline", "halt", "normal", "listed", "maintain", "limit_open", "limit_close", "restrictedAPI", "off"}
)
TRADES_IN: Final = frozenset({"online", "normal"})
"""Statuses of an instrument that trades."""
YES: Final = "YES"


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    base: str = msgspec.field(name="baseCoin")
    quote: str = msgspec.field(name="quoteCoin")
    status: str = ""
    state: str = msgspec.field(name="symbolStatus", default="")
    kind: str = msgspec.field(name="symbolType", default="")
    type: str = ""
    rwa: str = msgspec.field(name="isRwa", default="")
    delivery: str | None = msgspec.field(name="deliveryTime", default=None)
    price_digits: str | None = msgspec.field(name="pricePrecision", default=None)
    size_digits: str | None = msgspec.field(name="quantityPrecision", default=None)
    place: str | None = msgspec.field(name="pricePlace", default=None)
    end_step: str | None = msgspec.field(name="priceEndStep", default=None)
    size_step: str | None = msgspec.field(name="sizeMultiplier", default=None)
    price_step: str | None = msgspec.field(name="priceMultiplier", default=None)
    lot: str | None = msgspec.field(name="quantityMultiplier", default=None)

    @property
    def says(self) -> str:
        """Its status."""
        return self.state or self.status


_symbol = msgspec.json.Decoder(RestSymbol).decode


def instruments_of(venue: str) -> Callable[[bytes], Sequence[Instrument | OddRow]]:
    """Return `InstrumentSource.parse` of one of our venues."""

    def read(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
        row = _symbol(raw)
        if row.rwa == YES or row.base[:1].islower():
            return None
        base, quote, symbol = asset_of(row.base, "baseCoin"), asset_of(row.quote, "quoteCoin"), asset_of(row.symbol, "symbol")
        name, expiry = (spot(base, quote), None) if venue == SPOT else _contract(row, base, quote)
        trouble = "" if row.says in STATUSES else f"status {row.says[:40]!r} is not known"
        return Instrument(
            name, venue, symbol, asset(base), asset(quote), _tick(row), _step(row), active=row.says in TRADES_IN, expiry=expiry
        ), trouble

    def named(row: Any) -> tuple[str, str]:
        symbol, base, quote = row.get("symbol"), row.get("baseCoin"), row.get("quoteCoin")
        is_named = isinstance(base, str) and isinstance(quote, str) and base and quote
        is_dated = "delivery" in (row.get("symbolType"), row.get("type"))
        name = "" if not is_named or is_dated else spot(base, quote) if venue == SPOT else perpetual(base, quote)
        return symbol if isinstance(symbol, str) else "", name

    return lambda body: listed(rows_of(body).data, read, named)


def _contract(row: RestSymbol, base: str, quote: str) -> tuple[str, int | None]:
    """Return the name of a contract, and when it ends. Raises `FrameError` if a subscription could not say its product."""
    if PRODUCTS.get(quote) != product_of(row.symbol):
        raise FrameError(f"the symbol {row.symbol[:40]!r} does not show that its quote asset is {quote}")
    kind, text = row.type or row.kind, row.delivery or ""
    if kind == "perpetual" or not (kind or text):  # what a recording has of a list may lack both
        return perpetual(base, quote), None
    if kind != "delivery" or not (text.isascii() and text.isdecimal() and 0 < int(text) < 9 * 10**15):
        raise FrameError(f"a contract of type {kind[:20]!r} that ends at {text[:20]!r}")
    expiry = epoch_ns(int(text))
    return future(base, quote, expiry), expiry


def _tick(row: RestSymbol) -> Decimal | None:
    if row.price_step:
        return decimal(row.price_step)
    if row.place is not None:
        return decimal(row.end_step or "1") * _unit(row.place)
    return None if row.price_digits is None else _unit(row.price_digits)


def _step(row: RestSymbol) -> Decimal | None:
    text = row.lot or row.size_step
    if text:
        return decimal(text)
    return None if row.size_digits is None else _unit(row.size_digits)


def _unit(digits: str) -> Decimal:
    if not (digits.isascii() and digits.isdecimal() and int(digits[:3]) <= 24):
        raise FrameError(f"{digits[:20]!r} decimals")
    return Decimal(1).scaleb(-int(digits))


def contracts_path(product: str) -> str:
    """Return the path of the contracts of one product."""
    return f"{CONTRACTS}?productType={product}"


def trading_path(symbols: Sequence[str]) -> str:
    """Return the path of the row of one contract."""
    return f"{CONTRACTS}?{about(symbols[0])}"


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """An instrument trades if it is `online` or `normal`."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _symbol(raw)
        return row.symbol, "" if row.says in TRADES_IN else row.says or "no status"

    return trading_states(rows_of(body).data, read, dict(zip(symbols, symbols, strict=True)))
