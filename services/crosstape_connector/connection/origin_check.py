"""Whose answers these are, the venue's or a simulator's, and whether they belong on this tape: known before the first one is used."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import aiohttp
import structlog

from crosstape.bus import Client
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.bus.spool.tape_identity import Identity, Tape
from crosstape.errors import WrongTape
from crosstape.origin import SIMULATED_HEADER, Origin
from crosstape_schemas import Keys

FIRST_S: Final = 3.0
"""How long the tape is left alone for the venue's first answer. A venue that is out of reach must be said to be; and the name of a producer
must not be claimed for what does not belong here."""

RETRY_S: Final = 0.1
"""Between attempts to ask the server."""

log = structlog.get_logger(__name__)


class OriginCheck:
    """Of one connector: looks at each answer of its HTTP client, by `trace`."""

    def __init__(
        self, client: Client, keys: Keys, tape: Tape, *, venue: str, server: str, mixes: bool, told: Callable[[Origin], None]
    ) -> None:
        """`server`: its address, fit to be shown. `mixes`: any origin may be on the tape. `told` hears of the origin before it is used."""
        self.refused = False
        """What was heard does not belong on this tape."""
        self._client = client
        self._keys = keys
        self._tape = tape
        self._venue = venue
        self._server = server
        self._mixes = mixes
        self._told = told
        self._origin: Origin | None = None
        self._heard = asyncio.Event()
        self._lock = asyncio.Lock()

    def trace(self) -> aiohttp.TraceConfig:
        """For the HTTP client: a request fails with `WrongTape` whose answer does not belong on this tape. So do handshakes."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._answered)
        return config

    async def expect(self) -> None:
        """Tell what the tape holds so far, if anything: a venue that does not answer is taken for one of that kind."""
        with contextlib.suppress(*UNAVAILABLE):
            known = await execute(self._client, "HGET", self._keys.identity(), "origin")
            if known is not None and known.decode(errors="replace") in set(Origin):
                self._told(Origin(known.decode()))

    async def first(self) -> None:
        """Return when the venue was heard of, or answers with an error, or did not answer for `FIRST_S`."""
        try:
            async with asyncio.timeout(FIRST_S):
                await self._heard.wait()
        except TimeoutError:
            log.info("connector.no_answer_yet", venue=self._venue, after_s=FIRST_S)

    async def _answered(self, _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams) -> None:
        """An answer has begun. An error may be of anything between us and the venue, unless a simulated venue says that it is its own."""
        status = end.response.status
        origin = Origin.SIMULATED if SIMULATED_HEADER in end.response.headers else Origin.LIVE
        if origin is Origin.LIVE and not (status == 101 or 200 <= status < 300):
            self._heard.set()
            return
        if origin is self._origin:
            return
        async with self._lock:
            if origin is not self._origin:
                await self._agree(origin, f"{end.url.scheme}://{end.url.host}")

    async def _agree(self, origin: Origin, address: str) -> None:
        """Have the tape take this origin. Raises `WrongTape`. Waits for the bus, as long as the request may take."""
        while True:
            try:
                found = await self._tape.identify(self._client, self._keys, origin=origin)
                break
            except UNAVAILABLE:
                await asyncio.sleep(RETRY_S)
        known = self._tape.identity.id
        if found.origin != origin:
            text = self._refusal(origin, address, found)
            if not self._mixes:
                self.refused = True
                raise WrongTape(text)
            log.warning("connector.origins_mixed", venue=self._venue, origin=origin, tape_origin=found.origin, tape=found.id)
        self._told(origin)
        self._origin = origin
        if not known:
            self._tape.identity = found
        elif found.id == known:
            self._tape.identity = Identity(known, found.origin)
        log.info("connector.contact", venue=self._venue, origin=origin, tape=found.id)
        self._heard.set()

    def _refusal(self, origin: Origin, address: str, found: Identity) -> str:
        heard = f"{self._venue} at {address} is {'a simulated venue' if origin is Origin.SIMULATED else 'the venue itself'}"
        tape = f'the tape "{self._keys.prefix}" ({found.id}) on {self._server} holds {found.origin or "unknown"} data'
        return (
            f"{heard}, but {tape}: nothing of it is published there. Give it a tape of its own: another server or bus.prefix, and another"
            " run.dir; to mix the two, start with --i-mean-it (connector.any_origin = true)"
        )
