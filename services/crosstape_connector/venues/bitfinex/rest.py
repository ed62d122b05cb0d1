"""Bitfinex's REST: past trades, candles, pairs and whether they are listed.

Limits  counted per endpoint, address and minute; the sources differ, and we plan with the lowest figure that one of them has: conf 30,
        trades 15, candles 30. An address that exceeds them is refused for a minute
Quirks  an error comes with HTTP 500: `["error", 10020, "limit: invalid"]`; rows are newest first unless `sort=1`; `conf` answers
        several keys with one list of lists; there is no tick size, as prices have five significant digits; a delisted pair only leaves
        the list; the sizes of `tickers` are sums over 25 levels, so a quote is the first level of a pair's book
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError
from crosstape_connector.venues.bitfinex.assets import PERPETUAL, ours, split
from crosstape_connector.venues.bitfinex.values import ID, MS, TIMEFRAMES, Moment, candles_of
from crosstape_connector.venues.messages import CandleSnapshot, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import RestLevel as PriceSize
from crosstape_connector.venues.parsing.answers import best_quote, fault_message, list_reader, rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.listing import listed
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import mended, rows_decoder
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Instrument, Quote, Side, Trade, perpetual, spot

PAIRS: Final = "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures"
LISTS: Final = 2
"""How many of the lists in an answer are of pairs: spot, and perpetuals."""
MOST: Final = 10_000
"""Rows in an answer: the venue's most."""
NAMES: Final = "pub:map:currency:sym"
RECORDED: Final = ("/v2/conf/pub:list:pair:exchange", "/v2/conf/pub:list:pair:futures", "/v2/conf/pub:list:pair:future")
"""Paths that older clients asked for the same lists, one by one."""
PAGE: Final = 2_500
"""Trades in an answer; the venue's most is 10,000."""
CANDLES: Final = 2_500
"""Candles in an answer; the venue's most is 10,000."""
SIZE_STEP: Final = Decimal("0.00000001")


class RestTrade(msgspec.Struct, frozen=True, array_like=True):
    id: Serial
    mts: Stamp
    amount: msgspec.Raw
    price: msgspec.Raw


class RestLevel(msgspec.Struct, frozen=True, array_like=True):
    price: msgspec.Raw
    count: int
    amount: msgspec.Raw


class RestFault(msgspec.Struct, frozen=True):
    error: str
    error_description: str = ""


_any = msgspec.json.Decoder(msgspec.Raw).decode
_mended_lists = rows_decoder(list[list[msgspec.Raw]], 2)
_names = msgspec.json.Decoder(list[tuple[str, str]]).decode
_pair = msgspec.json.Decoder(str).decode
_trades = list_reader(RestTrade)
_book = msgspec.json.Decoder(list[RestLevel]).decode
_row_fault = msgspec.json.Decoder(tuple[str, int | None, str]).decode
_object_fault = msgspec.json.Decoder(RestFault).decode


def trades_path(symbol: str, since_ts: int) -> str:
    """Return the path of the page of trades that begins at that time."""
    return f"/v2/trades/{quoted(symbol, safe=':')}/hist?limit={PAGE}&start={max(0, since_ts) // MS}&sort=1"


