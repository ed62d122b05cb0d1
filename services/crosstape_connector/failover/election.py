"""Decides which replica of a venue is active: what one replica wants of the lease, and what the server's answer means. Pure.

The lease says who is to publish. Who can publish is decided by the claim of the cursor (`crosstape.bus.lease.fencing`), so a mistake here
costs a silence or an unnecessary takeover, never a trade.

- The active replica renews the lease while it can, and gives it up to a healthy standby when its own connections are lost.
- A standby takes a lease at once that has expired or was given up. A lease that is merely absent may have been lost by the server: then
  the last active replica, which has the backlog, is to come first, so a standby waits for one life of the lease. The same after an outage.
- A replica that is not healthy leaves the lease to a healthy one, for `PATIENCE` lives at most: a status may be out of date.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

import msgspec

from crosstape.bus.lease.table import LeaseSnapshot, Want

PATIENCE: Final = 3
"""Lives of a lease for which an unhealthy replica waits for one whose status says that it is healthy."""


class PeerStatus(msgspec.Struct, frozen=True, rename={"replica": "line", "healthy": "well"}):
    """The status of one replica, as it writes it for the others and for operators. JSON at `Keys.line`, with its older names."""

    replica: str
    active: bool
    """Whether it publishes."""
    healthy: bool
    """Whether it could publish: every feed is live that should be, and no trade is missing between the tape and its buffer."""
    covered: bool
    """Whether another replica could take over from this one."""
    live: int
    """Live feeds …"""
    feeds: int
    """… of all feeds."""
    connections: int
    """Open connections to the venue."""
    held: int
    """Trades in the standby's buffer."""
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
        self._life_s = life_s
        self._taking = False
        self._giving = False
        self._holder: str | None = None
        self._ends_at = math.inf
        self._free_since: float | None = None
        self._answered_at = -math.inf

    @property
    def want(self) -> Want:
        """What to ask the server for next."""
        if self._giving:
            return Want.RELEASE
        return Want.HOLD if self.active or self._taking else Want.OBSERVE

    @property
    def taking(self) -> bool:
        """Whether the lease can be taken with the next call, which should follow at once."""
        return self._taking

    def resign(self) -> None:
        """Give the lease back with the next call."""
        self._giving, self._taking = True, False

    def answered(self, table: LeaseSnapshot, sent_at: float, me: PeerStatus, others: Collection[PeerStatus]) -> None:
        """Apply the server's answer to `want`, sent at `sent_at`, and the statuses of all replicas. Sets `active` and `taking`."""
        holder = table.holders[0]
        away = sent_at - self._answered_at > self._life_s
        self._answered_at = sent_at
        if holder is not None:
            mine = holder == self.me and not self._giving
            self.active, self._taking, self._free_since = mine, False, None
            self._holder, self._ends_at = holder, sent_at + table.next_expiry_s
            self._giving = self._giving and holder == self.me
            return
        if away:
            self._holder, self._free_since = None, None
        if self._free_since is None:
            self._free_since = sent_at
        if self._giving:
            self._holder, self._giving = self.me, False
        self.active = False
        self._taking = self._may_take(table, sent_at, me, others)

    def _may_take(self, table: LeaseSnapshot, now: float, me: PeerStatus, others: Collection[PeerStatus]) -> bool:
        free_s = now - self._free_since if self._free_since is not None else 0.0
        if not me.healthy and any(one.could_replace(me.feeds) for one in others) and free_s < PATIENCE * self._life_s:
            return False
        given_up = self._holder is not None and self._holder in table.instances and self._holder != self.me
        ran_out = self._holder is not None and now >= self._ends_at
        alone = self._holder == self.me and not others
        return given_up or ran_out or alone or free_s >= self._life_s
