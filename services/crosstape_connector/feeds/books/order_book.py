"""One instrument's book, and the rules by which it is kept correct and proven. Pure: it makes no events (see `book_feeds`).

A venue whose snapshots come by REST, step by step as Binance documents it (the numbers are cited below):

1. Subscribe the updates.
2. Buffer the updates; note the first number of the first one.
3. Get a snapshot by REST.
4. If the snapshot is older than the first buffered update, get another one.
5. Drop the buffered updates that are in the snapshot already. The first that is left must span the snapshot's number.
6. The book is the snapshot.
7. Apply the buffered updates, then all that follow. An update that is in the book already is skipped; one that begins after the book's
   number shows a gap: start again at 2. A size is absolute, zero removes the level.

A venue whose stream begins with a snapshot sends it after 1 and needs no buffer: the book is the snapshot (6), then all updates are
applied (7), the book is cut to the subscribed depth where the venue leaves that to us, and checked by the checksum where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.feeds.books.checks import BookChecks, Fault, Outcome
from crosstape_connector.feeds.books.ladder import ImpossibleLevelError
from crosstape_connector.feeds.books.levels import BookLevels, Top
from crosstape_connector.feeds.books.numbering import Numbering, gap_before
from crosstape_connector.feeds.books.state import BookState, Request
from crosstape_connector.feeds.books.update_buffer import UpdateBuffer
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.spec import BookRule, Verdict
from crosstape_schemas import GapCause, Level

PATIENCE_NS: Final = 10_000_000_000
"""How long updates may come without the snapshot that the stream begins with: then its frame was lost, or could not be used."""
SETTLED: Final = 100
"""Updates after which a new book counts as healthy, and its next break as the first."""
GRACE_NS: Final = 1_000_000_000
"""How long the stream may take to bring a change that REST has already."""

OLDER: Final = "the snapshot is older than the stream"
PROBE: Final = "silent"
"""Reason of a liveness probe: a snapshot of a healthy but silent book. It repairs nothing, and is not counted as an attempt."""

WAITING, LIVE = BookState.WAITING, BookState.LIVE  # a global is found sooner than a member of its class
APPLY, SKIP = Verdict.APPLY, Verdict.SKIP
IDLE: Final = Request.NONE
APPLIED: Final = Outcome.APPLIED


class OrderBook:
    """Builds one instrument's book from a snapshot and the updates after it, and checks each step; a failed check breaks it (`fault`).

    A REST snapshot proves that a silent stream missed nothing only if its number is the one that the *stream* reached. A snapshot with a
    later number refutes the stream, if the stream does not bring that change within `GRACE_NS`. The snapshot then becomes the book, but
    the book stays `refuted` until an update of the stream is applied: no later snapshot proves anything of the stream.
    """

    __slots__ = (
        "_ahead_ts", "_before", "_bounds", "_buffer", "_numbers", "_request", "_rule", "_since", "_state", "_unproven_ts", "applied_ts",
        "attempt", "checks", "differs", "fault", "levels", "newer", "refuted", "sequence", "wanted",
    )  # fmt: skip

    def __init__(self, rule: BookRule, depth: int) -> None:
        """`depth`: levels a side that were subscribed, for a venue that truncates."""
        self._rule = rule
        self.checks = BookChecks()
        self.levels = BookLevels(rule, depth, self.checks)
        self.fault = Fault(GapCause.UNKNOWN, "")
        """Why the book broke last."""
        self.attempt = 0
        """Number of the newest snapshot request, from 1 since the book was last healthy."""
        self.applied_ts = 0
        """`received_ts` of the newest frame in the book; 0 = none yet."""
        self.refuted = False
        """REST showed a change that the stream did not bring, and no update of the stream was applied since."""
        self.differs = False
        """Whether the newest snapshot had other levels than the book that it replaced."""
        self._since = 0  # updates applied since the newest snapshot request
        self._before: Top | None = None  # the best levels of the book before
        self._numbers = Numbering()
        self._buffer = UpdateBuffer()
        self._clear()

    def _clear(self) -> None:
        self._state = WAITING
        self._request = IDLE
        self.levels.clear()
        self.wanted: str | None = None
        """Reason of the snapshot that is needed and not requested yet; None: none is. `mark_requested` clears it."""
        self.sequence: int | None = None
        """The venue's number of the newest change in the book."""
        self.newer: BookSnapshot | None = None
        """A REST snapshot with changes that the stream has not brought yet; see `overdue`."""
        self._ahead_ts = 0  # since when updates are older than the snapshot that they must be linked to
        self._bounds: tuple[Decimal, Decimal] | None = None  # a partial snapshot says nothing of prices beyond these
        self._unproven_ts = 0  # since when updates are dropped for want of a snapshot
        self._buffer.clear()

    def reset(self) -> None:
        """Forget book and buffer: the connection is gone."""
        self._keep_top()
        self._numbers.end_stream(self.sequence)
        self._clear()

    def _keep_top(self) -> None:
        if self.live:
            self._before = self.levels.top()

    @property
    def live(self) -> bool:
        """Whether there is a book, correct as far as the venue lets us prove it."""
        return self._state is not WAITING

    @property
    def reached(self) -> int | None:
        """The number up to which the stream has brought every change."""
        return self._numbers.reached

    @property
    def followed(self) -> bool:
        """Whether any update was applied since the snapshot was requested."""
        return self._since > 0

    def mark_requested(self) -> None:
        """Note that the snapshot which was `wanted` is requested."""
        if self.wanted != PROBE:
            self.attempt = 1 if self._since >= SETTLED else self.attempt + 1
            self._since = 0
        self._unproven_ts = 0
        self._request = Request.PROBE if self.wanted == PROBE or self._request is Request.PROBE_AGAIN else Request.SNAPSHOT
        self.wanted = None

    def connection_changed(self) -> None:
        """Note that another connection takes over: its frames may be older than those of the one before."""
        if self._rule.ordered:
            self._numbers.tail_ts = None

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times after our clock was set."""
        self.applied_ts = step.shifted(self.applied_ts)
        self._ahead_ts, self._unproven_ts = step.shifted(self._ahead_ts), step.shifted(self._unproven_ts)
        self._numbers.clock_set(step)
        if self.newer is not None:
            self.newer = msgspec.structs.replace(self.newer, received_ts=step.shifted(self.newer.received_ts))

    def start(self) -> None:
        """Want the first REST snapshot (step 3): the subscription is acknowledged, though no update has come yet."""
        if self._rule.snapshot == "rest" and not self.live and self._request is IDLE:
            self.wanted = "start"

    def start_probe(self) -> None:
        """Want a REST snapshot that shows whether anything has happened while the stream is silent, if the book is healthy."""
        may_ask = self._request is IDLE and self.wanted is None and self.newer is None
        if self._rule.snapshot == "rest" and self.live and may_ask and not self.refuted:
            self.wanted = PROBE

    def apply_update(self, update: BookUpdate) -> Outcome:
        """Apply one update of the stream (step 7), or buffer it (step 2)."""
        checks = self.checks
        checks.updates += 1
        rule, numbers = self._rule, self._numbers
        follows = rule.follows
        if follows is not None:
            tail, numbers.tail = numbers.tail, update.last
            if tail is None:
                numbers.open_stream(update)
            else:
                verdict = follows(update, tail)
                if verdict is APPLY:
                    checks.links += 1
                elif verdict is SKIP and not numbers.has_restarted(update):
                    numbers.tail = tail
                    checks.skipped += 1
                    return Outcome.NOTHING
                else:
                    return self._break_after_gap(update, tail, restarted=verdict is SKIP)
            if numbers.skipping_ts:
                numbers.skipping_ts = 0
        elif rule.ordered:
            tail_ts, venue_ts = numbers.tail_ts, update.venue_ts
            if tail_ts is not None and venue_ts is not None and venue_ts < tail_ts:
                numbers.tail_ts = venue_ts
                checks.overtaken += 1
                if self.live:
                    return self._break(GapCause.SEQUENCE, "an update came after a later one")
        numbers.tail_ts = update.venue_ts
        if self._state is not LIVE:
            if self._state is WAITING:
                return self._keep(update)
            if (outcome := self._bridge(update)) is not APPLIED:
                return outcome
        if self._request is not IDLE and self._is_awaiting and self._keep(update) is Outcome.BROKEN:
            self._request = IDLE  # the book itself is good: only its renewal must begin again
        return self._apply(update)

    def _break_after_gap(self, update: BookUpdate, tail: int, *, restarted: bool) -> Outcome:
        """Start again at step 2, with the update that showed the gap after the number `tail`."""
        numbers = self._numbers
        self.checks.holes += 1
        self._buffer.clear()
        numbers.tail_ts, numbers.skipping_ts = update.venue_ts, 0
        if not self.live:
            return self._keep(update)
        self._break(*gap_before(update, tail, restarted=restarted))
        if restarted:
            numbers.forget_past()
        self._keep(update)
        return Outcome.BROKEN

    def _bridge(self, update: BookUpdate) -> Outcome:
        """Link the first update to the REST snapshot that the book is (step 5, for a buffer that was empty). `APPLIED`: it does link."""
        verdict = self._bridges(update)
        self._ahead_ts = self._ahead_ts or update.received_ts
        is_behind = verdict is SKIP
        if is_behind and update.received_ts - self._ahead_ts <= PATIENCE_NS:
            self.checks.skipped += 1
            return Outcome.NOTHING
        if verdict is not APPLY:
            self.checks.holes += 1
            reason = "the stream does not reach the snapshot" if is_behind else "the stream begins after the snapshot"
            self._break(GapCause.SEQUENCE, reason)
            self._keep(update)
            return Outcome.BROKEN
        self._state = LIVE
        self.checks.bridged += 1
        return APPLIED

    def apply_snapshot(self, snapshot: BookSnapshot) -> Outcome:
        """Begin the book from a snapshot and the updates that were buffered since it was requested; or judge the answer to a probe."""
        by_rest = self._rule.snapshot == "rest"
        if by_rest and self.live and not self._is_awaiting:
            self.checks.unused += 1
            return Outcome.NOTHING
        if self._request is Request.PROBE and self.live:
            return self._judge_probe(snapshot)
        tail_ts, venue_ts = self._numbers.tail_ts, snapshot.venue_ts
        if self._rule.ordered and tail_ts is not None and venue_ts is not None and venue_ts < tail_ts:
            self.checks.overtaken += 1
            self._numbers.tail_ts = None  # requested once more, and not again and again because a clock was set back
            return self._break(GapCause.SEQUENCE, "a snapshot came after a later update")
        buffered: list[BookUpdate] = []
        if by_rest:
            self.sequence, before = snapshot.sequence, self.sequence
            buffered = [update for update in self._buffer if self._bridges(update) is not SKIP]  # step 5
            reaches = self._bridges(buffered[0]) is not Verdict.BREAK if buffered else not self._numbers.is_old(snapshot, before)
            if not reaches:  # step 4
                self.sequence = before
                self.checks.refused += 1
                self._request = IDLE
                self.wanted = OLDER
                return Outcome.NOTHING
        return self._begin(snapshot, buffered)

    def _judge_probe(self, snapshot: BookSnapshot) -> Outcome:
        """Compare the answer to a probe with what the stream has brought. `QUIET`: nothing happened; see the class for `newer`."""
        if self._buffer:  # the stream brought an update meanwhile, so it is not silent
            self._request = IDLE
            self._buffer.clear()
            return Outcome.NOTHING
        number, reached = snapshot.sequence, self.reached
        if number is not None and reached is not None and number < reached:
            self.checks.refused += 1
            self._request = Request.PROBE_AGAIN
            self.wanted = OLDER
            return Outcome.NOTHING
        self._request = IDLE
        if number == reached and self.levels.has_top_of(snapshot):
            self.checks.quiet += 1
            return Outcome.QUIET
        self.newer = snapshot
        return Outcome.NOTHING

    def overdue(self, now: int) -> BookSnapshot | None:
        """Return the REST snapshot whose changes the stream did not bring in time: it refutes the stream. None: none, or not yet."""
        newer = self.newer
        if newer is None:
            return None
        if self.applied_ts > newer.received_ts or not self.live:
            self.newer = None  # the stream has brought an update since
            return None
        is_ahead = newer.sequence is None or newer.sequence != self.reached  # else it contradicts what the stream has brought already
        if is_ahead and now - newer.received_ts < GRACE_NS:
            return None
        self.newer = None
        return newer

    def refute(self, snapshot: BookSnapshot | None = None) -> Outcome:
        """Note that the stream does not bring what happens. A newer snapshot becomes the book, but proves nothing of what follows it."""
        self.refuted = True
        self.checks.refuted += 1
        if snapshot is None:
            return Outcome.NOTHING
        self._numbers.tail = None  # what the stream left out is reported: it must go on from the snapshot
        return self._begin(snapshot, [])

    def _begin(self, snapshot: BookSnapshot, buffered: list[BookUpdate]) -> Outcome:
        """Make the book from a snapshot (step 6) and apply the updates after it (step 7)."""
        levels, was_live = self.levels, self.live
        old_bids, old_asks = levels.bids, levels.asks
        fault = levels.replace(snapshot)
        if fault is not None:
            return self._break(fault.cause, fault.reason)
        self.checks.snapshots += 1
        self.sequence = snapshot.sequence
        has_bounds = snapshot.partial and levels.bids.prices and levels.asks.prices
        self._bounds = (levels.bids.prices[0], levels.asks.prices[-1]) if has_bounds else None
        self._buffer.clear()
        self._state = BookState.BRIDGING if self._rule.snapshot == "rest" and not buffered else LIVE
        self._request = IDLE
        self.wanted = None
        self.newer = None
        self._ahead_ts = 0
        if self._numbers.base is None:
            self._numbers.base = snapshot.sequence
        if buffered:
            self.checks.bridged += 1
            self.refuted = False
        if (fault := levels.settle(snapshot.checksum)) is not None:
            return self._break(fault.cause, fault.reason)
        self.applied_ts = snapshot.received_ts
        if self._rule.checksum is not None and snapshot.checksum is None:
            self.checks.unchecked += 1
        if was_live:
            self.differs = old_bids.sizes != levels.bids.sizes or old_asks.sizes != levels.asks.sizes
        else:
            self.differs = self._before is not None and self._before != levels.top()
        for update in buffered:
            if self._apply(update) is Outcome.BROKEN:
                return Outcome.BROKEN
        return Outcome.SYNCED

    def invalidate(self, cause: GapCause, reason: str, missed: int | None = None) -> bool:
        """Break the book for a reason outside of it. Returns whether it was live until now."""
        was_live = self.live
        if was_live:
            self._break(cause, reason, missed)
        return was_live

    def links(self, update: BookUpdate) -> bool:
        """Whether an update of any connection leaves no gap after the book as it is. Nothing is missing after a book that is not live."""
        follows, numbers = self._rule.follows, self._numbers
        newest = numbers.tail if numbers.tail is not None else self.sequence
        return not self.live or follows is None or newest is None or follows(update, newest) is not Verdict.BREAK

    def check_range(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Want a new snapshot if these, the published levels, go beyond the prices of the last one, which was partial."""
        if self._bounds is None or self._is_awaiting or self.wanted is not None:
            return
        if not bids or not asks or bids[-1][0] < self._bounds[0] or asks[-1][0] > self._bounds[1]:
            self.wanted = "the market has left the range of the snapshot"

    @property
    def _is_awaiting(self) -> bool:
        return self._request in (Request.SNAPSHOT, Request.PROBE)

    def _bridges(self, update: BookUpdate) -> Verdict:
        if self._rule.bridges is None or self.sequence is None:
            return APPLY
        return self._rule.bridges(update, self.sequence)

    def _keep(self, update: BookUpdate) -> Outcome:
        """Buffer an update until a snapshot comes (step 2); drop it where the snapshot comes in the stream."""
        if self._rule.snapshot == "stream":
            self.checks.unproven += 1
            self._unproven_ts = self._unproven_ts or update.received_ts
            if update.received_ts - self._unproven_ts > PATIENCE_NS:
                self._unproven_ts = update.received_ts
                self.wanted = "no snapshot came"
            return Outcome.NOTHING
        if not self._buffer.append(update):
            self.checks.overflows += 1
            if not self.live:
                return self._break(GapCause.OVERFLOW, "no snapshot came before the buffer was full")
            return Outcome.BROKEN
        if not self._is_awaiting and self.wanted is None:
            self.wanted = "start"
        return Outcome.NOTHING

    def _apply(self, update: BookUpdate) -> Outcome:
        levels = self.levels
        try:
            levels.bids.apply(update.bids)
            levels.asks.apply(update.asks)
        except (ImpossibleLevelError, ArithmeticError):
            self.checks.impossible += 1
            return self._break(GapCause.UNKNOWN, "impossible level")
        self.sequence = update.last
        self._since += 1
        fault = levels.settle(update.checksum)
        if fault is not None:
            return self._break(fault.cause, fault.reason)
        self.applied_ts = update.received_ts
        return APPLIED

    def _break(self, cause: GapCause, reason: str, missed: int | None = None) -> Outcome:
        """Forget the book, and want a snapshot. The stream's numbers go on."""
        self._keep_top()
        self._numbers.end_book(self.sequence)
        self._clear()
        self.wanted = reason
        self.fault = Fault(cause, reason, missed)
        return Outcome.BROKEN
