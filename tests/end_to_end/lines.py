"""Two replicas ("lines") of one venue's connector as processes, with a market that remembers all its trades."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from crosstape_schemas import Event, Gap, Trade
from tests.chaos.checker import Bounds
from tests.chaos.place import served
from tests.chaos.stand import Stand, standing
from tests.chaos.tape import KEYS
from tests.waiting import wait_until

LONG_S = 60.0
"""Longest wait. What is promised takes about a second; a busy machine may need longer to start Python."""


@asynccontextmanager
async def market(path: Path, venue: str) -> AsyncIterator[Stand]:
    """Runs one venue and a server."""
    async with served(path) as (_, place), standing(path, place, venues=[venue]) as stand:
        yield stand


class Lines:
    """The replicas `a` and `b` of one venue, as processes."""

    def __init__(self, stand: Stand, venue: str) -> None:
        self.stand = stand
        self.venue = venue
        self.processes: dict[str, Process] = {}

    async def start(self, line: str, **variables: str) -> None:
        """Start one replica, also after it has ended."""
        environ = {"CROSSTAPE_CONNECTOR__REPLICA": line, **variables}
        self.processes[line] = await self.stand.start("connector", "--venue", self.venue, **environ)

    async def both(self, **variables: str) -> str:
        """Start both, and wait until both are healthy. Returns the one that publishes."""
        for line in "ab":
            await self.start(line, **variables)
        return await self.ready()

    async def words(self) -> dict[str, dict[str, Any]]:
        """Returns what each replica answers on `/readyz` now."""
        found = {line: await self.stand.place.client.get(KEYS.line(f"connector.{self.venue}", line)) for line in "ab"}
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
        """Wait until both are healthy, each knows that of the other, and one publishes. Returns that one."""
        publishing = ""

        async def so() -> bool:
            nonlocal publishing
            words = await self.words()
            publishing = "".join(line for line, word in words.items() if word["active"])
            return len(words) == 2 and len(publishing) == 1 and all(word["well"] and word["covered"] for word in words.values())

        await wait_until(so, what="both lines are well", timeout_s=LONG_S)
        return publishing

    async def end(self, line: str, number: signal.Signals) -> None:
        """Send a signal to one replica, and wait until it has ended."""
        self.processes[line].send_signal(number)
        await asyncio.wait_for(self.processes[line].wait(), LONG_S)

    async def trades(self) -> int:
        """Returns the number of trades on the tape."""
        return int(await self.stand.place.client.xlen(KEYS.stream("trade", "BTC-USDT")))

    async def events(self) -> list[Event]:
        """Returns all events on the tape."""
        return [entry.event for entry in await self.stand.follower().more()]

    async def check(self) -> None:
        """Check that each trade is there once, that none is reported as missing, and that the tape has no other error."""
        violations = await self.stand.violations(Bounds(fresh_s=30.0))  # nothing is published while there is no server
        assert violations == [], violations
        gaps = [event for event in await self.events() if isinstance(event, Gap) and event.kind == "trade"]
        assert gaps == [], gaps

    async def epochs(self) -> int:
        """How often somebody began to publish."""
        return len({event.epoch for event in await self.events() if isinstance(event, Trade)})


def other(line: str) -> str:
    """Returns the other one of the two replicas."""
    return "b" if line == "a" else "a"
