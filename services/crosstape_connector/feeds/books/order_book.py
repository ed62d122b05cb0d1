"""One instrument's book: from a snapshot and the updates after it, by the steps that the package's docstring numbers. Pure.

It makes no events (see `book_feeds`).
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.feeds.books.checks import BookChecks, Fault, Outcome
from crosstape_connector.feeds.books.known_range import KnownRange
from crosstape_connector.feeds.books.ladder import ImpossibleLevelError
from crosstape_connector.feeds.books.levels import CROSSED, BookLevels, Top
from crosstape_connector.feeds.books.numbering import Numbering, gap_before
from crosstape_connector.feeds.books.probe import Finding, Probe
from crosstape_connector.feeds.books.snapshot_need import IDLE, PROBE, SnapshotNeed
from crosstape_connector.feeds.books.state import BookState, Request
from crosstape_connector.feeds.books.update_buffer import UpdateBuffer
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.spec import BookRule, Verdict
from crosstape_schemas import GapCause

PATIENCE_NS: Final = 10_000_000_000
"""How long updates may come without the snapshot that the stream begins with: then its frame was lost, or could not be used."""

REPLAYED_NS: Final = 10_000_000_000
"""How old the updates may be that a snapshot in a capture needs: the time between the venue's making it and its receipt."""

LEFT: Final = "the market has left the range of the snapshot"
NEAR: Final = "the market is near the edge of the snapshot"

WAITING, LIVE = BookState.WAITING, BookState.LIVE  # a global is found sooner than a member of its class
APPLY, SKIP = Verdict.APPLY, Verdict.SKIP
APPLIED: Final = Outcome.APPLIED


