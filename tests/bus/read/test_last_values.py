"""The last values of many streams, read at once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.bus.read.last_values import AT_ONCE, last_values
from crosstape.errors import BusError
from crosstape.settings import BusSettings
from crosstape_schemas import VENUE_WIDE, FeedState, Keys, Quote, Status, encode

VENUE = "v"


def quote(name: str, number: int) -> Quote:
    """Returns a quote that can be recognised by its number."""
    return Quote(VENUE, name, None, number, Decimal(1), Decimal(1), Decimal(2), Decimal(1))


@pytest.mark.parametrize("partitions", [1, 7])
async def test_more_than_one_call_brings(client: Redis, partitions: int) -> None:
    """Each under its kind and instrument, of this venue alone; what is not there is left out."""
    keys = Keys(partitions=partitions)
    names = [f"C{number}-USD" for number in range(3 * AT_ONCE)]
    for number, name in enumerate(names):
        await client.hset(keys.last("quote", name), mapping={VENUE: encode(quote(name, number)), "other": encode(quote(name, -1))})
    found = await last_values(client, keys, [*(("quote", name) for name in names), ("book", names[0]), ("quote", "NOT-THERE")], VENUE)
    assert found == {("quote", name): quote(name, number) for number, name in enumerate(names)}


async def test_what_is_none_of_ours_is_left_out(client: Redis) -> None:
    """A key of another type, a value that is no event: the others are there."""
    keys = Keys()
    status = Status(VENUE, VENUE_WIDE, None, 3, VENUE_WIDE, FeedState.LIVE)
    await client.set(keys.last("quote", "A-B"), "no hash")
    await client.hset(keys.last("quote", "C-D"), VENUE, "no event")
    await client.hset(keys.last("status", VENUE_WIDE), VENUE, encode(status))
    wanted = [("quote", "A-B"), ("quote", "C-D"), ("status", VENUE_WIDE)]
    assert await last_values(client, keys, wanted, VENUE) == {("status", VENUE_WIDE): status}
    assert await last_values(client, keys, [], VENUE) == {}


async def test_a_server_that_is_away_is_an_error_of_ours() -> None:
    """The caller asks again."""
    async with connect(BusSettings(url="unix:///nowhere/at/all.sock")) as away:
        with pytest.raises(BusError, match="last values"):
            await last_values(away, Keys(), [("quote", "A-B")], VENUE)
