"""Audits consolidated quotes by the method `cbbo/1`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from crosstape_recorder.audit.best import best_of
from crosstape_recorder.audit.feed_states import FeedStates
from crosstape_recorder.audit.findings import Audit, Check
from crosstape_recorder.audit.legs import Legs, Named
from crosstape_recorder.audit.moments import Moment, Moments
from crosstape_recorder.audit.price_stream import PriceStream
from crosstape_recorder.audit.rules import MS, Rules
from crosstape_schemas import CONSOLIDATED, Cbbo

KEPT: Final = 16_384
"""Newest quotes that are kept for the books and edges of the same moments."""
FIELDS: Final = (
    "bid_price", "bid_size", "bid_venues", "ask_price", "ask_size", "ask_venues", "mid", "spread", "spread_bps", "market",
)  # fmt: skip


class Published(NamedTuple):
    """A quote of the tape."""

    quote: Cbbo
    named: Named
    at: Moment


class Quotes:
    """The consolidated quotes of one instrument."""

    def __init__(self, audit: Audit, rules: Rules, quotes: PriceStream, books: PriceStream, states: Mapping[str, FeedStates]) -> None:
        self._audit = audit
        self._rules = rules
        self.legs = Legs(rules, quotes, books, states)
        self.newest: deque[Published] = deque(maxlen=KEPT)
        self._moments = Moments(rules.lag_ns)
        self._before: Cbbo | None = None

    def take(self, ms: int, n: int, quote: Cbbo) -> Published:
        """Audit the next quote of the stream."""
        before = self._before if self._before is not None and self._before.epoch == quote.epoch else None
        self._before = quote
        published_ns = (ms + 1) * MS - quote.ts
        self.legs.publishing_ns = published_ns if before is None else min(self.legs.publishing_ns, published_ns)
        named = self.legs.named(quote)
        at = self._moments.of(quote, ms, self.legs.unread(quote, named))
        check = Check(self._audit, "cbbo", quote, f"{ms}-{n}", lambda: [one.text() for one in named.values()])
        check.same("venue", quote.venue, CONSOLIDATED)
        check.same("method", quote.method, "cbbo/1")
        self.legs.take(check, quote, named, at)
        counting = [leg for leg in quote.legs if leg.excluded is None]
        for field, computed in zip(FIELDS, best_of(counting), strict=True):
            check.same(field, getattr(quote, field), computed)
        check.same("venues", quote.venues, len(counting))
        if before is not None:
            least = before.received_ts
            check.holds(quote.received_ts >= least, "received_ts", quote.received_ts, f"{least} or later", exact=False)
            check.holds(quote.legs != before.legs or quote.vwap != before.vwap, "legs", "as before", "a change of legs or windows")
        check.done()
        found = Published(quote, named, at)
        self.newest.append(found)
        return found

    def at(self, epoch: int, ts: int) -> Published | None:
        """Return the last quote of an aggregator that was computed at this moment or before; None: it has left the memory, or never was."""
        for one in reversed(self.newest):
            if one.quote.epoch == epoch and one.quote.ts <= ts:
                return one
        return None
