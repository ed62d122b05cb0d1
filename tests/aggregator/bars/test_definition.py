"""Bars of one instrument, whatever happens, are those of the definition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from decimal import Decimal
from itertools import pairwise
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.bars.instrument_bars import InstrumentBars
from crosstape_aggregator.bars.rules import BarRules
from crosstape_aggregator.bars.state import BarCounts, BarsState
from crosstape_schemas import CONSOLIDATED, Bar, Side, Trade
from tests.aggregator.bars.definition import Key, bars_of, interval, key_of, last_price, numbers_of
from tests.aggregator.builders import MS, S, X

VENUES: Final = ("binance", "kraken", "okx")
TIMEFRAMES: Final = (("1s", "1m", "1h", "1w"), ("3m", "5m"), ("1m",), ("1m", "5m", "1d", "1M"), ("1d", "1w", "1M"))
STARTS: Final = tuple(int(dt.datetime(*day, 23, 45, tzinfo=dt.UTC).timestamp()) * S for day in ((2026, 8, 31), (2026, 9, 6), (2024, 2, 29)))
"""Before a month, before a Monday, before a month after a leap day."""
TOLERANCE: Final = 2 * S
LEAD: Final = 10 * S
"""How far our clock may be ahead of what other clocks confirm."""


class Feeds:
    """What the aggregator knows of the feeds; a test sets it."""

    read = True
    known = True
    live = True
    read_from_ts = 0
    confirmed_ts = 0

    def trading(self) -> Collection[str]:
        """The third venue is one that may never trade."""
        return VENUES

    def is_live(self, venue: str) -> bool:
        """Whether a venue's feed is live."""
        return self.live

    def known_since(self, venue: str, now: int) -> int | None:
        """All trades are known, or some may be missing."""
        return 1 if self.known else None


class Run:
    """One instrument on a tape: the trades, the clock, what was published, and restarts."""

    def __init__(self, timeframes: tuple[str, ...], start: int) -> None:
        self.rules = BarRules.of(AggregatorSettings(bars=timeframes))
        self.feeds = Feeds()
        self.true_ts = start
        self.error_ns = 0
        self.tape: list[Trade | tuple[str, str, int, int]] = []
        self.published: list[Bar] = []
        self.gaps: set[tuple[str, int, int]] = set()
        self.bars = self._new()
        self.known_from = start - 40 * 86_400 * S
        self.feeds.confirmed_ts = self.known_from
        self.bars.due(self.known_from)
        self.checkpoint: tuple[BarsState, int] = self.bars.state(), 0

    def _new(self) -> InstrumentBars:
        return InstrumentBars(X, self.rules, self.feeds, BarCounts(), lambda _, __: None)

    @property
    def trades(self) -> list[Trade]:
        """All trades on the tape."""
        return [one for one in self.tape if isinstance(one, Trade)]

    @property
    def now(self) -> int:
        """What our clock shows."""
        return self.true_ts + self.error_ns

    def read(self, one: Trade | tuple[str, str, int, int]) -> None:
        """Apply one entry of the tape."""
        if isinstance(one, Trade):
            self.bars.trade(one, self.now)
        elif one[0] == "missing":
            self.bars.missing(*one[1:])
        else:
            self.bars.found(*one[1:])

    def step(self, kind: str, a: int, b: int) -> None:
        """Let one thing happen."""
        match kind:
            case "trade" | "late":
                back = a % 4_000 * MS if kind == "trade" else a % 3_000 * S
                venue_ts = self.true_ts + 1_500 * MS - back if a % 11 else (None, 0, -(10**20), 1, self.true_ts + 10**12)[b % 5]
                size, price = Decimal(b % 997 + 1).scaleb(-4), Decimal(b % 89 + 1_000) / 10
                taker = (Side.BUY, Side.SELL, Side.BUY if b % 7 else None)[b % 3]
                number = str(len(self.tape) // 2) if a % 5 else "x-1"
                one = Trade(VENUES[a % 2], X, venue_ts, self.true_ts, price, size, taker, number, kind == "late", epoch=1, seq=2 + b)
                self._happens(one)
            case "gap":
                to_ts = self.true_ts - a % 600 * S
                self._happens(("missing", VENUES[b % 3], to_ts - b % 100 * S, to_ts))
            case "repair" if self.gaps:
                self._happens(("found", *sorted(self.gaps)[a % len(self.gaps)]))
            case "wait":
                self.true_ts += (b % 3_000) * MS if a % 3 else (b % 400) * S
            case "clock":
                self.error_ns = (0, -4_000, 900, 50_000, -300, 1, 5, 86_400 * 400)[a % 8] * S
                self.feeds.live = abs(self.error_ns) < TOLERANCE
            case "feed":
                self.feeds.known = bool(a % 3)
            case "due":
                if a % 3 == 0:
                    self.bars.published_ts = 0
                self._publish()
            case "save":
                self.checkpoint = self.bars.state(), len(self.tape)
            case "kill":
                self._restart()

    def _publish(self) -> None:
        """Let bars be published: none is closed that by other clocks has not ended, none is complete that by ours has not ended."""
        self.feeds.confirmed_ts = self.true_ts + LEAD
        bars = self.bars.due(self.now)
        assert not [bar for bar in bars if bar.closed and bar.close_ts > min(self.now, self.true_ts + LEAD) - self.rules.grace_ns]
        self.published += bars

    def _happens(self, one: Trade | tuple[str, str, int, int]) -> None:
        if not isinstance(one, Trade):
            (self.gaps.add if one[0] == "missing" else self.gaps.discard)((one[1], one[2], one[3]))
        self.tape.append(one)
        self.read(one)

    def _restart(self) -> None:
        """Kill the process, and start another one with the last checkpoint."""
        state, at = self.checkpoint
        self.bars = self._new()
        self.bars.restore(state)
        self.feeds.read = False
        for one in self.tape[at:]:
            self.read(one)
        assert not self.bars.due(self.now), "nothing is published before the past has been read"
        for bar in reversed(self.published):
            self.bars.published(bar)
        self.feeds.read = True

    def end(self) -> dict[Key, Bar]:
        """Let all become known, and return the newest event of each bar."""
        self.error_ns, self.feeds.live = 0, True
        self.true_ts += 10 * S
        for known in (False, True):
            self.feeds.known = known
            self.bars.published_ts = 0
            self._publish()
        return {key_of(bar): bar for bar in self.published}


KINDS: Final = ("trade",) * 7 + ("late",) * 2 + ("gap", "repair", "repair", "clock", "feed", "save", "kill") + ("wait", "due") * 3
steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
    ),
    min_size=1, max_size=90,
)  # fmt: skip


