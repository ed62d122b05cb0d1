"""Follows feeds of single venues on a thread of its own, by symbols in any spelling: for `CandleProvider` and `StreamCollector`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress

from crosstape.errors import BusError, CrosstapeError, UnknownName
from crosstape.log import get_log
from crosstape.settings import BusSettings
from crosstape.tape.feed_reader import Feed, FeedReader, Hooks
from crosstape.tape.loop_thread import LoopThread, TapeClosed
from crosstape.tape.selection import ALL, check_timeframe, select
from crosstape.tape.symbols import common
from crosstape.tape.thread_tape import ThreadTape
from crosstape_schemas import CONSOLIDATED

log = get_log(__name__)


def feed_of(kind: str, symbol: str, venue: str) -> Feed:
    """Returns a feed. Raises `UnknownName` for a kind or venue that is none, and for a symbol without a letter."""
    select(kind, (ALL,), venue)
    key = common(symbol)
    if not key:
        raise UnknownName(f"{symbol!r:.40} is no symbol: one looks like BTC-USD, BTCUSD or BTC/USD")
    return Feed(kind, key, venue)


def candle_feed(symbol: str, timeframe: str, venue: str | None) -> Feed:
    """Returns the feed of consolidated bars (`venue` None or `consolidated`) or of a venue's candles. Raises `UnknownName` as `feed_of`."""
    check_timeframe(timeframe)
    if venue in (None, CONSOLIDATED):
        return feed_of(f"bar:{timeframe}", symbol, CONSOLIDATED)
    return feed_of(f"candle:{timeframe}", symbol, venue or "")


class Follower:
    """Reads feeds from `start` to `stop`. They may be added and removed at any time, from any thread, and stay when it is stopped.

    A feed begins with the last value that the tape has. An instrument that the tape does not have is looked for every second. While the
    server is away it waits, and then continues behind the last event.
    """

    def __init__(self, bus: str | BusSettings | None, name: str, hooks: Hooks, on_end: Callable[[], None]) -> None:
        """`on_end` is called when it ends because of an error, which `check` raises then."""
        self._bus = bus
        self._name = name
        self._hooks = hooks
        self._on_end = on_end
        self._lock = threading.RLock()
        self._feeds: dict[Feed, str] = {}
        self._thread: LoopThread[FeedReader] | None = None
        self._failed: BaseException | None = None
        self._at_exit: weakref.finalize[[], Follower] | None = None

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return self._thread is not None

    @property
    def running(self) -> bool:
        """Whether it reads now, or waits for the server."""
        return self._thread is not None and not self._thread.closed and self._failed is None

    @property
    def instruments(self) -> dict[Feed, str]:
        """Feed → the name of its instrument on the tape; empty while that is not known."""
        with self._lock:
            known = {} if self._thread is None else dict(self._thread.opened.instruments)
            return {feed: known.get(feed, "") for feed in self._feeds}

    @property
    def missed(self) -> int:
        """See `FeedReader.missed`; since the start."""
        return 0 if self._thread is None else self._thread.opened.missed

    def start(self) -> None:
        """Start the thread. Does nothing if it runs. Raises `SettingsError`, or `BusError` if no server is set."""
        with self._lock:
            if self.running:
                return
            self.stop()
            self._failed = None
            self._thread = thread = LoopThread(self._name, self._opened())
            self._at_exit = weakref.finalize(self, thread.close)  # for a program that forgets to stop it
            for feed, symbol in self._feeds.items():
                thread.call(thread.opened.add(feed, symbol))
            thread.submit(thread.opened.run()).add_done_callback(self._note_end)

    def stop(self) -> None:
        """End the thread and close the connections. More than once does no harm."""
        if self._at_exit is not None:
            self._at_exit()

    def check(self) -> None:
        """Raises what has ended the reading (`BusError`: waiting cannot help), and `BusError` in a process that was forked off since."""
        if self._thread is not None:
            self._thread.check_process()
        if self._failed is not None:
            raise BusError(str(self._failed)) from self._failed

    def add(self, feed: Feed, symbol: str) -> None:
        """Follow a feed. One that is followed already begins with its last value again."""
        self.check()
        with self._lock:
            self._feeds.setdefault(feed, symbol)
            if self._thread is not None and self.running:
                with suppress(TapeClosed):  # it is being stopped: the feed is read after the next start
                    self._thread.call(self._thread.opened.add(feed, symbol))

    def remove(self, feed: Feed) -> None:
        """Do not follow it any more."""
        with self._lock:
            if self._feeds.pop(feed, None) is not None and self._thread is not None and self.running:
                with suppress(TapeClosed):
                    self._thread.call(self._thread.opened.remove(feed))

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[FeedReader]:
        async with ThreadTape(self._bus) as tape:
            yield FeedReader(tape, self._hooks)

    def _note_end(self, future: Future[None]) -> None:
        if not future.cancelled() and (exc := future.exception()) is not None:
            self._failed = exc
            unexpected = None if isinstance(exc, CrosstapeError) else exc  # a traceback would show settings
            log.error("tape.follower_failed", thread=self._name, reason=str(exc), exc_info=unexpected)
            self._on_end()
