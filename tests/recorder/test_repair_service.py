"""Repairs beside a recorder: each round by itself, and what a venue does not fill is not asked for again and again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.bus import Client, connect
from crosstape.errors import HistoryError
from crosstape.history.store import Store
from crosstape.settings import RecorderSettings, Settings
from crosstape_cli import repair_service
from crosstape_cli.repair_service import TRIES, RepairService
from crosstape_recorder.gaps.gap import Feed, HistoryGap, Part, Seen
from crosstape_recorder.recorder import Recorder
from crosstape_recorder.repairing import Repaired
from tests.recorder.memory_store import Disk, MemoryStore
from tests.recorder.recording import settings_of
from tests.waiting import wait_until

FEED = Feed("binance", "BTC-USDT", "trade")
GAP = HistoryGap(FEED, 1, 9, 5, (Part(FEED, 1, 9, 5, "sequence", Seen.TRADE_IDS),))


class Rounds:
    """Stands in for what repairs once: says that a gap is not repaired."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
        self.asked: list[str] = []
        self.left = 0
        self.fails = fails
        self.revised = 0
        monkeypatch.setattr(repair_service, "venue_pasts", self._pasts)
        monkeypatch.setattr(repair_service, "fill", self._fill)
        monkeypatch.setattr(repair_service, "revise", self._revise)

    @contextlib.asynccontextmanager
    async def _pasts(self, settings: Settings) -> AsyncIterator[None]:
        yield None

    async def _fill(self, _: Settings, __: Store, ___: None, wanted: Any, leave: Callable[[HistoryGap], bool]) -> AsyncIterator[Repaired]:
        self.asked.append(wanted.kinds[0])
        if self.fails:
            raise HistoryError("the disk is full")
        if wanted.kinds == ("trade",):
            if leave(GAP):
                self.left += 1
            else:
                yield Repaired(GAP, 0, 0, "binance has not given 5 of them", 1)

    async def _revise(self, *_: object, **__: object) -> int:
        self.revised += 1
        return 0


async def test_a_gap_that_stays_is_tried_a_few_times(monkeypatch: pytest.MonkeyPatch, client: Redis, valkey: str) -> None:
    """Then it is left, until the next start; other kinds and bars have their turn each time."""
    rounds = Rounds(monkeypatch)
    async with connect(settings_of(valkey).bus) as own:
        service = RepairService(settings_of(valkey), own, MemoryStore(Disk()))
        for _ in range(TRIES + 2):
            await service.once()

    assert rounds.left == 2
    assert rounds.asked == ["candle", "trade"] * (TRIES + 2)
    assert rounds.revised == TRIES + 2


async def test_a_round_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch, client: Redis, valkey: str) -> None:
    """A recorder starts the repairs and ends them; the next round tries again."""
    rounds = Rounds(monkeypatch, fails=True)
    settings = settings_of(valkey, repair_s=0.05)
    store = MemoryStore(Disk())

    async def repair(bus: Client) -> None:
        await RepairService(settings, bus, store).run()

    async with connect(settings.bus) as own, asyncio.TaskGroup() as tasks:
        recorder = Recorder(settings, own, store, repair=lambda: repair(own))
        await client.hset("tape:identity", mapping={"id": "t", "origin": "simulated"})
        task = tasks.create_task(recorder.run())
        await wait_until(lambda: len(rounds.asked) >= 3, what="three rounds", timeout_s=20)
        task.cancel()

    assert isinstance(settings.recorder, RecorderSettings)
    assert set(rounds.asked) == {"candle"}
