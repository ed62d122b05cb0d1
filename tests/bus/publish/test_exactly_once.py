"""Whatever happens to connections and scripts, each event is on the tape once, and no number of its stream is missing."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from crosstape_schemas import Gap, GapCause
from tests.bus.tape import BTC, ETH, GAPS, KEYS, QUOTES, TRADES, Counts, command, fast, numbers, on_tape, publishing, quote, trade, whole
from tests.engines import StartServer
from tests.proxy import proxy
from tests.waiting import wait_until


async def test_an_answer_lost_after_the_script_ran_doubles_nothing(client: Redis, valkey: str) -> None:
    """The batch is sent again under its number, which the server has seen."""
    async with proxy(valkey) as net, publishing(fast(net.url)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        for number in range(2, 12):
            net.lose_answers = 1
            publisher.publish(trade(number))
            assert await publisher.drain(5)
            assert not net.lose_answers
    assert numbers(await on_tape(client)) == whole(11)


async def test_connections_cut_in_the_middle_of_a_batch_lose_nothing(client: Redis, valkey: str) -> None:
    """The server ignores half a request; the complete one follows on a new connection."""
    counts = Counts()
    async with proxy(valkey) as net, publishing(fast(net.url), metrics=counts) as publisher:
        for round_ in range(10):
            net.cut_after = 1 + 3_000 * round_
            publisher.publish_all(trade(200 * round_ + number) for number in range(1, 201))
            assert await publisher.drain(5)
    assert numbers(await on_tape(client)) == whole(2000)
    assert counts.of["reconnected"]


async def test_a_network_that_swallows_everything_is_given_up_on(client: Redis, valkey: str) -> None:
    """A connection without an answer for `timeout_s` is dropped; the batch goes over the next."""
    async with proxy(valkey) as net, publishing(fast(net.url, timeout_s=0.2)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        net.swallowing = True
        publisher.publish(trade(2))
        await wait_until(lambda: not publisher.availability.answering, what="the silence is noticed")
        net.swallowing = False
        assert await publisher.drain(5)
    assert numbers(await on_tape(client)) == whole(2)


async def test_a_server_that_is_away_for_long_gets_all_in_order(client: Redis, valkey: str) -> None:
    """The outage lasts while `pending` holds all events; it is logged once, whatever the number of attempts."""
    async with proxy(valkey) as net, publishing(fast(net.url)) as publisher:
        net.refusing = True
        publisher.publish_all(trade(number) for number in range(1, 5001))
        await wait_until(lambda: net.connections > 5, what="some attempts")
        publisher.publish_all(trade(number) for number in range(5001, 6001))
        net.refusing = False
        assert await publisher.drain(10)
    events = await on_tape(client)
    assert numbers(events) == whole(6000)
    assert [event.received_ts for event in events] == [1_000 + number for number in range(1, 6001)]


async def test_a_server_that_forgot_the_script_is_taught_it_again(client: Redis, valkey: str) -> None:
    """NOSCRIPT is no outage."""
    counts = Counts()
    async with publishing(fast(valkey), metrics=counts) as publisher:
        for number in range(1, 4):
            await client.script_flush()
            publisher.publish(trade(number))
            assert await publisher.drain(5)
    assert numbers(await on_tape(client)) == whole(3)
    assert not counts.of["reconnected"]


async def test_a_key_of_another_type_stops_only_its_own_stream(client: Redis, valkey: str) -> None:
    """The others of the batch are written; what it could not take is counted and becomes a gap; once it is gone, the stream goes on."""
    await client.set(TRADES, "not a stream")
    counts = Counts()
    async with publishing(fast(valkey), metrics=counts) as publisher:
        publisher.publish_all([quote(1), trade(1), trade(2), quote(2), trade(3, ETH)])
        assert await publisher.drain(5)
        await client.delete(TRADES)
        publisher.publish(trade(4))
        assert await publisher.drain(5)

    assert numbers(await on_tape(client, QUOTES)) == [1, 2]
    assert numbers(await on_tape(client, KEYS.stream("trade", ETH))) == [1]
    assert numbers(await on_tape(client)) == [3]
    (gap,) = await on_tape(client, GAPS)
    assert isinstance(gap, Gap)
    assert (gap.kind, gap.missed, gap.cause, gap.from_ts, gap.to_ts) == ("trade", 2, GapCause.BUS, 1_001, 1_002)
    assert counts.of["dropped trade bus"] == 2


async def test_a_forbidden_channel_does_not_double_the_entries(client: Redis, valkey: str) -> None:
    """PUBLISH fails after XADD has written: the rest goes to the stream unannounced, and nothing is tried again."""
    await command(client, "ACL", "SETUSER", "mute", "on", ">pw", "~*", "resetchannels", "+@all")
    try:
        async with publishing(fast(valkey, username="mute", password="pw")) as publisher:
            publisher.publish_all([trade(1), trade(2), quote(1), trade(3)])
            assert await publisher.drain(5)
    finally:
        await client.acl_deluser("mute")
    assert numbers(await on_tape(client)) == whole(3)
    assert numbers(await on_tape(client, QUOTES)) == whole(1)


async def test_a_full_server_is_waited_for(start_server: StartServer) -> None:
    """OOM and READONLY fail before anything of a batch is written; it is sent again until it can be."""
    server = await start_server(options={"maxmemory-policy": "noeviction"})
    async with Redis.from_url(server.url) as client, publishing(fast(server.url)) as publisher:
        for refuse, allow in (
            (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
            (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        ):
            await command(client, *refuse)
            publisher.publish_all([trade(1), quote(1), trade(2)])
            await wait_until(lambda: not publisher.availability.answering, what="it is refused")
            await command(client, *allow)
            assert await publisher.drain(10)
        assert numbers(await on_tape(client)) == whole(4)
        assert numbers(await on_tape(client, QUOTES)) == whole(2)


async def test_a_password_is_needed_and_a_wrong_one_is_retried(start_server: StartServer) -> None:
    """Someone may be about to change it; meanwhile nothing is lost, and no message shows it."""
    server = await start_server(options={"requirepass": "first-secret"})
    async with publishing(fast(server.url, password="second-secret")) as publisher:
        publisher.publish(trade(1))
        await wait_until(lambda: not publisher.availability.answering, what="it is refused")
        async with Redis.from_url(server.url, password="first-secret") as client:
            await client.config_set("requirepass", "second-secret")
            assert await publisher.drain(10)
            assert numbers(await on_tape(client)) == whole(1)
        assert "secret" not in repr(publisher.client)


EVENTS = st.one_of(st.just("trade"), st.just("quote"), st.just("eth"))
TROUBLE = st.sampled_from(["cut", "lose", "cut mid", "script flush", "refuse", "allow", "wait"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.tuples(EVENTS, st.integers(1, 40)), TROUBLE), max_size=25))
async def test_whatever_happens_each_stream_is_whole(client: Redis, valkey: str, steps: list[tuple[str, int] | str]) -> None:
    """Numbers 1 … n, once each, in order, for every sequence of publishing and trouble."""
    await client.flushall()
    sent = {"trade": 0, "quote": 0, "eth": 0}
    async with proxy(valkey) as net, publishing(fast(net.url, batch=16, backoff_s=0.01)) as publisher:
        for step in steps:
            match step:
                case (str() as kind, int() as count):
                    for _ in range(count):
                        sent[kind] += 1
                        number = sent[kind]
                        publisher.publish(quote(number) if kind == "quote" else trade(number, ETH if kind == "eth" else BTC))
                case "cut":
                    net.cut()
                case "lose":
                    net.lose_answers = 1
                case "cut mid":
                    net.cut_after = 700
                case "script flush":
                    await client.script_flush()
                case "refuse":
                    net.refusing = True
                case "allow":
                    net.refusing = False
                case _:
                    for _ in range(20):
                        await asyncio.sleep(0)
        net.refusing, net.lose_answers, net.cut_after = False, 0, None
        assert await publisher.drain(10)
    for kind, stream in (("trade", TRADES), ("quote", QUOTES), ("eth", KEYS.stream("trade", ETH))):
        events = await on_tape(client, stream)
        assert numbers(events) == whole(sent[kind])
        assert [event.received_ts for event in events] == [1_000 + number for number in range(1, sent[kind] + 1)]
