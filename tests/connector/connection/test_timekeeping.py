"""How a running connector reports its clock's offset to the venue's: on the tape, in the metrics, on `/readyz` and in the log."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import prometheus_client
import pytest
from structlog.testing import capture_logs

from crosstape.settings import TelemetrySettings
from crosstape_schemas import Status
from tests.connector.fake_venue import trade
from tests.connector.world import World, subscribed
from tests.waiting import wait_until


async def offset_s(world: World) -> float | None:
    """Return the offset in the newest venue-wide status."""
    status = (await world.stream("venue:fake"))[-1]
    assert isinstance(status, Status)
    return None if status.clock_offset_ns is None else status.clock_offset_ns / 1e9


def market(world: World, ahead_s: float) -> Callable[[], Awaitable[bool]]:
    """Send a trade whose time is this much behind our clock, and return whether the offset is known."""
    numbers = itertools.count(1)

    async def known() -> bool:
        await world.server.peer.send(trade("AAAUSD", next(numbers), t=round((time.time() - ahead_s) * 1_000)))
        return await world.has("venue:fake", 1) and await offset_s(world) is not None

    return known


def ready(url: str) -> dict[str, Any]:
    """Return the details of `/readyz`."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as exc:
        found = json.load(exc)
    return found


def measured() -> float | None:
    """Return the value of the metric."""
    return prometheus_client.REGISTRY.get_sample_value("crosstape_connector_clock_offset_seconds", {"venue": "fake"})


@pytest.mark.parametrize("ahead_s", [90.0, -30.0, 7_200.0])
async def test_a_wrong_clock_is_reported_everywhere(world: World, ahead_s: float) -> None:
    """Within seconds. Nothing else changes: the feeds stay live."""
    world.settings = msgspec.structs.replace(world.settings, telemetry=TelemetrySettings())
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            assert measured() is None
            await wait_until(market(world, ahead_s), what="the offset is known")
            found_s = await offset_s(world)
            assert found_s is not None
            assert ahead_s - 0.001 <= found_s < ahead_s + 1.0  # the fake's times are of ms
            assert measured() == pytest.approx(ahead_s, abs=1.0)
            (url,) = [log["url"] for log in logs if log["event"] == "telemetry.listening"]
            details = await asyncio.to_thread(ready, url)
            assert details["clock_offset_s"] == pytest.approx(ahead_s, abs=1.0)
            assert details["feeds"] == {"live": 1}
            await wait_until(lambda: [log for log in logs if log["event"] == "clock.differs"], what="the log line")
    assert [log["offset_s"] for log in logs if log["event"] == "clock.differs"] == [pytest.approx(ahead_s, abs=1.0)]


async def test_a_clock_that_is_right_is_not_logged(world: World) -> None:
    """The offset is small, and known."""
    with capture_logs() as logs:
        async with world.running():
            await subscribed(world.server)
            await wait_until(market(world, 0.0), what="the offset is known")
            assert await offset_s(world) == pytest.approx(0.0, abs=1.0)
    assert not [log for log in logs if log["event"].startswith("clock.")]
