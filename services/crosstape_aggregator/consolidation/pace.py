"""Measures how long the feed of a leg is usually silent. Pure.

Events come in bursts, so the mean time between two events says little. (Binance's best prices of BTC-USDT come every 9 ms on average, but
an eighth of the time belongs to silences of more than 100 ms.) The age of a leg's newest event at a random moment says more. So this age is
sampled every few seconds, and the mean of the samples is the usual silence. The samples of a silence count only after it has ended.
Otherwise the silence of a dead feed would become the usual one.

Until there are enough samples, `seq` and epoch of an event give a first estimate: how many events came since the start of the connector.
"""

from __future__ import annotations

from typing import Final

ENOUGH: Final = 8
"""Samples needed to know the usual silence."""
KEPT: Final = 32
"""Number of newest samples that the mean is taken over, about."""
MOST: Final = 4.0
"""A silence counts as this multiple of the usual one at most. So a stall changes little, and a slower feed is learned in a few silences."""
BURSTS: Final = 5
"""First estimate: the usual silence is this multiple of the mean time between two events. In recorded feeds it is 2 to 20."""
FEWEST: Final = 20
"""Events since the start of the connector that the first estimate needs."""


class Pace:
    """The pace of one feed. Times are ns, by the connector's clock."""

    __slots__ = ("_heard_ts", "_mean", "_pending", "_pending_count", "_samples")

    def __init__(self) -> None:
        self._heard_ts = 0
        self._pending = 0  # sum of the samples of the present silence, ns
        self._pending_count = 0
        self._mean = 0.0
        self._samples = 0

    def sample(self, heard_ts: int, now: int) -> None:
        """Take a sample at `now`. `heard_ts`: `received_ts` of the newest event. Call it at regular intervals."""
        if heard_ts != self._heard_ts:
            self._end_silence()
            self._heard_ts = heard_ts
        self._pending += max(0, now - heard_ts)
        self._pending_count += 1

    def _end_silence(self) -> None:
        count = self._pending_count
        if not count or not self._heard_ts:
            return
        mean = self._pending / count
        if self._samples >= ENOUGH and self._mean:
            mean = min(mean, MOST * self._mean)  # a stall that is over must not make long silences usual
        self._samples += count
        weight = count / min(self._samples, max(KEPT, count))
        self._mean += (mean - self._mean) * weight
        self._pending = self._pending_count = 0

    def usual_ns(self, epoch: int, seq: int, received_ts: int) -> float | None:
        """Return the usual silence (ns); None: not known. The arguments are those of the newest event."""
        if self._samples >= ENOUGH:
            return self._mean
        if seq < FEWEST or received_ts <= epoch:
            return None
        return BURSTS * (received_ts - epoch) / seq
