"""Compares the bars that a shard publishes with the candles on the tape, while it runs: counts all differences, and logs each kind once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from crosstape.bus import Client, Reader, Start
from crosstape.bus.client.call import UNAVAILABLE
from crosstape.errors import BusError
from crosstape_aggregator.checks.candle_compare import FIELDS, differences, is_sound
from crosstape_aggregator.checks.candle_pairs import CandlePairs
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.metrics.candle_checks import COMPARED, DIFFERENCES, DROPPED
from crosstape_aggregator.metrics.exporter import FOREIGN
from crosstape_aggregator.recovery.discovery import Discovery
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_schemas import CANDLE, Bar, Candle, Event, Keys

SETTLE_S: Final = 10.0
"""How long a bar and its candle must stay as they are before they are compared: late trades and corrections come within this time."""
WAIT_S: Final = 900.0
"""How long one side waits for the other. Where a venue closes a candle with the first one of a later interval, this may be long."""
LIMIT: Final = 20_000
"""Most intervals that wait, about 2 KB each."""
DISCOVER_S: Final = 2.0
"""Time between two searches for new streams of candles."""
READ_S: Final = 1.0
LOOK_S: Final = 5.0
"""Longest wait for the names of the streams."""

log = structlog.get_logger(__name__)


class CandleCheck:
    """Compares the bars of one shard. `timeframes`: those of the bars; only their candles are read."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        timeframes: Sequence[str],
        instruments: Sequence[str],
        shard: Shard,
        *,
        settle_s: float | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._reader = Reader(client, keys)
        self._discovery = Discovery(client, keys, [f"{CANDLE}{name}" for name in timeframes], instruments, shard=shard)
        settle_s = SETTLE_S if settle_s is None else settle_s
        self._pairs = CandlePairs(settle_ns=round(settle_s * SECOND), wait_ns=round(WAIT_S * SECOND), limit=LIMIT)
        self._logged: set[tuple[str, str]] = set()  # (venue, field)
        self._dropped = 0
        self._clock = clock

    def add(self, events: Iterable[Event]) -> None:
        """Add what the shard publishes. Only closed bars of single venues matter."""
        now = self._clock()
        for event in events:
            if isinstance(event, Bar) and event.closed:
                self._pairs.add_bar(event, now)

    async def run(self) -> None:
        """Read candles and compare, until cancelled."""
        discovered = 0
        async with self._reader:
            while True:
                if (now := self._clock()) >= discovered:
                    await self._discover()
                    discovered = now + round(DISCOVER_S * SECOND)
                entries = await self._reader.read(timeout_s=READ_S)
                self._apply([entry.event for entry in entries])

    async def _discover(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                found = await self._discovery.refresh()
        except (*UNAVAILABLE, BusError):
            return  # the next search finds them
        self._reader.add([one.stream for one in found], Start.LAST_THEN_NOW)

    def _apply(self, events: Iterable[Event]) -> None:
        now = self._clock()
        for event in events:
            if isinstance(event, Candle):
                if is_sound(event):
                    self._pairs.add_candle(event, now)
                else:
                    FOREIGN.inc()
        for bar, candle in self._pairs.due(now):
            self._compare(bar, candle)
        DROPPED.inc(self._pairs.dropped - self._dropped)
        self._dropped = self._pairs.dropped

    def _compare(self, bar: Bar, candle: Candle) -> None:
        COMPARED.labels(bar.venue, bar.timeframe).inc()
        for name in FIELDS:
            DIFFERENCES.labels(bar.venue, name)  # at 0, so that a rate sees the first one
        for found in differences(bar, candle):
            DIFFERENCES.labels(bar.venue, found.field).inc()
            if (bar.venue, found.field) not in self._logged:
                self._logged.add((bar.venue, found.field))
                log.warning(
                    "bars.differ_from_candles", venue=bar.venue, field=found.field, instrument=bar.instrument, timeframe=bar.timeframe,
                    open_ts=bar.open_ts, bar=found.texts[0], candle=found.texts[1], bar_revision=bar.revision,
                    candle_revision=candle.revision, reason="logged once for each venue and field; the metric counts all",
                )  # fmt: skip
