"""The face of the library for programs that read the tape: `Tape`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from crosstape.bus import Missed, Start
from crosstape.errors import BusError
from crosstape.history.store import Store
from crosstape.runtime.announced_server import located
from crosstape.settings import BusSettings, RecorderSettings
from crosstape.settings.load import load
from crosstape.tape.by_kind import ByKind
from crosstape.tape.callbacks import Callbacks
from crosstape.tape.collect import collect
from crosstape.tape.connection import TapeConnection
from crosstape.tape.followed_queue import FollowedQueue
from crosstape.tape.history import History, Moment, history_of, range_of
from crosstape.tape.last import last_by_venue
from crosstape.tape.losses import OnMissed
from crosstape.tape.recorded import joined_history, store_of_tape
from crosstape.tape.selection import ALL, VENUE_KINDS, select
from crosstape.tape.source import Starts
from crosstape.tape.subscription import Subscription
from crosstape_schemas import AnyEvent, Event

if TYPE_CHECKING:
    from crosstape.tape.frames import Decimals, Library

E = TypeVar("E", bound=Event)
C = TypeVar("C", bound=Callable[[Any], object])


class Tape(ByKind):
    """Reads a tape.

        async with Tape("redis://localhost:6379") as tape:
            async for quote in tape.cbbo("BTC-USDT"):
                print(quote.bid_price, quote.ask_price)

    `bus`: the url of the server, or all settings of the bus, where prefix or partitions are not the defaults. Without it they are those
    of the environment (`CROSSTAPE_BUS__URL` or the file that `CROSSTAPE_SETTINGS` names), else the server of the `crosstape up` that runs.

    `history`: where the tape is recorded (see `crosstape recorder`): a folder, `s3://BUCKET/PREFIX` or `postgresql://HOST/DATABASE`, or all
    settings of the recorder. Then `history` and `frame` reach back beyond the streams. Without it, it is the store that the settings name
    (`recorder.store`, or where `recorder.enabled`), if `bus` is not given either; else there is none. It needs the extra `history`, `s3` or
    `postgres`: without it a named history raises `HistoryError`, and one of the settings is left out, with a warning.

    It connects at the first read, and every subscription has a connection of its own. While the server is away subscriptions wait;
    `last`, `history` and `frame` raise `BusError`. All of it belongs to one event loop; for threads there is `SyncTape`.

    There are three ways to get events. A loop over a subscription, and callbacks (`on`, `run`), leave events on the server while they are
    slow: nothing is lost unless the server trims it. `follow` and `get` read at once into a queue that is bounded by `queue_events`.
    """

    def __init__(
        self,
        bus: str | BusSettings | None = None,
        *,
        history: str | RecorderSettings | None = None,
        queue_events: int = 10_000,
    ) -> None:
        self._bus = bus
        self._history = history
        self._store: Store | None = None
        self._queue_events = queue_events
        self._stack = contextlib.AsyncExitStack()
        self._open: TapeConnection | None = None
        self._queue: FollowedQueue | None = None
        self._callbacks = Callbacks()

    async def __aenter__(self) -> Self:
        """Raises `SettingsError` for wrong settings, `BusError` if there are none and no `crosstape up` runs, `ValueError` as `on`."""
        if self._open is not None:
            raise BusError("this tape is open already: make another one")
        settings = bus_settings(self._bus)
        async with contextlib.AsyncExitStack() as stack:
            store = await stack.enter_async_context(store_of_tape(self._history, found=self._history is None and self._bus is None))
            connection = await stack.enter_async_context(TapeConnection.open(settings))
            stack.push_async_callback(self._callbacks.aclose)
            self._callbacks.open(connection)
            self._stack, self._open, self._store = stack.pop_all(), connection, store
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all that was opened: loops over subscriptions end. More than once does no harm."""
        self._open = self._queue = self._store = None
        await self._stack.aclose()

    async def last(self, kind: str, instrument: str) -> dict[str, Any]:
        """Returns venue → its newest event of this kind: `last("cbbo", "BTC-USDT")["consolidated"]`; none: the tape has had none.

        A status is that of a feed: its key is `venue:kind`, or the venue if it is about all feeds; those of whole venues are of the
        instrument `*`. Whether a state is still the present one says `is_current`. What the tape does not have gives an empty dict, and
        a warning as of `events`. Raises `BusError` if the server does not answer, `UnknownName` and `SettingsError` as `events`,
        `ValueError` for `*` with other kinds.
        """
        if select(kind, (instrument,), None).is_open and kind not in VENUE_KINDS:
            raise ValueError(f"{kind}: the last values of one instrument are read at a time")
        found = await last_by_venue(self._connection, kind, instrument)
        if not found and instrument != ALL:
            await self._connection.warn_of_absent(kind, instrument, None)
        await self._connection.know_life()
        return found

    def is_current(self, event: Event) -> bool:
        """Whether the producer of `event` gives signs of life, so that a state is still the present one and not the last of a dead process.

        Call it at the moment of use. It is known with the first event that a subscription or `last` returns; while the server is away
        nothing is current.
        """
        return self._connection.is_current(event)

    async def instruments(self) -> list[str]:
        """Returns the names of all instruments of the tape, sorted. Raises `BusError` if the server does not answer."""
        return sorted({name for kind, name in await self._connection.registered() if kind != "venue"})

    async def venues(self) -> list[str]:
        """Returns the ids of all venues of the tape, sorted, and `consolidated` for the aggregators. Raises `BusError` as `instruments`."""
        return sorted(name for kind, name in await self._connection.registered() if kind == "venue")

    def events(
        self,
        kind: str,
        *instruments: str,
        venue: str | None = None,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> Subscription[AnyEvent]:
        """The events of a kind, by its name: `events("trade", "BTC-USDT")`, `events("bar:1m", "BTC-USDT", venue="kraken")`.

        `instruments`: one or more, or `*` for all, also those that come later; of statuses and gaps also those of whole venues, whose
        `instrument` is `*`.
        `venue`: the events of this venue only; without it those of all (and, for bars, the consolidated ones).
        `start`: `Start.NOW` (what comes from the first read on), `Start.BEGINNING` (the oldest that the tape has),
        `Start.LAST_THEN_NOW` (the last value of each venue, then what follows), the id of an entry, or stream → one of these, as
        `Subscription.positions` returns it.
        `newest`: when the loop is behind, of each state only the newest is returned: of quotes, books, tickers, marks, funding, open
        interest, depth and statuses, and of open candles and bars. All other events are returned in any case.
        `on_missed`: called with each `Missed`; without it, the first of each stream is logged. `Subscription.missed` counts them.

        Raises `UnknownName` for a text that is no kind, timeframe, or name of an instrument or venue (`BTC/USDT`, `btc-usdt`), with the
        nearest right one; `ValueError` without an instrument. What the tape does not have may come later, and is followed: one warning of
        each (log events `tape.unknown_instrument`, `tape.unknown_kind`, `tape.unknown_timeframe`, `tape.unknown_venue`) names what it has
        instead. The first read raises `SettingsError` if the tape has another number of partitions (nothing would ever come), `BusError`
        if the server refuses us.
        """
        return self._subscribe(kind, instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

    def on(self, kind: str, *instruments: str, venue: str | None = None, start: Starts = Start.NOW) -> Callable[[C], C]:
        """Registers a callback, as a decorator: `@tape.on("trade", "BTC-USDT")`. It gets each event; `run` calls it.

        It is a function or a coroutine function of one argument, and may be registered before the tape is opened. `kind`, `instruments`,
        `venue` and `start` are as in `events`, `start` from the beginning of `run` on. A stream is read once for all callbacks: raises
        `ValueError` if another one has another start there, `TypeError` for what cannot be called.
        """
        selection = select(kind, instruments, venue)

        def register(callback: C) -> C:
            self._callbacks.add(selection, callback, start)
            return callback

        return register

    async def run(self, *, seconds: float | None = None, on_missed: OnMissed | None = None) -> None:
        """Reads the events of all callbacks and calls these, until it is cancelled, or for `seconds`, or until the tape is closed.

        One callback runs at a time, each in the order of its streams; a coroutine is awaited before the next is called. An error that one
        raises is logged (`tape.callback_failed`, of each callback once a minute), and the others are called all the same. While they are
        slow, events stay on the server; while the server is away, it waits. Another `run` continues behind the last event. Raises
        `BusError` if there is no callback or another `run` is under way, or as a subscription does.
        """
        assert self._connection  # raises if it is not open
        await self._callbacks.run(seconds, on_missed)

    def follow(self, kind: str, *instruments: str, venue: str | None = None, start: Starts = Start.NOW) -> None:
        """Reads these events into the queue that `get` polls, beside what is followed already. Parameters and errors are as in `events`.

        The queue holds the newest of each state (per stream and venue), and `queue_events` other events, trades and closed bars among
        them. When more come, the oldest are dropped, and `get` says so with an exact count.
        """
        self._followed.follow(select(kind, instruments, venue), start)

    def unfollow(self, kind: str, *instruments: str, venue: str | None = None) -> None:
        """Ends a `follow` that was called with the same arguments. What is in the queue stays there."""
        self._followed.unfollow(select(kind, instruments, venue))

    async def get(self, timeout_s: float | None = None) -> AnyEvent | Missed | None:
        """Returns the next event of what is followed, or a `Missed`; None if none came within `timeout_s`, or when the tape is closed
        meanwhile. With 0 it returns what is there; with None, it waits without end.

        A `Missed` comes before the events that follow what is missing: `count` events of its stream, venue and epoch, the first of which is
        `first_missing`, were dropped from the full queue or had left the tape. Any number of tasks may wait; each item goes to one. Raises
        `BusError` if nothing is followed, or as a subscription does.
        """
        return await self._followed.get(timeout_s)

    async def collect(self, subscription: Subscription[E], *, n: int = 1_000, seconds: float | None = None) -> list[E]:
        """Returns the next `n` events of a subscription, oldest first; fewer if `seconds` are over, or when it is closed.

        The subscription stays open and continues behind them. Raises as a loop over it does. When it is cancelled, what it had gathered is
        lost: give it `seconds` rather than a timeout around it. `ValueError` for `n` below one.
        """
        return await collect(subscription, n, seconds)

    async def history(
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

        `from_ts` and `to_ts`: those that were received (`received_ts`) from this time on, and before this one; for candles and bars those
        that opened then, the newest revision of each, sorted by `open_ts` and venue. ns since the epoch, or datetimes with a time zone.
        With `to_ts`, an event that came onto the tape more than 5 minutes late may not be found.
        `venue`: of this venue; else of all (and, for bars, the consolidated ones). With a venue, the instrument `*` of statuses and gaps is
        the whole venue.
        `limit`: the newest of them, at most so many. Without it the server's `bus.max_len` is the limit, 250,000 trades by default.

        Where a tape has a recorded history (see `Tape`), events come from it and from the streams, each once, in the order of their own
        time. Then `from_ts` and `to_ts` are this time, too: of a trade when it was made, so that what was fetched later is found where it
        belongs; of a candle or bar its `open_ts`, of a computed event its `ts`, of a gap its `from_ts`, of all others `received_ts`. With
        `limit`, an event that came onto the tape more than 5 minutes after its own time, and is not recorded yet, may be left out. All of
        the range is held in memory: read long ones with `crosstape history`.

        The server keeps a part of the past only: `History.trimmed` and `History.missed` say what is not there any more, `History.more`
        whether `limit` left out older ones. What the tape does not have gives an empty list, and a warning as of `events`. Raises
        `BusError` if the server does not answer, `HistoryError` if the store does not, `UnknownName` and `SettingsError` as `events`,
        `ValueError` for a range that is none.
        """
        wanted = range_of(from_ts, to_ts, limit)
        selection = select(kind, (instrument,), venue)
        if self._store is not None:
            return await joined_history(self._connection, self._store, selection, wanted)
        return await history_of(self._connection, selection, wanted)

    async def frame(
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
        events = await self.history(kind, instrument, from_ts=from_ts, to_ts=to_ts, venue=venue, limit=limit)
        return frame_of(events, kind, library=library, decimals=decimals)

    @property
    def _followed(self) -> FollowedQueue:
        if self._queue is None:
            self._queue = FollowedQueue(self._connection, self._queue_events)
            self._stack.push_async_callback(self._queue.aclose)
        return self._queue

    def _subscribe(
        self, kind: str, instruments: tuple[str, ...], *, venue: str | None, start: Starts, newest: bool, on_missed: OnMissed | None
    ) -> Subscription[Any]:
        return Subscription(self._connection, select(kind, instruments, venue), start=start, newest=newest, on_missed=on_missed)

    @property
    def _connection(self) -> TapeConnection:
        if self._open is None:
            raise BusError("the tape is not open: use it within `async with Tape() as tape`")
        return self._open


def bus_settings(bus: str | BusSettings | None) -> BusSettings:
    """Returns the settings of the server: see `Tape`. Raises `SettingsError`, `BusError`, or `TypeError` for what is neither."""
    if isinstance(bus, BusSettings):
        return bus
    if bus is not None:
        if not isinstance(bus, str):
            raise TypeError(f"bus is the url of a server as text, or BusSettings, not {type(bus).__name__}")
        return BusSettings(url=bus)
    return located(load()).bus
