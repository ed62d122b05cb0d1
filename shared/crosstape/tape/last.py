"""Reads the newest event of each venue."""

from __future__ import annotations

import msgspec

from crosstape.log import get_log
from crosstape.tape.connection import LATE, TapeConnection
from crosstape_schemas import AnyEvent, decode

log = get_log(__name__)


async def last_by_venue(connection: TapeConnection, kind: str, instrument: str) -> dict[str, AnyEvent]:
    """Returns field → event of the hash of last values. A value that is no event of ours is logged and left out. Raises `BusError`."""
    name = connection.keys.last(kind, instrument)
    answer = await connection.call("HGETALL", name)
    assert isinstance(answer, dict)
    found: dict[str, AnyEvent] = {}
    for field, value in answer.items():
        key = field.decode(errors="replace")
        if key.endswith(LATE):
            continue
        try:
            found[key] = decode(value)
        except msgspec.MsgspecError as exc:
            log.warning("tape.foreign", key=name, field=key, reason=str(exc)[:200])
    return found
