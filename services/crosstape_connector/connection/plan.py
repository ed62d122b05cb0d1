"""Plans connections: venue, instruments and kinds → which topics on which connection, within each endpoint's limits. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.spec import Endpoint, Request, Venue
from crosstape_schemas import Instrument


class ConnectionPlan(msgspec.Struct, frozen=True):
    """One WebSocket to open, and the topics to subscribe on it. All topics of a symbol are on the same WebSocket."""

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
    by_name = channels(venue, kinds)
    return tuple(topic for endpoint in venue.endpoints for topic in _topics(endpoint, by_name.get(endpoint.name, ()), instrument))


def connections(venue: Venue, instruments: Mapping[str, Instrument], kinds: Collection[str]) -> list[ConnectionPlan]:
    """Return the connections to open: endpoints in the venue's order, instruments in the mapping's, `Endpoint.topics` topics at most."""
    by_name = channels(venue, kinds)
    found: list[ConnectionPlan] = []
    for endpoint in venue.endpoints:
        names = by_name.get(endpoint.name, ())
        shard: list[Topic] = []
        for instrument in instruments.values() if names else ():
            wanted = _topics(endpoint, names, instrument)
            if shard and len(shard) + len(wanted) > endpoint.topics:
                found.append(ConnectionPlan(endpoint, tuple(shard)))
                shard = []
            shard.extend(wanted)
        if shard:
            found.append(ConnectionPlan(endpoint, tuple(shard)))
    return found


def _topics(endpoint: Endpoint, names: Iterable[str], instrument: Instrument) -> list[Topic]:
    """Return the topics of those of the channels that the venue has for this instrument."""
    return [Topic(endpoint.name, channel, instrument.symbol) for channel in names if endpoint.offers(channel, instrument)]


def by_symbol(topics: Iterable[Topic]) -> list[tuple[Topic, ...]]:
    """Group topics by symbol."""
    symbols: dict[str, list[Topic]] = {}
    for topic in topics:
        symbols.setdefault(topic.symbol, []).append(topic)
    return [tuple(group) for group in symbols.values()]


def fits(connection: ConnectionPlan, topics: Collection[Topic]) -> bool:
    """Whether the connection has room for these topics, too."""
    return len(connection.topics) + len(topics) <= connection.endpoint.topics


def requests(endpoint: Endpoint, wanted: Iterable[Topic], depth: int, request_id: int) -> Iterator[Request]:
    """Yield the requests for these topics: one channel each, `symbols_per_request` symbols at most, ids counting up from `request_id`."""
    by_channel: dict[str, list[str]] = {}
    for topic in wanted:
        by_channel.setdefault(topic.channel, []).append(topic.symbol)
    for channel, symbols in by_channel.items():
        for start in range(0, len(symbols), endpoint.symbols_per_request):
            yield Request(channel, tuple(symbols[start : start + endpoint.symbols_per_request]), request_id, depth)
            request_id += 1
