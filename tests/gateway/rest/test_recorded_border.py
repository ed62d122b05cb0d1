"""Pages of trades and bars across the place where the streams begin, while it moves."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import HistoryError
from crosstape.history.parquet.folder import LocalFolder
from crosstape_gateway.rest import recorded
from crosstape_gateway.rest.entries import newest_rows, next_rows
from tests.bus.tape import KEYS, TRADES
from tests.gateway.rest.served import serving
from tests.history.batches import MINUTE, NOON, SECOND, candle, trade
from tests.tape.test_recorded import CANDLES, Recording


@pytest.fixture
async def recording(client: Redis, tmp_path: Path) -> AsyncIterator[Recording]:
    """A tape without events, and a history without commits."""
    made = Recording(client, tmp_path / "history")
    yield made
    await made.store.aclose()


async def write(recording: Recording, numbers: range, **fields: Any) -> None:
    """Trades, one a second."""
    for number in numbers:
        await recording.write(TRADES, trade(number, **fields), NOON + number * SECOND)


def numbers(answer: Any, name: str = "trades") -> list[int]:
    """The numbers of the trades of an answer."""
    assert answer.status == 200, answer.body
    return [int(row["trade_id"]) for row in answer.json[name]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("forward", [False, True])
async def test_pages_have_each_trade_once_while_the_border_moves(recording: Recording, valkey: str, seed: int, forward: bool) -> None:
    """Back from the newest, and on from an id: the stream is recorded and trimmed between pages, and more comes."""
    dice = random.Random(seed)
    expected = set()
    of = ("", "okx")[seed % 2]
    for number in range(120):
        late = dice.choice((0, 0, 1, 20)) * SECOND
        venue = dice.choice(("kraken", "okx"))
        await recording.write(TRADES, trade(number, ts=NOON + number * SECOND - late, venue=venue), NOON + number * SECOND)
        if of in ("", venue):
            expected.add(number)
        if dice.random() < 0.05:
            await recording.record(TRADES, dice.randrange(1, 30))
    if TRADES in recording._ids:
        await recording.client.xtrim(TRADES, minid=recording._ids[TRADES], approximate=False)
    query: dict[str, Any] = {"after": "1-0"} if forward else {}
    query |= {"venue": of} if of else {}
    found: list[int] = []
    async with serving(valkey, store=recording.store) as gateway:
        for _ in range(300):
            answer = await gateway.get("/api/trades", instrument="BTC-USDT", limit=dice.choice((1, 3, 10, 40)), **query)
            page = numbers(answer)
            found = [*found, *page] if forward else [*page, *found]
            if not answer.json["more"]:
                break
            query |= {"after": answer.json["after"]} if forward else {"before": answer.json["before"]}
            if dice.random() < 0.4:
                await recording.record(TRADES, dice.randrange(1, 30))
            if dice.random() < 0.4 and TRADES in recording._ids:
                await recording.client.xtrim(TRADES, minid=recording._ids[TRADES], approximate=False)
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert not forward or found == sorted(found)


async def test_a_stream_that_is_trimmed_during_a_request_makes_no_doubles(
    recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read from it is not read from the history as well."""
    await write(recording, range(40))
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=20, approximate=False)
    read = newest_rows

    async def trimmed_behind(*args: Any) -> Any:
        found = await read(*args)
        await recording.client.xtrim(TRADES, maxlen=5, approximate=False)
        return found

    monkeypatch.setattr("crosstape_gateway.rest.history.newest_rows", trimmed_behind)
    async with serving(valkey, store=recording.store) as gateway:
        assert numbers(await gateway.get("/api/trades", instrument="BTC-USDT", limit=100)) == list(range(40))


