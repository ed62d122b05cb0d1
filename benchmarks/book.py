"""Measures one update of a book of 1,000 levels a side, with the quote that follows: µs per 10-level update, for a venue whose quotes are
the top of its book.

    python benchmarks/book.py --updates 20000

What is measured is `FeedHandler.apply`: sequence rule, levels, best bid and ask, the quote where it changed, the conflated book. Decoding
and encoding are not.
"""

from __future__ import annotations

import argparse
import random
import time
from decimal import Decimal

import harness

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.registry import find
from crosstape_schemas import Instrument

TICK = Decimal("0.01")
START_NS = 1_700_000_000_000_000_000
FRAME_NS = 10_000_000


def price(ticks: int) -> Decimal:
    """Returns the price of a number of ticks."""
    return ticks * TICK


def updates(count: int, levels: int, changes: int, seed: int, middle: int = 1_000_000) -> tuple[BookSnapshot, list[BookUpdate]]:
    """Returns a book around so many ticks, and changes mostly near its top, as on a real market. It never crosses and keeps its size."""
    rng = random.Random(seed)
    bids = {middle - 1 - i for i in range(levels)}
    asks = {middle + 1 + i for i in range(levels)}
    size = Decimal("1.00000000")
    snapshot = BookSnapshot(
        "BTC-USD", None, START_NS, [(price(p), size) for p in sorted(bids, reverse=True)], [(price(p), size) for p in sorted(asks)]
    )
    found: list[BookUpdate] = []
    for number in range(1, count + 1):
        sides: tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]] = ([], [])
        for _ in range(changes):
            is_ask = rng.random() < 0.5
            level = min(int(rng.expovariate(0.05)), levels - 1)
            at = middle + 1 + level if is_ask else middle - 1 - level
            held = asks if is_ask else bids
            if at in held and level > 0 and rng.random() < 0.3:
                held.discard(at)
                sides[is_ask].append((price(at), Decimal("0E-8")))
            else:
                held.add(at)
                sides[is_ask].append((price(at), Decimal(rng.randrange(1, 10**9)).scaleb(-8)))
        found.append(BookUpdate("BTC-USD", None, START_NS + number * FRAME_NS, sides[0], sides[1]))
    return snapshot, found


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--levels", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    snapshot, made = updates(options.updates, options.levels, options.changes, seed=1)
    instrument = Instrument("BTC-USD", "coinbase", "BTC-USD", "BTC", "USD")
    best_s, published = float("inf"), 0
    for _ in range(options.runs):
        feeds = FeedHandler(find("coinbase"), {"BTC-USD": instrument}, ("quote", "book"), book_depth=10, book_interval_ns=100_000_000)
        feeds.apply(snapshot)
        start = time.perf_counter()
        published = sum(len(feeds.apply(update)) for update in made)
        best_s = min(best_s, time.perf_counter() - start)
    harness.report(
        benchmark="book",
        levels=options.levels,
        changes=options.changes,
        updates=options.updates,
        events=published,
        us_per_update=round(best_s / options.updates * 1e6, 2),
    )


if __name__ == "__main__":
    main()
