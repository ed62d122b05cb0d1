"""HTX contracts: the rows of notifications, which tell of funding, liquidations and states."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.htx.frames import number_of
from crosstape_connector.venues.htx.values import SIDES, checked
from crosstape_connector.venues.messages import Odd, Output, unreadable
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns, positive, shown
from crosstape_schemas import VENUE_WIDE, FeedState, Funding, Instrument, Liquidation, Status

STATES: Final = {
    0: "delisted", 1: "", 2: "not open yet", 3: "suspended", 4: "suspending", 5: "settling", 6: "delivering", 7: "settled", 8: "delivered",
    9: "suspending trade",
}  # fmt: skip
"""`contract_status` → why a contract does not trade."""


class RawFunding(msgspec.Struct, frozen=True):
    rate: str | None = msgspec.field(name="funding_rate")
    next: str | int | None = msgspec.field(name="settlement_time", default=None)


class RawLiquidation(msgspec.Struct, frozen=True):
    direction: str
    volume: Decimal
    price: Decimal
    created_at: Stamp


class RawState(msgspec.Struct, frozen=True):
    status: int = msgspec.field(name="contract_status")


_funding = msgspec.json.Decoder(RawFunding).decode
_liquidation = msgspec.json.Decoder(RawLiquidation).decode
_state = msgspec.json.Decoder(RawState).decode


def funding(raw: msgspec.Raw, instrument: Instrument, made_ts: int | None, received_ts: int) -> Sequence[Output]:
    """`funding_rate`: the rate of the running period. Zero is written `0E-18`."""
    try:
        row = _funding(raw)
        rate = figure(row.rate or "")
    except FRAME_ERRORS as exc:
        return unreadable("funding", instrument.name, received_ts, exc)
    return (Funding(instrument.venue, instrument.name, made_ts, received_ts, rate, instrument.funding_s, moment(row.next)),)


def moment(text: str | int | None) -> int | None:
    """Return a time in ms, which may be a text, as ns; None if there is none."""
    found = number_of(text)
    return epoch_ns(found) if found and found < 9 * 10**12 else None


def liquidation(raw: msgspec.Raw, instrument: Instrument, made_ts: int | None, received_ts: int) -> Sequence[Output]:
    """`liquidation_orders`: `volume` is contracts, of one side; `price` is that of the bankruptcy."""
    name = instrument.name
    try:
        checked(bytes(raw), 0)
        row = _liquidation(raw)
        if not positive(row.price, row.volume):
            raise FrameError(f"{shown(row.volume)} at {shown(row.price)}")
    except FRAME_ERRORS as exc:
        return (Odd("liquidation", f"liquidation of {name}: {exc}"),)
    size = base_size(instrument, row.volume, row.price)
    return (Liquidation(instrument.venue, name, epoch_ns(row.created_at), received_ts, SIDES.get(row.direction), row.price, size),)


def state(raw: msgspec.Raw, instrument: Instrument, made_ts: int | None, received_ts: int) -> Sequence[Output]:
    """`contract_info`: whether a contract trades."""
    try:
        why = not_trading(_state(raw).status)
    except FRAME_ERRORS as exc:
        return (Odd("row", f"contract_info of {instrument.name}: {exc}"),)
    state = FeedState.DOWN if why else FeedState.LIVE
    return (Status(instrument.venue, instrument.name, None, received_ts, VENUE_WIDE, state, why and f"does not trade: {why}"),)


def not_trading(status: int) -> str:
    """Return why a contract does not trade; empty: it does."""
    return STATES.get(status, f"contract_status {status}")


NOTIFICATIONS: Final[Mapping[str, Callable[[msgspec.Raw, Instrument, int | None, int], Sequence[Output]]]] = {
    "funding_rate": funding,
    "liquidation_orders": liquidation,
    "contract_info": state,
}
