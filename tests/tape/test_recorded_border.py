"""Where the recorded history meets the stream: what is asked for while either of them changes, is behind, or has lost something."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from crosstape import HistoryError, Tape
from crosstape.history import text_events
from crosstape.history.batch import Source
from crosstape.history.columns import BatchBuilder
from crosstape.tape.newer import Newer
from crosstape_schemas import Gap, GapCause, encode
from tests.bus.tape import BTC, KEYS, TRADES
from tests.history.batches import MINUTE, NOON, SECOND, candle, trade
from tests.tape.test_recorded import CANDLES, Recording, ids


@pytest.fixture
async def recording(client: Redis, tmp_path: Path) -> AsyncIterator[Recording]:
    """A tape without events, and a history without commits."""
    made = Recording(client, tmp_path / "history")
    yield made
    await made.store.aclose()


def opened(found: list[Any]) -> list[int]:
    """The minutes of candles."""
    return [(one.open_ts - NOON) // MINUTE for one in found]


@pytest.mark.parametrize("recorded_entries", [0, 20, 200])
async def test_a_limit_counts_candles_and_not_their_changes(recording: Recording, valkey: str, recorded_entries: int) -> None:
    """Each open candle is on the stream several times. The recorder may be hours behind, or record no candles at all."""
    for number in range(100):
        for second in (10, 30, 61):
            fields = {"closed": second == 61, "revision": 0}
            await recording.write(CANDLES, candle(number, **fields), NOON + number * MINUTE + second * SECOND)
    if recorded_entries:
        await recording.record(CANDLES, recorded_entries)

    async with recording.tape(valkey) as tape:
        found = await tape.history("candle:1m", BTC, limit=60)
        few = await tape.history("candle:1m", BTC, limit=3)

    assert opened(found) == list(range(40, 100))
    assert opened(few) == [97, 98, 99]
    assert found.more


async def test_a_limit_of_candles_of_several_venues_is_that_of_all_of_them(recording: Recording, valkey: str) -> None:
    """Where it cuts through one moment, venues count in the order of their names, whatever the order on the tape was."""
    for number in range(10):
        for venue in ("okx", "binance", "kraken"):
            await recording.write(CANDLES, candle(number, venue=venue), NOON + (number + 1) * MINUTE)
    await recording.record(CANDLES)

    async with recording.tape(valkey) as tape:
        everything = await tape.history("candle:1m", BTC)
        for limit in range(1, 31):
            assert list(await tape.history("candle:1m", BTC, limit=limit)) == list(everything)[-limit:]


async def test_what_was_fetched_counts_among_the_newest(recording: Recording, valkey: str) -> None:
    """Though the stream alone has more than the limit."""
    for number in range(0, 1_000, 2):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES, 1)
    await recording.fetch(trade(993, received_ts=NOON + 5_000 * SECOND))

    async with recording.tape(valkey) as tape:
        assert ids(await tape.history("trade", BTC, limit=5)) == ["992", "993", "994", "996", "998"]


async def test_a_range_from_before_a_loss_is_complete(recording: Recording, valkey: str) -> None:
    """What was trimmed unread later is missing from later ranges only."""
    for number in range(100):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES, 40)
    await recording.client.xtrim(TRADES, maxlen=15, approximate=False)

    async with recording.tape(valkey) as tape:
        early = await tape.history("trade", BTC, to_ts=NOON + 20 * SECOND)
        over = await tape.history("trade", BTC, from_ts=NOON + 10 * SECOND, to_ts=NOON + 60 * SECOND)
        after = await tape.history("trade", BTC, from_ts=NOON + 90 * SECOND)

    assert (len(early), early.trimmed, early.missed) == (20, False, ())
    assert (len(over), over.trimmed, [one.count for one in over.missed]) == (30, True, [45])
    assert (len(after), after.trimmed, after.missed) == (10, False, ())


@pytest.mark.parametrize("recorded_again", [0, 3, 100])
async def test_ids_that_go_back_hide_nothing(recording: Recording, valkey: str, recorded_again: int) -> None:
    """A server that was emptied, or a replica in its place, whose clock is behind: then new entries have earlier ids than recorded ones."""
    for number in range(20):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES)
    await recording.client.delete(TRADES)
    recording._numbers[TRADES, "kraken"] = 15  # its producer sends again what it is not sure of
    for number in range(15, 30):
        await recording.write(TRADES, trade(number), NOON + (number - 15) * SECOND)
    if recorded_again:
        recording._ids[TRADES] = f"{NOON // 10**6 + 4_999}-0"
        await recording.record(TRADES, recorded_again)

    async with recording.tape(valkey) as tape:
        found = await tape.history("trade", BTC)
        assert ids(found) == [str(number) for number in range(30)]
        assert (found.trimmed, found.missed) == (False, ())


async def test_what_is_recorded_and_trimmed_while_it_is_read_is_found(
    recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream's entries behind the border are gone when they are read, and the store has them by then."""
    for number in range(30):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES, 10)
    read = Newer.read
    reads = 0

    async def meanwhile(*args: Any, **options: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 1:
            await recording.record(TRADES, 15)
            await recording.client.xtrim(TRADES, maxlen=6, approximate=False)
        return await read(*args, **options)

    monkeypatch.setattr(Newer, "read", meanwhile)
    async with recording.tape(valkey) as tape:
        found = await tape.history("trade", BTC)
    assert ids(found) == [str(number) for number in range(30)]
    assert (found.trimmed, found.missed) == (False, ())


async def test_what_the_recorder_missed_is_said(recording: Recording, valkey: str) -> None:
    """By its reports, which are gaps of the history: those of this feed, within the range."""
    for number in range(60):
        await recording.write(TRADES, trade(number), NOON + number * SECOND)
    await recording.record(TRADES, 20)
    await recording.client.xtrim(TRADES, maxlen=20, approximate=False)
    await recording.record(TRADES)
    builder = BatchBuilder("gap")
    times = (NOON + 19 * SECOND, NOON + 40 * SECOND)
    for kind, venue, source in (("trade", "kraken", Source.RECORDER), ("quote", "kraken", Source.RECORDER), ("trade", "okx", Source.TAPE)):
        gap = Gap(venue, BTC, None, NOON + 50 * SECOND, kind, *times, 20, GapCause.BUS, epoch=5, seq=21)
        data = encode(gap)
        builder.add(NOON // 10**6 + 40_000, 0, text_events.decode(data), data, source)
    assert await recording.store.append(builder.build(), {}, after=0) == 1

    async with recording.tape(valkey) as tape:
        found = await tape.history("trade", BTC)
        before = await tape.history("trade", BTC, to_ts=NOON + 15 * SECOND)
        newest = await tape.history("trade", BTC, limit=10)
        of_okx = await tape.history("trade", BTC, venue="okx")

    assert [(one.venue, one.epoch, one.first_missing, one.count) for one in found.missed] == [("kraken", 5, 21, 20)]
    assert (before.missed, newest.missed, of_okx.missed) == ((), (), ())


async def test_a_range_of_candles_that_begins_before_the_first_is_trimmed(recording: Recording, valkey: str) -> None:
    """One that begins with the first, or behind it, is not."""
    for number in range(10):
        await recording.write(CANDLES, candle(number), NOON + (number + 1) * MINUTE)
        await recording.write(CANDLES, candle(number + 1, closed=False), NOON + (number + 1) * MINUTE)
    await recording.record(CANDLES)

    async with recording.tape(valkey) as tape:
        for from_ts, trimmed in ((NOON - 5 * MINUTE, True), (NOON - SECOND, False), (NOON, False), (NOON + 3 * MINUTE, False)):
            assert (await tape.history("candle:1m", BTC, from_ts=from_ts)).trimmed is trimmed


@pytest.mark.parametrize("seed", range(8))
async def test_the_join_is_the_truth_at_any_moment(recording: Recording, valkey: str, seed: int) -> None:
    """Trades of three venues, late ones too, some fetched; recorded and trimmed at random; any range, venue and limit."""
    dice = random.Random(seed)
    truth = []
    for number in range(150):
        late = dice.choice((0, 0, 0, 1, 30, 250)) * SECOND
        one = trade(number, ts=NOON + number * SECOND - late, received_ts=NOON + number * SECOND, venue=dice.choice(("a", "kraken", "okx")))
        if dice.random() < 0.1 and recording.committed.get("trade"):
            await recording.fetch(one)
        else:
            await recording.write(TRADES, one, NOON + number * SECOND)
        if dice.random() < 0.05:
            await recording.record(TRADES, dice.randrange(1, 40))
        if dice.random() < 0.05 and TRADES in recording._ids:
            await recording.client.xtrim(TRADES, minid=recording._ids[TRADES], approximate=False)
        truth.append(one)

    truth.sort(key=lambda one: one.venue_ts or 0)
    async with recording.tape(valkey) as tape:
        for _ in range(6):
            start, end = sorted(dice.sample(range(-300, 160), 2))
            query: dict[str, Any] = {"from_ts": NOON + start * SECOND} if dice.random() < 0.6 else {}
            query |= {"to_ts": NOON + end * SECOND} if dice.random() < 0.6 else {}
            query |= {"venue": dice.choice(("a", "kraken"))} if dice.random() < 0.4 else {}
            wanted = [
                one.venue_ts
                for one in truth
                if query.get("from_ts", 0) <= (one.venue_ts or 0) < query.get("to_ts", 2**63) and query.get("venue", one.venue) == one.venue
            ]
            limit = dice.choice((None, 1, 5, 40, 1_000))
            found = await tape.history("trade", BTC, limit=limit, **query)
            assert [one.venue_ts for one in found] == (wanted if limit is None else wanted[-limit:]), (query, limit)
            assert len(set(ids(found))) == len(found)
            assert found.more is (limit is not None and len(wanted) > limit)
            assert not found.missed


async def test_a_history_of_the_settings_that_cannot_be_opened_hides_no_stream(
    recording: Recording, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without the extra reads the streams, as before the tape was recorded. A history that it names itself is another matter."""
    await recording.write(TRADES, trade(1), NOON)
    monkeypatch.setenv("CROSSTAPE_BUS__URL", valkey)
    monkeypatch.setenv("CROSSTAPE_RECORDER__STORE", str(recording.folder))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else find(name, *rest))

    with structlog.testing.capture_logs() as logs:
        async with Tape() as tape:
            assert ids(await tape.history("trade", BTC)) == ["1"]
    assert [one["event"] for one in logs].count("tape.no_history") == 1
    with pytest.raises(HistoryError, match=r"crosstape\[history\]"):
        async with Tape(valkey, history=str(recording.folder)):
            pass


async def test_an_open_candle_before_the_border_is_there(recording: Recording, valkey: str) -> None:
    """It is not recorded, and in a quiet market its last change is older than the last commit. A closed one comes once."""
    for number, closed in ((0, True), (1, False)):
        for venue in ("kraken", "okx"):
            one = candle(number, venue=venue, closed=closed)
            await recording.write(CANDLES, one, NOON + number * MINUTE)
            await recording.client.hset(KEYS.last("candle:1m", BTC), venue, encode(one))
    await recording.record(CANDLES)

    async with recording.tape(valkey) as tape:
        found = await tape.history("candle:1m", BTC)
        assert [(*opened([one]), one.venue, one.closed) for one in found] == [
            (0, "kraken", True), (0, "okx", True), (1, "kraken", False), (1, "okx", False),
        ]  # fmt: skip
        assert opened(await tape.history("candle:1m", BTC, venue="okx", limit=1)) == [1]
        assert opened(await tape.history("candle:1m", BTC, to_ts=NOON + MINUTE, venue="okx")) == [0]


@pytest.mark.parametrize("seed", range(6))
async def test_candles_are_the_truth_at_any_moment(recording: Recording, valkey: str, seed: int) -> None:
    """Of each the newest revision, whatever was fetched, recorded and trimmed."""
    dice = random.Random(seed)
    best: dict[tuple[int, str], int] = {}
    for step in range(150):
        number, venue = max(0, step // 3 - dice.choice((0, 0, 0, 1, 2, 30))), dice.choice(("kraken", "okx"))
        key = (NOON + number * MINUTE, venue)
        revision = best.get(key, -1) + 1
        one = candle(number, venue=venue, revision=revision)
        if dice.random() < 0.1 and recording.committed.get("candle"):
            await recording.fetch(one)
        else:
            await recording.write(CANDLES, one, NOON + step * 20 * SECOND)
        best[key] = revision
        if dice.random() < 0.07:
            await recording.record(CANDLES, dice.randrange(1, 30))
        if dice.random() < 0.05 and CANDLES in recording._ids:
            await recording.client.xtrim(CANDLES, minid=recording._ids[CANDLES], approximate=False)

    async with recording.tape(valkey) as tape:
        for _ in range(6):
            start, end = sorted(dice.sample(range(-5, 60), 2))
            query: dict[str, Any] = {"from_ts": NOON + start * MINUTE} if dice.random() < 0.6 else {}
            query |= {"to_ts": NOON + end * MINUTE} if dice.random() < 0.6 else {}
            query |= {"venue": "okx"} if dice.random() < 0.4 else {}
            wanted = [
                (*key, revision)
                for key, revision in sorted(best.items())
                if query.get("from_ts", 0) <= key[0] < query.get("to_ts", 2**63) and query.get("venue", key[1]) == key[1]
            ]
            limit = dice.choice((None, 1, 4, 20, 500))
            found = await tape.history("candle:1m", BTC, limit=limit, **query)
            assert [(one.open_ts, one.venue, one.revision) for one in found] == (wanted if limit is None else wanted[-limit:]), (
                query,
                limit,
            )
            assert found.more is (limit is not None and len(wanted) > limit)
