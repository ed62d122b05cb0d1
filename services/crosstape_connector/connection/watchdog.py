"""Which feeds have stopped though their connection lives. Pure: it is shown the records of a connection now and then, with the time.

The rule. A market may be quiet, so silence alone says nothing; what a feed has been like does, and what its venue says when asked.

- A feed that spoke at least `KNOWN` times has a usual interval (`cadence`). It is stale when silent for longer than `USUAL` × that and
  than `stale_min_s`; in the first `stale_s` of its life also than `stale_s`, for a busy minute is not how a thin pair always is.
- A feed that did not speak since its connection subscribed it is stale after `stale_s`, or after what it was known to need if that is
  more. Trades, which come only when someone trades, get `PATIENCE` times as long, unless known. Where nothing at all has spoken on the
  connection, so does everything. A book that was fetched by REST has not spoken.
- A feed that spoke, but less than `KNOWN` times, is not stale by its silence: one snapshot and silence is how a thin pair begins. The venue
  is asked about it all the same, as if its limit were `stale_s`.
- What the venue proves to be complete is not silent: Coinbase's heartbeats name the newest trade, and the venue is asked when half of a
  feed's time is over, and again each time that long (a `Stall` of attempt 0): if REST has the book that the stream has brought, the market
  is quiet. Each such answer doubles the time until the next question, up to `TRUST` times.
- What REST, or another feed, has refuted (`doubts`) is stale at once, whatever its pace. All trust is gone with it, and what comes of
  subscribing it again is no proof: its limit is `stale_min_s` until its stream speaks.
- Nothing is judged while the connection itself is silent (`ConnectionLost` comes for that), nor what is refused or not yet confirmed.

A stale feed is subscribed anew, alone: at once, then after twice the limit, four times, and so on while it stays silent. When that has not
helped, a new connection may. One of whose feeds all are stale is hopeless, and ends. Where others live it is `futile` to go on, and it is
replaced without a hole, at most once per attempt, and after ever more of them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from crosstape_connector.connection.cadence import KNOWN, Cadence
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_schemas import FeedState

USUAL: Final = 3.0
PATIENCE: Final = 4.0
TRUST: Final = 8
ATTEMPTS: Final = 2
"""After so many, subscribing anew has not helped: the first was in vain."""


class Stall(msgspec.Struct, frozen=True):
    """A feed that has stopped, or may have."""

    feed: FeedKey
    reason: str
    attempt: int
    """0: ask the venue whether it is quiet; 1: it has just been found out; above: the attempt before did not help."""


class _Watch:
    """What is known of one feed, and the silence that it is in."""

    __slots__ = ("attempts", "cadence", "limit_s", "looked_ts", "proofs", "proven_ts", "question_s", "renewals", "retry_s", "since_ts")

    def __init__(self) -> None:
        self.cadence = Cadence()
        self.looked_ts = 0
        self.since_ts = 0  # what all below is about: the silence since then
        self.limit_s = 0.0
        self.attempts = 0
        self.retry_s = 0.0
        self.question_s = 0.0  # the silence at which the venue was last asked about it
        self.proven_ts = 0
        self.proofs = 0  # times in a row that the venue, asked, proved to be quiet
        self.renewals = 0  # connections that were given up for it since it last spoke

    def begin(self, record: FeedRecord) -> None:
        """Another silence, if it spoke, was proven to be well, was refuted, or is on another connection."""
        if record.received_ts > max(self.since_ts, record.opened_ts):
            self.proofs = self.renewals = 0
        elif record.refuted_ts:
            self.proofs = 0
        elif record.proven_ts > self.proven_ts and self.question_s:
            self.proofs += 1
        self.proven_ts = record.proven_ts
        since = _since(record)
        if self.since_ts != since:
            self.since_ts, self.attempts, self.retry_s, self.question_s = since, 0, 0.0, 0.0

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set; see `FeedRecord.clock_set`."""
        self.looked_ts, self.since_ts = step.shifted(self.looked_ts), step.shifted(self.since_ts)
        self.proven_ts = step.shifted(self.proven_ts)
        self.cadence.clock_set(step)


