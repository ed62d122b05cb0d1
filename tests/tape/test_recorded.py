"""The past from the recorded history and the streams together: each event once, as if all were in one place."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape import Bar, Candle, HistoryError, SyncTape, Tape, Trade
from crosstape.bus import Bookmark
from crosstape.bus.spool.tape_identity import Identity
from crosstape.history import text_events
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.parquet.folder import LocalFolder
from crosstape.history.parquet.store import ParquetStore
from crosstape_schemas import AnyEvent, decode
from tests.bus.tape import BTC, KEYS, TRADES, fast, stamped
from tests.history.batches import MINUTE, NOON, SECOND, batch, candle, trade

CANDLES = KEYS.stream("candle:1m", BTC)


class Recording:
    """A tape and its history, of which the test says what is recorded."""

    def __init__(self, client: Redis, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.store = ParquetStore(LocalFolder(folder))
        self.committed: dict[str, int] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._ids: dict[str, str] = {}

    async def write(self, stream: str, event: AnyEvent, ts: int) -> None:
        """An entry of the stream that came at `ts`."""
        key = (stream, event.venue)
        self._numbers[key] = self._numbers.get(key, 0) + 1
        await self.client.xadd(stream, {"d": stamped(event, 5, self._numbers[key])}, id=f"{ts // 1_000_000}-*")
        await self.client.sadd(KEYS.registry(), stream, KEYS.venue(event.venue))

    async def record(self, stream: str, count: int | None = None) -> None:
        """Records the next `count` entries of the stream (None: all), as a recorder does."""
        kind = stream.split(":")[1]
        entries: Any = await self.client.xrange(stream, f"({self._ids[stream]}" if stream in self._ids else "-", "+", count)
        if not entries:
            return
        builder = BatchBuilder(kind)
        numbers: dict[tuple[str, int], int] = {}
        for raw, fields in entries:
            ms, _, number = raw.decode().partition("-")
            event = decode(fields[b"d"])
            numbers[event.venue, event.epoch] = event.seq
            builder.add(int(ms), int(number), text_events.decode(fields[b"d"]), fields[b"d"])
        self._ids[stream] = entries[-1][0].decode()
        marks = {stream: Bookmark(self._ids[stream], tuple((venue, epoch, seq) for (venue, epoch), seq in numbers.items()))}
        done = self.committed.get(kind, 0)
        assert await self.store.append(builder.build(), marks, after=done) == done + 1
        self.committed[kind] = done + 1

    async def fetch(self, *events: Any) -> None:
        """Records what was fetched by REST."""
        kind = "trade" if isinstance(events[0], Trade) else "candle"
        done = self.committed.get(kind, 0)
        assert await self.store.append(batch(events, first_ms=NOON // 10**6, source=Source.REST), {}, after=done)
        self.committed[kind] = done + 1

    @contextlib.asynccontextmanager
    async def tape(self, url: str) -> AsyncIterator[Tape]:
        """A tape with this history."""
        async with Tape(fast(url, timeout_s=20.0), history=str(self.folder)) as tape:
            yield tape


@pytest.fixture
async def recording(client: Redis, tmp_path: Path) -> AsyncIterator[Recording]:
    """A tape without events, and a history without commits."""
    made = Recording(client, tmp_path / "history")
    yield made
    await made.store.aclose()


def ids(found: list[Any]) -> list[str]:
    """The ids of trades."""
    return [one.trade_id for one in found]


@pytest.mark.parametrize("border", [0, 1, 37, 99, 100])
async def test_each_event_comes_once_wherever_the_border_is(recording: Recording, valkey: str, border: int) -> None:
    """By its own time, as if all were in one place; a range and a limit, too."""
    dice = random.Random(border)
    events = [trade(number, ts=NOON + dice.randrange(200) * SECOND, venue=("kraken", "okx")[number % 2]) for number in range(100)]
    for number, event in enumerate(events):
        await recording.write(TRADES, event, NOON + (200 + number) * SECOND)
    if border:
        await recording.record(TRADES, border)
    ordered = [one.trade_id for one in sorted(events, key=lambda one: (one.venue_ts, int(one.trade_id)))]

    async with recording.tape(valkey) as tape:
        found = await tape.history("trade", BTC)
        assert ids(found) == ordered
        assert (found.trimmed, found.more, found.missed) == (False, False, ())
        part = await tape.history("trade", BTC, from_ts=NOON + 50 * SECOND, to_ts=NOON + 150 * SECOND)
        within = {one.trade_id for one in events if 50 <= ((one.venue_ts or 0) - NOON) // SECOND < 150}
        assert ids(part) == [one for one in ordered if one in within]
        newest = await tape.history("trade", BTC, limit=10)
        assert ids(newest) == ordered[-10:]
        assert newest.more
        venue = await tape.history("trade", BTC, venue="okx", limit=1_000)
        assert ids(venue) == [one for one in ordered if int(one) % 2]
        assert not venue.more


async def test_the_history_goes_on_where_the_stream_was_trimmed(recording: Recording, valkey: str) -> None:
    """What is neither here nor there is said."""
    for number in range(60):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES, 40)
    await recording.client.xtrim(TRADES, maxlen=15, approximate=False)

    async with recording.tape(valkey) as tape:
        found = await tape.history("trade", BTC)
        early = await tape.history("trade", BTC, to_ts=NOON + 20 * SECOND)

    assert ids(found) == [str(number) for number in (*range(40), *range(45, 60))]
    assert found.trimmed
    assert [(one.first_missing, one.count) for one in found.missed] == [(41, 5)]
    assert ids(early) == [str(number) for number in range(20)]


async def test_what_was_fetched_is_found_when_it_was_made(recording: Recording, valkey: str) -> None:
    """And comes once, also where the stream has it and the store not yet."""
    await recording.write(TRADES, trade(5), NOON + 10 * SECOND)
    await recording.record(TRADES)
    await recording.write(TRADES, trade(7), NOON + 11 * SECOND)
    await recording.fetch(*(trade(number, received_ts=NOON + 900 * SECOND) for number in (2, 3, 5, 7)))

    async with recording.tape(valkey) as tape:
        assert ids(await tape.history("trade", BTC)) == ["2", "3", "5", "7"]
        assert ids(await tape.history("trade", BTC, from_ts=NOON, to_ts=NOON + 4 * SECOND)) == ["2", "3"]
        assert ids(await tape.history("trade", BTC, limit=1)) == ["7"]


async def test_commits_that_come_meanwhile_make_no_doubles(recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The border is where it was when reading began."""
    from crosstape.tape.newer import Newer

    for number in range(30):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES, 10)
    read = Newer.read

    async def meanwhile(*args: Any, **options: Any) -> Any:
        found = await read(*args, **options)
        for number in range(30, 50):
            await recording.write(TRADES, trade(number), NOON + number * SECOND)
        await recording.record(TRADES)
        return found

    monkeypatch.setattr(Newer, "read", meanwhile)
    async with recording.tape(valkey) as tape:
        assert ids(await tape.history("trade", BTC, limit=25)) == [str(number) for number in range(5, 30)]


