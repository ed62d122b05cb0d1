"""Clients that ask for anything: whatever they send, under whatever fault, the market goes on and others are served."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstape_simulator.faults import parse
from crosstape_simulator.server.connection import Counters
from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.venues.registry import VENUES
from tests.simulator.client import still, ws
from tests.simulator.wire import FEEDS, IDS, Feed
from tests.waiting import wait_until

FAULTS = (
    "stall instrument=BTC-USDT heals=resubscribe",
    "delay by=0.001",
    "silent kind=trade",
    "late by=0.001",
    "refuse instrument=ETH-USDT kind=ticker",
    "swap count=0",
    "odd-row count=0",
    "skew by=-5",
)
WORDS = st.sampled_from(
    ["BTC-USDT", "BTC/USDT", "btcusdt@depth", "btcusdt@", "@trade", "book", "trade", "ticker", "level2", "level2_batch", "matches",
     "status", "heartbeats", "heartbeat", "instrument", "", "subscribe", "unsubscribe", "SUBSCRIBE", "UNSUBSCRIBE", "bbo", "trades"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False) | WORDS | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(["channel", "symbol", "depth", "name"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(["method", "params", "type", "channel", "channels", "product_ids", "id", "req_id", "symbol", "depth"])
REQUESTS = st.dictionaries(KEYS, VALUES, max_size=6)
SUBSCRIBES = st.one_of(
    st.fixed_dictionaries(
        {"method": st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE"]), "params": st.lists(VALUES, max_size=3), "id": st.just(1)}
    ),
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["subscribe", "unsubscribe"]),
            "params": st.fixed_dictionaries(
                {"channel": WORDS, "symbol": st.lists(VALUES, max_size=3)},
                optional={"depth": VALUES, "snapshot": VALUES, "event_trigger": VALUES},
            ),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["subscribe", "unsubscribe"])},
        optional={"channel": WORDS, "channels": st.lists(VALUES, max_size=3), "product_ids": st.lists(VALUES, max_size=3)},
    ),
)


async def _survives(feed: Feed, requests: list[Any]) -> None:
    """Everything that a client may say."""
    limits = {"messages_per_s": 1_000} if "messages_per_s" in VENUES[feed.venue].options else {}
    async with simulator(still(venues=(feed.venue,), options={feed.venue: limits})) as made:
        for text in FAULTS:
            made.faults.add(parse.from_text(text))
        async with aiohttp.ClientSession() as http:
            for request in requests:
                counters = made.counters(feed.venue)
                read = counters.messages + len(feed.requests) + 1
                async with http.ws_connect(ws(made, feed.venue, feed.endpoint), max_msg_size=0) as socket:
                    for good in feed.requests:
                        await socket.send_json(good)
                    await socket.send_str(request if isinstance(request, str) else json.dumps(request))
                    await wait_until(partial(_has_read, counters, read), what="the requests have been read")
                    made.advance(0.5)
                    made.faults.tick()
            _moves(made)


def _has_read(counters: Counters, messages: int) -> bool:
    return counters.messages >= messages


def _moves(made: Simulator) -> None:
    """The market does, and whoever drives it lives."""
    assert made.market is not None
    before = made.market.moves
    made.advance(1.0)
    assert made.market.moves > before
    made.check()


@pytest.mark.parametrize("feed", FEEDS, ids=IDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(requests=st.lists(REQUESTS | SUBSCRIBES | st.text(max_size=20), min_size=1, max_size=4))
def test_no_request_ends_the_market(feed: Feed, requests: list[Any]) -> None:
    """Neither by itself nor together with faults."""
    asyncio.run(_survives(feed, requests))
