"""Decides which shards one aggregator (instance) serves: which leases it acquires, keeps and releases. Pure; the caller passes the time.

The server keeps a lease for each shard, and a list of the live instances. Each instance repeats one call, which renews, acquires and
releases leases, and returns the state of all leases (`LeaseSnapshot`). The instance decides from this snapshot alone. Instances need no
other communication: all that see the same snapshot decide for the same division.

A lease says which instance should publish. The bus decides which instance can publish: each shard has its own producer name, and the
instance that starts to serve the shard claims this name with a newer epoch. From then on the bus refuses all events of the predecessor.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec

from crosstape.bus.lease.table import LeaseSnapshot, Want
from crosstape_schemas.keys import partition_of

SERVICE: Final = "aggregator"


class Shard(msgspec.Struct, frozen=True):
    """One part of the instruments: number `number` (from 0) of `of` parts."""

    number: int = 0
    of: int = 1

    @property
    def producer(self) -> str:
        """The producer name of the shard."""
        return SERVICE if self.of == 1 else f"{SERVICE}.{self.number}"

    def has(self, instrument: str) -> bool:
        """Whether this instrument is in the shard."""
        return self.of == 1 or partition_of(instrument, self.of) == self.number


ALL_INSTRUMENTS: Final = Shard()


class Moves(NamedTuple):
    """The leases that one instance should acquire, and the one that it should release."""

    acquire: tuple[int, ...] = ()
    release: int | None = None


class Changes(NamedTuple):
    """The shards (numbers) to start and to stop now."""

    start: tuple[int, ...]
    release: int | None
    """The shard to stop in order; then `stopped` is called."""
    lost: tuple[int, ...]
    """The shards to stop at once, because another instance holds their leases."""


def moves(table: LeaseSnapshot, me: str) -> Moves:
    """Decide which leases the instance `me` should acquire or release.

    Each free shard goes to the instance with the fewest shards. If none is free, the instance with the most shards releases one if another
    instance has at least two fewer. So a released shard does not come back to the same instance.
    """
    counts = dict.fromkeys(table.instances, 0)
    for holder in table.holders:
        if holder in counts:
            counts[holder] += 1
    acquire = []
    for number, holder in enumerate(table.holders):
        if holder is None:
            poorest = min(counts, key=lambda name: (counts[name], name))
            counts[poorest] += 1
            if poorest == me:
                acquire.append(number)
    if None in table.holders or counts[me] - min(counts.values()) < 2 or me != max(counts, key=lambda name: (counts[name], name)):
        return Moves(tuple(acquire))
    return Moves(release=max(number for number, holder in enumerate(table.holders) if holder == me))


class Assignment:
    """Tracks the leases of one instance. Only `apply` and `stopped` change which leases it wants.

    The leases may expire at `sure_until`, by the same clock as `sent_at`. They last `life_s` after the server receives the call, which is
    not before the call was sent.
    """

    def __init__(self, me: str, shares: int, life_s: float) -> None:
        self.me = me
        self.shares = shares
        self.held: set[int] = set()
        """The shards that are served, including those that are being stopped."""
        self.acquiring: frozenset[int] = frozenset()
        """The shards to acquire with the next call, which should follow at once."""
        self.sure_until = -math.inf
        self._life_s = life_s
        self._patient_until = -math.inf
        self._stopping: set[int] = set()
        self._releasing: set[int] = set()
        self._table: LeaseSnapshot | None = None

    @property
    def is_standby(self) -> bool:
        """Whether other instances held all shards at the last answer."""
        return self._table is not None and all(holder is not None and holder != self.me for holder in self._table.holders)

    def wants(self) -> list[Want]:
        """Return what to request for each shard, in the order of their numbers. It stays the same until the server has answered."""
        return [self._want(number) for number in range(self.shares)]

    def _want(self, number: int) -> Want:
        if number in self._releasing:
            return Want.RELEASE
        return Want.HOLD if number in self.held or number in self.acquiring else Want.OBSERVE

    def apply(self, table: LeaseSnapshot, sent_at: float) -> Changes:
        """Apply the server's answer to the `wants` that were sent at `sent_at`."""
        if self._table is not None and sent_at >= self.sure_until:  # the server was probably away: let the other instances renew first
            self._patient_until = sent_at + self._life_s
        self._table = table
        self.sure_until = sent_at + self._life_s
        mine = {number for number, holder in enumerate(table.holders) if holder == self.me}
        lost = self.held - mine
        start = (self.acquiring & mine) - self.held - self._releasing
        self.held = (self.held - lost) | start
        self._stopping -= lost
        self._releasing &= mine  # keep those that were stopped after this call was sent: it did not release them
        acquire, release = moves(table, self.me)
        self.acquiring = frozenset(acquire) if sent_at >= self._patient_until else frozenset()
        if release is not None and (self._stopping or release not in self.held or release in start):
            release = None  # a service that starts now is not stopped with the same answer
        if release is not None:
            self._stopping.add(release)
        return Changes(tuple(sorted(start)), release, tuple(sorted(lost)))

    def stopped(self, number: int) -> bool:
        """Note that a shard is not served any more, and release its lease if we hold it. True: it ended without a request to stop."""
        if number not in self.held:
            return False
        unasked = number not in self._stopping
        self.held.discard(number)
        self._stopping.discard(number)
        self._releasing.add(number)
        return unasked
