"""Publishes revised bars on the tape, beside the aggregator, and reads which are there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from crosstape.bus import Client, Publisher
from crosstape.bus.client.call import UNAVAILABLE, execute_raw
from crosstape.errors import BusError
from crosstape.settings import BusSettings
from crosstape_schemas import BAR, Bar, Keys, decode

PRODUCER: Final = "recorder"
PAGE: Final = 1_000
"""Entries in one call."""
CLOSED: Final = b'"closed":true'
"""Entries without this need not be decoded: most bars are open ones."""
CHUNK: Final = 500
"""Bars that are published at once."""
DRAIN_S: Final = 30.0
"""Longest wait until they are on the tape."""

log = structlog.get_logger(__name__)


async def closed_bars(client: Client, keys: Keys, instrument: str, timeframe: str) -> list[Bar]:
    """Returns the closed bars that a stream has, in its order. Raises `BusError` without an answer."""
    stream = keys.stream(f"{BAR}{timeframe}", instrument)
    found: list[Bar] = []
    start = b"-"
    while True:
        try:
            entries = await execute_raw(client, "XRANGE", stream, start, "+", "COUNT", PAGE, key=stream.encode())
        except UNAVAILABLE as exc:
            raise BusError(f"{stream}: {exc}") from exc
        for _, fields in entries:
            if len(fields) == 2 and CLOSED in fields[1]:
                try:
                    event = decode(fields[1])
                except msgspec.MsgspecError:
                    continue
                if isinstance(event, Bar) and event.closed:
                    found.append(event)
        if len(entries) < PAGE:
            return found
        start = b"(" + entries[-1][0]


async def publish(client: Client, keys: Keys, settings: BusSettings, bars: Sequence[Bar]) -> None:
    """Publishes revised bars, each once. Returns when they are on the tape. Raises `BusError` if they cannot be published now.

    What was published of them by then is on the tape; a later call computes what is left.
    """
    if not bars:
        return
    publisher = Publisher(client, keys, settings, producer=PRODUCER, corrects=True)
    running = asyncio.create_task(publisher.run(), name="recorder.corrections")
    try:
        for start in range(0, len(bars), CHUNK):
            publisher.publish_all(bars[start : start + CHUNK])
            if not await _drained(publisher, running):
                raise BusError(f"{PRODUCER}: revised bars are not on the tape after {DRAIN_S:g} s: the server does not answer")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        publisher.close()
    log.info("recorder.bars_revised", bars=len(bars), instruments=sorted({bar.instrument for bar in bars}))


async def _drained(publisher: Publisher, running: asyncio.Task[None]) -> bool:
    """Wait until all is on the tape. Raises what ended the publisher."""
    drain = asyncio.create_task(publisher.drain(DRAIN_S), name="recorder.drain")
    await asyncio.wait((drain, running), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        drain.cancel()
        running.result()
    return await drain
