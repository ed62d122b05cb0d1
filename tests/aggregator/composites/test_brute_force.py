"""A composite against brute force over all that has happened, and against the method's text, after any sequence of inputs."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_schemas import Cbbo, Depth, Exclusion, FeedState, Leg, Market, Status, Vwap
from tests.aggregator.composites.builders import PAIR, USD, USDC, USDT, Driven, cbbo, depth, leg, level, rate, sign
from tests.aggregator.composites.by_text import check_depth, check_quote

PARTS = (USD, USDT, USDC)
PAIRS = {USDT: PAIR, USDC: "USDC-USD"}
SHARE = {USD: 0, USDT: 1, USDC: 0, PAIR: 1, "USDC-USD": 2}
"""Which of three aggregators publishes it."""
STALE_S, ALIVE_S, LIMIT_BPS = 5.0, 3.0, 50

PRICES = st.sampled_from(["99", "100", "100.1", "101", "0.000001234", "1E+3", "123456.789"])
SIZES = st.sampled_from(["0.5", "1", "0.00000001", "12E+2"])
RATES = st.sampled_from(["0.99", "0.995", "0.99499", "1", "1.001", "1.00503"])
REASONS = st.sampled_from([None, None, None, Exclusion.STATE, Exclusion.OUTLIER])


def any_leg(venue: str, prices: tuple[str | None, str | None], sizes: tuple[str, str], excluded: Exclusion | None) -> Leg:
    """Make a leg; one without prices never counts."""
    return leg(venue, *prices, sizes=sizes, excluded=excluded if any(prices) else Exclusion.EMPTY)


SIDES = st.none() | PRICES
LEGS = st.builds(any_leg, st.sampled_from(["kraken", "okx"]), st.tuples(SIDES, SIDES), st.tuples(SIZES, SIZES), REASONS)
WINDOWS = st.dictionaries(
    st.sampled_from(["1m", "1h"]),
    st.builds(lambda price, size, complete: Vwap(Decimal(price), Decimal(size), 3, complete), PRICES, SIZES, st.booleans())
    | st.just(Vwap(None, Decimal("0.0"), 0)),
)
LEVELS = st.lists(st.builds(lambda price, size: level(price, kraken=size, okx="2"), PRICES, SIZES), max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("quote"), st.sampled_from(PARTS), st.lists(LEGS, max_size=2), WINDOWS),
    st.tuples(st.just("rate"), st.sampled_from([PAIR, "USDC-USD"]), st.none() | RATES, RATES),
    st.tuples(st.just("depth"), st.sampled_from(PARTS), LEVELS, LEVELS, st.integers(1, 3)),
    st.tuples(st.just("sign"), st.integers(0, 2), st.sampled_from([FeedState.LIVE] * 3 + [FeedState.DOWN])),
    st.tuples(st.just("restart"), st.integers(0, 2)),
    st.tuples(st.just("lost"), st.sampled_from([(Cbbo, one) for one in SHARE] + [(Depth, USDT)])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 2.5, 4.0])),
)


class History:
    """All that has happened, with the time of each. Everything is searched from the start, each time."""

    def __init__(self) -> None:
        self.of: list[tuple[float, Any]] = []
        """Events, and (kind, instrument) of a loss."""

    def newest(self, kind: type[Any], name: str) -> tuple[Any, bool]:
        """Return the newest event of a stream, and whether nothing was lost after it."""
        event: Any = None
        sure = True
        for _, one in self.of:
            if one == (kind, name):
                sure = False
            elif type(one) is kind and one.instrument == name:
                event, sure = one, True
        return event, sure

    def is_alive(self, event: Any, now_s: float) -> bool:
        """Whether the aggregator that published this has given its last sign of life, of this epoch, less than 3 s ago."""
        kind = f"share.{SHARE[event.instrument]}"
        signs = [(at, one) for at, one in self.of if isinstance(one, Status) and one.kind == kind]
        return bool(signs) and signs[-1][1].epoch == event.epoch and signs[-1][1].state == "live" and now_s < signs[-1][0] + ALIVE_S

    def rate(self, pair: str) -> tuple[Cbbo | None, float]:
        """Return the last quote of a pair that gives a rate, and when it was proven last."""
        found, proven_s, newest, heard = None, -math.inf, None, dict[int, float]()
        for at, one in self.of:
            if isinstance(one, Status) and one.kind == f"share.{SHARE[pair]}":
                heard[one.epoch] = at
            elif one == (Cbbo, pair):
                newest = None
            elif isinstance(one, Cbbo) and one.instrument == pair:
                newest = one if one.market in {Market.NORMAL, Market.LOCKED} else None
                found = newest or found
            if newest is not None:
                proven_s = max(proven_s, heard.get(newest.epoch, -math.inf))
        return found, proven_s

    def reason(self, part: str, kind: type[Any], now_s: float) -> Exclusion | None:
        """Return why a part does not count, with its newest event of this kind."""
        event, sure = self.newest(kind, part)
        if event is None:
            return Exclusion.EMPTY
        if not sure or not self.is_alive(event, now_s):
            return Exclusion.STALE
        if part not in PAIRS:
            return None
        quote, proven_s = self.rate(PAIRS[part])
        if quote is None or now_s - proven_s >= STALE_S:
            return Exclusion.RATE
        assert quote.mid is not None
        return Exclusion.DEPEG if abs(quote.mid - 1) * 10_000 > LIMIT_BPS else None

    def inputs(self, kind: type[Any], now_s: float) -> Any:
        """Return what decides about a composite: event, reason and rate of each part; None: no part has an event."""
        events = [self.newest(kind, part)[0] for part in PARTS]
        if not any(events):
            return None
        reasons = [self.reason(part, Cbbo, now_s) or self.reason(part, kind, now_s) for part in PARTS]
        rates = [self.rate(PAIRS[part])[0] for part in PARTS if part in PAIRS]
        return [(one and (one.epoch, one.seq), reason) for one, reason in zip(events, reasons, strict=True)], [
            quote and (quote.epoch, quote.seq) for quote in rates
        ]

    def find(self, kind: str, instrument: str, epoch: int, seq: int) -> Any:
        """Find an event by its numbers."""
        cls = {"cbbo": Cbbo, "depth": Depth}[kind]
        (found,) = [one for _, one in self.of if type(one) is cls and (one.instrument, one.epoch, one.seq) == (instrument, epoch, seq)]
        return found


def shown(event: Cbbo | Depth) -> Any:
    """Return what a published event says about its inputs, in the form of `History.inputs`."""
    return [((part.epoch, part.seq) if part.seq else None, part.excluded) for part in event.parts], [
        (one.epoch, one.seq) if one.seq else None for one in event.rates
    ]


ALL_COUNT: Any = [
    *(("sign", share, FeedState.LIVE) for share in range(3)),
    *(("quote", part, [leg("okx", "99", "101"), leg("kraken", "98", "100")], {"1m": Vwap(Decimal(100), Decimal(2), 3)}) for part in PARTS),
    *(("rate", pair, "1", "1.001") for pair in PAIRS.values()),
    *(("depth", part, [level("99", okx="1", kraken="2")], [level("101", okx="3")], 3) for part in PARTS),
]
"""Steps after which all parts count."""


@settings(max_examples=40)
@given(st.builds(list.__add__, st.sampled_from([[], ALL_COUNT, ALL_COUNT]), st.lists(STEPS, max_size=40)))
def test_a_composite_equals_brute_force_after_any_sequence(steps: list[Any]) -> None:
    """What is published last is what all inputs so far say, at each moment; a change that only time makes is published by the timer.

    All numbers are computed again from the inputs that the event names.
    """
    driven = Driven(*PARTS, sweep_sizes=("2", "4.5"), depeg_bps=Decimal(LIMIT_BPS), rate_stale_s=STALE_S)
    history = History()
    epochs, seq = [1, 2, 3], 0
    for step in steps:
        seq += 1
        now_s = driven.now_s
        match step:
            case ("quote", part, legs, vwap):
                event: Any = cbbo(part, *legs, epoch=epochs[SHARE[part]], seq=seq, vwap=vwap, now_s=now_s)
            case ("rate", pair, bid, ask):
                event = rate(bid, ask, pair=pair, epoch=epochs[SHARE[pair]], seq=seq, now_s=now_s)
            case ("depth", part, bids, asks, levels):
                event = depth(part, bids, asks, levels=levels, epoch=epochs[SHARE[part]], seq=seq)
            case ("sign", share, state):
                event = sign(epochs[share], now_s, state=state, kind=f"share.{share}", seq=seq)
            case ("restart", share):
                epochs[share] += 3
                continue
            case ("lost", (kind, name)):
                history.of.append((now_s, (kind, name)))
                driven.composite.doubt(kind, name)
                driven.publish()
                event = None
            case (_, seconds):
                driven.wait_until(now_s + seconds)
                event = None
        if event is not None:
            history.of.append((now_s, event))
            driven.apply(event)
        for published, cls in ((driven.quotes, Cbbo), (driven.depths, Depth)):
            expected = history.inputs(cls, driven.now_s)
            assert (shown(published[-1]) if published else None) == expected
    for quote in driven.quotes:
        check_quote(quote, history.find)
    for book in driven.depths:
        check_depth(book, history.find)
