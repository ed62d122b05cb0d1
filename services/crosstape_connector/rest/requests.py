"""Runs all kinds of REST requests of one venue, except for the list of instruments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from crosstape.settings import VenueSettings
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.rest.backfill import Backfill
from crosstape_connector.rest.context import RestContext
from crosstape_connector.rest.past_candles import PastCandles
from crosstape_connector.rest.polled_values import PolledValues
from crosstape_connector.rest.polling import Polling
from crosstape_connector.rest.probes import Probes
from crosstape_connector.rest.snapshot_recovery import SnapshotRecovery


class RestRequests:
    """Runs the kinds of requests of one venue concurrently."""

    def __init__(
        self,
        context: RestContext,
        settings: VenueSettings,
        *,
        flow: Callable[[], Awaitable[None]],
        resubscribe: Callable[[Topic], object],
        answered: Callable[[str], bool],
    ) -> None:
        """`flow`: see `Backfill`. `resubscribe`: see `SnapshotRecovery`. `answered`: see `Polling`."""
        self.snapshots = SnapshotRecovery(context, resubscribe=resubscribe)
        self.backfill = Backfill(context, flow=flow, longest_s=settings.backfill_s)
        self.polling = Polling(context, answered=answered, after_s=settings.fallback_s, catch_up_s=settings.backfill_s)
        self.probes = Probes(context, silent_s=settings.stale_min_s)
        self.candles = PastCandles(context)
        self.values = PolledValues(context)
        context.sink.listen(lambda _: self._wake())

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.snapshots.run(), name="snapshots")
            group.create_task(self.backfill.run(), name="backfill")
            group.create_task(self.polling.run(), name="polling")
            group.create_task(self.probes.run(), name="probes")
            group.create_task(self.candles.run(), name="candles")
            group.create_task(self.values.run(), name="values")

    def _wake(self) -> None:
        """Note that a status or gap is published: a connection may be lost, or there is a gap to fill."""
        self.backfill.wake()
        self.polling.wake()
        self.candles.wake()
