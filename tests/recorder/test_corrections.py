"""Bars that a recorder publishes beside an aggregator: nothing that reads the tape takes them for anything else than what they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from typing import Final

from redis.asyncio import Redis

from crosstape import Tape
from crosstape.bus import Publisher, Reader, Start, connect
from crosstape.bus.read.continuity import Continuity
from crosstape.settings import AggregatorSettings, BusSettings
from crosstape.tape.numbering import BackwardNumbering
from crosstape_aggregator.bars.instrument_bars import InstrumentBars
from crosstape_aggregator.bars.rules import BarRules
from crosstape_aggregator.bars.state import BarCounts
from crosstape_schemas import CONSOLIDATED, Bar, Trade, stamp
from tests.aggregator.bars.test_definition import Feeds
from tests.bus.tape import BTC, KEYS, Gaps, command, fast, on_tape, publishing, read_until
from tests.gateway.rest.served import serving

M: Final = 60 * 10**9
T0: Final = 1_786_000_020 * 10**9
BARS: Final = KEYS.stream("bar:1m", BTC)


def bar(minute: int, trades: int, *, venue: str = CONSOLIDATED, closed: bool = True, revision: int = 0) -> Bar:
    """Make a bar."""
    open_ts, price = T0 + minute * M, Decimal(100 + minute)
    return Bar(
        venue, BTC, None, open_ts + M - 1, "1m", open_ts, open_ts + M, price, price, price, price, Decimal(trades), price * trades, trades,
        None, closed, revision,
    )  # fmt: skip


@asynccontextmanager
async def correcting(settings: BusSettings) -> AsyncIterator[Publisher]:
    """A recorder's publisher."""
    async with connect(settings) as client, asyncio.TaskGroup() as group:
        publisher = Publisher(client, KEYS, settings, producer="recorder", corrects=True)
        task = group.create_task(publisher.run())
        try:
            yield publisher
        finally:
            publisher.close()
            task.cancel()


async def test_the_last_value_stays_and_no_reader_misses_or_repeats_anything(client: Redis, valkey: str) -> None:
    """The aggregator writes before, between and after. A reader that starts in between knows both numberings."""
    settings, gaps = fast(valkey), Gaps()
    async with publishing(settings, producer="aggregator") as aggregator:
        aggregator.publish_all([bar(50, 1, closed=False), bar(50, 2), bar(51, 1, closed=False)])
        assert await aggregator.drain(5)
        async with correcting(settings) as recorder, connect(settings) as own, connect(settings) as other:
            recorder.publish_all([bar(3, 9, revision=1), bar(4, 9, revision=1)])
            assert await recorder.drain(5)
            async with (
                Reader(own, KEYS, streams=[BARS], start=Start.LAST_THEN_NOW, on_gap=gaps) as from_now,
                Reader(other, KEYS, streams=[BARS], start=Start.BEGINNING, on_gap=gaps) as from_first,
            ):
                first = await read_until(from_now, 2)
                aggregator.publish(bar(51, 5))
                assert await aggregator.drain(5)
                recorder.publish(bar(5, 9, revision=1))
                assert await recorder.drain(5)
                aggregator.publish(bar(52, 1, closed=False))
                assert await aggregator.drain(5)
                then = await read_until(from_now, 3)
                every = await read_until(from_first, 8)
        value = await client.hget(KEYS.last("bar:1m", BTC), CONSOLIDATED)
    async with Tape(settings.url) as tape:
        newest = await tape.last("bar:1m", BTC)
        history = await tape.history("bar:1m", BTC)

    assert gaps.missed == []
    assert opens(first) == [4, 51]
    assert opens(then) == [51, 5, 52]
    assert opens(every) == [50, 50, 51, 3, 4, 51, 5, 52]
    assert isinstance(value, bytes)
    assert b'"open_ts":%d' % (T0 + 52 * M) in value
    assert opens(list(newest.values())) == [52]
    assert history.missed == ()
    assert opens(list(history)) == [3, 4, 5, 50, 51, 52]


