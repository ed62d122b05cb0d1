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
    """Whether the store can be used, as the last attempt showed."""

    def __init__(self) -> None:
        self.is_away = False
        self._since_s = 0.0
        self._logged: tuple[str, float] = ("", 0.0)
        self._pause_s = FIRST_PAUSE_S

    async def until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await `call()`, and repeat it while it raises `HistoryError`, with jittered, growing pauses. Returns its answer.

        `call` must be safe to repeat. There is no deadline: nothing can be done without the store, and the streams keep what is not read.
        """
        while True:
            try:
                answer = await call()
            except HistoryError as exc:
                self._note_failure(exc)
                await asyncio.sleep(random.uniform(self._pause_s / 2, self._pause_s))  # noqa: S311 - jitter
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            else:
                self._note_answer()
                return answer

    def _note_failure(self, exc: HistoryError) -> None:
        now_s = time.monotonic()
        metrics.STORE_ERRORS.inc()
        metrics.STORE_AWAY.set(1)
        self._since_s = self._since_s if self.is_away else now_s
        self.is_away = True
        reason, at_s = self._logged
        if reason != str(exc) or now_s >= at_s + REPEAT_S:
            self._logged = str(exc), now_s
            log.warning("recorder.store_unavailable", reason=str(exc), away_s=round(now_s - self._since_s, 1))

    def _note_answer(self) -> None:
        if self.is_away:
            log.info("recorder.store_available", away_s=round(time.monotonic() - self._since_s, 3))
        self.is_away, self._logged, self._pause_s = False, ("", 0.0), FIRST_PAUSE_S
        metrics.STORE_AWAY.set(0)
