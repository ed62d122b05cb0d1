"""What the rows of Deribit's frames become: trades, quotes, levels, figures and candles. Pure; `stream` says what the fields mean."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.deribit import frames
from crosstape_connector.venues.deribit.values import ID, SIDES, TIMEFRAMES, RawTrade, candle_of, size_of, trade_of
from crosstape_connector.venues.messages import LastTrade, Odd, Output, Unreadable, unreadable
from crosstape_connector.venues.parsing.numbers import FLOOR, LIMIT
from crosstape_connector.venues.parsing.wire import ZERO, epoch_ns, finite, side
from crosstape_schemas import Funding, Instrument, Level, Liquidation, Mark, OpenInterest, Quote, Side, Ticker

FUNDING_S: Final = 8 * 3_600
_FIGURES: Final = ("ticker", "mark", "funding", "open_interest")
_OTHER_SIDE: Final = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def trade_outputs(raw: RawTrade, instrument: Instrument, received_ts: int) -> Sequence[Output]:
    """The trade, or only its number if no book had its price; and the orders in it that were forced."""
    trade = trade_of(raw, instrument, received_ts)
    found: list[Output] = [trade]
    if raw.is_off_book:
        kind = "combo" if raw.block_trade_id is raw.block_rfq_id is None else "block"
        odd = Odd(kind, f"trade {raw.trade_seq} of {instrument.name} is a block trade or the leg of a combination")
        found = [LastTrade(instrument.name, trade.venue_ts, received_ts, raw.trade_seq, no_trade=True), odd]
    taker = SIDES[raw.direction]
    forced = [taker] if "T" in raw.liquidation else []
    if "M" in raw.liquidation:
        forced.append(_OTHER_SIDE[taker])
    return [*found, *(Liquidation(ID, trade.instrument, trade.venue_ts, received_ts, one, trade.price, trade.size) for one in forced)]


def quote_side(instrument: Instrument, price: Decimal | None, amount: Decimal | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote, nulls if it is empty. Raises `FrameError`."""
    if price is None or amount is None:
        return None, None
    finite(price, amount)
    best, size = side(price, amount)
    return (None, None) if best is None or size is None else (best, size_of(instrument, size, best))


def quote_of(raw: frames.RawQuote, instrument: Instrument, received_ts: int) -> Sequence[Output]:
    """Return the quote, or what it means that it cannot be read."""
    try:
        bid, ask = quote_side(instrument, raw.bid, raw.bid_size), quote_side(instrument, raw.ask, raw.ask_size)
    except FrameError as exc:
        return unreadable("quote", instrument.name, received_ts, exc)
    return (Quote(ID, instrument.name, epoch_ns(raw.timestamp), received_ts, *bid, *ask),)


def levels(rows: Sequence[frames.Level], instrument: Instrument) -> list[Level]:
    """Return levels in base units; zero removes one. Raises `FrameError` for an impossible one."""
    try:
        if all(FLOOR <= price < LIMIT and ZERO <= amount < LIMIT for _, price, amount in rows):
            return [(price, ZERO if action == "delete" else size_of(instrument, amount, price)) for action, price, amount in rows]
    except ArithmeticError:
        pass
    raise FrameError("an impossible level")


def figures_of(raw: frames.RawTicker, instrument: Instrument, received_ts: int) -> Sequence[Output]:
    """Return the day, mark price, funding of a perpetual and open interest, or what it means that one cannot be read."""
    key = ID, instrument.name, epoch_ns(raw.timestamp), received_ts
    day, interest, inverse = raw.stats, raw.open_interest, instrument.inverse
    turnover = day.volume_notional if day.volume_notional is not None else day.volume_usd if inverse else None
    try:
        finite(raw.last_price, day.high, day.low, day.volume, turnover, raw.mark_price, raw.index_price, interest, raw.current_funding)
    except FrameError as exc:
        return lost_figures(instrument.name, received_ts, exc)
    found: list[Output] = [Ticker(*key, raw.last_price, None, day.high, day.low, day.volume, turnover)]
    if raw.mark_price or raw.index_price:
        found.append(Mark(*key, raw.mark_price or None, raw.index_price or None))
    if raw.current_funding is not None and instrument.expiry is None:
        found.append(Funding(*key, raw.current_funding, FUNDING_S))
    if interest is not None:
        found.append(OpenInterest(*key, None if inverse else interest, interest if inverse else None))
    return found


def lost_figures(name: str, received_ts: int, error: Exception) -> Sequence[Output]:
    """Return what it means that the figures cannot be read."""
    first, *others = _FIGURES
    return *unreadable(first, name, received_ts, error), *(Unreadable(kind, name, received_ts) for kind in others)


def candle_outputs(raw: frames.RawCandle, resolution: str, instrument: Instrument, received_ts: int) -> Sequence[Output]:
    """Return the candle of a timeframe of ours, or what it means that it cannot be read."""
    timeframe = TIMEFRAMES.get(resolution)
    if timeframe is None:
        return ()
    try:
        figures = raw.open, raw.high, raw.low, raw.close, raw.volume, raw.cost
        return (candle_of(instrument, timeframe, figures, raw.tick, received_ts),)
    except FRAME_ERRORS as exc:
        return unreadable(f"candle:{timeframe}", instrument.name, received_ts, exc)
