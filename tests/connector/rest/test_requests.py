"""Requests by REST start when something happens on the way to the tape, without waiting for the next look."""

from __future__ import annotations

import pytest

from crosstape_connector import backoff
from crosstape_connector.rest import backfill_schedule, worker
from crosstape_connector.rest.polling import Polling
from crosstape_schemas import Gap, Trade
from tests.connector.fake_venue import fake, serving
from tests.connector.rest.test_backfill import outage, trades
from tests.connector.rig import rigged
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _never_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers only wait for what is due, or until they are woken."""
    monkeypatch.setattr(worker, "LOOK_S", 3600.0)
    monkeypatch.setattr(backoff, "PAUSE_S", 0.01)
    monkeypatch.setattr(backfill_schedule, "STREAM_SETTLE_S", 0.05)


async def test_a_gap_starts_its_backfill() -> None:
    """The gap that an outage leaves is published when the next trade comes; that wakes the backfill."""
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig, rig.supervised():
        server.past["AAAUSD"] = list(range(1, 10))
        await outage(server, rig, last=3, first=7)
        await wait_until(lambda: [gap.repaired for gap in rig.of(Gap)] == [False, True], what="the gap, repaired")


async def test_a_lost_connection_starts_polling() -> None:
    """Its feeds are down; that starts the time after which they are polled."""
    looks: list[bool] = []
    async with serving() as server, rigged(server, fake(past=True), symbols=["AAAUSD"]) as rig:

        def answered(endpoint: str) -> bool:
            looks.append(rig.supervisor.answered(endpoint))
            return looks[-1]

        rig.polling = rig.requests.polling = Polling(rig.rest_context, answered=answered, after_s=0.1, catch_up_s=0.0)
        async with rig.supervised():
            await wait_until(lambda: server.peers and server.peer.requests, what="subscribed")
            await server.peer.send(*trades(1))
            await wait_until(lambda: rig.of(Trade) and looks[-1], what="a trade, and a look at the connection")
            server.past["AAAUSD"] = [1, 2, 3]
            server.closed = True
            server.peer.cut()
            await wait_until(lambda: len(rig.of(Trade)) == 3, what="polled")
