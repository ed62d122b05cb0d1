"""Programs that follow the tape, all at once, through quiet times and a restart of the server.

Every event has a number, and each program prints something of each event that the number can be read from. What is sent and what is printed
are then compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from crosstape_schemas import (
    CONSOLIDATED,
    VENUE_WIDE,
    Bar,
    Candle,
    Cbbo,
    FeedState,
    Funding,
    Gap,
    GapCause,
    Keys,
    Leg,
    Liquidation,
    Market,
    Side,
    Status,
    Trade,
    Vwap,
    encode,
)
from tests.docs.shown import Follows
from tests.engines import Embedded
from tests.waiting import wait_until

RECEIVED_TS: Final = 1_795_644_919_934_299_073
"""A time that a double cannot hold."""

PERPETUAL: Final = "BTC-USDT-PERP"
BURST: Final = 100
PROBE_S: Final = 0.1
READY_S: Final = 20.0
EPOCH: Final = 1


class Program(NamedTuple):
    """A command that follows the tape. `output` is a file that it writes, in place of standard output."""

    command: tuple[str, ...]
    how: Follows
    environment: Mapping[str, str] = {}
    output: Path | None = None


class Outcome(NamedTuple):
    """The result of a program: the numbers that it printed, in order, those that it had to print, and its complete output."""

    printed: list[int]
    first: int
    before_the_kill: int
    last: int
    output: str
    returncode: int | None


def leg(venue: str, bid: Decimal, ask: Decimal) -> Leg:
    """A live leg that counts."""
    return Leg(venue, bid, Decimal(1), ask, Decimal(1), RECEIVED_TS, FeedState.LIVE, None, 1, 1)


def quote(number: int) -> Cbbo:
    """Returns a quote whose every shown price contains its number; crossed, and above or below the average price in turns."""
    low, high, mid = Decimal(1000), Decimal(1000 + number), Decimal(number) + Decimal("0.5")
    paid = mid - 1 if number % 2 else mid + 1
    return Cbbo(
        venue=CONSOLIDATED, instrument="BTC-USDT", venue_ts=None, received_ts=RECEIVED_TS, ts=RECEIVED_TS,
        bid_price=Decimal(number), bid_size=Decimal(1), bid_venues=("kraken",),
        ask_price=Decimal(number * 1000), ask_size=Decimal(1), ask_venues=("binance",), mid=mid,
        spread=Decimal(-number), spread_bps=Decimal(-number), market=Market.CROSSED, venues=2, vwap={"1m": Vwap(paid, Decimal(5), 3)},
        legs=(leg("binance", Decimal(1), low), leg("kraken", high, high + 1)), epoch=EPOCH, seq=number,
    )  # fmt: skip


def trade(number: int) -> Trade:
    """Returns a trade whose id is its number."""
    return Trade(
        venue="binance", instrument="BTC-USDT", venue_ts=RECEIVED_TS, received_ts=RECEIVED_TS, price=Decimal("3.50"), size=Decimal("0.10"),
        taker=Side.BUY, trade_id=str(number), epoch=EPOCH, seq=number,
    )  # fmt: skip


def candle(number: int) -> Candle:
    """Returns a closed candle whose close is its number."""
    opened, price = number * 60 * 10**9, Decimal(number)
    return Candle(
        venue="binance", instrument="BTC-USDT", venue_ts=None, received_ts=RECEIVED_TS, timeframe="1m", open_ts=opened,
        close_ts=opened + 60 * 10**9, open=Decimal(1), high=price, low=Decimal(1), close=price, volume=Decimal("2.50"), closed=True,
        epoch=EPOCH, seq=number,
    )  # fmt: skip


def bar(number: int) -> Bar:
    """Returns a closed bar over all venues whose close is its number."""
    opened, price = number * 60 * 10**9, Decimal(number)
    return Bar(
        venue=CONSOLIDATED, instrument="BTC-USDT", venue_ts=None, received_ts=RECEIVED_TS, timeframe="1m", open_ts=opened,
        close_ts=opened + 60 * 10**9, open=Decimal(1), high=price, low=Decimal(1), close=price, volume=Decimal("2.50"),
        quote_volume=Decimal("2.50"), trades=1, taker_buy_volume=None, closed=True, epoch=EPOCH, seq=number,
    )  # fmt: skip


def funding(number: int) -> Funding:
    """Returns the funding rate of a perpetual."""
    return Funding(
        venue="binance_usdm", instrument=PERPETUAL, venue_ts=None, received_ts=RECEIVED_TS, rate=Decimal("0.0001"), epoch=EPOCH, seq=number
    )


def liquidation(number: int) -> Liquidation:
    """Returns a forced sale of as many units as its number says."""
    return Liquidation(
        venue="binance_usdm", instrument=PERPETUAL, venue_ts=RECEIVED_TS, received_ts=RECEIVED_TS, taker=Side.SELL, price=Decimal("3.50"),
        size=Decimal(number), epoch=EPOCH, seq=number,
    )  # fmt: skip


def life(number: int) -> Status:
    """The aggregator's sign of life."""
    return Status(
        venue=CONSOLIDATED, instrument=VENUE_WIDE, venue_ts=None, received_ts=time.time_ns(), kind=VENUE_WIDE, state=FeedState.LIVE,
        epoch=EPOCH, seq=number,
    )  # fmt: skip


