"""Which feeds have stopped though their connection lives. Pure: it is shown the records of a connection now and then, with the time.

The rule. A market may be quiet, so silence alone says nothing; what a feed has been like does.

- A feed that spoke at least `KNOWN` times has a usual interval (a running mean) and a longest silence (forgotten with a half-life of
  ten minutes). It is stale when silent for longer than all of `stale_min_s`, `USUAL` × its usual interval and `LONGEST` × its longest
  silence. So a liquid feed is found out in seconds, and a thin pair that is silent for 43 s now and then is left alone.
- A feed that did not speak since its connection subscribed it is stale after `stale_s`, or after what it was known to need if that is
  more. Trades, which come only when someone trades, get `PATIENCE` times as long, unless known. Where nothing at all has spoken on the
  connection, so does everything.
- A feed that spoke, but less than `KNOWN` times, is not judged: one snapshot and silence is how a thin pair begins.
- Nothing is judged while the connection itself is silent (`ConnectionLost` comes for that), nor what is refused or not yet confirmed.

A stale feed is subscribed anew, alone: at once, then after twice the limit, four times, and so on while it stays silent. A connection of
whose feeds all are stale, each after an attempt, is hopeless: a new one may help.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from crosstape_connector.feeds import FeedRecord
from crosstape_connector.plan import Feed
from crosstape_schemas import FeedState

KNOWN: Final = 20
USUAL: Final = 30.0
LONGEST: Final = 2.0
PATIENCE: Final = 4.0
HALF_LIFE_S: Final = 600.0
WEIGHT: Final = 1 / 32
"""Of one event in the running mean."""


class Stall(msgspec.Struct, frozen=True):
    """A feed that has stopped."""

    feed: Feed
    reason: str
    attempt: int
    """1: it has just been found out; above: the attempt before did not help."""


class _Cadence:
    """What has been learned of one feed."""

    __slots__ = ("attempts", "count", "longest_s", "quiet_s", "received_ts", "retry_s", "since_ts", "usual_s")

    def __init__(self) -> None:
        self.count = 0
        self.received_ts = 0
        self.usual_s = 0.0
        self.longest_s = 0.0
        self.quiet_s = 0.0  # the silence that goes on
        self.since_ts = 0  # what the attempts below are about: the silence since then
        self.attempts = 0
        self.retry_s = 0.0

    def learn(self, record: FeedRecord, now: int, elapsed_s: float) -> None:
        """From two readings of a record: how many came in the time between the newest of each."""
        if record.count > self.count:
            if self.received_ts:
                number = record.count - self.count
                mean = max(0.0, (record.received_ts - self.received_ts) / 1e9 / number)
                if record.opened_ts <= self.received_ts:  # a time without a connection says nothing of the feed
                    self.usual_s += (mean - self.usual_s) * (1.0 if self.usual_s == 0.0 else min(1.0, number * WEIGHT))
                    self.longest_s = max(self.longest_s, self.quiet_s)
            self.count, self.received_ts, self.quiet_s = record.count, record.received_ts, 0.0
        if self.received_ts:
            self.quiet_s = max(self.quiet_s, (now - self.received_ts) / 1e9)
        self.longest_s *= 0.5 ** (elapsed_s / HALF_LIFE_S)


class Watchdog:
    """Of one venue; what it learned of a feed outlives connections."""

    def __init__(self, *, stale_s: float, stale_min_s: float) -> None:
        self._stale_s = stale_s
        self._stale_min_s = stale_min_s
        self._known: dict[Feed, _Cadence] = {}
        self._looked: dict[Feed, int] = {}

    def look(self, records: Collection[FeedRecord], heard_ts: int, now: int) -> list[Stall]:
        """The feeds to be called stale and subscribed anew, of one connection's records. `heard_ts`: of its newest frame of any kind."""
        spoken = any(record.received_ts > record.opened_ts for record in records)
        alive = (now - heard_ts) / 1e9 <= self._stale_min_s
        found: list[Stall] = []
        for record in records:
            feed = Feed(record.kind, record.instrument)
            cadence = self._known.setdefault(feed, _Cadence())
            cadence.learn(record, now, (now - self._looked.get(feed, now)) / 1e9)
            self._looked[feed] = now
            if not alive or not record.confirmed or record.state is FeedState.DOWN:
                continue
            limit = self._limit(record, cadence, others_spoke=spoken)
            since = max(record.received_ts, record.opened_ts)
            if cadence.since_ts != since:
                cadence.since_ts, cadence.attempts, cadence.retry_s = since, 0, 0.0
            silent_s = (now - since) / 1e9
            if limit is None or silent_s <= max(limit, cadence.retry_s):
                continue
            cadence.attempts += 1
            cadence.retry_s = silent_s + limit * 2**cadence.attempts
            usual = f", usually {cadence.usual_s:.3g} s apart" if cadence.count >= KNOWN else ""
            found.append(Stall(feed, f"silent for {silent_s:.3g} s{usual}", cadence.attempts))
        return found

    def forget(self, instrument: str) -> None:
        """It is not taken any more: its feeds, if it comes back, are new ones."""
        for table in (self._known, self._looked):
            for feed in [feed for feed in table if feed.instrument == instrument]:
                del table[feed]

    def hopeless(self, records: Collection[FeedRecord]) -> bool:
        """Whether all feeds of a connection are stale, each after an attempt that did not help."""
        judged = [record for record in records if record.confirmed and record.state is not FeedState.DOWN]
        return bool(judged) and all(
            (cadence := self._known.get(Feed(record.kind, record.instrument))) is not None
            and cadence.attempts >= 2
            and cadence.since_ts == max(record.received_ts, record.opened_ts)
            for record in judged
        )

    def _limit(self, record: FeedRecord, cadence: _Cadence, *, others_spoke: bool) -> float | None:
        """Seconds of silence that are too many; None: not to be judged."""
        known = cadence.count >= KNOWN
        learned = max(self._stale_min_s, USUAL * cadence.usual_s, LONGEST * cadence.longest_s) if known else 0.0
        if record.received_ts > record.opened_ts:
            return learned if known else None
        impatient = others_spoke and (record.kind != "trade" or known)
        return max(learned, self._stale_s if impatient else PATIENCE * self._stale_s)
