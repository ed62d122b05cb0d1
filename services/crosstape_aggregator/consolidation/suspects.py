"""Which of the legs that cross each other are probably dead: they are excluded first, and have to speak before they count again. Pure.

A market across venues is rarely crossed for long: who can, trades it away. When legs cross, and the feed of one of them has been silent for
`FACTOR` times its usual silence (`pace`), it has probably stalled, and what it shows is the market of then. That is noticed with the first
crossed quote, long before the connector's watchdog can know. Legs that are as fresh as usual are never suspected: what they cross is shown.

A market that is merely locked (best bid = best ask) makes nobody suspect: there is nothing to be earned, so it may last, and be silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

FACTOR: Final = 1.5
"""Measured with benchmarks/suspects.py: 1 leaves hardly a dead leg, and suspects twice as many healthy ones; 3 the other way round."""
LEAST_NS: Final = 250_000_000
"""No silence is suspicious that is shorter: messages of two venues may be on their way for so long."""


class CrossingLeg(Protocol):
    """A leg that counts."""

    @property
    def bid_price(self) -> Decimal | None: ...  # noqa: D102
    @property
    def ask_price(self) -> Decimal | None: ...  # noqa: D102

    def silence(self, now: int) -> tuple[int, float] | None:
        """For how long its feed has been silent and how long it usually is, ns; None: its pace is not known."""


L = TypeVar("L", bound=CrossingLeg)


class OverdueLeg(NamedTuple, Generic[L]):
    """A leg in a cross."""

    leg: L
    ratio: float
    """Its silence, as a share of what is suspicious: from 1 on it is."""
    left_ns: float
    """How long until it is; not above 0 when it is already."""


def crossing(legs: Sequence[L]) -> list[L]:
    """The legs whose bid is above the best ask, or whose ask is below the best bid; none if the market is not crossed."""
    bids = [leg.bid_price for leg in legs if leg.bid_price is not None]
    asks = [leg.ask_price for leg in legs if leg.ask_price is not None]
    if not bids or not asks:
        return []
    bid, ask = max(bids), min(asks)
    if bid <= ask:
        return []
    return [
        leg for leg in legs if (leg.bid_price is not None and leg.bid_price > ask) or (leg.ask_price is not None and leg.ask_price < bid)
    ]


def most_overdue(legs: Sequence[L], now: int) -> OverdueLeg[L] | None:
    """Of the legs that cross, the one that has been silent for longest, measured by its own pace; None: none cross, or no pace is known."""
    found = [one for leg in crossing(legs) if (one := _overdue(leg, now)) is not None]
    return max(found, key=lambda one: one.ratio, default=None)


def _overdue(leg: L, now: int) -> OverdueLeg[L] | None:
    silence = leg.silence(now)
    if silence is None:
        return None
    silent_ns, usual_ns = silence
    limit_ns = max(LEAST_NS, FACTOR * usual_ns)
    return OverdueLeg(leg, silent_ns / limit_ns, limit_ns - silent_ns)
