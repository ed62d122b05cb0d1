"""HTX contracts by REST: instruments and whether they trade, trades, best bid and ask, candles, open interest.

Limits  240 requests in 3 s for one address; 800 a second for paths of markets (`/linear-swap-ex`)
Quirks  the list of instruments has dated contracts only with `business_type=all`. Rows with `tradfi_labels` are shares, metals and indices.
        `settlement_period` is the interval of funding, in hours. Past trades are the newest 2,000, in groups, one of each order
Sides   trades, volumes and open interest are of both sides, if all of an answer are even numbers of contracts: one that is odd shows that
        the answer is of one side. The documents say so of open interest too; an answer of 2021-12 had odd ones
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.htx.notifications import not_trading
from crosstape_connector.venues.htx.rest import CANDLES, NULL, PAGE, candles, number_of, read_all, rows_of, text_of, trade_rows
from crosstape_connector.venues.htx.swap import volumes
from crosstape_connector.venues.htx.swap_frames import decode_named
from crosstape_connector.venues.htx.values import SECOND, SIDES, SWAP, TIMEFRAMES, BothSides, RawCandle, candle
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp, epoch_ns, side, trade_numbers
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, OpenInterest, Quote, Trade, future, perpetual

INSTRUMENTS: Final = "/linear-swap-api/v1/swap_contract_info?business_type=all"
QUOTES: Final = "/linear-swap-ex/market/bbo?business_type=all"
INTEREST: Final = "/linear-swap-api/v1/swap_open_interest?business_type=all"
RECORDED: Final = ("/swap-api/v1/swap_contract_info", "/api/v1/contract_contract_info")
"""The lists of coin-margined contracts, which recordings have."""
CODE: Final = re.compile(r"(?P<base>.+?)-(?P<quote>[^-]+)(?:-(?P<day>\d{6}))?|(?P<coin>\D[^-]*?)(?P<date>\d{6})")
"""`BTC-USDT`, `BTC-USDT-261225`, `BTC-USD`, `BTC261225`."""


class RestTrade(msgspec.Struct, frozen=True):
    id: Serial
    ts: Stamp
    price: msgspec.Raw
    amount: msgspec.Raw
    direction: str


class RestQuote(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="contract_code")
    bid: tuple[msgspec.Raw, msgspec.Raw] | None = None
    ask: tuple[msgspec.Raw, msgspec.Raw] | None = None
    ts: Stamp | None = None


class RestQuotes(msgspec.Struct, frozen=True):
    ticks: list[msgspec.Raw]


class RestContract(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="contract_code")
    status: int = msgspec.field(name="contract_status")
    size: msgspec.Raw = msgspec.field(name="contract_size")
    tick: msgspec.Raw = msgspec.field(name="price_tick", default=NULL)
    delivery: str | int | None = msgspec.field(name="delivery_time", default=None)
    hours: str | int | None = msgspec.field(name="settlement_period", default=None)
    labels: msgspec.Raw = msgspec.field(name="tradfi_labels", default=NULL)


class RestState(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="contract_code")
    status: int = msgspec.field(name="contract_status")


class RestInterest(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="contract_code")
    volume: msgspec.Raw
    amount: msgspec.Raw
    value: msgspec.Raw = NULL


class RestInterests(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    ts: Stamp | None = None


_trade = msgspec.json.Decoder(RestTrade).decode
_quotes = rows_decoder(RestQuotes, 2)
_quote = msgspec.json.Decoder(RestQuote).decode
_contract = msgspec.json.Decoder(RestContract).decode
_state = msgspec.json.Decoder(RestState).decode
_interests = rows_decoder(RestInterests, 2)
_interest = msgspec.json.Decoder(RestInterest).decode


def sides(contracts: Iterable[Decimal], what: str) -> tuple[BothSides, list[Odd]]:
    """Return the rule for an answer with these numbers of contracts; and, if one is odd, that it is refuted."""
    both, odd = BothSides(), list[Odd]()
    for number in contracts:
        if not odd:
            odd += both.look(number, what)
    return both, odd


def trades_path(symbol: str) -> str:
    """Return the path of the newest trades: there is no request from an id or a time."""
    return f"/linear-swap-ex/market/history/trade?contract_code={quoted(symbol)}&size={PAGE}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`direction` is the taker's, `amount` contracts."""
    what = f"trades of {instrument.name}"

    def read(row: msgspec.Raw) -> tuple[RestTrade, Decimal, Decimal]:
        raw = _trade(row)
        return raw, *trade_numbers(text_of(raw.price), text_of(raw.amount), f"trade {raw.id}")

    rows, odd = read_all(trade_rows(body), read, what)
    both, refuted = sides((contracts for _, _, contracts in rows), what)

    def made(row: tuple[RestTrade, Decimal, Decimal]) -> Trade:
        raw, price, contracts = row
        size = base_size(instrument, both.one(contracts), price)
        return rest_trade(
            SWAP, instrument.name, received_ts, trade_id=raw.id, price=text_of(raw.price), size=f"{size:f}",
            taker=SIDES.get(raw.direction), venue_ts=epoch_ns(raw.ts),
        )  # fmt: skip

    trades: list[Trade] = []
    for row in rows:
        try:
            trades.append(made(row))
        except FRAME_ERRORS as exc:
            odd.append(Odd("row", f"{what}: {exc}"))
    if odd and not trades:
        raise FrameError(odd[0].reason)
    page = trade_page(instrument.name, received_ts, (trades, odd))
    return msgspec.structs.replace(page, odd=(*page.odd, *refuted)) if refuted else page


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """`bbo`: the best bid and ask of all contracts."""

    def best(instrument: Instrument, level: tuple[msgspec.Raw, msgspec.Raw] | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
        price, size = (None, None) if level is None else side(number_of(level[0]), number_of(level[1]))
        return (None, None) if price is None or size is None else (price, base_size(instrument, size, price))

    def read(row: msgspec.Raw) -> Quote | None:
        instrument = symbols.get(decode_named(row).code)
        if instrument is None:
            return None
        raw = _quote(row)
        made_ts = None if raw.ts is None else epoch_ns(raw.ts)
        return Quote(SWAP, instrument.name, made_ts, received_ts, *best(instrument, raw.bid), *best(instrument, raw.ask))

    quotes, odd = read_all(_quotes(body).ticks, read, "quotes")
    return [*(one for one in quotes if one is not None), *odd]


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`swap_contract_info`, but for those that are no coins."""
    return listed(rows_of(body).data, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _contract(raw)
    if bytes(row.labels) not in (b"null", b'""', b"[]"):
        return None
    base, quote, is_dated = parts_of(row.code)
    size, tick = _short(row.size), _short(row.tick)
    if size is None or size <= ZERO:
        raise FrameError(f"a contract of {size}")
    expiry = epoch_ns(_whole(row.delivery, "delivery_time")) if is_dated else None
    name = perpetual(base, quote) if expiry is None else future(base, quote, expiry)
    why = not_trading(row.status)
    trouble = f"{why} is not known" if why.startswith("contract_status ") else ""
    hours = None if is_dated or row.hours in (None, "") else _whole(row.hours, "settlement_period")
    made = Instrument(
        name, SWAP, row.code, base, quote, tick, size, size, active=not why, inverse=quote == "USD", expiry=expiry,
        funding_s=hours and hours * 3_600,
    )  # fmt: skip
    return made, trouble


def _short(raw: msgspec.Raw) -> Decimal | None:
    """Return a step without the zeros at its end: lists have `0.010000000000000000`."""
    step = step_of(raw)
    return Decimal(f"{step.normalize():f}") if isinstance(step, Decimal) else None


def _whole(text: str | int | None, what: str) -> int:
    found = str(text)
    if not (found.isdecimal() and found.isascii() and len(found) <= 13):
        raise FrameError(f"{what} is {found[:40]!r}")
    return int(found)


def parts_of(code: str) -> tuple[str, str, bool]:
    """Return base, quote, and whether it is dated. Raises `FrameError`."""
    found = CODE.fullmatch(code)
    if found is None:
        raise FrameError(f"contract_code is {code[:40]!r}")
    if found["coin"] is not None:
        return asset_of(found["coin"], "the coin in contract_code"), "USD", True
    base, quote = asset_of(found["base"], "the base in contract_code"), asset_of(found["quote"], "the quote in contract_code")
    return base, quote, found["day"] is not None


def _named(row: Any) -> tuple[str, str]:
    code, delivery = row.get("contract_code"), row.get("delivery_time")
    if not isinstance(code, str):
        return "", ""
    try:
        base, quote, is_dated = parts_of(code)
        return code, future(base, quote, epoch_ns(_whole(delivery, "delivery_time"))) if is_dated else perpetual(base, quote)
    except FrameError:
        return code, ""


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Any `contract_status` but 1 means that the contract does not trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        return row.code, not_trading(row.status)

    return trading_states(rows_of(body).data, read, dict(zip(symbols, symbols, strict=True)))


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """See `CandleSource.path`: the newest, as a range needs its end, too."""
    return f"/linear-swap-ex/market/history/kline?contract_code={quoted(symbol)}&period={TIMEFRAMES[timeframe]}&size={CANDLES}"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`: without `size`, which would win."""
    times = f"from={max(0, first_ts) // SECOND}&to={last_ts // SECOND}"
    return f"/linear-swap-ex/market/history/kline?contract_code={quoted(symbol)}&period={TIMEFRAMES[timeframe]}&{times}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """`vol` is contracts, `amount` base units."""
    refuted: list[Odd] = []

    def made(rows: list[RawCandle]) -> Callable[[RawCandle], Candle]:
        both, found = sides((row.vol for row in rows if row.vol.is_finite()), f"candle:{timeframe} of {instrument.name}")
        refuted.extend(found)
        return lambda k: candle(instrument, timeframe, k, volumes(instrument, k, both), venue_ts=None, received_ts=received_ts)

    found = candles(body, instrument, timeframe, received_ts, made)
    return msgspec.structs.replace(found, odd=(*found.odd, *refuted)) if refuted else found


def parse_interest(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[OpenInterest | Odd]:
    """`swap_open_interest` of all contracts: `volume` is contracts, `amount` base units, `value` quote units."""
    answer = _interests(body)
    made_ts = None if answer.ts is None else epoch_ns(answer.ts)

    def read(row: msgspec.Raw) -> tuple[str, Decimal, Decimal, Decimal | None]:
        raw = _interest(row)
        found = raw.code, number_of(raw.volume), number_of(raw.amount), None if bytes(raw.value) == b"null" else number_of(raw.value)
        if min(found[1], found[2]) < ZERO or (found[3] or ZERO) < ZERO:
            raise FrameError(f"open interest of {raw.code}: {found[1]}")
        return found

    rows, odd = read_all(answer.data, read, "open interest")
    both, _ = sides((volume for _, volume, _, _ in rows), "open interest")  # a usual thing: see the module's docstring
    return [
        *(
            OpenInterest(SWAP, symbols[code].name, made_ts, received_ts, both.one(amount), None if value is None else both.one(value))
            for code, _, amount, value in rows
            if code in symbols
        ),
        *odd,
    ]
