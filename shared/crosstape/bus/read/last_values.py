"""Reading last values: what a producer's predecessor left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from crosstape.bus.client.call import UNAVAILABLE, Client, ask
from crosstape.errors import BusError
from crosstape_schemas import Event, Keys, decode

LAST_AT_ONCE: Final = 50
"""Requests in flight for last values: each takes a connection."""

log = structlog.get_logger()


async def last_values(client: Client, keys: Keys, kind: str, instruments: Sequence[str], field: str) -> dict[str, Event]:
    """The newest event per instrument, of those that have one. `field` is the venue; of a status, `venue:kind` of its feed.

    What is no event of ours is left out, and logged. Raises `BusError` when the server does not answer.
    """
    found: dict[str, Event] = {}
    values: list[bytes | None] = []
    try:
        for start in range(0, len(instruments), LAST_AT_ONCE):
            part = instruments[start : start + LAST_AT_ONCE]
            values += await asyncio.gather(*(ask(client, "HGET", keys.last(kind, name), field) for name in part))
    except UNAVAILABLE as exc:
        raise BusError(f"last values: {exc}") from exc
    for instrument, value in zip(instruments, values, strict=True):
        if value is not None:
            try:
                found[instrument] = decode(value)
            except msgspec.MsgspecError:
                log.warning("bus.foreign", key=keys.last(kind, instrument), field=field)
    return found
