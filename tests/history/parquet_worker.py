"""Processes that use one history in files at once, and that a test kills: `python -m tests.history.parquet_worker FOLDER`.

It reads a line for each process to start, `write`, `compact` or `expire`, and answers with its process id. They are forked off, so that
none of them has to load its libraries again.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Final

from crosstape.bus import Bookmark
from crosstape.history.parquet.compaction import KEPT_S
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape.history.query import Query
from crosstape_schemas import decode
from tests.history.batches import DAY, NOON, batch, trade

STREAM: Final = "tape:trade:BTC-USDT"
ROWS_OF_A_DAY: Final = 500
GRACE_S: Final = 5
"""How long merged commits stay here: an hour would be longer than the test."""


def stop_file(folder: Path) -> Path:
    """Writers end when this file is there."""
    return folder.with_name(f"{folder.name}.stop")


async def write(folder: Path) -> None:
    """Does what a recorder does with an endless stream: reads on from the mark, and commits under the next number, until it is to stop."""
    store = ParquetStore(LocalFolder(folder))
    while not stop_file(folder).exists():
        position = await store.position("trade")
        read_to = int(position.marks[STREAM].id.partition("-")[0]) if STREAM in position.marks else 0
        numbers = range(read_to + 1, read_to + random.randint(1, 30) + 1)
        rows = batch(
            [trade(number, ts=NOON + number * DAY // ROWS_OF_A_DAY) for number in numbers], first_ms=numbers[0], first_seq=numbers[0]
        )
        marks = {STREAM: Bookmark(f"{numbers[-1]}-0", (("kraken", 7, numbers[-1]),))}
        await store.append(rows, marks, after=position.number)
    await store.aclose()


async def compact(folder: Path) -> None:
    """Merges and deletes for ever."""
    store = ParquetStore(LocalFolder(folder), clock=lambda: time.time_ns() + (KEPT_S - GRACE_S) * 10**9)
    while True:
        await store.compact()
        await asyncio.sleep(random.uniform(0, 0.02))


async def expire(folder: Path) -> None:
    """Deletes for ever all days but the two newest."""
    store = ParquetStore(LocalFolder(folder))
    while True:
        newest = await store.last(Query(kind="trade"))
        if newest is not None:
            await store.expire(before_ts=(decode(newest).venue_ts or 0) - DAY)
        await asyncio.sleep(random.uniform(0, 0.05))


ROLES: Final = {"write": write, "compact": compact, "expire": expire}


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that were killed
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            random.seed()
            asyncio.run(ROLES[line.strip()](folder))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
