"""OKX's instruments by REST, and whether they trade.

Quirks  contracts are listed by type; they have a family (`BTC-USD_UM`) in place of base and quote asset, in older lists an underlying
Names   base and quote of a contract are those of its family, so that contracts on one index in other coins keep names of their own. One
        with the rule `xperp` is a perpetual, though it is listed among futures with a date. Stocks and the like are left out
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.messages import OddRow
from crosstape_connector.venues.okx.rest import decode_rows
from crosstape_connector.venues.okx.values import SPOT_ID, SWAP_ID, moment
from crosstape_connector.venues.parsing.answers import trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.numbers import LIMIT, decimal
from crosstape_schemas import Instrument, asset, future, perpetual, spot

LIST: Final = "/api/v5/public/instruments"
UNLISTED: Final = "51001"
STATES: Final = frozenset({"live", "suspend", "preopen", "test", "expired", "rebase", "post_only"})
"""What the state of an instrument may be; it trades in the first."""
CRYPTO: Final = ("", "1")
XPERP: Final = "xperp"
_TEST: Final = re.compile(r"TEST\d+")


class RestState(msgspec.Struct, frozen=True):
    symbol: str = msgspec.field(name="instId")
    state: str


class RestInstrument(msgspec.Struct, frozen=True):
    type: str = msgspec.field(name="instType")
    symbol: str = msgspec.field(name="instId")
    state: str
    base: str = msgspec.field(name="baseCcy", default="")
    quote: str = msgspec.field(name="quoteCcy", default="")
    family: str = msgspec.field(name="instFamily", default="")
    underlying: str = msgspec.field(name="uly", default="")
    kind: str = msgspec.field(name="ctType", default="")
    value: str = msgspec.field(name="ctVal", default="")
    value_asset: str = msgspec.field(name="ctValCcy", default="")
    multiplier: str = msgspec.field(name="ctMult", default="")
    tick: str = msgspec.field(name="tickSz", default="")
    lot: str = msgspec.field(name="lotSz", default="")
    expiry: str = msgspec.field(name="expTime", default="")
    rule: str = msgspec.field(name="ruleType", default="")
    category: str = msgspec.field(name="instCategory", default="")


_state = msgspec.json.Decoder(RestState).decode
_instrument = msgspec.json.Decoder(RestInstrument).decode


def parse_spot(body: bytes) -> Sequence[Instrument | OddRow]:
    """`instruments` of the type SPOT; rows of other types are left out."""
    return listed(decode_rows(body).data, _spot, _named)


def parse_contracts(body: bytes) -> Sequence[Instrument | OddRow]:
    """`instruments` of the types SWAP and FUTURES; rows of other types are left out."""
    return listed(decode_rows(body).data, _contract, _named)


def _spot(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _instrument(raw)
    if row.type != "SPOT" or not _is_ours(row):
        return None
    base, quote = asset_of(row.base, "baseCcy"), asset_of(row.quote, "quoteCcy")
    symbol = _symbol(row)
    return Instrument(
        spot(base, quote), SPOT_ID, symbol, asset(base), asset(quote), _step(row.tick), _step(row.lot), active=row.state == "live"
    ), _trouble(row)


def _contract(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _instrument(raw)
    if row.type not in ("SWAP", "FUTURES") or not _is_ours(row):
        return None
    base, quote = (asset_of(part, "instFamily") for part in _family(row))
    if row.kind not in ("linear", "inverse"):
        raise FrameError(f"a contract of the type {row.kind[:40]!r}")
    inverse = row.kind == "inverse"
    if not inverse and row.value_asset not in ("", base):
        raise FrameError(f"a contract of {row.value[:40]} {row.value_asset[:40]}")
    size = _step(row.value) * _step(row.multiplier or "1")
    if not size:
        raise FrameError(f"a contract of {row.value[:40]!r} × {row.multiplier[:40]!r}")
    is_perpetual = row.type == "SWAP" or row.rule == XPERP
    expiry = None if is_perpetual else moment(row.expiry)
    if expiry is None and not is_perpetual:
        raise FrameError("a dated contract without a date")
    return Instrument(
        perpetual(base, quote) if expiry is None else future(base, quote, expiry), SWAP_ID, _symbol(row), asset(base), asset(quote),
        _step(row.tick), _step(row.lot) * size, size, active=row.state == "live", inverse=inverse, expiry=expiry,
    ), _trouble(row)  # fmt: skip


def _is_ours(row: RestInstrument) -> bool:
    """Whether it is a market of crypto assets: neither stocks and the like, nor the venue's own tests."""
    return row.category in CRYPTO and _TEST.match(row.symbol) is None


def _family(row: RestInstrument) -> tuple[str, str]:
    base, _, quote = (row.family or row.underlying).partition("-")
    return base, quote


def _symbol(row: RestInstrument) -> str:
    for part in row.symbol.split("-"):
        asset_of(part, "instId")
    return row.symbol


def _step(text: str) -> Decimal:
    step = decimal(text)
    if step < 0 or step >= LIMIT:
        raise FrameError(f"a step of {text[:40]}")
    return step


def _trouble(row: RestInstrument) -> str:
    return "" if row.state in STATES else f"state {row.state[:40]!r} is not known"


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("instId"), row.get("baseCcy"), row.get("quoteCcy")
    family, kind = row.get("instFamily") or row.get("uly"), row.get("instType")
    name = spot(base, quote) if isinstance(base, str) and isinstance(quote, str) and base and quote else ""
    if not name and kind == "SWAP" and isinstance(family, str) and "-" in family:
        name = perpetual(*family.split("-", 1))
    return symbol if isinstance(symbol, str) else "", name


def state_path(symbols: Sequence[str]) -> str:
    """Return the path of the state of one contract."""
    (symbol,) = symbols
    kind = "SWAP" if symbol.endswith("-SWAP") else "FUTURES"
    return f"{LIST}?instType={kind}&instId={quoted(symbol)}"


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Parse the states: an instrument trades if it is live."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        return row.symbol, "" if row.state == "live" else row.state or "no state"

    return trading_states(decode_rows(body).data, read, dict(zip(symbols, symbols, strict=True)))


def is_unlisted(error: str) -> bool:
    """See `TradingSource.unknown`."""
    return UNLISTED in error
