"""A market of some venues for property tests: hypothesis chooses what the venues publish, and the engine's answers go onto a tape."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from hypothesis import strategies as st

from crosstape_schemas import Book, Depth, Edge, Event, FeedState, Level, Quote, Status
from tests.aggregator.builders import MS, T0, X, alive, engine, status

VENUES = ("binance", "coinbase", "kraken")
FEES = {"binance": Decimal("1.5"), "coinbase": Decimal(4), "kraken": Decimal(0)}
SIZES = (Decimal("0.7"), Decimal(3), Decimal(9))
PAUSES = (1 * MS, 10 * MS, 30 * MS, 100 * MS) * 4 + (700 * MS, 3_000 * MS)


class Step(NamedTuple):
    """One thing that happens at one venue, and the time before it."""

    pause: int
    venue: str
    what: str
    prices: tuple[int, int]
    """Best bid, and the distance of the best ask, in ticks."""
    sizes: tuple[int, ...]
    state: FeedState


WHAT = ("book",) * 10 + ("quote",) * 10 + ("alive",) * 5 + ("book state", "quote state", "venue", "restart")
STATES = (FeedState.LIVE,) * 14 + (FeedState.STALE, FeedState.DOWN)


def steps_of(seed: int) -> list[Step]:
    """Return what happens with this seed. (To draw each value by hypothesis costs a hundred times as much.)"""
    chance = random.Random(seed)
    return [
        Step(
            pause=chance.choice(PAUSES),
            venue=chance.choice(VENUES),
            what=chance.choice(WHAT),
            prices=(9_000, -1) if chance.random() < 0.05 else (chance.randint(9_995, 10_005), chance.randint(1, 4)),
            sizes=tuple(chance.randint(1, 40) for _ in range(chance.choice((5, 6, 7, 8) * 3 + (0, 1)))),
            state=chance.choice(STATES),
        )
        for _ in range(40)
    ]


STEPS = st.integers(0, 2**32).map(steps_of)


class World:
    """Plays steps into an engine with consolidated books and edges."""

    def __init__(self, **changed: object) -> None:
        settings = {"windows": (), "settle_s": 0.05, "depth_levels": 4, "sweep_sizes": {X: SIZES}, "taker_fees_bps": FEES, **changed}
        self.engine = engine(**settings)
        self.now = T0
        self.tape: list[Event] = []
        self.epochs = dict.fromkeys(VENUES, 1)
        self._seqs: Counter[tuple[str, int, str]] = Counter()

    def play(self, steps: list[Step]) -> None:
        """Begin with a quote and a book of each venue. Then apply these steps, and publish after each what is due."""
        for venue in VENUES:
            self.apply(alive(venue, self.now))
            self.quote(venue, "100.00", "100.03")
            self.book(venue, [("100.00", "1"), ("99.99", "4")], [("100.03", "2"), ("100.04", "8")])
        for step in steps:
            self.wait(step.pause)
            self.apply(self._event(step))
        self.wait(200 * MS)

    def wait(self, ns: int) -> None:
        """Let time pass. Whatever becomes due on the way is published."""
        until = self.now + ns
        while (ts := self.engine.next_ts()) is not None and ts <= until:
            self.now = max(self.now, ts)
            self.publish()
        self.now = until

    def apply(self, event: Event) -> None:
        """Apply one event and publish what is due at once. No two events are applied at the same moment."""
        self.now += 1
        self.tape.append(event)
        self.engine.apply([event], self.now)
        self.publish()

    def publish(self) -> None:
        """Publish what is due now."""
        self.tape += self.engine.due(self.now)
        self.tape += self.engine.due_outputs(self.now, 10)

    def depths(self) -> list[Depth]:
        """Return the consolidated books that were published."""
        return [event for event in self.tape if isinstance(event, Depth)]

    def edges(self) -> list[Edge]:
        """Return the events of edges that were published."""
        return [event for event in self.tape if isinstance(event, Edge)]

    def quote(self, venue: str, bid: str | None, ask: str | None) -> None:
        """Let a venue publish best prices."""
        prices = [None if price is None else Decimal(price) for price in (bid, ask)]
        size = Decimal(1)
        self.apply(
            Quote(venue, X, None, self.now, prices[0], size, prices[1], size, epoch=self.epochs[venue], seq=self._seq(venue, "quote"))
        )

    def book(self, venue: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
        """Let a venue publish a book."""
        sides = [tuple((Decimal(price), Decimal(size)) for price, size in side) for side in (bids, asks)]
        self.apply(self._book(venue, sides[0], sides[1], FeedState.LIVE))

    def _seq(self, venue: str, kind: str) -> int:
        self._seqs[venue, self.epochs[venue], kind] += 1
        return self._seqs[venue, self.epochs[venue], kind]

    def _book(self, venue: str, bids: tuple[Level, ...], asks: tuple[Level, ...], state: FeedState) -> Book:
        return Book(venue, X, None, self.now, bids, asks, 10, state, epoch=self.epochs[venue], seq=self._seq(venue, "book"))

    def _event(self, step: Step) -> Event:
        venue, tick = step.venue, Decimal("0.01")
        bid, ask = step.prices[0], step.prices[0] + step.prices[1]
        match step.what:
            case "quote":
                sides = [price * tick if index < len(step.sizes) else None for index, price in enumerate((bid, ask))]
                size = Decimal(1)
                seq = self._seq(venue, "quote")
                return Quote(venue, X, None, self.now, sides[0], size, sides[1], size, step.state, epoch=self.epochs[venue], seq=seq)
            case "book":
                bids = tuple(((bid - index) * tick, size * tick * 10) for index, size in enumerate(step.sizes[::2]))
                asks = tuple(((ask + 2 * index) * tick, size * tick * 10) for index, size in enumerate(step.sizes[1::2]))
                return self._book(venue, bids, asks, step.state)
            case "alive":
                return alive(venue, self.now, epoch=self.epochs[venue])
            case "book state" | "quote state":
                return self._status(venue, step.what.split()[0], step.state)
            case "venue":
                return alive(venue, self.now, epoch=self.epochs[venue], state=step.state)
            case _:
                self.epochs[venue] += 1
                return alive(venue, self.now, epoch=self.epochs[venue])

    def _status(self, venue: str, kind: str, state: FeedState) -> Status:
        return status(venue, state, self.now, kind=kind, epoch=self.epochs[venue])
