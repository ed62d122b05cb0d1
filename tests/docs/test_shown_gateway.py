"""What the pages show of the gateway works on one: commands of the shell, a WebSocket, and an EventSource in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from crosstape.runtime.embedded_server import free_port
from tests.docs.following import Program, Running, Tape, started
from tests.docs.running import repeated
from tests.docs.shown import Follows, blocks
from tests.waiting import wait_until

SHOWN_AT: Final = "localhost:8090"
BLOCKS: Final = {block.name: block.text for block in blocks() if SHOWN_AT in block.text}
FOLLOWS: Final = Follows("stream", "")
CHROMIUM: Final = Path("/usr/bin/chromium")
PROBE_S: Final = 0.1


@contextlib.asynccontextmanager
async def gateway(bus: str, port: int) -> AsyncIterator[Running]:
    """A gateway for the length of the block."""
    environment = {"CROSSTAPE_BUS__URL": bus, "CROSSTAPE_GATEWAY__PORT": str(port), "CROSSTAPE_TELEMETRY__LOG_FORMAT": "json"}
    program = Program((sys.executable, "-m", "crosstape_cli.main", "gateway"), FOLLOWS, environment)
    async with started({"gateway": program}) as programs:
        one = programs["gateway"]
        await wait_until(lambda: "gateway.listening" in one.out + one.err, what="the gateway listens", timeout_s=60)
        yield one


@contextlib.asynccontextmanager
async def sending(client: Redis) -> AsyncIterator[Tape]:
    """Events of every kind, ten times a second, for the length of the block."""
    tape = Tape(client)
    await tape.send(3)
    async with repeated(tape.send, PROBE_S):
        yield tape


async def stream_has(command: list[str], *expected: str) -> str:
    """Read what a command prints until all these texts are in it; then end the command."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    found = ""
    try:
        async with asyncio.timeout(60):
            while not all(text in found for text in expected):
                data = await process.stdout.read(65536)
                assert data, found
                found += data.decode()
    finally:
        process.kill()
        await process.communicate()
    return found


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_the_commands_of_the_pages_are_answered(client: Redis, valkey: str) -> None:
    """Requests with JSON that is no error; streams with events of each topic, after `connected`."""
    port = free_port()
    lines = [line for text in BLOCKS.values() for line in text.splitlines() if line.startswith("curl ")]
    assert len(lines) >= 6
    async with sending(client), gateway(valkey, port):
        for command in (shlex.split(line.replace(SHOWN_AT, f"127.0.0.1:{port}")) for line in dict.fromkeys(lines)):
            if "-sN" in command:
                topics = re.findall(r"[\w:]+(?=:BTC-USDT)", command[-1].partition("topics=")[2]) or ["candle_update"]
                kinds = [f'"type":"{topic.partition(":")[0]}"' for topic in topics]
                said = await stream_has(command, *kinds)
                assert said.startswith('data: {"type":"connected"')
                continue
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            out, _ = await asyncio.wait_for(process.communicate(), 60)
            rows = next(value for value in json.loads(out).values() if isinstance(value, list))
            assert rows, command


async def test_the_reader_of_a_websocket(client: Redis, valkey: str, tmp_path: Path) -> None:
    """It prints each quote from the moment on when it has subscribed, with the digits of the tape."""
    port = free_port()
    file = tmp_path / "reader.py"
    file.write_text(BLOCKS["docs/how-to/read-the-tape.md#websocket python"].replace(SHOWN_AT, f"127.0.0.1:{port}"))
    how = Follows("stream", r"^(\d+) \d+$")
    async with sending(client) as tape, gateway(valkey, port), started({"": Program((sys.executable, str(file)), how)}) as programs:
        one = programs[""]
        await wait_until(lambda: len(one.printed()) > 5, what="it prints quotes", timeout_s=60)
        last = tape.sent
        await wait_until(lambda: one.newest() >= last, what="it prints the newest")
    printed = one.printed()
    assert printed == sorted(set(printed))


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")
async def test_the_page_of_an_event_source_follows_through_a_restart(client: Redis, valkey: str) -> None:
    """The newest quotes come, also after the gateway was away; prices are strings."""
    from playwright.async_api import async_playwright

    port = free_port()
    code = BLOCKS["docs/how-to/read-the-tape.md#in-a-browser-eventsource js"].replace(SHOWN_AT, f"127.0.0.1:{port}")
    said: list[str] = []

    def newest() -> int:
        return max((int(found) for text in said for found in re.findall(r"^(\d+) \d+$", text)), default=0)

    async with sending(client) as tape, async_playwright() as playwright, contextlib.AsyncExitStack() as stack:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        stack.push_async_callback(browser.close)
        page = await browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        async with gateway(valkey, port):
            await page.goto(f"http://127.0.0.1:{port}/api/venues")
            await page.evaluate(f"(() => {{ {code} }})()")
            await wait_until(lambda: newest() > 0, what="it prints a quote", timeout_s=60)
        before = tape.sent
        async with gateway(valkey, port):
            await wait_until(lambda: newest() > before, what="it prints quotes of the new gateway", timeout_s=60)
