"""One instrument's book: the levels, and the rules by which it is kept true and proven. Pure; no event is made here (see `feeds`).

A side is a dict price → size beside a sorted list of prices: most changes touch a level that is there, which costs one dict store.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum, auto
from typing import Final

import msgspec

from crosstape_connector.venue import BookRule, BookSnapshot, BookUpdate, Verdict
from crosstape_connector.wire import LIMIT, ZERO
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


DOUBT: Final = "silent"
"""Why a snapshot is wanted of a live book of which nothing is heard: no resync, and no attempt to be counted."""


class ImpossibleLevelError(ValueError):
    """A price or size that cannot be: negative, infinite, no number."""


class Ladder:
    """One side of a book. `best_last`: bids, whose best is the highest price."""

    __slots__ = ("best_last", "prices", "sizes")

    def __init__(self, levels: Iterable[Level] = (), *, best_last: bool) -> None:
        """Raises as `apply`."""
        self.best_last = best_last
        self.sizes: dict[Decimal, Decimal] = {}
        self.prices: list[Decimal] = []
        for price, size in levels:
            if ZERO < price < LIMIT and ZERO < size < LIMIT:
                self.sizes[price] = size
            elif size or not ZERO < price < LIMIT:
                raise ImpossibleLevelError(f"{price} x {size}")
        self.prices = sorted(self.sizes)

    def apply(self, levels: Iterable[Level]) -> None:
        """Set each price's size, zero removes; of one repeated the last wins. Raises `ImpossibleLevelError`, `ArithmeticError` (NaN)."""
        sizes, prices = self.sizes, self.prices
        for price, size in levels:
            if ZERO < price < LIMIT and ZERO < size < LIMIT:
                if price not in sizes:
                    insort(prices, price)
                sizes[price] = size
            elif size or not ZERO < price < LIMIT:
                raise ImpossibleLevelError(f"{price} x {size}")
            elif price in sizes:
                del sizes[price]
                del prices[bisect_left(prices, price)]

    def best(self) -> Level | None:
        """The best level, or None of an empty side."""
        if not self.prices:
            return None
        price = self.prices[-1 if self.best_last else 0]
        return price, self.sizes[price]

    def top(self, count: int) -> list[Level]:
        """The best levels, best first, `count` of them if there are so many."""
        sizes = self.sizes
        prices = self.prices[: -count - 1 : -1] if self.best_last else self.prices[:count]
        return [(price, sizes[price]) for price in prices]

    def cut(self, depth: int) -> list[Decimal]:
        """Forget what lies below the best `depth` levels; the prices forgotten."""
        excess = len(self.prices) - depth
        if excess <= 0:
            return []
        span = slice(0, excess) if self.best_last else slice(depth, None)
        gone = self.prices[span]
        del self.prices[span]
        for price in gone:
            del self.sizes[price]
        return gone


