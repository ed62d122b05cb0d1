"""Bybit's REST: instruments, best prices, trades and candles. Every request names its category, and answers are in one envelope.

Limits  600 requests in five seconds for one address; beyond them HTTP 403 with "access too frequent", which stays for ten minutes. A 403
        with another body is a refusal of our country
Trades  `recent-trade`: the newest 60 on spot, newest first, without paging; ids are those of the stream
Candles newest first, the last one running; the candle that contains `start` is in the answer
Quirks  errors come with HTTP 200 and a `retCode`. The list of instruments has those that trade: others are gone from it. Base and quote
        are fields of their own, and in no fixed place of the symbol: BTCPERP is quoted in USDC, 1000PEPEUSDT is a contract on 1000PEPE
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.bybit.figures import made_candle
from crosstape_connector.venues.bybit.frames import TIMEFRAMES
from crosstape_connector.venues.bybit.stream import SIDES, is_number
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import fault_message, read_rows, rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import ROW, readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade, future, perpetual, spot
from crosstape_schemas.timeframes import LENGTHS

SPOT: Final = "spot"
PAGE: Final = 60
"""Trades in an answer about spot: the venue's most."""
CANDLES: Final = 1_000
"""Candles in an answer: the venue's most."""
LISTED: Final = 1_000
"""Rows in a list of instruments: the venue's most."""
BAN_S: Final = 600.0
BUSY_S: Final = 5.0
BUSY: Final = frozenset({10006, 10429})
"""`retCode` of an answer that asks for fewer requests."""
STATUSES: Final = frozenset({"PreLaunch", "Trading", "Settling", "Delivering", "Closed"})
"""What `status` may be."""
STOCKS: Final = frozenset({"xstocks", "stock"})
"""`symbolType` of tokenised stocks, and of contracts on stocks."""
PERPETUALS: Final = {"LinearPerpetual": "linear", "InversePerpetual": "inverse"}
FUTURES: Final = {"LinearFutures": "linear", "InverseFutures": "inverse"}
NULL: Final = msgspec.Raw(b"null")
_MS: Final = 1_000_000
_MONTH_NS: Final = 31 * LENGTHS["1d"]
R = TypeVar("R")
T = TypeVar("T")


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
    delivery: str = msgspec.field(name="deliveryTime", default="0")
    launch: RestPhase | None = msgspec.field(name="preListingInfo", default=None)

    @property
    def trades(self) -> bool:
        """Whether it trades: a contract before its launch does so in the last phase of its auction only, and has no feed before."""
        return self.status == "Trading" or (
            self.launch is not None and self.launch.phase == "ContinuousTrading" and self.status == "PreLaunch"
        )


