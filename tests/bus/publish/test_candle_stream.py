"""Candles on the bus: a stream for each timeframe, the newest candle as last value, and closed candles kept as trades are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from crosstape.bus import Publisher, Reader, Start, connect
from crosstape.bus.metrics.prometheus import PrometheusPublisherMetrics
from crosstape.bus.publish.candle_stream import CandleStream
from crosstape.bus.publish.stream import Queue
from crosstape.settings import BusSettings, MaxLen
from crosstape_schemas import Candle, Event, Gap, GapCause, Liquidation, Mark, decode, encode
from tests.bus.spool.spooling import away, spooled
from tests.bus.tape import (
    BTC,
    CANDLES,
    GAPS,
    KEYS,
    Counts,
    Gaps,
    candle,
    fast,
    numbers,
    on_tape,
    publishing,
    read_until,
    stamped,
    trade,
    whole,
)
from tests.engines import StartServer
from tests.proxy import proxy

LAST = KEYS.last("candle:1m", BTC)


def seen(events: Sequence[Event]) -> list[tuple[int, int, bool]]:
    """Returns the minute, the close and whether it is closed, of each candle."""
    return [(one.open_ts // 60_000_000_000, int(one.close), one.closed) for one in events if isinstance(one, Candle)]


async def last(client: Redis, field: str = "binance") -> Candle | None:
    """Returns the candle in a field of the hash of last values."""
    value = await client.hget(LAST, field)
    event = decode(value) if isinstance(value, bytes) else None
    assert event is None or isinstance(event, Candle)
    return event


async def test_each_timeframe_has_a_stream_of_its_own(client: Redis, valkey: str) -> None:
    """It is numbered alone, announced on its channel, kept as last value, and listed in the registry."""
    other = KEYS.stream("candle:5m", BTC)
    async with client.pubsub() as pubsub, publishing(fast(valkey)) as publisher:
        await pubsub.subscribe(CANDLES)
        assert await pubsub.get_message(timeout=5)
        publisher.publish_all([candle(1), trade(1), candle(1, timeframe="5m"), candle(1, 2), candle(2, 3)])
        assert await publisher.drain(5)
        heard = await pubsub.get_message(timeout=5)
        before = await publisher.last("candle:1m", [BTC], "binance")

    assert (CANDLES, other) == ("tape:candle:1m:BTC-USDT", "tape:candle:5m:BTC-USDT")
    assert numbers(await on_tape(client, CANDLES)) == [1, 2, 3]
    assert numbers(await on_tape(client, other)) == [1]
    assert heard is not None
    assert isinstance(decode(heard["data"]), Candle)
    newest = await last(client)
    assert newest is not None
    assert (newest.open_ts, before) == (2 * 60_000_000_000, {BTC: newest})
    assert await client.smembers(KEYS.registry()) >= {CANDLES.encode(), other.encode()}


async def test_a_reader_checks_the_numbers_of_candles(client: Redis, valkey: str) -> None:
    """It begins with the last value, and finds what is missing on one timeframe."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([candle(1), candle(2), candle(2, timeframe="5m")])
        assert await publisher.drain(5)
        gaps = Gaps()
        streams = [CANDLES, KEYS.stream("candle:5m", BTC)]
        async with connect(fast(valkey)) as own, Reader(own, KEYS, streams=streams, start=Start.LAST_THEN_NOW, on_gap=gaps) as reader:
            first = await read_until(reader, 2)
            await client.xadd(CANDLES, {"d": stamped(candle(3), publisher.epoch, 5)})
            (then,) = await read_until(reader, 1)

    assert sorted((one.timeframe, one.seq) for one in first if isinstance(one, Candle)) == [("1m", 2), ("5m", 1)]
    assert then.seq == 5
    assert [(missed.stream, missed.first_missing, missed.count) for missed in gaps.missed] == [(CANDLES, 3, 2)]


