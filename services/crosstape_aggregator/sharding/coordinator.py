"""Keeps the leases of one aggregator: asks the server, starts and stops the service of each share accordingly.

A third of a lease's life lies between two calls, a second at most, and one more comes when a lease of another would run out. When the
server has not answered for as long as the leases may last, nothing is published until it does; if nobody has taken them meanwhile, all goes
on as it was.
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
from crosstape.bus.lease.table import LeaseCountMismatch, LeaseSnapshot, LeaseTable, Want
from crosstape.errors import SettingsError, Superseded
from crosstape.settings import AggregatorSettings
from crosstape_aggregator.metrics.exporter import LEASES, LEASES_LOST, SHARES
from crosstape_aggregator.sharding.assignment import SERVICE, Assignment, Changes, Share
from crosstape_schemas import Keys

CALLS: Final = 3
"""In the life of a lease …"""
CALL_S: Final = 1.0
"""… and not seldomer than this: what another gives back should not lie there."""
MARGIN_S: Final = 0.01
"""After a lease has run out, its holder counts as dead, too: both happen at the same ms of the server's clock."""
PATIENCE: Final = 2
"""Lives of a lease after which instances that want another number of shares are not the remains of an earlier run."""

log = structlog.get_logger(__name__)


class Service(Protocol):
    """Serves one share until it is cancelled, and then publishes what is pending if it may."""

    async def run(self) -> None:
        """Raises `Superseded` (in a group) when another has begun to serve the share."""

    def pause(self) -> None:
        """Publish nothing from now on."""

    def resume(self) -> None:
        """Publish again."""


class Coordinator:
    """One instance's leases, and the services that run by them."""

    def __init__(self, client: Client, keys: Keys, settings: AggregatorSettings, serve: Callable[[Share], Service]) -> None:
        self.instance = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.leases = Assignment(self.instance, settings.shares, settings.lease_s)
        self.answered_at = float("-inf")
        """When the server last answered, by the monotonic clock."""
        self._table = LeaseTable(
            client, keys, self.instance, SERVICE, [Share(number, settings.shares).producer for number in range(settings.shares)]
        )
        self._life_s = settings.lease_s
        self._every_s = min(settings.lease_s / CALLS, CALL_S)
        self._serve = serve
        self._services: dict[int, tuple[Service, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        self._sure = True
        self._well = True
        self._stood_by = False
        self._disagrees_since: float | None = None

    def left_s(self) -> float:
        """For how long the leases are certain."""
        return self.leases.sure_until - time.monotonic()

    async def run(self) -> None:
        """Until cancelled; then what is pending is published and all leases are given back.

        Raises `SettingsError` when living instances divide the instruments into another number of shares.
        """
        SHARES.set(self.leases.shares)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    pause_s = await self._turn(tasks)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await self._wake.wait()
                    self._wake.clear()
        finally:
            self._watch_expiry(stop=True)
            LEASES.set(0)
            await self._leave()

    async def _turn(self, tasks: asyncio.TaskGroup) -> float:
        """Ask, do what follows, and ask again at once if there is something to take. How long to wait then."""
        while True:
            sent_at = time.monotonic()
            table = await self._ask()
            if table is None:
                return self._every_s / CALLS
            self._apply(self.leases.answered(table, sent_at), tasks)
            if not self.leases.taking:
                return min(self._every_s, table.next_expiry_s + MARGIN_S)

    async def _ask(self) -> LeaseSnapshot | None:
        """The table; None, and the reason in the log once, if the server did not answer in time."""
        try:
            async with asyncio.timeout(self._every_s):
                table = await self._table.exchange(self.leases.wants(), self._life_s)
        except UNAVAILABLE as exc:
            if self._well:
                log.warning("leases.no_answer", reason=str(exc) or type(exc).__name__)
            self._well = False
            return None
        except LeaseCountMismatch as exc:
            self._disagree(exc.theirs)
            return None
        self._well, self._disagrees_since, self.answered_at = True, None, time.monotonic()
        return table

    def _disagree(self, theirs: int) -> None:
        now = time.monotonic()
        if self._disagrees_since is None:
            self._disagrees_since = now
            log.warning("leases.disagreement", shares=self.leases.shares, theirs=theirs)
        if now - self._disagrees_since > PATIENCE * self._life_s:
            raise SettingsError(
                f"aggregator.shares = {self.leases.shares}: aggregators that run on this bus have {theirs}; it must be the same for all"
            )

    def _apply(self, changes: Changes, tasks: asyncio.TaskGroup) -> None:
        for number in changes.lost:
            LEASES_LOST.inc()
            log.warning("leases.lost", share=number, reason="another instance holds it")
            service, task = self._services.pop(number)
            service.pause()
            task.cancel()
        self._watch_expiry()
        for number in changes.begin:
            log.info("leases.taken", share=number, shares=self.leases.shares)
            service = self._serve(Share(number, self.leases.shares))
            task = tasks.create_task(self._watch(number, service), name=f"aggregator.share.{number}")
            self._services[number] = service, task
        if changes.give is not None:
            log.info("leases.giving_back", share=changes.give)
            self._services[changes.give][1].cancel()
        if self.leases.stands_by and not self._stood_by:
            log.info("leases.standing_by", shares=self.leases.shares)
        self._stood_by = self.leases.stands_by
        self._show()

    def _show(self) -> None:
        LEASES.set(len(self.leases.held) if self._sure else 0)

    async def _watch(self, number: int, service: Service) -> None:
        """Serve a share, until it is given back or lost."""
        superseded = False
        try:
            await service.run()
        except* Superseded:
            superseded = True
            log.warning("leases.lost", share=number, reason="another instance has begun to publish")
        finally:
            if number in self._services and self._services[number][0] is service:  # else it was lost, and may have been taken anew
                del self._services[number]
                if self.leases.ended(number) and superseded:
                    LEASES_LOST.inc()
                self._show()
                self._wake.set()

    def _watch_expiry(self, *, stop: bool = False) -> None:
        """Have publishing pause when the leases may have run out, and go on now that they have been renewed."""
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
        self._show()
        log.warning("leases.uncertain", held=len(self.leases.held))
        for service, _ in self._services.values():
            service.pause()

    async def _leave(self) -> None:
        """Say that we are gone; should that not get through, the leases run out by themselves."""
        with contextlib.suppress(*UNAVAILABLE, LeaseCountMismatch):
            async with asyncio.timeout(self._every_s):
                await self._table.exchange([Want.RELEASE] * self.leases.shares, 0)
        await self._table.close()
        log.info("leases.left")
