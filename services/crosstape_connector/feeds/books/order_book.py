"""One instrument's book, and the rules by which it is kept true and proven. Pure; no event is made here (see `book_feeds`).

The levels of a side are in `ladder`, what is counted is in `checks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.feeds.books.checks import BookChecks, Fault, Outcome
from crosstape_connector.feeds.books.ladder import ImpossibleLevelError, Ladder
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.parsing.wire import ZERO
from crosstape_connector.venues.spec import BookRule, Verdict
from crosstape_schemas import GapCause, Level

BUFFER: Final = 65_536
"""Levels (and updates) held at most while a snapshot is awaited; beyond, all are dropped and the snapshot is asked for again."""
PATIENCE_NS: Final = 10_000_000_000
"""Updates that come for so long without the snapshot that the stream begins with: its frame was lost, or could not be used."""
AFRESH_NS: Final = 1_000_000_000
"""An update whose number is old and whose time, by the venue's own clock, is so much newer than the book: the numbers have begun again."""
SKIPPING_NS: Final = 60_000_000_000
"""The same where no clock tells: nothing but old numbers for so long. A connection that takes over holds back half a minute at most."""
SETTLED: Final = 100
"""Updates after which a resynced book counts as healed, and the next break as the first."""
PROVEN: Final = 10
"""Levels a side that a checksum is computed of; the widest that any venue here uses."""
GRACE_NS: Final = 1_000_000_000
"""A REST snapshot may be ahead of the stream by the stream's delay: the stream has so long to bring the changes that REST knows."""

OLDER: Final = "the snapshot is older than the stream"
PROBE: Final = "silent"
"""Why a snapshot is wanted of a live book of which nothing is heard: no resync, and no attempt to be counted."""