async def test_a_candle_of_before_does_not_pass_for_the_newest(client: Redis, valkey: str) -> None:
    """A revision, or a closed candle out of the spool, comes after a later candle: the last value stays. A reader gets the newest last."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([candle(5, 1), candle(4, 2, closed=True, revision=1)])
        assert await publisher.drain(5)
        publisher.publish(candle(3, 3, closed=True, revision=1))
        assert await publisher.drain(5)
        async with connect(fast(valkey)) as own, Reader(own, KEYS, streams=[CANDLES], start=Start.LAST_THEN_NOW) as reader:
            first = await read_until(reader, 2)
        newest, late = await last(client), await last(client, "binance:late")
        publisher.publish(candle(5, 4))
        assert await publisher.drain(5)
        changed = await last(client)

    assert newest is not None
    assert late is not None
    assert changed is not None
    assert seen([newest, late, changed]) == [(5, 1, False), (3, 3, True), (5, 4, False)]
    assert seen(first) == [(3, 3, True), (5, 1, False)]


async def test_without_room_open_candles_conflate_and_closed_ones_do_not(client: Redis, valkey: str) -> None:
    """As quotes and trades: the newest open candle is there, and closed ones are dropped only beyond the bound, and reported."""
    counts = Counts()
    async with connect(fast(valkey)) as shared:
        publisher = Publisher(shared, KEYS, fast(valkey, pending=100), producer="connector.binance", metrics=counts)
        for minute in range(1, 201):
            publisher.publish_all([candle(minute, 2 * minute), candle(minute, 2 * minute + 1, closed=True)])
        publisher.publish(candle(201, 500))
        assert publisher.pending <= 101
        assert await publisher.drain(5)

    candles = await on_tape(client, CANDLES)
    closed = [minute for minute, _, is_closed in seen(candles) if is_closed]
    gaps = [gap for gap in await on_tape(client, GAPS) if isinstance(gap, Gap)]
    assert numbers(candles) == whole(len(candles))
    assert closed == whole(len(closed))
    assert len(closed) >= 98
    assert seen(candles)[-1] == (201, 500, False)
    assert [(gap.kind, gap.cause, gap.missed) for gap in gaps] == [("candle:1m", GapCause.OVERFLOW, 200 - len(closed))]
    assert counts.of["dropped candle:1m overflow"] == 200 - len(closed)


async def test_closed_candles_and_liquidations_go_to_the_spool(client: Redis, valkey: str, tmp_path: Path) -> None:
    """The server is away for longer than the memory lasts: each of them is on the tape, of open candles and marks the newest."""
    async with proxy(valkey) as net, publishing(fast(net.url, pending=50, batch=20), spool=tmp_path) as publisher:
        away(net)
        for minute in range(1, 301):
            publisher.publish_all([candle(minute, minute), candle(minute, minute, closed=True)])
            publisher.publish(Mark("binance", BTC, None, minute, trade(minute).price, None))
            publisher.publish(Liquidation("binance", BTC, None, minute, None, trade(minute).price, trade(minute).size))
        publisher.publish(candle(301, 500))
        await spooled(publisher)
        left = publisher.unpublished
        net.refusing = False
        assert await publisher.drain(20)

    candles, marks = await on_tape(client, CANDLES), await on_tape(client, KEYS.stream("mark", BTC))
    assert [minute for minute, _, is_closed in seen(candles) if is_closed] == whole(300)
    assert [one.received_ts for one in await on_tape(client, KEYS.stream("liquidation", BTC))] == whole(300)
    assert numbers(candles) == whole(len(candles))
    assert len(candles) < 450
    assert (301, 500, False) in seen(candles)
    assert marks[-1].received_ts == 300
    assert len(marks) < 150
    assert left.lossless == 600
    newest = await last(client)
    assert newest is not None
    assert newest.open_ts == 301 * 60_000_000_000, "what comes out of the spool later is older"


async def test_a_server_that_lost_its_candles_gets_the_newest_open_one(start_server: StartServer) -> None:
    """It is a state. A closed candle that was lost is in the gap, and is not written twice."""
    server = await start_server()
    async with publishing(fast(server.url, retransmit_s=0.0)) as publisher:
        publisher.publish_all([candle(1, 1, closed=True), candle(2, 2), candle(1, 3, closed=True, timeframe="5m")])
        assert await publisher.drain(5)
        await server.kill()
        publisher.publish(trade(1))
        await server.start()
        assert await publisher.drain(10)
        async with Redis.from_url(server.url) as client:
            candles, closed = await on_tape(client, CANDLES), await on_tape(client, KEYS.stream("candle:5m", BTC))
            gaps = [gap for gap in await on_tape(client, GAPS) if isinstance(gap, Gap)]

    assert seen(candles) == [(2, 2, False)]
    assert closed == []
    assert sorted((gap.kind, gap.missed) for gap in gaps) == [("candle:1m", 2), ("candle:5m", 1)]


async def test_the_streams_of_new_kinds_are_trimmed(client: Redis, valkey: str) -> None:
    """Each kind has its own length; the timeframes of candles share one setting."""
    lengths = MaxLen(candle=100, liquidation=200)
    async with publishing(fast(valkey, max_len=lengths)) as publisher:
        publisher.publish_all(candle(minute) for minute in range(1, 2_001))
        publisher.publish_all(candle(minute, timeframe="1h") for minute in range(1, 2_001))
        publisher.publish_all(Mark("binance", BTC, None, number, trade(1).price, None) for number in range(1, 1_001))
        assert await publisher.drain(5)
    assert 100 <= await client.xlen(CANDLES) < 400
    assert 100 <= await client.xlen(KEYS.stream("candle:1h", BTC)) < 400
    assert await client.xlen(KEYS.stream("mark", BTC)) == 1_000


def test_metrics_count_candles_of_all_timeframes_as_one_kind() -> None:
    """A label for each timeframe would begin with its first loss, which no rate shows."""
    registry = CollectorRegistry()
    metrics = PrometheusPublisherMetrics(registry)
    name, labels = "crosstape_bus_dropped_total", {"kind": "candle", "cause": "overflow"}
    assert registry.get_sample_value(name, labels) == 0
    metrics.dropped("candle:1m", 2, "overflow")
    metrics.dropped("candle:1h", 1, "overflow")
    metrics.conflated("candle:1m", 4)

    assert registry.get_sample_value(name, labels) == 3
    assert registry.get_sample_value("crosstape_bus_conflated_total", {"kind": "candle"}) == 4


candles = st.builds(candle, st.integers(1, 5), st.integers(1, 99), closed=st.booleans(), revision=st.integers(0, 3))


def stream() -> CandleStream:
    """Returns an empty stream of candles."""
    return CandleStream(candle(1), KEYS, BusSettings().max_len.candle, Queue())


@given(st.lists(candles))
def test_conflation_keeps_all_closed_candles_and_the_newest_open_one(pending: list[Candle]) -> None:
    """In their order, whatever came; what is removed is counted."""
    one = stream()
    one.pending = list(pending)
    removed = one.conflate()

    opened = [event for event in pending if not event.closed]
    kept = [event for event in pending if event.closed or event is opened[-1]]
    assert one.pending == kept
    assert removed == len(pending) - len(kept)


@given(st.lists(candles, max_size=30))
def test_the_spool_gets_closed_candles_alone(pending: list[Candle]) -> None:
    """Open ones stay in memory. A batch in flight is divided in the same way."""
    one = stream()
    one.pending = list(pending)
    closed = [event for event in pending if event.closed]

    assert one.lossless([encode(event) for event in pending]) == [encode(event) for event in closed]
    assert one.remove_lossless() == closed
    assert one.pending == [event for event in pending if not event.closed]


@given(st.lists(st.lists(candles, min_size=1, max_size=6), max_size=6))
def test_the_last_value_is_the_candle_that_opened_last(chunks: list[list[Candle]]) -> None:
    """However candles are divided into batches: at the same opening the newest. The last entry on the stream is always in the hash, too."""
    one, fields = stream(), dict[bytes, Candle]()
    for chunk in chunks:
        pairs = one.last_pairs(list(chunk))
        fields |= {field: chunk[int(at) - 1] for field, at in zip(pairs[::2], pairs[1::2], strict=True)}
        assert chunk[-1] in [fields.get(b"binance"), fields.get(b"binance:late")]

    every = [event for chunk in chunks for event in chunk]
    if every:
        newest = max(event.open_ts for event in every)
        expected = [event for event in every if event.open_ts == newest][-1]
        assert fields[b"binance"] == expected
        assert one.newest == ({} if expected.closed else {b"binance": expected})