@given(steps, st.sampled_from(TIMEFRAMES), st.sampled_from(STARTS))
@settings(max_examples=80, deadline=None)
def test_the_last_revisions_are_what_the_definition_says(
    steps: list[tuple[str, int, int]], timeframes: tuple[str, ...], start: int
) -> None:
    """Trades come late and in any order, feeds fail, clocks are set, gaps are found and repaired, and processes die."""
    run = Run(timeframes, start)
    for step in steps:
        run.step(*step)
    newest = run.end()
    expected = bars_of(run.trades, timeframes)
    closed_before = run.now - 2 * S
    for key, numbers in expected.items():
        assert numbers_of(newest[key]) == numbers, key
        assert newest[key].closed or interval(key[0], key[2])[1] > closed_before, key
    for (timeframe, venue, open_ts), bar in newest.items():
        assert (bar.open_ts, bar.close_ts) == interval(timeframe, open_ts)
        if bar.trades == 0:
            assert timeframe != "1s"
            assert (timeframe, venue, open_ts) not in expected
            assert numbers_of(bar)[0] == numbers_of(bar)[3] == last_price(run.trades, venue, open_ts), bar
        if bar.closed:
            lacks = open_ts < run.known_from or any(
                venue in {gap[0], CONSOLIDATED} and gap[1] - TOLERANCE < bar.close_ts and gap[2] + TOLERANCE >= open_ts for gap in run.gaps
            )
            assert bar.complete is not lacks, bar
    revisions: dict[Key, list[Bar]] = {}
    for bar in run.published:
        if bar.closed:
            revisions.setdefault(key_of(bar), []).append(bar)
        else:
            assert (bar.complete, bar.revision) == (False, 0)
            assert key_of(bar) not in revisions, "an open bar after the closed one"
    for one in revisions.values():
        assert [bar.revision for bar in one] == list(range(len(one)))
        for former, later in pairwise(one):
            assert (numbers_of(former), former.complete) != (numbers_of(later), later.complete), "a revision that changes nothing"
