"""Records a tape to a store: puts reading, committing and tending together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from crosstape.bus import Client
from crosstape.bus.client.availability import Availability
from crosstape.bus.metrics.prometheus import PrometheusReaderMetrics
from crosstape.history.store import Store
from crosstape.settings import Settings
from crosstape_recorder import binding, metrics
from crosstape_recorder.availability import StoreAvailability
from crosstape_recorder.committing import Committer
from crosstape_recorder.reading import Reading
from crosstape_recorder.tending import tend
from crosstape_recorder.waiting_rows import WaitingRows
from crosstape_recorder.wanted import Wanted
from crosstape_schemas import Keys

log = structlog.get_logger(__name__)


class Recorder:
    """Records until it is cancelled; then it commits what was read."""

    def __init__(
        self, settings: Settings, client: Client, store: Store, *, repair: Callable[[], Coroutine[Any, Any, None]] | None = None
    ) -> None:
        """`repair`: repairs gaps of the history until cancelled."""
        self._settings = settings
        self._client = client
        self._store = store
        self._repair = repair
        self._keys = Keys(settings.bus.prefix, settings.bus.partitions)
        self._bus = Availability(
            client, "recorder", backoff_s=settings.bus.backoff_s, reconnected=PrometheusReaderMetrics().reconnected, starting=True
        )
        self._availability = StoreAvailability()
        self._committer: Committer | None = None
        self._reading: Reading | None = None

    async def run(self) -> None:
        """Record until cancelled. Then commit what was read, within `run.drain_s`. The next start reads again what is not committed.

        Raises `BusError` where waiting for the bus cannot help, and `WrongTape` if the store has the history of another tape; in a group
        if that turns up later.
        """
        done = self._availability.until_done
        wanted = Wanted(self._settings.recorder, self._keys)
        tape = await binding.wait_for_tape(self._client, self._keys, self._bus)
        await done(lambda: binding.bind(self._store, tape))
        bound = binding.Binding(self._client, self._keys, tape)
        rows = {}
        for kind in wanted.kinds:
            position = await done(lambda kind=kind: self._store.position(kind))  # type: ignore[misc]
            rows[kind] = WaitingRows(kind, self._settings.recorder, position)
        committer = self._committer = Committer(self._store, rows, bound, self._availability)
        reading = self._reading = Reading(self._client, wanted, rows, committer, self._bus)
        log.info("recorder.started", kinds=list(wanted.kinds), commits=sum(one.number for one in rows.values()))
        async with asyncio.TaskGroup() as tasks:
            committing = tasks.create_task(committer.run(), name="recorder.commit")
            others = [
                tasks.create_task(reading.run(), name="recorder.read"),
                tasks.create_task(reading.discover(bound), name="recorder.discover"),
                tasks.create_task(tend(self._store, self._settings.recorder), name="recorder.tend"),
                tasks.create_task(self._measure(), name="recorder.measure"),
            ]
            if self._repair is not None:
                others.append(tasks.create_task(self._repair(), name="recorder.repair"))
            try:
                await asyncio.Event().wait()  # until cancelled, or one of the tasks fails
            finally:
                for task in others:
                    task.cancel()
                committer.stop()
                await asyncio.wait([committing], timeout=self._settings.run.drain_s)

    async def _measure(self) -> None:
        while True:
            self.ready()
            await asyncio.sleep(1.0)

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Return whether it records, and details. It does while bus and store answer, and nothing waits for much longer than it should."""
        if self._committer is None or self._reading is None:
            return False, {"bus": self._bus.answering, "store": not self._availability.is_away, "streams": 0}
        uncommitted_s = self._committer.uncommitted_s()
        lag_s = max(0.0, time.time() - self._reading.newest_ms / 1000) if self._reading.has_more and self._reading.newest_ms else 0.0
        metrics.UNCOMMITTED.set(uncommitted_s)
        metrics.LAG.set(lag_s)
        return self._bus.answering and not self._availability.is_away, {
            "bus": self._bus.answering,
            "store": not self._availability.is_away,
            "streams": self._reading.streams,
            "lag_s": round(lag_s, 3),
            "uncommitted_s": round(uncommitted_s, 3),
        }
