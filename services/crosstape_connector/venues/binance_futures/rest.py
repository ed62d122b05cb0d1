"""REST of Binance's futures: books, instruments, trading states, open interest.

Limits  a weight of 2,400 a minute for one address, shared by USD-M and COIN-M: `depth` of 100 levels 5, of 500 10, of 1,000 20;
        `aggTrades` 20, all best prices 5, candles 2, instruments and open interest 1
Quirks  `historicalTrades` needs a key, `aggTrades` does not. COIN-M calls the state `contractStatus`, and counts open interest in
        contracts
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from crosstape_connector.errors import FrameError, NotANumber
from crosstape_connector.venues.binance.rest import depth_limit
from crosstape_connector.venues.binance_futures.stream import levels
from crosstape_connector.venues.messages import BookSnapshot, Odd, OddRow
from crosstape_connector.venues.parsing.answers import trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.numbers import figure, is_plain
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp, epoch_ns
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Instrument, OpenInterest, future, perpetual

DEPTHS: Final = {100: 5, 500: 10, 1_000: 20}
"""Levels a side that we ask for → what that weighs. The last are the most that there are."""
STATUSES: Final = frozenset(
    {"TRADING", "PENDING_TRADING", "PRE_DELIVERING", "DELIVERING", "DELIVERED", "PRE_SETTLE", "SETTLING", "CLOSE", "BREAK", "HALT"}
)
"""What a contract's state may be; it trades in the first."""
DATED: Final = re.compile(r".+_\d{6}")
"""The symbol of a contract that expires."""
NULL: Final = msgspec.Raw(b"null")


class RestDepth(msgspec.Struct, frozen=True):
    last_update_id: Serial = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    T: Stamp | None = None


class RestFilter(msgspec.Struct, frozen=True):
    filter_type: str = msgspec.field(name="filterType", default="")
    tick: msgspec.Raw = msgspec.field(name="tickSize", default=NULL)
    step: msgspec.Raw = msgspec.field(name="stepSize", default=NULL)


class RestContract(msgspec.Struct, frozen=True):
    symbol: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    status: str = ""
    contract_status: str = msgspec.field(name="contractStatus", default="")
    delivery: Stamp = msgspec.field(name="deliveryDate", default=0)
    size: msgspec.Raw = msgspec.field(name="contractSize", default=NULL)
    filters: list[RestFilter] = []


class RestState(msgspec.Struct, frozen=True):
    symbol: str
    status: str = ""
    contract_status: str = msgspec.field(name="contractStatus", default="")


class RestContracts(msgspec.Struct, frozen=True):
    symbols: list[msgspec.Raw]


class RestOpenInterest(msgspec.Struct, frozen=True):
    symbol: str
    open_interest: str = msgspec.field(name="openInterest")
    time: Stamp | None = None


_depth = msgspec.json.Decoder(RestDepth).decode
_contract = msgspec.json.Decoder(RestContract).decode
_contracts = rows_decoder(RestContracts, 2)
_state = msgspec.json.Decoder(RestState).decode
_open_interest = msgspec.json.Decoder(RestOpenInterest).decode


def weights(prefix: str) -> dict[str, int | Mapping[int, int]]:
    """Return what our requests weigh, by path: see the limits above."""
    return {f"{prefix}/depth": DEPTHS, f"{prefix}/aggTrades": 20, f"{prefix}/ticker/bookTicker": 5, f"{prefix}/klines": 2}


def depth_path(prefix: str) -> Callable[[str, int], str]:
    """See `SnapshotSource.path`. `prefix`: `/fapi/v1`, `/dapi/v1`."""
    return lambda symbol, levels: f"{prefix}/depth?symbol={quote(symbol)}&limit={levels}"


def depth_symbol(prefix: str) -> Callable[[str], str | None]:
    """See `SnapshotSource.match`."""

    def match(url: str) -> str | None:
        parts = urlsplit(url)
        return parse_qs(parts.query).get("symbol", [None])[0] if parts.path.endswith(f"{prefix}/depth") else None

    return match