def past_path(symbol: str, since_ts: int, until_ts: int) -> str:
    """See `TradesByTime.path`. Both bounds are included."""
    times = f"start={max(0, since_ts) // MS}&end={until_ts // MS}"
    return f"/v2/trades/{quoted(symbol, safe=':')}/hist?limit={MOST}&{times}&sort=1"


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades."""
    return f"/v2/trades/{quoted(symbol, safe=':')}/hist?limit={PAGE}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """The amount is negative where the taker sold."""

    def read(raw: RestTrade) -> Trade:
        amount = figure(bytes(raw.amount).decode())
        return rest_trade(
            ID, instrument.name, received_ts,
            trade_id=raw.id, price=bytes(raw.price).decode(), size=str(amount.copy_abs()),
            taker=Side.BUY if amount > ZERO else Side.SELL, venue_ts=raw.mts * MS,
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the first level a side of one pair's book."""
    (symbol,) = symbols
    return f"/v2/book/{quoted(symbol, safe=':')}/P0?len=1"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best levels of the one requested pair. The answer has no time; amounts of asks are negative."""
    (instrument,) = symbols.values()
    bids: list[PriceSize] = []
    asks: list[PriceSize] = []
    for raw in _book(body):
        amount = bytes(raw.amount).decode()
        price = bytes(raw.price).decode()
        (asks if amount.startswith("-") else bids).append(PriceSize(price, amount.removeprefix("-")))
    return best_quote(ID, instrument.name, bids, asks, venue_ts=None, received_ts=received_ts)


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """Return the path of the candles from that time on."""
    key = quoted(f"trade:{TIMEFRAMES[timeframe]}:{symbol}", safe=":")
    return f"/v2/candles/{key}/hist?limit={CANDLES}&start={max(0, since_ts) // MS}&sort=1"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`. Both bounds are included."""
    key = quoted(f"trade:{TIMEFRAMES[timeframe]}:{symbol}", safe=":")
    return f"/v2/candles/{key}/hist?limit={MOST}&start={max(0, first_ts) // MS}&end={last_ts // MS}&sort=1"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Rows as on the stream; the newest is of the running interval."""
    return candles_of(_mended_rows(body), instrument.name, timeframe, Moment(received_ts, None))


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """Return the pairs of all lists, and the names of assets by our own table or else the venue's.

    A recording may have one list alone: then only our table gives names.
    """
    lists = _mended_lists(body)
    table = _table(lists[LISTS]) if len(lists) > LISTS else {}
    rows = [raw for pairs in lists[:LISTS] for raw in pairs]
    return listed(rows, partial(_instrument, table), partial(_named, table))


def _mended_rows(body: bytes) -> bytes:
    """Return the answer with a text in place of each row that is no JSON."""
    try:
        _any(body)
    except JSON_ERRORS:
        return mended(body, 1)
    return body


def _table(rows: Sequence[msgspec.Raw]) -> dict[str, str]:
    """Return their name of an asset → the usual one, of the rows that can be read: `["UST", "USDt"]`."""
    found: dict[str, str] = {}
    for raw in rows:
        try:
            ((name, usual),) = _names(b"[%s]" % bytes(raw))
        except FRAME_ERRORS:
            continue
        if usual.isalnum():
            found[name] = usual.upper()
    return found


def _instrument(table: Mapping[str, str], raw: msgspec.Raw) -> tuple[Instrument, str]:
    pair = _pair(raw)
    theirs = split(pair)
    derivative = [name.endswith(PERPETUAL) for name in theirs]
    base, quote = (ours(name, table) for name in theirs)
    if any(derivative) != all(derivative):
        raise FrameError(f"a pair of which one half is a perpetual's: {pair[:40]!r}")
    name = perpetual(base, quote) if all(derivative) else spot(base, quote)
    return Instrument(name, ID, f"t{pair}", base, quote, None, SIZE_STEP), ""


def _named(table: Mapping[str, str], row: Any) -> tuple[str, str]:
    return (f"t{row}", "") if isinstance(row, str) else ("", "")


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Parse the lists of pairs: a pair trades as long as it is listed. Whether the venue is open, its stream says."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        return _pair(raw), ""

    lists = _mended_lists(body)
    if len(lists) < LISTS:
        raise FrameError(f"{len(lists)} lists of pairs, not {LISTS}")
    rows = [raw for pairs in lists[:LISTS] for raw in pairs]
    return trading_states(rows, read, {symbol: symbol.removeprefix("t") for symbol in symbols})


def _of_row(body: bytes) -> str:
    word, code, text = _row_fault(body)
    if word != "error":
        raise FrameError("not an error")
    return f"{code or ''} {text}".strip()


def _of_object(body: bytes) -> str:
    fault = _object_fault(body)
    return f"{fault.error} {fault.error_description}".strip()


_by_row, _by_object = fault_message(_of_row, str), fault_message(_of_object, str)


def rest_error(body: bytes) -> str | None:
    """Return the error of an answer: `["error", 10020, "limit: invalid"]`, or `{"error": "ERR_RATE_LIMIT"}`."""
    return _by_row(body) or _by_object(body)
