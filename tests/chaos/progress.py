"""The rule of progress: everything must move. A checker that saw nothing has proved nothing.

For each venue, all instruments together: its market moves, its new data are on the tape, and its prices were compared. With an aggregator
there are new consolidated quotes. None of these may be absent for longer than `still_ns`: the market from its first move on, the tape at
the end, when everything is live again. If the market of one instrument rests on purpose, others of the venue move.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from crosstape_schemas import KIND_OF, Book, Cbbo, Event, FeedState, Quote, Trade
from tests.chaos.true_market import TrueInstrument
from tests.chaos.violations import Violation

COMPARED: Final = ("quote", "book")


class Progress:
    """Checks the progress of one tape and one market."""

    def __init__(self, market: Mapping[tuple[str, str], TrueInstrument], *, still_ns: int, consolidated: bool) -> None:
        """`consolidated`: an aggregator runs."""
        self._still_ns = still_ns
        self._consolidated = consolidated
        self._of: dict[str, list[TrueInstrument]] = defaultdict(list)
        for (venue, _), true in market.items():
            self._of[venue].append(true)
        self._moved: dict[str, int] = {}  # venue → when its market last moved, as far as that was looked at
        self._newest: Counter[str] = Counter()  # venue → `received_ts` of its newest data
        self._counts: Counter[tuple[str, str]] = Counter()  # (venue, kind) → live events
        self._quoted = 0

    def look(self) -> Iterator[Violation]:
        """Check how the market has moved since the last call."""
        for venue, instruments in self._of.items():
            since = self._moved.get(venue, 0)
            moves = sorted(ts for true in instruments for ts in true.moved_since(since))
            for ts in moves:
                yield from self._still(venue, ts)
                self._moved[venue] = ts

    def take(self, event: Event) -> None:
        """Note an event on the tape."""
        match event:
            case Quote() | Book():
                self._newest[event.venue] = max(self._newest[event.venue], event.received_ts)
                self._counts[event.venue, KIND_OF[type(event)]] += event.state is FeedState.LIVE
            case Trade():
                self._newest[event.venue] = max(self._newest[event.venue], event.received_ts)
            case Cbbo():
                self._quoted = max(self._quoted, event.ts)

    def done(self, now: int) -> Iterator[Violation]:
        """Check the end of the tape, which was last read at `now` (ns)."""
        for venue in self._of:
            yield from self._still(venue, now)
            if venue not in self._moved:
                yield Violation("the market stands still", venue, "moves", "none ever")
            for kind in COMPARED:
                if not self._counts[venue, kind]:
                    yield Violation("nothing was compared", f"live {kind}s of {venue}", "some", "none")
            if self._newest[venue] < now - self._still_ns:
                yield Violation(
                    "the tape stands still", venue, f"data of the last {self._still_ns / 1e9:g} s", self._ago(self._newest[venue], now)
                )
        if self._consolidated and self._quoted < now - self._still_ns:
            yield Violation("no quote is consolidated", "all", f"one in the last {self._still_ns / 1e9:g} s", self._ago(self._quoted, now))

    def _still(self, venue: str, until: int) -> Iterator[Violation]:
        moved = self._moved.get(venue)
        if moved is not None and until - moved > self._still_ns:
            yield Violation(
                "the market stands still",
                f"{venue}, from {moved} on",
                f"{self._still_ns / 1e9:g} s at most",
                f"{(until - moved) / 1e9:.1f} s",
            )

    @staticmethod
    def _ago(ts: int, now: int) -> str:
        return f"{(now - ts) / 1e9:.1f} s ago" if ts else "none ever"
