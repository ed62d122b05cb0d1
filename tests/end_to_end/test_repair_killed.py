"""`crosstape repair` as a process that is killed again and again: each trade of the market is in the history once in the end."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from crosstape.history import text_events
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape_recorder.revising import events
from crosstape_schemas import Side, Trade, encode
from tests.end_to_end.past import HOUR, past_venue
from tests.end_to_end.test_recordings import rest_url
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KILLS: Final = 5
Row = tuple[str, Decimal, Decimal, Side, int]


async def record(folder: Path, instrument: str, rows: Sequence[Row]) -> None:
    """Write trades as a recorder does."""
    store = ParquetStore(LocalFolder(folder))
    builder = BatchBuilder("trade")
    for seq, (trade_id, price, size, taker, ts) in enumerate(rows, 1):
        trade = Trade("binance", instrument, ts, ts + 5, price, size, taker, trade_id, epoch=7, seq=seq)
        data = encode(trade)
        builder.add(ts // 10**6, seq % 1_000, text_events.decode(data), data)
    assert await store.append(builder.build(), {}, after=0) == 1
    await store.aclose()


async def contents(folder: Path) -> tuple[list[Trade], dict[str, int]]:
    """The trades of a history, and the number of its newest commit of each kind."""
    store = ParquetStore(LocalFolder(folder))
    trades = [one async for one in events(store, Query(kind="trade")) if isinstance(one, Trade)]
    numbers = {kind: (await store.position(kind)).number for kind in ("trade", "gap")}
    await store.aclose()
    return trades, numbers


async def started(settings: Path) -> asyncio.subprocess.Process:
    """Start the command."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "crosstape_cli.main", "repair", "--kind", "trade", "--settings", str(settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def repair(settings: Path) -> str:
    """Run the command to its end; returns what it printed."""
    process = await started(settings)
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def repair_killed(settings: Path, commits: Path, after_s: float) -> None:
    """Run the command, and kill it soon after it has committed something."""
    before = len(list(commits.iterdir()))
    process = await started(settings)
    await wait_until(lambda: len(list(commits.iterdir())) > before, what="it has committed", timeout_s=60)
    await asyncio.sleep(after_s)
    process.kill()
    await process.communicate()
    assert process.returncode == -signal.SIGKILL


async def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Nothing is lost by it, nothing is there twice, and a repair after the last one changes nothing."""
    start_ts = time.time_ns() // HOUR * HOUR
    async with past_venue("binance", hours=30, per_hour=400, start_ts=start_ts) as venue:
        rows = venue.true_trades(start_ts - 25 * HOUR, start_ts - HOUR)
        rng = random.Random(5)
        lost = {row[0] for row in rows[2_000:8_000]} | {row[0] for row in rng.sample(rows[100:1_900], 20)}
        run_dir = tmp_path / "run"
        run_dir.mkdir()
        settings = tmp_path / "settings.toml"
        url = "".join(f'{name} = "{one}"\n' for name, one in rest_url(venue.made, "binance").items())
        settings.write_text(f'[run]\ndir = "{run_dir}"\n[venues.binance.rest_url]\n{url}')
        await record(run_dir / "history", venue.name, [row for row in rows if row[0] not in lost])

        for _ in range(KILLS):
            await repair_killed(settings, run_dir / "history" / "trade" / "commits", rng.uniform(0.0, 0.2))
        await repair(settings)
        trades, numbers = await contents(run_dir / "history")
        said = await repair(settings)
        again, same = await contents(run_dir / "history")

    there = [(one.trade_id, one.price, one.size, one.taker, one.venue_ts) for one in trades]
    assert sorted(there, key=lambda row: int(row[0])) == rows
    assert "nothing is missing" in said
    assert (again, same) == (trades, numbers)
