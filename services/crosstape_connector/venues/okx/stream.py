"""OKX's channels of spot and contracts: trades, best bid and ask, the day, candles.

Quirks  numbers and times (ms) are texts, an empty one says that there is none. Sizes of contracts are contracts
Trades  `side` is the taker's. `trades-all` has one fill a row and contiguous ids. In `trades`, fills of one order at one price are one row:
        `count` of them, and the id of the last. Rows of 2022 have no `count`; in frames of that year, each was one fill
Day     `vol24h` is base units on spot, else contracts; `volCcy24h` is quote units on spot, else base units
Candles the venue opens plain days, weeks and months at 16:00 UTC; we ask for its `utc` ones. `confirm` says that one is closed. Rows
        before September 2022 have seven columns
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.messages import LastTrade, Odd, Output, unreadable
from crosstape_connector.venues.okx.connection import MakeRoute, Route
from crosstape_connector.venues.okx.values import CANDLES, SIDES, SPOT_ID, RawLevel, best, known
from crosstape_connector.venues.parsing.candles import candle
from crosstape_connector.venues.parsing.contracts import base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import Unchecked, are_amounts, are_four_amounts, figure
from crosstape_connector.venues.parsing.rows import cause, readable, rows_decoder
from crosstape_connector.venues.parsing.wire import MICROSECONDS, ZERO, Serial, Stamp, epoch_ns, trade_amounts, trade_numbers
from crosstape_schemas import CANDLE, Candle, Instrument, Quote, Ticker, Trade

MOST: Final = 10_000
"""Fills that one row can stand for: a larger number is an error."""
R = TypeVar("R")


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    id: Serial = msgspec.field(name="tradeId")
    px: Unchecked
    sz: Unchecked
    side: str
    ts: Stamp
    count: Serial = 1


class RawTop(msgspec.Struct, frozen=True, gc=False):
    asks: list[RawLevel]
    bids: list[RawLevel]
    ts: Stamp


class RawDay(msgspec.Struct, frozen=True, gc=False):
    ts: Stamp
    last: str
    open: str = msgspec.field(name="open24h")
    high: str = msgspec.field(name="high24h")
    low: str = msgspec.field(name="low24h")
    volume: str = msgspec.field(name="vol24h")
    currency: str = msgspec.field(name="volCcy24h")


class RawCandle(msgspec.Struct, frozen=True, gc=False, array_like=True):
    ts: Stamp
    open: str
    high: str
    low: str
    close: str
    volume: str
    currency: str
    quote: str = ""
    confirm: str = ""


decode_rows: Final = rows_decoder(list[msgspec.Raw], 1)


def list_decoder(row: type[R]) -> Callable[[bytes | msgspec.Raw], list[R]]:
    """Return the decoder of the data of a frame. Texts are read as numbers where a field is a number."""
    return msgspec.json.Decoder(list[row], strict=False).decode  # type: ignore[valid-type]


def row_decoder(row: type[R]) -> Callable[[bytes | msgspec.Raw], R]:
    """Return the decoder of one row of the data."""
    return msgspec.json.Decoder(row, strict=False).decode


def rows_route(what: str, read: Callable[[msgspec.Raw, int], Sequence[Output]]) -> Route[list[msgspec.Raw]]:
    """Return the route of a channel whose rows are read one by one. `read`: (row, received_ts) → outputs; `what`: the rows in an error."""

    def outputs(rows: list[msgspec.Raw], text: bytes, received_ts: int) -> Sequence[Output]:
        odd: list[Odd] = []
        found = readable(rows, lambda raw: read(raw, received_ts), what, odd)
        return [*(output for each in found for output in each), *odd]

    return Route(decode_rows, outputs)


def newest_route(kind: str, instrument: Instrument, row: type[R], read: Callable[[R, int], Sequence[Output]]) -> Route[list[R]]:
    """Return the route of a channel whose newest row replaces those before. `read`: (row, received_ts) → outputs."""
    decode = list_decoder(row)

    def outputs(rows: list[R], text: bytes, received_ts: int) -> Sequence[Output]:
        try:
            return read(rows[0], received_ts) if len(rows) == 1 else [output for one in rows for output in read(one, received_ts)]
        except (*FRAME_ERRORS, ArithmeticError) as exc:
            return refused(exc, text, received_ts)

    def refused(error: Exception, text: bytes, received_ts: int) -> Sequence[Output]:
        return unreadable(kind, instrument.name, received_ts, error)

    return Route(decode, outputs, refused)


_trades, _trade = list_decoder(RawTrade), row_decoder(RawTrade)


def trade_route(instrument: Instrument) -> Route[list[RawTrade]]:
    """`trades-all` and `trades`."""
    venue, name, in_base_units = instrument.venue, instrument.name, is_in_base_units(instrument)

    def read(t: RawTrade, received_ts: int) -> Sequence[Output]:
        made_ts = epoch_ns(t.ts)
        taker, number = SIDES.get(t.side), t.id
        made: Trade[Any]
        if not in_base_units:
            price, contracts = trade_numbers(t.px, t.sz, f"trade {number} of {name}")
            made = Trade(venue, name, made_ts, received_ts, price, base_size(instrument, contracts, price), taker, str(number))
        else:
            amounts = trade_amounts(t.px, t.sz, f"trade {number} of {name}")
            made = Trade(venue, name, made_ts, received_ts, *amounts, taker, str(number))
        if t.count == 1:
            return (made,)
        if not 1 <= t.count <= min(MOST, number + 1):
            raise FrameError(f"trade {number} of {name}: {t.count} fills")
        others = range(number - t.count + 1, number)
        return *(LastTrade(name, made_ts, received_ts, one, no_trade=True) for one in others), made

    def outputs(rows: list[RawTrade], text: bytes, received_ts: int) -> Sequence[Output]:
        if len(rows) == 1:
            t = rows[0]
            price, size = t.px, t.sz
            if in_base_units and t.count == 1 and are_amounts(f"{price} {size}"):  # `read`, without its call
                made_ts = t.ts * 1_000_000 if t.ts < MICROSECONDS else t.ts * 1_000
                return (Trade(venue, name, made_ts, received_ts, price, size, SIDES.get(t.side), str(t.id)),)
            return read(t, received_ts)
        try:
            return [output for row in rows for output in read(row, received_ts)]
        except FRAME_ERRORS as exc:
            return refused(exc, text, received_ts)

    def refused(error: Exception, text: bytes, received_ts: int) -> Sequence[Output]:
        """One row after another."""
        found: list[Output] = []
        raws = decode_rows(text)
        if len(raws) < 2:
            raise error
        for raw in raws:
            try:
                found += read(_trade(raw), received_ts)
            except FRAME_ERRORS as exc:
                found.append(Odd("row", f"trade of {name}: {cause(raw, exc)}"))
        return found

    return Route(_trades, outputs, refused)


def quote_route(instrument: Instrument) -> Route[list[RawTop]]:
    """`bbo-tbt`: the best bid and ask, complete in each frame. A side without orders is empty."""
    venue, name, in_base_units = instrument.venue, instrument.name, is_in_base_units(instrument)

    def read(q: RawTop, received_ts: int) -> Sequence[Output]:
        made_ts = epoch_ns(q.ts)
        if in_base_units and q.bids and q.asks:
            bid, ask = q.bids[0], q.asks[0]
            if are_four_amounts(f"{bid.price} {bid.size} {ask.price} {ask.size}"):
                return (Quote(venue, name, made_ts, received_ts, bid.price, bid.size, ask.price, ask.size),)
        bids, asks = (best(instrument, side[0].price, side[0].size) if side else (None, None) for side in (q.bids, q.asks))
        return (Quote(venue, name, made_ts, received_ts, *bids, *asks),)

    return newest_route("quote", instrument, RawTop, read)


def ticker_route(instrument: Instrument) -> Route[list[RawDay]]:
    """`tickers`: rolling 24 h. Of an inverse contract, contracts are quote units; of a linear one, the quote volume is not told."""

    def read(d: RawDay, received_ts: int) -> Sequence[Output]:
        prices = known(d.last), known(d.open), known(d.high), known(d.low)
        volume, currency = known(d.volume), known(d.currency)
        if instrument.venue == SPOT_ID:
            volumes = volume, currency
        else:
            volumes = currency, volume * instrument.contract_size if instrument.inverse and volume is not None else None
        return (Ticker(instrument.venue, instrument.name, epoch_ns(d.ts), received_ts, *prices, *volumes),)

    return newest_route("ticker", instrument, RawDay, read)


def read_candle(instrument: Instrument, timeframe: str, row: RawCandle, received_ts: int) -> Candle:
    """Return one candle with base volumes. Raises `FrameError`."""
    prices = figure(row.open), figure(row.high), figure(row.low), figure(row.close)
    volume, quoted = figure(row.volume), known(row.quote)
    if instrument.inverse:
        volume, quoted = figure(row.currency), volume * instrument.contract_size
    elif instrument.venue == SPOT_ID:
        quoted = figure(row.currency)
    else:
        volume = base_size(instrument, volume, prices[3])
    if quoted is not None and quoted < ZERO:
        raise FrameError(f"no candle: {quoted} traded")
    if row.confirm not in ("", "0", "1"):
        raise FrameError(f"confirm is {row.confirm[:20]!r}")
    made = candle(
        instrument.venue, instrument.name, timeframe, epoch_ns(row.ts), prices, volume=volume, venue_ts=None, received_ts=received_ts
    )
    return msgspec.structs.replace(made, quote_volume=quoted, closed=row.confirm == "1")


def candle_route(timeframe: str) -> MakeRoute:
    """`candle1m` …: the running candle once a second at most, and once more when it is closed."""

    def of(instrument: Instrument) -> Route[list[RawCandle]]:
        def read(row: RawCandle, received_ts: int) -> Sequence[Output]:
            return (read_candle(instrument, timeframe, row, received_ts),)

        return newest_route(f"{CANDLE}{timeframe}", instrument, RawCandle, read)

    return of


ROUTES: Final[dict[str, MakeRoute]] = {
    "trades-all": trade_route,
    "trades": trade_route,
    "bbo-tbt": quote_route,
    "tickers": ticker_route,
    **{channel: candle_route(kind.removeprefix(CANDLE)) for kind, channel in CANDLES.items()},
}
