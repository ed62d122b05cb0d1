"""Remembers that the disk of a spool failed: pauses attempts, counts each failure, and logs it once until it works again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from crosstape.bus.metrics.hooks import PublisherMetrics
from crosstape.log import get_log

RETRY_S: Final = 1.0
"""Pause after an error of the disk, or while another process has the lock."""

log = get_log(__name__)


class DiskHealth:
    """The health of the disk below one spool. Reading and writing (`use`) and forcing to disk (`sync`) fail and recover apart."""

    def __init__(self, path: Path, metrics: PublisherMetrics) -> None:
        self._path = path
        self._metrics = metrics
        self._retry_at = 0.0
        self._failing: set[str] = set()

    @property
    def pausing(self) -> bool:
        """Whether nothing should be tried now, because an attempt failed a moment ago."""
        return time.monotonic() < self._retry_at

    def failed(self, exc: OSError) -> None:
        """Note that reading or writing failed, and pause."""
        self._retry_at = time.monotonic() + RETRY_S
        self._note("use", exc)

    def sync_failed(self, exc: OSError) -> None:
        """Note that forcing to disk failed."""
        self._note("sync", exc)

    def worked(self, what: str) -> None:
        """Note that `use` or `sync` worked."""
        if what in self._failing:
            self._failing.remove(what)
            log.info("bus.spool_well", spool=str(self._path), what=what)

    def _note(self, what: str, exc: OSError) -> None:
        self._metrics.spool_error()
        if what not in self._failing:
            self._failing.add(what)
            log.error("bus.spool_failed", spool=str(self._path), what=what, reason=f"{type(exc).__name__}: {exc.strerror or exc}")
