"""A subscription for blocking code: a plain iterator."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from crosstape.bus import Entry
from crosstape.tape.blocking_source import BlockingSource
from crosstape.tape.connection import TapeConnection
from crosstape_schemas import Event

E = TypeVar("E", bound=Event)


class SyncSubscription(Generic[E]):
    """Events of the tape, one after the other: `for`. Made by the methods of `SyncTape`; ends with the tape, or by `close`.

    Each event comes once, in the order of its stream, which has the events of all venues; there is no order between streams. A slow loop
    leaves events on the server: at most one answer of the server is held here (about 2,000 events), and what is trimmed there before it
    was read is reported as missed. While the server is away it waits, and then continues behind the last event.

    Several threads may read it; each event goes to one of them. After an interrupt (`KeyboardInterrupt`) it can be read on, and no event is
    lost. `on_missed` is called by the thread that reads, before the events that follow what is missing.

    The first read raises `BusError` if waiting cannot help: the server refuses the password, or its certificate is not trusted.
    """

    def __init__(self, connection: TapeConnection, source: BlockingSource) -> None:
        self._source = source
        self._release = weakref.finalize(self, connection.close_soon, source.source)
        self._release.atexit = False

    @property
    def missed(self) -> int:
        """How many events were missed so far, because they left the tape unread or never were there; at least, where a count is unknown."""
        return self._source.source.losses.count

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that are read: `tape:trade:BTC-USDT`."""
        return tuple(self._source.source.reader.streams)

    @property
    def positions(self) -> dict[str, str]:
        """Stream → id up to which its events were returned. Given as `start` to another subscription, that one continues behind them."""
        return dict(self._source.positions)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._source.closed

    def read(self, *, timeout_s: float | None = None) -> list[E]:
        """Returns the next events, as many as there are at once (a few thousand at most); none when none came within `timeout_s`, or when
        the subscription is closed. Without `timeout_s` it waits without end.
        """
        return [cast("E", entry.event) for entry in self.entries(timeout_s=timeout_s)]

    def entries(self, *, timeout_s: float | None = None) -> list[Entry]:
        """The same as `read`, with the stream and the id of each event, and its JSON."""
        return self._source.entries(timeout_s)

    def next(self, *, timeout_s: float | None = None) -> E | None:
        """Returns the next event; None when none came within `timeout_s`, or when the subscription is closed."""
        entry = self._source.next_entry(timeout_s)
        return None if entry is None else cast("E", entry.event)

    def __iter__(self) -> Iterator[E]:
        return self

    def __next__(self) -> E:
        if (event := self.next()) is None:
            raise StopIteration
        return event

    def close(self) -> None:
        """End it, and close its connection: a loop over it ends, too. More than once does no harm."""
        self._release.detach()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
