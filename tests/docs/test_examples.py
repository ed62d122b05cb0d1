"""The examples do what they say, against a real server; those that are recipes in test_recipes.py."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape_schemas import CONSOLIDATED, Bar, Keys, Market, encode
from tests.docs.running import EXAMPLES, QUOTE, example, line, python


@pytest.mark.parametrize("name", [path.name for path in EXAMPLES.iterdir() if path.is_file()])
def test_an_example_is_short(name: str) -> None:
    """An example has fewer than 120 lines."""
    assert len((EXAMPLES / name).read_text().splitlines()) < 120


def bar(minute: int, close: str, *, revision: int = 0, complete: bool = True, venue: str = CONSOLIDATED) -> Bar:
    """A closed bar whose range is 2, from 12:00 UTC on."""
    start, last = (20_000 * 1_440 + 720 + minute) * 60 * 10**9, Decimal(close)
    return Bar(
        venue, "BTC-USDT", None, start, "1m", start, start + 60 * 10**9, last, last + 1, last - 1, last, Decimal(1), last, 1, None,
        closed=True, revision=revision, complete=complete, epoch=1, seq=1,
    )  # fmt: skip


async def test_indicators_of_consolidated_bars(client: Redis, valkey: str) -> None:
    """They are warm from what the stream holds. A revision replaces its bar, a missing bar begins them again, a bar that lacks trades is
    said. By hand: after 20 bars that rise by 0.1 Wilder's averages of 14 are 0.1 up and 0 down; a fall by 0.9 makes them 0.1 × 13 / 14 and
    0.9 / 14, so that RSI is 100 × 1.3 / 2.2. Each bar's range is 2, and no close before is outside it.
    """
    stream, written = Keys().stream("bar:1m", "BTC-USDT"), Counter[str]()

    async def write(*bars: Bar, past: bool = False) -> None:
        for one in bars:
            written[one.venue] += 1
            data = encode(msgspec.structs.replace(one, seq=written[one.venue]))
            await client.xadd(stream, {"d": data}, id=f"1-{one.open_ts // 10**9}" if past else "*")

    await write(*(bar(minute, f"{100 + minute / 10:.1f}") for minute in range(20)), past=True)
    async with example(*python("indicator.py", valkey, "BTC-USDT")) as process:
        first, revision = asyncio.create_task(line(process)), 0
        is_open = msgspec.structs.replace(bar(21, "9"), closed=False)
        while not first.done():  # a bar that was written before the program began is not printed
            await write(bar(20, "102.0", revision=revision), bar(21, "1", venue="kraken"), is_open)
            revision += 1
            await asyncio.wait([first], timeout=0.5)
        assert re.fullmatch(r"BTC-USDT 12:20 close 102\.0 rsi 100\.00 atr 2\.00( \(revision \d+\))?", await first)
        await write(bar(20, "101.0", revision=revision, complete=False), bar(22, "102.2"))
        while "close 102.0" in (said := await line(process)):
            pass
        assert said == f"BTC-USDT 12:20 close 101.0 rsi 59.09 atr 2.00 (revision {revision}) (1 of the last bars may lack trades)"
        assert await line(process, error=True) == "BTC-USDT bars are missing before 12:22: the indicators begin again"
        assert await line(process) == "BTC-USDT 12:22 close 102.2 rsi – atr –"


def test_seconds_without_trades_begin_no_indicator_again() -> None:
    """They have no bar; a minute that is missing does."""
    indicators = runpy.run_path(str(EXAMPLES / "indicator.py"))["Indicators"]
    seconds, minutes = indicators(), indicators()
    for number in (0, 1, 3, 7):
        assert seconds.apply(msgspec.structs.replace(bar(number, "1"), timeframe="1s"))
        assert minutes.apply(bar(number, "1"))

    assert (len(seconds.bars), len(minutes.bars)) == (4, 1)


@pytest.mark.parametrize(
    ("timeframe", "text"), [("1s", "12:01:00"), ("1m", "12:01"), ("1h", "12:01"), ("1d", "2024-10-04"), ("1M", "2024-10-04")]
)
def test_an_indicators_bar_is_named_by_its_opening(timeframe: str, text: str) -> None:
    """To the second, to the minute, or by its day."""
    assert runpy.run_path(str(EXAMPLES / "indicator.py"))["when"](msgspec.structs.replace(bar(1, "1"), timeframe=timeframe)) == text


REDIS_CLI = """#!/bin/sh
# What `redis-cli --raw PSUBSCRIBE` prints for a subscription and two messages; then its connection is cut.
[ "$*" = "-s /sock --raw PSUBSCRIBE tape:cbbo:*" ] || exit 1
printf 'psubscribe\\ntape:cbbo:*\\n1\\n'
printf 'pmessage\\ntape:cbbo:*\\ntape:cbbo:BTC-USDT\\n%s\\n' '{normal}' '{crossed}'
"""


async def test_crossed_with_redis_cli(tmp_path: Path) -> None:
    """A crossed market is one line; when the connection is lost, it reports that and subscribes again. Needs no redis-cli."""
    normal = encode(msgspec.structs.replace(QUOTE, market=Market.NORMAL)).decode()
    stub = tmp_path / "redis-cli"
    stub.write_text(REDIS_CLI.format(normal=normal, crossed=encode(QUOTE).decode()))
    stub.chmod(0o755)

    async with example("env", f"PATH={tmp_path}:{os.environ['PATH']}", str(EXAMPLES / "crossed.sh"), "-s", "/sock") as process:
        for _ in range(2):
            assert await line(process) == "BTC-USDT crossed by -49.38 bps"
            assert "the connection ended; quotes are lost until it is back" in await line(process, error=True)
