"""What tests of a running connector share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from crosstape.settings import BusSettings, ConnectorSettings, RunSettings, Settings, TelemetrySettings, VenueSettings
from crosstape_connector.venues.registry import VENUES
from tests.connector.fake_venue import fake, serving
from tests.connector.world import World


@pytest.fixture
async def world(client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """One fake venue with one instrument wanted."""
    monkeypatch.setitem(VENUES, "fake", fake())
    async with serving() as server:
        own = VenueSettings(
            instruments=("AAA-USD",),
            kinds=("trade",),
            ws_url=server.url.replace("http", "ws") + "/ws/main",
            rest_url=server.url,
            backoff_min_s=0.01,
            backoff_max_s=0.05,
        )
        settings = Settings(
            bus=BusSettings(url=valkey, timeout_s=1.0, backoff_s=0.1),
            run=RunSettings(dir=str(tmp_path / "run")),
            telemetry=TelemetrySettings(http_enabled=False),
            connector=ConnectorSettings(status_interval_s=0.05, instruments_refresh_s=0.2),
            venues={"fake": own},
        )
        yield World(server, client, settings)
