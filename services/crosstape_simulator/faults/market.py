"""What faults do to the synthetic market itself: its pace, and whether and how single instruments move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import named
from crosstape_simulator.faults.spec import Burst, Fault, Halt, Market, OddPast, SkipIds
from crosstape_simulator.market.market import Market as SharedMarket
from crosstape_simulator.market.market import Pair

ON_THE_MARKET: Final = (Burst, Market, Halt, SkipIds, OddPast)
"""Faults that only a synthetic market can have."""


ODDITY: Final = {"overlap": "overlap", "twice": "twice", "moving": "moves"}
"""How a venue's past is odd → the field of `Oddities`."""


class FaultyMarket(Protocol):
    """The synthetic market, as faults act on it."""

    market: SharedMarket

    @property
    def venues(self) -> Mapping[str, object]:
        """The synthetic venues, by id."""
        ...

    def shift(self, pair: Pair, percent: float) -> None:
        """Move a pair's book now."""
        ...


class MarketFaults:
    """The faults of the market that are active. Called for every fault; does nothing for others."""

    def __init__(self, market: FaultyMarket) -> None:
        self._market = market
        self._resting: dict[int, list[Pair]] = {}  # fault → its pairs
        self._steps: dict[int, float] = {}  # fault → when its next step is due (monotonic seconds)

    @property
    def venues(self) -> Mapping[str, object]:
        """The synthetic venues, by id."""
        return self._market.venues

    def activate(self, running: ActiveFault, now: float) -> None:
        """Let a fault change the market. `now`: monotonic seconds."""
        match running.fault:
            case Burst(factor=factor):
                self._market.market.hasten(factor)
                running.acted += 1
            case Market(how=how) | Halt(how=how):
                pairs = self._resting[running.id] = self._pairs(running)
                for pair in pairs:
                    pair.rests += 1
                running.acted += len(pairs)
                if how == "step":
                    self._steps[running.id] = now
                    self.tick(running, now)
            case OddPast(how=how, number=number):
                for pair in self._pairs(running):
                    setattr(pair.oddities, ODDITY[how], number)
                    running.acted += 1
            case SkipIds(ids=ids):
                for pair in self._pairs(running):
                    pair.trade_id += ids
                    running.acted += 1

    def tick(self, running: ActiveFault, now: float) -> None:
        """Make the steps that are due. Those that a slow machine missed are made one at a time."""
        due = self._steps.get(running.id)
        fault = running.fault
        if due is None or now < due or not isinstance(fault, Market):
            return
        for pair in self._resting[running.id]:
            self._market.shift(pair, fault.by)
            running.acted += 1
        self._steps[running.id] = due + fault.every if fault.every else float("inf")

    def deactivate(self, running: ActiveFault) -> None:
        """Let the market be as it was without the fault."""
        if isinstance(running.fault, Burst):
            self._market.market.hasten(1.0)
        if isinstance(running.fault, OddPast):
            for pair in self._pairs(running):
                setattr(pair.oddities, ODDITY[running.fault.how], 0)
        for pair in self._resting.pop(running.id, []):
            pair.rests -= 1
        self._steps.pop(running.id, None)

    def _pairs(self, running: ActiveFault) -> list[Pair]:
        fault = running.fault
        assert isinstance(fault, Market | Halt | SkipIds | OddPast)
        return [pair for pair in self._market.market.pairs.values() if pair.listing.venue in running.venues and _meant(fault, pair)]


def only_of_a_synthetic_market(fault: Fault) -> bool:
    """Whether the fault acts on the market, and not on what is sent."""
    return isinstance(fault, ON_THE_MARKET)


def _meant(fault: Market | Halt | SkipIds | OddPast, pair: Pair) -> bool:
    listing = pair.listing
    return named(fault.instrument, listing.symbol, {listing.symbol: listing.instrument})
