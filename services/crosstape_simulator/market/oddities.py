"""What faults do to candles by REST: rows that are there twice, and rows that change from one answer to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from crosstape_simulator.market.history import Candle
from crosstape_simulator.market.market import Oddities

MOVING: Final = 3
"""How many of the newest closed candles change."""


def odd_candles(candles: list[Candle], oddities: Oddities, now: int) -> list[Candle]:
    """The candles of one answer as the faults leave them."""
    if oddities.moves:
        oddities.moves -= 1
        closed = [one for one in candles if one.close_ts <= now and one.trades]
        moving = {one.open_ts for one in closed[-MOVING:]}
        candles = [_wrong(one) if one.open_ts in moving else one for one in candles]
    return list(_doubled(candles, oddities.twice)) if oddities.twice else candles


def _doubled(candles: list[Candle], every: int) -> Iterator[Candle]:
    for one in candles:
        if one.trades and one.open_ts // (one.close_ts - one.open_ts) % every == 0:
            yield _wrong(one)
        yield one


def _wrong(candle: Candle) -> Candle:
    """The candle with half of its volume, closed at its open."""
    return candle._replace(
        close=candle.open,
        volume=_half(candle.volume),
        quote_volume=_half(candle.quote_volume),
        base_volume=_half(candle.base_volume),
        bought=_half(candle.bought),
        bought_quote=_half(candle.bought_quote),
    )


def _half(text: str) -> str:
    digits = len(text.partition(".")[2])
    return f"{(Decimal(text) / 2).quantize(Decimal(1).scaleb(-digits)):f}"
