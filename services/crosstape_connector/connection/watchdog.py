"""Finds feeds that have stopped though their connection is open. Pure: `upkeep` passes it the records of a connection now and then.

Others act on what it finds. `upkeep` marks a feed stale and subscribes it again, or asks for a new connection. For a `Stall` of attempt 0,
`rest/probes` asks the venue whether the instrument trades, and `feeds/books/probe` compares the book with one by REST.

A market may be quiet, so silence alone proves nothing. The history of the feed and the answers of the venue do. The rules:

- A feed that received at least `KNOWN` events has a usual interval (see `cadence`). It is stale when it is silent for longer than `USUAL` ×
  that interval and than `stale_min_s`; in its first `stale_s`, also than `stale_s`, since a busy minute is not typical of a thin pair.
- A feed that received nothing since its connection subscribed it is stale after `stale_s`, or after its usual limit if that is longer.
  Trades and candles come only when someone trades, and some figures once a minute, so without a usual interval they get `PATIENCE` times as
  long; so does every feed while none at all received data on the connection. A snapshot by REST does not count as received data.
- Liquidations may not happen for hours, and nothing can be asked about them: their silence is not judged.
- A feed that received fewer than `KNOWN` events is never stale because of silence: a thin pair begins with one snapshot and then silence.
  We ask the venue about it all the same, as if its limit were `stale_s`.
- A feed is not silent if the venue confirms that nothing happened. Coinbase's heartbeats name the newest trade. Other venues are asked
  by REST halfway to the limit (a `Stall` of attempt 0), and again after each further limit. If REST has the same book as the stream, the
  market is quiet. Each such answer doubles the time until the next question, up to `TRUST` times.
- A feed is stale at once if REST or another feed shows that its stream misses changes. Earlier confirmations no longer count, and the data
  that follow a new subscription are no proof: its limit is `stale_min_s` until its stream brings data.
- No feed is judged while the connection itself is silent (that ends with `ConnectionLost`), or while it is refused or not yet confirmed.

A stale feed is subscribed again, alone: at once, then after twice the limit, four times the limit, and so on while it is silent. If that
does not help, a new connection may help. A connection whose feeds are all stale is hopeless, and ends. If other feeds on it are live, it is
replaced without a gap, at most once per attempt, and after more attempts each time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from crosstape_connector.connection.cadence import KNOWN, Cadence
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.feed_state import RARE, FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_schemas import CANDLE, FeedState

USUAL: Final = 3.0
"""A feed is stale after this many usual intervals of silence."""
PATIENCE: Final = 4.0
"""Factor on the limit of a feed for which long silences are normal."""
SLOW: Final = frozenset({"trade", "funding", "open_interest"})
"""Kinds, besides candles, whose first event may come long after the others of its connection: when someone trades, or once a minute."""
TRUST: Final = 8
"""Largest factor by which confirmations lengthen the time until the next question."""
VAIN_ATTEMPTS: Final = 2
"""From this attempt on, subscribing again has not helped: the feed was silent after the attempts before."""


class Stall(msgspec.Struct, frozen=True):
    """A feed that has stopped, or may have stopped."""

    feed: FeedKey
    reason: str
    attempt: int
    """0: ask the venue whether the market is quiet; 1: first attempt to revive the feed; above 1: earlier attempts did not help."""


class _Watch:
    """The intervals of one feed, and its current silence."""

    __slots__ = ("attempts", "cadence", "limit_s", "looked_ts", "proofs", "proven_ts", "question_s", "renewals", "retry_s", "since_ts")

    def __init__(self) -> None:
        self.cadence = Cadence()
        self.looked_ts = 0
        self.since_ts = 0  # start of the current silence; all fields below are about it
        self.limit_s = 0.0
        self.attempts = 0
        self.retry_s = 0.0
        self.question_s = 0.0  # length of the silence when the venue was last asked
        self.proven_ts = 0
        self.proofs = 0  # times in a row that the venue confirmed that the market is quiet
        self.renewals = 0  # connections replaced because of this feed since it last received data

    def update(self, record: FeedRecord) -> None:
        """Start a new silence if the feed received data, was confirmed or refuted, or is on another connection."""
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
    """The watchdog of one venue. The intervals that it learns outlive connections."""

    def __init__(self, *, stale_s: float, stale_min_s: float) -> None:
        self._stale_s = stale_s
        self._stale_min_s = stale_min_s
        self._known: dict[FeedKey, _Watch] = {}

    def find_stalls(self, records: Collection[FeedRecord], heard_ts: int, now: int) -> list[Stall]:
        """Return the feeds of a connection to ask the venue about, or to subscribe again. `heard_ts`: time of its newest frame."""
        any_received = any(record.received_ts > record.opened_ts for record in records)
        alive = (now - heard_ts) / 1e9 <= self._stale_min_s
        found: list[Stall] = []
        for record in records:
            feed = FeedKey(record.kind, record.instrument)
            watch = self._known.setdefault(feed, _Watch())
            most_s = watch.limit_s if watch.attempts else None
            watch.cadence.learn(record, now, (now - (watch.looked_ts or now)) / 1e9, alive=alive, most_s=most_s)
            watch.looked_ts = now
            watch.update(record)
            if not alive or not record.confirmed or record.state is FeedState.DOWN or record.kind in RARE:
                continue
            stall = self._judge(feed, record, watch, now, any_received=any_received)
            if stall is not None:
                found.append(stall)
        return found

    def clock_set(self, step: ClockStep) -> None:
        """Shift all times by a step of our clock; the records' times are shifted, too."""
        for watch in self._known.values():
            watch.clock_set(step)

    def forget(self, instrument: str) -> None:
        """Forget the feeds of a removed instrument."""
        for feed in [feed for feed in self._known if feed.instrument == instrument]:
            del self._known[feed]

    def is_hopeless(self, records: Collection[FeedRecord]) -> bool:
        """Whether all feeds of a connection are stale, each after an attempt that did not help."""
        judged = [one for one in records if one.confirmed and one.state is not FeedState.DOWN and one.kind not in RARE]
        return bool(judged) and all(self._attempts(record) >= VAIN_ATTEMPTS for record in judged)

    def find_futile(self, records: Collection[FeedRecord]) -> list[FeedKey]:
        """Return the feeds for which to replace the connection, though its other feeds are live. Each feed: once per new connection."""
        found: list[FeedKey] = []
        for record in records:
            feed = FeedKey(record.kind, record.instrument)
            if self._attempts(record) >= VAIN_ATTEMPTS + self._known[feed].renewals:
                self._known[feed].renewals += 1
                found.append(feed)
        return found

    def _attempts(self, record: FeedRecord) -> int:
        """Return the number of attempts in the current silence of this feed."""
        watch = self._known.get(FeedKey(record.kind, record.instrument))
        goes_on = watch is not None and watch.since_ts == _since(record)
        return watch.attempts if watch is not None and goes_on else 0

    def _judge(self, feed: FeedKey, record: FeedRecord, watch: _Watch, now: int, *, any_received: bool) -> Stall | None:
        silent_s = (now - watch.since_ts) / 1e9
        if record.refuted_ts:
            watch.limit_s = self._stale_min_s
            is_news = record.refuted_ts == watch.since_ts
            return self._stall(feed, watch, silent_s, record.reason, limit_s=0.0 if is_news else self._stale_min_s)
        trust = min(2**watch.proofs, TRUST)
        limit = self._limit(record, watch.cadence, any_received=any_received)
        reason = f"silent for {silent_s:.3g} s" if record.received_ts > record.opened_ts else _NO_DATA.format(silent_s)
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
        """Return the next attempt to revive the feed, if it is due. Attempts get further apart."""
        if silent_s <= max(limit_s, watch.retry_s) and (limit_s or watch.attempts):
            return None
        watch.attempts += 1
        watch.retry_s = silent_s + watch.limit_s * 2**watch.attempts
        return Stall(feed, reason, watch.attempts)

    def _limit(self, record: FeedRecord, cadence: Cadence, *, any_received: bool) -> float | None:
        """Return the seconds of silence after which the feed is stale; None: it cannot be judged."""
        known = cadence.count >= KNOWN
        young_s = self._stale_s if cadence.observed_s < self._stale_s else 0.0
        learned = max(self._stale_min_s, USUAL * cadence.usual_s, young_s) if known else 0.0
        if record.received_ts > record.opened_ts:
            return learned if known else None
        may_be_slow = record.kind in SLOW or record.kind.startswith(CANDLE)
        impatient = any_received and (not may_be_slow or known)
        return max(learned, self._stale_s if impatient else PATIENCE * self._stale_s)


_NO_DATA: Final = "no data since it was subscribed {:.3g} s ago"
"""The reason of a feed that the venue has acknowledged but not sent: it does not know the symbol, or sends it elsewhere."""


def _since(record: FeedRecord) -> int:
    """Return when the current silence of a feed began, ns since the epoch."""
    return max(record.received_ts, record.opened_ts, record.proven_ts, record.refuted_ts)
