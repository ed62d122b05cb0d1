"""Puts all observations together into one list of what the history lacks, in which nothing is counted twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from crosstape_recorder.gaps.candles import missing_candles
from crosstape_recorder.gaps.gap import FETCHED, UNRECORDED, Feed, HistoryGap, Part, Seen
from crosstape_recorder.gaps.numbering import missing_numbers
from crosstape_recorder.gaps.ranges import Range, overlap, without
from crosstape_recorder.gaps.runs import Run
from crosstape_recorder.gaps.silence import silences
from crosstape_recorder.gaps.told import GapRow, Told, read
from crosstape_recorder.gaps.trade_ids import TradeIds
from crosstape_schemas import VENUE_WIDE, GapCause
from crosstape_schemas.timeframes import close_of, open_of

LOSSES: Final = frozenset({GapCause.BUS.value, GapCause.OVERFLOW.value})
"""Causes of gaps of events that had a number already, or would have got one."""
FRAMED: Final = frozenset({"candle", "bar"})
"""Kinds of intervals."""
NEVER_EXPANDED: Final = frozenset({"bar", "status", "gap"})
"""Kinds that a gap of all kinds does not name one by one: bars follow their trades."""


class VenueFacts(msgspec.Struct, frozen=True):
    """What the table of a venue says that matters here."""

    contiguous: bool = False
    """Whether its trade ids grow by one per instrument."""
    every_interval: bool = False
    """Whether it publishes a candle for each interval, also one without trades."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of the history, for one time and some more around it."""

    feeds: Collection[Feed]
    """Feeds of which there are rows."""
    gaps: Iterable[GapRow] = ()
    """All until the end of the time: one may have begun long before it."""
    numbers: Mapping[Feed, Mapping[int, Iterable[Run]]] = {}
    """Epoch → `seq`, of the rows that come from the tape. Not of candles and bars: of these, not all are kept. Of a venue's own stream
    (instrument `VENUE_WIDE`), those of statuses and gaps together."""
    trade_ids: Mapping[Feed, Iterable[Run]] = {}
    candles: Mapping[Feed, Collection[int]] = {}
    """`open_ts` of the closed candles."""
    signs: Mapping[str, Collection[int]] = {}
    """Venue → when it gave a sign of life."""
    until_ts: int | None = None
    """When the newest sign of life of any venue was recorded. What came later is not missing: it is not recorded yet. None: not known."""


class Span(msgspec.Struct, frozen=True):
    """The time that is examined. None: as far as rows go."""

    from_ts: int | None
    to_ts: int | None

    def has(self, part: Part) -> bool:
        """Whether a part is in it, in whole or in part."""
        return (self.from_ts is None or part.to_ts >= self.from_ts) and (self.to_ts is None or part.from_ts < self.to_ts)


class Findings(msgspec.Struct, frozen=True):
    """What the history lacks, and what it does not lack any more."""

    gaps: tuple[HistoryGap, ...]
    """By feed and time. Those of one feed do not overlap."""
    settled: tuple[Part, ...] = ()
    """Reported gaps that nobody repaired, though the rows show what was missing in them: it is there, or is one of `gaps`."""
    venues: frozenset[str] = frozenset()
    """All venues of which anything was recorded."""
    until_ts: int | None = None
    """As that of `Recorded`."""


def find(
    recorded: Recorded, facts: Callable[[str], VenueFacts], wanted: Callable[[Feed], bool], span: Span, *, tolerance_ns: int
) -> Findings:
    """Returns what is missing of the wanted feeds in this time.

    `tolerance_ns`: clocks of venues may differ from ours by so much.
    """
    told = read(recorded.gaps)
    ids = {feed: TradeIds(feed, some) for feed, some in recorded.trade_ids.items() if facts(feed.venue).contiguous}
    by_feed: dict[Feed, list[Part]] = defaultdict(list)
    settled: list[Part] = []
    for part in _all(recorded, told, ids, facts, span, tolerance_ns=tolerance_ns):
        if not wanted(part.feed) or not span.has(part):
            continue
        if not _is_there(part, ids, recorded.candles, tolerance_ns):
            by_feed[part.feed].append(_of_closed(part))
        elif part in told.open:
            settled.append(part)
    gaps = tuple(gap for feed in sorted(by_feed) for gap in merged(feed, by_feed[feed]))
    venues = frozenset({feed.venue for feed in recorded.feeds if wanted(feed)} | recorded.signs.keys())
    return Findings(gaps, tuple(settled), venues, recorded.until_ts)


def merged(feed: Feed, parts: Iterable[Part]) -> list[HistoryGap]:
    """Returns parts of one feed as gaps that neither overlap nor touch.

    Several places may have seen the same events missing, so their counts are not added up: the greatest sum of one place counts. A gap in
    which one part does not know how many are missing does not know it, unless the trade ids do: they show each trade.
    """
    groups: list[list[Part]] = []
    until = 0
    for part in sorted(parts, key=_order):
        if groups and part.from_ts <= until:
            groups[-1].append(part)
            until = max(until, part.to_ts)
        else:
            groups.append([part])
            until = part.to_ts
    return [
        HistoryGap(
            feed, group[0].from_ts, max(part.to_ts for part in group), _missing(group), tuple(group), why_not=why_not(feed.kind)
        )
        for group in groups
    ]  # fmt: skip


def why_not(kind: str) -> str:
    """Returns why a gap of this kind cannot be repaired; empty: it can, if the venue has the past of it."""
    if kind in FETCHED:
        return ""
    if kind == "bar":
        return (
            "bars are computed: the aggregator revises them itself while they are not older than aggregator.bar_history_s;"
            " two minutes later `crosstape repair` makes those again whose trades it fetches"
        )
    if kind in ("cbbo", "depth", "edge"):
        return "it is computed from states that venues do not keep"
    if kind in ("status", "gap", VENUE_WIDE):
        return "nobody else has what our own processes would have reported"
    return "venues do not keep the past of this kind"