async def test_a_stream_that_is_trimmed_during_a_request_makes_no_hole(
    recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that goes on from an id would never know."""
    await write(recording, range(40))
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=20, approximate=False)
    read = next_rows

    async def trimmed_before(*args: Any) -> Any:
        await recording.client.xtrim(TRADES, maxlen=5, approximate=False)
        return await read(*args)

    monkeypatch.setattr("crosstape_gateway.rest.history.next_rows", trimmed_before)
    async with serving(valkey, store=recording.store) as gateway:
        for after in (10, 25):
            answer = await gateway.get("/api/trades", instrument="BTC-USDT", limit=100, after=f"{NOON // 10**6 + after * 1_000}-0")
            assert numbers(answer) == list(range(after + 1, 40))


async def test_many_trades_right_behind_the_border_hide_nothing(recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has them, too, within the time that clocks may differ."""
    monkeypatch.setattr(recorded, "MOST_ROWS", 20)
    for number in range(100):
        await recording.write(TRADES, trade(number, ts=NOON + number * SECOND // 2), NOON + number * SECOND // 2)
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=70, approximate=False)
    found: list[int] = []
    before: dict[str, str] = {}
    async with serving(valkey, store=recording.store) as gateway:
        for _ in range(40):
            answer = await gateway.get("/api/trades", instrument="BTC-USDT", limit=7, **before)
            found = [*numbers(answer), *found]
            if not answer.json["more"]:
                break
            before = {"before": answer.json["before"]}
    assert found == list(range(100))


async def test_what_was_fetched_stands_before_the_stream_in_order(recording: Recording, valkey: str) -> None:
    """What was fetched for a time that the stream has, comes when the stream has left it behind."""
    await write(recording, range(0, 40, 2))
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=10, approximate=False)
    await recording.fetch(*(trade(number) for number in (5, 7, 21, 25)))
    async with serving(valkey, store=recording.store) as gateway:
        found = numbers(await gateway.get("/api/trades", instrument="BTC-USDT", limit=100))
        assert found == sorted([*range(0, 40, 2), 5, 7])
        await recording.client.xtrim(TRADES, maxlen=5, approximate=False)
        assert numbers(await gateway.get("/api/trades", instrument="BTC-USDT", limit=100)) == sorted([*range(0, 40, 2), 5, 7, 21, 25])


async def test_candles_that_were_repaired_fill_the_holes_of_the_stream(recording: Recording, valkey: str) -> None:
    """Though the stream has as many as were asked for."""
    for number in (*range(20), *range(25, 40)):
        await recording.write(CANDLES, candle(number), NOON + (number + 1) * MINUTE)
    await recording.record(CANDLES)
    await recording.fetch(*(candle(number) for number in range(20, 25)))
    async with serving(valkey, store=recording.store) as gateway:
        answer = await gateway.get("/api/candles", symbol="BTC-USDT", venue="kraken", limit=25)
    assert [(row["open_ts"] - NOON) // MINUTE for row in answer.json["candles"]] == list(range(15, 40))
    assert answer.json["more"]


async def test_what_a_venue_has_changed_since_counts(recording: Recording, valkey: str) -> None:
    """It was fetched as a later revision; what was fetched as it was on the tape is that of the tape."""
    for number in range(3):
        await recording.write(CANDLES, candle(number), NOON + (number + 1) * MINUTE)
    await recording.fetch(candle(0), candle(1, revision=1))
    async with serving(valkey, store=recording.store) as gateway:
        rows = await gateway.rows("/api/candles", "candles", symbol="BTC-USDT", venue="kraken")
    assert [(row["revision"], row["seq"]) for row in rows] == [(0, 1), (1, 0), (0, 3)]


async def test_one_deadline_holds_for_all_that_a_request_asks(recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it has to ask: and others are answered meanwhile."""
    await write(recording, range(100))
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=90, approximate=False)
    read, asked = recording.store.read, 0

    async def slow(*args: Any) -> AsyncIterator[Any]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.2)
        async for table in read(*args):
            yield table

    monkeypatch.setattr(recorded, "DEADLINE_S", 0.3)
    monkeypatch.setattr(recording.store, "read", slow)
    async with serving(valkey, store=recording.store) as gateway:
        first = f"{NOON // 10**6 + 10_000}-0"
        slow_one = asyncio.create_task(gateway.get("/api/trades", instrument="BTC-USDT", limit=2, before=first))
        others = [await gateway.get("/api/trades", instrument="BTC-USDT", limit=2) for _ in range(5)]
        answer = await slow_one
    assert [one.status for one in others] == [200] * 5
    assert (answer.status, answer.json["error"]["code"], asked) == (503, "history_slow", 2)


async def test_an_id_is_never_passed_while_the_history_is_away(recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads on from an id gets an error, and not what is behind a hole."""
    await write(recording, range(20))
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=5, approximate=False)

    async def broken(*_: Any) -> AsyncIterator[Any]:
        raise HistoryError("away")
        yield

    monkeypatch.setattr(recording.store, "read", broken)
    async with serving(valkey, store=recording.store) as gateway:
        answer = await gateway.get("/api/trades", instrument="BTC-USDT", after=f"{NOON // 10**6 + 3_000}-0")
        assert (answer.status, answer.json["error"]["code"]) == (503, "history_away")
        answer = await gateway.get("/api/trades", instrument="BTC-USDT", after=f"{NOON // 10**6 + 17_000}-0")
        assert numbers(answer) == [18, 19]


async def test_the_history_of_another_tape_is_not_sent(recording: Recording, valkey: str) -> None:
    """Simulated and live events do not mix, whatever the settings name."""
    await write(recording, range(20))
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=5, approximate=False)
    await recording.client.hset(KEYS.identity(), "id", "abc")
    await recording.store.bind(Identity("other", "live"), after=0)
    async with serving(valkey, store=recording.store) as gateway:
        answer = await gateway.get("/api/trades", instrument="BTC-USDT")
        assert (numbers(answer), answer.json["more"]) == ([15, 16, 17, 18, 19], True)
        answer = await gateway.get("/api/trades", instrument="BTC-USDT", before=answer.json["before"])
        assert (answer.status, answer.json["error"]["code"]) == (503, "history_away")
        await recording.client.hset(KEYS.identity(), "id", "other")
        assert numbers(await gateway.get("/api/trades", instrument="BTC-USDT")) == list(range(20))


async def test_a_store_that_hangs_takes_few_threads_and_nothing_else(
    recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a network disk does: its calls cannot be ended. Once they end, the history is there again."""
    await write(recording, range(20))
    await recording.record(TRADES)
    await recording.client.xtrim(TRADES, maxlen=5, approximate=False)
    files, released = LocalFolder.files, threading.Event()

    def hanging(*args: Any) -> Any:
        assert released.wait(60)
        return files(*args)

    monkeypatch.setattr(recorded, "DEADLINE_S", 0.2)
    monkeypatch.setattr(LocalFolder, "files", hanging)
    async with serving(valkey, store=recording.store) as gateway:
        try:
            before = threading.active_count()
            asked = [asyncio.create_task(gateway.get("/api/trades", instrument="BTC-USDT", before="1-0")) for _ in range(30)]
            streams = [await gateway.get("/api/trades", instrument="BTC-USDT", limit=5) for _ in range(3)]
            answers = await asyncio.gather(*asked)
            assert {one.status for one in answers} == {503}
            assert [numbers(one) for one in streams] == [[15, 16, 17, 18, 19]] * 3
            assert threading.active_count() - before <= 8
        finally:
            released.set()
        monkeypatch.setattr(recorded, "DEADLINE_S", 20.0)
        assert numbers(await gateway.get("/api/trades", instrument="BTC-USDT")) == list(range(20))
