"""The past, as far as the streams have it: complete, in order, and honest about what is not there any more."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import polars as pl
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape import BusError, FrameError, Missed, Trade, UnknownName
from crosstape.bus.client.call import execute_raw
from crosstape.tape import history
from crosstape_schemas import VENUE_WIDE, Event, FeedState, Gap, GapCause
from tests.bus.tape import BTC, KEYS, MINUTE_NS, TRADES, numbers, stamped, status, trade, whole
from tests.tape.reading import bar, taping

BARS = KEYS.stream("bar:1m", BTC)
START_TS = 1_800_000_000_000_000_000


def at(ts: int, number: int, venue: str = "binance") -> Trade:
    """A trade that was received at this time."""
    return Trade(venue, BTC, None, ts, trade(number).price, trade(number).size, None, str(number))


async def add(client: Redis, stream: str, event: Event, seq: int, ts: int | None = None) -> None:
    """An entry that came onto the tape at `ts`, or when it was received."""
    ms = (event.received_ts if ts is None else ts) // 1_000_000
    await client.xadd(stream, {"d": stamped(event, 5, seq)}, id=f"{ms}-*")
    await client.sadd(KEYS.registry(), stream)


@pytest.fixture
async def trades(client: Redis) -> list[Trade]:
    """5,000 trades, one a second, from `START_TS` on, by turns of two venues."""
    events = [at(START_TS + n * 1_000_000_000, n // 2 + 1, ("binance", "kraken")[n % 2]) for n in range(5_000)]
    async with client.pipeline() as pipe:
        for event in events:
            seq = int(event.trade_id)
            pipe.xadd(TRADES, {"d": stamped(event, 5, seq)}, id=f"{event.received_ts // 1_000_000}-*")
        pipe.sadd(KEYS.registry(), TRADES)
        await pipe.execute()
    return events


async def test_all_that_there_is(trades: list[Trade], valkey: str) -> None:
    """Oldest first, each once, over many pages."""
    async with taping(valkey) as tape:
        found = await tape.history("trade", BTC)
        assert found == trades
        assert (found.trimmed, found.more, found.missed) == (False, False, ())
        assert numbers([*await tape.history("trade", BTC, venue="kraken")]) == whole(2_500)


async def test_what_was_received_in_a_range(trades: list[Trade], valkey: str) -> None:
    """From `from_ts` on and before `to_ts`, in ns or as datetimes: two ranges side by side have everything once."""
    cuts = [None, START_TS + 1_000_000_000_000, START_TS + 2_000_000_000_001, START_TS + 4_000_500_000_000, None]
    async with taping(valkey) as tape:
        found: list[Trade] = []
        for begin, end in itertools.pairwise(cuts):
            part = await tape.history("trade", BTC, from_ts=begin, to_ts=end)
            assert all((begin or 0) <= one.received_ts < (end or 2 * START_TS) for one in part)
            found += part
        assert found == trades
        moment = dt.datetime.fromtimestamp(START_TS // 10**9, dt.UTC)
        part = await tape.history("trade", BTC, from_ts=moment + dt.timedelta(seconds=10), to_ts=moment + dt.timedelta(seconds=20))
        assert part == trades[10:20]


async def test_the_limit_leaves_the_newest(trades: list[Trade], valkey: str) -> None:
    """And says that there are more."""
    async with taping(valkey) as tape:
        found = await tape.history("trade", BTC, limit=7)
        assert found == trades[-7:]
        assert (found.more, found.trimmed) == (True, False)
        found = await tape.history("trade", BTC, from_ts=START_TS, to_ts=START_TS + 3_000_000_000, limit=3)
        assert found == trades[:3]
        assert not found.more
        found = await tape.history("trade", BTC, venue="kraken", limit=2_000)
        assert found == trades[1::2][-2_000:]
        assert "more=True" in repr(found)


async def test_an_event_that_came_late_is_found_by_when_it_was_received(client: Redis, valkey: str) -> None:
    """A connector's events of an outage come onto the tape after it."""
    async with taping(valkey) as tape:
        await add(client, TRADES, at(START_TS, 1), 1, ts=START_TS + 60_000_000_000)
        found = await tape.history("trade", BTC, from_ts=START_TS - 1, to_ts=START_TS + 1)
        assert numbers([*found]) == [1]


