"""Waiting for the server: an outage ends for all callers, also for those that gave up."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from crosstape.bus.client.availability import Availability
from crosstape.errors import BusError


async def test_a_caller_that_gave_up_does_not_prolong_the_outage(client: Redis) -> None:
    """The first call raises at once where waiting cannot help. The outages of others begin and end as if it had never called."""
    ends: list[float] = []
    availability = Availability(client, "test", backoff_s=0.01, reconnected=ends.append, starting=True)

    async def refused() -> None:
        raise AuthenticationError("WRONGPASS")

    with pytest.raises(BusError, match="cannot be used"):
        await availability.until_answered(refused, "first")
    assert availability.answering

    failures: list[RedisError] = [RedisConnectionError("closed")] * 3

    async def answered_later() -> int:
        if failures:
            raise failures.pop()
        return 7

    with capture_logs() as logs:
        assert await availability.until_answered(answered_later, "second") == 7
    assert [log["event"] for log in logs] == ["bus.unavailable", "bus.available"]
    assert len(ends) == 1
