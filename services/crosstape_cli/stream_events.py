"""Reads what a stream holds now, from its oldest entry on, and ends there. (To follow a stream, use `crosstape.Reader`.)"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from crosstape.bus import Client
from crosstape.bus.client.call import execute_raw
from crosstape_schemas import Event, decode

PAGE: Final = 1_000
"""Entries in one answer."""


async def stream_events(client: Client, stream: str) -> AsyncIterator[Event]:
    """Yields the events of a stream, oldest first, as far as it reaches. Foreign entries are skipped. Raises one of `UNAVAILABLE`."""
    start, last = b"-", b"+"
    for newest, _ in await execute_raw(client, "XREVRANGE", stream, "+", "-", "COUNT", 1, key=stream.encode()):
        last = newest
    entries: list[tuple[bytes, list[bytes]]] = []
    while not entries or len(entries) == PAGE:
        entries = await execute_raw(client, "XRANGE", stream, start, last, "COUNT", PAGE, key=stream.encode())
        if not entries:
            return
        for _, fields in entries:
            try:
                yield decode(fields[fields.index(b"d") + 1])
            except (ValueError, IndexError, msgspec.MsgspecError):
                continue
        start = b"(" + entries[-1][0]
