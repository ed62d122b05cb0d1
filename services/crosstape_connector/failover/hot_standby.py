"""The policy by which redundant connectors of one venue share one lease: one replica is active, the others are standbys.

`election` decides what a replica asks the lease server for. This module writes the status of this replica, reads the statuses of the
others, and starts and ends the term of this replica. An active replica that steps back on its own publishes what is pending first, and then
releases the lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator
from typing import Final, Protocol

import structlog

from crosstape.bus import Client
from crosstape.bus.client.call import UNAVAILABLE
from crosstape.bus.lease.elector import Elector
from crosstape.bus.lease.table import LeaseCountMismatch, LeaseSnapshot, LeaseTable
from crosstape_connector.failover.election import Election, PeerStatus
from crosstape_connector.failover.peers import Peers
from crosstape_schemas import Keys

log: Final = structlog.get_logger(__name__)


class Candidate(Protocol):
    """The replica that the policy decides for."""

    def status(self) -> PeerStatus:
        """Return the status of this replica now."""

    def step_back_if_lost(self) -> None:
        """Become a standby if connections to the venue are lost and another replica could take over."""

    async def drain(self, timeout_s: float) -> None:
        """Publish the pending events, as many as possible within `timeout_s`."""

    async def serve(self) -> None:
        """Run as the active replica until cancelled, or until another writer has claimed the producer's cursor."""


class HotStandby:
    """The policy of one replica; see `Policy`."""

    def __init__(self, client: Client, keys: Keys, candidate: Candidate, *, venue: str, producer: str, name: str, life_s: float) -> None:
        me = f"{name}@{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.peers: list[PeerStatus] = []
        """The statuses of the other replicas at the last answer; empty while the server does not answer."""
        self.term: asyncio.Task[None] | None = None
        """The task that runs our term; None while this replica is a standby."""
        self.resigning = False
        """Whether this replica has stepped back and has not released the lease yet."""
        self.elector = Elector(self, life_s)
        self._election = Election(me, life_s)
        self._table = LeaseTable(client, keys, me, producer, [producer])
        self._statuses = Peers(client, keys, producer, life_s)
        self._candidate = candidate
        self._venue = venue
        self._name = name
        self._life_s = life_s

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Hold the lease, or wait for it as a standby, until cancelled. Terms run as tasks of this group."""
        self._tasks = tasks
        await self.elector.run()

    def replaceable(self, feeds: int) -> bool:
        """Whether another replica could take over from one with this many feeds."""
        return any(peer.could_replace(feeds) for peer in self.peers)

    def resign(self) -> None:
        """Release the lease, if we have it, as soon as the pending events are on the tape."""
        self.resigning = self._election.active
        self.elector.wake()

    @contextlib.asynccontextmanager
    async def leaving(self) -> AsyncIterator[None]:
        """Stop calling the server; after the block, release the lease. If that call fails, the lease expires by itself."""
        async with self.elector.stopped():
            yield
            with contextlib.suppress(*UNAVAILABLE, LeaseCountMismatch):
                async with asyncio.timeout(self._life_s):
                    await self._statuses.delete(self._name)
                    self._election.resign()
                    await self._table.exchange([self._election.want], self._life_s)
            await self._table.close()

    async def prepare(self) -> None:
        """Step back if connections are lost; drain and resign after stepping back."""
        self._candidate.step_back_if_lost()
        if self.resigning:
            await self._candidate.drain(self._life_s)
            self._election.resign()
            self.resigning = False

    async def ask(self) -> LeaseSnapshot:
        """Write our status, call the lease server, and read the statuses of the other replicas."""
        await self._statuses.write(self._candidate.status())
        leases = await self._table.exchange([self._election.want], self._life_s)
        names = [instance.partition("@")[0] for instance in leases.instances if instance != self._election.me]
        self.peers = await self._statuses.read(names)
        return leases

    async def apply(self, leases: LeaseSnapshot, sent_at: float) -> bool:
        """Start a term when we have the lease, and end it when we do not. Returns whether to call the server again at once."""
        self._election.apply_answer(leases, sent_at, self._candidate.status(), self.peers)
        if self.term is not None and self.term.done():
            self.term = None
            if self._election.active:  # a connector that has no replica name, and so no lease, has claimed the cursor
                self._election.resign()
                return self._election.may_acquire
        if self._election.active and self.term is None:
            self.resigning = False
            self.term = self._tasks.create_task(self._candidate.serve(), name="replica.serve")
        elif self.term is not None and not self._election.active:
            self.term.cancel()
            await asyncio.wait([self.term])  # it ends at once, except for removing files
            self.term = None
        return self._election.may_acquire

    def unanswered(self, reason: str) -> None:
        """Forget the statuses of the other replicas, because they may be out of date. `reason`: why the server did not answer."""
        log.warning("line.no_answer", venue=self._venue, line=self._name, reason=reason)
        self.peers = []

    def mismatched(self, theirs: int) -> None:
        """Ignore an answer with another number of leases: replicas share exactly one lease, so this table belongs to another service."""
        self.unanswered(f"{theirs} leases in place of one")
