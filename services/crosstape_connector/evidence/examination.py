"""Examines a capture of one instrument: what it shows of each claim of the venue's table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from crosstape_connector.capture.reader import CaptureLine, read
from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.evidence.candles import CandleEvidence
from crosstape_connector.evidence.connections import ConnectionEvidence
from crosstape_connector.evidence.finding import Finding, Verdict, judge, share
from crosstape_connector.evidence.pace import PaceEvidence
from crosstape_connector.evidence.trades import TradeEvidence
from crosstape_connector.evidence.values import ValueEvidence
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.replay.summary import Summary
from crosstape_connector.venues.offers import concerns, offered
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import (
    CANDLE,
    Candle,
    Event,
    Funding,
    Gap,
    Instrument,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Trade,
    decode,
    encode,
    feed_kind,
)

BOOKS: Final = "Books"
FRAMES: Final = "Frames"


class Examination(msgspec.Struct, frozen=True):
    """All that a capture shows."""

    symbol: str
    """The venue's name of the instrument; empty: the capture has no list with it."""
    findings: tuple[Finding, ...]
    summary: Summary
    first_ts: int | None
    """Of the first and of the last line, ns since the epoch."""
    last_ts: int | None
    events: int
    """How many events show data of the instrument: neither gaps nor states."""

    def count(self, verdict: Verdict) -> int:
        """Return how many rows have this verdict."""
        return sum(one.verdict is verdict for one in self.findings)


def examine(venue: Venue, lines: Iterable[bytes], instrument: str, *, kinds: Sequence[str], timeframes: Sequence[str]) -> Examination:
    """Return what the capture shows of one instrument. `lines` are read more than once: they are no iterator.

    `kinds`: those that were subscribed, without candles; what the venue does not have is left out. Raises what `normalize` raises.
    """
    connections = ConnectionEvidence(venue)
    listed: Instrument | None = None
    for line in read(lines)[1]:
        connections.add(line)
        if listed is None and line.d == "rest" and venue.instruments.match(line.u):
            listed = _listed(venue, line, instrument)
    wanted = (*kinds, *(f"{CANDLE}{one}" for one in timeframes))
    expected = [kind for kind in offered(venue, wanted) if listed is None or concerns(kind, listed)]
    subjects = _Subjects(venue, expected, timeframes)
    made = normalize(venue, lines, delta=True, candles=timeframes)
    for event in made:
        if event.instrument == instrument:
            subjects.add(decode(encode(event)))  # as a reader of the tape gets it: all numbers are decimals
    found = (*connections.findings(), *_of_frames(made.summary), *subjects.findings(), *_of_books(venue, made.summary))
    symbol = "" if listed is None else listed.symbol
    return Examination(symbol, found, made.summary, connections.first_ts, connections.last_ts, subjects.count)


def _listed(venue: Venue, line: CaptureLine, name: str) -> Instrument | None:
    """Return the instrument of this name in a captured list; None: it is not there, or the list cannot be read."""
    try:
        rows = venue.instruments.parse(line.body())
    except FRAME_ERRORS:
        return None
    return next((row for row in rows if isinstance(row, Instrument) and row.name == name), None)


class _Subjects:
    """Gives each event to all subjects that it concerns."""

    def __init__(self, venue: Venue, expected: Sequence[str], timeframes: Sequence[str]) -> None:
        """`expected`: the kinds of feeds of which something should come."""
        self._pace = PaceEvidence(expected)
        self._trades = TradeEvidence(venue)
        self._values = ValueEvidence()
        self._candles = {timeframe: CandleEvidence(venue, timeframe) for timeframe in timeframes}
        self._gaps: list[Gap] = []
        self.count = 0

    def add(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Trade():
                self._trades.trade(event)
                self._values.trade(event)
                for candles in self._candles.values():
                    candles.trade(event)
            case Quote():
                self._trades.quote(event)
            case Candle():
                self._candles[event.timeframe].candle(event)
            case Mark() | Funding() | OpenInterest():
                self._values.value(event)
            case Gap():
                self._gap(event)
            case _:
                pass
        is_measured = not isinstance(event, Gap | Status) and not (isinstance(event, Trade) and event.backfilled)
        if is_measured:
            self.count += 1
            self._pace.add(feed_kind(event), event.venue_ts, event.received_ts)

    def _gap(self, gap: Gap) -> None:
        self._gaps.append(gap)
        if gap.kind == "trade" and not gap.repaired:
            for candles in self._candles.values():
                candles.gap(gap.from_ts, gap.to_ts)

    def findings(self) -> Iterator[Finding]:
        """Yield the rows of all subjects."""
        yield from self._pace.findings()
        yield from self._trades.findings()
        for candles in self._candles.values():
            yield from candles.findings()
        yield from self._values.findings()
        for gap in self._gaps:
            missed = "unknown" if gap.missed is None else str(gap.missed)
            repaired = ", repaired" if gap.repaired else ""
            yield Finding("Gaps", f"{gap.kind}: {gap.cause}", f"{missed} missed in {(gap.to_ts - gap.from_ts) / 1e9:.3f} s{repaired}")


def _of_frames(summary: Summary) -> Iterator[Finding]:
    total, bad = summary.frames, sum(summary.unhandled.values())
    yield Finding(FRAMES, "understood", share(total - bad, total), "all", judge(total - bad, total))
    for first in summary.first_unhandled:
        yield Finding(FRAMES, f"not understood: {first.kind}", first.error, verdict=Verdict.BROKEN)
    for kind, count in summary.odd.items():
        yield Finding(FRAMES, f"left out as impossible: {kind}", f"{count} values")
    for name, count in summary.session.items():
        yield Finding(FRAMES, name, str(count), verdict=Verdict.BROKEN if name == "rejected" else Verdict.NOTED)
    yield Finding(FRAMES, "trades that came again", str(summary.duplicates))


def _of_books(venue: Venue, summary: Summary) -> Iterator[Finding]:
    proofs, rule = summary.proofs, venue.book
    yield Finding(BOOKS, "snapshots", str(proofs["snapshots"]))
    if rule.follows is not None:
        links, holes = proofs["links"], proofs["holes"]
        yield Finding(BOOKS, "updates that follow the one before", share(links, links + holes), rule.proof, judge(links, links + holes))
    good, bad = proofs["checksums_ok"], proofs["checksums_bad"]
    if rule.checksum is not None or good or bad:  # some venues had checksums once
        yield Finding(BOOKS, "checksums", f"{share(good, good + bad)} agree", "all", judge(good, good + bad))
    if rule.ordered:
        late = proofs["overtaken"]
        total = proofs["updates"] + proofs["snapshots"] + late
        yield Finding(BOOKS, "times in order", share(total - late, total), "all", judge(total - late, total))
    seen = proofs["snapshots"] + proofs["updates"]
    yield Finding(BOOKS, "crossed", f"{proofs['crossed']} times in {seen} changes", "never", judge(seen - proofs["crossed"], seen))
    for name in ("bridged", "refuted", "impossible", "jumps"):
        if proofs[name]:
            yield Finding(BOOKS, name, str(proofs[name]), verdict=Verdict.BROKEN if name == "refuted" else Verdict.NOTED)
