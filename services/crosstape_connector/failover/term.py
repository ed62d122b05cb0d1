"""One time of publishing of a redundant line: from having the lease until it is lost, given up, or another publishes.

Begins with a claim, after which nobody else can write; ends without a trace, since another goes on from what is on the tape.
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

SETTLE_S: Final = 0.2
"""Between the claim and the first event: what the former read a little earlier than we did has reached us, too, by then."""

RETRY_S: Final = 0.1
"""Between attempts to claim, and to read where the tape ends."""

log = structlog.get_logger(__name__)


class TermPlan(NamedTuple):
    """Where a line publishes."""

    client: Client
    keys: Keys
    settings: BusSettings
    metrics: PublisherMetrics
    venue: str
    producer: str
    line: str
    spool: Path
    """The directory of this line's own."""
    tape: Tape

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """(kind, instrument) → the newest on the tape, of those that have one. Raises `BusError`."""
        return await last_values(self.client, self.keys, wanted, self.venue)

    async def remove_spool(self) -> None:
        """With what is in it, but for what is kept there for other tapes."""

        def remove() -> None:
            for one in self.spool.glob("*-of-*"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(one)

        await asyncio.to_thread(remove)


class Term:
    """`run` once."""

    def __init__(self, seat: TermPlan) -> None:
        self.publisher: Publisher | None = None
        """From the claim on."""
        self.keeps_spool = False
        """What is pending at the end is for a successor of this line: no other is to go on from there."""
        self.discarded = 0
        """How much was pending, if it does not."""
        self._seat = seat

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
        begin: Callable[[Publisher, LastEvents], None],
        end: Callable[[], None],
    ) -> None:
        """Until cancelled, or another has claimed. `begin` is called once, with the newest on the tape of each (kind, instrument) that is
        `wanted()`; `end` before anything is given up: nothing is to be published from then on.
        """
        seat = self._seat
        claimed = await self._claim()
        if claimed.previous not in {None, seat.line}:
            await seat.remove_spool()  # another line has gone on from there
        publisher = self.publisher = Publisher(
            seat.client,
            seat.keys,
            seat.settings,
            producer=seat.producer,
            metrics=seat.metrics,
            spool=seat.spool,
            epoch=claimed.epoch,
            tape=seat.tape,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(), name="line.publish")
                await publisher.claimed()
                await asyncio.sleep(SETTLE_S)
                begin(publisher, await self._end_of_tape(wanted))
        except* Superseded:
            self.keeps_spool = False
        finally:
            end()
            left = publisher.unacknowledged or publisher.pending
            publisher.close()
            if not self.keeps_spool:
                await self._discard(left)

    async def _claim(self) -> FencingToken:
        """Waits for the bus."""
        seat = self._seat
        while True:
            with contextlib.suppress(*UNAVAILABLE):
                return await claim(seat.client, seat.keys, seat.producer, seat.line)
            await asyncio.sleep(RETRY_S)

    async def _end_of_tape(self, wanted: Callable[[], Sequence[tuple[str, str]]]) -> LastEvents:
        """Nobody else can write any more. An instrument that was added meanwhile is asked for, too."""
        while True:
            asked = list(wanted())
            with contextlib.suppress(BusError):
                tape = await self._seat.last_events(asked)
                if asked == list(wanted()):
                    return tape
                continue
            await asyncio.sleep(RETRY_S)

    async def _discard(self, left: int) -> None:
        """What was not on the tape yet: another has the same from its own connection, or tells it as a gap."""
        seat = self._seat
        seat.metrics.pending(0)
        seat.metrics.spool(0, 0)
        if left:
            self.discarded = left
            log.warning("line.discarded", venue=seat.venue, line=seat.line, events=left)
        await seat.remove_spool()
