"""Coinbase's products: their two names, their status, and the list of them by REST (Exchange's `/products`, or Advanced Trade's)."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownSymbol
from crosstape_connector.venues.coinbase.values import ID, ours
from crosstape_connector.venues.messages import Odd, OddRow, Output
from crosstape_connector.venues.parsing.answers import fault_message, trading_states
from crosstape_connector.venues.parsing.listing import NAME, asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import cause, rows_decoder
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import VENUE_WIDE, FeedState, Instrument, Status, spot

STATUSES: Final = frozenset({"online", "offline", "internal", "delisted"})
"""What a product's status may be."""
NULL: Final = msgspec.Raw(b"null")
OWN_BOOKS: Final = frozenset({"USDT-USDC", "EURC-USDC"})
"""Products against USDC that are no views of a `-USD` one."""


class ProductStatus(msgspec.Struct, frozen=True):
    id: str
    status: str = ""
    status_message: str | None = None


_product_status = msgspec.json.Decoder(ProductStatus).decode


class Products:
    """Their product → our instrument. A `-USD` name that was not asked for means the `-USDC` one, if that was: one book with two names."""

    __slots__ = ("_symbols",)

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols

    def get(self, product: str) -> str | None:
        """None if it was not asked for by either name."""
        instrument = self._symbols.get(product)
        if instrument is None and product.endswith("-USD") and product + "C" not in OWN_BOOKS:
            instrument = self._symbols.get(product + "C")
        return None if instrument is None else instrument.name

    def __getitem__(self, product: str) -> str:
        """Raises `UnknownSymbol`."""
        instrument = self.get(product)
        if instrument is None:
            raise UnknownSymbol(f"product {product!r}")
        return instrument

    def asked(self, products: Iterable[str]) -> tuple[str, ...]:
        """The same products by the names that they were asked for with."""
        return tuple(product + "C" if product not in self._symbols and self.get(product) is not None else product for product in products)

    def statuses(self, rows: Iterable[msgspec.Raw], received_ts: int) -> list[Output]:
        """Whether they are online; those that were not asked for are left out, and each that cannot be read, with an `Odd`."""
        outputs: list[Output] = []
        for raw in rows:
            try:
                row = _product_status(raw)
            except FRAME_ERRORS as exc:
                outputs.append(Odd("row", f"status: {cause(raw, exc)}"))
                continue
            instrument = self.get(row.id)
            if instrument is not None:
                outputs.append(_status(instrument, row, received_ts))
        return outputs


def _status(instrument: str, row: ProductStatus, received_ts: int) -> Status:
    online = row.status == "online"
    state = FeedState.LIVE if online else FeedState.DOWN
    return Status(ID, instrument, None, received_ts, VENUE_WIDE, state, "" if online else row.status_message or row.status or "no status")


class ExchangeProduct(msgspec.Struct, frozen=True):
    id: str
    base_currency: str
    quote_currency: str
    base_increment: msgspec.Raw = NULL
    quote_increment: msgspec.Raw = NULL
    status: str = "online"
    trading_disabled: bool = False


class ProductTrading(msgspec.Struct, frozen=True):
    id: str
    status: str
    trading_disabled: bool = False
    cancel_only: bool = False
    post_only: bool = False
    auction_mode: bool = False


class AdvancedProduct(msgspec.Struct, frozen=True):
    product_id: str
    base_currency_id: str
    quote_currency_id: str
    base_increment: msgspec.Raw = NULL
    price_increment: msgspec.Raw = NULL
    status: str = "online"
    product_type: str = "SPOT"
    trading_disabled: bool = False
    is_disabled: bool = False


class AdvancedProducts(msgspec.Struct, frozen=True):
    products: list[msgspec.Raw]


class RestFault(msgspec.Struct, frozen=True):
    message: str


_exchange_product = msgspec.json.Decoder(ExchangeProduct).decode
_advanced_product = msgspec.json.Decoder(AdvancedProduct).decode
_advanced_products = rows_decoder(AdvancedProducts, 2)
_raw_products = rows_decoder(list[msgspec.Raw], 1)
_product_trading = msgspec.json.Decoder(ProductTrading).decode


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """Products of Exchange (a list) or of Advanced Trade (an object, whose tick is `price_increment`); futures are left out."""
    if body.lstrip()[:1] == b"[":
        return listed(_raw_products(body), _of_exchange, _named)
    return listed(_advanced_products(body).products, _of_advanced, _named)


def _of_exchange(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    p = _exchange_product(raw)
    active = p.status == "online" and not p.trading_disabled
    return _instrument(
        p.id, p.base_currency, p.quote_currency, tick=p.quote_increment, step=p.base_increment, status=p.status, active=active
    )


def _of_advanced(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    p = _advanced_product(raw)
    if p.product_type != "SPOT":
        return None
    active = p.status == "online" and not (p.trading_disabled or p.is_disabled)
    return _instrument(
        p.product_id, p.base_currency_id, p.quote_currency_id, tick=p.price_increment, step=p.base_increment, status=p.status, active=active
    )


def _instrument(
    product: str, base: str, quote: str, *, tick: msgspec.Raw, step: msgspec.Raw, status: str, active: bool
) -> tuple[Instrument, str]:
    base, quote = ours(asset_of(base, "the base currency")), ours(asset_of(quote, "the quote currency"))
    trouble = "" if status in STATUSES else f"status {status!r} is not known"
    if not product or len(product) > 2 * NAME or not product.isprintable():
        raise FrameError(f"a product of the name {product[:NAME]!r}")
    return Instrument(spot(base, quote), ID, product, base, quote, step_of(tick), step_of(step), active=active), trouble


def _named(row: Any) -> tuple[str, str]:
    product = row.get("id") or row.get("product_id")
    if not isinstance(product, str):
        return "", ""
    base, dash, quote = product.partition("-")
    return product, spot(ours(base), ours(quote)) if dash else ""


def parse_trading(body: bytes, products: Sequence[str]) -> dict[str, str]:
    """Of Exchange's list. With limit orders only a product can still be traded; in an auction nothing can be had at the book's prices."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _product_trading(raw)
        return row.id, _no_trading(row)

    return trading_states(_raw_products(body), read, dict(zip(products, products, strict=True)))


def _no_trading(row: ProductTrading) -> str:
    if row.status != "online":
        return row.status or "no status"
    flags = ("trading_disabled", "cancel_only", "post_only", "auction_mode")
    return ", ".join(flag for flag in flags if getattr(row, flag)).replace("_", " ")


rest_error = fault_message(msgspec.json.Decoder(RestFault).decode, lambda fault: fault.message)
"""`{"message": "NotFound"}`."""
