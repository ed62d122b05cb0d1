"""Runs the aggregator as a process: one `ShardAggregator` for each shard whose lease it holds."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import structlog

from crosstape.bus import Client, Publisher, connect
from crosstape.bus.client.call import UNAVAILABLE
from crosstape.bus.client.server_memory import watch_memory
from crosstape.bus.client.startup_check import wait_until_usable
from crosstape.bus.lease.fencing import claim
from crosstape.bus.metrics.prometheus import PrometheusPublisherMetrics, server_memory
from crosstape.bus.spool.tape_identity import Tape, identity_in_spools
from crosstape.runtime.run_dir import run_dir
from crosstape.runtime.telemetry import exposed, serve
from crosstape.settings import Settings
from crosstape_aggregator.composites.spec import parse_all
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.consolidation.rules import Rules
from crosstape_aggregator.metrics.per_instrument import InstrumentText
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore
from crosstape_aggregator.shard import LOST_S, REFRESH_S, ShardAggregator
from crosstape_aggregator.sharding.assignment import SERVICE, Shard
from crosstape_aggregator.sharding.coordinator import Coordinator
from crosstape_aggregator.sharding.sign_of_life import STOPPED
from crosstape_schemas import FeedState, Keys

_NOT_YET: Final = (False, {"bus": False, "works": False, "instruments": 0, "instruments_with_a_counting_leg": 0, "catching_up": 0})

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Run until cancelled. Then wait until all published events are on the bus, for `run.drain_s` or the life of a lease at most.

    Raises at the start `SettingsError` for a window with a wrong name or a wrong composite, `StorageError`, and `BusError` if the bus
    cannot be used within `bus.start_s`. Raises later, in a group, `SettingsError` if other aggregators on the bus have another
    `aggregator.shares`.
    """
    Rules.of(settings.aggregator)
    parse_all(settings.aggregator)
    run_dir(settings.run)
    async with connect(settings.bus) as client:
        process = AggregatorProcess(settings, client)
        with exposed(InstrumentText(process.engines)):
            async with serve(settings.telemetry, process.ready):
                await wait_until_usable(client, process.keys, settings.bus, producer=SERVICE)
                async with asyncio.TaskGroup() as tasks:
                    watching = tasks.create_task(watch_memory(client, server_memory().update), name="aggregator.memory")
                    try:
                        await process.coordinator.run()
                    finally:
                        watching.cancel()


class AggregatorProcess:
    """Holds the shards that this process serves."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self.keys = Keys(settings.bus.prefix, settings.bus.partitions)
        self._tape = Tape(identity_in_spools(run_dir(settings.run) / "spool"))
        self._served: set[ShardService] = set()
        self.coordinator = Coordinator(client, self.keys, settings.aggregator, self._serve)

    def _serve(self, shard: Shard) -> ShardService:
        return ShardService(shard, self._settings, self.keys, self._tape, left_s=self.coordinator.left_s, served=self._served)

    def engines(self) -> list[Engine]:
        """Return the engines of the shards that are served now."""
        return [one.engine for one in self._served]

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the process is ready, and details. Ready: the bus answers, and all shards work, or it is a standby without any."""
        bus = time.monotonic() - self.coordinator.answered_at < LOST_S
        served = list(self._served)
        is_standby = not served and self.coordinator.leases.is_standby
        total: Counter[str] = Counter()
        for one in served:
            total.update(one.ready()[1])
        return bus and (all(one.works() for one in served) if served else is_standby), {
            "bus": bus,
            "standby": is_standby,
            "shares_held": len(self.coordinator.leases.held),
            "shares": self._settings.aggregator.shares,
            **{name: total[name] for name in ("instruments", "instruments_with_a_counting_leg", "catching_up")},
        }


class ShardService:
    """Serves one shard with its own connections, publisher, engine and readers. It is in `served` while it runs."""

    def __init__(
        self, shard: Shard, settings: Settings, keys: Keys, tape: Tape, *, left_s: Callable[[], float], served: set[ShardService]
    ) -> None:
        self._shard = shard
        self._settings = settings
        self._keys = keys
        self._tape = tape
        self._left_s = left_s
        self._served = served
        self.engine = Engine(settings.aggregator)
        self._aggregator: ShardAggregator | None = None
        self._go, self._stop = asyncio.Event(), asyncio.Event()
        self._go.set()

    async def run(self) -> None:
        """Serve until cancelled. Then publish what is pending and write a checkpoint, unless the lease may have expired.

        Raises `Superseded` in a group.
        """
        settings, metrics = self._settings, PrometheusPublisherMetrics()
        self._served.add(self)
        try:
            async with connect(settings.bus) as client:
                epoch = await self._claim(client)
                publisher = Publisher(
                    client, self._keys, settings.bus, producer=self._shard.producer, metrics=metrics, epoch=epoch, tape=self._tape
                )
                store = CheckpointStore(client, self._keys, self._shard.producer, epoch)
                aggregator = self._aggregator = ShardAggregator(
                    settings, client, self._keys, self.engine, publisher, shard=self._shard, store=store
                )
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._write(publisher), name="aggregator.publish")
                        tasks.create_task(aggregator.run(), name="aggregator.run")
                finally:
                    end = time.monotonic() + min(self._left_s(), settings.run.drain_s)
                    if self._may_until(end):
                        aggregator.sign.publish(FeedState.DOWN, STOPPED)
                        await publisher.drain(end - time.monotonic())
                    if self._may_until(end):
                        await aggregator.save(end - time.monotonic())
        finally:
            metrics.pending(0)
            self._served.discard(self)

    def _may_until(self, end: float) -> bool:
        return self._go.is_set() and time.monotonic() < end

    def pause(self) -> None:
        """Stop sending to the bus. Published events wait in memory; the bus accepts or refuses a call that is already sent."""
        self._go.clear()
        self._stop.set()

    def resume(self) -> None:
        """Send to the bus again, starting with the events that wait."""
        self._stop.clear()
        self._go.set()

    async def _claim(self, client: Client) -> int:
        """Claim an epoch for the shard. From now on the bus refuses events of the previous owner. Waits while the bus is away."""
        logged = False
        while True:
            try:
                return (await claim(client, self._keys, self._shard.producer)).epoch
            except UNAVAILABLE as exc:
                if not logged:
                    log.warning("aggregator.waits_for_bus", share=self._shard.number, reason=str(exc) or type(exc).__name__)
                logged = True
            await asyncio.sleep(REFRESH_S)

    async def _write(self, publisher: Publisher) -> None:
        """Send events to the bus, except while paused. An interrupted call is sent again; the bus writes it only once."""
        while True:
            await self._go.wait()  # while paused: until the lease is renewed
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(publisher.run(), name="aggregator.write")
                await self._stop.wait()
                writing.cancel()

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the shard is ready, and details, as `ShardAggregator.ready` does."""
        return _NOT_YET if self._aggregator is None else self._aggregator.ready()

    def works(self) -> bool:
        """Whether the shard is ready or has nothing to do: one of several shards may have no instrument."""
        ready, found = self.ready()
        return self._go.is_set() and (ready or (self._shard.of > 1 and found["bus"] and found["works"] and not found["instruments"]))
