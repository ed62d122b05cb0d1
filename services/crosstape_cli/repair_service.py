"""Repairs gaps of the history beside a recorder, every `recorder.repair_s`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog

from crosstape.bus import Client
from crosstape.errors import CrosstapeError
from crosstape.history.store import Store
from crosstape.settings import Settings
from crosstape_cli.gaps_selection import selection
from crosstape_cli.past_fetch import venue_pasts
from crosstape_cli.repair import fill, revise
from crosstape_recorder.gaps.gap import FETCHED, Feed, HistoryGap
from crosstape_recorder.selection import Selection

if TYPE_CHECKING:
    from crosstape_recorder.repairing import Repaired

SECOND: Final = 1_000_000_000
LOOK_BACK_S: Final = 2 * 86_400.0
"""How far back it looks. For earlier times there is the command."""
LEFT_S: Final = 600.0
"""What is newer is left to the connectors: they fetch what they have missed for five minutes."""
TRIES: Final = 3
"""How often a gap is tried that the venue does not fill, until the next start."""

log = structlog.get_logger(__name__)


class RepairService:
    """Repairs one history. An error of a venue, the store or the bus is logged; the next round tries again."""

    def __init__(self, settings: Settings, client: Client, store: Store) -> None:
        self._settings = settings
        self._client = client
        self._store = store
        self._failed: Counter[tuple[Feed, int, int]] = Counter()

    async def run(self) -> None:
        """Repair every `recorder.repair_s`, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.recorder.repair_s)
            try:
                await self.once()
            except CrosstapeError as exc:
                log.warning("recorder.repair_failed", reason=str(exc))

    async def once(self) -> None:
        """Repair what is missing now. Raises `HistoryError`, `BusError`."""
        async with venue_pasts(self._settings) as pasts:
            for kind in sorted(FETCHED & {*self._settings.recorder.kinds}):
                async for done in fill(self._settings, self._store, pasts, self._wanted(kind), self._leave):
                    self._note(done)
        wanted = self._wanted("trade")
        await revise(self._settings, self._store, self._client, wanted, say=lambda text: log.warning("recorder.not_revised", reason=text))

    def _wanted(self, kind: str) -> Selection:
        now_ts = time.time_ns()
        times = now_ts - int(LOOK_BACK_S * SECOND), now_ts - int(LEFT_S * SECOND)
        return selection(self._settings, None, None, kind, times=times, now_ts=now_ts)

    def _leave(self, gap: HistoryGap) -> bool:
        return self._failed[_key(gap)] >= TRIES

    def _note(self, done: Repaired) -> None:
        gap, feed = done.gap, done.gap.feed
        if done.reason:
            self._failed[_key(gap)] += 1
            if self._failed[_key(gap)] > 1:
                return
        log.info(
            "recorder.gap_left" if done.reason else "recorder.gap_repaired", venue=feed.venue, instrument=feed.instrument,
            kind=feed.feed_kind, from_ts=gap.from_ts, to_ts=gap.to_ts, came=done.came, nonexistent=done.nonexistent, reason=done.reason,
        )  # fmt: skip


async def repairing(settings: Settings, client: Client, store: Store) -> None:
    """Repair until cancelled."""
    await RepairService(settings, client, store).run()


def _key(gap: HistoryGap) -> tuple[Feed, int, int]:
    return gap.feed, gap.from_ts, gap.to_ts
