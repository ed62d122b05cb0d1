"""Faults of subscriptions: what is answered, when, and what comes of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.simulator.client import ws
from tests.simulator.wire import ADVANCED, BINANCE, BITSTAMP, EXCHANGE, FEEDS, IDS, KRAKEN, Feed, books, clean, is_heartbeat, rig, wired
from tests.waiting import wait_until

every_feed = pytest.mark.parametrize("feed", FEEDS, ids=IDS)
UNSUBSCRIBE: dict[str, Any] = {
    BINANCE.venue: {"method": "UNSUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 8},
    ADVANCED.endpoint: {"type": "unsubscribe", "channel": "level2", "product_ids": ["BTC-USDT"]},
    EXCHANGE.endpoint: {"type": "unsubscribe", "channels": ["level2_batch"], "product_ids": ["BTC-USDT"]},
    BITSTAMP.venue: {"event": "bts:unsubscribe", "data": {"channel": "diff_order_book_btcusdt"}},
    KRAKEN.venue: {"method": "unsubscribe", "params": {"channel": "book", "symbol": ["BTC/USDT"], "depth": 10}},
}
SUBSCRIBE: dict[str, Any] = {
    BINANCE.venue: {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 9},
    ADVANCED.endpoint: {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USDT"]},
    EXCHANGE.endpoint: {"type": "subscribe", "channels": ["level2_batch"], "product_ids": ["BTC-USDT"]},
    BITSTAMP.venue: {"event": "bts:subscribe", "data": {"channel": "diff_order_book_btcusdt"}},
    KRAKEN.venue: {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USDT"], "depth": 10}},
}
REFUSALS: dict[str, list[Any]] = {
    BINANCE.venue: [{"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 1}],
    ADVANCED.endpoint: [{"type": "error", "message": "failure to subscribe: invalid product ids"}],
    EXCHANGE.endpoint: [{"type": "error", "message": "Failed to subscribe", "reason": "ETH-USDT is not a valid product"}],
    BITSTAMP.venue: [{"event": "bts:error", "channel": "", "data": {"code": None, "message": "Bad subscription string."}}],
    KRAKEN.venue: [{"error": "Currency pair not supported ETH/USDT", "method": "subscribe", "success": False, "symbol": "ETH/USDT"}],
}


def is_ack(text: str) -> bool:
    """Whether it is the answer to a request."""
    return '"result"' in text or '"subscriptions"' in text or "subscription_succeeded" in text


@every_feed
async def test_a_refused_subscription_is_refused_in_the_venues_words(feed: Feed) -> None:
    """And brings no data. Kraken refuses the one symbol, the others the message that it stands in; Bitstamp's messages have one each."""
    async with rig(feed) as one:
        running = one.set("refuse instrument=ETH-USDT kind=book")
        answers = [json.loads(text) for text in await one.subscribe()]
        refusals = [answer for answer in answers if "error" in answer or "error" in (answer.get("type") or answer.get("event", ""))]
        for refusal in refusals:
            refusal.pop("time_in", None)
            refusal.pop("time_out", None)
        assert refusals == REFUSALS[feed.endpoint or feed.venue]
        assert running.acted == 1
        seen = await one.flow()
        assert not [text for text in seen if feed.eth in text]
        assert bool(books(seen, feed, feed.btc)) is (feed in (KRAKEN, BITSTAMP))


@every_feed
async def test_a_silent_subscription_is_acknowledged_and_that_is_all(feed: Feed) -> None:
    """Acknowledged like any other; no snapshot, no update of it, while the others flow. Made anew after the fault's end it speaks."""
    sound = await clean(feed)
    async with rig(feed) as one:
        running = one.set("silent instrument=BTC-USDT kind=book")
        answers = await one.subscribe()
        assert sum(is_ack(text) for text in answers) == feed.acks
        assert not [text for text in answers if '"type":"snapshot"' in text and feed.btc in text and feed.book in text]
        seen = await one.flow()
        assert running.acted == 1
        silent = set(books(sound, feed, feed.btc))
        expected = [text for index, text in enumerate(sound) if index not in silent]
        if feed is ADVANCED:
            assert [json.loads(text)["events"] for text in seen] == [json.loads(text)["events"] for text in expected]
            sent = [json.loads(text)["sequence_num"] for text in answers + seen]
            assert sent == list(range(len(sent)))
        else:
            assert seen == expected

        one.made.faults.remove(running.id)
        assert not books(await one.flow(), feed, feed.btc)
        one.wire.send(UNSUBSCRIBE[feed.endpoint or feed.venue])
        one.wire.send(SUBSCRIBE[feed.endpoint or feed.venue])
        counters = one.made.counters(feed.venue)
        await wait_until(lambda: counters.messages == len(feed.requests) + 2, what="the requests have arrived")
        assert books(await one.flow(), feed, feed.btc)


async def test_streams_in_the_address_can_be_silent() -> None:
    """Binance acknowledges these not at all, and sends nothing."""
    async with rig(BINANCE) as one:
        one.set("silent kind=trade")
        query = "?streams=btcusdt@trade/btcusdt@bookTicker"
        async with wired(ws(one.made, "binance"), query) as other:
            await wait_until(lambda: one.made.counters("binance").clients == 2, what="the client is known")
            before = one.made.counters("binance").frames
            one.made.advance(20.0)
            texts = [await other.text() for _ in range(one.made.counters("binance").frames - before)]
            assert {json.loads(text)["stream"] for text in texts} == {"btcusdt@bookTicker"}


@every_feed
async def test_an_acknowledgement_can_come_late(feed: Feed) -> None:
    """Data come before it; it is as it would have been in time."""
    async with rig(feed) as one:
        running = one.set("late by=1.5 instrument=BTC-USDT")
        began = time.monotonic()
        answers = await one.subscribe()
        on_time = [text for text in answers if is_ack(text)]
        assert len(on_time) == (1 if feed in (KRAKEN, BITSTAMP) else 0)  # ETH's, which is answered apart
        seen = await one.flow()
        assert books(seen, feed, feed.btc)
        late: list[str] = []
        while len(late) + len(on_time) < feed.acks:
            text = await one.wire.text()
            late += [] if is_heartbeat(text) or not is_ack(text) else [text]
        assert time.monotonic() - began >= 1.5
        assert running.acted == feed.acks - len(on_time)
        assert all("BTC" in text.upper() or feed is BINANCE for text in late)
        if feed is ADVANCED:
            sent = [json.loads(text)["sequence_num"] for text in answers + seen + late]
            assert sent == list(range(len(sent)))
