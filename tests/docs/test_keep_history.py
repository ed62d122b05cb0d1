"""Each recipe of the page about the history does what it says, on a recorded history with commits that were merged."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.bus import Bookmark
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape_schemas import Quote
from tests.docs import shown
from tests.history.batches import batch, trade

PAGE = "docs/how-to/keep-history.md"
STORE = "/var/lib/crosstape/history"
BLOCKS = {block.name: block for block in shown.blocks() if block.name.startswith(PAGE)}
MINUTE = 60 * 10**9


@pytest.fixture
async def history(tmp_path: Path, client: Redis) -> Path:
    """Trades of two minutes of today in merged and single commits, one fetched as well; and two quotes."""
    folder = tmp_path / "the history"
    begin = (time.time_ns() // MINUTE - 10) * MINUTE
    store = ParquetStore(LocalFolder(folder), clock=lambda: time.time_ns() - 600 * 10**9)
    times = [begin + number * 30 * 10**9 for number in range(4)]
    made = [trade(number, ts=ts, received_ts=ts, price=Decimal(100 + number), size=Decimal(number + 1)) for number, ts in enumerate(times)]
    first_ms = begin // 10**6

    def marks(kind: str, last: int) -> dict[str, Bookmark]:
        return {f"tape:{kind}:BTC-USDT": Bookmark(f"{first_ms + last}-0", (("kraken", 7, last),))}

    await store.append(batch(made[:1], first_ms=first_ms + 1), marks("trade", 1), after=0)
    await store.append(batch(made[1:2], first_ms=first_ms + 2, first_seq=2), marks("trade", 2), after=1)
    await store.compact()
    await store.append(batch(made[2:], first_ms=first_ms + 3, first_seq=3), marks("trade", 4), after=2)
    quotes = [
        Quote("kraken", "BTC-USDT", None, begin + ns, Decimal(bid), Decimal(1), Decimal(bid + 2), Decimal(1))
        for ns, bid in ((1, 99), (50 * 10**9, 105))
    ]
    await store.append(batch(quotes, first_ms=first_ms + 1), marks("quote", 2), after=0)
    await store.aclose()
    return folder


async def ran(name: str, folder: Path, url: str) -> str:
    """What a program of the page prints."""
    text = BLOCKS[f"{PAGE}#{name}"].text.replace(STORE, str(folder)).replace("redis://localhost:6379", url)
    environ = {**os.environ, "CROSSTAPE_RECORDER__STORE": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-W", "error", "-c", text]
    done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True, check=False, timeout=100)
    assert not done.returncode, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("name", ["polars python", "pandas python", "duckdb python"])
async def test_an_engine_adds_up_the_minutes(history: Path, valkey: str, name: str) -> None:
    """Each trade counts once, though files of merged commits are there still."""
    assert len(list(history.glob("trade/*/*.parquet"))) >= 3
    said = await ran(name, history, valkey)

    for number in ("101", "103", "3", "7"):  # the highest prices and the volumes of the two minutes
        assert any(word.startswith(number) for word in said.split()), said
    assert len([line for line in said.splitlines() if "000000000" in line]) >= 2


async def test_the_tape_reads_the_history(history: Path, valkey: str) -> None:
    """As a list, and as a frame."""
    said = await ran("read-it-in-python python", history, valkey)
    assert said.startswith("4 trades, complete")
    assert "kraken" in said


async def test_a_strategy_is_tested_on_the_past(history: Path, valkey: str) -> None:
    """It buys at the ask that was known when a large trade came, and sells at the bid that was known at the next trade."""
    said = await ran("backtest-on-recorded-quotes-and-trades python", history, valkey)
    assert said == "1 deals, profit 4\n"


def test_what_the_command_shows_is_what_it_takes() -> None:
    """The lines of the page are accepted as they stand."""
    from crosstape_cli.history import _query

    lines = BLOCKS[f"{PAGE}#read-it-by-the-command sh"].text.splitlines()
    assert len(lines) == 4
    for line in lines:
        _, command, kind, instrument, *_ = line.split()
        assert command == "history"
        assert _query(kind, instrument, None, None, None, files=False).instrument == "BTC-USDT"
