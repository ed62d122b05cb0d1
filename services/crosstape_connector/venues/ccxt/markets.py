"""Turns the library's markets into our instruments. Names are made of the parts that it gives; no id and no symbol is taken apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.messages import OddRow
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.numbers import FLOOR, LIMIT
from crosstape_schemas import Instrument, asset, future, perpetual, spot

MILLISECOND: Final = 1_000_000


class Precision(msgspec.Struct, frozen=True):
    """The steps of a market."""

    price: Decimal | None = None
    amount: Decimal | None = None


class Market(msgspec.Struct, frozen=True, rename="camel"):
    """One market, as the bridge passes it on: the library's fields of the same names."""

    symbol: str
    base: str
    quote: str
    type: str
    settle: str | None = None
    active: bool | None = None
    inverse: bool | None = None
    contract_size: Decimal | None = None
    expiry: int | None = None
    """ms since the epoch."""
    precision: Precision = Precision()


_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_market = msgspec.json.Decoder(Market).decode


def parser(venue: str) -> Callable[[bytes], Sequence[Instrument | OddRow]]:
    """Return what parses the bridge's list of markets. Options are left out, and contracts that are settled in a third asset."""

    def read(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
        market = _market(raw)
        return None if (made := instrument(market, venue)) is None else (made, "")

    def parse(body: bytes) -> Sequence[Instrument | OddRow]:
        return listed(sorted(_rows(body), key=_rank), read, _named)

    return parse


def instrument(market: Market, venue: str) -> Instrument | None:
    """Return our instrument; None for a market that is none of ours. Raises `FrameError`."""
    base, quote = asset(asset_of(market.base, "base")), asset(asset_of(market.quote, "quote"))
    is_inverse = bool(market.inverse)
    size, expiry = Decimal(1), None
    match market.type:
        case "spot":
            name = spot(base, quote)
        case "swap" | "future":
            if is_inverse and asset(market.settle or "") != base:
                return None  # a quanto contract: its value in base units cannot be told
            if market.contract_size is None or not FLOOR <= market.contract_size < LIMIT:
                raise FrameError(f"a contract size of {market.contract_size}")
            size = market.contract_size
            if market.type == "swap":
                name = perpetual(base, quote)
            else:
                if market.expiry is None or not 0 < market.expiry < 10**14:
                    raise FrameError(f"a future that expires at {market.expiry}")
                expiry = market.expiry * MILLISECOND
                name = future(base, quote, expiry)
        case _:
            return None
    step = _step(market.precision.amount)
    return Instrument(
        name, venue, market.symbol, base, quote, _step(market.precision.price),
        None if step is None else step * size, Decimal(1) if size == 1 else size,
        active=market.active is not False, inverse=is_inverse, expiry=expiry,
    )  # fmt: skip


def _step(step: Decimal | None) -> Decimal | None:
    return step if step is not None and FLOOR <= step < LIMIT else None


def _rank(raw: msgspec.Raw) -> int:
    """Put contracts that are settled in the quote asset first: where two have the same name of ours, the first counts."""
    try:
        market = _market(raw)
    except msgspec.MsgspecError:
        return 0
    return int(market.type in ("swap", "future") and market.settle != market.quote)


def _named(row: Any) -> tuple[str, str]:
    symbol = row.get("symbol")
    return symbol if isinstance(symbol, str) else "", ""