def loss() -> Gap:
    """Returns a gap: another kind of event on the stream of the aggregator's signs of life."""
    return Gap(
        venue=CONSOLIDATED, instrument=VENUE_WIDE, venue_ts=None, received_ts=time.time_ns(), kind=VENUE_WIDE, from_ts=1, to_ts=2,
        missed=None, cause=GapCause.BUS, epoch=EPOCH + 1, seq=1,
    )  # fmt: skip


class Tape:
    """The sending side, as the bus does it: stream, its name in the registry, channel, last value, bell."""

    def __init__(self, client: Redis) -> None:
        self.sent = 0
        self._client = client

    async def send(self, count: int = 1) -> None:
        """The next events, of every kind that a program follows; those of one number in one transaction."""
        keys = Keys()
        for _ in range(count):
            self.sent += 1
            pipe: Any = self._client.pipeline()
            if self.sent == 1:
                pipe.execute_command("XADD", keys.venue(CONSOLIDATED), "*", "d", encode(loss()))
            written: list[str] = []
            for stream, last, event in (
                (keys.venue(CONSOLIDATED), keys.last("status", VENUE_WIDE), life(self.sent)),
                (keys.stream("cbbo", "BTC-USDT"), keys.last("cbbo", "BTC-USDT"), quote(self.sent)),
                (keys.stream("trade", "BTC-USDT"), keys.last("trade", "BTC-USDT"), trade(self.sent)),
                (keys.stream("candle:1m", "BTC-USDT"), keys.last("candle:1m", "BTC-USDT"), candle(self.sent)),
                (keys.stream("bar:1m", "BTC-USDT"), keys.last("bar:1m", "BTC-USDT"), bar(self.sent)),
                (keys.stream("funding", PERPETUAL), keys.last("funding", PERPETUAL), funding(self.sent)),
                (keys.stream("liquidation", PERPETUAL), keys.last("liquidation", PERPETUAL), liquidation(self.sent)),
            ):
                data = encode(event)
                pipe.execute_command("XADD", stream, "*", "d", data)
                written.append(stream)
                pipe.execute_command("SADD", keys.registry(), stream)
                pipe.execute_command("HSET", last, event.venue, data)
                pipe.execute_command("PUBLISH", stream, data)
            for stream in written:
                kind, _ = keys.parse(stream) or ("", "")
                pipe.execute_command("XADD", keys.bell(kind), "*", "s", stream)
            await pipe.execute()


