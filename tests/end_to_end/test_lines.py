"""Two connectors of one venue, of which one publishes: killed, stopped, stalled and cut off in turn, against the truth of the market."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosstape_schemas import Event, FeedState, Gap, Status, Trade
from tests.chaos.checker import Bounds
from tests.chaos.stand import Stand, standing
from tests.chaos.tape import KEYS, Follower
from tests.proxy import proxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LONG_S = 60.0
"""What is promised takes about a second; a slowed machine may take longer to start Python."""


class Lines:
    """The lines `a` and `b` of one venue, as processes."""

    def __init__(self, stand: Stand, venue: str) -> None:
        self.stand = stand
        self.venue = venue
        self.processes: dict[str, Process] = {}

    async def start(self, line: str, **variables: str) -> None:
        """One of them, anew."""
        environ = {"CROSSTAPE_CONNECTOR__LINE": line, **variables}
        self.processes[line] = await self.stand.start("connector", "--venue", self.venue, **environ)

    async def both(self, **variables: str) -> str:
        """Start them, and wait until both are well; which one publishes."""
        for line in "ab":
            await self.start(line, **variables)
        return await self.ready()

    async def words(self) -> dict[str, dict[str, Any]]:
        """What the lines say of themselves now."""
        found = {line: await self.stand.client.get(KEYS.line(f"connector.{self.venue}", line)) for line in "ab"}
        return {line: json.loads(word) for line, word in found.items() if word is not None}

    async def active(self, wanted: str) -> None:
        """Wait until this one publishes, and has published trades."""

        async def so() -> bool:
            words = await self.words()
            return wanted in words and words[wanted]["active"] and not any(words[line]["active"] for line in words if line != wanted)

        await wait_until(so, what=f"line {wanted} publishes", timeout_s=LONG_S)
        begun = await self.trades()

        async def more() -> bool:
            return await self.trades() > begun + 5

        await wait_until(more, what="trades go on", timeout_s=LONG_S)

    async def ready(self) -> str:
        """Wait until both are well, know it of each other, and one of them publishes: which."""
        publishing = ""

        async def so() -> bool:
            nonlocal publishing
            words = await self.words()
            publishing = "".join(line for line, word in words.items() if word["active"])
            return len(words) == 2 and len(publishing) == 1 and all(word["well"] and word["covered"] for word in words.values())

        await wait_until(so, what="both lines are well", timeout_s=LONG_S)
        return publishing

    async def end(self, line: str, number: signal.Signals) -> None:
        """Of one process."""
        self.processes[line].send_signal(number)
        await asyncio.wait_for(self.processes[line].wait(), LONG_S)

    async def trades(self) -> int:
        """So many are on the tape."""
        return int(await self.stand.client.xlen(KEYS.stream("trade", "BTC-USDT")))

    async def events(self) -> list[Event]:
        """All that is on the tape."""
        return [entry.event for entry in await Follower(self.stand.client).more()]

    async def check(self) -> None:
        """Each trade is there once, none is told as missing, nothing else is wrong with the tape."""
        assert await self.stand.violations(Bounds()) == []
        assert [event for event in await self.events() if isinstance(event, Gap) and event.kind == "trade"] == []

    async def epochs(self) -> int:
        """How often somebody began to publish."""
        return len({event.epoch for event in await self.events() if isinstance(event, Trade)})


def other(line: str) -> str:
    """Of the two."""
    return "b" if line == "a" else "a"


@pytest.fixture
def path() -> Iterator[Path]:
    """Short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="lines-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.mark.parametrize("venue", ["binance", "coinbase", "kraken"])
async def test_kill_them_in_turn_and_no_trade_is_missing_or_doubled(path: Path, venue: str) -> None:
    """Each time the other goes on behind the last trade on the tape: every trade of the market is there once, and no gap is told."""
    async with standing(path, venues=[venue]) as stand:
        lines = Lines(stand, venue)
        await lines.both()
        for _ in range(4):
            line = await lines.ready()
            await lines.end(line, signal.SIGKILL)
            await lines.active(other(line))
            await lines.start(line)
        await lines.ready()
        await lines.check()
        assert await lines.epochs() >= 5


async def test_one_that_is_stopped_leaves_no_trace(path: Path) -> None:
    """SIGTERM: the other publishes before a session is closed, so that no feed is told to be down, and the process ends in order."""
    async with standing(path, venues=["kraken"]) as stand:
        lines = Lines(stand, "kraken")
        line = await lines.both()
        for _ in range(2):
            await lines.end(line, signal.SIGTERM)
            assert lines.processes[line].returncode == 0
            await lines.active(other(line))
            await lines.start(line)
            line = await lines.ready()
        await lines.check()
        down = [event for event in await lines.events() if isinstance(event, Status) and event.state is FeedState.DOWN]
        assert down == []


async def test_one_whose_venue_is_cut_off_hands_over_before_it_tells(path: Path) -> None:
    """No feed is told to be down, no gap, though the line that published has missed trades; back again, it stands by."""
    async with standing(path, venues=["kraken"]) as stand:
        lines = Lines(stand, "kraken")
        public = stand.ws_url["kraken"]
        async with proxy(public) as network:
            through = public.replace(str(network.upstream_port), str(network.port))
            await lines.start("a", CROSSTAPE_VENUES__KRAKEN__WS_URL=through)
            await lines.active("a")
            await lines.start("b")
            assert await lines.ready() == "a"
            network.refusing = True
            network.cut()
            await lines.active("b")
            network.refusing = False
            assert await lines.ready() == "b"
        await lines.check()
        down = [event for event in await lines.events() if isinstance(event, Status) and event.state is FeedState.DOWN]
        assert down == []


async def test_one_that_wakes_up_too_late_is_refused_and_stands_by(path: Path) -> None:
    """It was stopped while it published; what it has in its hands is discarded, its process goes on."""
    async with standing(path, venues=["kraken"]) as stand:
        lines = Lines(stand, "kraken")
        line = await lines.both()
        for _ in range(2):
            stalled = lines.processes[line]
            stalled.send_signal(signal.SIGSTOP)
            await lines.active(other(line))
            stalled.send_signal(signal.SIGCONT)
            line = await lines.ready()
            assert stalled.returncode is None
        await lines.check()
        assert await lines.epochs() == 3
