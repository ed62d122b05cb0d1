"""Pages through past trades by time, and takes those of a span that one answer holds. Pure."""

from __future__ import annotations

from crosstape_connector.rest.past.paging import SLACK_NS, Brought, Range, time_of, within
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_connector.venues.past import TradesByTime, TradesOfSpan


class ByTimePager:
    """One range of one symbol's trades. A page begins at the time of the last trade before it, which may have companions."""

    def __init__(self, source: TradesByTime, symbol: str, wanted: Range) -> None:
        self._source = source
        self._symbol = symbol
        self._wanted = wanted
        self._since_ts = max(0, wanted.from_ts - SLACK_NS)
        self._known: frozenset[str] = frozenset()
        """Ids of the page before."""
        self._done = False
        self.crowded = 0
        """See `Pager.crowded`."""

    @property
    def path(self) -> str | None:
        """See `Pager.path`."""
        return None if self._done else self._source.path(self._symbol, self._since_ts, self._wanted.to_ts + SLACK_NS)

    def accept(self, answer: TradeSnapshot, asked_ts: int) -> Brought:
        """See `Pager.accept`."""
        new = [one for one in answer.trades if one.trade_id not in self._known]
        newest_ts = max((time_of(one) for one in answer.trades), default=self._since_ts)
        is_full = answer.rows >= self._source.page
        if newest_ts > self._since_ts:
            # Each page goes on at the time of the newest trade: a venue whose times go back a little within its order does not lose any
            self._known = frozenset(one.trade_id for one in answer.trades)
            self._done = newest_ts >= self._wanted.to_ts + SLACK_NS or (not new and not is_full)
            self._since_ts = newest_ts
        elif is_full:
            self.crowded += 1
            self._since_ts += self._source.unit_ns
        else:
            self._done = True
        complete_to_ts = self._wanted.to_ts if self._done else newest_ts - SLACK_NS
        complete_to_ts = min(max(complete_to_ts, self._wanted.from_ts), self._wanted.to_ts)
        return Brought(within(new, self._wanted), complete_to_ts, answer.left_out)


class OfSpanPager:
    """All trades of the last hour, day …: one request."""

    def __init__(self, source: TradesOfSpan, symbol: str, wanted: Range, now_ts: int) -> None:
        """`now_ts`: our clock."""
        age_s = (now_ts - wanted.from_ts + SLACK_NS) / 1e9
        make = next((path for seconds, path in source.spans.items() if seconds >= age_s), list(source.spans.values())[-1])
        self._wanted = wanted
        self.path: str | None = make(symbol)
        """See `Pager.path`."""
        self.crowded = 0
        """None: the answer has them all."""

    def accept(self, answer: TradeSnapshot, asked_ts: int) -> Brought:
        """See `Pager.accept`."""
        self.path = None
        return Brought(within(answer.trades, self._wanted), self._wanted.to_ts, answer.left_out)
