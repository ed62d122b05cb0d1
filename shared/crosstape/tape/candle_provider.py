"""Live candles by callbacks or by polling, for code that expects the methods of a candle provider: `CandleProvider`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from crosstape.bus import Entry, Missed
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape.settings import BusSettings
from crosstape.tape.callback_thread import CallbackThread
from crosstape.tape.feed_reader import Feed, Hooks
from crosstape.tape.follower import Follower, candle_feed
from crosstape.tape.receivers import Receivers, feed_of_entry
from crosstape.tape.waiting_queue import WaitingQueue
from crosstape_schemas import Bar, Candle

CandleCallback: TypeAlias = Callable[[Bar | Candle], object]

log = get_log(__name__)


class CandleProvider:
    """Follows candles of any number of symbols and timeframes, for blocking code.

        provider = CandleProvider()
        provider.subscribe("BTCUSD", "1m", print)
        provider.start()
        ...
        provider.stop()

    `bus`: as of `Tape`. `venue`: whose candles (`Candle`, as that venue publishes them); without one, the consolidated bars (`Bar`, built
    from the trades of all venues). A call of `subscribe` may name another one. Prices are in quote per base, volumes in base units.

    A symbol is in any spelling: `BTC-USD`, `BTCUSD`, `BTC/USD`, `btc_usd`. One that the tape does not have may come
    later, and is followed. So is a timeframe of which it has no candles or bars, and a venue that publishes none. One warning of each (log
    events as of `Tape.events`) names what there is instead, and the setting that decides.

    An update is the candle as it is now: the open one comes again with each change, then once closed, and once more for each revision; keep
    the one with the highest `revision` of an `open_ts`. The first update is the last candle that the tape has. Callbacks run one after the
    other on one thread of the provider's own, coroutine functions as well; an error that one raises is logged, and the others are called
    all the same. Updates of subscriptions without a callback wait for `get_candle_updates`. In both ways a slow program gets the newest of
    each open candle, and each closed one; when more than `queue_candles` of these wait, the oldest are dropped, logged and counted.

    All methods may be called from any thread. When the server or the connection is lost, it connects again by itself and continues behind
    the last update. It may be started again after `stop`. `with CandleProvider() as provider:` starts and stops it.
    """

    def __init__(self, bus: str | BusSettings | None = None, *, venue: str | None = None, queue_candles: int = 10_000) -> None:
        self._venue = venue
        self._limit = queue_candles
        self._lock = threading.Lock()
        self._subscriptions: dict[Feed, Receivers[CandleCallback]] = {}
        self._polled = WaitingQueue(queue_candles)
        self._callbacks: CallbackThread | None = None
        self._follower = Follower(bus, "crosstape.candles", Hooks(self._receive, _ignore), self._polled.wake)
        self._dropped = 0

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped since nor ended by an error that waiting cannot help."""
        return self._follower.running

    @property
    def missed(self) -> int:
        """How many updates were lost since the start: dropped from a full queue, or not on the tape any more; at least."""
        return self._dropped + self._follower.missed

    def subscribe(self, symbol: str, timeframe: str, callback: CandleCallback | None = None, *, venue: str | None = None) -> None:
        """Follows the candles of a symbol, before `start` or after it. Several callbacks may follow the same ones.

        Raises `UnknownName` for a timeframe or venue that there is not, or a symbol without a letter; `BusError` as `get_candle_updates`.
        """
        feed = candle_feed(symbol, timeframe, venue or self._venue)
        self._follower.check()
        with self._lock:
            self._subscriptions.setdefault(feed, Receivers(symbol)).add(callback)
        self._follower.add(feed, symbol)

    def unsubscribe(self, symbol: str, timeframe: str, callback: CandleCallback | None = None, *, venue: str | None = None) -> None:
        """Ends the subscriptions to these candles, or with `callback` that of this one. Does nothing if there is none.

        An update that is being delivered may still come. Raises `UnknownName` as `subscribe`.
        """
        feed = candle_feed(symbol, timeframe, venue or self._venue)
        with self._lock:
            subscription = self._subscriptions.get(feed)
            if subscription is None or not subscription.remove(callback):
                return
            del self._subscriptions[feed]
        self._follower.remove(feed)

    def start(self) -> None:
        """Starts to read. Does nothing if it runs. Raises `SettingsError` for wrong settings, `BusError` if no server is set.

        Whether the server answers is not waited for.
        """
        with self._lock:
            if self._callbacks is None or self._callbacks.queue.closed:
                self._callbacks = CallbackThread("crosstape.candles.callbacks", self._limit, self._deliver, self._note_missed)
        try:
            self._follower.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends both threads. Subscriptions stay, for the next `start`; so do updates that were not polled. More than once does no harm."""
        self._follower.stop()
        if self._callbacks is not None:
            self._callbacks.stop()
        self._polled.wake()

    def get_candle_updates(self, timeout: float | None = 1.0) -> list[Bar | Candle]:
        """Returns the updates of subscriptions without a callback, oldest first, as soon as there is one; none after `timeout` seconds.

        Raises `BusError` if `start` was never called, if the server refuses us (waiting would not help), or in a process that was forked
        off since.
        """
        if not self._follower.started:
            raise BusError("this provider was not started: call start() first")
        self._follower.check()
        candles: list[Bar | Candle] = []
        for item in self._polled.get_all(timeout if self.is_running else 0):
            if isinstance(item, Missed):
                self._note_missed(item)
            elif isinstance(item.event, Bar | Candle):
                candles.append(item.event)
        if not candles:
            self._follower.check()
        return candles

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _receive(self, entry: Entry) -> None:
        """On the follower's thread: put it where it waits."""
        with self._lock:
            subscription = self._subscriptions.get(feed_of_entry(entry))
            if subscription is None:
                return
            if subscription.polled is not None and subscription.polled.accept(entry):
                self._polled.put(entry)
            if subscription.callbacks and self._callbacks is not None:
                self._callbacks.queue.put(entry)

    def _deliver(self, entry: Entry) -> None:
        """On the thread of the callbacks."""
        with self._lock:
            subscription = self._subscriptions.get(feed_of_entry(entry))
            due = [] if subscription is None else subscription.due(entry)
            thread = self._callbacks
        for callback in due:
            if thread is not None:
                thread.call(callback, entry.event)

    def _note_missed(self, missed: Missed) -> None:
        with self._lock:
            self._dropped += missed.count or 1
        log.warning("candles.dropped", stream=missed.stream, venue=missed.venue, count=missed.count, hint="callbacks or polls are too slow")


def _ignore(_feed: Feed, _events: object) -> None:
    pass
