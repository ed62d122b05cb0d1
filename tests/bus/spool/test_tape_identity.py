"""A tape has an identity: what was written for one is not published on another, and a server that lost all is the same tape again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import Publisher, connect
from crosstape.bus.spool.tape_identity import Identity, Tape, identity_in_spools
from crosstape.errors import BusError
from crosstape.origin import Origin
from crosstape_schemas import Gap, GapCause, Keys
from tests.bus.spool.spooling import away, files, left_behind, spooled, trade_ids
from tests.bus.tape import KEYS, TRADES, Counts, fast, on_tape, publishing, trade, whole
from tests.engines import StartServer
from tests.proxy import proxy

IDENTITY = KEYS.identity()


async def identity(client: Redis, keys: Keys = KEYS) -> Identity:
    """Returns the identity that the server has."""
    found: Any = await client.hgetall(keys.identity())
    return Identity(found.get(b"id", b"").decode(), found.get(b"origin", b"").decode())


async def begin(settings_url: str, **options: Any) -> None:
    """A publisher's start, and an orderly end."""
    async with publishing(fast(settings_url), **options) as publisher, asyncio.timeout(20):
        await publisher.claimed()


async def test_the_first_producer_makes_it_and_the_others_find_it(client: Redis, valkey: str) -> None:
    """However many begin at once; nobody knows an origin before a venue was heard of."""
    await asyncio.gather(*(begin(valkey, producer=f"connector.{name}") for name in "abcdefgh"))
    made = await identity(client)
    assert len(made.id) == 16
    assert made.origin == ""
    await begin(valkey)
    assert await identity(client) == made


@pytest.mark.parametrize("partitions", [1, 4])
async def test_the_first_venue_that_is_heard_of_gives_the_origin(client: Redis, valkey: str, partitions: int) -> None:
    """Whoever asks with another one later learns what it is, and changes nothing."""
    keys = Keys(partitions=partitions)
    async with connect(fast(valkey)) as shared:
        first = await Tape().identify(shared, keys, origin=Origin.SIMULATED)
        assert first.origin == "simulated"
        assert await Tape().identify(shared, keys, origin=Origin.LIVE) == first
        assert await Tape().identify(shared, keys) == first == await identity(client, keys)


async def test_what_is_refused_leaves_no_trace(client: Redis, valkey: str) -> None:
    """A rehearsal on an empty server, in the run directory of a live tape that left a spool: the server stays without an identity."""
    async with connect(fast(valkey)) as shared:
        found = await Tape(Identity("ab12", "live")).identify(shared, KEYS, origin=Origin.SIMULATED)
        assert found == Identity("ab12", "live")
        assert await client.dbsize() == 0
        made = await Tape().identify(shared, KEYS, origin=Origin.SIMULATED)
    assert made.origin == "simulated"


async def test_a_tape_of_a_version_that_knew_none_is_live(client: Redis, valkey: str) -> None:
    """It holds data already: a rehearsal must not turn an old live tape into a simulated one."""
    await client.sadd(KEYS.registry(), TRADES)
    async with connect(fast(valkey)) as shared:
        found = await Tape().identify(shared, KEYS, origin=Origin.SIMULATED)
    assert found.origin == "live"
    assert await identity(client) == found


async def test_a_server_that_lost_all_is_the_same_tape_again(client: Redis, valkey: str) -> None:
    """Whoever runs gives it back what it was, origin included; whoever is started after that finds it."""
    tape = Tape()
    async with connect(fast(valkey)) as shared:
        tape.identity = before = await tape.identify(shared, KEYS, origin=Origin.SIMULATED)
        async with asyncio.TaskGroup() as group:
            publisher = Publisher(shared, KEYS, fast(valkey), producer="connector.binance", tape=tape)
            task = group.create_task(publisher.run())
            publisher.publish(trade(1))
            assert await publisher.drain(5)
            await client.flushall()
            publisher.publish(trade(2))
            assert await publisher.drain(5)
            task.cancel()
    assert await identity(client) == before
    await begin(valkey, producer="connector.kraken")
    assert await identity(client) == before


async def test_a_server_that_is_another_tape_now_ends_the_publisher(client: Redis, valkey: str) -> None:
    """A name that leads elsewhere: what waits in memory, and in the spool, is not for that one."""
    async with connect(fast(valkey)) as shared:
        publisher = Publisher(shared, KEYS, fast(valkey), producer="connector.binance")
        task = asyncio.create_task(publisher.run())
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        before = publisher.tape.identity.id
        await client.flushall()
        await client.hset(IDENTITY, mapping={"id": "another", "origin": "live"})
        publisher.publish(trade(2))
        with pytest.raises(BusError, match=f"the server holds tape another .live. now, not {before}"):
            await task
    assert not await on_tape(client)


async def of_another_tape(other_url: str, path: Path, count: int) -> str:
    """Leaves a killed publisher's spool for the tape on `other_url`, with `count` trades. Returns the id of that tape."""
    async with proxy(other_url) as net, publishing(fast(net.url, pending=10), spool=path) as publisher:
        async with asyncio.timeout(20):
            await publisher.claimed()
        tape = publisher.tape.identity.id
        away(net)
        publisher.publish_all(trade(number) for number in range(1, count + 1))
        await spooled(publisher)
    assert files(path)
    return tape


