"""Decides which streams of a connection are read next, where a bell is waited for: a reader of many streams. Pure.

Each call reads the bells as well, at the same moment as the streams. The streams that they name are read in the next call. All streams are
swept every `SWEEP_S`: each one that was not read to its end since the sweep began is read. What is claimed to have been read (`progress`)
rests on sweeps alone, never on the bell.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Set
from itertools import islice
from typing import Final

from crosstape.bus.read.bell import Bells
from crosstape.bus.read.progress import ReadProgress
from crosstape.bus.read.turns import Question, Streams, is_readable

SWEEP_S: Final = 1.0
"""Time from the begin of one sweep to that of the next: how late an entry may be read that no bell names. Less than half of
`progress.LIMIT_S`, so that a stream does not count as behind while its bell is trusted; and see `FRESH_S` of the gateway."""
PART: Final = 512
"""Streams that one call reads at most: the server does nothing else meanwhile."""


class RungStreams:
    """Reads the streams that a bell names, and those that had more entries than one answer brings; sweeps all; else waits for the bells."""

    def __init__(self, streams: Streams, progress: ReadProgress[bytes], bells: Bells) -> None:
        self._streams = streams
        self._progress = progress
        self._bells = bells
        self._to_read: dict[bytes, None] = {}  # streams with entries, as far as is known
        self._swept: dict[bytes, None] = {}  # streams that were not read to their end since the sweep began
        self._sweeping = False
        self._began_s = -math.inf  # begin of the last sweep
        self._is_due = True  # the next one need not wait until its time
        self._covered: set[bytes] = set()  # streams that were read to their end since it is known where the bells are

    @property
    def has_more(self) -> bool:
        """Whether entries are known to be left on the server."""
        return bool(self._to_read)

    def begin(self) -> None:
        """Start, or start again: sweep all streams first."""
        self._to_read, self._swept, self._sweeping = {}, {}, False
        self.bells_were_looked_up()

    def bells_were_looked_up(self) -> None:
        """Note that what the bells rang until now may not have been read: sweep all streams, also behind a sweep that goes on."""
        self._is_due = True
        self._covered.clear()

    def question(self, now_s: float) -> Question:
        """Returns streams to read at once; if there are none, the bells to wait for, and the streams that they do not name."""
        direct = self._bells.direct()
        due = self._is_due or now_s >= self._began_s + SWEEP_S or self._progress.incomplete(self._started)
        if direct is None and self._to_read:
            due = True  # none of the others is waited for meanwhile
        if due and not self._sweeping:
            self._sweep(now_s)
        bells = self._bells.usable
        asked = dict.fromkeys(islice(self._swept, PART // 2 if self._to_read else PART))
        for key in self._to_read:
            if len(asked) >= PART:
                break
            asked[key] = None
        if asked:
            return Question([self._streams[key] for key in asked], bells)
        waited: Collection[bytes] = self._streams.keys() if direct is None else direct
        streams = [stream for key in waited if is_readable(stream := self._streams[key])]
        return Question(streams, bells, max(0.001, self._began_s + SWEEP_S - now_s))

    def note(self, question: Question, read: Mapping[bytes, int], count: int, rung: Collection[bytes] | None, now_s: float) -> None:
        """Note an answer. Streams and bells were read at the same moment, so a stream that is at its end has nothing that they name.

        A call that waited may bring only what ended its waiting: of the other streams nothing is known then.
        """
        streams, to_read, covered = self._streams, self._to_read, self._covered
        named = self._named(rung or ())
        found = [key for key in read if key in covered and key not in to_read] if read else []
        self._bells.judge(found, named, now_s)
        if rung is not None:
            self._bells.note_use(useful=bool(named), now_s=now_s)
            for key in named:
                to_read[key] = None
        asked: Collection[bytes] = read if question.wait_s else [stream.key for stream in question.streams]
        for key in asked:
            if key not in streams:
                continue
            to_read.pop(key, None)
            if read.get(key, 0) >= count:
                to_read[key] = None  # behind those that had no turn yet
                if key in self._swept:
                    self._swept[key] = self._swept.pop(key)
                continue
            self._swept.pop(key, None)
            covered.add(key)
        self._end_sweep()

    def forget(self, key: bytes) -> None:
        """Forget a stream."""
        self._to_read.pop(key, None)
        self._swept.pop(key, None)
        self._covered.discard(key)

    def _named(self, rung: Collection[bytes]) -> Set[bytes]:
        streams = self._streams
        return {key for key in rung if (stream := streams.get(key)) is not None and is_readable(stream)}

    def _sweep(self, now_s: float) -> None:
        self._swept = {key: None for key, stream in self._streams.items() if is_readable(stream)}
        self._to_read = {key: None for key in self._to_read if key in self._swept}
        self._began_s, self._is_due = now_s, False
        self._sweeping = True
        self._progress.asking(self._started)
        self._end_sweep()

    def _end_sweep(self) -> None:
        if self._sweeping and not self._swept:
            self._sweeping = False
            self._progress.answered(self._began_s)

    def _started(self, key: bytes) -> bool:
        return is_readable(self._streams[key])
