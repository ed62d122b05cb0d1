"""BingX perpetuals by REST: instruments, best bid and ask, candles, funding, open interest.

Quirks  sizes in `bookTicker` and in `bids`, `asks` of `depth` may be lots: `bidsCoin`, `asksCoin` are base units, so the quote is their
        best level; asks come worst first. The tick is 10^-`pricePrecision`. `NC…` are tokenised shares, metals and currencies
Trades  are not used: they have no ids (those of `historicalTrades` are not on the socket), and nothing proves that their times are its `T`
Unproven  the open interest is taken for quote units: the documents' example for BTC is 3,289,641,547.10
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.bingx.candles import candle
from crosstape_connector.venues.bingx.rest import candles_parser, not_trading, read_all, rows_of
from crosstape_connector.venues.bingx.swap import ID
from crosstape_connector.venues.messages import Odd, OddRow
from crosstape_connector.venues.parsing.answers import trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import ZERO, Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Candle, Funding, Instrument, OpenInterest, Quote, perpetual

INSTRUMENTS: Final = "/openApi/swap/v2/quote/contracts"
FUNDING: Final = "/openApi/swap/v2/quote/premiumIndex"
NOT_CRYPTO: Final = "NC"
CRYPTO: Final = frozenset({"NCT", "NCASH"})
"""Assets that begin with `NC` and are coins."""


class RestBook(msgspec.Struct, frozen=True):
    bids: list[tuple[str, str]] = msgspec.field(name="bidsCoin")
    asks: list[tuple[str, str]] = msgspec.field(name="asksCoin")
    T: Stamp | None = None


class RestBookAnswer(msgspec.Struct, frozen=True):
    data: RestBook


class RestContract(msgspec.Struct, frozen=True):
    symbol: str
    asset: str
    currency: str
    status: int
    price_digits: int = msgspec.field(name="pricePrecision")
    size_digits: int = msgspec.field(name="quantityPrecision")
    opens: bool | str | None = msgspec.field(name="apiStateOpen", default=None)
    closes: bool | str | None = msgspec.field(name="apiStateClose", default=None)


class RestFunding(msgspec.Struct, frozen=True):
    symbol: str
    rate: str = msgspec.field(name="lastFundingRate")
    next: Stamp | None = msgspec.field(name="nextFundingTime", default=None)
    hours: int | None = msgspec.field(name="fundingIntervalHours", default=None)


class RestInterest(msgspec.Struct, frozen=True):
    symbol: str
    value: str = msgspec.field(name="openInterest")
    time: Stamp | None = None


class RestNamed(msgspec.Struct, frozen=True):
    symbol: str


class RestAnswer(msgspec.Struct, frozen=True):
    data: msgspec.Raw


class RestCandle(msgspec.Struct, frozen=True):
    time: Stamp
    open: str
    high: str
    low: str
    close: str
    volume: str


_book = msgspec.json.Decoder(RestBookAnswer).decode
_contract = msgspec.json.Decoder(RestContract).decode
_funding = msgspec.json.Decoder(RestFunding).decode
_interest = msgspec.json.Decoder(RestInterest).decode
_candle = msgspec.json.Decoder(RestCandle).decode
_named_row = msgspec.json.Decoder(RestNamed).decode
_answer = rows_decoder(RestAnswer, 2)


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the best levels of one symbol."""
    (symbol,) = symbols
    return f"/openApi/swap/v2/quote/depth?symbol={quoted(symbol)}&limit=5"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best of a few levels, which may be in any order. A level without a size is none."""
    (instrument,) = symbols.values()
    book = _book(body).data
    bids = [level for row in book.bids if (level := side_of(*row))[0] is not None]
    asks = [level for row in book.asks if (level := side_of(*row))[0] is not None]
    best = *max(bids, default=(None, None)), *min(asks, default=(None, None))
    return [Quote(ID, instrument.name, None if book.T is None else epoch_ns(book.T), received_ts, *best)]


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`contracts`, but for those that are no coins."""
    return listed(rows_of(body).data, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _contract(raw)
    if _is_no_coin(row.symbol):
        return None
    base, quote = asset_of(row.asset, "asset"), asset_of(row.currency, "currency")
    reason = not_trading(row.status, row.opens, row.closes)
    trouble = f"{reason} is not known" if reason.startswith("status ") else ""
    ticks = _step(row.price_digits), _step(row.size_digits)
    symbol = row.symbol.partition("-")
    asset_of(symbol[0], "the base in symbol")
    asset_of(symbol[2], "the quote in symbol")
    return Instrument(perpetual(base, quote), ID, row.symbol, base, quote, *ticks, active=not reason), trouble


def _is_no_coin(symbol: str) -> bool:
    return symbol.startswith(NOT_CRYPTO) and symbol.partition("-")[0] not in CRYPTO


def _step(digits: int) -> Decimal | None:
    return Decimal(1).scaleb(-digits) if 0 <= digits <= 18 else None


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("symbol"), row.get("asset"), row.get("currency")
    name = perpetual(base, quote) if isinstance(base, str) and isinstance(quote, str) and base and quote else ""
    return symbol if isinstance(symbol, str) else "", name


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Any `status` but 1 means that the contract does not trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _contract(raw)
        return row.symbol, not_trading(row.status, row.opens, row.closes)

    return trading_states(rows_of(body).data, read, dict(zip(symbols, symbols, strict=True)))


def _candle_of(row: msgspec.Raw, instrument: Instrument, timeframe: str, received_ts: int) -> Candle:
    raw = _candle(row)
    prices = [figure(text) for text in (raw.open, raw.high, raw.low, raw.close)]
    return candle(instrument, timeframe, epoch_ns(raw.time), prices, figure(raw.volume), venue_ts=None, received_ts=received_ts)


parse_candles = candles_parser(_candle_of)


def funding_path(symbols: Sequence[str]) -> str:
    """Return the path of one symbol's funding, or of all symbols'."""
    return f"{FUNDING}?symbol={quoted(symbols[0])}" if len(symbols) == 1 else FUNDING


def parse_funding(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Funding | Odd]:
    """`premiumIndex`: one row, or a list of all symbols'. `lastFundingRate` is the rate of the running period."""
    data = _answer(body).data
    rows = rows_of(body).data if bytes(data).startswith(b"[") else [data]
    wanted = [row for row in rows if (symbol := _symbol_of(row)) in symbols or not symbol]

    def read(row: msgspec.Raw) -> Funding:
        raw = _funding(row)
        interval_s = None if raw.hours is None else raw.hours * 3_600
        next_ts = None if not raw.next else epoch_ns(raw.next)
        return Funding(ID, lookup(symbols, raw.symbol).name, None, received_ts, figure(raw.rate), interval_s, next_ts)

    good, odd = read_all(wanted, read, "funding")
    return [*good, *odd]


def _symbol_of(row: msgspec.Raw) -> str:
    """Return the symbol that a row names; empty if none can be read."""
    try:
        return _named_row(row).symbol
    except FRAME_ERRORS:
        return ""


def parse_interest(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[OpenInterest | Odd]:
    """`openInterest` of one symbol."""
    raw = _interest(_answer(body).data)
    value, instrument = figure(raw.value), lookup(symbols, raw.symbol)
    if value < ZERO:
        raise FrameError(f"open interest of {instrument.name}: {raw.value}")
    return [OpenInterest(ID, instrument.name, None if raw.time is None else epoch_ns(raw.time), received_ts, None, value)]
