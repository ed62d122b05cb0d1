"""How a connector's events get onto the tape: by a publisher of its own, for good; or in turn with other lines (`redundancy`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from crosstape.bus import Publisher
from crosstape.bus.publish.publisher import Unpublished
from crosstape.bus.read.last_values import last_values
from crosstape.errors import Superseded
from crosstape.runtime.group_files import make_directory, share_with_group
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.metrics.collector import ReplicaReading
from crosstape_connector.publishing.predecessor import LastEvents
from crosstape_connector.publishing.sink import Sink
from crosstape_schemas import Event


class Standing(NamedTuple):
    """What a connector says of itself to its writer, when asked."""

    well: Callable[[], bool]
    """Whether each feed is live that should be."""
    connections: Callable[[], int]
    """Open ones."""
    states: Callable[[], Iterable[Event]]
    """What it has said that is not of its feeds: of the venue as a whole, of instruments that it cannot take."""


class Writer(Protocol):
    """What a connector needs of it. `publish`, `pending` and `acknowledged` are as `Publisher`'s."""

    @property
    def pending(self) -> int: ...  # noqa: D102

    @property
    def acknowledged(self) -> int: ...  # noqa: D102

    @property
    def unpublished(self) -> Unpublished:
        """See `Publisher`."""

    @property
    def healthy(self) -> bool:
        """Whether the bus takes what is published, or would."""

    @property
    def active(self) -> bool:
        """Whether what is published goes on the tape, by our hand: else nothing needs to be fetched for it."""

    def publish(self, event: Event) -> None: ...  # noqa: D102

    async def flow(self) -> None:
        """Give others a turn; see `Publisher.flow`."""

    def attach(self, feeds: FeedHandler, sink: Sink, standing: Standing) -> None:
        """Whose events these are. Once, before `run`."""

    async def run(self) -> None:
        """Until cancelled. Raises `Superseded`."""

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """The newest on the tape of each (kind, instrument): where we go on. Waits for the bus. Raises `BusError`."""

    async def finish(self, timeout_s: float) -> bool:
        """The connector has ended: whether all that was published is on the tape, within `timeout_s`. What is not may be spooled."""

    def close(self) -> None:
        """Let go of the spool."""

    def details(self) -> Mapping[str, Any]:
        """For `/readyz`."""

    def reading(self) -> ReplicaReading | None:
        """For `/metrics`; None: there is one line only."""


class SoleWriter:
    """The only line there is: it publishes from the beginning to the end."""

    def __init__(self, publisher: Publisher, venue: str, superseded: Path | None = None) -> None:
        """`superseded`: a file that says to the next start that this one was superseded; None: it need not know."""
        self._publisher = publisher
        self._venue = venue
        self._superseded = superseded
        self.publish = publisher.publish
        self.flow = publisher.flow
        self.finish = publisher.drain
        self.close = publisher.close

    @property
    def pending(self) -> int:
        """See `Publisher`."""
        return self._publisher.pending

    @property
    def acknowledged(self) -> int:
        """See `Publisher`."""
        return self._publisher.acknowledged

    @property
    def unpublished(self) -> Unpublished:
        """See `Publisher`."""
        return self._publisher.unpublished

    @property
    def healthy(self) -> bool:
        """Whether it has taken something, and does."""
        return self._publisher.acknowledged > 0 and self._publisher.availability.answering

    @property
    def active(self) -> bool:
        """See `Writer`."""
        return True

    def attach(self, feeds: FeedHandler, sink: Sink, standing: Standing) -> None:
        """See `Writer`: nothing of it matters here."""

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """See `Writer`: what our predecessor left. Waits until it cannot write any more, and what it spooled is on the tape."""
        publisher = self._publisher
        await publisher.claimed()
        return await last_values(publisher.client, publisher.keys, wanted, self._venue)

    async def run(self) -> None:
        """See `Writer`."""
        try:
            await self._publisher.run()
        except Superseded:
            if self._superseded is not None:
                with contextlib.suppress(OSError):  # without it, the next start takes the name back
                    make_directory(self._superseded.parent)
                    self._superseded.touch()
                    share_with_group(self._superseded)
            raise

    def details(self) -> Mapping[str, Any]:
        """See `Writer`."""
        return {}

    def reading(self) -> ReplicaReading | None:
        """See `Writer`."""
        return None
