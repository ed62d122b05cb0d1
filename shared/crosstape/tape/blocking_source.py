"""Hands the entries of an event source over to blocking callers on other threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from crosstape.bus import Entry, Missed
from crosstape.log import get_log
from crosstape.tape.failures import name_of
from crosstape.tape.loop_thread import LoopThread, TapeClosed
from crosstape.tape.losses import OnMissed
from crosstape.tape.source import EventSource

Pulled: TypeAlias = tuple[list[Entry], dict[str, str]]
"""Entries, and the positions of the source behind them."""

R = TypeVar("R")

log = get_log(__name__)


class BlockingSource:
    """Pulls entries when a caller wants some: at most one answer of the server waits here, and the rest stays on the server.

    Several threads may call; each entry goes to one of them. An interrupted call loses nothing: what it waited for is returned next.
    """

    def __init__(self, thread: LoopThread[Any], source: EventSource, *, newest: bool = False) -> None:
        self.source = source
        self.positions: dict[str, str] = {}
        """Stream → id up to which its events were returned."""
        self._thread = thread
        self._on_missed: OnMissed | None = None
        self._reports: deque[Missed] = deque()  # those of one answer
        self._newest = newest
        self._turn = threading.RLock()  # `on_missed` may read, too
        self._ready: deque[Entry] = deque()
        self._behind: dict[str, str] = {}
        """Positions behind the entries that are ready."""
        self._pending: Future[Pulled] | None = None

    def set_on_missed(self, on_missed: OnMissed | None) -> None:
        """Sets what is called with each `Missed`, on the caller's thread, before the events that follow. None: they are logged."""
        self._on_missed = on_missed
        self.source.losses.on_missed = None if on_missed is None else self._reports.append

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._thread.closed or self.source.closed

    def next_entry(self, timeout_s: float | None) -> Entry | None:
        """Returns the next entry; None: none came within the time, or it is closed."""
        return self._taken(timeout_s, self._pop)

    def entries(self, timeout_s: float | None) -> list[Entry]:
        """Returns all entries that are ready, or the next ones; none within the time, or when closed."""
        return self._taken(timeout_s, self._drain) or []

    def close(self) -> None:
        """End it: a caller that waits gets nothing."""
        try:
            if not self.closed:
                self._thread.call(self.source.aclose())
        except TapeClosed:
            return  # by another thread, at the same time

    def _taken(self, timeout_s: float | None, take: Callable[[], R]) -> R | None:
        """Waits for the turn and until entries are ready, and takes of them; None when the time is over or it is closed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._thread.check_process()  # before the lock: in a forked process nobody may release it
        if not self._turn.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s)):
            return None
        try:
            while not self._ready and not self.closed:
                self._pull(None if deadline is None else max(0.0, deadline - time.monotonic()))
                self._report()
                if not self._ready and deadline is not None and time.monotonic() >= deadline:
                    return None
            return take() if self._ready and not self.closed else None
        finally:
            self._turn.release()

    def _pop(self) -> Entry:
        entry = self._ready.popleft()
        if not self._newest:  # else entries that were conflated into later ones may stand before it
            self.positions[entry.stream] = entry.id
        if not self._ready:
            self.positions.update(self._behind)
        return entry

    def _drain(self) -> list[Entry]:
        entries = list(self._ready)
        self._ready.clear()
        self.positions.update(self._behind)
        return entries

    def _pull(self, timeout_s: float | None) -> None:
        """Ask the source. What was asked before, in a call that was interrupted, is still to come."""
        waits = timeout_s
        try:
            if self._pending is None:
                self._pending, waits = self._thread.submit(self._ask(timeout_s)), None
            found, self._behind = self._thread.result(self._pending, waits)
        except TimeoutError:
            if self._pending is None or not self._pending.done():
                return
            self._pending = None
            raise
        except TapeClosed:
            return
        except Exception:
            self._pending = None
            raise
        self._pending = None
        self._ready.extend(found)
        if not found:
            self.positions.update(self._behind)

    async def _ask(self, timeout_s: float | None) -> Pulled:
        if self._newest:
            entry = await self.source.next_entry(timeout_s=timeout_s)
            entries = [] if entry is None else [entry]
        else:
            entries = await self.source.entries(timeout_s=timeout_s)
        return entries, dict(self.source.positions)

    def _report(self) -> None:
        while self._reports and (on_missed := self._on_missed) is not None:
            missed = self._reports.popleft()
            try:
                on_missed(missed)
            except Exception as exc:  # the user's code; events still come
                log.error("tape.callback_failed", callback=name_of(on_missed), stream=missed.stream, exc_info=exc)
