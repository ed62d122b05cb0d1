"""Distributes the streams of one server (in a cluster, of one slot) over connections.

One connection reads any number of streams while it can rely on a bell. Without one, it must wait for the streams themselves; then hundreds
of them are spread over several connections: each event ends a wait for `STREAMS` of them, not for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from crosstape.bus.read.bell import DIRECT
from crosstape.bus.read.followed import FollowedStream
from crosstape.bus.read.poller import STREAMS, Poller


class Connections:
    """The connections of a group of streams that one call can read together."""

    def __init__(self, connect: Callable[[], Poller]) -> None:
        """`connect` makes a poller."""
        self.pollers: list[Poller] = [connect()]
        self._connect = connect
        self._of: dict[bytes, Poller] = {}
        self._spread = False

    def add(self, stream: FollowedStream) -> Poller:
        """Read this stream as well. Returns the connection that does."""
        poller = self._with_room() if self._spread else self.pollers[0]
        self._of[stream.key] = poller
        poller.add(stream)
        return poller

    def remove(self, key: bytes) -> None:
        """Stop reading a stream. A connection without streams stays, for streams that are added next."""
        self._of.pop(key).remove(key)

    def rearrange(self) -> Sequence[Poller]:
        """Spread the streams over several connections, or bring them together again, if that is better by now.

        Returns the connections that had or have other streams. No entry is lost or repeated: a stream keeps its place.
        """
        first = self.pollers[0]
        if not self._spread:
            if len(first.streams) <= STREAMS or first.waits_for != len(first.streams):
                return ()
            self._spread = True
            touched = {first}
            for stream in list(first.streams.values())[STREAMS:]:
                touched.add(self._move(stream))
            return list(touched)
        waits_for = [poller.waits_for for poller in self.pollers]
        if None in waits_for or sum(filter(None, waits_for)) > DIRECT // 2:
            return ()
        self._spread = False
        touched = set(self.pollers)
        for poller in self.pollers[1:]:
            for stream in list(poller.streams.values()):
                self._move(stream)
        return list(touched)

    def _move(self, stream: FollowedStream) -> Poller:
        self.remove(stream.key)
        return self.add(stream)

    def _with_room(self) -> Poller:
        for poller in self.pollers:
            if len(poller.streams) < STREAMS:
                return poller
        self.pollers.append(self._connect())
        return self.pollers[-1]

    def __iter__(self) -> Iterator[Poller]:
        return iter(self.pollers)
