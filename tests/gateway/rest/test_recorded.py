"""Answers that go further back than the streams, from the recorded history."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.errors import HistoryError
from crosstape_gateway.rest import recorded
from crosstape_schemas import CONSOLIDATED, Bar
from tests.bus.tape import KEYS, TRADES
from tests.gateway.rest.served import Served, serving
from tests.history.batches import MINUTE, NOON, SECOND, candle, trade
from tests.tape.test_recorded import CANDLES, Recording

BARS = KEYS.stream("bar:1m", "BTC-USDT")


@pytest.fixture
async def recording(client: Redis, tmp_path: Path) -> AsyncIterator[Recording]:
    """A tape without events, and a history without commits."""
    made = Recording(client, tmp_path / "history")
    yield made
    await made.store.aclose()


async def pages(gateway: Served, limit: int, **query: Any) -> list[str]:
    """The ids of all trades, page by page back from the newest, in the order of the pages; oldest first within all."""
    found: list[str] = []
    before: dict[str, str] = {}
    for _ in range(200):
        answer = await gateway.get("/api/trades", instrument="BTC-USDT", limit=limit, **before, **query)
        assert answer.status == 200, answer.body
        found = [row["trade_id"] for row in answer.json["trades"]] + found
        assert len(answer.json["trades"]) <= limit
        if not answer.json["more"]:
            return found
        before = {"before": answer.json["before"]}
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize(("kept", "limit"), [(0, 7), (1, 1), (20, 7), (20, 20), (33, 100), (60, 9)])
async def test_pages_of_trades_go_on_in_the_history(recording: Recording, valkey: str, kept: int, limit: int) -> None:
    """Each trade comes once, wherever the stream begins; also several of one moment."""
    for number in range(60):
        await recording.write(TRADES, trade(number, ts=NOON + number // 3 * SECOND), NOON + number // 3 * SECOND)
    await recording.record(TRADES, 55)
    await recording.client.xtrim(TRADES, maxlen=kept, approximate=False)
    if kept < 5:
        await recording.record(TRADES)
    recorded_later = range(60 - kept, 60) if kept < 5 else range(55, 60)
    everything = [str(number) for number in (*range(55), *recorded_later)]

    async with serving(valkey, store=recording.store) as gateway:
        assert await pages(gateway, limit) == everything


@pytest.mark.parametrize("limit", [1, 4, 7, 100])
async def test_what_came_since_an_id_is_there_though_the_stream_was_trimmed(recording: Recording, valkey: str, limit: int) -> None:
    """The oldest first, from the history and then from the stream, nothing twice."""
    for number in range(40):
        await recording.write(TRADES, trade(number, ts=NOON + (number * 7 % 40) * SECOND), NOON + number * SECOND)
    await recording.record(TRADES, 35)
    await recording.client.xtrim(TRADES, maxlen=12, approximate=False)
    found: list[str] = []
    after = f"{NOON // 10**6 + 4_000}-0"
    async with serving(valkey, store=recording.store) as gateway:
        for _ in range(60):
            answer = await gateway.get("/api/trades", instrument="BTC-USDT", limit=limit, after=after)
            assert answer.status == 200, answer.body
            assert len(answer.json["trades"]) <= limit
            found += [row["trade_id"] for row in answer.json["trades"]]
            after = answer.json["after"]
            if not answer.json["more"]:
                break
    assert found == [str(number) for number in range(5, 40)]


async def test_trades_of_a_range_long_ago(recording: Recording, valkey: str) -> None:
    """By the time when they were made, also those that were fetched later; of one venue."""
    for number in range(30):
        await recording.write(TRADES, trade(number, venue=("kraken", "okx")[number % 2]), NOON + number * SECOND)
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=3, approximate=False)
    await recording.fetch(*(trade(number, trade_id=f"f{number}", ts=NOON + number * SECOND + 1, venue="okx") for number in (2, 3)))
    query = {"from_ts": NOON + SECOND, "to_ts": NOON + 5 * SECOND}

    async with serving(valkey, store=recording.store) as gateway:
        assert await pages(gateway, 2, **query) == ["1", "2", "f2", "3", "f3", "4"]
        assert await pages(gateway, 100, venue="okx", **query) == ["1", "f2", "3", "f3"]
    async with serving(valkey) as gateway:
        assert await pages(gateway, 100, **query) == []
        answer = await gateway.get("/api/trades", instrument="BTC-USDT", before=f"{NOON}-0")
        assert (answer.status, answer.json["error"]["code"]) == (400, "bad_id")


async def test_bars_and_candles_go_on_in_the_history(recording: Recording, valkey: str) -> None:
    """Of each the newest revision, whichever of both has it; more says whether there are older ones."""
    dice = random.Random(1)
    for number in range(20):
        for revision in range(dice.randrange(1, 3)):
            await recording.write(CANDLES, candle(number, revision=revision), NOON + number * MINUTE)
    await recording.record(CANDLES)
    await recording.client.xtrim(CANDLES, maxlen=4, approximate=False)
    await recording.write(CANDLES, candle(3, revision=9), NOON + 40 * MINUTE)
    like = candle(1)
    numbers = (like.open, like.high, like.low, like.close, like.volume, like.volume, 1, None)
    one = Bar(CONSOLIDATED, "BTC-USDT", None, like.received_ts, "1m", like.open_ts, like.close_ts, *numbers, closed=True)
    await recording.write(BARS, one, NOON)
    await recording.record(BARS)
    await recording.client.delete(BARS)

    async with serving(valkey, store=recording.store) as gateway:
        rows = await gateway.rows("/api/candles", "candles", symbol="BTC-USDT", venue="kraken")
        assert [(row["open_ts"] - NOON) // MINUTE for row in rows] == list(range(20))
        assert rows[3]["revision"] == 9
        answer = await gateway.get("/api/candles", symbol="BTC-USDT", venue="kraken", limit=15)
        assert [(row["open_ts"] - NOON) // MINUTE for row in answer.json["candles"]] == list(range(5, 20))
        assert answer.json["more"] is True
        answer = await gateway.get("/api/candles", symbol="BTC-USDT", venue="kraken", to_ts=NOON + 4 * MINUTE)
        assert ([(row["open_ts"] - NOON) // MINUTE for row in answer.json["candles"]], answer.json["more"]) == ([0, 1, 2, 3], False)
        assert len(await gateway.rows("/api/bars", "bars", instrument="BTC-USDT")) == 1
        assert (await gateway.get("/api/bars", instrument="BTC-USDT", timeframe="5m")).status == 404


async def test_a_history_that_does_not_answer_costs_no_more_than_its_part(
    recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the streams have is sent; beyond them it is an error that says when to ask again."""
    for number in range(20):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
        await recording.write(CANDLES, candle(number), NOON + number * MINUTE)
    await recording.record(TRADES, 10)

    async def broken(*_: Any) -> AsyncIterator[Any]:
        raise HistoryError("postgresql://secret@host is away")
        yield

    async def slow(*_: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(recorded, "DEADLINE_S", 0.2)
    async with serving(valkey, store=recording.store) as gateway:
        for way, code in ((broken, "history_away"), (slow, "history_slow")):
            monkeypatch.setattr(recording.store, "read", way)
            answer = await gateway.get("/api/trades", instrument="BTC-USDT")
            assert (len(answer.json["trades"]), answer.json["more"]) == (20, True)
            answer = await gateway.get("/api/candles", symbol="BTC-USDT", venue="kraken")
            assert (len(answer.json["candles"]), answer.json["more"]) == (20, True)
            answer = await gateway.get("/api/trades", instrument="BTC-USDT", to_ts=NOON - 400 * SECOND)
            assert (answer.status, answer.json["error"]["code"]) == (503, code)
            assert b"secret" not in answer.body
            assert answer.headers["Retry-After"]
