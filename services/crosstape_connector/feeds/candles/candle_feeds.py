"""The candles of one venue in one process: finds the sequence that a candle belongs to, and drops candles that cannot be right. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from crosstape_connector.feeds.candles.rows import find_fault
from crosstape_connector.feeds.candles.sequence import CandleSequence
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import CandleSnapshot, ConnectionBreak, Odd
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import CANDLE, Candle, Instrument, feed_kind

_NOTHING: Final[tuple[Effect, ...]] = ()


class CandleFeeds:
    """Applies candles to their sequences; `FeedHandler` calls it."""

    def __init__(self, venue: Venue, counts: Counter[str]) -> None:
        """`counts`: counts, as `unwanted`, outputs of instruments and timeframes without candles."""
        self.sequences: dict[FeedKey, CandleSequence] = {}
        self._venue = venue
        self._counts = counts

    def add_feed(self, instrument: Instrument, kind: str) -> CandleSequence:
        """Track the candles of one more instrument and timeframe, and return their feed. `kind`: `candle:1m`."""
        feed = FeedKey(kind, instrument.name)
        self.sequences[feed] = CandleSequence(
            instrument, kind.removeprefix(CANDLE), self._venue.candles, pages=self._venue.candle_source is not None
        )
        return self.sequences[feed]

    def remove_instrument(self, instrument: str) -> None:
        """Remove the feeds of this instrument."""
        for feed in [feed for feed in self.sequences if feed.instrument == instrument]:
            del self.sequences[feed]

    def seed(self, candles: Iterable[Candle]) -> None:
        """Continue after these candles, the newest on the tape, one a feed."""
        for candle in candles:
            if (sequence := self.sequences.get(FeedKey(feed_kind(candle), candle.instrument))) is not None:
                sequence.seed(candle)

    def newest_ts(self, candle: Candle) -> int:
        """Return `received_ts` of the newest data of this one's feed; 0 = none yet."""
        sequence = self.sequences.get(FeedKey(feed_kind(candle), candle.instrument))
        return 0 if sequence is None else sequence.received_ts

    def apply(self, candle: Candle) -> Sequence[Effect]:
        """Apply one candle of the stream."""
        sequence = self.sequences.get(FeedKey(feed_kind(candle), candle.instrument))
        if sequence is None:
            return self._unwanted()
        fault = find_fault(candle)
        return sequence.accept(candle) if fault is None else (fault,)

    def apply_snapshot(self, snapshot: CandleSnapshot) -> Sequence[Effect]:
        """Apply the past candles with which the venue answers a subscription."""
        return self._apply(snapshot, CandleSequence.apply_snapshot)

    def apply_page(self, snapshot: CandleSnapshot, complete_from: int, *, more: bool) -> Sequence[Effect]:
        """Apply past candles from REST; see `CandleSequence.apply_page`."""
        return self._apply(snapshot, lambda sequence, rows: sequence.apply_page(rows, complete_from, more=more))

    def apply_break(self, broken: ConnectionBreak) -> None:
        """Note that candles may be missing, where the numbers of the connection show that a frame is."""
        if not broken.reason:
            for name in broken.instruments:
                self.doubt(name, broken.received_ts)

    def doubt(self, instrument: str, now: int) -> None:
        """Note that candles of an instrument may be missing, because other data of its streams are."""
        for feed, sequence in self.sequences.items():
            if feed.instrument == instrument:
                sequence.doubt(now)

    def continue_after(self, left: Mapping[tuple[str, str], object], now: int) -> Sequence[Effect]:
        """Publish the candles that follow the newest of another replica. `left`: (kind, instrument) → the newest event on the tape."""
        effects: list[Effect] = []
        for feed, sequence in self.sequences.items():
            tape = left.get(feed)
            effects += sequence.continue_after(tape if isinstance(tape, Candle) else None, now)
        return effects

    def _apply(self, snapshot: CandleSnapshot, use: Callable[[CandleSequence, CandleSnapshot], Sequence[Effect]]) -> Sequence[Effect]:
        """Apply the rows of a snapshot that can be right, and return why the others cannot be."""
        sequence = self.sequences.get(FeedKey(f"{CANDLE}{snapshot.timeframe}", snapshot.instrument))
        if sequence is None:
            return self._unwanted()
        found = [(row, find_fault(row)) for row in snapshot.candles]
        odd: list[Odd] = [*snapshot.odd, *(fault for _, fault in found if fault is not None)]
        if len(odd) > len(snapshot.odd):
            snapshot = msgspec.structs.replace(snapshot, candles=tuple(row for row, fault in found if fault is None))
        return [*odd, *use(sequence, snapshot)]

    def _unwanted(self) -> Sequence[Effect]:
        self._counts["unwanted"] += 1
        return _NOTHING
