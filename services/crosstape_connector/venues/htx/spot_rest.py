"""HTX spot by REST: instruments and whether they trade, trades, best bid and ask, candles.

Limits  per path and address in 5 minutes: 3,000 for trades, 4,500 for others
Quirks  past trades are the newest 2,000, in groups: one of each order, newest first. A trade's id is called `trade-id`. Symbols are in
        lower case and run together (`yfihusd`): the list of instruments has their two parts. Pairs that are offline stay listed
Candles `kline` has no range: it gives the newest. `candles`, with a range in s, is known from clients of the venue and not from its
        documents
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.venues.htx.rest import CANDLES, NULL, PAGE, candles, number_of, read_all, rows_of, text_of, trade_rows
from crosstape_connector.venues.htx.values import SECOND, SIDES, SPOT, TIMEFRAMES, RawCandle, candle
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, side
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade, asset, spot

INSTRUMENTS: Final = "/v1/common/symbols"
QUOTES: Final = "/market/tickers"
STATES: Final = frozenset({"online", "offline", "suspend", "pre-online", "not-online", "transfer-board", "fuse", "unknown"})
"""What `state` may be; a symbol trades in the first."""


class RestTrade(msgspec.Struct, frozen=True):
    number: Serial = msgspec.field(name="trade-id")
    ts: Stamp
    price: msgspec.Raw
    amount: msgspec.Raw
    direction: str


class RestQuote(msgspec.Struct, frozen=True):
    symbol: str
    bid: msgspec.Raw = NULL
    bid_size: msgspec.Raw = msgspec.field(name="bidSize", default=NULL)
    ask: msgspec.Raw = NULL
    ask_size: msgspec.Raw = msgspec.field(name="askSize", default=NULL)


class RestNamed(msgspec.Struct, frozen=True):
    symbol: str = ""


class RestQuotes(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    ts: Stamp | None = None


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    base: str = msgspec.field(name="base-currency")
    quote: str = msgspec.field(name="quote-currency")
    state: str
    price_digits: int = msgspec.field(name="price-precision")
    size_digits: int = msgspec.field(name="amount-precision")
    api: str = msgspec.field(name="api-trading", default="enabled")


_trade = msgspec.json.Decoder(RestTrade).decode
_quotes = rows_decoder(RestQuotes, 2)
_quote = msgspec.json.Decoder(RestQuote).decode
_name = msgspec.json.Decoder(RestNamed).decode
_symbol = msgspec.json.Decoder(RestSymbol).decode


def trades_path(symbol: str) -> str:
    """Return the path of the newest trades: there is no request from an id or a time."""
    return f"/market/history/trade?symbol={quoted(symbol)}&size={PAGE}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`direction` is the taker's."""

    def read(row: msgspec.Raw) -> Trade:
        raw = _trade(row)
        return rest_trade(
            SPOT, instrument.name, received_ts, trade_id=raw.number, price=text_of(raw.price), size=text_of(raw.amount),
            taker=SIDES.get(raw.direction), venue_ts=epoch_ns(raw.ts),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, read_all(trade_rows(body), read, f"trades of {instrument.name}"))


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """`tickers`: the best bid and ask of all symbols."""
    answer = _quotes(body)
    made_ts = None if answer.ts is None else epoch_ns(answer.ts)

    def read(row: msgspec.Raw) -> Quote | None:
        instrument = symbols.get(_name(row).symbol)
        if instrument is None:
            return None
        raw = _quote(row)
        if NULL == raw.bid == raw.ask:
            return None  # not in the answer, which says nothing of the book
        return Quote(SPOT, instrument.name, made_ts, received_ts, *best(raw.bid, raw.bid_size), *best(raw.ask, raw.ask_size))

    quotes, odd = read_all(answer.data, read, "quotes")
    return [*(one for one in quotes if one is not None), *odd]


def best(price: msgspec.Raw, size: msgspec.Raw) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote; nulls if it is empty."""
    if b"null" in (bytes(price), bytes(size)):
        return None, None
    return side(number_of(price), number_of(size))


def ours(name: str) -> str:
    """Return our name of the venue's asset."""
    return asset(name.upper())


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`common/symbols`, all of them."""
    return listed(rows_of(body).data, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str]:
    row = _symbol(raw)
    base, quote = ours(asset_of(row.base, "base-currency")), ours(asset_of(row.quote, "quote-currency"))
    trouble = "" if row.state in STATES else f"state {row.state!r} is not known"
    ticks = _step(row.price_digits), _step(row.size_digits)
    return Instrument(spot(base, quote), SPOT, asset_of(row.symbol, "symbol"), base, quote, *ticks, active=not not_trading(row)), trouble


def _step(digits: int) -> Decimal | None:
    return Decimal(1).scaleb(-digits) if 0 <= digits <= 18 else None


def not_trading(row: RestSymbol) -> str:
    """Return why a symbol does not trade; empty: it does."""
    if row.state != "online":
        return row.state or "no state"
    return "" if row.api == "enabled" else "closed to the API"


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("symbol"), row.get("base-currency"), row.get("quote-currency")
    name = spot(ours(base), ours(quote)) if isinstance(base, str) and isinstance(quote, str) and base and quote else ""
    return symbol if isinstance(symbol, str) else "", name


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Any `state` but `online` means that the symbol does not trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _symbol(raw)
        return row.symbol, not_trading(row)

    return trading_states(rows_of(body).data, read, dict(zip(symbols, symbols, strict=True)))


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """See `CandleSource.path`: the newest, as there is no range."""
    return f"/market/history/kline?symbol={quoted(symbol)}&period={TIMEFRAMES[timeframe]}&size={CANDLES}"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`."""
    times = f"from={max(0, first_ts) // SECOND}&to={last_ts // SECOND}"
    return f"/market/history/candles?symbol={quoted(symbol)}&period={TIMEFRAMES[timeframe]}&size={CANDLES}&{times}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """`amount` is in base units, `vol` in quote units."""

    def made(rows: list[RawCandle]) -> Callable[[RawCandle], Candle]:
        return lambda k: candle(instrument, timeframe, k, (k.amount, k.vol), venue_ts=None, received_ts=received_ts, trades=k.count)

    return candles(body, instrument, timeframe, received_ts, made)
