"""Decides which replica of a venue is active: what one replica asks the lease server for, and what the answer means. Pure.

The lease names the replica that should publish. Which replica is able to publish is decided by the claim of the cursor
(`crosstape.bus.lease.fencing`). So a mistake here causes a silence or an unnecessary takeover, but never loses a trade.

- The active replica renews the lease while it can, and releases it for a healthy standby when its own connections are lost.
- A standby acquires a lease at once if it has expired or was released. If the lease is absent for neither reason, the server may have lost
  it. Then the last active replica should acquire it first, because it has the backlog: a standby waits for one life of the lease. After an
  outage of the server it waits, too.
- An unhealthy replica leaves the lease to a healthy one, for at most `WAIT_FOR_HEALTHY` lives: the status of the other may be out of date.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

import msgspec

from crosstape.bus.lease.table import LeaseSnapshot, Want

WAIT_FOR_HEALTHY: Final = 3
"""How long an unhealthy replica leaves a free lease to a replica whose status is healthy, in lives of the lease."""


class PeerStatus(msgspec.Struct, frozen=True, rename={"replica": "line", "healthy": "well"}):
    """The status of one replica, which it writes for the other replicas and for operators. JSON at `Keys.line`, with older field names."""

    replica: str
    active: bool
    """Whether it publishes."""
    healthy: bool
    """Whether it could publish: every feed that should be live is live, and no trade is missing between the tape and its buffer."""
    covered: bool
    """Whether another replica could take over from this one."""
    live: int
    """Number of live feeds."""
    feeds: int
    """Number of all feeds."""
    connections: int
    """Number of open connections to the venue."""
    held: int
    """Number of trades in the buffer of a standby."""
    ts: int
    """When the status was written, ns since the epoch."""

    def could_replace(self, feeds: int) -> bool:
        """Whether this replica could take over from one with this many feeds."""
        return self.healthy and self.feeds >= feeds


class Election:
    """The election as one replica sees it. Times are seconds of the monotonic clock."""

    def __init__(self, me: str, life_s: float) -> None:
        self.me = me
        self.active = False
        """Whether we had the lease at the last answer."""
        self.may_acquire = False
        """Whether the lease is free for us: the next call acquires it, and should follow at once."""
        self._life_s = life_s
        self._releasing = False
        self._holder: str | None = None
        self._ends_at = math.inf
        self._free_since: float | None = None
        self._answered_at = -math.inf

    @property
    def want(self) -> Want:
        """The request for the next call to the lease server."""
        if self._releasing:
            return Want.RELEASE
        return Want.HOLD if self.active or self.may_acquire else Want.OBSERVE

    def resign(self) -> None:
        """Release the lease with the next call."""
        self._releasing, self.may_acquire = True, False

    def apply_answer(self, table: LeaseSnapshot, sent_at: float, me: PeerStatus, others: Collection[PeerStatus]) -> None:
        """Apply the answer to a call that was sent at `sent_at`, and the statuses of all replicas. Sets `active` and `may_acquire`."""
        holder = table.holders[0]
        after_outage = sent_at - self._answered_at > self._life_s
        self._answered_at = sent_at
        if holder is not None:
            mine = holder == self.me and not self._releasing
            self.active, self.may_acquire, self._free_since = mine, False, None
            self._holder, self._ends_at = holder, sent_at + table.next_expiry_s
            self._releasing = self._releasing and holder == self.me
            return
        if after_outage:
            self._holder, self._free_since = None, None
        if self._free_since is None:
            self._free_since = sent_at
        if self._releasing:
            self._holder, self._releasing = self.me, False
        self.active = False
        self.may_acquire = self._is_free_for_us(table, sent_at, me, others)

    def _is_free_for_us(self, table: LeaseSnapshot, now: float, me: PeerStatus, others: Collection[PeerStatus]) -> bool:
        free_s = now - self._free_since if self._free_since is not None else 0.0
        if not me.healthy and any(other.could_replace(me.feeds) for other in others) and free_s < WAIT_FOR_HEALTHY * self._life_s:
            return False
        was_released = self._holder is not None and self._holder in table.instances and self._holder != self.me
        has_expired = self._holder is not None and now >= self._ends_at
        is_alone = self._holder == self.me and not others
        return was_released or has_expired or is_alone or free_s >= self._life_s
