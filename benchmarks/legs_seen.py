"""What a subscriber sees, for `detection`: since when each venue's leg of each instrument has counted or not, which quotes a leg crossed,
and whether an aggregator is alive by the rule that readers have.
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
    """Consolidated quotes of one instrument, and how many of them had a bid above their ask with the leg of one venue at either."""

    quotes: int
    crossed: int


class LegsSeen(threading.Thread):
    """Follows all channels of consolidated quotes and of venues until `stop`."""

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
        """Until `stop`."""
        with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
            pubsub.psubscribe("tape:cbbo:*", "tape:venue:*")
            while not self._stopping.is_set():
                message = pubsub.get_message(timeout=POLL_S)
                if message is not None:
                    with self._lock:
                        self._take(message["data"])

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self.join(10)
        self._client.close()

    def _take(self, data: bytes) -> None:
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
        """For how long a leg has not counted; 0: it does."""
        since = self.out_since(venue, instrument)
        return (time.time_ns() - since) / 1e9 if since else 0.0

    def out_since(self, venue: str, instrument: str) -> int:
        """`ts` of the first quote since which it has not counted, ns; 0: it does."""
        with self._lock:
            return self._out.get((venue, instrument), 0)

    def crossed(self, venue: str, instrument: str, since: int, until: int) -> Crossed:
        """Of the quotes between these times, ns."""
        with self._lock:
            quotes = [venues for ts, venues in self._quotes[instrument] if since <= ts < until]
        return Crossed(len(quotes), sum(venue in venues for venues in quotes))

    def forget(self) -> None:
        """Begin a new count of quotes."""
        with self._lock:
            self._quotes.clear()

    def aggregator_lives(self) -> bool:
        """By the rule that readers have."""
        with self._lock:
            return self._signs.is_alive(CONSOLIDATED, time.monotonic())
