"""OKX's channels of contracts: mark and index price, funding, open interest, liquidations.

Quirks  the index has a channel of its own, by its own name: `BTC-USD` for all contracts on it. `fundingRate` is the rate that is paid at
        `fundingTime`, an estimate until then; frames of 2021 may lack it, and their own time. Liquidations come by type, one a second and
        contract at most, at the bankruptcy price
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.messages import Odd, Output
from crosstape_connector.venues.okx.connection import MakeRoute, Route, index_of
from crosstape_connector.venues.okx.stream import list_decoder, newest_route, row_decoder, rows_route
from crosstape_connector.venues.okx.values import SIDES, known, moment
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import ZERO, Stamp, epoch_ns, positive, shown, trade_numbers
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Funding, Instrument, Liquidation, Mark, OpenInterest, Side

POSITIONS: Final = {"long": Side.SELL, "short": Side.BUY}
"""Whose position is closed by force → the side of the order that closes it."""
_SECOND: Final = 1_000_000_000
INDEX_NS: Final = 60 * _SECOND
"""An index that has not changed is sent once a minute: a price that is older than this was not the newest."""
AHEAD_NS: Final = _SECOND
"""An index price that is later than a mark price by so much replaced the one which that mark price had."""


class RawMark(msgspec.Struct, frozen=True, gc=False):
    price: str = msgspec.field(name="markPx")
    ts: Stamp


class RawIndex(msgspec.Struct, frozen=True, gc=False):
    price: str = msgspec.field(name="idxPx")
    ts: Stamp


class RawFunding(msgspec.Struct, frozen=True, gc=False):
    time: str = msgspec.field(name="fundingTime")
    rate: str | None = msgspec.field(name="fundingRate", default=None)
    next_time: str = msgspec.field(name="nextFundingTime", default="")
    ts: str = ""


class RawInterest(msgspec.Struct, frozen=True, gc=False):
    contracts: str = msgspec.field(name="oi")
    ts: Stamp
    currency: str = msgspec.field(name="oiCcy", default="")


class RawForced(msgspec.Struct, frozen=True, gc=False):
    price: str = msgspec.field(name="bkPx")
    size: str = msgspec.field(name="sz")
    ts: Stamp
    side: str = ""
    position: str = msgspec.field(name="posSide", default="")


class RawForcedOf(msgspec.Struct, frozen=True, gc=False):
    symbol: str = msgspec.field(name="instId")
    details: list[msgspec.Raw]


_indices = list_decoder(RawIndex)
_forced = row_decoder(RawForced)
_forced_of = row_decoder(RawForcedOf)


def price_of(text: str) -> Decimal:
    """Return a price above zero. Raises `FrameError`."""
    found = figure(text)
    if not positive(found, found):
        raise FrameError(f"not a price: {shown(text)}")
    return found


class Marks:
    """Mark and index prices of one connection: a mark is published with the newest price of its index, if that is not too old."""

    __slots__ = ("_indices", "_marked", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._indices: dict[str, tuple[Decimal, int]] = {}  # price, and its time (ns)
        self._marked: set[str] = set()

    def forget(self) -> None:
        """Forget all indices: a frame that cannot be read may have had the newest."""
        self._indices.clear()

    def mark_route(self, instrument: Instrument) -> Route[list[RawMark]]:
        """`mark-price`: every 200 ms if it has changed, else every 10 s."""
        name, index = instrument.name, index_of(instrument.symbol)

        def read(m: RawMark, received_ts: int) -> Sequence[Output]:
            price, made_ts = price_of(m.price), epoch_ns(m.ts)
            self._marked.add(name)
            of_index, index_ts = self._indices.get(index, (None, 0))
            if not -AHEAD_NS < made_ts - index_ts <= INDEX_NS:
                of_index = None
            return (Mark(instrument.venue, name, made_ts, received_ts, price, of_index),)

        return newest_route("mark", instrument, RawMark, read)

    def index_route(self, index: str) -> Route[list[RawIndex]]:
        """`index-tickers`: of contracts whose mark price the connection does not have, the index is published alone."""

        def outputs(rows: list[RawIndex], text: bytes, received_ts: int) -> Sequence[Output]:
            try:
                raw = rows[-1]
                price, made_ts = price_of(raw.price), epoch_ns(raw.ts)
            except (IndexError, *FRAME_ERRORS) as exc:
                return refused(exc, text, received_ts)
            self._indices[index] = price, made_ts
            ours = [one for one in self._symbols.values() if one.name not in self._marked and index_of(one.symbol) == index]
            return [Mark(one.venue, one.name, made_ts, received_ts, None, price) for one in ours]

        def refused(error: Exception, text: bytes, received_ts: int) -> Sequence[Output]:
            self._indices.pop(index, None)
            return (Odd("index", f"index {index}: {error}"),)

        return Route(_indices, outputs, refused)


def funding_route(instrument: Instrument) -> Route[list[RawFunding]]:
    """`funding-rate`: every 30 to 90 s."""

    def read(f: RawFunding, received_ts: int) -> Sequence[Output]:
        if f.rate is None:
            return ()
        rate, next_ts, after_ts = figure(f.rate), moment(f.time), moment(f.next_time)
        interval_s = (after_ts - next_ts) // _SECOND if after_ts is not None and next_ts is not None and after_ts > next_ts else None
        return (Funding(instrument.venue, instrument.name, moment(f.ts), received_ts, rate, interval_s, next_ts),)

    return newest_route("funding", instrument, RawFunding, read)


def interest_route(instrument: Instrument) -> Route[list[RawInterest]]:
    """`open-interest`: contracts, and what they are in the coin. Of an inverse contract they are quote units."""

    def read(o: RawInterest, received_ts: int) -> Sequence[Output]:
        contracts, coins = figure(o.contracts), known(o.currency)
        if contracts < ZERO or (coins or ZERO) < ZERO:
            raise FrameError(f"an open interest of {shown(contracts)}, {shown(coins)}")
        value = contracts * instrument.contract_size if instrument.inverse else None
        size = coins if instrument.inverse else base_size(instrument, contracts, Decimal(1))
        return (OpenInterest(instrument.venue, instrument.name, epoch_ns(o.ts), received_ts, size, value),)

    return newest_route("open_interest", instrument, RawInterest, read)


def forced_route(symbols: Symbols) -> Route[list[msgspec.Raw]]:
    """`liquidation-orders` of all contracts of a type; those that are not ours are left out."""

    def read(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        one = _forced_of(raw)
        instrument = symbols.get(one.symbol)
        if instrument is None:
            return ()
        odd: list[Odd] = []
        found = readable(
            one.details, lambda row: _liquidation(instrument, _forced(row), received_ts), f"liquidation of {instrument.name}", odd
        )
        return [*found, *odd]

    return rows_route("liquidations", read)


def _liquidation(instrument: Instrument, o: RawForced, received_ts: int) -> Liquidation:
    price, contracts = trade_numbers(o.price, o.size, "bankruptcy price and size")
    taker = SIDES.get(o.side) or POSITIONS.get(o.position)
    return Liquidation(
        instrument.venue, instrument.name, epoch_ns(o.ts), received_ts, taker, price, base_size(instrument, contracts, price)
    )


ROUTES: Final[dict[str, MakeRoute]] = {"funding-rate": funding_route, "open-interest": interest_route}
