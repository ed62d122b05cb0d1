"""A process that writes trades to a history in PostgreSQL, until it is killed or all of them are there: `URL TRADES`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from decimal import Decimal
from typing import Final

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.batch import Batch
from crosstape.history.postgres.store import PostgresStore
from tests.history.batches import DAY, NOON, batch, trade

STREAM: Final = "tape:trade:BTC-USDT"
SIZE: Final = 500
"""Trades of a commit."""
AWAY_S: Final = 60.0
"""Longest time without a server."""
SPREAD: Final = 3 * DAY
"""Trades are spread over so many ns."""


def price(number: int) -> Decimal:
    """The price of a trade."""
    return Decimal(60_000 + number % 997) + Decimal(number % 100).scaleb(-2)


def batch_from(first: int, total: int) -> Batch:
    """The commit that begins with this trade, of 1 to `total`. The id of trade 7 on its stream is 7-0, and its number is 7."""
    numbers = range(first, min(first + SIZE, total + 1))
    rows = [trade(number, ts=NOON + number * SPREAD // total, price=price(number), size=Decimal("0.001") * number) for number in numbers]
    return batch(rows, first_ms=first, first_seq=first)


async def write(store: PostgresStore, total: int) -> None:
    """Writes what is missing, as a recorder does: it begins behind the mark, and reads the mark again whenever a commit was not its own."""
    deadline = time.monotonic() + AWAY_S
    while True:
        try:
            position = await store.position("trade")
            number = position.number
            mark = position.marks.get(STREAM)
            done = 0 if mark is None else int(mark.id.partition("-")[0])
            while done < total:
                rows = batch_from(done + 1, total)
                done += len(rows)
                marks = {STREAM: Bookmark(f"{done}-0", (("kraken", 7, done),))}
                made = await store.append(rows, marks, after=number)
                if made is None:
                    break
                number = made
                deadline = time.monotonic() + AWAY_S
            else:
                return
        except HistoryError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)  # between two attempts to connect


async def main(url: str, total: int) -> None:
    """Runs until all trades are there."""
    async with contextlib.aclosing(PostgresStore(url, connect_s=5.0, command_s=10.0)) as store:
        await write(store, total)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