class OrderBook:
    """One instrument's book: from a snapshot and the updates after it to levels that are proven, or a `fault`.

    A venue whose snapshot comes by REST: updates are held (bounded by `BUFFER`) until it is there, and while it is renewed. A venue whose
    snapshot is in its stream: updates without one are dropped, and after `PATIENCE_NS` another is asked for.

    A REST snapshot proves that a silent stream missed nothing only where its number is the one that the *stream* reached (`reached`). A
    snapshot with a later number refutes the stream, if the stream does not bring that change within `GRACE_NS`. The snapshot then becomes
    the book, but the book stays `refuted` until an update of the stream was applied: no later snapshot proves anything of the stream.
    """

    __slots__ = (
        "_ahead_ts",
        "_asked",
        "_base",
        "_before",
        "_bounds",
        "_bridging",
        "_buffer",
        "_doubted",
        "_held",
        "_past",
        "_past_ts",
        "_rule",
        "_since",
        "_skipping_ts",
        "_tail",
        "_tail_ts",
        "_unproven_ts",
        "applied_ts",
        "asks",
        "attempt",
        "bids",
        "checks",
        "depth",
        "differs",
        "fault",
        "live",
        "newer",
        "refuted",
        "removed",
        "sequence",
        "wanted",
    )  # fmt: skip

    def __init__(self, rule: BookRule, depth: int) -> None:
        """`depth`: levels a side that were subscribed, for a venue that truncates."""
        self._rule = rule
        self.checks = BookChecks()
        self.depth = depth
        self.fault = Fault(GapCause.UNKNOWN, "")
        """Of the last `BROKEN`."""
        self.wanted: str | None = None
        """Why a snapshot is needed, if one is and nobody was asked yet; whoever asks calls `asked`."""
        self.attempt = 0
        self.applied_ts = 0
        """`received_ts` of the newest frame in the book; 0: none ever."""
        self._since = 0
        self.sequence: int | None = None
        """The venue's number of the newest change in the book."""
        self.refuted = False
        """REST showed a change that the stream did not bring, and no update of the stream was applied since."""
        self.differs = False
        """Whether the newest snapshot had other levels than the book that it replaced."""
        self._past: int | None = None  # the number of the book before, which was published, …
        self._past_ts: int | None = None  # … and the venue's time of it
        self._before: tuple[list[Level], list[Level]] | None = None  # the best levels of the book before
        self.live = False
        self.bids = Ladder(best_last=True)
        self.asks = Ladder(best_last=False)
        self._tail_ts: int | None = None
        self.reset()

    def reset(self) -> None:
        """The connection is gone, and with it all that was held."""
        if self.sequence is not None:
            self._past, self._past_ts = self.sequence, self._tail_ts
        if self.live:
            self._before = self.bids.top(PROVEN), self.asks.top(PROVEN)
        self.live = False
        self.bids = Ladder(best_last=True)
        self.asks = Ladder(best_last=False)
        self.sequence = None
        self.removed: tuple[tuple[Level, ...], tuple[Level, ...]] = ((), ())
        """Removals, bids and asks, of what fell out of the depth with the last update (zero sizes, as in an update)."""
        self._tail: int | None = None  # number of the newest update of the stream, in the book or not, …
        self._tail_ts = None  # … and the venue's time of it
        self._base: int | None = None  # number of the first snapshot of this subscription: from there on the stream must bring all
        self.newer: BookSnapshot | None = None
        """A REST snapshot with changes that the stream has not brought yet; see `overdue`."""
        self._skipping_ts = 0  # since when all updates have old numbers
        self._bridging = False  # live from a REST snapshot that no update has been linked to yet
        self._ahead_ts = 0  # since when updates are older than that snapshot
        self._doubted = False  # the snapshot that is asked for is to show whether the venue is merely quiet
        self._bounds: tuple[Decimal, Decimal] | None = None  # prices beyond which the snapshot did not tell
        self._unproven_ts = 0  # since when updates are dropped for want of a snapshot
        self._asked = False
        self.wanted = None
        self._drop_held()

    def _drop_held(self) -> None:
        self._buffer: list[BookUpdate] = []
        self._held = 0

    def mark_requested(self) -> None:
        """The snapshot that was `wanted` has been asked for."""
        if self.wanted != PROBE:
            self.attempt = 1 if self._since >= SETTLED else self.attempt + 1
            self._since = 0
        self._unproven_ts = 0
        self._asked = True
        self.wanted = None

    def connection_changed(self) -> None:
        """Another connection takes over: its frames may be older than those of the one before."""
        if self._rule.ordered:
            self._tail_ts = None

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set; see `FeedRecord.clock_set`."""
        self.applied_ts, self._skipping_ts = step.shifted(self.applied_ts), step.shifted(self._skipping_ts)
        self._ahead_ts, self._unproven_ts = step.shifted(self._ahead_ts), step.shifted(self._unproven_ts)
        if self.newer is not None:
            self.newer = msgspec.structs.replace(self.newer, received_ts=step.shifted(self.newer.received_ts))

    def start(self) -> None:
        """The subscription is known to work: ask for the REST snapshot, if that is the rule and no update has caused it before."""
        if self._rule.snapshot == "rest" and not self.live and not self._asked:
            self.wanted = "start"

    @property
    def reached(self) -> int | None:
        """The number up to which the stream accounts for the book: that of its newest update, or of the snapshot that it began with."""
        return self._tail if self._tail is not None else self._base

    @property
    def followed(self) -> bool:
        """Whether any update was applied since the snapshot was asked for."""
        return self._since > 0

    def start_probe(self) -> None:
        """Nothing is heard: let a REST snapshot show whether anything has happened. A stream that is refuted must answer itself."""
        may_ask = not self._asked and self.wanted is None and self.newer is None
        if self._rule.snapshot == "rest" and self.live and may_ask and not self.refuted:
            self._doubted = True
            self.wanted = PROBE

    def apply_update(self, update: BookUpdate) -> Outcome:
        """Apply one update, or say why not."""
        proofs = self.checks
        proofs.updates += 1
        rule = self._rule
        follows = rule.follows
        if follows is not None:
            tail, self._tail = self._tail, update.last
            if tail is None:
                self._open(update)
            else:
                verdict = follows(update, tail)
                if verdict is Verdict.APPLY:
                    proofs.links += 1
                elif verdict is Verdict.SKIP and not self._is_afresh(update):
                    self._tail = tail
                    proofs.skipped += 1
                    return Outcome.NOTHING
                else:
                    proofs.holes += 1
                    self._drop_held()
                    self._tail_ts, self._skipping_ts = update.venue_ts, 0
                    if self.live:
                        self._break(*_hole(update, tail, afresh=verdict is Verdict.SKIP))
                        self._past = None if verdict is Verdict.SKIP else self._past
                        self._hold(update)
                        return Outcome.BROKEN
            if self._skipping_ts:
                self._skipping_ts = 0
        elif rule.ordered:
            tail_ts, venue_ts = self._tail_ts, update.venue_ts
            if tail_ts is not None and venue_ts is not None and venue_ts < tail_ts:
                self._tail_ts = venue_ts
                proofs.overtaken += 1
                if self.live:
                    return self._break(GapCause.SEQUENCE, "an update came after a later one")
        self._tail_ts = update.venue_ts
        if not self.live:
            return self._hold(update)
        if self._bridging:
            verdict = self._bridges(update)
            self._ahead_ts = self._ahead_ts or update.received_ts
            is_behind = verdict is Verdict.SKIP
            if is_behind and update.received_ts - self._ahead_ts <= PATIENCE_NS:
                proofs.skipped += 1
                return Outcome.NOTHING
            if verdict is not Verdict.APPLY:
                proofs.holes += 1
                reason = "the stream does not reach the snapshot" if is_behind else "the stream begins after the snapshot"
                self._break(GapCause.SEQUENCE, reason)
                self._hold(update)
                return Outcome.BROKEN
            self._bridging = False
            proofs.bridged += 1
        if self._asked and self._hold(update) is Outcome.BROKEN:
            self._asked = False  # the book itself is good: only its renewal must be begun anew
        return self._apply(update)

    def apply_snapshot(self, snapshot: BookSnapshot) -> Outcome:
        """Begin anew from a snapshot and what was held since it was asked for."""
        by_rest = self._rule.snapshot == "rest"
        if by_rest and self.live and not self._asked:
            self.checks.unused += 1
            return Outcome.NOTHING
        if self._doubted and self.live:
            return self._answer(snapshot)
        tail_ts, venue_ts = self._tail_ts, snapshot.venue_ts
        if self._rule.ordered and tail_ts is not None and venue_ts is not None and venue_ts < tail_ts:
            self.checks.overtaken += 1
            self._tail_ts = None  # asked for once more, and not again and again because a clock was set back
            return self._break(GapCause.SEQUENCE, "a snapshot came after a later update")
        held: list[BookUpdate] = []
        if by_rest:
            self.sequence, before = snapshot.sequence, self.sequence
            held = [update for update in self._buffer if self._bridges(update) is not Verdict.SKIP]
            reaches = self._bridges(held[0]) is not Verdict.BREAK if held else not self._is_before(snapshot, before)
            if not reaches:
                self.sequence = before
                self.checks.refused += 1
                self._asked = False
                self.wanted = OLDER
                return Outcome.NOTHING
        return self._begin(snapshot, held)

    def _answer(self, snapshot: BookSnapshot) -> Outcome:
        """Compare the REST snapshot, which a doubt has asked for, with what the stream has said. See the class."""
        if self._buffer:  # the stream spoke meanwhile: there is nothing to doubt
            self._doubted = self._asked = False
            self._drop_held()
            return Outcome.NOTHING
        number, reached = snapshot.sequence, self.reached
        if number is not None and reached is not None and number < reached:
            self.checks.refused += 1
            self._asked = False
            self.wanted = OLDER
            return Outcome.NOTHING
        self._doubted = self._asked = False
        if number == reached and self._is_like(snapshot):
            self.checks.quiet += 1
            return Outcome.QUIET
        self.newer = snapshot
        return Outcome.NOTHING

    def _is_like(self, snapshot: BookSnapshot) -> bool:
        """Whether the best levels of a snapshot are those of the book."""
        try:
            bids, asks = Ladder(snapshot.bids[:PROVEN], best_last=True), Ladder(snapshot.asks[:PROVEN], best_last=False)
        except (ImpossibleLevelError, ArithmeticError):
            return False
        return (bids.top(PROVEN), asks.top(PROVEN)) == (self.bids.top(PROVEN), self.asks.top(PROVEN))

    def overdue(self, now: int) -> BookSnapshot | None:
        """The REST snapshot whose changes the stream has not brought in time: it refutes the stream. None: there is none, or not yet."""
        newer = self.newer
        if newer is None:
            return None
        if self.applied_ts > newer.received_ts or not self.live:
            self.newer = None  # the stream has spoken since
            return None
        is_ahead = newer.sequence is None or newer.sequence != self.reached  # else it contradicts what the stream has said already
        if is_ahead and now - newer.received_ts < GRACE_NS:
            return None
        self.newer = None
        return newer

    def refute(self, snapshot: BookSnapshot | None = None) -> Outcome:
        """The stream does not bring what happens: with a newer snapshot the book is that, but nothing that follows is proven by it."""
        self.refuted = True
        self.checks.refuted += 1
        if snapshot is None:
            return Outcome.NOTHING
        self._tail = None  # what the stream left out has been told: it is to go on from the snapshot
        return self._begin(snapshot, [])

    def _is_before(self, snapshot: BookSnapshot, sequence: int | None) -> bool:
        """Whether the stream, or a snapshot, was further than this snapshot, with nothing held to lead from there to here.

        On another connection, too: a venue may answer from a cache, or late. Numbers that begin again are shown by the stream (`_open`).
        """
        newest = max((number for number in (self._tail, sequence, self._past) if number is not None), default=None)
        return newest is not None and snapshot.sequence is not None and snapshot.sequence < newest

    def _open(self, update: BookUpdate) -> None:
        """The first update of a connection: a number below that of the book before is old news, or the venue's numbers have begun again."""
        if self._past is None or update.last is None or update.last >= self._past:
            return
        if update.venue_ts is None or self._past_ts is None or update.venue_ts - self._past_ts > AFRESH_NS:
            self._past = None

    def _begin(self, snapshot: BookSnapshot, held: list[BookUpdate]) -> Outcome:
        was_live, old_bids, old_asks = self.live, self.bids, self.asks
        try:
            self.bids = Ladder(snapshot.bids, best_last=True)
            self.asks = Ladder(snapshot.asks, best_last=False)
        except (ImpossibleLevelError, ArithmeticError):
            self.checks.impossible += 1
            return self._break(GapCause.UNKNOWN, "impossible level in the snapshot")
        self.checks.snapshots += 1
        self.depth = snapshot.depth or self.depth
        self.sequence = snapshot.sequence
        self._bounds = (self.bids.prices[0], self.asks.prices[-1]) if snapshot.partial and self.bids.prices and self.asks.prices else None
        self._drop_held()
        self._asked = False
        self.wanted = None
        self.live = True
        self._doubted = False
        self._ahead_ts = 0
        self._bridging = self._rule.snapshot == "rest" and not held
        self.newer = None
        if self._base is None:
            self._base = snapshot.sequence
        if held:
            self.checks.bridged += 1
            self.refuted = False
        if self._settle(snapshot.checksum, snapshot.received_ts) is Outcome.BROKEN:
            return Outcome.BROKEN
        if self._rule.checksum is not None and snapshot.checksum is None:
            self.checks.unchecked += 1
        if was_live:
            self.differs = old_bids.sizes != self.bids.sizes or old_asks.sizes != self.asks.sizes
        else:
            self.differs = self._before is not None and self._before != (self.bids.top(PROVEN), self.asks.top(PROVEN))
        for update in held:
            if self._apply(update) is Outcome.BROKEN:
                return Outcome.BROKEN
        return Outcome.SYNCED

    def invalidate(self, cause: GapCause, reason: str, missed: int | None = None) -> bool:
        """Something outside says that the book is not true; whether it was held to be until now."""
        was = self.live
        if was:
            self._break(cause, reason, missed)
        return was

    def links(self, update: BookUpdate) -> bool:
        """Whether an update of any connection leaves no hole after the book as it is. Nothing is missing after a book that is not true."""
        follows, newest = self._rule.follows, self._tail if self._tail is not None else self.sequence
        return not self.live or follows is None or newest is None or follows(update, newest) is not Verdict.BREAK

    def check_range(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Ask for a new snapshot if these, the levels that are published, go beyond the range of the last one, which is cut somewhere."""
        if self._bounds is None or self._asked or self.wanted is not None:
            return
        if not bids or not asks or bids[-1][0] < self._bounds[0] or asks[-1][0] > self._bounds[1]:
            self.wanted = "the market has left the range of the snapshot"

    def _is_afresh(self, update: BookUpdate) -> bool:
        """Whether an update with an old number is not old: the venue's numbers have begun again."""
        self._skipping_ts = self._skipping_ts or update.received_ts
        if update.venue_ts is not None and self._tail_ts is not None and update.venue_ts - self._tail_ts > AFRESH_NS:
            return True
        return update.received_ts - self._skipping_ts > SKIPPING_NS

    def _bridges(self, update: BookUpdate) -> Verdict:
        if self._rule.bridges is None or self.sequence is None:
            return Verdict.APPLY
        return self._rule.bridges(update, self.sequence)

    def _hold(self, update: BookUpdate) -> Outcome:
        if self._rule.snapshot == "stream":
            self.checks.unproven += 1
            self._unproven_ts = self._unproven_ts or update.received_ts
            if update.received_ts - self._unproven_ts > PATIENCE_NS:
                self._unproven_ts = update.received_ts
                self.wanted = "no snapshot came"
            return Outcome.NOTHING
        self._held += 1 + len(update.bids) + len(update.asks)
        if self._held > BUFFER:
            self._drop_held()
            self.checks.overflows += 1
            if not self.live:
                return self._break(GapCause.OVERFLOW, "no snapshot came before the buffer was full")
            return Outcome.BROKEN
        self._buffer.append(update)
        if not self._asked and self.wanted is None:
            self.wanted = "start"
        return Outcome.NOTHING

    def _apply(self, update: BookUpdate) -> Outcome:
        try:
            self.bids.apply(update.bids)
            self.asks.apply(update.asks)
        except (ImpossibleLevelError, ArithmeticError):
            self.checks.impossible += 1
            return self._break(GapCause.UNKNOWN, "impossible level")
        self.sequence = update.last
        self._since += 1
        return self._settle(update.checksum, update.received_ts)

    def _settle(self, checksum: int | None, received_ts: int) -> Outcome:
        """After levels changed: truncate, prove."""
        rule = self._rule
        bids, asks = self.bids, self.asks
        if rule.truncates:
            gone = bids.cut(self.depth), asks.cut(self.depth)
            self.removed = tuple((price, ZERO) for price in gone[0]), tuple((price, ZERO) for price in gone[1])
        if rule.checksum is not None and checksum is not None:
            if rule.checksum(bids.top(PROVEN), asks.top(PROVEN)) != checksum:
                self.checks.checksums_bad += 1
                return self._break(GapCause.CHECKSUM, "checksum")
            self.checks.checksums_ok += 1
        if bids.prices and asks.prices and bids.prices[-1] >= asks.prices[0]:
            self.checks.crossed += 1
            return self._break(GapCause.UNKNOWN, "crossed")
        self.applied_ts = received_ts
        return Outcome.APPLIED

    def _break(self, cause: GapCause, reason: str, missed: int | None = None) -> Outcome:
        """Nothing is known any more but the stream's own numbering, which goes on."""
        tail, tail_ts = self._tail, self._tail_ts
        self.reset()
        self._tail, self._tail_ts = tail, tail_ts
        self.wanted = reason
        self.fault = Fault(cause, reason, missed)
        return Outcome.BROKEN


def _hole(update: BookUpdate, tail: int, *, afresh: bool) -> tuple[GapCause, str, int | None]:
    """What is told of an update that does not follow the number `tail`."""
    if afresh:
        return GapCause.SEQUENCE, "the venue's numbers began again", None
    return GapCause.SEQUENCE, "sequence", update.first - tail - 1 if update.first is not None else None
