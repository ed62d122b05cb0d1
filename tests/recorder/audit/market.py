"""Makes a tape of one instrument: random events of venues, and what the aggregator's own engine publishes for them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import (
    VENUE_WIDE,
    Book,
    Event,
    FeedState,
    Gap,
    GapCause,
    Quote,
    Side,
    Status,
    Trade,
    decode,
    encode,
    feed_kind,
    stamp,
)

NAME: Final = "BTC-USDT"
VENUES: Final = ("binance", "bitfinex", "coinbase", "kraken")
START: Final = 1_790_000_000 * 1_000_000_000
SECOND: Final = 1_000_000_000
MS: Final = 1_000_000
SETTINGS: Final = AggregatorSettings(
    windows=("5s", "1m", "1d"),
    bars=("1s", "1m"),
    bar_history_s=120.0,
    outlier_bps=Decimal(30),
    depth_levels=4,
    sweep_sizes={"*": (Decimal("0.5"), Decimal(3))},
    taker_fees_bps=dict.fromkeys(VENUES, Decimal("0.1")),
)
STATES: Final = (FeedState.LIVE, FeedState.LIVE, FeedState.STALE, FeedState.RECOVERING, FeedState.DOWN)


class Row(NamedTuple):
    """One entry of the tape."""

    ms: int
    n: int
    event: Event


class Market:
    """Venues that trade and fail at random, and an aggregator."""

    def __init__(self, seed: int) -> None:
        self.rows: list[Row] = []
        self._random = random.Random(seed)
        self._now = START
        self._seqs: dict[tuple[str, str, int], int] = defaultdict(int)
        self._epochs = {venue: START - SECOND + index for index, venue in enumerate(VENUES)}
        self._engine_epoch = START - 5
        self._engine = self._started()
        self._trades = 0
        self._price = 60_000.0
        self._gaps: list[Gap] = []
        self._signed: dict[str, int] = {}
        self._silent: dict[str, int] = {}  # venue → until when its connector says nothing
        self._looked = 0

    def _started(self) -> Engine:
        engine = Engine(SETTINGS)
        engine.instrument(NAME, self._now).known_from(self._now // SECOND - 1)
        return engine

    def run(self, steps: int) -> Sequence[Row]:
        """Let so many things happen. Returns the tape."""
        for venue in VENUES:
            self._sign(venue)
            for kind in ("quote", "book", "trade"):
                self._publish(Status(venue, NAME, None, self._now, kind, FeedState.LIVE))
        for step in range(steps):
            if step == steps // 2:
                self._rest(150)
            self._now += self._random.randrange(1, 60) * MS + self._random.randrange(MS)
            for venue in VENUES:
                if self._now - self._signed[venue] >= SECOND and self._now > self._silent.get(venue, 0):
                    self._sign(venue)
            self._step(self._random.choice(VENUES))
            if self._now - self._looked >= SECOND:
                self._looked = self._now
                self._engine.look((), self._now, self._now)
            self._compute()
        return self.rows

    def _rest(self, seconds: int) -> None:
        """Let nobody trade or quote for a while: all connectors live."""
        for venue in VENUES:
            for kind in ("quote", "book", "trade", VENUE_WIDE):
                self._publish(Status(venue, NAME, None, self._now, kind, FeedState.LIVE))
        for _ in range(seconds):
            self._now += SECOND
            for venue in VENUES:
                self._sign(venue)
            self._engine.look((), self._now, self._now)
            self._compute()

    def _step(self, venue: str) -> None:
        if self._now < self._silent.get(venue, 0):
            return
        self._price *= 1 + self._random.gauss(0, 0.00003)
        what = self._random.random()
        if what < 0.45:
            self._quote(venue)
        elif what < 0.7:
            self._trade(venue)
        elif what < 0.9:
            self._book(venue)
        elif what < 0.96:
            kind = self._random.choice(("quote", "book", "trade", VENUE_WIDE))
            self._publish(Status(venue, NAME, None, self._now, kind, self._random.choice(STATES)))
            if kind != "trade":
                self._publish(Status(venue, NAME, None, self._now + 1, kind, FeedState.LIVE))
        elif what < 0.975:
            self._gap(venue)
        elif what < 0.98:
            self._silent[venue] = self._now + self._random.randrange(1, 6) * SECOND
        elif what < 0.985:
            self._epochs[venue] = self._now
            self._sign(venue, self._random.choice((FeedState.CONNECTING, FeedState.LIVE)))
        elif what < 0.99:
            self._sign(venue, self._random.choice((FeedState.DOWN, FeedState.LIVE)))

    def _sign(self, venue: str, state: FeedState = FeedState.LIVE) -> None:
        self._signed[venue] = self._now
        self._publish(Status(venue, VENUE_WIDE, None, self._now, VENUE_WIDE, state, clock_offset_ns=0))

    def _levels(self, sign: int, best: Decimal, count: int) -> tuple[tuple[Decimal, Decimal], ...]:
        return tuple((best + sign * Decimal(step) / 10, self._size()) for step in range(count))

    def _size(self) -> Decimal:
        return Decimal(self._random.randrange(1, 5_000)).scaleb(-self._random.randrange(2, 4))

    def _prices(self) -> tuple[Decimal, Decimal]:
        odd = self._random.random()
        middle = Decimal(f"{self._price * (1.01 if odd < 0.02 else 1):.1f}")
        half = Decimal(self._random.choice(("0.1", "0.20", "0.3")))
        return (middle + half, middle - half) if 0.02 < odd < 0.04 else (middle - half, middle + half)

    def _quote(self, venue: str) -> None:
        bid, ask = self._prices()
        bid_price, bid_size = (None, None) if self._random.random() < 0.02 else (bid, self._size())
        ask_price, ask_size = (None, None) if self._random.random() < 0.02 else (ask, None if self._random.random() < 0.1 else self._size())
        if self._random.random() < 0.01:
            bid_price = bid_size = ask_price = ask_size = None
        state = FeedState.STALE if self._random.random() < 0.02 else FeedState.LIVE
        self._publish(Quote(venue, NAME, None, self._now - 1_000, bid_price, bid_size, ask_price, ask_size, state))

    def _book(self, venue: str) -> None:
        bid, ask = self._prices()
        bids, asks = (self._levels(sign, best, self._random.randrange(0, 7)) for sign, best in ((-1, bid), (1, ask)))
        self._publish(Book(venue, NAME, None, self._now - 1_000, bids, asks, 6, FeedState.LIVE))

    def _trade(self, venue: str) -> None:
        self._trades += 1
        late_ns = self._random.choice((0, 0, 0, 3 * SECOND, 40 * SECOND)) if self._random.random() < 0.2 else 0
        venue_ts = None if self._random.random() < 0.02 else self._now - 5_000_000 - late_ns
        taker = self._random.choice((Side.BUY, Side.SELL, Side.SELL, None)) if self._random.random() < 0.3 else Side.BUY
        trade = Trade(
            venue, NAME, venue_ts, self._now - 2_000, self._prices()[0], self._size(), taker, str(self._trades), backfilled=late_ns > 0
        )
        self._publish(trade)

    def _gap(self, venue: str) -> None:
        if self._gaps and self._random.random() < 0.6:
            gap = self._gaps.pop()
            self._publish(Gap(gap.venue, NAME, None, self._now, "trade", gap.from_ts, gap.to_ts, 1, gap.cause, repaired=True))
            return
        gap = Gap(venue, NAME, None, self._now, "trade", self._now - 2 * SECOND, self._now, 1, GapCause.SEQUENCE)
        self._gaps.append(gap)
        self._publish(gap)

    def _compute(self) -> None:
        quotes = self._engine.due(self._now)
        for event in (*quotes, *self._engine.due_outputs(self._now, 64)):
            self._write(event, self._engine_epoch)

    def _publish(self, event: Event) -> None:
        self._write(event, self._epochs[event.venue])
        self._engine.apply([event], self._now)

    def _write(self, event: Event, epoch: int) -> None:
        kind = f"venue:{event.venue}" if event.instrument == VENUE_WIDE else feed_kind(event)
        key = kind, event.venue, epoch
        self._seqs[key] += 1
        stamp(event, epoch, self._seqs[key])
        self.rows.append(Row(self._now // MS, len(self.rows), decode(encode(event))))


def tape(seed: int, steps: int = 2_000) -> Sequence[Row]:
    """Return a tape."""
    return Market(seed).run(steps)