class OrderBook:
    """Builds one instrument's book, and checks each step; a check that fails breaks the book (`fault`)."""

    __slots__ = (
        "_ahead_ts", "_before", "_buffer", "_numbers", "_state", "_unproven_ts", "applied_ts", "checks", "differs",
        "fault", "known", "levels", "need", "probe", "rule", "sequence",
    )  # fmt: skip

    def __init__(self, rule: BookRule, depth: int, known: KnownRange | None = None) -> None:
        """`depth`: levels a side that were subscribed, for a venue that truncates. `known`: None keeps all levels."""
        self.rule = rule
        self.known = known or KnownRange(depth=depth)
        self.checks = BookChecks()
        self.levels = BookLevels(rule, depth, self.checks)
        self.fault = Fault(GapCause.UNKNOWN, "")
        """Why the book broke last."""
        self.applied_ts = 0
        """`received_ts` of the newest frame in the book; 0 = none yet."""
        self.differs = False
        """Whether the newest snapshot had other levels than the book that it replaced."""
        self.need = SnapshotNeed()
        self.probe = Probe()
        self._before: Top | None = None  # the best levels of the book before
        self._numbers = Numbering()
        self._buffer = UpdateBuffer()
        self._clear()

    def _clear(self) -> None:
        self._state = WAITING
        self.levels.clear()
        self.need.clear()
        self.probe.newer = None
        self.sequence: int | None = None
        """The venue's number of the newest change in the book."""
        self._ahead_ts = 0  # since when updates are older than the snapshot that they must be linked to
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
        return self.need.updates > 0

    def mark_requested(self) -> None:
        """Note that the snapshot which the book needs is requested; where it comes in the stream, by subscribing again."""
        self.need.mark_requested()
        self._unproven_ts = 0
        if self.rule.snapshot == "stream":
            self._buffer.clear()  # these are of the subscription that ends: what its successor begins with need not reach them

    def connection_changed(self) -> None:
        """Note that another connection takes over: its frames may be older than those of the one before."""
        if self.rule.ordered:
            self._numbers.tail_ts = None

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times after our clock was set."""
        self.applied_ts = step.shifted(self.applied_ts)
        self._ahead_ts, self._unproven_ts = step.shifted(self._ahead_ts), step.shifted(self._unproven_ts)
        self._numbers.clock_set(step)
        self.known.clock_set(step)
        self.probe.clock_set(step)

    def start(self) -> None:
        """Want the first REST snapshot (step 3): the subscription is acknowledged, though no update has come yet."""
        if self.rule.snapshot == "rest" and not self.live and self.need.request is IDLE:
            self.need.wanted = "start"

    def start_probe(self) -> None:
        """Want a REST snapshot that shows whether anything has happened while the stream is silent, if the book is healthy."""
        need, probe = self.need, self.probe
        may_ask = need.request is IDLE and need.wanted is None and probe.newer is None and not probe.refuted
        if self.rule.snapshot == "rest" and self.live and may_ask:
            need.wanted = PROBE

    def apply_update(self, update: BookUpdate) -> Outcome:
        """Apply one update of the stream (step 7), or buffer it (step 2)."""
        checks = self.checks
        checks.updates += 1
        rule, numbers = self.rule, self._numbers
        follows = rule.follows
        if follows is not None:
            tail, numbers.tail = numbers.tail, update.last
            if tail is None:
                numbers.open_stream(update)
            else:
                verdict = follows(update, tail)
                if verdict is APPLY:
                    checks.links += 1
                    if rule.jumps and update.last is not None and update.last > tail + 1:
                        checks.jumps += 1
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
        need = self.need
        if need.request is not IDLE and need.is_awaiting and self._keep(update) is Outcome.BROKEN:
            need.request = IDLE  # the book itself is good: only its renewal must begin again
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
        by_rest = self.rule.snapshot == "rest"
        if by_rest and self.live and not self.need.is_awaiting:
            self.checks.unused += 1
            return Outcome.NOTHING
        if self.need.request is Request.PROBE and self.live:
            return self._judge_probe(snapshot)
        tail_ts, venue_ts = self._numbers.tail_ts, snapshot.venue_ts
        if self.rule.ordered and tail_ts is not None and venue_ts is not None and venue_ts < tail_ts:
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
                self.need.want_newer()
                return Outcome.NOTHING
        elif self.rule.follows is not None and snapshot.sequence is not None:
            is_newer = tail_ts is not None and venue_ts is not None and venue_ts > tail_ts
            if self.rule.restarts and is_newer:
                self._buffer.clear()  # of before, perhaps with other numbers
            elif self.sequence is not None and snapshot.sequence < self.sequence:
                self.checks.unused += 1  # a repeated one, of a book that has gone on
                return Outcome.NOTHING
            buffered = [update for update in self._buffer if update.last is None or update.last > snapshot.sequence]
            if buffered and self.rule.follows(buffered[0], snapshot.sequence) is Verdict.BREAK:
                self.checks.holes += 1
                return self._break(GapCause.SEQUENCE, "the stream does not reach the snapshot")
            if not buffered:
                self._numbers.tail, self._numbers.tail_ts = snapshot.sequence, snapshot.venue_ts  # the next update must follow it
        return self._begin(snapshot, buffered)

    def _judge_probe(self, snapshot: BookSnapshot) -> Outcome:
        """Compare the answer to a probe with what the stream has brought. `QUIET`: nothing happened; see `Probe`."""
        if self._buffer:  # the stream brought an update meanwhile, so it is not silent
            self.need.request = IDLE
            self._buffer.clear()
            return Outcome.NOTHING
        finding = self.probe.judge(snapshot, self.levels, self.reached)
        if finding is Finding.OLD:
            self.checks.refused += 1
            self.need.want_newer()
            return Outcome.NOTHING
        self.need.request = IDLE
        if finding is Finding.QUIET:
            self.checks.quiet += 1
            return Outcome.QUIET
        return Outcome.NOTHING

    def overdue(self, now: int) -> BookSnapshot | None:
        """Return the REST snapshot whose changes the stream did not bring in time; see `Probe.overdue`."""
        return self.probe.overdue(now, applied_ts=self.applied_ts, reached=self.reached)

    def refute(self, snapshot: BookSnapshot | None = None) -> Outcome:
        """Note that the stream does not bring what happens. A newer snapshot becomes the book, but proves nothing of what follows it."""
        self.probe.refuted = True
        self.checks.refuted += 1
        if snapshot is None:
            return Outcome.NOTHING
        self._numbers.tail = None  # what the stream left out is reported: it must go on from the snapshot
        return self._begin(snapshot, [])

    def _begin(self, snapshot: BookSnapshot, buffered: list[BookUpdate]) -> Outcome:
        """Make the book from a snapshot (step 6) and apply the updates after it (step 7)."""
        levels, was_live = self.levels, self.live
        old_bids, old_asks = levels.bids, levels.asks
        fault = levels.replace(snapshot, drops=self.known.strict)
        if fault is not None:
            return self._break(fault.cause, fault.reason)
        self.checks.snapshots += 1
        self.sequence = snapshot.sequence
        self.known.begin(snapshot.limit, snapshot.received_ts, (levels.bids, levels.asks))
        self._buffer.clear()
        self._state = BookState.BRIDGING if self.rule.snapshot == "rest" and not buffered else LIVE
        self.need.clear()
        self.probe.newer = None
        self._ahead_ts = 0
        if self._numbers.base is None:
            self._numbers.base = snapshot.sequence
        if buffered:
            self.checks.bridged += 1
            self.probe.refuted = False
        if (fault := levels.settle(snapshot.checksum)) is not None:
            return self._break(fault.cause, fault.reason)
        self.applied_ts = snapshot.received_ts
        if self.rule.checksum is not None and snapshot.checksum is None:
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
        follows, numbers = self.rule.follows, self._numbers
        newest = numbers.tail if numbers.tail is not None else self.sequence
        return not self.live or follows is None or newest is None or follows(update, newest) is not Verdict.BREAK

    def check_range(self) -> Outcome:
        """Want a new snapshot if the market comes near the edge of the last one. `BROKEN`: what is to be published is not known."""
        known, need, bids, asks = self.known, self.need, self.levels.bids, self.levels.asks
        known.trim(bids)
        known.trim(asks)
        if bids.edge is None and asks.edge is None:
            return APPLIED
        if not known.renews and self.rule.snapshot == "rest":
            self._await_replayed()
        elif not need.is_awaiting and need.wanted is None and not (known.is_ample(bids) and known.is_ample(asks)):
            known.renew(self.applied_ts)
            need.wanted = NEAR
        if known.strict and not (known.suffices(bids) and known.suffices(asks)):
            return self._break_beyond_edge()
        return APPLIED

    def _await_replayed(self) -> None:
        """Be ready for the next snapshot of a capture, whenever it was requested: the newest updates are kept for it."""
        self._buffer.drop(self.applied_ts - REPLAYED_NS)
        if self.need.wanted is None:
            self.need.request = Request.SNAPSHOT

    def _break_beyond_edge(self) -> Outcome:
        """Break the book. A snapshot that is on its way already, and the updates since it was requested, are the next book."""
        buffer, is_awaiting = self._buffer, self.need.is_awaiting
        self._buffer = UpdateBuffer()
        outcome = self._break(GapCause.UNKNOWN, LEFT)
        if is_awaiting:
            self._buffer, self.need.request, self.need.wanted = buffer, Request.SNAPSHOT, None
        return outcome

    def _bridges(self, update: BookUpdate) -> Verdict:
        if self.rule.bridges is None or self.sequence is None:
            return APPLY
        return self.rule.bridges(update, self.sequence)

    def _keep(self, update: BookUpdate) -> Outcome:
        """Buffer an update until a snapshot comes (step 2). Where it comes in the stream, only numbered ones are of use."""
        if self.rule.snapshot == "stream":
            self.checks.unproven += 1
            if self.rule.follows is not None:
                self._buffer.append(update)  # the snapshot may come late: what it lacks is applied to it, if there is room
            self._unproven_ts = self._unproven_ts or update.received_ts
            if update.received_ts - self._unproven_ts > PATIENCE_NS:
                self._unproven_ts = update.received_ts
                self.need.wanted = "no snapshot came"
            return Outcome.NOTHING
        if not self._buffer.append(update):
            self.checks.overflows += 1
            if not self.live:
                return self._break(GapCause.OVERFLOW, "no snapshot came before the buffer was full")
            return Outcome.BROKEN
        if not self.need.is_awaiting and self.need.wanted is None:
            self.need.wanted = "start"
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
        self.need.updates += 1
        fault = levels.settle(update.checksum)
        if fault is not None:
            if fault is CROSSED and levels.hold(update):
                return Outcome.NOTHING
            return self._break(fault.cause, fault.reason)
        if levels.crossed:
            levels.crossed = 0
        self.applied_ts = update.received_ts
        return APPLIED

    def _break(self, cause: GapCause, reason: str, missed: int | None = None) -> Outcome:
        """Forget the book, and want a snapshot. The stream's numbers go on."""
        self._keep_top()
        self._numbers.end_book(self.sequence)
        self._clear()
        self.need.wanted = reason
        self.fault = Fault(cause, reason, missed)
        return Outcome.BROKEN
