"""Composites on a real server: venues publish, aggregators consolidate, and the composite is computed from what these publish."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.errors import SettingsError
from crosstape.settings import BusSettings
from crosstape.settings.model import CompositeSettings
from crosstape_aggregator.publishing import composite_publisher
from crosstape_aggregator.service import run
from crosstape_schemas import CONSOLIDATED, Cbbo, Depth, Exclusion, Gap, decode
from tests.aggregator.builders import quote
from tests.aggregator.composites.builders import NAME, PAIR, USD, USDT, depth, level, sign
from tests.aggregator.composites.by_text import check_depth, check_quote
from tests.aggregator.running import KEYS, FakeVenue, aggregator, newest, published, settings_for, venue
from tests.waiting import wait_until

COMPOSITES = {NAME: CompositeSettings(parts=(USD, USDT), rate_stale_s=2.5)}


async def wait_for_parts(client: Redis, expected: dict[str, Exclusion | None]) -> Cbbo:
    """Wait for a newest quote of the composite whose parts have these reasons."""
    found: list[Cbbo] = []

    async def there() -> bool:
        quote = await newest(client, NAME)
        found[:] = [] if quote is None else [quote]
        return quote is not None and {part.instrument: part.excluded for part in quote.parts} == expected

    await wait_until(there, what=f"parts {expected}")
    return found[0]


async def say_all(one: FakeVenue) -> None:
    """Quote both parts and the pair; all count then."""
    await one.quote("100", "102", instrument=USD)
    await one.quote("100", "101", instrument=USDT)
    await one.quote("1.000", "1.002", instrument=PAIR)


async def events_of(client: Redis, kind: str, instrument: str) -> list[Any]:
    """Read all events of a stream."""
    entries: Any = await client.xrange(KEYS.stream(kind, instrument))
    return [decode(fields[b"d"]) for _, fields in entries]


async def check_by_text(client: Redis) -> tuple[int, int]:
    """Compute all published composites again from the tape, by the method's text. Returns how many quotes and books there were."""
    tape = {
        (kind, event.instrument, event.epoch, event.seq): event
        for kind in ("cbbo", "depth")
        for name in (USD, USDT, PAIR)
        for event in await events_of(client, kind, name)
    }
    quotes, books = await events_of(client, "cbbo", NAME), await events_of(client, "depth", NAME)
    for event in quotes:
        check_quote(event, lambda *key: tape[key])
    for event in books:
        check_depth(event, lambda *key: tape[key])
    return len(quotes), len(books)


@contextlib.asynccontextmanager
async def other_aggregator(url: str) -> AsyncIterator[Publisher]:
    """Publish as the aggregator of another shard."""
    settings = BusSettings(url=url)
    async with connect(settings) as client:
        yield Publisher(client, KEYS, settings, producer="aggregator.other")


async def test_a_composite_lives_through_late_parts_a_depeg_a_stale_rate_and_a_restart(client: Redis, valkey: str) -> None:
    """Each change is published; each number can be computed again from the tape; the composite's own streams are no input."""
    changed = {"composites": COMPOSITES, "depth_levels": 5, "sweep_sizes": {NAME: (Decimal(2),)}}
    async with venue(valkey, "kraken") as kraken, other_aggregator(valkey) as other:
        await kraken.live_on()
        async with aggregator(valkey, **changed):
            await kraken.quote("100", "102", instrument=USD)
            await wait_for_parts(client, {USD: None, USDT: Exclusion.EMPTY})
            await kraken.quote("100", "101", instrument=USDT)
            await wait_for_parts(client, {USD: None, USDT: Exclusion.RATE})
            await kraken.quote("1.000", "1.002", instrument=PAIR)
            found = await wait_for_parts(client, {USD: None, USDT: None})
            assert (found.bid_price, found.ask_price) == (Decimal("100.1"), Decimal("101.101"))

            async def has_book() -> bool:
                other.publish(msgspec.structs.replace(sign(kind="share.7"), received_ts=time.time_ns()))
                other.publish(depth(USDT, [level("100", kraken="1")], [level("101", kraken="3")]))
                assert await other.drain(10)
                books = await events_of(client, "depth", NAME)
                return any(book.asks == (level("101.101", kraken="3"),) for book in books)

            await wait_until(has_book, what="a merged book")
            await kraken.quote("0.979", "0.981", instrument=PAIR)
            await wait_for_parts(client, {USD: None, USDT: Exclusion.DEPEG})
            await kraken.quote("1.0005", "1.0015", instrument=PAIR)
            await wait_for_parts(client, {USD: None, USDT: None})
            await kraken.say(quote("kraken", "1.001", None, time.time_ns(), instrument=PAIR))
            await wait_for_parts(client, {USD: None, USDT: Exclusion.RATE})
            await say_all(kraken)
            await wait_for_parts(client, {USD: None, USDT: None})
        before = (await published(client, NAME))[-1]
        async with aggregator(valkey, **changed):
            await wait_until(lambda: _has_another_epoch(client, before), what="the quote of the next start")
            await wait_for_parts(client, {USD: None, USDT: None})

        assert {found.method for found in await published(client, NAME)} == {"composite/1"}
        gaps = [gap for gap in await events_of(client, "gap", NAME) if isinstance(gap, Gap)]
        assert [(gap.venue, gap.kind, gap.from_ts) for gap in gaps] == [(CONSOLIDATED, "cbbo", before.ts)]
        assert min(await check_by_text(client)) > 1
        assert {type(event) for event in await events_of(client, "depth", NAME)} == {Depth}


