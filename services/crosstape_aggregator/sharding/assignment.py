"""Decides which shards of the instruments one aggregator serves: which leases it acquires, keeps and releases. Pure; time comes in as a
value.

The server keeps a lease for each shard and a list of the instances that live. Each instance makes one call again and again: renew my
leases, acquire these, release those, and answer how all leases stand then (`LeaseSnapshot`). What to do next follows from that answer
alone. Instances need not talk to each other: all that see the same snapshot come to the same division.

A lease says who should publish. Who can publish is decided by the bus: a shard has a producer name of its own, and the instance that
starts to serve it claims the cursor of that name with a newer epoch. From then on everything that a predecessor still sends is refused.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec

from crosstape.bus.lease.table import LeaseSnapshot, Want
from crosstape_schemas.keys import partition_of

SERVICE: Final = "aggregator"


class Shard(msgspec.Struct, frozen=True):
    """One of `of` parts of the instruments, numbered from 0."""

    number: int = 0
    of: int = 1

    @property
    def producer(self) -> str:
        """The producer name of its owner."""
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
    """Numbers of the shards whose service starts or ends."""

    start: tuple[int, ...]
    release: int | None
    """Stop this one in order, then call `stopped`."""
    lost: tuple[int, ...]
    """Another instance holds them: stop at once."""


def moves(table: LeaseSnapshot, me: str) -> Moves:
    """Give each free shard to the instance with the fewest. If none is free, the instance with the most releases one while another has two
    fewer: one at a time, and never so that it would come back.
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
    """The leases of one instance. Between two answers, only `stopped` changes what it wants.

    `sure_until` is when the leases may have expired, by the clock that `sent_at` is of: they last `life_s` from when the server gets the
    call, which is not before it was sent.
    """

    def __init__(self, me: str, shares: int, life_s: float) -> None:
        self.me = me
        self.shares = shares
        self.held: set[int] = set()
        """Numbers of the shards that are served, including those that are being stopped."""
        self.acquiring: frozenset[int] = frozenset()
        """Numbers of the shards to acquire with the next call, which should follow at once."""
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
        """What to ask for, by shard. It stays the same until there is an answer."""
        return [self._want(number) for number in range(self.shares)]

    def _want(self, number: int) -> Want:
        if number in self._releasing:
            return Want.RELEASE
        return Want.HOLD if number in self.held or number in self.acquiring else Want.OBSERVE

    def apply(self, table: LeaseSnapshot, sent_at: float) -> Changes:
        """Apply the server's answer to the `wants` that were sent at `sent_at`."""
        if self._table is not None and sent_at >= self.sure_until:  # the server was away, it seems: let the other instances renew first
            self._patient_until = sent_at + self._life_s
        self._table = table
        self.sure_until = sent_at + self._life_s
        mine = {number for number, holder in enumerate(table.holders) if holder == self.me}
        lost = self.held - mine
        start = (self.acquiring & mine) - self.held - self._releasing
        self.held = (self.held - lost) | start
        self._stopping -= lost
        self._releasing &= mine  # one that was added meanwhile was not released by this call
        acquire, release = moves(table, self.me)
        self.acquiring = frozenset(acquire) if sent_at >= self._patient_until else frozenset()
        if release is not None and (self._stopping or release not in self.held or release in start):
            release = None  # a service that only starts now must have run before it is stopped
        if release is not None:
            self._stopping.add(release)
        return Changes(tuple(sorted(start)), release, tuple(sorted(lost)))

    def stopped(self, number: int) -> bool:
        """A shard is not served any more, for any reason: release its lease if we hold it. True: the end was not asked for."""
        if number not in self.held:
            return False
        unasked = number not in self._stopping
        self.held.discard(number)
        self._stopping.discard(number)
        self._releasing.add(number)
        return unasked
