"""Plans connections: venue, instruments and kinds → which topics on which connection, within each endpoint's limits. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.offers import concerns
from crosstape_connector.venues.spec import Endpoint, Request, Venue
from crosstape_schemas import Instrument


class ConnectionPlan(msgspec.Struct, frozen=True):
    """One WebSocket to open, and the topics to subscribe on it. All topics of a symbol are on the same WebSocket, if they fit."""

    endpoint: Endpoint
    topics: tuple[Topic, ...]


def channels(venue: Venue, kinds: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return endpoint name → the channels that these kinds need, each once. A kind that two endpoints offer comes from the first."""
    wanted: dict[str, dict[str, None]] = {}
    for kind in kinds:
        for endpoint in venue.endpoints:
            if kind in endpoint.channels:
                wanted.setdefault(endpoint.name, {})[endpoint.channels[kind]] = None
                break
    return {endpoint.name: tuple(wanted[endpoint.name]) for endpoint in venue.endpoints if endpoint.name in wanted}


def topics(venue: Venue, instrument: Instrument, kinds: Collection[str]) -> tuple[Topic, ...]:
    """Return the topics of one instrument on all endpoints."""
    ours = [kind for kind in kinds if concerns(kind, instrument)]
    return tuple(Topic(name, channel, instrument.symbol) for name, names in channels(venue, ours).items() for channel in names)


def connections(venue: Venue, instruments: Mapping[str, Instrument], kinds: Collection[str]) -> list[ConnectionPlan]:
    """Return the connections to open: endpoints in the venue's order, instruments in the mapping's, `Endpoint.topics` topics at most."""
    wanted = [topics(venue, instrument, kinds) for instrument in instruments.values()]
    found: list[ConnectionPlan] = []
    for endpoint in venue.endpoints:
        groups = [[topic for topic in of_instrument if topic.endpoint == endpoint.name] for of_instrument in wanted]
        found += [ConnectionPlan(endpoint, shard) for shard in shards(endpoint, groups, endpoint.topics)]
    return found


def shards(endpoint: Endpoint, groups: Iterable[Sequence[Topic]], room: int) -> list[tuple[Topic, ...]]:
    """Divide groups of topics, one group a symbol, into connections that have room for `room` topics each.

    A group stays together, unless it is larger than a connection: then it is cut.
    """
    found: list[list[Topic]] = [[]]
    for group in groups:
        if found[-1] and size(endpoint, [*found[-1], *group]) > room:
            found.append([])
        for topic in group:
            if found[-1] and size(endpoint, [*found[-1], topic]) > room:
                found.append([])
            found[-1].append(topic)
    return [tuple(shard) for shard in found if shard]


def size(endpoint: Endpoint, topics: Collection[Topic]) -> int:
    """Return how many subscriptions these topics are for the venue: one for all symbols of a shared channel."""
    if not endpoint.shared_channels:
        return len(topics)
    shared = [topic.channel for topic in topics if topic.channel in endpoint.shared_channels]
    return len(topics) - len(shared) + len(set(shared))


def by_symbol(topics: Iterable[Topic]) -> list[tuple[Topic, ...]]:
    """Group topics by symbol."""
    symbols: dict[str, list[Topic]] = {}
    for topic in topics:
        symbols.setdefault(topic.symbol, []).append(topic)
    return [tuple(group) for group in symbols.values()]


def fits(connection: ConnectionPlan, topics: Collection[Topic], room: int) -> bool:
    """Whether these topics fit on a connection, too, that has room for `room` of them."""
    return size(connection.endpoint, [*connection.topics, *topics]) <= room


def requests(endpoint: Endpoint, wanted: Iterable[Topic], depth: int, request_id: int) -> Iterator[Request]:
    """Yield the requests for these topics: one channel each, `Endpoint.at_once` symbols at most, ids counting up from `request_id`.

    A shared channel is one request, with one of the symbols.
    """
    by_channel: dict[str, list[str]] = {}
    for topic in wanted:
        by_channel.setdefault(topic.channel, []).append(topic.symbol)
    for channel, symbols in by_channel.items():
        several = symbols[:1] if channel in endpoint.shared_channels else symbols
        most = endpoint.at_once(channel)
        for start in range(0, len(several), most):
            yield Request(channel, tuple(several[start : start + most]), request_id, depth)
            request_id += 1
