"""Uses the store while it can be used, and waits while it cannot: logs when that changes, not at every attempt."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from crosstape.errors import HistoryError
from crosstape_recorder import metrics

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
REPEAT_S: Final = 60.0
"""A reason that lasts is logged again after this time: an operator need not find the first line of an outage."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class StoreAvailability:
    """Whether the store can be used, as the last attempt of each kind showed.

    A store that cannot be used at all is logged once, not for each kind.
    """

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}
        """Kind → since when the store does not take its rows (monotonic)."""
        self._logged: dict[str, float] = {}
        """Reason → when it was logged (monotonic)."""

    @property
    def is_away(self) -> bool:
        """Whether the store takes not all of what is to be written."""
        return bool(self._since_s)

    def is_refused(self, kind: str) -> bool:
        """Whether the store does not take the rows of a kind."""
        return kind in self._since_s

    async def until_done(self, call: Callable[[], Awaitable[T]], *, kind: str = "") -> T:
        """Await `call()`, and repeat it while it raises `HistoryError`, with jittered, growing pauses. Returns its answer.

        `call` must be safe to repeat. There is no deadline: nothing can be done without the store, and the streams keep what is not read.
        `kind`: that it is about; empty: all of the store.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer = await call()
            except HistoryError as exc:
                self._note_failure(kind, exc)
                await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self._note_answer(kind)
                return answer

    def _note_failure(self, kind: str, exc: HistoryError) -> None:
        now_s = time.monotonic()
        metrics.STORE_ERRORS.inc()
        metrics.STORE_AWAY.set(1)
        since_s = self._since_s.setdefault(kind, now_s)
        if now_s >= self._logged.get(str(exc), float("-inf")) + REPEAT_S:
            self._logged[str(exc)] = now_s
            log.warning("recorder.store_unavailable", kind=kind or None, reason=str(exc), away_s=round(now_s - since_s, 1))

    def _note_answer(self, kind: str) -> None:
        since_s = self._since_s.pop(kind, None)
        if since_s is not None and not self._since_s:
            log.info("recorder.store_available", away_s=round(time.monotonic() - since_s, 3))
            self._logged.clear()
            metrics.STORE_AWAY.set(0)
