"""Starts and stops the service of each shard as the leases of this instance change (a `Policy` for the `Elector` of the bus).

`assignment` decides which leases the instance wants. If the server does not answer until the leases may have expired, the services publish
nothing until it answers again. If no other instance has acquired the leases meanwhile, the services continue.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from crosstape.bus import Client
from crosstape.bus.client.call import UNAVAILABLE
from crosstape.bus.lease.elector import Elector
from crosstape.bus.lease.table import LeaseCountMismatch, LeaseSnapshot, LeaseTable, Want
from crosstape.errors import SettingsError, Superseded
from crosstape.settings import AggregatorSettings
from crosstape_aggregator.metrics.exporter import LEASES, LEASES_LOST, SHARES
from crosstape_aggregator.sharding.assignment import SERVICE, Assignment, Changes, Shard
from crosstape_schemas import Keys

CALL_S: Final = 1.0
"""Longest time between two calls, so that a lease that another instance releases is acquired soon."""
PATIENCE: Final = 2
"""Lives of a lease after which instances with another number of shards must still be running, and are not left from an earlier run."""

log = structlog.get_logger(__name__)


class ShardServer(Protocol):
    """Serves one shard until it is cancelled. Then it publishes its pending events, unless it is paused."""

    async def run(self) -> None:
        """Serve until cancelled. Raises `Superseded` (in a group) when another instance has started to serve the shard."""

    def pause(self) -> None:
        """Publish nothing from now on."""

    def resume(self) -> None:
        """Publish again."""


class Coordinator:
    """Holds the leases of one instance, and runs a service for each shard whose lease it has."""

    def __init__(self, client: Client, keys: Keys, settings: AggregatorSettings, serve: Callable[[Shard], ShardServer]) -> None:
        self.instance = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.leases = Assignment(self.instance, settings.shares, settings.lease_s)
        self._table = LeaseTable(
            client, keys, self.instance, SERVICE, [Shard(number, settings.shares).producer for number in range(settings.shares)]
        )
        self._life_s = settings.lease_s
        self._elector = Elector(self, settings.lease_s, longest_s=CALL_S)
        self._serve = serve
        self._services: dict[int, tuple[ShardServer, asyncio.Task[None]]] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._sure = True
        self._was_standby = False
        self._disagrees_since: float | None = None

    @property
    def answered_at(self) -> float:
        """When the server last answered, by the monotonic clock (s)."""
        return self._elector.answered_at

    def left_s(self) -> float:
        """Return the time (s) until the leases may have expired."""
        return self.leases.sure_until - time.monotonic()

    async def run(self) -> None:
        """Serve the shards whose leases this instance has, until cancelled. Then publish pending events and release all leases.

        Raises `SettingsError` when other running instances divide the instruments into another number of shards.
        """
        SHARES.set(self.leases.shares)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._elector.run()
        finally:
            self._watch_expiry(stop=True)
            LEASES.set(0)
            await self._leave()

    async def prepare(self) -> None:
        """See `Policy`. Does nothing: a call needs no preparation."""

    async def ask(self) -> LeaseSnapshot:
        """See `Policy`. Sends the wants of this instance, and returns the state of all leases."""
        return await self._table.exchange(self.leases.wants(), self._life_s)

    async def apply(self, leases: LeaseSnapshot, sent_at: float) -> bool:
        """See `Policy`. Starts and stops services. Returns whether the next call should follow at once, to acquire leases."""
        self._disagrees_since = None
        self._follow(self.leases.apply(leases, sent_at))
        return bool(self.leases.acquiring)

    def unanswered(self, reason: str) -> None:
        """See `Policy`. The caller logs each outage once."""
        log.warning("leases.no_answer", reason=reason)

    def mismatched(self, theirs: int) -> None:
        """See `Policy`. Raises `SettingsError` if this lasts for `PATIENCE` lives of a lease: the other instances are running then."""
        now = time.monotonic()
        if self._disagrees_since is None:
            self._disagrees_since = now
            log.warning("leases.disagreement", shares=self.leases.shares, theirs=theirs)
        if now - self._disagrees_since > PATIENCE * self._life_s:
            raise SettingsError(
                f"aggregator.shares = {self.leases.shares}: aggregators that run on this bus have {theirs}; it must be the same for all"
            )

    def _follow(self, changes: Changes) -> None:
        for number in changes.lost:
            LEASES_LOST.inc()
            log.warning("leases.lost", share=number, reason="another instance holds it")
            service, task = self._services.pop(number)
            service.pause()
            task.cancel()
        self._watch_expiry()
        for number in changes.start:
            log.info("leases.taken", share=number, shares=self.leases.shares)
            service = self._serve(Shard(number, self.leases.shares))
            task = self._tasks.create_task(self._watch(number, service), name=f"aggregator.shard.{number}")
            self._services[number] = service, task
        if changes.release is not None:
            log.info("leases.giving_back", share=changes.release)
            self._services[changes.release][1].cancel()
        if self.leases.is_standby and not self._was_standby:
            log.info("leases.standing_by", shares=self.leases.shares)
        self._was_standby = self.leases.is_standby
        self._update_gauge()

    def _update_gauge(self) -> None:
        LEASES.set(len(self.leases.held) if self._sure else 0)

    async def _watch(self, number: int, service: ShardServer) -> None:
        """Run the service of a shard until its lease is released or lost."""
        superseded = False
        try:
            await service.run()
        except* Superseded:
            superseded = True
            log.warning("leases.lost", share=number, reason="another instance has started to publish")
        finally:
            if number in self._services and self._services[number][0] is service:  # else it was lost, and may have been acquired again
                del self._services[number]
                if self.leases.stopped(number) and superseded:
                    LEASES_LOST.inc()
                self._update_gauge()
                self._elector.wake()

    def _watch_expiry(self, *, stop: bool = False) -> None:
        """Set a timer that pauses publishing when the leases may have expired. If it is paused, resume it: the leases are renewed."""
        if self._expiry is not None:
            self._expiry.cancel()
        if stop:
            return
        self._expiry = asyncio.get_running_loop().call_later(max(0.0, self.left_s()), self._expire)
        if not self._sure:
            self._sure = True
            log.info("leases.certain_again", held=len(self.leases.held))
            for service, _ in self._services.values():
                service.resume()

    def _expire(self) -> None:
        if not self._services:
            return
        self._sure = False
        self._update_gauge()
        log.warning("leases.uncertain", held=len(self.leases.held))
        for service, _ in self._services.values():
            service.pause()

    async def _leave(self) -> None:
        """Release all leases. If the call fails, they expire by themselves."""
        with contextlib.suppress(*UNAVAILABLE, LeaseCountMismatch):
            async with asyncio.timeout(self._elector.every_s):
                await self._table.exchange([Want.RELEASE] * self.leases.shares, 0)
        await self._table.close()
        log.info("leases.left")
