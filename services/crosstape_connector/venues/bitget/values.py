"""Bitget's values: its products, which of them a symbol is of, timeframes, ids that hold the time, and candles.

Quirks  the symbol `BTCUSDT` names the spot pair and the perpetual, so that each subscription and each frame says its product, too (v2 in
        upper case, v3 in lower case). Perpetuals are `BTCUSDT`, `BTCPERP` (settled in USDC) and `BTCUSD` (settled in the coin); dated ones
        have a date or a month's letter behind. Sizes are base units in all of them: in frames of COIN-FUTURES the day's quote volume
        divided by its base volume is the price
Ids     of trades are made of the time: in ms they are `id >> 22` and a constant (7 of 7 frames of 2024-10 … 2026-04, both generations)
Candles `open` is the close before, so that high and low contain a price at which nothing was traded in the interval. Names without `utc`
        count hours and days from 16:00 UTC: 6, 12 hours, days, weeks and months of these are not ours
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing.candles import candle as checked
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.wire import ZERO, epoch_ns
from crosstape_schemas import Candle, Instrument, Side

SPOT: Final = "bitget"
FUTURES: Final = "bitget_futures"
SPOT_PRODUCT: Final = "SPOT"
PRODUCTS: Final = {"USDT": "USDT-FUTURES", "USDC": "USDC-FUTURES", "USD": "COIN-FUTURES"}
"""Quote asset of a contract → its product."""
VENUES: Final = {SPOT_PRODUCT: SPOT, **dict.fromkeys(PRODUCTS.values(), FUTURES)}
"""Product → the venue that it is of here."""
SIDES: Final = {side.value: side for side in Side}
"""The taker's."""
TIMEFRAMES: Final = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "4h": "4H",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc", "1M": "1Mutc",
}  # fmt: skip
"""Our timeframes → theirs, on the socket and by REST of futures."""
OURS: Final = {theirs: ours for ours, theirs in TIMEFRAMES.items()} | {"3m": "3m", "2H": "2h"}
"""Their names → ours, of all that begin when ours begin."""
SHIFTED: Final = frozenset({"6H", "12H", "1D", "3D", "1W", "1M", "3Dutc"})
"""Names whose intervals begin when none of ours does."""

ID_BITS: Final = 22
"""An id's low bits, below its time."""
_ID_EPOCH_MS: Final = 1_435_725_920_677


def product_of(symbol: str) -> str:
    """Return the product of a contract's symbol. That of a row in the list is checked, so that a symbol of another form shows there."""
    if "USDT" in symbol:
        return PRODUCTS["USDT"]
    return PRODUCTS["USDC" if "PERP" in symbol or "USDC" in symbol else "USD"]


def made_ms(trade_id: int) -> int:
    """Return when the trade with this id was made, ms since the epoch."""
    return (trade_id >> ID_BITS) + _ID_EPOCH_MS


def volume_of(text: str) -> Decimal:
    """Return a volume. Raises `FrameError`."""
    found = figure(text)
    if not ZERO <= found < LIMIT:
        raise FrameError(f"not a volume: {text[:40]}")
    return found


def candle(
    instrument: Instrument,
    timeframe: str,
    start: int,
    prices: Sequence[str],
    volumes: Sequence[str],
    *,
    venue_ts: int | None,
    received_ts: int,
) -> Candle:
    """Return a candle. `prices`: open, high, low, close. `volumes`: first that of the base asset, then those that may be the quote asset's.

    Documents and clients contradict each other about the order: by REST of spot the volume in USDT is before or after that in the quote
    asset, and of COIN-FUTURES the first may be that in US dollars. What a volume is of shows at the price.
    """
    opened, high, low, close = map(figure, prices)
    base, *others = map(volume_of, volumes)
    if product_of(instrument.symbol) == PRODUCTS["USD"] and instrument.quote == "USD" and others:
        swapped = abs(base - others[0] * close) < abs(others[0] - base * close)
        base, others = (others[0], [base]) if swapped else (base, others[:1])
    quoted = min(others, key=lambda one: abs(one - base * close), default=None)
    made = checked(
        instrument.venue, instrument.name, timeframe, epoch_ns(start), (opened, high, low, close),
        volume=base, venue_ts=venue_ts, received_ts=received_ts,
    )  # fmt: skip
    return msgspec.structs.replace(made, quote_volume=quoted)