class Running:
    """A program and what it has said so far."""

    def __init__(self, program: Program, process: Process) -> None:
        self.program = program
        self.process = process
        self.out = ""
        self.err = ""
        self.first = 0

    def printed(self) -> list[int]:
        """The numbers, in order."""
        output = self.program.output
        text = self.out if output is None else output.read_text() if output.exists() else ""
        return [int(found) for found in re.findall(self.program.how.pattern, text, re.MULTILINE)]

    def newest(self) -> int:
        """The greatest number that it printed; 0 if none."""
        return max(self.printed(), default=0)

    async def listen(self) -> None:
        """Reads the program's outputs until it closes them."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None

        async def collect(stream: asyncio.StreamReader, attribute: str) -> None:
            while data := await stream.read(65536):
                setattr(self, attribute, getattr(self, attribute) + data.decode())

        await asyncio.gather(collect(self.process.stdout, "out"), collect(self.process.stderr, "err"))


@contextlib.asynccontextmanager
async def started(programs: Mapping[str, Program]) -> AsyncIterator[dict[str, Running]]:
    """Runs all these programs for the length of the block."""
    running: dict[str, Running] = {}
    listening: list[asyncio.Task[None]] = []
    try:
        for name, program in programs.items():
            environment = {**os.environ, "PYTHONUNBUFFERED": "1", **program.environment}
            process = await asyncio.create_subprocess_exec(
                *program.command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
            )
            running[name] = Running(program, process)
            listening.append(asyncio.create_task(running[name].listen(), name=f"listen to {name}"))
        yield running
    finally:
        for one in running.values():
            with contextlib.suppress(ProcessLookupError):  # a pipeline is several processes
                os.killpg(one.process.pid, signal.SIGKILL)
            await one.process.wait()
        await asyncio.gather(*listening)


async def follow(programs: Mapping[str, Program], server: Embedded, quiets: Sequence[float], away_s: float = 1.0) -> dict[str, Outcome]:
    """Run them against this server, which is started after those that can wait for it.

    Then come these quiet times (s), and a kill and a restart of the server, with its data if it keeps them.
    """
    waiting = {name: program for name, program in programs.items() if not program.how.ends}
    ending = {name: program for name, program in programs.items() if program.how.ends}
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(started(waiting))
        await asyncio.sleep(away_s)  # the condition under test: there is no server yet
        await server.start()
        client = await stack.enter_async_context(Redis(port=server.port))
        running |= await stack.enter_async_context(started(ending))
        tape = Tape(client)
        await _all_print_again(running.values(), tape)
        for one in running.values():
            one.first = next(iter(one.printed()), 0)
        await tape.send(BURST)
        await _all_have(running.values(), tape.sent)
        for quiet in quiets:
            await asyncio.sleep(quiet)  # the condition under test: nothing happens for so long
            await tape.send(3)
        await _all_have(running.values(), tape.sent)
        before = tape.sent

        await server.kill()
        await asyncio.sleep(away_s)  # the same: the server is away for so long
        await server.start()
        staying = {name: one for name, one in running.items() if not one.program.how.ends}
        await _all_print_again(staying.values(), tape)
        await tape.send(BURST)
        await _all_have(staying.values(), tape.sent)
        for one in running.values():
            if one.program.how.ends:
                await asyncio.wait_for(one.process.wait(), 10)
        return {
            name: Outcome(one.printed(), one.first, before, tape.sent, one.out + one.err, one.process.returncode)
            for name, one in running.items()
        }


async def _all_print_again(running: Iterable[Running], tape: Tape) -> None:
    """Send until each has printed one of the events that were sent from now on. One that never does is found out by the comparison."""
    running, before = list(running), tape.sent
    for _ in range(int(READY_S / PROBE_S)):
        await tape.send()
        await asyncio.sleep(PROBE_S)
        if all(one.newest() > before for one in running):
            return


async def _all_have(running: Iterable[Running], number: int) -> None:
    """Wait for the event of this number at each; one that never prints it is found out by the comparison."""
    with contextlib.suppress(AssertionError):
        await wait_until(lambda: all(one.newest() >= number for one in running), what="each has printed the last event", timeout_s=15)
