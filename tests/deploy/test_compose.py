"""The demo of compose.yaml on a real engine: healthy, read from the host, killed piece by piece."""

from __future__ import annotations

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from crosstape_schemas import Cbbo, Event, Keys, Trade, decode
from tests.deploy import engine
from tests.deploy.composed import Project, demo, implementations
from tests.deploy.engine import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900), pytest.mark.xdist_group("image")]

KEYS = Keys()
NAME = "BTC-USDT"
VENUES = {"binance", "coinbase", "kraken", "bitfinex"}
"""The venues of the demo that list it."""
AGAIN_S = 60.0
"""Longest wait for a service to be back; on a machine without other load it takes a few seconds."""


@pytest.fixture(scope="module")
def tape() -> Iterator[Project]:
    """The demo, once for all tests of this module."""
    engine.need()
    programs = implementations()
    assert programs, "there is an engine, but no docker-compose"
    with demo(programs[0], f"crosstape-test-{os.getpid()}") as project:
        until(project.healthy, what="all containers are healthy")
        yield project


def newest(client: Redis) -> Cbbo:
    """The newest consolidated quote, from the channel: what a strategy hears."""
    with client.pubsub(ignore_subscribe_messages=True) as subscriber:  # type: ignore[no-untyped-call]
        subscriber.psubscribe(KEYS.stream("cbbo", "*"))
        for message in subscriber.listen():
            quote = decode(message["data"])
            if isinstance(quote, Cbbo) and quote.instrument == NAME:
                return quote
    raise AssertionError("unreachable: a channel does not end")


def live(quote: Cbbo) -> dict[str, int]:
    """Venue → epoch of each leg that counts."""
    return {leg.venue: leg.epoch for leg in quote.legs if leg.excluded is None}


def recorded(client: Redis, kind: str) -> list[Event]:
    """Returns all events of a stream."""
    entries: Any = client.xrange(KEYS.stream(kind, NAME))
    return [decode(fields[b"d"]) for _, fields in entries]


def assert_whole(client: Redis) -> None:
    """Check that no number is missing, and that each trade is there once."""
    numbers: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    trades: defaultdict[str, list[str]] = defaultdict(list)
    for event in recorded(client, "trade"):
        assert isinstance(event, Trade)
        numbers[event.venue, event.epoch].append(event.seq)
        trades[event.venue].append(event.trade_id)
    assert set(trades) == VENUES
    for seqs in numbers.values():
        assert seqs == list(range(1, len(seqs) + 1))
    for venue, ids in trades.items():
        assert len(ids) == len(set(ids)), f"{venue}: a trade is on the tape twice"


def test_a_program_on_the_host_hears_four_live_legs(tape: Project) -> None:
    """The demo's Redis listens on the loopback address of the host, and on nothing else."""
    with tape.redis() as client:
        until(lambda: set(live(newest(client))) == VENUES, what="all legs count")
        assert_whole(client)


def test_a_browser_on_the_host_has_the_page_and_the_quotes(tape: Project) -> None:
    """By the name `localhost`, and without a token: the port is published on the loopback address only."""
    assert "<html" in tape.asked("/")
    quotes = json.loads(tape.asked(f"/api/quotes?instrument={NAME}"))["quotes"]
    assert [quote["instrument"] for quote in quotes] == [NAME]
    assert {venue["venue"] for venue in json.loads(tape.asked("/api/venues"))["venues"]} >= VENUES


def test_a_killed_gateway_comes_back(tape: Project) -> None:
    """Whoever follows it connects again, and finds the quotes where they are then."""
    tape.kill("demo-gateway")
    until(lambda: quoted(tape) > 0, what="the gateway answers", timeout_s=AGAIN_S)
    before = quoted(tape)
    until(lambda: quoted(tape) > before, what="it has newer quotes", timeout_s=AGAIN_S)


def quoted(tape: Project) -> int:
    """Returns when the newest quote that the gateway has was made, in ns; 0 if it does not answer."""
    with contextlib.suppress(OSError):
        return max(int(quote["ts"]) for quote in json.loads(tape.asked(f"/api/quotes?instrument={NAME}"))["quotes"])
    return 0


def test_a_killed_connector_is_seen_and_comes_back(tape: Project) -> None:
    """Its leg stops counting or is renewed. Later it counts again, from a new start of the connector; no trade is there twice."""
    with tape.redis() as client:
        before = live(newest(client))["kraken"]
        tape.kill("demo-connector-kraken")
        until(lambda: live(newest(client)).get("kraken", 0) > before, what="a quote of the new connector counts", timeout_s=AGAIN_S)
        until(lambda: set(live(newest(client))) == VENUES, what="all legs count", timeout_s=AGAIN_S)
        assert_whole(client)


def test_a_killed_aggregator_goes_on(tape: Project) -> None:
    """Its successor starts its numbers again, in an epoch of its own."""
    with tape.redis() as client:
        before = newest(client).epoch
        tape.kill("demo-aggregator")
        until(lambda: newest(client).epoch > before, what="a quote of the new aggregator", timeout_s=AGAIN_S)
        until(lambda: set(live(newest(client))) == VENUES, what="all legs count", timeout_s=AGAIN_S)


def test_a_killed_redis_comes_back_with_the_tape(tape: Project) -> None:
    """It has what is in its file; producers send the rest again: no number is missing, no trade is there twice."""
    with tape.redis() as client:
        before = len(recorded(client, "trade"))
        tape.kill("demo-redis")
    until(lambda: answers(tape), what="Redis answers", timeout_s=AGAIN_S)
    with tape.redis() as client:
        until(lambda: set(live(newest(client))) == VENUES, what="all legs count", timeout_s=AGAIN_S)
        until(lambda: len(recorded(client, "trade")) > before, what="trades go on", timeout_s=AGAIN_S)
        assert_whole(client)
    until(tape.healthy, what="all containers are healthy again", timeout_s=AGAIN_S)
    before = quoted(tape)
    until(lambda: quoted(tape) > before, what="the gateway has newer quotes", timeout_s=AGAIN_S)


def answers(tape: Project) -> bool:
    """Whether its Redis is there, with its data."""
    with tape.redis() as client, contextlib.suppress(RedisError):
        return bool(client.ping())
    return False


def test_all_of_it_stops_in_order(tape: Project) -> None:
    """Asked to stop, every service ends by itself with code 0, long before it would be killed."""
    tape.compose("stop")

    assert {service: state["ExitCode"] for service, state in tape.states().items()} == dict.fromkeys(tape.states(), 0)
    assert not any(state["OOMKilled"] for state in tape.states().values())


@pytest.mark.parametrize("program", implementations()[1:])
def test_every_compose_starts_it(program: str) -> None:
    """The old one in Python and today's read the same file."""
    engine.need()
    with demo(program, f"crosstape-test-other-{os.getpid()}") as project:
        until(project.healthy, what="all containers are healthy")
