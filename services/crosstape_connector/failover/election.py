"""Which of a venue's redundant lines publishes: what one of them wants of the lease, and what an answer of the server means. Pure.

The lease says who is to publish; who can is for the bus, by the claim of the cursor (`crosstape.bus.lease.fencing`). So a mistake here
costs a silence or a change more than was needed, never a trade.

- The line that publishes renews the lease while it can, and gives it up to one that is well when its own connections are lost.
- One that stands by takes a lease that ran out, or was given up, at once. One that is simply not there may be one that the server
  lost: then whoever published, who has the backlog, is to come first, so it is left alone for a life of it. So, too, after an outage.
- One that is not well leaves it to one that is, for three lives at most: a word of being well may be out of date.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

import msgspec

from crosstape.bus.lease.table import LeaseSnapshot, Want

PATIENCE: Final = 3
"""Lives of a lease for which a line that is not well waits for one that says it is."""


class PeerStatus(msgspec.Struct, frozen=True):
    """How a line is, as it says itself to the others and to whoever looks: `Keys.line`, as JSON."""

    line: str
    active: bool
    """It publishes."""
    well: bool
    """It could: each feed is live that should be, and nothing is missing between the tape and what it holds."""
    covered: bool
    """Another line is well, so that it could take this one's place."""
    live: int
    """Feeds that are live …"""
    feeds: int
    """… of so many."""
    connections: int
    """Open ones to the venue."""
    held: int
    """Trades that wait for a takeover."""
    ts: int
    """When it said so, ns."""

    def could_replace(self, feeds: int) -> bool:
        """Whether a line with so many feeds may leave its work to this one."""
        return self.well and self.feeds >= feeds


class Election:
    """What one line knows. Times are of the monotonic clock, in seconds."""

    def __init__(self, me: str, life_s: float) -> None:
        self.me = me
        self.active = False
        """The lease was ours when it was last asked for."""
        self._life_s = life_s
        self._taking = False
        self._giving = False
        self._holder: str | None = None
        self._ends_at = math.inf
        self._free_since: float | None = None
        self._answered_at = -math.inf

    @property
    def want(self) -> Want:
        """What to ask for next."""
        if self._giving:
            return Want.RELEASE
        return Want.HOLD if self.active or self._taking else Want.OBSERVE

    @property
    def taking(self) -> bool:
        """To be had with the next call, which should come at once."""
        return self._taking

    def resign(self) -> None:
        """Give the lease back with the next call."""
        self._giving, self._taking = True, False

    def answered(self, table: LeaseSnapshot, sent_at: float, me: PeerStatus, others: Collection[PeerStatus]) -> None:
        """The server's answer to what `want` said at `sent_at`; how all lines are. From it follow `active` and `taking`."""
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
        if not me.well and any(one.could_replace(me.feeds) for one in others) and free_s < PATIENCE * self._life_s:
            return False
        given_up = self._holder is not None and self._holder in table.instances and self._holder != self.me
        ran_out = self._holder is not None and now >= self._ends_at
        alone = self._holder == self.me and not others
        return given_up or ran_out or alone or free_s >= self._life_s