async def test_what_was_trimmed_is_said(trades: list[Trade], client: Redis, valkey: str) -> None:
    """If it belongs to what was asked for."""
    await client.xtrim(TRADES, maxlen=1_000, approximate=False)
    first_ts = START_TS + 4_000 * 1_000_000_000
    async with taping(valkey) as tape:
        found = await tape.history("trade", BTC)
        assert found == trades[-1_000:]
        assert found.trimmed
        assert (await tape.history("trade", BTC, from_ts=first_ts - 1_000_000_000)).trimmed
        assert not (await tape.history("trade", BTC, from_ts=first_ts)).trimmed
        assert not (await tape.history("trade", BTC, limit=10)).trimmed
        await client.xtrim(TRADES, maxlen=0, approximate=False)
        found = await tape.history("trade", BTC)
        assert found == []
        assert found.trimmed


async def test_a_server_that_loses_its_data_meanwhile(
    trades: list[Trade], client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is returned, and that there was more is said. So it is when older entries are trimmed meanwhile."""
    losses: list[Callable[[], Awaitable[object]]] = [client.flushall, lambda: client.xtrim(TRADES, maxlen=3_000, approximate=False)]

    async def lossy(*args: Any, **options: Any) -> Any:
        page = await execute_raw(*args, **options)
        if lose:
            await lose.pop()()
        return page

    monkeypatch.setattr(history, "execute_raw", lossy)
    async with taping(valkey) as tape:
        lose = losses[1:]
        found = await tape.history("trade", BTC)
        assert (found, found.trimmed) == (trades[-3_000:], True)
        lose = losses[:1]
        found = await tape.history("trade", BTC, from_ts=START_TS)
        assert (found, found.trimmed) == (trades[-1_000:], True)


async def test_what_is_missing_in_between_is_said(client: Redis, valkey: str) -> None:
    """By the numbers, and only of the venue that was asked for. What was written twice is returned once."""
    async with taping(valkey) as tape:
        for second, (venue, seq) in enumerate(
            [("binance", 1), ("kraken", 4), ("binance", 2), ("binance", 2), ("binance", 5), ("kraken", 9)]
        ):
            await add(client, TRADES, at(START_TS + second * 10**9, seq, venue), seq)
        found = await tape.history("trade", BTC)
        assert sorted(found.missed, key=lambda one: one.venue) == [Missed(TRADES, "binance", 5, 3, 2), Missed(TRADES, "kraken", 5, 5, 4)]
        assert [one.seq for one in found] == [1, 4, 2, 5, 9]
        assert (await tape.history("trade", BTC, venue="kraken")).missed == (Missed(TRADES, "kraken", 5, 5, 4),)
        assert (await tape.history("trade", BTC, to_ts=START_TS + 10**9 + 1)).missed == (Missed(TRADES, "kraken", 5, 5, 4),)
        assert (await tape.history("trade", BTC, to_ts=START_TS + 1)).missed == ()
        assert (await tape.history("trade", BTC, from_ts=START_TS + 5 * 10**9)).missed == (Missed(TRADES, "kraken", 5, 5, 4),)
        assert (await tape.history("trade", BTC, limit=1)).missed == ()


async def test_of_bars_the_newest_revision(client: Redis, valkey: str) -> None:
    """Sorted by their `open_ts`, also where a revision came behind later bars."""
    async with taping(valkey) as tape:
        rows = [
            bar(0, ts=START_TS), bar(0, ts=START_TS, closed=True), bar(1, ts=START_TS), bar(1, ts=START_TS, closed=True),
            bar(0, ts=START_TS, closed=True, revision=1, trades=7), bar(2, ts=START_TS), bar(0, ts=START_TS, venue="kraken", closed=True),
        ]  # fmt: skip
        for seq, one in enumerate(rows, 1):
            await add(client, BARS, one, seq, ts=START_TS + seq * 10**10)
        found = await tape.history("bar:1m", BTC, venue="consolidated")
        assert [(one.open_ts, one.revision, one.trades, one.closed) for one in found] == [
            (START_TS, 1, 7, True),
            (START_TS + MINUTE_NS, 0, 1, True),
            (START_TS + 2 * MINUTE_NS, 0, 1, False),
        ]
        assert [(one.venue, one.open_ts) for one in await tape.history("bar:1m", BTC, to_ts=START_TS + 1)] == [
            ("consolidated", START_TS),
            ("kraken", START_TS),
        ]
        found = await tape.history("bar:1m", BTC, venue="consolidated", limit=2)
        assert [one.open_ts for one in found] == [START_TS + MINUTE_NS, START_TS + 2 * MINUTE_NS]
        assert found.more


async def test_the_newest_bars_are_found_without_reading_all(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends at the time at which the oldest of them opened; a late revision of an older bar does not displace one."""
    monkeypatch.setattr(history, "PAGE", 10)
    async with taping(valkey) as tape:
        for minute in range(100):
            await add(client, BARS, bar(minute, ts=START_TS, closed=True), minute + 1, ts=START_TS + (minute + 1) * MINUTE_NS)
        await add(client, BARS, bar(3, ts=START_TS, closed=True, revision=1), 101, ts=START_TS + 101 * MINUTE_NS)
        before = (await client.info("commandstats"))["cmdstat_xrevrange"]["calls"]
        found = await tape.history("bar:1m", BTC, limit=20)
        calls = (await client.info("commandstats"))["cmdstat_xrevrange"]["calls"] - before
        assert [one.open_ts for one in found] == [START_TS + minute * MINUTE_NS for minute in range(80, 100)]
        assert found.more
        assert not found.trimmed
        assert calls <= 4


async def test_a_venue_s_own_statuses(client: Redis, valkey: str) -> None:
    """They are of the instrument `*`, and of one venue at a time."""
    async with taping(valkey) as tape:
        one, two = status(VENUE_WIDE, instrument=VENUE_WIDE), status(VENUE_WIDE, FeedState.DOWN, VENUE_WIDE)
        gap = Gap("binance", VENUE_WIDE, None, 1, VENUE_WIDE, 1, 2, None, GapCause.DISCONNECT)
        for seq, event in enumerate((one, gap, two), 1):
            await client.xadd(KEYS.venue("binance"), {"d": stamped(event, 5, seq)})
        found = await tape.history("status", "*", venue="binance")
        assert found == [one, two]
        assert found.missed == ()
        assert await tape.history("gap", "*", venue="binance") == [gap]
        for kind in ("status", "trade"):
            with pytest.raises(ValueError, match="one instrument"):
                await tape.history(kind, "*")


async def test_what_is_no_event_of_ours_is_left_out_and_logged(trades: list[Trade], client: Redis, valkey: str) -> None:
    """Once, with how many there are."""
    await client.xadd(TRADES, {"d": "nonsense"})
    await client.xadd(TRADES, {"x": "1", "y": "2"})
    async with taping(valkey) as tape:
        with capture_logs() as logs:
            assert await tape.history("trade", BTC, limit=10) == trades[-10:]
    assert [(log["event"], log["entries"]) for log in logs] == [("tape.foreign", 2)]


async def test_a_wrong_range_or_name_is_refused(trades: list[Trade], client: Redis, valkey: str) -> None:
    """With what is right."""
    async with taping(valkey) as tape:
        with pytest.raises(ValueError, match="in ns since the epoch"):
            await tape.history("trade", BTC, from_ts=int(time.time() * 1_000))
        with pytest.raises(ValueError, match="is not before"):
            await tape.history("trade", BTC, from_ts=START_TS, to_ts=START_TS)
        with pytest.raises(ValueError, match="at least 1"):
            await tape.history("trade", BTC, limit=0)
        with pytest.raises(ValueError, match="time zone"):
            await tape.history("trade", BTC, from_ts=dt.datetime(2026, 1, 1))  # noqa: DTZ001
        with pytest.raises(TypeError, match="from_ts is ns"):
            await tape.history("trade", BTC, from_ts=1.5)  # type: ignore[arg-type]
        with pytest.raises(UnknownName, match=f"did you mean '{BTC}'"):
            await tape.history("trade", "btc-usdt")
        assert await tape.history("quote", BTC) == []
        await client.set(KEYS.stream("quote", BTC), "no stream")
        with pytest.raises(BusError, match="no stream"):
            await tape.history("quote", BTC)


async def test_a_server_that_is_away_is_said(valkey: str) -> None:
    """One question is asked once: the caller decides whether to ask again."""
    async with taping("unix:///nowhere/valkey.sock") as tape:
        for question in (tape.history("trade", BTC), tape.last("trade", BTC), tape.instruments(), tape.frame("trade", BTC)):
            with pytest.raises(BusError, match="cannot be asked"):
                await question


async def test_a_frame_of_the_past(trades: list[Trade], valkey: str) -> None:
    """A row for each event, with exact decimals; the columns are there without events, too."""
    async with taping(valkey) as tape:
        frame = await tape.frame("trade", BTC, from_ts=START_TS, to_ts=START_TS + 10 * 10**9)
        assert isinstance(frame, pl.DataFrame)
        assert frame["price"].to_list() == [one.price for one in trades[:10]]
        empty = await tape.frame("trade", BTC, venue="nobody", library="pandas", decimals="float")
        assert list(empty.columns) == frame.columns
        assert len(empty) == 0


async def test_a_frame_that_cannot_be_made_is_refused_before_the_past_is_read() -> None:
    """That may take seconds; here there is no server at all."""
    async with taping("unix:///nowhere/valkey.sock") as tape:
        with pytest.raises(FrameError, match="polars"):
            await tape.frame("trade", BTC, library="polar")  # type: ignore[arg-type]
        with pytest.raises(BusError):
            await tape.frame("trade", BTC)
