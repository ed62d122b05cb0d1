"""A stream of candles or bars: open ones, which are states, and closed ones, of which each counts, under one numbering."""

from __future__ import annotations

from typing import Final, cast

from crosstape.bus.publish.stream import Queue, Stream
from crosstape_schemas import Bar, Candle, Event, Keys, decode

CORRECTIONS: Final = b":corrections:late"
"""Behind the venue: the field of the last correction by another producer. All fields that end so are no last values."""


class CandleStream(Stream):
    """The candles or bars of one venue, instrument and timeframe.

    The last value is the candle that opened last. A candle that is published after a later one (a revision, or one out of the spool) is in
    the field `venue:late`, by which a producer finds what a server has lost.
    """

    __slots__ = ("_last_open_ts",)

    def __init__(self, event: Event, keys: Keys, max_length: int, queue: Queue) -> None:
        super().__init__(event, keys, max_length, queue)
        self._last_open_ts = 0

    def is_state(self, event: Event) -> bool:
        """See `Stream`."""
        return not cast("Candle | Bar", event).closed

    def lossless(self, entries: list[bytes]) -> list[bytes]:
        """See `Stream`."""
        return [entry for entry in entries if not self.is_state(decode(entry))]

    def replace_newest(self, event: Event) -> bool:
        """See `Stream`. Only an open candle is replaced: by another open one, or by a closed one, unless that is of before."""
        if not self.pending or not self.is_state(last := self.pending[-1]):
            return False
        if not self.is_state(event) and cast("Candle | Bar", event).open_ts < cast("Candle | Bar", last).open_ts:
            return False
        self.pending[-1] = event
        return True

    def conflate(self) -> int:
        """See `Stream`. All closed candles stay, and the newest open one."""
        before = len(self.pending)
        newest = max((at for at, event in enumerate(self.pending) if self.is_state(event)), default=-1)
        self.pending = [event for at, event in enumerate(self.pending) if at == newest or not self.is_state(event)]
        return before - len(self.pending)

    def remove_lossless(self) -> list[Event]:
        """See `Stream`. Open candles stay."""
        removed = [event for event in self.pending if not self.is_state(event)]
        self.pending = [event for event in self.pending if self.is_state(event)]
        return removed

    def last_pairs(self, chunk: list[Event]) -> list[bytes]:
        """See `Stream`."""
        at, newest = 0, self._last_open_ts
        for index, event in enumerate(chunk, 1):
            if (opened := cast("Candle | Bar", event).open_ts) >= newest:
                at, newest = index, opened
        late = [self.field + b":late", b"%d" % len(chunk)] if at < len(chunk) else []
        if not at:
            return late
        self._last_open_ts, last = newest, chunk[at - 1]
        self.newest = {self.field: last} if self.is_state(last) else {}  # a closed candle that is lost is reported, and not written again
        return [*late, self.field, b"%d" % at]


class CorrectionStream(CandleStream):
    """Closed bars of before, with which a recorder corrects those of an aggregator, which goes on publishing on the same stream.

    None of them is the last value of the venue. The last one is in a field of its own: by it the recorder finds what a server has lost,
    and a reader that begins knows the numbering. The aggregator finds its own last entries in its own fields, which stay as they are.
    """

    __slots__ = ()

    def last_pairs(self, chunk: list[Event]) -> list[bytes]:
        """See `Stream`."""
        return [self.field + CORRECTIONS, b"%d" % len(chunk)]
