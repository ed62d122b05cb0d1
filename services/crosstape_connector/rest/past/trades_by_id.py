"""Pages through past trades by id: finds the first id of a range by looking at few pages, then goes on from id to id. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from crosstape_connector.errors import PastFailed
from crosstape_connector.rest.past.paging import SLACK_NS, Brought, Range, time_of, within
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_connector.venues.past import TradesById
from crosstape_schemas import Trade

LOOKS: Final = 96
"""Pages that are looked at to find the first id. Estimates need a handful. Every third look halves what is left, as does one after a look
that found nothing, since that says nothing of how ids grow: ids of 32 bits are found in any case."""

LATE: Final = 5
"""How often a page is asked for again that the venue leaves empty though it has shown later trades."""

FEW: Final = 3
"""Fewer of the newest trades than this are all that there are."""

STEP_MOST: Final = 1_000_000
"""How far the next page may end above an id, in `TradesById.spacing`."""


class _Phase(Enum):
    NEWEST = auto()  # the newest trades are asked for
    PROBE = auto()  # a page in the middle of these shows what an id in a path means
    SEARCH = auto()  # the first id of the range is looked for
    WALK = auto()  # pages follow each other
    DONE = auto()


class ByIdPager:
    """One range of one symbol's trades."""

    def __init__(self, source: TradesById, symbol: str, wanted: Range) -> None:
        self._source = source
        self._symbol = symbol
        self._wanted = wanted
        self._from_ts = wanted.from_ts - SLACK_NS
        self._phase = _Phase.NEWEST
        self._below = source.cursor == "below"
        self._unsure = source.cursor == "either"
        """Whether the first id in a page is the one that was asked for, or the one after it."""
        self._newest: tuple[Trade, ...] = ()
        self._low: tuple[int, int | None] = (0, None)
        """The greatest id, and its time, that is known to lie before the range."""
        self._high: tuple[int, int] = (0, 0)
        """The smallest id, and its time, that is known to lie in the range or after it."""
        self._first = 0
        """The id from which the next page is wanted."""
        self._page = source.page
        """Trades in an answer at most: the venue may hold fewer than its table says."""
        self._step = source.page * source.spacing
        """Where pages end below an id: by how much that lies above `_first`."""
        self._complete_ts = wanted.from_ts
        """All trades before this time were brought."""
        self._walked = False
        """Whether a trade is known whose id is `_first` or less."""
        self._looks = self._late = 0
        self._is_blind = False
        """Whether the newest look found no trades."""
        self.crowded = 0
        """None: ids tell trades of one moment apart."""

    @property
    def path(self) -> str | None:
        """See `Pager.path`."""
        match self._phase:
            case _Phase.NEWEST:
                return self._source.newest(self._symbol)
            case _Phase.DONE:
                return None
            case _Phase.PROBE:
                return self._source.path(self._symbol, self._first)
        if self._below:
            return self._source.path(self._symbol, self._below_id())
        return self._source.path(self._symbol, max(0, self._first - self._unsure))

    def accept(self, answer: TradeSnapshot, asked_ts: int) -> Brought:
        """See `Pager.accept`."""
        match self._phase:
            case _Phase.NEWEST:
                rows = self._learn_newest(answer.trades)
            case _Phase.PROBE:
                rows = self._learn_direction(answer.trades)
            case _Phase.SEARCH:
                rows = self._look(answer)
            case _:
                rows = self._walk(answer)
        done = self._phase is _Phase.DONE
        complete_to_ts = self._wanted.to_ts if done else max((time_of(one) for one in rows), default=0) - SLACK_NS
        self._complete_ts = complete_to_ts = min(max(complete_to_ts, self._complete_ts), self._wanted.to_ts)
        return Brought(within(rows, self._wanted), complete_to_ts, answer.left_out)

    def _learn_newest(self, trades: tuple[Trade, ...]) -> Sequence[Trade]:
        """The range may lie in the newest trades, or after them."""
        self._newest = trades
        if not trades or time_of(trades[0]) < self._from_ts:
            self._phase = _Phase.DONE
            return trades
        self._high = int(trades[0].trade_id), time_of(trades[0])
        if self._source.cursor == "either":
            self._phase, self._first = _Phase.PROBE, int(trades[len(trades) // 2].trade_id)
        else:
            self._guess()
        return ()

    def _learn_direction(self, trades: tuple[Trade, ...]) -> Sequence[Trade]:
        """Most of a page lies on the one side of the id that was asked for."""
        above = sum(int(one.trade_id) > self._first for one in trades)
        below = sum(int(one.trade_id) < self._first for one in trades)
        if len(self._newest) < FEW:
            self._phase = _Phase.DONE  # there are no others
            return self._newest
        if above == below:
            raise PastFailed(f"{self._symbol}: no trades where there are some: the venue does not understand an id")
        self._below = below > above
        self._step = max(1, self._source.page - 1)
        self._guess()
        return ()

    def _guess(self) -> None:
        """Choose the id at which the next look is taken, or begin to walk."""
        (low, low_ts), (high, high_ts) = self._low, self._high
        if high - low <= 1:
            self._phase, self._first = _Phase.WALK, high
            self._walked = True  # where pages end below an id, this one was seen
            return
        self._looks += 1
        if self._looks > LOOKS:
            raise PastFailed(f"{self._symbol}: the trades of a time cannot be found: times do not grow with ids")
        if self._looks % 3 == 0 or self._is_blind or (low_ts is None and low > 0):
            guess = (low + high) // 2
        elif low_ts is None:
            guess = high - int(self._ids_per_ns() * (high_ts - self._from_ts) * (1.1 + self._looks)) - self._source.page // 2
        else:
            guess = low + int((high - low) * (self._from_ts - low_ts) / max(1, high_ts - low_ts)) - self._source.page // 2
        self._phase, self._first = _Phase.SEARCH, min(max(guess, low + 1), high - 1)

    def _ids_per_ns(self) -> float:
        """Return how fast ids have grown from `_high` until now, at least one a page's time."""
        newest = self._newest[-1]
        return max(1, int(newest.trade_id) - self._high[0] + 1) / max(1, time_of(newest) - self._high[1] + 1)

    def _look(self, answer: TradeSnapshot) -> Sequence[Trade]:
        """Narrow down where the range begins; a page in which it begins is the first of the walk."""
        asked, end = self._first, self._below_id()
        trades = [one for one in answer.trades if int(one.trade_id) < self._high[0] and (self._below or int(one.trade_id) >= asked)]
        self._is_blind = not trades
        if not trades and self._below:
            self._low = (end - 1, None)  # there is nothing before it
        elif not trades:
            self._high = (asked, self._high[1])  # there is nothing from there to what is known
        elif time_of(trades[0]) >= self._from_ts:
            first = int(trades[0].trade_id)
            self._high = (first if self._below else min(asked, first)), time_of(trades[0])
        elif time_of(trades[-1]) < self._from_ts:
            self._low = max(int(trades[-1].trade_id), end - 1 if self._below else 0), time_of(trades[-1])
        else:
            self._phase = _Phase.WALK
            self._first = next(int(one.trade_id) for one in trades if time_of(one) >= self._from_ts)
            self._walked = True
            return self._walk(answer)
        self._guess()
        return ()

    def _below_id(self) -> int:
        """Return the id below which a page ends, where pages do. While the range is looked for, nothing is asked that is known to be in
        it or after it.
        """
        end = self._first + self._step
        return min(end, self._high[0]) if self._phase is _Phase.SEARCH else end

    def _walk(self, answer: TradeSnapshot) -> Sequence[Trade]:
        """Go on behind the last trade of a page."""
        rows = [one for one in answer.trades if int(one.trade_id) >= self._first]
        if self._below and rows and self._is_cut(answer):
            self._page = min(self._page, answer.rows)
            span = int(answer.trades[-1].trade_id) - int(answer.trades[0].trade_id)  # of as many trades as an answer holds
            self._step = max(1, min(self._page * self._source.spacing, self._step // 2, span))
            return ()
        last = int(self._newest[-1].trade_id)
        if rows:
            self._late = 0
            self._walked = True
            self._first = int(rows[-1].trade_id) + 1
            if self._below and len(rows) * 4 < self._page:
                self._step = min(self._step * 2, STEP_MOST * self._source.spacing)
        elif self._below and answer.rows and self._first + self._step <= last:
            self._first += self._step  # no trade has these ids
            self._step = min(self._step * 2, STEP_MOST * self._source.spacing)
        elif int(self._newest[0].trade_id) <= self._first:
            rows = [one for one in self._newest if int(one.trade_id) >= self._first]
            self._phase = _Phase.DONE
        else:
            self._late += 1
            if self._late > LATE:
                raise PastFailed(f"{self._symbol}: no trades from id {self._first} on, though the venue has shown trade {last}")
        if self._first > last or any(time_of(one) >= self._wanted.to_ts + SLACK_NS for one in rows):
            self._phase = _Phase.DONE
        return rows

    def _is_cut(self, answer: TradeSnapshot) -> bool:
        """Whether there may be trades between `_first` and a page that ends below an id: it begins later, and is full, or does not show
        the trades that are known to be before `_first`.
        """
        begins_later = int(answer.trades[0].trade_id) > self._first
        return begins_later and self._step > 1 and (answer.rows >= self._page or self._walked or self._low[1] is not None)
