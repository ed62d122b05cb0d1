"""A recorder that runs within a test, on a server and a store of the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from crosstape.bus import connect
from crosstape.history.store import Store
from crosstape.settings import BusSettings, RecorderSettings, Settings
from crosstape_recorder.recorder import Recorder
from crosstape_schemas import AnyEvent, Event
from tests.bus.tape import fast
from tests.recorder.memory_store import MemoryStore
from tests.waiting import wait_until

COMMIT_S = 0.1


def settings_of(url: str, *, bus: BusSettings | None = None, **changes: Any) -> Settings:
    """Settings under which a test waits little. `changes` are of the section `recorder`."""
    return Settings(bus=bus or fast(url), recorder=RecorderSettings(**{"commit_s": COMMIT_S, "compact_s": 0.0, **changes}))


@contextlib.asynccontextmanager
async def recording(settings: Settings, store: Store) -> AsyncIterator[Recorder]:
    """A recorder that runs for the length of the block, and then commits what it has read."""
    async with connect(settings.bus) as client, asyncio.TaskGroup() as tasks:
        recorder = Recorder(settings, client, store)
        task = tasks.create_task(recorder.run())
        try:
            yield recorder
        finally:
            task.cancel()


async def recorded(store: MemoryStore, kind: str, count: int, timeout_s: float = 20.0) -> list[AnyEvent]:
    """Wait until the store has this many events of a kind; returns them."""
    await wait_until(lambda: len(store.disk.events(kind)) >= count, what=f"{count} of {kind} are in the store", timeout_s=timeout_s)
    return store.disk.events(kind)


def seqs(events: Sequence[Event]) -> list[int]:
    """Their numbers."""
    return [event.seq for event in events]
