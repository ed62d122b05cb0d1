"""Faults of a running server: it is slow, refuses, forgets, or closes connections. After each fault the server is as it was before.

Every service must notice: a fault names the log line that it must cause, so that no fault passes because it never happened.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from redis.asyncio import Redis

from tests.bus.tape import command
from tests.chaos.place import Reached
from tests.waiting import wait_until

NOTICED_S: Final = 20.0
HELD_S: Final = 1.0
PASSWORD: Final = "as-set"
OPTIONS: Final = {"key-load-delay": "100"}
"""µs for each command of its file, of which it serves nobody for a thousand at a time: loading takes seconds."""

LOADED: Final = 20_000
KILLS: Final = 20
PAUSED_S: Final = 4.0
"""Twice what services wait for an answer here."""

Noticed = Callable[[], Awaitable[None]]
"""Waits until every service has logged what it must."""


class Fault(NamedTuple):
    """One fault. `act` receives the server, and a function that waits until the fault has been noticed."""

    name: str
    act: Callable[[Reached, Noticed], Awaitable[None]]
    logged: str = ""
    """Part of a log line that every service must write once more; empty: the fault is no outage."""


async def _set(admin: Redis, name: str, value: str) -> None:
    await command(admin, "CONFIG", "SET", name, value)


async def _hang_up(admin: Redis) -> None:
    """Close all connections but ours."""
    for kind in ("normal", "pubsub"):
        await command(admin, "CLIENT", "KILL", "TYPE", kind)


async def _full(at: Reached, noticed: Noticed) -> None:
    await _set(at.admin, "maxmemory-policy", "noeviction")
    await _set(at.admin, "maxmemory", "1")
    try:
        await noticed()
    finally:
        await _set(at.admin, "maxmemory", "0")


async def _replica(at: Reached, noticed: Noticed) -> None:
    """Make the server a replica of a master that does not exist; it keeps its data."""
    await command(at.admin, "REPLICAOF", "127.0.0.1", "1")
    try:
        await noticed()
    finally:
        await command(at.admin, "REPLICAOF", "NO", "ONE")


async def _forgets_scripts(at: Reached, _: Noticed) -> None:
    for _number in range(KILLS):
        await command(at.admin, "SCRIPT", "FLUSH")
        await asyncio.sleep(0.1)
    info = await command(at.admin, "INFO", "errorstats")
    assert "errorstat_NOSCRIPT" in info, info


async def _loading(at: Reached, noticed: Noticed) -> None:
    async with at.admin.pipeline(transaction=False) as pipe:
        for number in range(LOADED):
            pipe.set(f"other:{number}", "")
        await pipe.execute()
    await at.server.kill()
    await at.server.start()  # without our password it answers while it still loads
    await noticed()
    await wait_until(lambda: _loaded(at.admin), what="it has loaded", timeout_s=NOTICED_S)


async def _loaded(admin: Redis) -> bool:
    return not (await admin.info("persistence"))["loading"]


async def _password(at: Reached, noticed: Noticed) -> None:
    """Another; connections that had the one before are ended, as whoever changes it would."""
    await _set(at.admin, "requirepass", "another")
    await _hang_up(at.admin)
    try:
        await noticed()
    finally:
        await _set(at.admin, "requirepass", PASSWORD)


async def _rights(at: Reached, noticed: Noticed) -> None:
    await command(at.admin, "ACL", "SETUSER", "default", "-@all")
    try:
        await noticed()
    finally:
        await command(at.admin, "ACL", "SETUSER", "default", "+@all")


async def _hangs_up(at: Reached, noticed: Noticed) -> None:
    """Close connections at least this often, until each service was hit in the middle of a call: between two calls it notices nothing."""
    noticing = asyncio.ensure_future(noticed())
    times = 0
    while times < KILLS or not noticing.done():
        await _hang_up(at.admin)
        await asyncio.sleep(0.1)
        times += 1
    await noticing


async def _stopped(at: Reached, noticed: Noticed) -> None:
    pid = (await at.admin.info("server"))["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(PAUSED_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    await noticed()


async def _slow(at: Reached, _: Noticed) -> None:
    at.net.delay_s = 0.5


FAULTS: Final = (
    Fault("no memory", _full, "command not allowed when used memory"),
    Fault("a replica", _replica, "write against a read only replica"),
    Fault("forgets its scripts", _forgets_scripts),
    Fault("loads a big file", _loading, "is loading the dataset in memory"),
    Fault("another password", _password, "invalid username-password pair"),
    Fault("fewer rights", _rights, "has no permissions to run"),
    Fault("hangs up again and again", _hangs_up, "bus.unavailable"),
    Fault("hangs", _stopped, "TimeoutError"),
    Fault("answers half a second late", _slow),
)
"""The last is not ended: whatever must hold afterwards, must hold meanwhile."""


def noticing(logged: Callable[[], dict[str, str]], text: str) -> Noticed:
    """Returns a function that waits until each service has logged this once more, plus `HELD_S`. `logged`: what each has logged so far."""
    before = {name: log.count(text) for name, log in logged().items()}

    async def noticed() -> None:
        await wait_until(
            lambda: all(log.count(text) > before[name] for name, log in logged().items()),
            what=f"every service logs {text}",
            timeout_s=NOTICED_S,
        )
        await asyncio.sleep(HELD_S)

    return noticed
