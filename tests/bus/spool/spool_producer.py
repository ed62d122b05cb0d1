"""A producer to be killed: trades 1 … N of each instrument, going on behind the last on the tape, as a venue that repeats would.

    python spool_producer.py URL DIRECTORY COUNT PENDING SPOOL_BYTES INSTRUMENT …

Writes lines: `from NUMBER`, the last trade that all instruments have on the tape at the start; `safe NUMBER`, that the trades up to this
one are in the file of the spool or on the tape, whatever happens from now on; `done`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from crosstape.bus import Publisher, connect
from crosstape_schemas import Trade
from tests.bus.tape import KEYS, fast, trade

AT_ONCE = 10


def say(text: str) -> None:
    """Print one line with a single write."""
    os.write(1, f"{text}\n".encode())


async def main(url: str, directory: str, *instruments: str, count: int, **changes: int) -> None:
    """Publish until all trades are on the tape."""
    settings = fast(url, batch=100, **changes)
    async with connect(settings) as client, asyncio.TaskGroup() as group:
        publisher = Publisher(client, KEYS, settings, producer="connector.binance", spool=Path(directory))
        task = group.create_task(publisher.run())
        await publisher.claimed()
        found = await publisher.last("trade", instruments, "binance")
        last = {name: int(event.trade_id) if isinstance(event := found.get(name), Trade) else 0 for name in instruments}
        say(f"from {min(last.values())}")
        (lane,) = publisher._writers
        assert lane.spool is not None
        for start in range(min(last.values()) + 1, count + 1, AT_ONCE):
            for number in range(start, min(start + AT_ONCE, count + 1)):
                publisher.publish_all(trade(number, name) for name in instruments if number > last[name])
            await asyncio.sleep(0.001)
            if (lane.spool.active and not lane.spool.backlog) or not publisher.pending:
                say(f"safe {min(start + AT_ONCE - 1, count)}")
        while not await publisher.drain(1):
            pass
        say("done")
        publisher.close()
        task.cancel()


if __name__ == "__main__":
    _, url, directory, count, pending, spool_bytes, *instruments = sys.argv
    asyncio.run(main(url, directory, *instruments, count=int(count), pending=int(pending), spool_bytes=int(spool_bytes)))