def parse_depth(body: bytes, instrument: Instrument, received_ts: int) -> BookSnapshot:
    """Return a snapshot. A side is cut if it has as many levels as can be requested: how many were, the answer does not say."""
    d = _depth(body)
    try:
        bids, asks = levels(instrument, d.bids), levels(instrument, d.asks)
    except ArithmeticError as exc:
        raise NotANumber(f"depth of {instrument.name}: no number in a level") from exc
    if not is_plain(body) and not all(price.isascii() and size.isascii() for price, size in (*d.bids, *d.asks)):
        raise NotANumber(f"depth of {instrument.name}: digits that are not ASCII")
    made_ts = None if d.T is None else epoch_ns(d.T)
    limit = depth_limit(DEPTHS, bids, asks)
    return BookSnapshot(instrument.name, made_ts, received_ts, bids, asks, d.last_update_id, limit=limit)


def instruments(venue: str, *, inverse: bool) -> Callable[[bytes], Sequence[Instrument | OddRow]]:
    """Return the parser of `exchangeInfo`: perpetuals and dated futures. `inverse`: COIN-M, where a contract is worth some USD."""
    return lambda body: listed(_contracts(body).symbols, lambda raw: _instrument(venue, raw, inverse=inverse), _named)


def _instrument(venue: str, raw: msgspec.Raw, *, inverse: bool) -> tuple[Instrument, str]:
    row = _contract(raw)
    base, quoted, symbol = asset_of(row.base, "baseAsset"), asset_of(row.quote, "quoteAsset"), asset_of(row.symbol, "symbol")
    expiry = epoch_ns(row.delivery) if DATED.fullmatch(symbol) else None
    if expiry == 0:
        raise FrameError("a dated contract without a date")
    tick = next((step_of(f.tick) for f in row.filters if f.filter_type == "PRICE_FILTER"), None)
    step = next((step_of(f.step) for f in row.filters if f.filter_type == "LOT_SIZE"), None)
    size = _contract_size(row) if inverse else Decimal(1)
    status = row.contract_status or row.status
    trouble = "" if status in STATUSES else f"status {status!r} is not known"
    name = perpetual(base, quoted) if expiry is None else future(base, quoted, expiry)
    step = step * size if step is not None else None
    active = status == "TRADING"
    return Instrument(name, venue, symbol, base, quoted, tick, step, size, active, inverse, expiry), trouble


def _contract_size(row: RestContract) -> Decimal:
    size = step_of(row.size)
    if not isinstance(size, Decimal) or size <= ZERO:
        raise FrameError(f"a contract of {size}")
    return size


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quoted, delivery = row.get("symbol"), row.get("baseAsset"), row.get("quoteAsset"), row.get("deliveryDate")
    if not isinstance(symbol, str):
        return "", ""
    if not (isinstance(base, str) and isinstance(quoted, str) and base and quoted):
        return symbol, ""
    if DATED.fullmatch(symbol):
        return symbol, future(base, quoted, epoch_ns(delivery)) if isinstance(delivery, int) and 0 < delivery < 10**13 else ""
    return symbol, perpetual(base, quoted)


def parse_trading(body: bytes, symbols: Sequence[str]) -> Mapping[str, str]:
    """Parse the states: any other than `TRADING` (`SETTLING`, `PENDING_TRADING` …) means that the contract does not trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        status = row.contract_status or row.status
        if not status:
            raise FrameError("no status")
        return row.symbol, "" if status == "TRADING" else status

    return trading_states(_contracts(body).symbols, read, dict(zip(symbols, symbols, strict=True)))


def open_interest_path(prefix: str) -> Callable[[Sequence[str]], str]:
    """See `PolledSource.path`: one symbol at a time."""
    return lambda symbols: f"{prefix}/openInterest?symbol={quote(symbols[0])}"


def parse_open_interest(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[OpenInterest | Odd]:
    """Parse the open interest. Contracts of COIN-M have a value in USD; their size would depend on a price, which is not in the answer."""
    row = _open_interest(body)
    instrument, number = lookup(symbols, row.symbol), figure(row.open_interest)
    if number < ZERO:
        raise FrameError(f"an open interest of {number}")
    made_ts = None if row.time is None else epoch_ns(row.time)
    key = instrument.venue, instrument.name, made_ts, received_ts
    if instrument.inverse:
        return (OpenInterest(*key, None, number * instrument.contract_size),)
    return (OpenInterest(*key, number),)