async def test_the_gateway_does_not_answer_with_a_correction_as_the_newest_bar(client: Redis, valkey: str) -> None:
    """It knows the field by its end."""
    settings = fast(valkey)
    async with publishing(settings, producer="aggregator") as aggregator, correcting(settings) as recorder:
        aggregator.publish(bar(50, 2))
        assert await aggregator.drain(5)
        recorder.publish(bar(3, 9, revision=1))
        assert await recorder.drain(5)
    assert len(await command(client, "HKEYS", KEYS.last("bar:1m", BTC))) == 2
    async with serving(valkey) as gateway:
        (row,) = await gateway.rows("/api/last", "events", topics="bar:1m:BTC-USDT")

    assert row["open_ts"] == T0 + 50 * M


async def test_an_aggregator_finds_its_own_last_entry_after_a_correction(client: Redis, valkey: str) -> None:
    """A server that lost the cursor alone gets nothing of an aggregator, or of a recorder, a second time."""
    settings = fast(valkey)
    async with publishing(settings, producer="aggregator") as aggregator, correcting(settings) as recorder:
        for publisher, events in ((aggregator, [bar(50, 2), bar(49, 2, revision=1)]), (recorder, [bar(3, 9, revision=1)])):
            publisher.publish_all(events)
            assert await publisher.drain(5)
        await client.delete(KEYS.cursor("aggregator"), KEYS.cursor("recorder"))
        for publisher, event in ((aggregator, bar(51, 1)), (recorder, bar(4, 1, revision=1))):
            publisher.publish(event)
            assert await publisher.drain(5)

    assert opens(await on_tape(client, BARS)) == [50, 49, 3, 51, 4]


def test_a_second_producer_is_no_new_start() -> None:
    """Read forwards from an id of which no number is known, or backwards from the end: nothing is missing before its first bar."""
    events = [stamped(bar(50, 1), 5, 8), stamped(bar(3, 1, revision=1), 9, 4), stamped(bar(51, 1), 5, 9)]
    forwards, backwards = Continuity(BARS, from_first=False), BackwardNumbering(BARS)

    assert [forwards.check(one) for one in events] == [True, True, True]
    assert [backwards.check(one) for one in reversed(events)] == [True, True, True]
    assert list(backwards.missed()) == []


def test_an_aggregator_that_starts_leaves_corrected_bars_of_its_history_alone() -> None:
    """It does not know their trades: what it would say of an interval without trades is wrong."""
    rules = BarRules.of(AggregatorSettings(bars=("1m",)))
    feeds = Feeds()
    now = T0 + 300 * M
    feeds.confirmed_ts = now
    bars = InstrumentBars(BTC, rules, feeds, BarCounts(), lambda *_: None)
    bars.held = True
    for minute in (2, 298):
        price = Decimal(minute)
        bars.trade(Trade("kraken", BTC, T0 + minute * M, T0 + minute * M, price, price, None, str(minute), epoch=1, seq=2 + minute), now)
    for venue in ("kraken", CONSOLIDATED):
        flat = bar(3, 0, venue=venue, revision=4)
        bars.published(flat)
        bars.published(bar(1, 7, venue=venue, revision=1))
    bars.release({}, now - rules.history_ns)

    published = bars.due(now)

    assert {(one.open_ts - T0) // M for one in published if one.trades} >= {298}
    assert all(one.open_ts >= now - rules.history_ns - M for one in published)
    assert all(one.open_ts <= other.open_ts for one, other in pairwise(published))


def opens(events: Iterable[object]) -> list[int]:
    """Returns the minutes of bars, in their order."""
    return [(one.open_ts - T0) // M for one in events if isinstance(one, Bar)]


def stamped(event: Bar, epoch: int, seq: int) -> Bar:
    """Number an event."""
    stamp(event, epoch, seq)
    return event
