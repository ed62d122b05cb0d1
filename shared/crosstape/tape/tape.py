"""The face of the library for programs that read the tape: `Tape`."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Self

from crosstape.bus import Start
from crosstape.errors import BusError
from crosstape.runtime.announced_server import located
from crosstape.settings import BusSettings
from crosstape.settings.load import load
from crosstape.tape.by_kind import ByKind
from crosstape.tape.connection import TapeConnection
from crosstape.tape.last import last_by_venue
from crosstape.tape.selection import select
from crosstape.tape.subscription import OnMissed, Starts, Subscription
from crosstape_schemas import AnyEvent, Event


class Tape(ByKind):
    """Reads a tape.

        async with Tape("redis://localhost:6379") as tape:
            async for quote in tape.cbbo("BTC-USDT"):
                print(quote.bid_price, quote.ask_price)

    `bus`: the url of the server, or all settings of the bus, where prefix or partitions are not the defaults. Without it they are those
    of the environment (`CROSSTAPE_BUS__URL` or the file that `CROSSTAPE_SETTINGS` names), else the server of the `crosstape up` that runs.

    It connects at the first read, and every subscription has a connection of its own. While the server is away subscriptions wait;
    `last`, `history` and `frame` raise `BusError`. All of it belongs to one event loop; for threads there is `SyncTape`.
    """

    def __init__(self, bus: str | BusSettings | None = None) -> None:
        self._bus = bus
        self._stack = contextlib.AsyncExitStack()
        self._open: TapeConnection | None = None

    async def __aenter__(self) -> Self:
        """Raises `SettingsError` for wrong settings, `BusError` if there are none and no `crosstape up` runs."""
        if self._open is not None:
            raise BusError("this tape is open already: make another one")
        settings = bus_settings(self._bus)
        self._stack = contextlib.AsyncExitStack()
        self._open = await self._stack.enter_async_context(TapeConnection.open(settings))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all that was opened: loops over subscriptions end. More than once does no harm."""
        self._open = None
        await self._stack.aclose()

    async def last(self, kind: str, instrument: str) -> dict[str, Any]:
        """Returns venue → its newest event of this kind: `last("cbbo", "BTC-USDT")["consolidated"]`; none: the tape has had none.

        A status is that of a feed: its key is `venue:kind`, or the venue if it is about all feeds. Whether a state is still the present one
        says `is_current`. Raises `BusError` if the server does not answer, `UnknownName` for a name that is none.
        """
        select(kind, (instrument,), None)
        found = await last_by_venue(self._connection, kind, instrument)
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

        `instruments`: none, or `*`: all, also those that come later. For statuses and gaps `*` is those of whole venues, and none is these
        and those of all instruments.
        `venue`: the events of this venue only; without it those of all (and, for bars, the consolidated ones).
        `start`: `Start.NOW` (what comes from the first read on), `Start.BEGINNING` (the oldest that the tape has),
        `Start.LAST_THEN_NOW` (the last value of each venue, then what follows), the id of an entry, or stream → one of these, as
        `Subscription.positions` returns it.
        `newest`: when the loop is behind, of each state only the newest is returned: of quotes, books, tickers, marks, funding, open
        interest, depth and statuses, and of open candles and bars. All other events are returned in any case.
        `on_missed`: called with each `Missed`; without it, the first of each stream is logged. `Subscription.missed` counts them.

        Raises `UnknownName` for a kind, timeframe or name that is none. A name that is right and that the tape does not have (yet) is
        waited for, and logged with the nearest one that it has.
        """
        return self._subscribe(kind, instruments, venue=venue, start=start, newest=newest, on_missed=on_missed)

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
    """Returns the settings of the server: see `Tape`. Raises `SettingsError` or `BusError`."""
    if isinstance(bus, BusSettings):
        return bus
    if bus is not None:
        return BusSettings(url=bus)
    return located(load()).bus