def _order(part: Part) -> tuple[int, int, str, str, int]:
    return part.from_ts, part.to_ts, part.seen, part.cause, -1 if part.missing is None else part.missing


def _missing(group: list[Part]) -> int | None:
    sums: dict[Seen, int | None] = {}
    for part in group:
        before = sums.get(part.seen, 0)
        sums[part.seen] = None if before is None or part.missing is None else before + part.missing
    if any(one is None for one in sums.values()):
        return None
    return max(one for one in sums.values() if one is not None)


def _all(
    recorded: Recorded,
    told: Told,
    ids: Mapping[Feed, TradeIds],
    facts: Callable[[str], VenueFacts],
    span: Span,
    *,
    tolerance_ns: int,
) -> Iterator[Part]:
    """Yield what each place shows, each part of one feed."""
    for part in told.open:
        yield from _expanded(part, recorded.feeds, told)
    for feed, numbers in recorded.numbers.items():
        for part in missing_numbers(feed, numbers):
            if not _is_explained(part, told, tolerance_ns):
                yield part
    for feed, known in ids.items():
        yield from known.missing(_nonexistent(told, feed, tolerance_ns))
    for feed, opens in recorded.candles.items():
        if facts(feed.venue).every_interval:
            never = [one.between for one in told.nonexistent if one.feed == feed and one.by_recorder]
            yield from missing_candles(feed, opens, never)
    for venue, stamps in recorded.signs.items():
        explained = [_range(part) for part in told.all if _is_of_venue(part.feed, venue)]
        until_ts = recorded.until_ts if span.to_ts is None else min(span.to_ts, recorded.until_ts or span.to_ts)
        for from_ts, to_ts in silences(stamps, explained, from_ts=span.from_ts, to_ts=until_ts):
            everything = Part(Feed(venue, VENUE_WIDE, VENUE_WIDE), from_ts, to_ts, None, UNRECORDED, Seen.SILENCE)
            yield from _expanded(everything, recorded.feeds, told)


def _nonexistent(told: Told, feed: Feed, tolerance_ns: int) -> Iterator[tuple[Range, int]]:
    """Yield the ranges in which ids never existed. Those of a connector are by its clock, those of a repair by the venue's."""
    for one in told.nonexistent:
        if one.feed == feed:
            widen_ns = 0 if one.by_recorder else tolerance_ns
            yield (one.between[0] - widen_ns, one.between[1] + widen_ns), one.ids


def _expanded(part: Part, feeds: Collection[Feed], told: Told) -> Iterator[Part]:
    """Yield a part for each feed that a gap of a whole venue or stream concerns, less what a repair has fetched of it.

    If no such feed is known, it is the part itself.
    """
    if VENUE_WIDE not in (part.feed.venue, part.feed.instrument, part.feed.kind) or part.feed.kind in NEVER_EXPANDED:
        yield part
        return
    covered = [feed for feed in feeds if part.feed.covers(feed) and feed.kind not in NEVER_EXPANDED and feed.instrument != VENUE_WIDE]
    for feed in covered:
        yield from _not_fetched(msgspec.structs.replace(part, feed=feed, missing=part.missing if len(covered) == 1 else None), told)
    if not covered:
        yield part


def _is_explained(part: Part, told: Told, tolerance_ns: int) -> bool:
    """Whether a gap says why these numbers are missing, or a repair has fetched what they had."""
    losses = (one for one in told.all if one.cause in LOSSES or one.seen is Seen.RECORDER)
    if any(one.feed.covers(part.feed) and overlap(_range(one), _range(part), tolerance_ns) for one in losses):
        return True
    return any(one.feed == part.feed and _range(one) == _range(part) for one in told.repaired if one.seen is Seen.RECORDER)


def _not_fetched(part: Part, told: Told) -> Iterator[Part]:
    """Yield what is left of a part without the ranges that a repair has fetched."""
    fetched = [_range(one) for one in told.repaired if one.seen is Seen.RECORDER and one.feed == part.feed]
    for from_ts, to_ts in without(_range(part), fetched):
        yield msgspec.structs.replace(part, from_ts=from_ts, to_ts=to_ts)


def _is_there(part: Part, ids: Mapping[Feed, TradeIds], candles: Mapping[Feed, Collection[int]], tolerance_ns: int) -> bool:
    """Whether the rows themselves show that nothing is missing in a part, or what is: then it is listed for itself."""
    if part.seen in (Seen.TRADE_IDS, Seen.CANDLES):
        return False
    known = ids.get(part.feed)
    if known is not None:
        return known.decide(part.from_ts, part.to_ts, tolerance_ns)
    opens = candles.get(part.feed)
    if part.feed.kind != "candle" or not opens:
        return False
    open_ts = open_of(part.feed.timeframe, part.from_ts)
    while open_ts in opens:
        open_ts = close_of(part.feed.timeframe, open_ts)
        if open_ts > part.to_ts:
            return True
    return False


def _of_closed(part: Part) -> Part:
    """Return a part without its number, if that is one of entries of a stream of candles or bars: most are of open ones."""
    counts_entries = part.seen is Seen.RECORDER or (part.seen is Seen.EVENT and part.cause in LOSSES)
    return msgspec.structs.replace(part, missing=None) if part.feed.kind in FRAMED and counts_entries else part


def _is_of_venue(feed: Feed, venue: str) -> bool:
    return feed.venue == venue and feed.instrument == VENUE_WIDE and feed.kind in ("status", VENUE_WIDE)


def _range(part: Part) -> Range:
    return part.from_ts, part.to_ts
