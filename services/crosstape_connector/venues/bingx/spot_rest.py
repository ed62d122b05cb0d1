"""BingX spot by REST: instruments, trades, best bid and ask, candles.

Quirks  the newest 500 trades have no paging: their ids are those of the socket. Candles are rows of binary floats; their day begins at
        16:00 UTC unless `timeZone=0`
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.venues.bingx.candles import candle
from crosstape_connector.venues.bingx.rest import candles_parser, not_trading, number_of, read_all, rows_of, text_of
from crosstape_connector.venues.bingx.routes import TAKER
from crosstape_connector.venues.bingx.spot import ID
from crosstape_connector.venues.messages import Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Candle, Instrument, Quote, Trade, spot

PAGE: Final = 500
INSTRUMENTS: Final = "/openApi/spot/v1/common/symbols"
NULL: Final = msgspec.Raw(b"null")


class RestTrade(msgspec.Struct, frozen=True):
    id: Serial
    price: msgspec.Raw
    qty: msgspec.Raw
    time: Stamp
    buyer_makes: bool = msgspec.field(name="buyerMaker")


class RestQuote(msgspec.Struct, frozen=True):
    symbol: str
    bid_price: str = msgspec.field(name="bidPrice")
    bid_size: str = msgspec.field(name="bidVolume")
    ask_price: str = msgspec.field(name="askPrice")
    ask_size: str = msgspec.field(name="askVolume")
    time: Stamp | None = None


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    status: int
    tick: msgspec.Raw = msgspec.field(name="tickSize", default=NULL)
    step: msgspec.Raw = msgspec.field(name="stepSize", default=NULL)
    buys: bool | str | None = msgspec.field(name="apiStateBuy", default=None)
    sells: bool | str | None = msgspec.field(name="apiStateSell", default=None)


class RestSymbolList(msgspec.Struct, frozen=True):
    symbols: list[msgspec.Raw]


class RestSymbols(msgspec.Struct, frozen=True):
    data: RestSymbolList


_trade = msgspec.json.Decoder(RestTrade).decode
_quote = msgspec.json.Decoder(RestQuote).decode
_symbol = msgspec.json.Decoder(RestSymbol).decode
_symbols = rows_decoder(RestSymbols, 3)
_candle = msgspec.json.Decoder(tuple[Stamp, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw, Stamp, msgspec.Raw]).decode


def trades_path(symbol: str) -> str:
    """Return the path of the newest trades: there is no request from an id or a time."""
    return f"/openApi/spot/v1/market/trades?symbol={quoted(symbol)}&limit={PAGE}"


def past_path(symbol: str, trade_id: int) -> str:
    """See `TradesById.path`. `fromId` is documented as "the last recorded id": whether the page begins or ends there, answers show."""
    return f"/openApi/market/his/v1/trade?symbol={quoted(symbol)}&limit={PAGE}&fromId={trade_id}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`buyerMaker` true: the taker sold."""

    def read(row: msgspec.Raw) -> Trade:
        raw = _trade(row)
        return rest_trade(
            ID, instrument.name, received_ts, trade_id=raw.id, price=text_of(raw.price), size=text_of(raw.qty),
            taker=TAKER[raw.buyer_makes], venue_ts=epoch_ns(raw.time),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, read_all(rows_of(body).data, read, f"trades of {instrument.name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the best prices of one symbol."""
    (symbol,) = symbols
    return f"/openApi/spot/v1/ticker/bookTicker?symbol={quoted(symbol)}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """`bookTicker`: a list of one."""

    def read(row: msgspec.Raw) -> Quote:
        raw = _quote(row)
        instrument = lookup(symbols, raw.symbol)
        venue_ts = None if raw.time is None else epoch_ns(raw.time)
        bid, ask = side_of(raw.bid_price, raw.bid_size), side_of(raw.ask_price, raw.ask_size)
        return Quote(ID, instrument.name, venue_ts, received_ts, *bid, *ask)

    quotes, odd = read_all(rows_of(body).data, read, "quotes")
    return [*quotes, *odd]


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`common/symbols`, all of them."""
    return listed(_symbols(body).data.symbols, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _symbol(raw)
    base, _, quote = row.symbol.partition("-")
    base, quote = asset_of(base, "the base in symbol"), asset_of(quote, "the quote in symbol")
    reason = _reason(row)
    trouble = reason if reason.startswith("status ") else ""
    made = Instrument(spot(base, quote), ID, row.symbol, base, quote, step_of(row.tick), step_of(row.step), active=not reason)
    return made, trouble and f"{trouble} is not known"


def _reason(row: RestSymbol) -> str:
    return not_trading(row.status, row.buys, row.sells)


def _named(row: Any) -> tuple[str, str]:
    symbol = row.get("symbol")
    base, hyphen, quote = symbol.partition("-") if isinstance(symbol, str) else ("", "", "")
    return symbol if isinstance(symbol, str) else "", spot(base, quote) if hyphen and base and quote else ""


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Any `status` but 1 and 10 means that the symbol does not trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _symbol(raw)
        return row.symbol, _reason(row)

    return trading_states(_symbols(body).data.symbols, read, dict(zip(symbols, symbols, strict=True)))


def _candle_of(row: msgspec.Raw, instrument: Instrument, timeframe: str, received_ts: int) -> Candle:
    opened, first, high, low, last, volume, _, turnover = _candle(row)
    prices = [number_of(raw) for raw in (first, high, low, last)]
    return candle(
        instrument, timeframe, epoch_ns(opened), prices, number_of(volume),
        venue_ts=None, received_ts=received_ts, quote_volume=number_of(turnover),
    )  # fmt: skip


parse_candles = candles_parser(_candle_of)
