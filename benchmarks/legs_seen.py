"""Follows the channels of a tape, for `detection`: since when each leg has counted or not, which legs crossed the consolidated quote,
and whether an aggregator is alive by the rule that readers use.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Final, NamedTuple

import redis

from crosstape.liveness import SignsOfLife
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Cbbo, Status, decode

POLL_S: Final = 0.05


class Crossed(NamedTuple):
    """Counts the consolidated quotes of one instrument, and those whose bid was above the ask with the venue's leg on one of the sides."""

    quotes: int
    crossed: int


class LegsSeen(threading.Thread):
    """Thread that follows all channels of consolidated quotes and of venues until `stop`."""

    def __init__(self, url: str) -> None:
        super().__init__(name="subscriber", daemon=True)
        self._client = redis.Redis.from_url(url)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._known: set[tuple[str, str]] = set()  # (venue, instrument) of the legs that have been quoted
        self._out: dict[tuple[str, str], int] = {}  # … since when it has not, if it does not
        self._quotes: dict[str, list[tuple[int, frozenset[str]]]] = defaultdict(list)  # instrument → (ts, venues that crossed it)
        self._signs = SignsOfLife()

    def run(self) -> None:
        """Follow the channels until `stop`."""
        with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
            pubsub.psubscribe("tape:cbbo:*", "tape:venue:*")
            while not self._stopping.is_set():
                message = pubsub.get_message(timeout=POLL_S)
                if message is not None:
                    with self._lock:
                        self._apply(message["data"])

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self.join(10)
        self._client.close()

    def _apply(self, data: bytes) -> None:
        match decode(data):
            case Cbbo() as quote:
                for leg in quote.legs:
                    key = leg.venue, quote.instrument
                    self._known.add(key)
                    if leg.excluded is None:
                        self._out.pop(key, None)
                    else:
                        self._out.setdefault(key, quote.ts)
                crossed = quote.bid_price is not None and quote.ask_price is not None and quote.bid_price > quote.ask_price
                venues = frozenset((*quote.bid_venues, *quote.ask_venues)) if crossed else frozenset[str]()
                self._quotes[quote.instrument].append((quote.ts, venues))
            case Status(instrument=instrument) as status if instrument == VENUE_WIDE:
                self._signs.apply(status, time.monotonic(), time.time_ns())
            case _:
                pass

    def count(self, venues: tuple[str, ...], instruments: tuple[str, ...]) -> bool:
        """Whether all these legs count in the newest quotes."""
        keys = [(venue, instrument) for venue in venues for instrument in instruments]
        with self._lock:
            return all(key in self._known and key not in self._out for key in keys)

    def out_for_s(self, venue: str, instrument: str) -> float:
        """Returns the seconds since which a leg has not counted; 0: it counts."""
        since = self.out_since(venue, instrument)
        return (time.time_ns() - since) / 1e9 if since else 0.0

    def out_since(self, venue: str, instrument: str) -> int:
        """Returns `ts` (ns) of the first quote since which the leg has not counted; 0: it counts."""
        with self._lock:
            return self._out.get((venue, instrument), 0)

    def crossed(self, venue: str, instrument: str, since: int, until: int) -> Crossed:
        """Counts the quotes between these times (ns since the epoch), and those that this leg crossed."""
        with self._lock:
            quotes = [venues for ts, venues in self._quotes[instrument] if since <= ts < until]
        return Crossed(len(quotes), sum(venue in venues for venues in quotes))

    def forget(self) -> None:
        """Forget all quotes counted so far."""
        with self._lock:
            self._quotes.clear()

    def aggregator_lives(self) -> bool:
        """Whether an aggregator is alive by the rule that readers use."""
        with self._lock:
            return self._signs.is_alive(CONSOLIDATED, time.monotonic())
