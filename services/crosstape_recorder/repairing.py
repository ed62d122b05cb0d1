"""Fetches what the history lacks from the venues, and writes it to the store. It needs the extra `history`.

Each page is one commit, and rows that are there are left out. Once all of a gap was fetched, a gap with `repaired` says so, in a row of
the source `recorder`. A process that is killed in between has written a part of the rows, or all but that gap: the next one leaves out
what is there. What was repaired is found no more, so a second repair has nothing to do.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

import msgspec

from crosstape.errors import CrosstapeError, HistoryError
from crosstape.history import text_events
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_recorder.backfill.writer import ATTEMPTS, PastWriter
from crosstape_recorder.bars import counts_at
from crosstape_recorder.examining import MARGIN_NS, trade_runs
from crosstape_recorder.fetching import Fetch, Wanted
from crosstape_recorder.gaps.candles import intervals
from crosstape_recorder.gaps.finding import Findings, VenueFacts
from crosstape_recorder.gaps.gap import FETCHED, Feed, HistoryGap, Part, Seen
from crosstape_recorder.gaps.ranges import overlap
from crosstape_recorder.gaps.runs import Run, joined, run
from crosstape_recorder.gaps.trade_ids import TradeIds, number_of
from crosstape_schemas import VENUE_WIDE, Candle, Gap, GapCause, Trade, encode
from crosstape_schemas.timeframes import close_of, open_of

MS: Final = 1_000_000
SETTLED_NS: Final = 60_000_000_000
"""What is newer than this is left to the connector, which is fetching it, and to the recorder, which has not written it yet."""


class Repaired(msgspec.Struct, frozen=True):
    """What became of one gap."""

    gap: HistoryGap
    came: int
    """Rows that were written."""
    nonexistent: int
    """Trades or candles that never existed."""
    reason: str = ""
    """Why it is still open, as a sentence; empty: it is closed."""
    requests: int = 0


def wanted_of(gap: HistoryGap, *, tolerance_ns: int) -> Wanted:
    """Returns what to fetch for a gap: a little more on both sides, so that what is there shows that nothing is missing between."""
    feed, from_ts, to_ts = gap.feed, gap.from_ts, gap.to_ts
    if feed.kind != "candle":
        return Wanted(
            venue=feed.venue, instrument=feed.instrument, from_ts=max(0, from_ts - tolerance_ns), to_ts=to_ts + tolerance_ns + 1
        )  # fmt: skip
    name = feed.timeframe
    if any(part.seen is not Seen.CANDLES for part in gap.parts):  # its times are those of our clock, and not those of intervals
        from_ts, to_ts = max(0, from_ts - tolerance_ns), to_ts + tolerance_ns + 1
    return Wanted(
        venue=feed.venue, instrument=feed.instrument, timeframe=name,
        from_ts=open_of(name, from_ts), to_ts=close_of(name, open_of(name, to_ts - 1)),
    )  # fmt: skip


def judged(gaps: Iterable[HistoryGap], reach: Callable[[Wanted], str], *, tolerance_ns: int, now_ts: int) -> list[HistoryGap]:
    """Returns the gaps, of which each that its venue cannot fill says why not. `reach`: see `Fetch.reach`."""
    found = []
    for gap in gaps:
        why = gap.why_not
        if not why and gap.feed.kind in FETCHED:
            wanted = wanted_of(gap, tolerance_ns=tolerance_ns)
            if VENUE_WIDE in (gap.feed.venue, gap.feed.instrument):
                why = "it is not known which instruments it concerns"
            elif wanted.to_ts > now_ts - SETTLED_NS:
                why = "it is too new: its connector may be fetching it, or the interval has not ended"
            else:
                why = reach(wanted)
        found.append(msgspec.structs.replace(gap, why_not=why))
    return found


class Repair:
    """Repairs gaps of one store, one after the other."""

    def __init__(
        self, store: Store, fetch: Fetch, facts: Callable[[str], VenueFacts], *, tolerance_ns: int, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._store = store
        self._fetch = fetch
        self._facts = facts
        self._tolerance_ns = tolerance_ns
        self._clock = clock

    async def run(self, findings: Findings, leave: Callable[[HistoryGap], bool] = lambda gap: False) -> AsyncIterator[Repaired]:
        """Yields what became of each gap, but those to `leave`. In the end it closes reported gaps of which nothing is missing.

        A venue that refuses does not end it; a store that cannot be used does, with `HistoryError`.
        """
        left: list[HistoryGap] = []
        done: list[Repaired] = []
        for gap in judged(findings.gaps, self._fetch.reach, tolerance_ns=self._tolerance_ns, now_ts=self._clock()):
            if leave(gap):
                left.append(gap)
                continue
            reported = [part for part in findings.settled if self._concerns(part, gap)]
            one = Repaired(gap, 0, 0, gap.why_not) if gap.why_not else await self._repair(gap, reported)
            if one.reason:
                left.append(gap)
            else:
                done.append(one)
            yield one
        closed = [part for part in findings.settled if not any(self._concerns(part, gap) for gap in left)]
        await self._append([self._closing(part, done) for part in closed])

    def _concerns(self, part: Part, gap: HistoryGap) -> bool:
        """Whether what was reported, by our clock, may be a gap of the history."""
        return part.feed == gap.feed and overlap((part.from_ts, part.to_ts), (gap.from_ts, gap.to_ts), self._tolerance_ns)

    def _closing(self, part: Part, done: Iterable[Repaired]) -> Gap:
        """Return the gap that says that nothing is missing of a reported one. What never existed is in rows of its own."""
        never = sum(one.nonexistent for one in done if self._concerns(part, one.gap))
        return _repaired(part, self._clock(), max(0, (part.missing or 0) - never), 0)

    async def _repair(self, gap: HistoryGap, reported: Sequence[Part]) -> Repaired:
        wanted = wanted_of(gap, tolerance_ns=self._tolerance_ns)
        fetched = _Fetched(gap.feed)
        writer = PastWriter(self._store, wanted.venue, wanted.instrument, wanted.timeframe)
        pages = self._fetch.fetch(wanted)
        came = requests = 0
        while True:
            try:
                page = await anext(pages, None)
            except CrosstapeError as exc:
                return Repaired(gap, came, 0, str(exc), requests)
            if page is None:
                break
            requests += page.requests
            fetched.note(page.rows)
            written = await writer.write([row for row in page.rows if wanted.from_ts <= _ts(row) < wanted.to_ts])
            came += written.new
        ids = await self._ids(gap.feed, wanted) if self._facts(gap.feed.venue).contiguous and gap.feed.kind == "trade" else None
        around = gap.from_ts, gap.to_ts
        never, missing = fetched.left(wanted) if ids is None else ids.left(fetched.runs, around)
        if missing:
            return Repaired(gap, came, 0, f"{gap.feed.venue} has not given {missing} of them: it may not have them any more", requests)
        await self._close(gap, wanted, fetched, ids, came=came, is_reported=bool(reported))
        return Repaired(gap, came, never, requests=requests)

    async def _ids(self, feed: Feed, wanted: Wanted) -> TradeIds:
        """Return the ids that are there now."""
        found: list[Run] = []
        query = Query(
            kind=feed.kind, venue=feed.venue, instrument=feed.instrument,
            from_ts=max(0, wanted.from_ts - MARGIN_NS), to_ts=wanted.to_ts + MARGIN_NS,
        )  # fmt: skip
        async for table in self._store.read(query):
            for _, _, _, runs in trade_runs(table):
                found = joined([*found, *runs])
        return TradeIds(feed, found)

    async def _close(
        self, gap: HistoryGap, wanted: Wanted, fetched: _Fetched, ids: TradeIds | None, *, came: int, is_reported: bool
    ) -> None:
        """Write that nothing of a gap is missing any more: for each part of it, a gap with its times and cause.

        `is_reported`: it was reported with other times, and is closed with these. Then only what never existed is written.
        """
        now_ts = self._clock()
        rows: dict[tuple[int, int, str], Gap] = {}
        of_ids = Seen.TRADE_IDS if any(part.seen is Seen.TRADE_IDS for part in gap.parts) else Seen.EVENT
        for part in gap.parts:
            never = 0
            if ids is not None and part.seen is of_ids:
                never, _ = ids.left(fetched.runs, (part.from_ts, part.to_ts))
            elif part.seen is Seen.CANDLES:
                never = fetched.without(part.from_ts, part.to_ts)
            if not is_reported or part.seen not in (Seen.TRADE_IDS, Seen.CANDLES):
                rows[part.from_ts, part.to_ts, part.gap_cause.value] = _repaired(part, now_ts, part.missing or came + never, never)
            elif never:
                rows[part.from_ts, part.to_ts, part.gap_cause.value] = _repaired(part, now_ts, never, never)
        never, _ = fetched.left(wanted)
        if never and not any(part.seen is Seen.CANDLES for part in gap.parts):  # the times of the parts are none of intervals
            cause = GapCause.SEQUENCE.value
            part = Part(gap.feed, wanted.from_ts, wanted.to_ts, never, cause, Seen.CANDLES)
            rows[part.from_ts, part.to_ts, cause] = _repaired(part, now_ts, never, never)
        await self._append(list(rows.values()))

    async def _append(self, gaps: Sequence[Gap]) -> None:
        """Write gaps as one commit."""
        builder = BatchBuilder("gap")
        for number, gap in enumerate(gaps):
            data = encode(gap)
            builder.add(gap.received_ts // MS, number, text_events.decode(data), data, Source.RECORDER)
        batch = builder.build()
        for _ in range(ATTEMPTS):
            if not gaps:
                return
            position = await self._store.position("gap")
            if await self._store.append(batch, {}, after=position.number) is not None:
                return
        raise HistoryError("gap: other processes commit all the time; is more than one recorder writing to this store?")


class _Fetched:
    """What came of one feed, whether it was there before or not."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.runs: list[Run] = []
        self.opens: set[int] = set()

    def note(self, rows: Iterable[Trade | Candle]) -> None:
        """Note rows of a page."""
        ids = []
        for row in rows:
            if isinstance(row, Candle):
                self.opens.add(row.open_ts)
            elif (number := number_of(row.trade_id)) is not None:
                ids.append(run(number, _ts(row)))
        if ids:
            self.runs = joined([*self.runs, *ids])

    def without(self, from_ts: int, to_ts: int) -> int:
        """Returns in how many intervals that begin in `[from_ts, to_ts)` the venue has no candle."""
        return intervals(self._feed.timeframe, from_ts, to_ts) - sum(from_ts <= open_ts < to_ts for open_ts in self.opens)

    def left(self, wanted: Wanted) -> tuple[int, int]:
        """Returns how many never existed of what was wanted, and how many are missing: all that the venue has was fetched."""
        return (self.without(wanted.from_ts, wanted.to_ts), 0) if self._feed.kind == "candle" else (0, 0)


def _repaired(part: Part, now_ts: int, missed: int, never: int) -> Gap:
    feed = part.feed
    return Gap(
        feed.venue, feed.instrument, None, now_ts, feed.feed_kind, part.from_ts, part.to_ts, max(missed, never), part.gap_cause,
        repaired=True, nonexistent=never,
    )  # fmt: skip


def _ts(row: Trade | Candle) -> int:
    return row.open_ts if isinstance(row, Candle) else counts_at(row.venue_ts, row.received_ts)
