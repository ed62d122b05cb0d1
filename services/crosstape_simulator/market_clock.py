"""The market's clock: it drives the synthetic market and shows each move to its venue."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from crosstape_simulator.market.market import Market, Move, Pair
from crosstape_simulator.server.server import Endpoint
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.venues.registry import find
from crosstape_simulator.venues.spec import VenueMarket

BUDGET_S: Final = 0.05
"""The market returns to the event loop after so long, even when it is late."""

LATE_NS: Final = 1_000_000_000
"""A market that is later than this skips time: the machine is too slow."""


class SyntheticMarket:
    """The synthetic market with its clock and its venues."""

    def __init__(self, spec: SimulatorSpec, venues: tuple[str, ...]) -> None:
        self.now = spec.start_ts if spec.start_ts is not None else time.time_ns()
        """The market's time, ns."""
        self.paused = spec.paused
        self.moves = 0
        self.watch: Callable[[Move], None] | None = None
        """Called with each move after its venue has shown it; None: not called."""
        self.skipped_ns = 0
        """How much time was skipped because the machine was too slow."""
        listings = {venue: spec.listings.get(venue) or find(venue).listings for venue in venues}
        flat = [listing for listed in listings.values() for listing in listed]
        self.market = Market(flat, seed=spec.seed, start_ts=self.now, rate=spec.rate, levels=spec.levels)
        if spec.past_hours:
            for pair in self.market.pairs.values():
                pair.go_back(spec.past_hours, spec.past_per_hour, spec.seed)
        self._mark = time.monotonic_ns()
        self.venues: dict[str, VenueMarket] = {}
        self.endpoints: dict[str, tuple[Endpoint, ...]] = {}
        for name in venues:
            venue = find(name)
            pairs = [pair for (owner, _), pair in self.market.pairs.items() if owner == name]
            options = venue.settings(spec.options)
            made = self.venues[name] = venue.market(pairs, self.now, options)
            self.endpoints[name] = tuple(dialect.endpoint(made.feeds[dialect.name], options) for dialect in venue.dialects)

    def tick(self) -> None:
        """Let the market go on for as long as has passed since the last tick."""
        mark = time.monotonic_ns()
        elapsed, self._mark = mark - self._mark, mark
        if not self.paused:
            self.now += elapsed
            self._go_on(self.now, mark + int(BUDGET_S * 1e9))

    def advance(self, ns: int) -> None:
        """Let the market go on for `ns`, all at once."""
        self.now += ns
        self._go_on(self.now, None)

    def shift(self, pair: Pair, percent: float) -> None:
        """Move a pair's book now, by `percent` of its price."""
        ts = self.shown_ts
        self._flush(ts)  # before the move is made: what is flushed must not show it
        self._show(self.market.shift(pair, percent, ts))

    @property
    def shown_ts(self) -> int:
        """The time up to which all moves have been made: now, unless the market is late. Frames of this time must show these moves."""
        return min(self.now, self.market.next_ts - 1)

    def wait_ns(self) -> int:
        """How long until there is something to do (ns)."""
        return min([self.market.next_ts, *(venue.due for venue in self.venues.values())]) - self.now

    def second(self, now: int) -> None:
        """Pass on a second of real time to all venues."""
        for venue in self.venues.values():
            venue.second(now)

    def _go_on(self, until: int, deadline: int | None) -> None:
        market = self.market
        next_flush = self._flush(self.market.next_ts - 1)
        while market.next_ts <= until:
            if market.next_ts > next_flush:  # before the move is made: what is flushed must not show it
                next_flush = self._flush(market.next_ts - 1)
            move = market.step()
            self.moves += 1
            if not move.pair.rests:
                self._show(move)
            if deadline is not None and not self.moves & 63 and time.monotonic_ns() > deadline:
                late = until - market.next_ts
                if late > LATE_NS:
                    self.skipped_ns += late
                    market.skip_to(until)
                return
        self._flush(until)

    def _show(self, move: Move) -> None:
        self.venues[move.pair.listing.venue].apply(move)
        if self.watch is not None:
            self.watch(move)

    def _flush(self, until: int) -> int:
        """Flush what is due by `until`; returns when the next flush is due."""
        for venue in self.venues.values():
            while venue.due <= until:
                venue.flush(venue.due)
        return min(venue.due for venue in self.venues.values())
