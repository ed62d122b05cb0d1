"""Which groups get an event, and which streams are read, after any order of joining, changing topics and leaving."""

from __future__ import annotations

import asyncio
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from crosstape.bus import Reader
from crosstape.settings import GatewaySettings
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.channel import Channel
from crosstape_gateway.hub.routing import ADD_S, LINGER_S, Routing
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.hub.wire import Options, Transfer
from crosstape_gateway.topics import Topic
from crosstape_schemas import Keys

KEYS: Final = Keys()
PLACES: Final = [(kind, name) for kind in ("trade", "bar:1m") for name in ("A", "B", "C")] + [("venue", "x")]
TOPICS: Final = [
    Topic(kind, name, venue)
    for kind, name in [*PLACES, ("trade", "*"), ("bar:1m", "*"), ("venue", "*")]
    for venue in (("",) if kind == "venue" else ("", "x", "y"))
]
CLIENTS: Final = 3
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("topics"), st.integers(0, CLIENTS - 1), st.frozensets(st.sampled_from(TOPICS), max_size=5)),
        st.tuples(st.just("leave"), st.integers(0, CLIENTS - 1), st.none()),
        st.tuples(st.just("new"), st.none(), st.frozensets(st.sampled_from(PLACES), min_size=1, max_size=3)),
        st.tuples(st.just("time"), st.none(), st.none()),
    ),
    max_size=25,
)


class Open(asyncio.Transport):
    """A connection that takes everything."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Goes nowhere."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def is_closing(self) -> bool:
        """Never."""
        return False


@given(STEPS, st.booleans())
def test_events_reach_who_follows_them_and_nothing_else_is_read(
    steps: list[tuple[str, int | None, frozenset[object]]], fresh: bool
) -> None:
    """At each moment, and when all have left, nothing remains."""
    asyncio.run(check(steps, fresh))


async def check(steps: list[tuple[str, int | None, frozenset[object]]], fresh: bool) -> None:
    """Apply the steps to a routing and to a plain list of what each client follows, and compare."""
    redis: Redis = Redis()  # never connects
    catalogue = Catalogue(redis, KEYS)
    reader = Reader(redis, KEYS)
    routing = Routing(reader, KEYS, catalogue, lambda: "")
    subscribers = [Subscriber(Open(), Options(Transfer.SSE), GatewaySettings(), set()) for _ in range(CLIENTS)]
    now_s = 0.0
    for what, number, value in steps:
        match what:
            case "topics":
                assert number is not None
                routing.attach(subscribers[number], frozenset(topic for topic in value if isinstance(topic, Topic)))
            case "leave":
                assert number is not None
                routing.detach(subscribers[number])
            case "new":
                places = {place for place in value if isinstance(place, tuple)} - catalogue.streams
                catalogue.streams |= places
                catalogue.on_new(places, fresh=fresh)
            case "time":
                routing.forget_unused(now_s)
                now_s += LINGER_S + 1
                routing.forget_unused(now_s)
        compare(routing, catalogue, subscribers)
    await asyncio.sleep(ADD_S * 2)
    assert set(reader.streams) == {channel.name for channel in routing.channels.values() if channel.is_read}
    for subscriber in subscribers:
        routing.detach(subscriber)
    routing.forget_unused(now_s)
    routing.forget_unused(now_s + LINGER_S + 1)
    assert (routing.channels, routing.groups, list(reader.streams)) == ({}, {}, [])
    assert not any([*routing.followers(Channel("n", Topic(kind, "A")))] for kind in ("trade", "bar:1m", "venue"))


def compare(routing: Routing, catalogue: Catalogue, subscribers: list[Subscriber]) -> None:
    """Each event of a stream that exists reaches exactly the clients that follow it; each followed stream that exists is read."""
    by_place = {channel.place: channel for channel in routing.channels.values()}
    for place in catalogue.streams:
        for venue in ("x", "y"):
            wanted = {
                index
                for index, subscriber in enumerate(subscribers)
                if any(topic.includes(*place) and topic.venue in ("", venue) for topic in subscriber.topics)
            }
            channel = by_place.get(place)
            groups = {id(group) for group, venues in routing.followers(channel) if venues is None or venue in venues} if channel else set()
            reached = {index for index, subscriber in enumerate(subscribers) if subscriber.group and id(subscriber.group) in groups}
            assert reached == wanted, (place, venue)
            assert not wanted or (channel is not None and channel.is_read)
