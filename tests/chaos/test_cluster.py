"""Masters of a cluster die under three connectors and an aggregator, and their replicas take their places: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from crosstape_schemas import Gap, GapCause
from tests.chaos.place import clustered
from tests.chaos.rehearse import Audience
from tests.chaos.stand import INSTRUMENTS, Stand, standing
from tests.chaos.test_server import BOUNDS, first_trades
from tests.cluster import Cluster

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

LAG_S = 1.0
"""Seconds by which a replica is behind when its master dies."""


async def again(stand: Stand, since: int, begun: dict[tuple[str, str], int]) -> None:
    """Wait until all is live and quoted with data after that time; then check the tape. The retransmit buffer leaves no gap."""
    audience = Audience(stand)
    await audience.live(since)
    await audience.quoted(since)
    assert not any(audience.wrong.values()), audience.wrong
    assert await stand.violations(BOUNDS, begun=begun) == []
    gaps = [entry.event for entry in await stand.follower().more() if isinstance(entry.event, Gap)]
    assert not [gap for gap in gaps if gap.cause is GapCause.BUS]


def masters(nodes: Cluster, stand: Stand) -> tuple[int, int]:
    """Returns the master with the first instrument, all leases and all checkpoints, and the master with the second instrument."""
    first, second = (nodes.holder(stand.place.keys.stream("trade", name)) for name in INSTRUMENTS)
    assert first == nodes.holder(stand.place.keys.lease("aggregator"))
    assert first != second
    return first, second


async def test_masters_that_die_are_replaced_by_their_replicas(short_path: Path) -> None:
    """One whose replica has all, or nearly; one whose replica is a second behind: the ring has it. Venues cut meanwhile."""
    async with clustered(short_path) as (nodes, place), standing(short_path, place) as stand:
        first, second = masters(nodes, stand)
        await stand.connectors(CROSSTAPE_BUS__RETRANSMIT_S="60")
        await stand.start("aggregator", CROSSTAPE_BUS__RETRANSMIT_S="60")
        await again(stand, 0, {})
        begun = await first_trades(stand)

        await nodes.fail_over(second)
        await again(stand, time.time_ns(), begun)

        await nodes.hold_back(first)
        for venue in stand.venues:
            await stand.rehearsal.set(f"cut venue={venue}")
        await asyncio.sleep(LAG_S)  # how far it is behind
        await nodes.fail_over(first)
        await again(stand, time.time_ns(), begun)
        logged = stand.logged()
        assert all("bus.data_lost" in log for log in logged.values()), logged
