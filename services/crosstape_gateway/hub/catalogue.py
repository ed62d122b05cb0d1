"""Knows which streams the tape has, and which instruments and venues: looked up once a second in the registry."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Final, Protocol

import structlog

from crosstape.bus import Client
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.bus.client.reasons import is_hopeless, place, reason
from crosstape.errors import BusError
from crosstape_gateway.topics import VENUE, Topic
from crosstape_schemas import Keys

REFRESH_S: Final = 1.0
PAUSE_S: Final = 0.1
"""Shortest pause between two looks."""
ANSWER_S: Final = 1.5
"""A bus that does not answer within this time is away."""

REPEAT_S: Final = 60.0
"""An outage that lasts is logged again after this time."""

NEXT_S: Final = PAUSE_S + 2 * ANSWER_S
"""Longest wait for another look."""


log = structlog.get_logger(__name__)


class OnNew(Protocol):
    """Called with the streams that a look has found and the ones before had not."""

    def __call__(self, places: set[tuple[str, str]], *, fresh: bool) -> None:
        """`fresh`: a look before had not found them: they were made since."""


class OnAnswer(Protocol):
    """Called after each look."""

    def __call__(self, *, answered: bool) -> None:
        """`answered`: whether the bus did."""


class Catalogue:
    """The streams of the tape, as (kind, instrument), or ("venue", venue). Those that have been seen stay."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.streams: set[tuple[str, str]] = set()
        self.on_new: OnNew = lambda places, *, fresh: None
        self.on_answer: OnAnswer = lambda *, answered: None
        self.answers = False
        """Whether the last look has succeeded: what it has not found, the tape does not have."""
        self._wanted = asyncio.Event()
        self._next_look = asyncio.Event()
        self._lost_s = 0.0  # since when the bus does not answer; 0: it does
        self._next_log_s = 0.0  # when that is logged again
        self._looked = False  # whether a look has succeeded yet

    async def run(self) -> None:
        """Look until cancelled. While the bus is away the streams are those known before.

        Raises `BusError` where no look has succeeded yet and waiting cannot help, as with a wrong password.
        """
        while True:
            self._wanted.clear()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self.look()
            except UNAVAILABLE as exc:  # a TimeoutError is an OSError
                if not self._looked and is_hopeless(exc):
                    raise BusError(f"the bus {place(self._client)} cannot be used: {reason(exc)}") from exc
                self.answers = False
                self._log_failure(exc)
                self.on_answer(answered=False)
            else:
                self.answers = True
                self._log_answer()
                self.on_answer(answered=True)
            looked, self._next_look = self._next_look, asyncio.Event()
            looked.set()
            await asyncio.sleep(PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), REFRESH_S - PAUSE_S)

    def _log_failure(self, exc: Exception) -> None:
        """Log an outage at its start, and again after `REPEAT_S` each time: an operator need not find the first line."""
        now_s = time.monotonic()
        self._lost_s = self._lost_s or now_s
        if now_s >= self._next_log_s:
            self._next_log_s = now_s + REPEAT_S
            log.warning("bus.unavailable", who="gateway", reason=f"{type(exc).__name__}: {exc}".removesuffix(": "))

    def _log_answer(self) -> None:
        if self._lost_s:
            log.info("bus.available", who="gateway", away_s=round(time.monotonic() - self._lost_s, 3))
            self._lost_s = self._next_log_s = 0.0

    async def next_look(self) -> None:
        """Wait until `run` has looked again, which is soon, or in vain. A client names a stream that is not known."""
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._next_look.wait(), NEXT_S)

    async def look(self) -> None:
        """Look once. Raises one of `UNAVAILABLE`."""
        found: set[tuple[str, str]] = set()
        for partition in range(self._keys.partitions):
            names = await execute(self._client, "SMEMBERS", self._keys.registry(partition))
            found.update(one for name in names if (one := self._keys.parse(name.decode(errors="replace"))) is not None)
        fresh, self._looked = self._looked, True
        if new := found - self.streams:
            self.streams |= new
            self.on_new(new, fresh=fresh)

    @property
    def instruments(self) -> list[str]:
        """Names of all instruments."""
        return sorted({instrument for kind, instrument in self.streams if kind != VENUE})

    @property
    def venues(self) -> list[str]:
        """Ids of all venues that have a stream of their own; `consolidated` for the aggregators."""
        return sorted(name for kind, name in self.streams if kind == VENUE)

    def matching(self, topics: Iterable[Topic]) -> set[tuple[str, str]]:
        """Returns the streams that belong to these topics; a topic without a pattern has its one stream, whether it exists yet or not."""
        found: set[tuple[str, str]] = set()
        for topic in topics:
            if topic.is_pattern:
                found.update(stream for stream in self.streams if topic.includes(*stream))
            else:
                found.add((topic.kind, topic.instrument))
        return found