class Watchdog:
    """Of one venue; what it learned of a feed outlives connections."""

    def __init__(self, *, stale_s: float, stale_min_s: float) -> None:
        self._stale_s = stale_s
        self._stale_min_s = stale_min_s
        self._known: dict[FeedKey, _Watch] = {}

    def find_stalls(self, records: Collection[FeedRecord], heard_ts: int, now: int) -> list[Stall]:
        """The feeds to be asked about, or called stale and subscribed anew, of a connection's records. `heard_ts`: of its newest frame."""
        spoken = any(record.received_ts > record.opened_ts for record in records)
        alive = (now - heard_ts) / 1e9 <= self._stale_min_s
        found: list[Stall] = []
        for record in records:
            feed = FeedKey(record.kind, record.instrument)
            watch = self._known.setdefault(feed, _Watch())
            most_s = watch.limit_s if watch.attempts else None
            watch.cadence.learn(record, now, (now - (watch.looked_ts or now)) / 1e9, alive=alive, most_s=most_s)
            watch.looked_ts = now
            watch.begin(record)
            if not alive or not record.confirmed or record.state is FeedState.DOWN:
                continue
            stall = self._judge(feed, record, watch, now, others_spoke=spoken)
            if stall is not None:
                found.append(stall)
        return found

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set, and the records' times with it: so are the times that are remembered here."""
        for watch in self._known.values():
            watch.clock_set(step)

    def forget(self, instrument: str) -> None:
        """It is not taken any more: its feeds, if it comes back, are new ones."""
        for feed in [feed for feed in self._known if feed.instrument == instrument]:
            del self._known[feed]

    def is_hopeless(self, records: Collection[FeedRecord]) -> bool:
        """Whether all feeds of a connection are stale, each after an attempt that did not help."""
        judged = [record for record in records if record.confirmed and record.state is not FeedState.DOWN]
        return bool(judged) and all(self._attempts(record) >= ATTEMPTS for record in judged)

    def find_futile(self, records: Collection[FeedRecord]) -> list[FeedKey]:
        """The feeds for which the connection is to be replaced, others living on it: told once, until another has been tried."""
        found: list[FeedKey] = []
        for record in records:
            feed = FeedKey(record.kind, record.instrument)
            if self._attempts(record) >= ATTEMPTS + self._known[feed].renewals:
                self._known[feed].renewals += 1
                found.append(feed)
        return found

    def _attempts(self, record: FeedRecord) -> int:
        """That were made in the silence that the feed is in now."""
        watch = self._known.get(FeedKey(record.kind, record.instrument))
        goes_on = watch is not None and watch.since_ts == _since(record)
        return watch.attempts if watch is not None and goes_on else 0

    def _judge(self, feed: FeedKey, record: FeedRecord, watch: _Watch, now: int, *, others_spoke: bool) -> Stall | None:
        silent_s = (now - watch.since_ts) / 1e9
        if record.refuted_ts:
            watch.limit_s = self._stale_min_s
            is_news = record.refuted_ts == watch.since_ts
            return self._stall(feed, watch, silent_s, record.reason, limit_s=0.0 if is_news else self._stale_min_s)
        trust = min(2**watch.proofs, TRUST)
        limit = self._limit(record, watch.cadence, others_spoke=others_spoke)
        reason = f"silent for {silent_s:.3g} s"
        if limit is not None:
            watch.limit_s = limit * trust
            usual = f", usually {watch.cadence.usual_s:.3g} s at most" if watch.cadence.count >= KNOWN else ""
            stall = self._stall(feed, watch, silent_s, reason + usual, limit_s=watch.limit_s)
            if stall is not None:
                watch.question_s = silent_s
                return stall
        patience_s = (self._stale_s if limit is None else limit) * trust
        if record.can_probe and silent_s > (watch.question_s + patience_s if watch.question_s else patience_s / 2):
            watch.question_s = silent_s
            return Stall(feed, reason, 0)
        return None

    def _stall(self, feed: FeedKey, watch: _Watch, silent_s: float, reason: str, *, limit_s: float) -> Stall | None:
        """The next attempt to have the feed back, if it is due; further apart each time."""
        if silent_s <= max(limit_s, watch.retry_s) and (limit_s or watch.attempts):
            return None
        watch.attempts += 1
        watch.retry_s = silent_s + watch.limit_s * 2**watch.attempts
        return Stall(feed, reason, watch.attempts)

    def _limit(self, record: FeedRecord, cadence: Cadence, *, others_spoke: bool) -> float | None:
        """Seconds of silence that are too many; None: not to be judged."""
        known = cadence.count >= KNOWN
        young_s = self._stale_s if cadence.observed_s < self._stale_s else 0.0
        learned = max(self._stale_min_s, USUAL * cadence.usual_s, young_s) if known else 0.0
        if record.received_ts > record.opened_ts:
            return learned if known else None
        impatient = others_spoke and (record.kind != "trade" or known)
        return max(learned, self._stale_s if impatient else PATIENCE * self._stale_s)


def _since(record: FeedRecord) -> int:
    """Since when the silence lasts that a feed is in."""
    return max(record.received_ts, record.opened_ts, record.proven_ts, record.refuted_ts)