async def test_a_spool_of_another_tape_is_kept_aside(client: Redis, valkey: str, tmp_path: Path, start_server: StartServer) -> None:
    """It is not published here and not lost: the log says where it is, and after moving it back it is published on its own tape, once."""
    other = await start_server()
    await begin(valkey, producer="connector.kraken")
    theirs = await of_another_tape(other.url, tmp_path, 500)
    counts = Counts()
    with capture_logs() as logs:
        async with publishing(fast(valkey), spool=tmp_path, metrics=counts) as publisher:
            publisher.publish(trade(1_000))
            assert await publisher.drain(5)
            assert publisher.tape.identity.id != theirs
    assert trade_ids(await on_tape(client)) == [1_000]
    (said,) = [one for one in logs if one["event"] == "bus.spool_of_another_tape"]
    kept = Path(said["kept"])
    assert (said["log_level"], said["of_tape"], said["entries"]) == ("error", theirs, 500)
    assert kept == tmp_path / f"kept-{theirs}" / "0-of-1"
    assert counts.of["spools kept aside"] == 1

    await begin(valkey, spool=tmp_path)  # the next start finds nothing to say
    kept.rename(tmp_path / "0-of-1")
    await begin(other.url, spool=tmp_path)
    async with connect(fast(other.url)) as there:
        assert trade_ids(await on_tape(there)) == whole(500)
    assert trade_ids(await on_tape(client)) == [1_000]
    assert not files(tmp_path)


async def test_it_is_so_for_one_that_overflows_at_once(client: Redis, valkey: str, tmp_path: Path, start_server: StartServer) -> None:
    """Its own events go into a new spool. A second spool that is kept aside does not replace the first one."""
    other = await start_server()
    await begin(valkey, producer="connector.kraken")
    theirs = await of_another_tape(other.url, tmp_path, 50)
    for number in (1, 2):
        async with proxy(valkey) as net, publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
            async with asyncio.timeout(20):
                await publisher.claimed()
            away(net)
            publisher.publish_all(trade(number) for number in range(100, 150))
            await spooled(publisher)
            net.refusing = False
            assert await publisher.drain(10)
        assert len(list(tmp_path.glob(f"kept-{theirs}/*"))) == number
        if number == 1:
            await of_another_tape(other.url, tmp_path, 50)
    assert trade_ids(await on_tape(client)) == [*range(100, 150)] * 2


async def test_what_was_spooled_behind_it_before_the_tape_was_known_is_told(
    client: Redis, valkey: str, tmp_path: Path, start_server: StartServer
) -> None:
    """The server was away from the start on: nobody knew yet for which tape the spool was."""
    other = await start_server()
    await begin(valkey, producer="connector.kraken")
    await of_another_tape(other.url, tmp_path, 50)
    async with proxy(valkey) as net:
        away(net)
        async with publishing(fast(net.url, pending=10), spool=tmp_path) as publisher:
            publisher.publish_all(trade(number) for number in range(100, 130))
            await spooled(publisher)
            net.refusing = False
            assert await publisher.drain(20)
    (gap,) = await on_tape(client, KEYS.venue("binance"))
    assert isinstance(gap, Gap)
    assert gap.cause is GapCause.BUS
    assert gap.missed == 30 - len(await on_tape(client))


async def test_a_server_that_is_empty_is_taken_for_the_tape_of_the_spool(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The server lost its data while no process ran. The spooled entries are published, and the tape keeps its identity and origin."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=10), spool=tmp_path / "one") as publisher:
        async with asyncio.timeout(20):
            await publisher.claimed()
        async with connect(fast(valkey)) as shared:
            publisher.tape.identity = before = await publisher.tape.identify(shared, KEYS, origin=Origin.SIMULATED)
        away(net)
        publisher.publish_all(trade(number) for number in range(1, 101))
        await spooled(publisher)
    assert identity_in_spools(tmp_path) == before
    await client.flushall()
    async with connect(fast(valkey)) as shared:  # one with no spool of its own begins first
        assert await Tape(identity_in_spools(tmp_path)).identify(shared, KEYS) == before
    await begin(valkey, spool=tmp_path / "one")
    assert trade_ids(await on_tape(client)) == whole(100)
    assert await identity(client) == before
    assert identity_in_spools(tmp_path) == Identity()


async def test_a_spool_that_does_not_say_for_which_tape_it_is(client: Redis, valkey: str, tmp_path: Path) -> None:
    """An earlier version wrote it: it is published, as that version promised."""
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 100)
    for label in tmp_path.glob("*/tape"):
        label.unlink()
    await client.flushall()
    await begin(valkey, spool=tmp_path)
    assert trade_ids(await on_tape(client)) == whole(100)


@pytest.mark.parametrize("label", ["", "\n", "a b c", "\x00\xff"])
async def test_a_label_that_says_nothing(client: Redis, valkey: str, tmp_path: Path, label: str) -> None:
    """A damaged or hand-written label counts as no label."""
    async with proxy(valkey) as net:
        await left_behind(net, tmp_path, 20)
    (tmp_path / "0-of-1" / "tape").write_bytes(label.encode("latin-1"))
    await begin(valkey, spool=tmp_path)
    assert trade_ids(await on_tape(client)) == whole(20)


def test_labels_are_read_as_they_are_written() -> None:
    """Id and origin, or the id alone."""
    for one in (Identity("ab12", "live"), Identity("ab12")):
        assert Identity.parse(one.label) == one
