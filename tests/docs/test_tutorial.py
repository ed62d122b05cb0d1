"""The tutorial "Your first strategy": its strategy on a tape made for it, and each step on the demo, as a newcomer types it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.runtime.embedded_server import free_port
from crosstape_schemas import Cbbo, Event, Exclusion, FeedState, Gap, GapCause, Keys, Vwap, encode
from tests.docs import following, shown
from tests.docs.following import Program, Running, started
from tests.docs.shown import ADDRESS, Follows
from tests.engines import Embedded, running
from tests.waiting import wait_until

PAGE: Final = "docs/tutorial/your-first-strategy.md"
BLOCKS: Final = {block.name.removeprefix(f"{PAGE}#"): block.text for block in shown.blocks() if block.name.startswith(PAGE)}
FOLLOWS: Final = Follows("stream", "")


def saved(name: str, file: Path, port: int) -> Program:
    """A Python program of the page, saved under this name."""
    file.write_text(BLOCKS[name].replace(ADDRESS, f"redis://127.0.0.1:{port}"))
    return Program((sys.executable, str(file)), FOLLOWS)


def quote(number: int, *, vwap: str, spread_bps: str = "1", is_out: bool = False) -> Cbbo:
    """A consolidated quote of three venues; with `is_out`, the leg of Kraken is stale."""
    made = following.quote(number)
    binance, kraken = made.legs
    coinbase = msgspec.structs.replace(binance, venue="coinbase")
    if is_out:
        kraken = msgspec.structs.replace(kraken, excluded=Exclusion.STATE, state=FeedState.STALE)
    return msgspec.structs.replace(
        made, vwap={"5m": Vwap(Decimal(vwap), Decimal(5), 3, complete=number > 1)}, legs=(binance, coinbase, kraken),
        venues=2 if is_out else 3, spread=Decimal("0.5"), spread_bps=Decimal(spread_bps),
    )  # fmt: skip


def gap(number: int, *, repaired: bool) -> Gap:
    """Eight trades of Binance, missing or fetched."""
    return Gap(
        venue="binance", instrument="BTC-USDT", venue_ts=None, received_ts=following.RECEIVED_TS, kind="trade", from_ts=1, to_ts=2,
        missed=8, cause=GapCause.DISCONNECT, repaired=repaired, epoch=1, seq=number,
    )  # fmt: skip


async def test_the_strategy_prints_its_alerts_legs_and_gaps(tmp_path: Path) -> None:
    """One alert each time that trades rise above the average, one line for each change of a leg; backfilled trades raise no alert."""
    server, keys = Embedded(tmp_path / "server", port=0), Keys()
    async with running(server), Redis(port=server.port) as client:

        async def send(event: Event) -> None:
            kind = "gap" if isinstance(event, Gap) else "cbbo" if isinstance(event, Cbbo) else "trade"
            await client.execute_command("XADD", keys.stream(kind, "BTC-USDT"), "*", "d", encode(event))  # type: ignore[no-untyped-call]

        first = quote(1, vwap="3", spread_bps="0.01")
        await send(first)
        await client.execute_command("HSET", keys.last("cbbo", "BTC-USDT"), first.venue, encode(first))  # type: ignore[no-untyped-call]
        async with started({"": saved("3-raise-an-alert python", tmp_path / "strategy.py", server.port)}) as programs:
            program, expected = programs[""], list[str]()

            async def prints(*lines: str) -> None:
                """Wait before the next event is sent: streams have no order between each other."""
                expected.extend(lines)
                await wait_until(lambda: program.out.splitlines() == expected, what=f"it prints {lines[-1]}", timeout_s=60)

            await prints("ALERT the spread is 0.5")
            await send(following.trade(1))
            await prints("ALERT 3.50 on binance is above the 5m VWAP 3.00 (incomplete)")
            await send(following.trade(2))  # still above: no second alert
            await send(gap(1, repaired=False))
            await prints("8 trades of binance are missing: disconnect")
            await send(quote(2, vwap="3", is_out=True))
            await prints("kraken does not count: state, its feed is stale")
            await send(msgspec.structs.replace(following.trade(3), price=Decimal(1)))
            await send(msgspec.structs.replace(following.trade(4), backfilled=True))
            await send(gap(2, repaired=True))
            await prints("8 trades of binance were fetched: disconnect")
            await send(quote(3, vwap="3"))
            await prints("kraken counts again")
            await send(following.trade(5))
            await prints("ALERT 3.50 on binance is above the 5m VWAP 3.00")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_each_step_of_the_tutorial_on_the_demo(tmp_path: Path) -> None:
    """The demo starts as the page says, with the strategy beside it and both faults: it prints the lines that the page shows."""
    server, page, control = free_port(), free_port(), free_port()
    ports = {"6379": str(server), "8090": str(page), "8900": str(control)}

    def with_ports(text: str) -> str:
        for shown_port, port in ports.items():
            text = text.replace(shown_port, port)
        return text

    make, demo, arguments = shlex.split(BLOCKS["1-start-a-market sh"])
    assert (make, demo) == ("make", "demo")
    options = shlex.split(with_ports(arguments.removeprefix("ARGS=")))
    async with started({"demo": Program((sys.executable, "-m", "crosstape_cli.main", "demo", *options), FOLLOWS)}) as demos:
        await wait_until(
            lambda: re.search("[34] venues  normal", demos["demo"].out), what="the demo has a quote of its venues", timeout_s=60
        )
        async with started({"": saved("3-raise-an-alert python", tmp_path / "strategy.py", server)}) as programs:
            program = programs[""]
            await wait_until(lambda: "is above the 5m VWAP" in program.out, what="an alert", timeout_s=60)
            await the_page_is_there(with_ports("http://localhost:8090"))

            await request(with_ports(BLOCKS["4-break-a-venue console"]))
            await prints_in_order(program, "kraken does not count: state, its feed is stale", "kraken counts again")

            for _ in range(5):  # in three seconds it may be that nobody trades, and nothing is missing
                await request(with_ports(BLOCKS["4-break-a-venue console 2"]))
                with contextlib.suppress(AssertionError):
                    await wait_until(lambda: "trades of binance are missing" in program.out, what="trades are missing", timeout_s=15)
                    break
            await prints_in_order(program, "trades of binance are missing: disconnect", "trades of binance were fetched: disconnect")
            assert "binance does not count: state, its feed is down" in program.out
        demos["demo"].process.terminate()
        await asyncio.wait_for(demos["demo"].process.wait(), 30)


async def the_page_is_there(url: str) -> None:
    """The address that the page of the tutorial names is that of a page for browsers."""
    assert url.replace(url.rpartition(":")[2], "8090") in (shown.ROOT / PAGE).read_text()
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")


async def request(block: str) -> None:
    """Send the request of a block as it is typed."""
    process = await asyncio.create_subprocess_exec("sh", "-c", block.removeprefix("$ "), stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert b'"state":"active"' in out, out


async def prints_in_order(program: Running, first: str, second: str) -> None:
    """Wait until the program has printed `first`, and `second` after it."""

    def printed() -> bool:
        _, found, after = program.out.partition(first)
        return bool(found) and second in after

    try:
        await wait_until(printed, what=f"{first} … {second}", timeout_s=90)
    except AssertionError as error:
        error.add_note(program.out + program.err)
        raise
