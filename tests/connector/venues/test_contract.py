"""The rules that every venue must keep, run for each of them: a new venue needs only its line in the registry and its golden frames."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crosstape_connector.connection import plan
from crosstape_connector.errors import FRAME_ERRORS, UnknownFrame, UnknownVenue, frame_error_kind
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.venues.registry import VENUES, find, recorded
from crosstape_connector.venues.spec import Endpoint, Request, Venue
from crosstape_schemas import Event, Instrument, Quote, Trade, decode, encode
from tests.connector.venues import golden
from tests.connector.venues.golden import answers_of, expected_of, frames_of, symbols_of
from tests.connector.venues.unfinished import KINDS, unfinished

ENDPOINTS = [(venue, endpoint) for venue in VENUES.values() for endpoint in venue.endpoints]
each_venue = pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
each_endpoint = pytest.mark.parametrize(
    ("venue", "endpoint"), ENDPOINTS, ids=[f"{venue.id}-{endpoint.name}" for venue, endpoint in ENDPOINTS]
)


def instruments(venue: Venue) -> dict[str, Instrument]:
    """The instruments of the golden frames, by our name."""
    return {instrument.name: instrument for instrument in symbols_of(venue.id).values()}


def numbers(event: Event) -> Event:
    """The event with decimals in place of text: both forms of a number are equal then."""
    if not isinstance(event, Trade | Quote):
        return event
    fields = ("price", "size") if isinstance(event, Trade) else ("bid_price", "bid_size", "ask_price", "ask_size")
    values = {field: getattr(event, field) for field in fields}
    return msgspec.structs.replace(event, **{field: None if value is None else Decimal(value) for field, value in values.items()})


def feeds(venue: Venue) -> FeedHandler:
    """A handler of feeds of all kinds, with books at every change."""
    return FeedHandler(venue, instruments(venue), KINDS, book_depth=10, book_interval_ns=0)


def digest(venue: Venue, endpoint: Endpoint, frames: list[bytes]) -> list[Event]:
    """Parse frames as a session does. A bad frame may only raise one of `FRAME_ERRORS`."""
    parser, found = endpoint.parser(symbols_of(venue.id)), feeds(venue)
    effects: list[Effect] = []
    for now, frame in enumerate(frames, 1):
        try:
            outputs = parser(frame, now)
        except FRAME_ERRORS:
            continue
        for output in outputs:
            effects += found.apply(output)
    effects += found.due_books(len(frames) + 1)
    return [effect for effect in effects if isinstance(effect, Event)]


def test_a_venue_is_found_by_its_name() -> None:
    """An unknown name is answered with the known ones."""
    assert find("kraken") is VENUES["kraken"]
    assert recorded("kraken") is VENUES["kraken"]
    assert recorded("coinbase_exchange") is VENUES["coinbase"]
    with pytest.raises(UnknownVenue, match=", ".join(VENUES)):
        find("krakn")


def test_a_bad_frame_is_counted_by_a_word() -> None:
    """The kind of its own error, or that of all frames that cannot be decoded."""
    kinds = {}
    for name, frame in (("torn", b'{"stream":'), ("no JSON", b"}"), ("other", b'{"stream":1}'), ("no text", b'{"stream":"\xff"}')):
        with pytest.raises(FRAME_ERRORS) as caught:
            VENUES["binance"].endpoints[0].parser({})(frame, 7)
        kinds[name] = frame_error_kind(caught.value)

    assert kinds == {"torn": "truncated", "no JSON": "malformed", "other": "schema", "no text": "encoding"}
    assert frame_error_kind(UnknownFrame()) == "unknown"
    assert frame_error_kind(RecursionError()) == "malformed"


@each_endpoint
def test_an_endpoint_can_subscribe_and_unsubscribe_all_its_channels(venue: Venue, endpoint: Endpoint) -> None:
    """Requests are JSON that names each symbol, in its own spelling or in lower case; or what the venue calls its subscription."""
    for channel in endpoint.channels.values():
        symbols = tuple(symbols_of(venue.id))[: endpoint.at_once(channel)]
        request = Request(channel, symbols, 42, 10, tuple(f"1000{n}" for n in range(len(symbols))) if endpoint.handles else ())
        named = () if channel in endpoint.shared_channels else symbols
        for encoded, words in ((endpoint.subscribe(request), named), (endpoint.unsubscribe(request), request.handles or named)):
            assert msgspec.json.decode(encoded)
            assert all(word.lower() in encoded.decode().lower() for word in words)
    for greeting in endpoint.greeting:
        assert msgspec.json.decode(greeting)
    if endpoint.ping is not None:
        ping = endpoint.ping(42)  # without an id, it may be any text
        assert ping if endpoint.ping_id is None else msgspec.json.decode(ping)[endpoint.ping_id] == 42


@pytest.mark.parametrize("name", VENUES)
def test_nothing_of_a_venue_is_left_to_do(name: str) -> None:
    """Every channel and source has an example with its expected outputs, or a sentence that names what is missing."""
    found = unfinished(VENUES[name])

    assert not found, "\n".join(["", *found])


@each_venue
def test_golden_frames_and_answers_become_what_is_written_down(venue: Venue) -> None:
    """All outputs are compared, with each field and every digit."""
    made = {(line.endpoint, line.name): line.outputs for line in golden.outputs(venue)}

    for place, outputs in made.items():
        assert outputs == expected_of(venue.id).get(place), place
    assert made.keys() == expected_of(venue.id).keys()


@each_venue
def test_every_kind_of_a_venue_has_one_place(venue: Venue) -> None:
    """And a connection never has more topics than the endpoint allows."""
    many = {f"A{n}-B": Instrument(f"A{n}-B", venue.id, f"A{n}B", f"A{n}", "B") for n in range(700)}
    planned = plan.connections(venue, many, KINDS)

    assert {"trade", "quote", "book", "delta"} <= {kind for endpoint in venue.endpoints for kind in endpoint.channels} <= set(KINDS)
    assert all(0 < len(connection.topics) <= connection.endpoint.topics for connection in planned)
    topics = [topic for connection in planned for topic in connection.topics]
    assert len(topics) == len(set(topics))
    assert set(topics) == {topic for instrument in many.values() for topic in plan.topics(venue, instrument, KINDS)}


@each_venue
def test_instruments_are_read_and_known_again_by_their_url(venue: Venue) -> None:
    """The rows have our names; garbage is refused."""
    source = venue.instruments

    assert source.match(venue.rest_urls[source.rest] + source.path)
    assert not source.match("https://example.com/somewhere")
    assert source.parse(answers_of(venue.id)["instruments"])
    with pytest.raises(FRAME_ERRORS):
        source.parse(b'{"garbage":')


@each_venue
def test_a_book_can_be_had(venue: Venue) -> None:
    """A rule for links needs a REST snapshot, and the proof is described."""
    assert (venue.book.snapshot == "rest") == (venue.snapshots is not None)
    assert venue.book.proof


@each_endpoint
def test_golden_frames_are_all_understood(venue: Venue, endpoint: Endpoint) -> None:
    """No frame is unknown to its own venue. Where endpoints have dialects, any frame but an error shows which one a recording has."""
    parser = endpoint.parser(symbols_of(venue.id))
    for name, frame in frames_of(venue.id, endpoint.name).items():
        parser(frame, 7)
        if any(other.speaks is not None for other in venue.endpoints) and name != "error":
            assert [other.name for other in venue.endpoints if other.speaks is not None and other.speaks(frame)] == [endpoint.name]


@each_endpoint
def test_every_event_of_a_golden_frame_survives_the_wire(venue: Venue, endpoint: Endpoint) -> None:
    """Written as JSON and read again it is the same, to the digit."""
    events = digest(venue, endpoint, list(frames_of(venue.id, endpoint.name).values()))

    assert events
    for event in events:
        again = decode(encode(event))
        assert numbers(again) == numbers(event)
        assert encode(again) == encode(event)
        assert event.venue == venue.id


@each_endpoint
@given(data=st.binary(max_size=200))
@example(data=b"")
@example(data=b"null")
@example(data=b"\xff\xfe")
@example(data=b"[" * 100_000)
@example(data=b'{"a":' * 100_000)
@example(data=b'{"channel":"book","stream":"btcusdt@trade","type":"match","data":' + b"[" * 100_000)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_bytes_do_harm(venue: Venue, endpoint: Endpoint, data: bytes) -> None:
    """For any bytes, a parser returns, or raises an error that a session expects."""
    digest(venue, endpoint, [data])


STRANGE: list[Any] = [
    None, True, "", "NaN", "sNaN", "-Infinity", "0.-10000", "1e400", "-1", "0", -1, 0, 2**63, 2**64, 1.5, [], {}, [[]], "é",
    "0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "update", "snapshot", [["1", "1"]],
    [["NaN", "1"], ["1", "sNaN"], ["-1", "2"], ["1", "Infinity"]],
]  # fmt: skip


def warp(value: Any, chance: random.Random) -> Any:
    """Return the same JSON with one of its parts replaced by a strange value, left out, or doubled."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.15:
            return {other: part for other, part in value.items() if other != key}
        return {**value, key: warp(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        if chance.random() < 0.15:
            return [*value, *value]
        return [*value[:at], warp(value[at], chance), *value[at + 1 :]]
    return chance.choice(STRANGE)


@each_endpoint
@given(seed=st.integers(min_value=0, max_value=2**32))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_warped_frame_does_harm(venue: Venue, endpoint: Endpoint, seed: int) -> None:
    """Golden frames in any order, each with a part replaced, between good ones: all outputs can be encoded."""
    chance = random.Random(seed)
    frames: list[bytes] = []
    for _ in range(8):
        frame = chance.choice(list(frames_of(venue.id, endpoint.name).values()))
        if chance.random() < 0.7:
            frame = msgspec.json.encode(warp(msgspec.json.decode(frame), chance))
        elif chance.random() < 0.3:
            at = chance.randrange(len(frame))
            frame = frame[:at] + bytes([chance.randrange(256)]) + frame[at + chance.randrange(3) :]
        frames.append(frame)

    for event in digest(venue, endpoint, frames):
        assert numbers(decode(encode(event))) == numbers(event)
