"""HTX's values: sides, levels, candles and timeframes, which spot and contracts write alike.

Numbers are JSON numbers in Java's spelling (`9.2E-7`, `716.0`), whose digits matter.
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from typing import Any, Final, Generic, TypeVar

import msgspec

from crosstape_connector.errors import FrameError, NotANumber
from crosstape_connector.venues.messages import Odd
from crosstape_connector.venues.parsing.candles import candle as made_candle
from crosstape_connector.venues.parsing.numbers import LIMIT, LONGEST, check, doubtful
from crosstape_connector.venues.parsing.wire import ZERO, Stamp, finite, shown
from crosstape_schemas import Candle, Instrument, Side

T = TypeVar("T")
SPOT: Final = "htx"
SWAP: Final = "htx_swap"
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
"""The taker's. A row of 2022-10 had an empty one."""
TIMEFRAMES: Final = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min", "4h": "4hour"}
"""Our timeframes → theirs, of those that begin when ours do."""
SECOND: Final = 1_000_000_000
PER_ROW: Final = 256
"""Bytes of a row, on the average, and of a frame's head: a frame that is longer is looked through for numbers that are too long."""
_divide: Final = Context(prec=LONGEST).divide
_TWO: Final = Decimal(2)


def checked(data: bytes, rows: int = 1, per_row: int = PER_ROW) -> None:
    """Raise `NotANumber` for text that stands for a number, and for a number that is too long, in a frame with so many rows."""
    if len(data) > PER_ROW + per_row * rows or doubtful(data):
        check(data)


class BothSides:
    """Halves what the venue counts of both sides of a trade, as long as nothing contradicts that it does.

    What is counted twice is even. An odd number of contracts refutes the rule: from then on nothing is halved, because an even number would
    not show which of the two it is. That is said with each odd number.
    """

    __slots__ = ("refuted",)

    def __init__(self) -> None:
        self.refuted = False

    def look(self, contracts: Decimal, what: str) -> Sequence[Odd]:
        """Look at a number of contracts: one that is odd refutes the rule, and is reported. Raises `NotANumber`."""
        try:
            is_even = contracts % _TWO == ZERO
        except ArithmeticError as exc:  # a signalling NaN, or more digits than a remainder can have
            raise NotANumber(f"{what}: no number of contracts") from exc
        if is_even:
            return ()
        self.refuted = True
        return (Odd("one_side", f"{what}: {shown(contracts)} contracts are not those of both sides, so that none are halved"),)

    def one(self, amount: Decimal) -> Decimal:
        """Return one side of an amount. Raises `NotANumber`."""
        try:
            return amount if self.refuted else _divide(amount, _TWO)
        except ArithmeticError as exc:
            raise NotANumber("no amount of both sides") from exc


class Rows(msgspec.Struct, Generic[T], frozen=True, gc=False):
    data: list[T]


class Frame(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """Data of a market, whose own time is in them."""

    tick: T


class TimedFrame(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """Data of a market that have no time of their own."""

    ts: Stamp
    tick: T


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    id: Stamp
    """When it opened, in s."""
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    amount: Decimal
    """Base units."""
    vol: Decimal
    """Quote units on spot, else contracts."""
    count: int | None = None
    turnover: Decimal | None = msgspec.field(name="trade_turnover", default=None)


def candle(
    instrument: Instrument,
    timeframe: str,
    raw: RawCandle,
    volumes: tuple[Decimal, Decimal | None],
    *,
    venue_ts: int | None,
    received_ts: int,
    trades: int | None = None,
) -> Candle:
    """Return one candle. `volumes`: base and quote. Raises `FrameError`."""
    base, quoted = volumes
    finite(raw.open, raw.high, raw.low, raw.close, base, quoted)
    if quoted is not None and not ZERO <= quoted < LIMIT * LIMIT:
        raise FrameError(f"a turnover of {shown(quoted)}")
    if trades is not None and trades < 0:
        raise FrameError(f"{trades} trades")
    made = made_candle(
        instrument.venue, instrument.name, timeframe, raw.id * SECOND, (raw.open, raw.high, raw.low, raw.close),
        volume=base, venue_ts=venue_ts, received_ts=received_ts, trades=trades,
    )  # fmt: skip
    return made if quoted is None else msgspec.structs.replace(made, quote_volume=quoted)


def by_id(trades: Iterable[Any]) -> list[Any]:
    """Return trades in order of their ids: spot sends the newest first, contracts the oldest."""
    return sorted(trades, key=lambda one: int(one.trade_id))