class Proofs:
    """What was checked, and how it went; counts."""

    __slots__ = (
        "bridged", "checksums_bad", "checksums_ok", "crossed", "holes", "impossible", "links", "overflows", "overtaken", "quiet",
        "refused", "skipped", "snapshots", "unproven", "unused", "updates",
    )  # fmt: skip

    def __init__(self) -> None:
        self.updates = 0
        self.links = 0  # updates that follow the one before by the venue's numbers
        self.holes = 0  # … that do not
        self.overtaken = 0  # updates and snapshots that came after a later update, by their times
        self.bridged = 0  # REST snapshots that an update was seen to span
        self.refused = 0  # REST snapshots older than the stream
        self.unused = 0  # REST snapshots that came when none was awaited
        self.quiet = 0  # … that showed a silent book to be as the venue has it
        self.snapshots = 0  # snapshots that a book was made of
        self.checksums_ok = 0
        self.checksums_bad = 0
        self.crossed = 0
        self.impossible = 0  # frames with a level that cannot be
        self.skipped = 0  # updates older than the book
        self.unproven = 0  # updates dropped while there was no snapshot to apply them to
        self.overflows = 0

    def add(self, other: Proofs) -> None:
        """Count what was checked elsewhere as checked here."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def counts(self) -> dict[str, int]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


class Fault(msgspec.Struct, frozen=True):
    """Why a book is no longer true."""

    cause: GapCause
    reason: str
    missed: int | None = None


class Outcome(Enum):
    """What became of an update or a snapshot."""

    APPLIED = auto()  # the book moved on, proven as far as the venue lets us
    SYNCED = auto()  # the book is true (again): everything in it may be new
    QUIET = auto()  # the venue was asked, and has the same book: nothing has happened
    NOTHING = auto()  # held, dropped or skipped; the book is as before
    BROKEN = auto()  # it is not true any more, or the snapshot was no good: see `fault`


class BookSync:
    """One instrument's book: from a snapshot and the updates after it to levels that are proven, or a `fault`.

    A venue whose snapshot comes by REST: updates are held (bounded by `BUFFER`) until it is there, and while it is renewed. A venue whose
    snapshot is in its stream: updates without one are dropped, and after `PATIENCE_NS` another is asked for.
    """

    __slots__ = (
        "_ahead_ts", "_asked", "_bounds", "_bridging", "_buffer", "_doubted", "_held", "_reached", "_rule", "_since", "_skipping_ts",
        "_tail", "_tail_ts", "_unproven_ts", "applied_ts", "asks", "attempt", "bids", "cut", "depth", "fault", "live", "proofs", "sequence",
        "wanted",
    )  # fmt: skip

    def __init__(self, rule: BookRule, depth: int) -> None:
        """`depth`: levels a side that were subscribed, for a venue that truncates."""
        self._rule = rule
        self.proofs = Proofs()
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
        self._reached: int | None = None  # the same of the book before, which has been told
        self.forget()

    def forget(self) -> None:
        """The connection is gone, and with it all that was held."""
        self._reached = self._reached if self.sequence is None else self.sequence
        self.live = False
        self.bids = Ladder(best_last=True)
        self.asks = Ladder(best_last=False)
        self.sequence = None
        self.cut: tuple[tuple[Level, ...], tuple[Level, ...]] = ((), ())
        """Removals, bids and asks, of what fell out of the depth with the last update (zero sizes, as in an update)."""
        self._tail: int | None = None  # number of the newest update of the stream, in the book or not, …
        self._tail_ts: int | None = None  # … and the venue's time of it
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

    def asked(self) -> None:
        """The snapshot that was `wanted` has been asked for."""
        if self.wanted != DOUBT:
            self.attempt = 1 if self._since >= SETTLED else self.attempt + 1
            self._since = 0
        self._unproven_ts = 0
        self._asked = True
        self.wanted = None

    def reopened(self) -> None:
        """Another connection takes over: its frames may be older than those of the one before."""
        if self._rule.ordered:
            self._tail_ts = None

    def start(self) -> None:
        """The subscription is known to work: ask for the REST snapshot, if that is the rule and no update has caused it before."""
        if self._rule.snapshot == "rest" and not self.live and not self._asked:
            self.wanted = "start"

    def doubt(self) -> None:
        """Nothing is heard: let a REST snapshot show whether anything has happened."""
        if self._rule.snapshot == "rest" and self.live and not self._asked and self.wanted is None:
            self._doubted = True
            self.wanted = DOUBT

    def update(self, update: BookUpdate) -> Outcome:
        """Apply one update, or say why not."""
        proofs = self.proofs
        proofs.updates += 1
        rule = self._rule
        follows = rule.follows
        if follows is not None:
            tail, self._tail = self._tail, update.last
            if tail is not None:
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
                        self._reached = None if verdict is Verdict.SKIP else self._reached
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

    def snapshot(self, snapshot: BookSnapshot) -> Outcome:
        """Begin anew from a snapshot and what was held since it was asked for."""
        by_rest = self._rule.snapshot == "rest"
        if by_rest and self.live and not self._asked:
            self.proofs.unused += 1
            return Outcome.NOTHING
        if self._doubted and self.live and snapshot.sequence == self.sequence:
            self._doubted = self._asked = False
            self._drop_held()
            self.proofs.quiet += 1
            return Outcome.QUIET
        tail_ts, venue_ts = self._tail_ts, snapshot.venue_ts
        if self._rule.ordered and tail_ts is not None and venue_ts is not None and venue_ts < tail_ts:
            self.proofs.overtaken += 1
            self._tail_ts = None  # asked for once more, and not again and again because a clock was set back
            return self._break(GapCause.SEQUENCE, "a snapshot came after a later update")
        held: list[BookUpdate] = []
        if by_rest:
            self.sequence, before = snapshot.sequence, self.sequence
            held = [update for update in self._buffer if self._bridges(update) is not Verdict.SKIP]
            reaches = self._bridges(held[0]) is not Verdict.BREAK if held else not self._is_before(snapshot, before)
            if not reaches:
                self.sequence = before
                self.proofs.refused += 1
                self._asked = False
                self.wanted = "the snapshot is older than the stream"
                return Outcome.NOTHING
        return self._begin(snapshot, held)

    def _is_before(self, snapshot: BookSnapshot, sequence: int | None) -> bool:
        """Whether the stream is known to have been further than this snapshot, with nothing held to lead from there to here.

        On another connection, too: a venue may answer from a cache, or late, and numbers that begin again are shown by the stream.
        """
        newest = next((number for number in (self._tail, sequence, self._reached) if number is not None), None)
        return newest is not None and snapshot.sequence is not None and snapshot.sequence < newest

    def _begin(self, snapshot: BookSnapshot, held: list[BookUpdate]) -> Outcome:
        try:
            self.bids = Ladder(snapshot.bids, best_last=True)
            self.asks = Ladder(snapshot.asks, best_last=False)
        except (ImpossibleLevelError, ArithmeticError):
            self.proofs.impossible += 1
            return self._break(GapCause.UNKNOWN, "impossible level in the snapshot")
        self.proofs.snapshots += 1
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
        if held:
            self.proofs.bridged += 1
        if self._settle(snapshot.checksum, snapshot.received_ts) is Outcome.BROKEN:
            return Outcome.BROKEN
        for update in held:
            if self._apply(update) is Outcome.BROKEN:
                return Outcome.BROKEN
        return Outcome.SYNCED

    def fail(self, cause: GapCause, reason: str, missed: int | None = None) -> bool:
        """Something outside says that the book is not true; whether it was held to be until now."""
        was = self.live
        if was:
            self._break(cause, reason, missed)
        return was

    def links(self, update: BookUpdate) -> bool:
        """Whether an update of any connection leaves no hole after the book as it is. Nothing is missing after a book that is not true."""
        follows, newest = self._rule.follows, self._tail if self._tail is not None else self.sequence
        return not self.live or follows is None or newest is None or follows(update, newest) is not Verdict.BREAK

    def reaches(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
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
            self.proofs.unproven += 1
            self._unproven_ts = self._unproven_ts or update.received_ts
            if update.received_ts - self._unproven_ts > PATIENCE_NS:
                self._unproven_ts = update.received_ts
                self.wanted = "no snapshot came"
            return Outcome.NOTHING
        self._held += 1 + len(update.bids) + len(update.asks)
        if self._held > BUFFER:
            self._drop_held()
            self.proofs.overflows += 1
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
            self.proofs.impossible += 1
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
            self.cut = tuple((price, ZERO) for price in gone[0]), tuple((price, ZERO) for price in gone[1])
        if rule.checksum is not None and checksum is not None:
            if rule.checksum(bids.top(PROVEN), asks.top(PROVEN)) != checksum:
                self.proofs.checksums_bad += 1
                return self._break(GapCause.CHECKSUM, "checksum")
            self.proofs.checksums_ok += 1
        if bids.prices and asks.prices and bids.prices[-1] >= asks.prices[0]:
            self.proofs.crossed += 1
            return self._break(GapCause.UNKNOWN, "crossed")
        self.applied_ts = received_ts
        return Outcome.APPLIED

    def _break(self, cause: GapCause, reason: str, missed: int | None = None) -> Outcome:
        """Nothing is known any more but the stream's own numbering, which goes on."""
        tail, tail_ts = self._tail, self._tail_ts
        self.forget()
        self._tail, self._tail_ts = tail, tail_ts
        self.wanted = reason
        self.fault = Fault(cause, reason, missed)
        return Outcome.BROKEN


def _hole(update: BookUpdate, tail: int, *, afresh: bool) -> tuple[GapCause, str, int | None]:
    """What is told of an update that does not follow the number `tail`."""
    if afresh:
        return GapCause.SEQUENCE, "the venue's numbers began again", None
    return GapCause.SEQUENCE, "sequence", update.first - tail - 1 if update.first is not None else None
