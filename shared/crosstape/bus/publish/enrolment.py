"""Enrols a publisher before its first batch: learns which tape the server holds, and claims the producer's name for a new epoch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from crosstape.bus.lease.fencing import claim_alone
from crosstape.bus.publish.producer import Producer
from crosstape.bus.spool.spool import Spool
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import BusError
from crosstape.log import get_log

log = get_log(__name__)


class Enrolment:
    """The enrolment of one publisher, for all its partitions together."""

    def __init__(self, producer: Producer, spools: Sequence[Spool], *, claims: bool, yields: bool) -> None:
        """`claims`: find the epoch here, because the caller has not claimed one. `yields`: see `claim_alone`."""
        self.done = False
        self._producer = producer
        self._spools = spools
        self._claims = claims
        self._yields = yields
        self._lock = asyncio.Lock()

    async def ensure(self) -> None:
        """Enrol once, and return when it is done; waits while the server is away. Raises `Superseded`, and `BusError` for a bad cursor."""
        async with self._lock:
            if self.done:
                return
            await self._identify()
            if self._claims:
                producer = self._producer
                producer.epoch = await producer.availability.until_answered(
                    lambda: claim_alone(producer.client, producer.keys, producer.name, yields=self._yields), self
                )
            self.done = True

    async def restore(self) -> None:
        """Give a server that lost data its identity again. Raises `BusError` if it holds another tape now."""
        async with self._lock:
            await self._identify()

    async def _identify(self) -> None:
        producer = self._producer
        tape, client, keys = producer.tape, producer.client, producer.keys
        own = next((found for spool in self._spools if (found := spool.found_identity()).id), Identity())
        found = await producer.availability.until_answered(lambda: tape.identify(client, keys, presumed=own), self)
        known = tape.identity
        if known.id and found.id != known.id:
            raise BusError(
                f"{producer.name}: the server holds tape {found.id or '?'} ({found.origin or 'of unknown origin'}) now, not {known.id}"
                f" ({known.origin or 'of unknown origin'}), which this process has been writing; a new start goes on with what is there"
            )
        tape.identity = found
        if not known.id:
            log.info("bus.tape", producer=producer.name, tape=found.id, origin=found.origin)
