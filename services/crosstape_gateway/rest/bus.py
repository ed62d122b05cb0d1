"""Asks the bus for an answer: within a deadline, which is short while the bus is away, and with a few large reads at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from aiohttp import web
from redis.exceptions import ResponseError

from crosstape.bus.client.call import UNAVAILABLE, execute, execute_raw
from crosstape_gateway import metrics
from crosstape_gateway.errors import RequestError
from crosstape_gateway.parts import PARTS, Parts

DEADLINE_S: Final = 4.0
"""Longest time for all that one request asks the bus. The bus's own timeout may be longer: a publisher can wait, a page cannot."""
AWAY_S: Final = 0.5
"""The same while the hub has no answer of the bus: requests must not pile up, and the bus may be back already."""
RETRY_S: Final = 1.0
"""When a client may ask again after the bus was away."""
LARGE_READS: Final = 4
"""Requests that read streams at the same time. Each holds some pages of 1,000 entries in memory, and keeps the bus from other work."""
AT_ONCE: Final = 250
"""Keys in one call of a script at most: the server does nothing else during a call."""

LARGE: Final = web.AppKey("large", asyncio.Semaphore)

_HASHES: Final = """
-- KEYS: hashes. Answers the fields and values of each, one after another; nothing for a key that is none
local values = {}
for i = 1, #KEYS do
  local found = redis.pcall('HGETALL', KEYS[i])
  values[i] = found.err and {} or found
end
return values
"""
_NEWEST: Final = """
-- KEYS: streams. ARGV: count. Answers the server's time (s, us), then the newest entries of each stream
local time = redis.call('TIME')
local values = {time[1], time[2]}
for i = 1, #KEYS do
  local found = redis.pcall('XREVRANGE', KEYS[i], '+', '-', 'COUNT', ARGV[1])
  values[i + 2] = found.err and {} or found
end
return values
"""
_FIELDS: Final = _HASHES.replace("HGETALL", "HKEYS").replace("fields and values", "fields")


def away() -> RequestError:
    """Returns the error of a request that needs the bus, while it is away."""
    return RequestError(503, "bus_away", "the bus does not answer at the moment: try again", retry_after_s=RETRY_S)


@contextlib.asynccontextmanager
async def reading(parts: Parts) -> AsyncIterator[None]:
    """Surrounds all that one request asks the bus. Raises `RequestError` (503) if it does not answer in time."""
    try:
        async with asyncio.timeout(_longest_s(parts)):
            yield
    except UNAVAILABLE as exc:  # a TimeoutError is an OSError
        raise away() from exc


def _longest_s(parts: Parts) -> float:
    return DEADLINE_S if parts.hub.away_since_ts is None else min(AWAY_S, DEADLINE_S)


@contextlib.asynccontextmanager
async def large_read(app: web.Application) -> AsyncIterator[None]:
    """Holds one of `LARGE_READS` places for the length of the block. Raises `RequestError` (503) if none gets free in time."""
    places = app[LARGE]
    try:
        async with asyncio.timeout(_longest_s(app[PARTS])):
            await places.acquire()
    except TimeoutError:
        raise RequestError(503, "busy", "too many requests read the tape at the moment: try again", retry_after_s=RETRY_S) from None
    try:
        yield
    finally:
        places.release()


async def hashes(parts: Parts, names: Sequence[tuple[str, str]]) -> list[dict[str, bytes]]:
    """Returns the last values of each (kind, instrument): field → the event's bytes; empty where there are none."""
    found = await _scripted(parts, _HASHES, names)
    return [dict(zip((field.decode(errors="replace") for field in one[::2]), one[1::2], strict=True)) for one in found]


async def hash_fields(parts: Parts, names: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Returns the fields of the last values of each (kind, instrument): the venues that have published it."""
    return [[field.decode(errors="replace") for field in one] for one in await _scripted(parts, _FIELDS, names)]


async def page(parts: Parts, stream: str, newest: str, oldest: str, count: int) -> list[tuple[bytes, list[bytes]]]:
    """Returns up to `count` entries of a stream as (id, fields), newest first, from `newest` back to `oldest` (ids, `+`, `-`)."""
    return await _entries(parts, "XREVRANGE", stream, (newest, oldest), count)


async def page_after(parts: Parts, stream: str, after: str, count: int) -> list[tuple[bytes, list[bytes]]]:
    """Returns up to `count` entries of a stream behind the id `after`, oldest first."""
    return await _entries(parts, "XRANGE", stream, (f"({after}", "+"), count)


async def newest_of(parts: Parts, streams: Sequence[str], count: int) -> tuple[int, list[list[tuple[bytes, list[bytes]]]]]:
    """Returns the server's clock, ms, by which ids of entries are, and the newest `count` entries of each stream, newest first.

    All streams must be in partition 0, as those of venues are.
    """
    seconds, micros, *found = await execute(parts.client, "EVAL", _NEWEST, len(streams), *streams, count)
    entries = [[(entry[0], entry[1] or []) for entry in one] for one in found]
    return int(seconds) * 1_000 + int(micros) // 1_000, entries


async def _entries(parts: Parts, command: str, stream: str, places: tuple[str, str], count: int) -> list[tuple[bytes, list[bytes]]]:
    """Returns entries of a stream as (id, fields); none of a key that some other program has made something else."""
    try:
        found = await execute_raw(parts.client, command, stream, *places, "COUNT", count, key=stream.encode())
    except ResponseError as exc:
        if not str(exc).startswith("WRONGTYPE"):
            raise
        metrics.FOREIGN.inc()
        return []
    return [(entry[0], entry[1] or []) for entry in found or ()]


async def _scripted(parts: Parts, script: str, names: Sequence[tuple[str, str]]) -> list[Any]:
    found: list[Any] = [[]] * len(names)
    for places in _chunks(parts, names):
        keys = [parts.keys.last(*names[place]) for place in places]
        answers = await execute(parts.client, "EVAL", script, len(keys), *keys)
        for place, answer in zip(places, answers, strict=True):
            found[place] = answer
    return found


def _chunks(parts: Parts, names: Sequence[tuple[str, str]]) -> Iterator[list[int]]:
    """Yields indexes into `names`, at most `AT_ONCE` together, all of one partition: a script may touch only one."""
    by_partition: dict[int, list[int]] = {}
    for place, (_, instrument) in enumerate(names):
        by_partition.setdefault(parts.keys.partition(instrument), []).append(place)
    for places in by_partition.values():
        for start in range(0, len(places), AT_ONCE):
            yield places[start : start + AT_ONCE]
