"""Counts and reports what a subscription missed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TypeAlias

from crosstape.bus import Missed
from crosstape.log import get_log
from crosstape.tape.failures import Failures
from crosstape.tape.selection import Selection

OnMissed: TypeAlias = Callable[[Missed], object]

log = get_log(__name__)


class Losses:
    """Counts what a source missed."""

    def __init__(self, wanting: Callable[[str], Iterable[Selection]], on_missed: OnMissed | None) -> None:
        """`wanting` returns the selections that a stream is read for."""
        self.on_missed = on_missed
        self.count = 0
        self._wanting = wanting
        self._logged: set[str] = set()

    @property
    def on_missed(self) -> OnMissed | None:
        """What is called; None: the first of each stream is logged."""
        return self._on_missed

    @on_missed.setter
    def on_missed(self, on_missed: OnMissed | None) -> None:
        """Raises `TypeError` for what is no plain function."""
        if on_missed is not None and (not callable(on_missed) or inspect.iscoroutinefunction(on_missed)):
            raise TypeError("on_missed is a plain function: it is called while events are read")
        self._on_missed = on_missed
        if on_missed is not None:
            self._failures = Failures(on_missed)

    def note(self, missed: Missed) -> None:
        """Count, and call back or log once a stream, unless what is missing is of a venue that is not wanted."""
        if missed.venue and not any(selection.venue in (None, missed.venue) for selection in self._wanting(missed.stream)):
            return
        self.count += 1 if missed.count is None else missed.count
        if self._on_missed is None:
            if missed.stream not in self._logged:
                self._logged.add(missed.stream)
                log.warning(
                    "tape.missed", stream=missed.stream, venue=missed.venue, epoch=missed.epoch, first=missed.first_missing,
                    count=missed.count, hint="only the first is logged; on_missed gets all",
                )  # fmt: skip
            return
        try:
            self._on_missed(missed)
        except Exception as exc:  # the user's code; events still come
            self._failures.note(exc, stream=missed.stream)
