"""Measures how often stopped legs cross the consolidated quote, and how often a healthy leg is suspected.

    python benchmarks/suspects.py --minutes 60

The simulator's market and the aggregator's engine run in this process, on a simulated clock: only decisions are measured, not speed. Every
minute another venue stops for `--stall-s`, which is as long as a watchdog may need. A second run of the same length has no stops. Both runs
are made with the rule for suspects and without it. Prints one JSON line.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import harness
import msgspec

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.consolidation import suspects
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import Cbbo, Exclusion, FeedState, Leg, Market, Quote, Status
from crosstape_simulator.market.listings import SCALE
from crosstape_simulator.market.market import Market as Simulated
from crosstape_simulator.market.market import Pair
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.venues.registry import default_listings

S = 1_000_000_000
T0 = 1_786_000_000 * S
VENUES = ("binance", "coinbase", "kraken")
PERIOD_S = 60
LEVELS = SimulatorSpec().levels
NEVER = 1e18


def quotes(rate: float, seed: int, seconds: int) -> Iterator[Quote]:
    """Yields the venues' best prices whenever they change, without epoch and `seq`."""
    listings = [listing for venue in VENUES for listing in default_listings(venue)]
    market = Simulated(listings, seed=seed, start_ts=T0, rate=rate, levels=LEVELS)
    before: dict[int, tuple[int, ...]] = {}
    for move in market.until(T0 + seconds * S):
        pair = move.pair
        bid, ask = -pair.bids.keys[0], pair.asks.keys[0]
        best = bid, ask, pair.bids.sizes[-bid], pair.asks.sizes[ask]
        if before.get(id(pair)) != best:
            before[id(pair)] = best
            yield _quote(pair, move.ts, best)


def _quote(pair: Pair, ts: int, best: tuple[int, int, int, int]) -> Quote:
    listing = pair.listing
    name = f"{listing.base}-{listing.quote}"
    bid, ask = (Decimal(price * pair.tick).scaleb(-SCALE) for price in best[:2])
    bid_size, ask_size = (Decimal(size).scaleb(-listing.size_decimals) for size in best[2:])
    return Quote(listing.venue, name, ts, ts, bid, bid_size, ask, ask_size)


def dead(ts: int, stall_s: float) -> str:
    """Returns the venue that is stopped at this time; empty: none."""
    minute, within = divmod((ts - T0) // S, PERIOD_S)
    return VENUES[minute % len(VENUES)] if minute and within < stall_s else ""


def crosses(leg: Leg, quote: Cbbo) -> bool:
    """Whether this leg counts, and crosses another leg that counts."""
    if leg.excluded is not None:
        return False
    others = [other for other in quote.legs if other is not leg and other.excluded is None]
    return any(
        (leg.bid_price is not None and other.ask_price is not None and leg.bid_price > other.ask_price)
        or (leg.ask_price is not None and other.bid_price is not None and leg.ask_price < other.bid_price)
        for other in others
    )


def run(rate: float, seed: int, minutes: int, stall_s: float) -> Counter[str]:
    """Run the market and the engine once."""
    engine = Engine(AggregatorSettings(windows=(), settle_s=1.0))
    seqs: Counter[tuple[str, str]] = Counter()
    found: Counter[str] = Counter()
    suspected: set[tuple[str, str]] = set()
    next_s = T0

    def publish(now: int) -> None:
        stopped = dead(now, stall_s)
        for quote in engine.due(now):
            found["quotes"] += 1
            found["crossed"] += quote.market is Market.CROSSED
            found["quotes_during_stalls"] += bool(stopped)
            for leg in quote.legs:
                key = quote.instrument, leg.venue
                if leg.venue == stopped:
                    found["crossed_by_a_dead_leg"] += crosses(leg, quote)
                    continue
                found["healthy_legs"] += 1
                found["healthy_legs_suspect"] += leg.excluded is Exclusion.SUSPECT
                found["healthy_suspicions"] += leg.excluded is Exclusion.SUSPECT and key not in suspected
                (suspected.add if leg.excluded is Exclusion.SUSPECT else suspected.discard)(key)

    for event in quotes(rate, seed, minutes * PERIOD_S):
        now = event.received_ts
        while next_s <= now:
            for venue in VENUES:
                engine.apply([Status(venue, "*", None, next_s, "*", FeedState.LIVE, epoch=T0)], next_s)
            engine.look(set(), next_s, next_s)
            next_s += S
        while (due := engine.next_ts()) is not None and 0 < due < now:
            publish(due)
        key = event.venue, event.instrument
        if event.venue != dead(now, stall_s):
            seqs[key] += 1
            engine.apply([msgspec.structs.replace(event, epoch=T0, seq=seqs[key])], now)
        publish(now)
    return found


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rate", type=float, default=120.0, help="orders a second, of all venues")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stall-s", type=float, default=16.0)
    parser.add_argument("--factor", type=float, default=suspects.FACTOR)
    parser.add_argument("--least-s", type=float, default=suspects.LEAST_NS / S)
    options = parser.parse_args()
    runs = {}
    for name, factor, stall_s in (
        ("stalls_without_the_rule", NEVER, options.stall_s),
        ("stalls", options.factor, options.stall_s),
        ("quiet_without_the_rule", NEVER, 0.0),
        ("quiet", options.factor, 0.0),
    ):
        vars(suspects).update(FACTOR=factor, LEAST_NS=round(options.least_s * S))
        runs[name] = dict(run(options.rate, options.seed, options.minutes, stall_s))
    harness.report(benchmark="suspects", rate=options.rate, minutes=options.minutes, factor=options.factor, **runs)


if __name__ == "__main__":
    main()
