"""Turns values of Bitfinex's channels into ours: levels, trades, candles, figures, liquidations. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.bitfinex.frames import (
    RawCandle,
    RawDerivative,
    RawLevel,
    RawLiquidation,
    RawTrade,
    decode_candle,
    decode_rows,
    decode_trade,
    decode_trades,
)
from crosstape_connector.venues.messages import CandleSnapshot, Odd, Output
from crosstape_connector.venues.parsing.numbers import LONGEST, PER_LEVEL, check, doubtful
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import ZERO, finite, positive, shown
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Funding, Level, Liquidation, Mark, OpenInterest, Side, Trade
from crosstape_schemas.timeframes import close_of

ID: Final = "bitfinex"
TIMEFRAMES: Final = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1h", "3h": "3h", "6h": "6h", "12h": "12h",
    "1d": "1D", "1w": "1W",
}  # fmt: skip
"""Our timeframe → the venue's."""
FUNDING_S: Final = 8 * 3_600
MS: Final = 1_000_000
"""ns."""
_ONE: Final = Decimal(1)
_LATEST_MS: Final = 9 * 10**12


class Moment(NamedTuple):
    """When a frame was received, and sent."""

    received_ts: int
    venue_ts: int | None
    is_late: bool = False
    """A later frame came before it, by the connection's numbers."""


def candles_of(raw: bytes, instrument: str, timeframe: str, moment: Moment) -> CandleSnapshot:
    """Return past candles, oldest first, of the stream or by REST. Raises one of `FRAME_ERRORS` where there is no list, or no good row."""
    odd: list[Odd] = []

    def read(row: msgspec.Raw) -> Candle:
        check(row)
        return candle_of(decode_candle(row), instrument, timeframe, moment)

    rows = decode_rows(raw)
    found = readable(rows, read, f"candles of {instrument}", odd)
    if odd and not found:
        raise FrameError(odd[0].reason)
    return CandleSnapshot(instrument, timeframe, moment.received_ts, tuple(sorted(found, key=lambda one: one.open_ts)), tuple(odd))


def look_through(raw: bytes, rows: int) -> None:
    """Raise `NotANumber` for text that only `Decimal` takes for a number, and for a number that is too long."""
    if len(raw) > LONGEST + PER_LEVEL * rows or doubtful(raw):
        check(raw)


def trades_of(raw: bytes, instrument: str, moment: Moment, odd: list[Odd]) -> list[Trade]:
    """Return past trades: all rows at once, or, if one of them cannot be read, each apart.

    Raises one of `FRAME_ERRORS` if none can be read.
    """

    def one(row: msgspec.Raw) -> Trade:
        check(row)
        return trade_of(decode_trade(row), instrument, moment, replayed=True)

    try:
        rows = decode_trades(raw)
        look_through(raw, len(rows))
        return [trade_of(row, instrument, moment, replayed=True) for row in rows]
    except FRAME_ERRORS:
        found = readable(decode_rows(raw), one, f"trades of {instrument}", odd)
        if not found:
            raise
        return found


def sides(rows: Sequence[RawLevel]) -> tuple[list[Level], list[Level]]:
    """Return the changes of bids and of asks. Raises `FrameError` for a change of no side."""
    bids: list[Level] = []
    asks: list[Level] = []
    for row in rows:
        amount = row.amount
        if row.count > 0 and amount > ZERO:
            bids.append((row.price, amount))
        elif row.count > 0 and amount < ZERO:
            asks.append((row.price, amount.copy_negate()))
        elif row.count == 0 and amount != ZERO:
            (bids if amount > ZERO else asks).append((row.price, ZERO))
        else:
            raise FrameError(f"a level of {row.count} orders and {shown(amount)}")
    return bids, asks


def trade_of(row: RawTrade, instrument: str, moment: Moment, *, replayed: bool = False) -> Trade:
    """Return a trade; a negative amount was sold. Raises `FrameError` for an impossible one."""
    size = row.amount.copy_abs()
    if not positive(row.price, size):
        raise FrameError(f"trade {row.id} of {instrument}: {shown(row.amount)} at {shown(row.price)}")
    side = Side.SELL if row.amount.is_signed() else Side.BUY
    return Trade(ID, instrument, _time(row.mts), moment.received_ts, row.price, size, side, str(row.id), replayed)


def candle_of(row: RawCandle, instrument: str, timeframe: str, moment: Moment) -> Candle:
    """Return a candle. Raises `FrameError` if its figures contradict each other: the order of the columns may have changed."""
    if not all(positive(price, _ONE) for price in (row.open, row.high, row.low, row.close)):
        raise FrameError(f"candle of {instrument}: an impossible price")
    finite(row.volume)
    if row.volume < ZERO or not row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high:
        raise FrameError(f"candle of {instrument}: open, close, high, low do not fit")
    open_ts = _time(row.mts)
    return Candle(
        ID, instrument, moment.venue_ts, moment.received_ts, timeframe, open_ts, close_of(timeframe, open_ts),
        row.open, row.high, row.low, row.close, row.volume,
    )  # fmt: skip


def figures_of(row: RawDerivative, instrument: str, received_ts: int) -> list[Output]:
    """Return mark and index price, funding and open interest of a perpetual, as far as the venue gives them."""
    venue_ts = _time(row.mts)
    outputs: list[Output] = []
    if row.mark is not None or row.index is not None:
        outputs.append(Mark(ID, instrument, venue_ts, received_ts, row.mark, row.index))
    if row.funding is not None:
        next_ts = None if row.next_mts is None else _time(row.next_mts)
        outputs.append(Funding(ID, instrument, venue_ts, received_ts, row.funding, FUNDING_S, next_ts))
    if row.open_interest is not None:
        outputs.append(OpenInterest(ID, instrument, venue_ts, received_ts, row.open_interest))
    return outputs


def liquidation_of(row: RawLiquidation, moment: Moment, symbols: Symbols) -> Liquidation | None:
    """Return a liquidation; None for a symbol that is not ours. Raises `FrameError`."""
    instrument = symbols.get(row.symbol)
    if row.kind != "pos":
        raise UnknownFrame(f"a liquidation of kind {row.kind[:40]!r}")
    if instrument is None:
        return None
    size = row.amount.copy_abs()
    if not positive(row.price, size) or not ZERO < row.mts < _LATEST_MS:
        raise FrameError(f"{instrument.name}: {shown(row.amount)} at {shown(row.price)}")
    side = Side.BUY if row.amount < ZERO else Side.SELL
    return Liquidation(ID, instrument.name, int(row.mts * MS), moment.received_ts, side, row.price, size)


def _time(mts: int) -> int:
    """Return ns of a time in ms. Raises `FrameError` for one that is none: the frames of this venue are in ms only."""
    if mts >= _LATEST_MS:
        raise FrameError(f"not a time in ms: {mts}")
    return mts * MS
