"""Waits until the server answers, and logs when that changes, not at every attempt."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.backoff import FullJitterBackoff
from redis.exceptions import ReadOnlyError

from crosstape.bus.client.call import UNAVAILABLE, Client, drop_idle_connections
from crosstape.bus.client.reasons import is_hopeless, place, reason, suspicion
from crosstape.errors import BusError
from crosstape.log import get_log

T = TypeVar("T")

FIRST_PAUSE_S: Final = 0.05
FAILURES: Final = 32
"""The greatest exponent of a pause: far beyond any cap, and no number too large."""
TEXTS: Final = 20
"""How many different reasons are logged in one outage at most."""

REPEAT_S: Final = 60.0
"""A reason that lasts is logged again after this time: an operator need not find the first line of an outage."""

SUSPECT_S: Final = 10.0
"""How long to wait at the start for a server that answers as if only one side spoke TLS: the server may be just starting."""

log = get_log(__name__)


class Availability:
    """The availability of the server for all connections of one publisher or reader; `who` names that in the log."""

    def __init__(self, client: Client, who: str, *, backoff_s: float, reconnected: Callable[[float], None], starting: bool = False) -> None:
        """`starting`: until the caller sets it to False, an error that waiting cannot help is raised.

        `reconnected` is called with the seconds of an outage when it is over.
        """
        self._client = client
        self._who = who
        self._pauses = FullJitterBackoff(cap=backoff_s, base=FIRST_PAUSE_S)
        self._reconnected = reconnected
        self._lost: set[object] = set()
        self._answered = False
        self._since = 0.0
        self.starting = starting
        self._suspected_at = 0.0
        self._texts: dict[str, float] = {}

    @property
    def answering(self) -> bool:
        """Whether the last call of each caller was answered."""
        return not self._lost

    async def until_answered(self, call: Callable[[], Awaitable[T]], caller: object) -> T:
        """Await `call()`, and repeat it while it raises one of `UNAVAILABLE`, with jittered, growing, capped pauses. Returns its answer.

        `call` must be safe to repeat. There is no deadline: nothing can be done without the server, and cancellation ends it. Raises
        `BusError` while `starting`, where waiting cannot help.
        """
        try:
            for failures in itertools.count():
                try:
                    answer = await call()
                except UNAVAILABLE as exc:
                    await self._note_failure(exc, caller)
                    if failures:  # a connection that was only closed meanwhile is made again at once
                        await asyncio.sleep(self._pauses.compute(min(failures - 1, FAILURES)))
                else:
                    self._note_answer(caller)
                    return answer
        finally:
            self._lost.discard(caller)  # it has stopped calling
        raise AssertionError("unreachable: it is repeated for ever")

    async def _note_failure(self, exc: Exception, caller: object) -> None:
        if not self._lost:
            self._since = time.monotonic()
        self._lost.add(caller)
        now = time.monotonic()
        text, suspected = f"{type(exc).__name__}: {exc}", ""
        if not self._answered:
            suspected = suspicion(self._client, exc)
            text += suspected
        if self.starting:
            self._give_up(exc, suspected, now)
        logged_at = self._texts.get(text)
        if (logged_at is None and len(self._texts) < TEXTS) or (logged_at is not None and now >= logged_at + REPEAT_S):
            self._texts[text] = now
            log.warning("bus.unavailable", who=self._who, reason=text)
        if isinstance(exc, ReadOnlyError):
            await drop_idle_connections(self._client)

    def _give_up(self, exc: Exception, suspected: str, now: float) -> None:
        """Raise `BusError` if waiting cannot help."""
        self._suspected_at = (self._suspected_at or now) if suspected else 0.0
        if is_hopeless(exc) or (suspected and now >= self._suspected_at + SUSPECT_S):
            raise BusError(f"the bus {place(self._client)} cannot be used: {reason(exc)}{suspected}") from exc

    def _note_answer(self, caller: object) -> None:
        self._answered = True
        if caller in self._lost:
            self._lost.remove(caller)
            if self._lost:
                return
            away_s = time.monotonic() - self._since
            self._texts.clear()
            self._reconnected(away_s)
            log.info("bus.available", who=self._who, away_s=round(away_s, 3))
