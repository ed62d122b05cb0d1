"""OKX's REST: instruments, whether they trade, trades, best prices, candles.

Limits  by request and address, in two seconds: `trades` 100, `candles` 40, all others 20 or more
Quirks  an error comes with HTTP 200 and a `code` that is not "0". Lists are newest first; `after` means older than, `before` newer than,
        both without the one that is named, and `before` alone gives the newest page. Trades can be asked for by id, 100 at a time, of the
        last three months. Contracts are listed by type; they have a family (`BTC-USD_UM`) in place of base and quote asset
Names   base and quote of a contract are those of its family, so that contracts on one index in other coins keep names of their own. One
        with the rule `xperp` is a perpetual, though it is listed among futures with a date. Stocks and the like are left out
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.okx.stream import RawCandle, read_candle
from crosstape_connector.venues.okx.values import SIDES, SPOT_ID, SWAP_ID, TIMEFRAMES, best, moment
from crosstape_connector.venues.parsing.answers import fault_message, read_rows, rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.numbers import LIMIT, decimal
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade, asset, future, perpetual, spot
from crosstape_schemas.timeframes import LENGTHS

LIST: Final = "/api/v5/public/instruments"
PAGE: Final = 100
"""Trades in an answer by id: the venue's most. Of the newest it would give 500."""
CANDLES: Final = 300
PAST: Final = 100
"""Candles in an answer of the past: older documents' number, which clients use."""
GOOD: Final = "0"
TOO_MANY: Final = "50011"
WINDOW_S: Final = 2.0
"""The venue counts requests in so many seconds."""
UNLISTED: Final = "51001"
STATES: Final = frozenset({"live", "suspend", "preopen", "test", "expired", "rebase", "post_only"})
"""What the state of an instrument may be; it trades in the first."""
CRYPTO: Final = ("", "1")
XPERP: Final = "xperp"
_TEST: Final = re.compile(r"TEST\d+")
_MONTH: Final = 31 * LENGTHS["1d"]
R = TypeVar("R")
T = TypeVar("T")


class RestRows(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


class RestTrade(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="tradeId")
    px: str
    sz: str
    side: str
    ts: str


class RestTop(msgspec.Struct, frozen=True):
    symbol: str = msgspec.field(name="instId")
    bid: str = msgspec.field(name="bidPx")
    bid_size: str = msgspec.field(name="bidSz")
    ask: str = msgspec.field(name="askPx")
    ask_size: str = msgspec.field(name="askSz")
    ts: Stamp


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


class RestFault(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""


decode_rows: Final = rows_decoder(RestRows, 2)
_state = msgspec.json.Decoder(RestState).decode
_instrument = msgspec.json.Decoder(RestInstrument).decode


def data_reader(row: type[R]) -> Callable[[bytes, Callable[[R], T], str], tuple[list[T], list[Odd]]]:
    """Return `answers.read_rows` for the `data` of an answer: (body, `read`, `what`) → what is read, and the odd rows."""
    answer = msgspec.defstruct("Answer", [("data", list[row])], frozen=True)  # type: ignore[valid-type]
    all_rows: Callable[[bytes], Any] = msgspec.json.Decoder(answer, strict=False).decode
    one_row = msgspec.json.Decoder(row, strict=False).decode

    def reader(body: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        return read_rows(lambda: all_rows(body).data, lambda: decode_rows(body).data, one_row, read, what)

    return reader


_trades = data_reader(RestTrade)
_tops = data_reader(RestTop)
_candles = data_reader(RawCandle)


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades."""
    return f"/api/v5/market/trades?instId={quoted(symbol)}&limit={PAGE}"


def below_path(symbol: str, before: int) -> str:
    """Return the path of the trades with ids below one: the last page of them."""
    return f"/api/v5/market/history-trades?instId={quoted(symbol)}&type=1&after={before}&limit={PAGE}"


def trades_path(symbol: str, first: int, since_ts: int) -> str:
    """Return the path of the page that begins with an id: ids have no gaps, so it ends below the id that is a page later."""
    return below_path(symbol, first + PAGE)


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        number, made_ts = raw.id, moment(raw.ts)
        if not (number.isascii() and number.isdecimal() and len(number) <= 19 and int(number) < 1 << 63) or made_ts is None:
            raise FrameError(f"trade {number[:40]!r} of {raw.ts[:40]!r}")
        trade = rest_trade(
            instrument.venue, instrument.name, received_ts,
            trade_id=int(number), price=raw.px, size=raw.sz, taker=SIDES.get(raw.side), venue_ts=made_ts,
        )  # fmt: skip
        return trade if instrument.venue == SPOT_ID else msgspec.structs.replace(trade, size=base_size(instrument, trade.size, trade.price))

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the best prices of one instrument."""
    (symbol,) = symbols
    return f"/api/v5/market/ticker?instId={quoted(symbol)}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """Return the best prices of those that were asked for. An empty side has empty texts."""

    def read(raw: RestTop) -> Quote | None:
        instrument = symbols.get(raw.symbol)
        if instrument is None:
            return None
        sides = (raw.bid, raw.bid_size), (raw.ask, raw.ask_size)
        bid, ask = (best(instrument, *side) if any(side) else (None, None) for side in sides)
        return Quote(instrument.venue, instrument.name, epoch_ns(raw.ts), received_ts, *bid, *ask)

    quotes, odd = _tops(body, read, "quotes")
    return [*(quote for quote in quotes if quote is not None), *odd]


def span(timeframe: str, intervals: int) -> int:
    """Return the length of so many intervals in ms; a month counts 31 days."""
    return LENGTHS.get(timeframe, _MONTH) // 1_000_000 * intervals


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """Return the path of the page of candles that begins at that time (ns); the venue has the newest 1,440."""
    since_ms = since_ts // 1_000_000
    times = f"before={since_ms - 1}&after={since_ms + span(timeframe, CANDLES)}"
    return f"/api/v5/market/candles?instId={quoted(symbol)}&bar={TIMEFRAMES[timeframe]}&{times}&limit={CANDLES}"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`. Neither bound is included."""
    times = f"before={max(0, first_ts // 1_000_000 - 1)}&after={last_ts // 1_000_000 + 1}"
    return f"/api/v5/market/history-candles?instId={quoted(symbol)}&bar={TIMEFRAMES[timeframe]}&{times}&limit={PAST}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first."""

    def read(row: RawCandle) -> Candle:
        return read_candle(instrument, timeframe, row, received_ts)

    candles, odd = _candles(body, read, f"candles of {instrument.name}")
    return snapshot(instrument.name, timeframe, candles, received_ts, odd)


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


def asked_to_wait(status: int, body: bytes) -> float | None:
    """See `Venue.asked_to_wait`: too many requests may be told with HTTP 200."""
    error = rest_error(body)
    return WINDOW_S if error is not None and error.partition(" ")[0] == TOO_MANY else None


rest_error = fault_message(
    msgspec.json.Decoder(RestFault).decode, lambda fault: "" if fault.code == GOOD else f"{fault.code} {fault.msg}".strip()
)
"""`{"code": "51001", "msg": "…"}`, with HTTP 200."""
