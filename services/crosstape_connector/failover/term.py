"""One term of an active replica: from acquiring the lease until the lease is lost or released, or another replica publishes.

A term begins with a claim, after which no other replica can write. It publishes nothing about its end, because another replica continues
the tape.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from crosstape.bus import Client, Publisher
from crosstape.bus.client.call import UNAVAILABLE
from crosstape.bus.lease.fencing import FencingToken, claim
from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.bus.read.last_values import last_values
from crosstape.bus.spool.tape_identity import Tape
from crosstape.errors import BusError, Superseded
from crosstape.settings import BusSettings
from crosstape_connector.publishing.predecessor import LastEvents
from crosstape_schemas import Keys

CLAIM_SETTLE_S: Final = 0.2
"""Pause between the claim and the first event. The replica that was active before us may receive a message a little earlier than we do:
after this pause we have received it, too."""

RETRY_S: Final = 0.1
"""Pause between attempts to claim, and to read where the tape ends."""

log = structlog.get_logger(__name__)


class TermPlan(NamedTuple):
    """The fixed parts of every term of one replica: where it publishes, and as which producer."""

    client: Client
    keys: Keys
    settings: BusSettings
    metrics: PublisherMetrics
    venue: str
    producer: str
    replica: str
    spool: Path
    """A directory that no other replica uses."""
    tape: Tape
    on_acknowledged: Callable[[int], None]
    """See `Publisher`."""

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """Return (kind, instrument) → the newest event on the tape; pairs without an event are left out. Raises `BusError`."""
        return await last_values(self.client, self.keys, wanted, self.venue)

    async def remove_spool(self) -> None:
        """Remove the spool with its content, except what is kept there for other tapes."""

        def remove() -> None:
            for one in self.spool.glob("*-of-*"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(one)

        await asyncio.to_thread(remove)


class Term:
    """Runs one term. Call `run` only once."""

    def __init__(self, plan: TermPlan) -> None:
        self.publisher: Publisher | None = None
        """The publisher; None before the claim."""
        self.keeps_spool = False
        """Whether events that are pending at the end stay in the spool, for the next start of this replica. Set if no other replica can
        take over."""
        self.discarded = 0
        """Number of events that were pending at the end and were discarded."""
        self._plan = plan

    @property
    def pending(self) -> int:
        """See `Publisher`."""
        return 0 if self.publisher is None else self.publisher.pending

    @property
    def acknowledged(self) -> int:
        """See `Publisher`."""
        return 0 if self.publisher is None else self.publisher.acknowledged

    async def run(
        self,
        wanted: Callable[[], Sequence[tuple[str, str]]],
        start: Callable[[Publisher, LastEvents], None],
        stop: Callable[[], None],
    ) -> None:
        """Publish until cancelled, or until another replica has claimed the cursor.

        `start` is called once, with the newest event on the tape of each (kind, instrument) in `wanted()`. `stop` is called before the
        publisher is closed: nothing may be published from then on.
        """
        plan = self._plan
        claimed = await self._claim()
        if claimed.previous not in {None, plan.replica}:
            await plan.remove_spool()  # another replica has continued the tape since
        publisher = self.publisher = Publisher(
            plan.client,
            plan.keys,
            plan.settings,
            producer=plan.producer,
            metrics=plan.metrics,
            spool=plan.spool,
            epoch=claimed.epoch,
            tape=plan.tape,
            on_acknowledged=plan.on_acknowledged,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(), name="replica.publish")
                await publisher.claimed()
                await asyncio.sleep(CLAIM_SETTLE_S)
                start(publisher, await self._end_of_tape(wanted))
        except* Superseded:
            self.keeps_spool = False
        finally:
            stop()
            left = publisher.unacknowledged or publisher.pending
            publisher.close()
            if not self.keeps_spool:
                await self._discard(left)

    async def _claim(self) -> FencingToken:
        """Claim the cursor. Waits for the bus."""
        plan = self._plan
        while True:
            with contextlib.suppress(*UNAVAILABLE):
                return await claim(plan.client, plan.keys, plan.producer, plan.replica)
            await asyncio.sleep(RETRY_S)

    async def _end_of_tape(self, wanted: Callable[[], Sequence[tuple[str, str]]]) -> LastEvents:
        """Read where the tape ends, now that no other replica can write. Reads again if an instrument was added meanwhile."""
        while True:
            asked = list(wanted())
            with contextlib.suppress(BusError):
                tape = await self._plan.last_events(asked)
                if asked == list(wanted()):
                    return tape
                continue
            await asyncio.sleep(RETRY_S)

    async def _discard(self, left: int) -> None:
        """Drop `left` unpublished events: another replica has them from its own connection, or reports a gap."""
        plan = self._plan
        plan.metrics.pending(0)
        plan.metrics.spool(0, 0)
        if left:
            self.discarded = left
            log.warning("line.discarded", venue=plan.venue, line=plan.replica, events=left)
        await plan.remove_spool()
