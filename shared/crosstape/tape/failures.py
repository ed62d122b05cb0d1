"""Logs the errors of callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from crosstape.log import get_log

LOG_S: Final = 60.0
"""A callback that fails again and again is logged once in this time."""

log = get_log(__name__)


class Failures:
    """The errors that one callback raised: all are counted, and one is logged in `LOG_S` at most."""

    def __init__(self, callback: Callable[..., object]) -> None:
        self.count = 0
        self._name = name_of(callback)
        self._logged_s = float("-inf")
        self._logged = 0

    def note(self, exc: BaseException, **fields: str) -> None:
        """Count an error, and log it with its traceback and how many there were since the last one that was logged."""
        self.count += 1
        now = time.monotonic()
        if now >= self._logged_s + LOG_S:
            log.error("tape.callback_failed", callback=self._name, **fields, failures=self.count - self._logged, exc_info=exc)
            self._logged_s, self._logged = now, self.count


def name_of(callback: Callable[..., object]) -> str:
    """Returns what a callback is called in the log."""
    return str(getattr(callback, "__qualname__", None) or type(callback).__name__)