class RestState(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    launch: RestPhase | None = msgspec.field(name="preListingInfo", default=None)


class RestRows(msgspec.Struct, frozen=True):
    rows: list[msgspec.Raw] = msgspec.field(name="list")


class RestResult(msgspec.Struct, frozen=True):
    result: RestRows
    time: Stamp | None = None


class RestTop(msgspec.Struct, frozen=True):
    symbol: str
    bid: str = msgspec.field(name="bid1Price")
    bid_size: str = msgspec.field(name="bid1Size")
    ask: str = msgspec.field(name="ask1Price")
    ask_size: str = msgspec.field(name="ask1Size")


class RestTrade(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="execId")
    price: str
    size: str
    side: str
    time: str


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str


class RestFault(msgspec.Struct, frozen=True):
    code: int = msgspec.field(name="retCode")
    text: str = msgspec.field(name="retMsg", default="")


_result = rows_decoder(RestResult, 3)
_row = msgspec.json.Decoder(RestRow).decode
_state = msgspec.json.Decoder(RestState).decode
_top = msgspec.json.Decoder(RestTop).decode
_fault = msgspec.json.Decoder(RestFault).decode


def _reader(row: type[R]) -> Callable[[bytes, Callable[[R], T], str], tuple[list[T], list[Odd]]]:
    """Return `answers.read_rows` for answers whose `result` has a `list`: (body, `read`, `what`) → what is read, and the odd rows."""
    rows = msgspec.defstruct("Rows", [("list", list[row])], frozen=True)  # type: ignore[valid-type]
    answer = msgspec.defstruct("Answer", [("result", rows)], frozen=True)
    all_rows: Callable[[bytes], Any] = msgspec.json.Decoder(answer).decode
    one_row = msgspec.json.Decoder(row).decode

    def reader(body: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        return read_rows(lambda: all_rows(body).result.list, lambda: _result(body).result.rows, one_row, read, what)

    return reader


_trades = _reader(RestTrade)
_candles = _reader(RestCandle)


def _stamp(text: str) -> int:
    """Return a time in ms from its text. Raises `FrameError`."""
    if is_number(text) and len(text) <= len("9000000000000000"):
        return int(text)
    raise FrameError(f"not a time: {text[:40]!r}")


def list_path(category: str) -> str:
    """Return the path of the list of instruments."""
    return f"/v5/market/instruments-info?category={category}&limit={LISTED}"


def trades_path(symbol: str) -> str:
    """Return the path of spot's newest trades: the venue has no request for older ones."""
    return f"/v5/market/recent-trade?category={SPOT}&symbol={quoted(symbol)}&limit={PAGE}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        if not is_number(raw.id):
            raise FrameError(f"not the id of a trade: {raw.id[:40]!r}")
        return rest_trade(
            instrument.venue, instrument.name, received_ts,
            trade_id=int(raw.id), price=raw.price, size=raw.size, taker=SIDES.get(raw.side), venue_ts=epoch_ns(_stamp(raw.time)),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(category: str) -> Callable[[Sequence[str]], str]:
    """Return what makes the path of the best prices: of one symbol, or of all."""

    def path(symbols: Sequence[str]) -> str:
        symbol = f"&symbol={quoted(symbols[0])}" if len(symbols) == 1 else ""
        return f"/v5/market/tickers?category={category}{symbol}"

    return path


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote | Odd]:
    """Return the best prices of those that were asked for, with the time of the answer. A side without orders is null."""
    answer = _result(body)
    made_ts = None if answer.time is None else epoch_ns(answer.time)
    odd: list[Odd] = []

    def read(raw: msgspec.Raw) -> Quote | None:
        row = _top(raw)
        instrument = symbols.get(row.symbol)
        if instrument is None:
            return None
        sides = _side(instrument, row.bid, row.bid_size), _side(instrument, row.ask, row.ask_size)
        return Quote(instrument.venue, instrument.name, made_ts, received_ts, *sides[0], *sides[1])

    found = readable(answer.result.rows, read, "quote", odd)
    return [*(one for one in found if one is not None), *odd]


def _side(instrument: Instrument, price: str, size: str) -> tuple[Decimal, Decimal] | tuple[None, None]:
    found, contracts = side_of(price or "0", size or "0")
    return (None, None) if found is None or contracts is None else (found, base_size(instrument, contracts, found))


def range_path(category: str) -> Callable[[str, str, int, int], str]:
    """Return what makes the path of candles, see `PastCandles.path`. It names both bounds."""

    def path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
        times = f"start={max(0, first_ts) // _MS}&end={last_ts // _MS}"
        return f"/v5/market/kline?category={category}&symbol={quoted(symbol)}&interval={TIMEFRAMES[timeframe]}&{times}&limit={CANDLES}"

    return path


def candles_path(category: str) -> Callable[[str, str, int], str]:
    """Return what makes the path of a page of candles from a time on, see `CandleSource.path`."""
    between = range_path(category)

    def path(symbol: str, timeframe: str, since_ts: int) -> str:
        return between(symbol, timeframe, since_ts, since_ts + (CANDLES - 1) * LENGTHS.get(timeframe, _MONTH_NS))

    return path


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first. Nothing in a row says that it is closed."""

    def read(row: RestCandle) -> Candle:
        texts = row.open, row.high, row.low, row.close, row.volume, row.turnover
        return made_candle(instrument, timeframe, _stamp(row.start), texts, received_ts)

    candles, odd = _candles(body, read, f"{timeframe} candles of {instrument.name}")
    return snapshot(instrument.name, timeframe, candles, received_ts, odd)


def instruments(venue: str, category: str) -> Callable[[bytes], Sequence[Instrument | OddRow]]:
    """Return the parser of the list of a category. Rows of other categories and stocks are left out."""

    def parse(body: bytes) -> Sequence[Instrument | OddRow]:
        rows = _result(body).result.rows
        found = listed(rows, lambda raw: _instrument(venue, category, raw), _named)
        if len(rows) >= LISTED:
            found.append(OddRow(f"instrument_{ROW}", f"the list is cut after {LISTED} rows: the venue has more in another page"))
        return found

    return parse


def _instrument(venue: str, category: str, raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _row(raw)
    of = PERPETUALS.get(row.contract) or FUTURES.get(row.contract) or (row.contract or SPOT)
    if of != category or row.kind in STOCKS:
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
            expiry = epoch_ns(_stamp(row.delivery))
            if not expiry:
                raise FrameError("a dated contract without a date")
            name = future(base, quote, expiry)
        else:
            name = perpetual(base, quote)
    made = Instrument(name, venue, symbol, base, quote, tick, step, active=row.trades, inverse=category == "inverse", expiry=expiry)
    return made, trouble


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote, contract = row.get("symbol"), row.get("baseCoin"), row.get("quoteCoin"), row.get("contractType", "")
    name = ""
    if isinstance(base, str) and isinstance(quote, str) and base and quote and contract not in FUTURES:
        name = perpetual(base, quote) if contract in PERPETUALS else spot(base, quote)
    return symbol if isinstance(symbol, str) else "", name


def parse_trading(body: bytes, symbols: Sequence[str]) -> Mapping[str, str]:
    """`instruments-info`: what does not trade any more is not in it. Of a list that is cut, absence says nothing."""
    rows = _result(body).result.rows

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        if not row.status:
            raise FrameError("no status")
        is_trading = row.status == "Trading" or (row.launch is not None and row.launch.phase == "ContinuousTrading")
        return row.symbol, "" if is_trading else row.status

    found = trading_states(rows, read, dict(zip(symbols, symbols, strict=True)))
    if len(rows) < LISTED:
        return found
    named = {row.symbol for row in readable(rows, _state, "state", [])}
    return {symbol: reason for symbol, reason in found.items() if symbol in named}


def asked_to_wait(status: int, body: bytes) -> float | None:
    """See `Venue.asked_to_wait`: the ban of an address is a 403, as is the refusal of a country, which no waiting ends."""
    if status == 403:
        return BAN_S if b"too frequent" in body.lower() else None
    try:
        return BUSY_S if _fault(body).code in BUSY else None
    except FRAME_ERRORS:
        return None


rest_error = fault_message(_fault, lambda fault: f"{fault.code} {fault.text}".strip() if fault.code else "")
"""`{"retCode": 10001, "retMsg": "…"}`, with HTTP 200."""
