"""Connections that are replaced while the market moves: the tape is as if there had been one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import prometheus_client
import pytest
from redis.asyncio import Redis

from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import FeedState
from tests.end_to_end.running import tape
from tests.end_to_end.test_faults import Venue, connected
from tests.end_to_end.venues import ALL
from tests.rare import rare_but
from tests.waiting import wait_until


def count(metric: str, name: str) -> float:
    """A counter of all endpoints of a venue."""
    labels = [{"venue": name, "endpoint": endpoint.name} for endpoint in VENUES[name].endpoints]
    return sum(prometheus_client.REGISTRY.get_sample_value(f"crosstape_connector_{metric}_total", one) or 0.0 for one in labels)


def endpoints(name: str) -> int:
    """How many endpoints of a venue have connections: those of the kinds that are subscribed here."""
    return sum(not endpoint.channels.keys().isdisjoint(("trade", "quote", "book")) for endpoint in VENUES[name].endpoints)


def unhurried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue without limits to connecting: a loopback has none."""
    venue = VENUES[name]
    free = tuple(msgspec.structs.replace(endpoint, connects_per_s=1000.0) for endpoint in venue.endpoints)
    monkeypatch.setitem(VENUES, name, msgspec.structs.replace(venue, endpoints=free, connects=None))


async def check(venue: Venue) -> None:
    """Check that there is no gap, only `live` after the first `live`, and in the end each trade once and the true book."""
    for instrument in (venue.btc, venue.eth):
        assert await tape(venue.client, "gap", instrument) == []
        for kind in ("trade", "quote", "book"):
            states = await venue.states(kind, instrument)
            assert set(states[states.index(FeedState.LIVE) :]) == {FeedState.LIVE}
    await venue.settles()


@pytest.mark.parametrize("name", ALL)
async def test_a_rotation_is_not_seen_on_the_tape(
    name: str, client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the venue's real protocol and rules of books: no trade is missing or doubled, no gap, no state but live."""
    unhurried(name, monkeypatch)
    async with connected(name, client, valkey, tmp_path, rotate_s=2.0) as venue:
        await venue.begins()
        await wait_until(lambda: count("rotations", name) >= 2 * endpoints(name), what="rotations", timeout_s=60)
        await check(venue)


@pytest.mark.slow
@pytest.mark.parametrize("name", rare_but(zip(ALL, strict=True), ("binance",), ("kucoin",)))
async def test_a_minute_of_rotations_is_not_seen_on_the_tape(
    name: str, client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rotation follows the one before as soon as possible."""
    unhurried(name, monkeypatch)
    async with connected(name, client, valkey, tmp_path, rotate_s=1.0) as venue:
        await venue.begins()
        await wait_until(lambda: count("rotations", name) >= 15 * endpoints(name), what="rotations", timeout_s=180)
        await check(venue)


@pytest.mark.slow
async def test_a_venue_that_cuts_each_connection_is_not_noticed(
    client: Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cut of a connection that was replaced before hits nobody. On a busy machine a replacement may take some seconds."""
    unhurried("binance", monkeypatch)
    async with connected("binance", client, valkey, tmp_path, "lifetime at=12 code=1001", rotate_s=3.0) as venue:
        await venue.begins()
        await wait_until(lambda: count("rotations", "binance") >= 5, what="rotations", timeout_s=120)
        assert count("lost", "binance") == 0
        await check(venue)