async def test_of_a_candle_the_newest_revision_counts(recording: Recording, valkey: str) -> None:
    """Whether it is recorded, fetched or neither; an open one is on the stream alone."""
    for number, fields in ((0, {}), (1, {}), (0, {"revision": 1}), (2, {"closed": False})):
        await recording.write(CANDLES, candle(number, **fields), NOON + 10 * MINUTE)
    await recording.record(CANDLES, 2)
    await recording.fetch(candle(-1, revision=4), candle(0, revision=9))

    async with recording.tape(valkey) as tape:
        found = await tape.history("candle:1m", BTC)
        limited = await tape.history("candle:1m", BTC, limit=2)

    assert [((one.open_ts - NOON) // MINUTE, one.revision, one.closed) for one in found] == [
        (-1, 4, True), (0, 9, True), (1, 0, True), (2, 0, False),
    ]  # fmt: skip
    assert [one.open_ts for one in limited] == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert all(isinstance(one, Candle | Bar) for one in found)


async def test_events_got_again_by_the_server_count_once(recording: Recording, valkey: str) -> None:
    """A server that lost data gets them again under other ids: their numbers say that they are recorded."""
    for number in range(10):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES)
    recording._numbers[TRADES, "kraken"] = 5
    for number in range(5, 13):
        await recording.write(TRADES, trade(number), NOON + (number + 100) * SECOND)

    async with recording.tape(valkey) as tape:
        assert ids(await tape.history("trade", BTC)) == [str(number) for number in range(13)]


async def test_the_history_of_another_tape_is_refused(recording: Recording, valkey: str) -> None:
    """Simulated and live events do not mix."""
    await recording.write(TRADES, trade(1), NOON)
    await recording.client.hset(KEYS.identity(), "id", "abc")
    await recording.store.bind(Identity("other", "live"), after=0)

    async with recording.tape(valkey) as tape:
        with pytest.raises(HistoryError, match="another tape"):
            await tape.history("trade", BTC)


async def test_frames_and_the_blocking_tape_reach_back_too(recording: Recording, valkey: str) -> None:
    """With every digit."""
    for number in range(6):
        await recording.write(TRADES, trade(number, price=Decimal("0.12345678901234567890")), NOON + number * SECOND)
    await recording.record(TRADES, 4)
    await recording.client.xtrim(TRADES, maxlen=2, approximate=False)

    async with recording.tape(valkey) as tape:
        frame = await tape.frame("trade", BTC)
    assert frame["trade_id"].to_list() == [str(number) for number in range(6)]
    assert str(frame["price"][0]) == "0.12345678901234567890"

    import asyncio

    def block() -> list[str]:
        with SyncTape(fast(valkey, timeout_s=20.0), history=str(recording.folder)) as tape:
            return ids(tape.history("trade", BTC))

    assert await asyncio.to_thread(block) == [str(number) for number in range(6)]


async def test_without_a_history_all_is_as_before(recording: Recording, valkey: str) -> None:
    """A tape that names none reads the streams alone."""
    for number in range(6):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES, 4)
    await recording.client.xtrim(TRADES, maxlen=2, approximate=False)
    async with Tape(fast(valkey, timeout_s=20.0)) as tape:
        found = await tape.history("trade", BTC)
    assert ids(found) == ["4", "5"]
    assert found.trimmed
