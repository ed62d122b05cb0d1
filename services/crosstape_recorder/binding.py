"""Keeps the events of different tapes apart: a store has the history of one tape, which it knows by its identity.

A tape whose server has lost all its data, and whose producers were started again meanwhile, is another tape. An operator says that its
history goes on in the same store (`crosstape recorder adopt`), unless it is of another origin: live and simulated events never mix.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from crosstape.bus import Client
from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import WrongTape
from crosstape.history.store import Store
from crosstape_schemas import Keys

POLL_S: Final = 0.5
"""How often to look whether a new server has a tape."""

log = structlog.get_logger(__name__)


async def tape_of(client: Client, keys: Keys) -> Identity:
    """Returns the tape on the server; with an empty id, there is none yet. Raises one of `call.UNAVAILABLE`."""
    found = await execute(client, "HMGET", keys.identity(), "id", "origin")
    return Identity(*((part or b"").decode(errors="replace") for part in found))


async def wait_for_tape(client: Client, keys: Keys, availability: Availability) -> Identity:
    """Returns the tape once a producer has made one. Raises `BusError` where waiting for the server cannot help."""
    logged = False
    while not (tape := await availability.until_answered(lambda: tape_of(client, keys), wait_for_tape)).id:
        if not logged:
            log.info("recorder.waits_for_tape", reason="nothing was published on this bus yet")
        logged = True
        await asyncio.sleep(POLL_S)
    availability.starting = False
    return tape


async def bind(store: Store, tape: Identity, *, adopt: bool = False) -> bool:
    """Bind the store to this tape, unless it is already. Returns whether it was not.

    `adopt`: also if it has the history of another tape of the same origin. Raises `WrongTape` for any other tape, and `HistoryError`.
    """
    while True:
        tapes = await store.tapes()
        bound = tapes[-1] if tapes else Identity()
        if bound == tape or (bound.id == tape.id and not tape.origin):
            return False
        if bound.id and {bound.origin, tape.origin} - {""} == {bound.origin, tape.origin} and bound.origin != tape.origin:
            raise WrongTape(
                f"recorder.store: it has the history of a tape of {bound.origin} venues, and this tape is {tape.origin}: record it to"
                " another store"
            )
        if bound.id not in ("", tape.id) and not adopt:
            raise WrongTape(
                f"recorder.store: it has the history of the tape {bound.id}, and this is the tape {tape.id}. If this server took the place"
                " of one that lost its data, run `crosstape recorder adopt` once; else record it to another store"
            )
        if await store.bind(tape, after=len(tapes)):
            return True


class Binding:
    """The tape that is recorded. While it is on the server, what was read is of it."""

    def __init__(self, client: Client, keys: Keys, tape: Identity) -> None:
        self._client = client
        self._keys = keys
        self._tape = tape

    async def check(self) -> None:
        """Raise `WrongTape` if the server has another tape now. One that was emptied, or does not answer, has none."""
        try:
            found = await tape_of(self._client, self._keys)
        except UNAVAILABLE:
            return
        if found.id and found.id != self._tape.id:
            raise WrongTape(
                f"the bus has another tape than before: {found.id}, not {self._tape.id}. If its server lost its data, run"
                " `crosstape recorder adopt` once, so that its history goes on in the same store"
            )
