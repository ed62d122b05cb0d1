"""Merging and deleting, beside recording."""

from __future__ import annotations

import time

import structlog
from redis.asyncio import Redis

from crosstape.settings import RecorderSettings
from crosstape_recorder.tending import DAY_NS, tend_once
from tests.bus.tape import publishing, trade
from tests.recorder.memory_store import MemoryStore
from tests.recorder.recording import recorded, recording, settings_of
from tests.waiting import wait_until


async def test_only_what_the_settings_ask_for() -> None:
    """Neither merging nor deleting by default is a matter of this function: it does what it is told."""
    store = MemoryStore()
    await tend_once(store, RecorderSettings(compact_s=0.0))
    assert (store.compacted, store.expired) == (0, [])

    await tend_once(store, RecorderSettings(keep_days=3))
    await tend_once(store, RecorderSettings(compact_s=0.0, keep_bytes=10**9))
    assert store.compacted == 1
    (first, second) = store.expired
    assert first[0] is not None
    assert 0 <= time.time_ns() - 3 * DAY_NS - first[0] < DAY_NS
    assert (first[1], second) == (None, (None, 10**9))


async def test_a_round_that_fails_is_logged() -> None:
    """The next one does its work."""
    store = MemoryStore()
    store.is_away = True
    with structlog.testing.capture_logs() as logs:
        await tend_once(store, RecorderSettings())
    assert [entry["event"] for entry in logs] == ["recorder.tending_failed"]

    store.is_away = False
    await tend_once(store, RecorderSettings())
    assert store.compacted == 1


async def test_old_days_are_deleted_though_merging_fails() -> None:
    """A torn file, which stays, would else fill the disk."""
    store = MemoryStore()
    store.cannot_compact = True
    with structlog.testing.capture_logs() as logs:
        await tend_once(store, RecorderSettings(keep_days=3))

    assert [(entry["event"], entry.get("what")) for entry in logs] == [("recorder.tending_failed", "merging"), ("recorder.expired", None)]
    assert len(store.expired) == 1


async def test_commits_do_not_wait_for_merging(client: Redis, valkey: str) -> None:
    """A round takes as long as it takes."""
    store, settings = MemoryStore(), settings_of(valkey, compact_s=0.05)
    begun, release = store.hold_compaction()
    async with publishing(settings.bus) as publisher, recording(settings, store):
        await wait_until(begun.is_set, what="merging has begun")
        publisher.publish(trade(1))
        await recorded(store, "trade", 1)
        assert not store.compacted
        release.set()
        await wait_until(lambda: store.compacted > 1, what="it is done again and again")
