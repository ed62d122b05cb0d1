"""What the parsers of Deribit's frames and answers share: names, sizes in base units, trades, candles. Pure.

Sizes   the amounts of a linear contract are base units already, whatever its `contract_size`; those of an inverse one are US dollars, so
        that a base size is the amount divided by the price
Trades  `trade_seq` counts the trades of an instrument, one by one; `trade_id` counts those of a currency. Block trades and the legs of
        combinations are in the same row, at prices that no book had: their numbers count, and they are no trades of the tape
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing.candles import candle
from crosstape_connector.venues.parsing.contracts import base_of_value
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, positive, shown
from crosstape_schemas import Candle, Instrument, Side, Trade

ID: Final = "deribit"
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
RESOLUTIONS: Final = {"1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120"}
"""Our timeframe → theirs."""
TIMEFRAMES: Final = {theirs: ours for ours, theirs in RESOLUTIONS.items()}
REFUSED: Final = {
    "4h": "the venue has none",
    "6h": "its candles begin at 02:00, 08:00, 14:00 and 20:00 UTC",
    "12h": "its candles begin at 08:00 and 20:00 UTC",
    "1d": "its days begin at 08:00 UTC",
}
_FUTURE: Final = re.compile(r"[^-.]+-(?:PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2})")
"""The name of a perpetual or a dated future. Options and combinations have more parts, spot has no dash."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    trade_seq: Serial
    timestamp: Stamp
    price: Decimal
    amount: Decimal
    direction: str
    instrument_name: str
    liquidation: str = ""
    block_trade_id: str | int | None = None
    block_rfq_id: str | int | None = None
    combo_id: str | None = None
    combo_trade_id: str | int | None = None

    @property
    def is_off_book(self) -> bool:
        """Whether it is a block trade or the leg of a combination."""
        return not (self.block_trade_id is self.block_rfq_id is self.combo_id is self.combo_trade_id is None)


def is_future(symbol: str) -> bool:
    """Whether this is the name of an instrument that is ours to read."""
    return _FUTURE.fullmatch(symbol) is not None


def size_of(instrument: Instrument, amount: Decimal, price: Decimal) -> Decimal:
    """Return an amount in base units. `price` is above zero."""
    return base_of_value(amount, price) if instrument.inverse else amount


def trade_of(raw: RawTrade, instrument: Instrument, received_ts: int, *, backfilled: bool = False) -> Trade[Decimal]:
    """Return a trade. Raises `FrameError`."""
    if not positive(raw.price, raw.amount):
        raise FrameError(f"trade {raw.trade_seq}: {shown(raw.amount)} at {shown(raw.price)}")
    size = size_of(instrument, raw.amount, raw.price)
    taker = SIDES.get(raw.direction)
    if taker is None:
        raise FrameError(f"trade {raw.trade_seq}: a side that is not known")
    return Trade(ID, instrument.name, epoch_ns(raw.timestamp), received_ts, raw.price, size, taker, str(raw.trade_seq), backfilled)


def candle_of(instrument: Instrument, timeframe: str, figures: Sequence[Decimal], tick: int, received_ts: int) -> Candle:
    """Return a candle that begins at `tick` (ms). `figures`: open, high, low, close, base and quote volume, of any contract."""
    first, high, low, last, volume, cost = figures
    return candle(
        ID, instrument.name, timeframe, epoch_ns(tick), (first, high, low, last),
        volume=volume, quote_volume=cost, venue_ts=None, received_ts=received_ts,
    )  # fmt: skip
