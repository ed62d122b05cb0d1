"""Follows the bells of one connection: which streams they name, and which streams get entries that no bell names. Pure.

A bell (`Keys.bell`) has one entry for each batch that wrote streams of its kind: their names. It is only a hint. It may be missing, late,
trimmed, made again, or name what has nothing; producers of an older version do not ring it. So all streams are swept as well (see
`bell_turns`), and a stream in which a sweep finds an entry that no bell named is waited for directly from then on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from typing import Final

from crosstape.bus.read.followed import ORIGIN, FollowedStream, RawEntries, parse_id

ANY: Final = b"*"
"""In the place of names: any stream of the bell may have got entries."""
FAR_BEHIND: Final = 256
"""A bell that has so many entries more than were read is not read on but looked up again: a sweep costs less. And from about 1,000 on, as
many as a bell keeps, older entries may have been trimmed unread."""
DIRECT: Final = 64
"""How many streams are waited for directly beside the bell at most. With more of them, all streams are."""
HEAL_S: Final = 60.0
"""A stream that the bell names is left to the bell when no entry has come unnamed for this time."""
RETRY_S: Final = 60.0
"""How long a bell that cannot be read, or is not worth it, is left alone."""
WINDOW: Final = 1_000
"""After so many answers with entries of bells it is decided whether they are worth it."""
WORTH: Final = 16
"""Bells are worth it if at least one in so many answers names a stream of ours. Each wakes us: for a few quiet streams among many busy ones
it is cheaper to wait for those streams."""


class Bell:
    """One bell, and up to where it was read."""

    __slots__ = ("exists", "id", "in_a_row", "key", "logged", "refused", "streams")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.id = b""
        """Id of its last entry that was read; empty: it is to be looked up."""
        self.exists = False
        """Whether it has rung. While it has not, its streams are waited for directly: see `Bells.direct`."""
        self.refused = False
        """Whether it cannot be read: the key is no stream, or forbidden."""
        self.in_a_row = 0
        """How many entries were read by answers that had as many as they could bring."""
        self.streams = 0
        """How many streams of the connection are its."""
        self.logged = False
        """Whether it was logged that it cannot be read."""


class Bells:
    """The bells of the streams of one connection."""

    def __init__(self, streams: Mapping[bytes, FollowedStream]) -> None:
        """`streams`: those of the connection, by key."""
        self.known: dict[bytes, Bell] = {}
        self.unnamed: set[bytes] = set()
        """Streams that got entries which no bell named: they are waited for directly."""
        self.on_trial = False
        """Whether the bells were not worth it before, and it is not known yet whether they are now."""
        self._streams = streams
        self._suspects: set[bytes] = set()
        self._is_complete = True  # the last answer brought all entries that the bells had
        self._retry_s = -math.inf
        self._answers = 0
        self._useful = 0

    def follow(self, stream: FollowedStream) -> None:
        """Follow the bell of this stream as well."""
        if stream.bell:
            self.known.setdefault(stream.bell, Bell(stream.bell)).streams += 1
        if stream.unnamed_s > -math.inf:
            self.unnamed.add(stream.key)

    def forget(self, stream: FollowedStream) -> None:
        """Forget a stream; with the last one of a bell, the bell."""
        self.unnamed.discard(stream.key)
        self._suspects.discard(stream.key)
        if stream.bell:
            bell = self.known[stream.bell]
            bell.streams -= 1
            if not bell.streams:
                del self.known[stream.bell]

    @property
    def usable(self) -> list[Bell]:
        """The bells that can be read."""
        return [bell for bell in self.known.values() if not bell.refused]

    def to_look_up(self, now_s: float) -> list[Bell]:
        """Returns the bells of which it is not known where they end; from time to time also those that could not be read."""
        if now_s < self._retry_s:
            return [bell for bell in self.usable if not bell.id]
        for bell in self.known.values():
            bell.refused = False
        return [bell for bell in self.known.values() if not bell.id]

    def rests(self, now_s: float) -> bool:
        """Whether the bells are left alone for now, because they were not worth it."""
        return self.on_trial and now_s < self._retry_s

    def lost(self) -> None:
        """Note that what the bells ring is not known from here on: look up where they end, then sweep."""
        for bell in self.known.values():
            bell.id = b""
        self._suspects.clear()

    def place(self, bell: Bell, last: bytes | None, now_s: float) -> None:
        """Note the id of a bell's last entry; empty: it has never rung; None: the key is no stream.

        A bell that was made again may have ids below the one that was read last: it is read from its first entry.
        """
        if last is None:
            self.refuse(bell, now_s)
            return
        bell.exists = bool(last)
        if not last or parse_id(last) < parse_id(bell.id):
            bell.id = ORIGIN
        elif not bell.id:
            bell.id = last

    def refuse(self, bell: Bell, now_s: float) -> None:
        """Note that a bell cannot be read."""
        bell.refused, bell.exists, bell.id, bell.in_a_row = True, False, b"", 0
        self._retry_s = now_s + RETRY_S

    def accept(self, answers: Mapping[bytes, RawEntries], count: int) -> set[bytes]:
        """Returns the streams that are named in the entries of the bells, of `count` each at most. Not all of them need be ours."""
        self._is_complete = True
        names: set[bytes] = set()
        for key, entries in answers.items():
            if (bell := self.known.get(key)) is None:
                continue  # its last stream was removed meanwhile
            bell.exists, bell.id = True, entries[-1][0]
            is_full = len(entries) >= count
            bell.in_a_row = bell.in_a_row + len(entries) if is_full else 0
            if bell.in_a_row >= FAR_BEHIND or len(entries) >= FAR_BEHIND:
                bell.id, bell.in_a_row = b"", 0
            self._is_complete = self._is_complete and bool(bell.id) and not is_full
            rung = set[bytes]().union(*(_names(fields) for _, fields in entries))
            names |= {stream.key for stream in self._streams.values() if stream.bell == key} if ANY in rung else rung
        return names

    def judge(self, found: Iterable[bytes], named: Set[bytes], now_s: float) -> None:
        """Note which streams had entries that no bell had named until then, and which the bells of the same answer name.

        A server may answer as soon as the stream has its entry, before the bell has the one of the same batch. So whether the bell names a
        stream is known only with the next answer. Where an answer did not bring all that the bells have, nothing can be said.
        """
        if not self._is_complete:
            self._suspects.clear()
            self._is_complete = True
            return
        for key in self._suspects:
            if key not in named:
                self.unnamed.add(key)
                self._streams[key].unnamed_s = now_s
        self._suspects = {key for key in found if key not in named}
        for key in self.unnamed & named:
            stream = self._streams[key]
            if now_s - stream.unnamed_s > HEAL_S:
                stream.unnamed_s = -math.inf
                self.unnamed.discard(key)

    def note_use(self, *, useful: bool, now_s: float) -> None:
        """Note an answer with entries of bells, and whether they name streams of ours."""
        self._answers += 1
        self._useful += useful
        if self._answers < WINDOW:
            return
        self.on_trial = self._useful * WORTH < self._answers
        if self.on_trial:
            self._retry_s = now_s + RETRY_S
        self._answers = self._useful = 0

    def direct(self) -> Set[bytes] | None:
        """Returns the streams to wait for beside the bells; None: all.

        Those of a bell that has never rung are among them. But if they are many, and another bell has rung, they are left to their bell and
        to the sweeps: most kinds of events are rare, and a kind that has none need not make the wait for the others dear.
        """
        direct: Set[bytes] = self.unnamed | self._suspects if self._suspects else self.unnamed
        silent = [bell for bell in self.known.values() if not bell.exists]
        if sum(bell.streams for bell in silent) > DIRECT:
            if len(silent) == len(self.known):
                return None
            silent = [bell for bell in silent if bell.refused]
        if silent:
            keys = {bell.key for bell in silent}
            direct = direct | {stream.key for stream in self._streams.values() if stream.bell in keys}
        return direct if len(direct) <= DIRECT else None


def _names(fields: Iterable[bytes]) -> list[bytes]:
    """Returns the names in an entry of a bell; none where it is not one."""
    parts = iter(fields)
    return next((names.split(b" ") for field, names in zip(parts, parts, strict=False) if field == b"s"), [])
