"""Finds out whether answers come from a venue, its testnet or a simulator, and whether they belong on this tape, before any is used."""

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
"""How long to wait for the venue's first answer before the producer's name is claimed. We must not claim the name if the answers belong on
another tape. But we must report a venue that cannot be reached, so the wait has an end."""

RETRY_S: Final = 0.1
"""Pause between attempts to ask the server."""

log = structlog.get_logger(__name__)


class OriginCheck:
    """Checks each answer of one connector's HTTP client, by `trace`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        tape: Tape,
        *,
        venue: str,
        server: str,
        mixes: bool,
        on_origin: Callable[[Origin], None],
        environment: str = "",
    ) -> None:
        """`server`: the address of the bus without secrets. `mixes`: the tape may have data of several origins. `on_origin`: called with
        the origin before the first answer is used. `environment`: the venue's testnet or sandbox that we connect to; empty: the live venue.
        """
        self.refused = False
        """Whether an answer does not belong on this tape."""
        self._client = client
        self._keys = keys
        self._tape = tape
        self._venue = venue
        self._server = server
        self._mixes = mixes
        self._on_origin = on_origin
        self._environment = environment
        self._origin: Origin | None = None
        self._has_answered = asyncio.Event()
        self._lock = asyncio.Lock()

    def trace(self) -> aiohttp.TraceConfig:
        """Return the hook for the HTTP client: a request or handshake fails with `WrongTape` if its answer belongs on another tape."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._answered)
        return config

    @property
    def belongs(self) -> bool:
        """Whether an answer has come that belongs on this tape."""
        return self._origin is not None

    async def apply_known_origin(self) -> None:
        """Pass on the origin of the data on the tape, if there is any: a venue that does not answer is assumed to have the same."""
        with contextlib.suppress(*UNAVAILABLE):
            known = await execute(self._client, "HGET", self._keys.identity(), "origin")
            if known is not None and known.decode(errors="replace") in set(Origin):
                self._on_origin(Origin(known.decode()))

    async def wait_for_answer(self) -> None:
        """Wait until the venue has answered, with data or an error, or `FIRST_S` is over."""
        try:
            async with asyncio.timeout(FIRST_S):
                await self._has_answered.wait()
        except TimeoutError:
            log.info("connector.no_answer_yet", venue=self._venue, after_s=FIRST_S)

    async def _answered(self, _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams) -> None:
        """Check an answer when its head has come. An error may come from a proxy, unless a simulated venue marks it with its header."""
        status = end.response.status
        ours = Origin.TEST if self._environment else Origin.LIVE
        origin = Origin.SIMULATED if SIMULATED_HEADER in end.response.headers else ours
        if origin is ours and not (status == 101 or 200 <= status < 300):
            self._has_answered.set()
            return
        if origin is self._origin:
            return
        async with self._lock:
            if origin is not self._origin:
                await self._agree(origin, f"{end.url.scheme}://{end.url.host}")

    async def _agree(self, origin: Origin, address: str) -> None:
        """Register this origin for the tape. Raises `WrongTape`. Waits for the bus; the timeout of the request limits this wait."""
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
        self._on_origin(origin)
        self._origin = origin
        if not known:
            self._tape.identity = found
        elif found.id == known:
            self._tape.identity = Identity(known, found.origin)
        log.info("connector.contact", venue=self._venue, environment=self._environment or "live", origin=origin, tape=found.id)
        self._has_answered.set()

    def _refusal(self, origin: Origin, address: str, found: Identity) -> str:
        source = f"{self._venue} at {address} is {self._source(origin)}"
        tape = f'the tape "{self._keys.prefix}" ({found.id}) on {self._server} holds {found.origin or "unknown"} data'
        return (
            f"{source}, but {tape}: nothing is published there. Give it its own tape: another server or bus.prefix, and another"
            " run.dir; to mix the two, start with --i-mean-it (connector.any_origin = true)"
        )

    def _source(self, origin: Origin) -> str:
        match origin:
            case Origin.SIMULATED:
                return "a simulated venue"
            case Origin.TEST:
                return f"the venue's {self._environment}"
            case Origin.LIVE:
                return "the venue itself"
