"""The face of the library for programs that block: `SyncTape`."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from crosstape.bus import Missed, Start
from crosstape.errors import BusError
from crosstape.settings import BusSettings, RecorderSettings
from crosstape.tape.blocking_source import BlockingSource
from crosstape.tape.history import History, Moment
from crosstape.tape.loop_thread import LoopThread
from crosstape.tape.losses import OnMissed
from crosstape.tape.selection import select
from crosstape.tape.source import Starts
from crosstape.tape.sync_by_kind import SyncByKind
from crosstape.tape.sync_callbacks import SyncCallbacks
from crosstape.tape.sync_subscription import SyncSubscription
from crosstape.tape.thread_tape import ThreadTape
from crosstape_schemas import AnyEvent, Event

if TYPE_CHECKING:
    from crosstape.tape.frames import Decimals, Library

E = TypeVar("E", bound=Event)
C = TypeVar("C", bound=Callable[[Any], object])


class SyncTape(SyncByKind):
    """Reads a tape, for programs without asyncio: the methods of `Tape`, blocking.

        with SyncTape("redis://localhost:6379") as tape:
            for quote in tape.cbbo("BTC-USDT"):
                print(quote.bid_price, quote.ask_price)

    `bus`, `history` and `queue_events` are those of `Tape`, and so are all policies: a loop or callback that is slow leaves events on the
    server.

    It has one thread of its own, with an event loop, from `with` (or `open`) to `close`. All methods may be called from any number of other
    threads, also where an event loop runs already, as in a notebook; they block that thread. Iterators are plain ones. Callbacks, and
    `on_missed`, are called by the thread that calls `run`, or that reads.

    After `close` its methods raise `BusError`, and loops end. A process that was forked off has to open a tape of its own.
    """

    def __init__(
        self,
        bus: str | BusSettings | None = None,
        *,
        history: str | RecorderSettings | None = None,
        queue_events: int = 10_000,
    ) -> None:
        self._tape = ThreadTape(bus, history=history, queue_events=queue_events)
        self._thread: LoopThread[ThreadTape] | None = None
        self._setup = threading.Lock()
        self._callbacks = SyncCallbacks()
        self._unclaimed: deque[Future[AnyEvent | Missed | None]] = deque()
        """Calls of `get` that were interrupted: each is answered by the next `get`. One for each interrupt at most."""

    def open(self) -> Self:
        """Starts the thread, as `with` does; for notebooks, where `close` stands in another cell. It ends with the program, too.

        Raises `SettingsError` for wrong settings, `BusError` if there are none and no `crosstape up` runs, or if it was opened before.
        """
        with self._setup:
            if self._thread is not None:
                raise BusError("this tape was opened before: make another one")
            thread = LoopThread("crosstape.tape", self._tape)
            weakref.finalize(self, thread.close)
            try:
                self._callbacks.open(thread)
            except BaseException:
                thread.close()
                raise
            self._thread = thread
        return self

    def close(self) -> None:
        """Close all that was opened, and join the thread: loops over subscriptions end. More than once does no harm."""
        if self._thread is not None:
            self._thread.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def last(self, kind: str, instrument: str) -> dict[str, Any]:
        """Returns venue → its newest event of this kind: `last("cbbo", "BTC-USDT")["consolidated"]`; none: the tape has had none.

        Of statuses, of what the tape does not have, and of errors see `Tape.last`.
        """
        return self._opened.call(self._tape.last(kind, instrument))

    def is_current(self, event: Event) -> bool:
        """Whether the producer of `event` gives signs of life, so that a state is still the present one and not the last of a dead process.

        Call it at the moment of use. It is known with the first event that a subscription or `last` returns; while the server is away
        nothing is current.
        """
        return self._opened.call(self._tape.knows_current(event))

    def instruments(self) -> list[str]:
        """Returns the names of all instruments of the tape, sorted. Raises `BusError` if the server does not answer."""
        return self._opened.call(self._tape.instruments())

    def venues(self) -> list[str]:
        """Returns the ids of all venues of the tape, sorted, and `consolidated` for the aggregators. Raises `BusError` as `instruments`."""
        return self._opened.call(self._tape.venues())

    def events(
        self,
        kind: str,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> SyncSubscription[AnyEvent]:
        """The events of a kind, by its name: `events("trade", "BTC-USDT")`, `events("bar:1m", "BTC-USDT", venue="kraken")`.

        The parameters, and what is raised, are those of `Tape.events`.
        """
        return self._subscribe(kind, instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def on(self, kind: str, *instruments: str, venue: str | None = None, start: Starts = Start.NOW) -> Callable[[C], C]:
        """Registers a callback, as a decorator: `@tape.on("trade", "BTC-USDT")`. It gets each event, on the thread that calls `run`.

        It is a function of one argument; a coroutine function runs on the tape's own thread. The parameters are those of `Tape.on`.
        """
        selection = select(kind, instruments, venue)

        def register(callback: C) -> C:
            self._callbacks.add(selection, callback, start)
            return callback

        return register

    def run(self, *, seconds: float | None = None, on_missed: OnMissed | None = None) -> None:
        """Reads the events of all callbacks and calls these, for `seconds`, or until the tape is closed.

        One callback runs at a time, on this thread, each in the order of its streams. An error that one raises is logged
        (`tape.callback_failed`, of each callback once a minute), and the others are called all the same. While they are slow, events stay
        on the server. Another `run` continues behind the last event. Raises `BusError` if there is no callback, if another thread runs
        them, or as a subscription does.
        """
        self._opened.check()
        self._callbacks.run(seconds, on_missed)

    def follow(self, kind: str, *instruments: str, venue: str | None = None, start: Starts = Start.NOW) -> None:
        """Reads these events into the queue that `get` polls, beside what is followed already. See `Tape.follow`."""
        self._opened.call(self._tape.follow_selection(select(kind, instruments, venue), start))

    def unfollow(self, kind: str, *instruments: str, venue: str | None = None) -> None:
        """Ends a `follow` that was called with the same arguments. What is in the queue stays there."""
        self._opened.call(self._tape.unfollow_soon(kind, *instruments, venue=venue))

    def get(self, timeout_s: float | None = None) -> AnyEvent | Missed | None:
        """Returns the next event of what is followed, or a `Missed`; None if none came within `timeout_s`, or when the tape is closed.

        Any number of threads may wait; each item goes to one. An interrupted call loses none. For many events a loop over a subscription is
        cheaper: each call here changes threads. See `Tape.get`.
        """
        thread = self._opened
        thread.check()
        try:
            future, waits = self._unclaimed.popleft(), timeout_s
        except IndexError:
            future, waits = thread.submit(self._tape.get(timeout_s)), None
        try:
            return thread.result(future, waits)
        except TimeoutError:
            self._unclaimed.appendleft(future)
            return None
        except Exception:
            raise
        except BaseException:  # a KeyboardInterrupt
            self._unclaimed.append(future)
            raise

    def collect(self, subscription: SyncSubscription[E], *, n: int = 1_000, seconds: float | None = None) -> list[E]:
        """Returns the next `n` events of a subscription, oldest first; fewer if `seconds` are over, or when it is closed.

        The subscription stays open and continues behind them. Raises as a loop over it does.
        """
        if n < 1:
            raise ValueError(f"n = {n}: it is at least 1")
        found: list[E] = []
        deadline = None if seconds is None else time.monotonic() + seconds
        while len(found) < n and not subscription.closed:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            if (event := subscription.next(timeout_s=left)) is not None:
                found.append(event)
        return found

    def history(
        self,
        kind: str,
        instrument: str,
        *,
        from_ts: Moment | None = None,
        to_ts: Moment | None = None,
        venue: str | None = None,
        limit: int | None = None,
    ) -> History[Any]:
        """Returns events of the past from the tape, oldest first: `history("bar:1m", "BTC-USDT", venue="consolidated", limit=60)`.

        The parameters, and what is raised, are those of `Tape.history`.
        """
        return self._opened.call(self._tape.history(kind, instrument, from_ts=from_ts, to_ts=to_ts, venue=venue, limit=limit))

    def frame(
        self,
        kind: str,
        instrument: str,
        *,
        from_ts: Moment | None = None,
        to_ts: Moment | None = None,
        venue: str | None = None,
        limit: int | None = None,
        library: Library = "polars",
        decimals: Decimals = "exact",
    ) -> Any:
        """Returns `history` as a DataFrame of polars or pandas, with a row for each event and a column for each field.

        Decimals are exact, or floats with `decimals="float"`. The extra `frames` has polars; pandas needs pyarrow beside it. Without
        events it has all columns and no row. Raises as `history`, and `FrameError` if the library is not installed.
        """
        from crosstape.tape.frames import frame_of  # noqa: PLC0415  # loads a library for DataFrames

        frame_of([], kind, library=library, decimals=decimals)  # raises before the past is read, and not after it
        events = self.history(kind, instrument, from_ts=from_ts, to_ts=to_ts, venue=venue, limit=limit)
        return frame_of(events, kind, library=library, decimals=decimals)

    def _subscribe(
        self, kind: str, instruments: tuple[str, ...], *, venue: str | None, start: Starts, newest: bool, on_missed: OnMissed | None
    ) -> SyncSubscription[Any]:
        selection = select(kind, instruments, venue)
        thread = self._opened
        source = BlockingSource(thread, thread.call(self._tape.source(newest=newest)), newest=newest)
        source.set_on_missed(on_missed)
        subscription: SyncSubscription[Any] = SyncSubscription(self._tape.connection, source)
        thread.call(self._tape.select(source.source, selection, start))
        return subscription

    @property
    def _opened(self) -> LoopThread[ThreadTape]:
        if self._thread is None:
            raise BusError("the tape is not open: use it within `with SyncTape() as tape`, or call open()")
        return self._thread
