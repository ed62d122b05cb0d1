"""Builds the events that composites are computed from: a test gives only the values that matter for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from crosstape.liveness import SignsOfLife
from crosstape.settings import AggregatorSettings
from crosstape.settings.model import CompositeSettings
from crosstape_aggregator.composites.composite import Composite
from crosstape_aggregator.composites.spec import parse_all
from crosstape_schemas import (
    CONSOLIDATED,
    VENUE_WIDE,
    Cbbo,
    Depth,
    DepthLeg,
    DepthLevel,
    Exclusion,
    FeedState,
    Leg,
    Market,
    Status,
    Vwap,
)
from tests.aggregator.builders import T0, S, d

NAME = "BTC-USD*"
USD, USDT, USDC = "BTC-USD", "BTC-USDT", "BTC-USDC"
PAIR = "USDT-USD"
LIVE = FeedState.LIVE


def leg(
    venue: str, bid: str | None, ask: str | None, *, sizes: tuple[str, str] = ("1", "1"), excluded: Exclusion | None = None, seq: int = 1
) -> Leg:
    """Make a leg of a part."""
    bid_size, ask_size = (None if price is None else Decimal(size) for price, size in zip((bid, ask), sizes, strict=True))
    return Leg(venue, d(bid), bid_size, d(ask), ask_size, T0, LIVE, excluded, 7, seq)


def cbbo(instrument: str, *legs: Leg, epoch: int = 1, seq: int = 1, vwap: Mapping[str, Vwap] | None = None, now_s: float = 0.0) -> Cbbo:
    """Make a consolidated quote of these legs; its own best prices are those of the first leg, which is all that a rate needs."""
    bid = legs[0].bid_price if legs else None
    ask = legs[0].ask_price if legs else None
    mid = None if bid is None or ask is None else (bid + ask) / 2
    market = Market.EMPTY if bid is None and ask is None else Market.ONE_SIDED
    if bid is not None and ask is not None:
        market = Market.NORMAL if bid < ask else Market.LOCKED if bid == ask else Market.CROSSED
    return Cbbo(
        CONSOLIDATED, instrument, None, T0 + round(now_s * S), T0 + round(now_s * S), bid, None, (), ask, None, (), mid, None, None, market,
        len(legs), dict(vwap or {}), legs, epoch=epoch, seq=seq,
    )  # fmt: skip


def rate(bid: str | None, ask: str | None, *, epoch: int = 1, seq: int = 1, now_s: float = 0.0, pair: str = PAIR) -> Cbbo:
    """Make a quote of a rate pair."""
    return cbbo(pair, leg("kraken", bid, ask), epoch=epoch, seq=seq, now_s=now_s)


def level(price: str, **sizes: str) -> DepthLevel:
    """Make a level of these venues."""
    venues = tuple((venue, Decimal(size)) for venue, size in sizes.items())
    return Decimal(price), sum((size for _, size in venues), Decimal(0)), venues


def depth(
    instrument: str, bids: Sequence[DepthLevel], asks: Sequence[DepthLevel], *, levels: int = 10, epoch: int = 1, seq: int = 1
) -> Depth:
    """Make a consolidated book with one leg."""
    legs = (DepthLeg("kraken", T0, LIVE, None, 7, 1),)
    return Depth(CONSOLIDATED, instrument, None, T0, T0, tuple(bids), tuple(asks), levels, (), legs, epoch=epoch, seq=seq)


def sign(epoch: int = 1, now_s: float = 0.0, *, state: FeedState = LIVE, kind: str = VENUE_WIDE, seq: int = 0) -> Status:
    """Make a sign of life of an aggregator that arrives without delay at `now_s`."""
    return Status(CONSOLIDATED, VENUE_WIDE, None, T0 + round(now_s * S), kind, state, "", epoch=epoch, seq=seq or round(now_s * 1000) + 1)


class Driven:
    """A composite with a clock that the test moves, and what it has published."""

    def __init__(self, *parts: str, interval_s: float = 0.0, sweep_sizes: Sequence[str] = (), **changed: object) -> None:
        self.signs = SignsOfLife()
        settings = CompositeSettings(parts=parts, **changed)  # type: ignore[arg-type]
        (spec,) = parse_all(AggregatorSettings(composites={NAME: settings}))
        sizes = [Decimal(size) for size in sweep_sizes]
        self.composite = Composite(spec, self.signs, interval_s=interval_s, depth_interval_s=interval_s, sweep_sizes=sizes)
        self.now_s = 0.0
        self.quotes: list[Cbbo] = []
        self.depths: list[Depth] = []

    def apply(self, *events: Cbbo | Depth | Status) -> None:
        """Apply events now, then publish what is due."""
        for event in events:
            if isinstance(event, Status):
                self.signs.apply(event, self.now_s, T0 + round(self.now_s * S))
                self.composite.heard()
            else:
                self.composite.apply(event)
        self.publish()

    def publish(self) -> None:
        """Publish what is due now."""
        for event in self.composite.due(self.now_s, T0 + round(self.now_s * S)):
            if isinstance(event, Cbbo):
                self.quotes.append(event)
            else:
                assert isinstance(event, Depth)
                self.depths.append(event)

    def wait_until(self, then_s: float) -> None:
        """Move the clock, and publish only when the composite wants to."""
        while (next_s := self.composite.next_s()) < then_s:
            self.now_s = max(self.now_s, next_s)
            self.publish()
        self.now_s = then_s
        if self.composite.next_s() <= then_s:
            self.publish()

    @property
    def last(self) -> Cbbo:
        """The newest quote."""
        return self.quotes[-1]

    def reasons(self) -> dict[str, Exclusion | None]:
        """Return part → why it does not count in the newest quote."""
        return {part.instrument: part.excluded for part in self.last.parts}
