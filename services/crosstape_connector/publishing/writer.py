"""The writer puts a connector's events on the tape: all the time (`SoleWriter`), or in turn with other replicas (`failover.replica`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from crosstape.bus import Publisher
from crosstape.bus.publish.publisher import Unpublished
from crosstape.bus.read.last_values import last_values
from crosstape.errors import Superseded
from crosstape.runtime.group_files import make_directory, share_with_group
from crosstape_connector.metrics.collector import ReplicaReading
from crosstape_connector.publishing.predecessor import LastEvents
from crosstape_connector.publishing.sink import Sink
from crosstape_schemas import Event


class VenueHealth(Protocol):
    """The health of a connector, which its writer reads."""

    def is_healthy(self) -> bool:
        """Whether every feed that should be live is live."""

    def connections(self) -> int:
        """Count the open connections to the venue."""

    def statuses(self) -> Iterable[Event]:
        """Return the statuses that belong to no feed: the venue-wide status, and those of instruments that the venue does not list."""


class Writer(Protocol):
    """Owns the sink and the publisher. `pending`, `acknowledged` and `unpublished` are as `Publisher`'s."""

    @property
    def sink(self) -> Sink:
        """The sink of all events."""

    @property
    def pending(self) -> int: ...  # noqa: D102

    @property
    def acknowledged(self) -> int: ...  # noqa: D102

    @property
    def unpublished(self) -> Unpublished: ...  # noqa: D102

    @property
    def healthy(self) -> bool:
        """Whether the bus accepts our events; on a standby: whether the server answers."""

    @property
    def active(self) -> bool:
        """Whether this connector publishes. A standby need not fetch anything for the tape."""

    async def flow(self) -> None:
        """Give other tasks a turn, and wait while the server is far behind; see `Publisher.flow`."""

    async def run(self, health: VenueHealth) -> None:
        """Write until cancelled. Raises `Superseded`."""

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """Return the newest event of each (kind, instrument) on the tape. We continue there. Waits for the bus. Raises `BusError`."""

    async def finish(self, timeout_s: float) -> bool:
        """Publish the pending events after the connector has ended. False: not all within `timeout_s`; the rest may be in the spool."""

    def close(self) -> None:
        """Close the spool."""

    def details(self) -> Mapping[str, Any]:
        """Return the writer's part of the answer of `/readyz`."""

    def reading(self) -> ReplicaReading | None:
        """Return the gauges of this replica for `/metrics`; None if there are no replicas."""


class SoleWriter:
    """The writer of a connector that is the only one of its venue: it publishes from start to end."""

    def __init__(self, publisher: Publisher, sink: Sink, venue: str, superseded: Path | None = None) -> None:
        """`superseded`: a file to write when this connector was superseded, for its next start; None: write none."""
        self.sink = sink
        self._publisher = publisher
        self._venue = venue
        self._superseded = superseded
        self.flow = publisher.flow
        self.finish = publisher.drain
        self.close = publisher.close
        sink.pass_to(publisher.publish_all, lambda: publisher.pending)

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
        """Whether the server has acknowledged something, and answers."""
        return self._publisher.acknowledged > 0 and self._publisher.availability.answering

    @property
    def active(self) -> bool:
        """See `Writer`."""
        return True

    async def last_events(self, wanted: Sequence[tuple[str, str]]) -> LastEvents:
        """See `Writer`. Waits until our predecessor cannot write any more, and what it spooled is on the tape."""
        publisher = self._publisher
        await publisher.claimed()
        return await last_values(publisher.client, publisher.keys, wanted, self._venue)

    async def run(self, health: VenueHealth) -> None:
        """See `Writer`. The connector's health does not matter here: nobody could take over."""
        try:
            await self._publisher.run()
        except Superseded:
            if self._superseded is not None:
                with contextlib.suppress(OSError):  # without the file, the next start takes the name back
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
