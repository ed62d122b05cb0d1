"""The `crosstape` command as a process, for tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from crosstape.settings import Settings

TIMEOUT_S = 60.0

NO_VENUE = {
    "CROSSTAPE_VENUES__KRAKEN__REST_URL": "http://127.0.0.1:1",
    "CROSSTAPE_VENUES__KRAKEN__WS_URL": "ws://127.0.0.1:1",
    **{f"CROSSTAPE_VENUES__{name.upper()}__ENABLED": "false" for name in Settings().venues if name != "kraken"},
    "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json",
}
"""Variables for an `up` that reaches no venue: of those of the default settings, it has one connector, which reaches nothing."""


class Done(NamedTuple):
    """Output and exit code of a command that has ended."""

    code: int
    out: bytes
    err: str


def environ(**changes: str) -> dict[str, str]:
    """Ours, without settings of whoever runs the tests, and with a terminal as wide as the tests expect.

    The gateway of an `up` takes a free port: several tests run one at the same time.
    """
    found = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTAPE_") and not name.lower().endswith("_proxy")}
    return found | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200", "CROSSTAPE_GATEWAY__PORT": "0"} | changes


async def crosstape(
    *arguments: str,
    stdin: bytes = b"",
    timeout_s: float = TIMEOUT_S,
    prefix: Sequence[str] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
    **changes: str,
) -> Done:
    """Run one to its end; `prefix` is a command that runs it."""
    async with started(*arguments, variables={**variables, **changes}, prefix=prefix) as process:
        out, err = await asyncio.wait_for(process.communicate(stdin), timeout_s)
        assert process.returncode is not None
        return Done(process.returncode, out, err.decode())


@asynccontextmanager
async def started(
    *arguments: str, output: int = PIPE, variables: Mapping[str, str] = MappingProxyType({}), prefix: Sequence[str] = ()
) -> AsyncIterator[Process]:
    """Starts a command; kills it at the end of the block if it still runs."""
    command = (*prefix, sys.executable, "-m", "crosstape_cli", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=output, stderr=PIPE, env=environ(**variables), limit=1 << 20
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def stopped(process: Process, number: signal.Signals = signal.SIGINT) -> Done:
    """Ask it to end, and wait for that."""
    process.send_signal(number)
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return Done(process.returncode, out, err.decode())


async def line(process: Process) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), TIMEOUT_S)).decode().rstrip("\n")


async def events(process: Process, name: str, count: int) -> list[dict[str, Any]]:
    """Returns the next so many events of this name that a process and its children log as JSON."""
    assert process.stderr is not None
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(found) < count:
            text = await process.stderr.readline()
            assert text, f"it ended before it logged {name} {count} times: {found}"
            if text.startswith(b"{") and (event := json.loads(text))["event"] == name:
                found.append(event)
    return found
