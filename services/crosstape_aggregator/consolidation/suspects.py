"""Finds which of the legs that cross each other are probably dead. They are excluded until an event of their feed arrives. Pure.

A market across venues is rarely crossed for long, because traders profit from it at once. If legs cross, and the feed of one of them has
been silent for `FACTOR` times its usual silence (`pace`), this feed has probably stalled and shows old prices. The first crossed quote is
enough to find it, long before the connector's watchdog can. Legs that are as fresh as usual are never suspect: if they cross, the quote
shows a crossed market.

A market that is only locked (best bid = best ask) makes no leg suspect. There is no profit in it, so it may last while feeds are silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

FACTOR: Final = 1.5
"""Measured with benchmarks/suspects.py: 1 finds nearly every dead leg and suspects twice as many healthy ones; 3 does the opposite."""
LEAST_NS: Final = 250_000_000
"""Shortest silence that is suspicious: messages of two venues may be on their way for this long."""


class CrossingLeg(Protocol):
    """The properties of a leg that counts."""

    @property
    def bid_price(self) -> Decimal | None: ...  # noqa: D102
    @property
    def ask_price(self) -> Decimal | None: ...  # noqa: D102

    def silence(self, now: int) -> tuple[int, float] | None:
        """Return how long its feed has been silent and how long it usually is (ns); None: its pace is not known."""


L = TypeVar("L", bound=CrossingLeg)


class OverdueLeg(NamedTuple, Generic[L]):
    """A leg that crosses others, and how long its silence is."""

    leg: L
    ratio: float
    """Its silence divided by the shortest suspicious silence; 1 or more: the leg is suspect."""
    left_ns: float
    """Time until the leg is suspect, ns; 0 or less: it is."""


def crossing(legs: Sequence[L]) -> list[L]:
    """Find the legs whose bid is above the best ask, or whose ask is below the best bid; none if the market is not crossed."""
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
    """Find the crossing leg that has been silent for longest, relative to its own pace; None: no leg crosses, or no pace is known."""
    found = [one for leg in crossing(legs) if (one := _overdue(leg, now)) is not None]
    return max(found, key=lambda one: one.ratio, default=None)


def _overdue(leg: L, now: int) -> OverdueLeg[L] | None:
    silence = leg.silence(now)
    if silence is None:
        return None
    silent_ns, usual_ns = silence
    limit_ns = FACTOR * usual_ns
    if limit_ns < LEAST_NS:  # noqa: PLR1730 — `max` costs three times as much
        limit_ns = LEAST_NS
    return OverdueLeg(leg, silent_ns / limit_ns, limit_ns - silent_ns)
