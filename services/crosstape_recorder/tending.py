"""Merges small commits and deletes old history, beside recording."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Final

import structlog

from crosstape.errors import HistoryError
from crosstape.history.store import Store
from crosstape.settings import RecorderSettings
from crosstape_recorder import metrics

FIRST_S: Final = 60.0
"""After a start the first round comes this soon, so that there is one even where the process is often started again."""
EXPIRE_S: Final = 3600.0
"""How often old history is deleted where nothing is merged."""
DAY_NS: Final = 86_400_000_000_000

log = structlog.get_logger(__name__)


async def tend(store: Store, settings: RecorderSettings) -> None:
    """Merge and delete until cancelled, every `compact_s`. A round that fails is logged, and the next one does its work."""
    if not settings.compact_s and not settings.keep_days and not settings.keep_bytes:
        return
    pause_s = settings.compact_s or EXPIRE_S
    await asyncio.sleep(min(FIRST_S, pause_s))
    while True:
        await tend_once(store, settings)
        await asyncio.sleep(pause_s)


async def tend_once(store: Store, settings: RecorderSettings) -> None:
    """Merge and delete once, as far as the settings ask for it. Old days are deleted also where merging fails."""
    if settings.compact_s:
        with _logged("merging"):
            merged = await store.compact()
            metrics.MERGED.inc(merged)
            if merged:
                log.info("recorder.compacted", commits=merged)
    if settings.keep_days or settings.keep_bytes:
        with _logged("deleting"):
            before_ts = time.time_ns() - settings.keep_days * DAY_NS if settings.keep_days else None
            rows = await store.expire(before_ts=before_ts, max_bytes=settings.keep_bytes or None)
            metrics.EXPIRED.inc(rows)
            if rows:
                log.info("recorder.expired", rows=rows)


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log that the block fails; the next round does its work."""
    try:
        yield
    except HistoryError as exc:
        metrics.STORE_ERRORS.inc()
        log.warning("recorder.tending_failed", what=what, reason=str(exc))