async def _has_another_epoch(client: Redis, before: Cbbo) -> bool:
    found = await newest(client, NAME)
    return found is not None and found.epoch != before.epoch


async def test_a_composite_of_parts_that_other_aggregators_serve(client: Redis, valkey: str) -> None:
    """Two aggregators share the instruments. When that of the parts stops, they count again as soon as the other serves them."""
    changed = {"composites": COMPOSITES, "shares": 2, "lease_s": 0.5}
    async with venue(valkey, "kraken") as kraken, contextlib.AsyncExitStack() as first:
        await kraken.live_on()
        await first.enter_async_context(aggregator(valkey, **changed))
        await wait_until(lambda: client.exists(KEYS.lease("aggregator.0")), what="an aggregator")
        async with aggregator(valkey, **changed):
            await wait_until(lambda: _two_holders(client), what="a shard for each")
            await say_all(kraken)
            before = await wait_for_parts(client, {USD: None, USDT: None})
            assert before.epoch not in {part.epoch for part in before.parts}
            await first.aclose()
            await kraken.quote("100.5", "102", instrument=USD)

            async def moved() -> bool:
                found = await newest(client, NAME)
                return (
                    found is not None
                    and found.bid_price == Decimal("100.5")
                    and not {part.epoch for part in found.parts if part.excluded is None} & {0, before.parts[0].epoch}
                )

            await wait_until(moved, what="the parts from the remaining aggregator")
            await wait_for_parts(client, {USD: None, USDT: None})
    await check_by_text(client)


async def _two_holders(client: Redis) -> bool:
    return len({await client.get(KEYS.lease(f"aggregator.{number}")) for number in (0, 1)} - {None}) == 2


async def test_a_composite_without_parts_is_empty_and_the_log_says_what_is_missing(
    client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each composite. A part that comes later counts."""
    monkeypatch.setattr(composite_publisher, "SETTLED_S", 0.0)
    other = "LTC-USD*"
    missing = {**COMPOSITES, other: CompositeSettings(parts=("LTC-USD", "LTC-USDT"))}
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        with structlog.testing.capture_logs() as logs:
            async with aggregator(valkey, composites=missing):
                await wait_until(lambda: newest(client, other), what="an empty composite")
                await kraken.quote("100", "101", instrument="LTC-USD")
                await wait_until(lambda: _counts(client, other), what="the late part")
    empty = (await published(client, other))[0]
    assert (empty.market, empty.venues, empty.legs, empty.vwap, empty.received_ts) == ("empty", 0, (), {}, empty.ts)
    assert [(part.instrument, part.epoch, part.excluded) for part in empty.parts] == [
        ("LTC-USD", 0, Exclusion.EMPTY),
        ("LTC-USDT", 0, Exclusion.EMPTY),
    ]
    check_quote(empty, lambda *_: None)
    told = {one["composite"]: set(one["instruments"]) for one in logs if one["event"] == "composites.not_on_the_tape"}
    assert told == {NAME: {USD, USDT, PAIR}, other: {"LTC-USD", "LTC-USDT", PAIR}}
    assert sum(one["event"] == "composites.not_on_the_tape" for one in logs) == len(missing)


async def _counts(client: Redis, name: str) -> bool:
    found = await newest(client, name)
    return found is not None and found.venues > 0


async def test_a_wrong_composite_stops_the_start(valkey: str) -> None:
    """Before anything is published."""
    with pytest.raises(SettingsError, match=r'aggregator.composites."BTC-USD\*".parts: "ETH-USD"'):
        await run(settings_for(valkey, composites={NAME: CompositeSettings(parts=("ETH-USD",))}))
