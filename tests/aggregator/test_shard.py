"""The aggregator as a process, between real publishers and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal, localcontext

import msgspec
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.errors import SettingsError
from crosstape_aggregator import shard
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.recovery import catch_up
from crosstape_aggregator.service import run
from crosstape_aggregator.shard import ShardAggregator
from crosstape_schemas import CONSOLIDATED, Candle, Exclusion, FeedState, Liquidation, Mark, Market, decode, encode
from tests.aggregator.builders import S, X, book, gap, quote, status, trade
from tests.aggregator.running import KEYS, aggregator, newest, published, settings_for, venue, wait_for_legs
from tests.proxy import proxy
from tests.waiting import wait_until

ETH = "ETH-USDT"
PERPETUAL = "BTC-USD-PERP"


async def test_three_venues_become_one_quote_on_the_bus(client: Redis, valkey: str) -> None:
    """The quote is on the stream, on the channel and in the last values, numbered by the shard's producer."""
    async with (
        client.pubsub() as pubsub,
        venue(valkey, "binance") as binance,
        venue(valkey, "kraken") as kraken,
        venue(valkey, "coinbase") as coinbase,
    ):
        await pubsub.subscribe(KEYS.stream("cbbo", X))
        assert await pubsub.get_message(timeout=5)
        for one in (binance, kraken, coinbase):
            await one.live_on()
        await binance.quote("100.1", "100.3", sizes=("2", "1"))
        async with aggregator(valkey):
            await wait_for_legs(client, {"binance": None})
            await kraken.quote("100.1", "100.2", sizes=("0.5", "3"))
            await coinbase.quote("100.0", "100.4")
            await binance.say(trade("binance", "100.2", "4", time.time_ns()))
            await wait_for_legs(client, {"binance": None, "coinbase": None, "kraken": None})

            async def traded() -> bool:
                found = await newest(client)
                return found is not None and found.vwap["1m"].trades == 1

            await wait_until(traded, what="the trade in the window")
        message = await pubsub.get_message(timeout=5)

    found = await newest(client)
    assert found is not None
    assert (found.venue, found.instrument, found.market, found.venues) == (CONSOLIDATED, X, Market.NORMAL, 3)
    assert (found.bid_price, found.bid_size, found.bid_venues) == (Decimal("100.1"), Decimal("2.5"), ("binance", "kraken"))
    assert (found.ask_price, found.ask_size, found.ask_venues) == (Decimal("100.2"), Decimal(3), ("kraken",))
    assert found.vwap["1h"].volume == 4
    assert [leg.epoch for leg in found.legs] == [one.publisher.epoch for one in (binance, coinbase, kraken)]
    every = await published(client)
    assert [one.seq for one in every] == list(range(1, len(every) + 1))
    assert len({one.epoch for one in every}) == 1
    assert message is not None
    assert decode(message["data"]) == every[0]
    assert decode(await client.hget(KEYS.last("cbbo", X), CONSOLIDATED) or b"") == found


async def test_a_venue_whose_connector_dies_is_excluded_and_settles_when_it_is_back(client: Redis, valkey: str) -> None:
    """Its quotes are old and it gives no sign of life. The other venue is quiet, but alive, and counts."""
    async with venue(valkey, "binance") as binance, aggregator(valkey, stale_s=0.3, settle_s=0.2):
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_for_legs(client, {"binance": None})
        async with venue(valkey, "kraken") as kraken:
            await kraken.quote("100", "102")
            await wait_for_legs(client, {"binance": None, "kraken": None})
        found = await wait_for_legs(client, {"binance": None, "kraken": Exclusion.STALE})
        assert (found.bid_size, found.bid_venues) == (Decimal(1), ("binance",))

        async with venue(valkey, "kraken") as kraken:
            await kraken.live_on()
            await kraken.quote("100", "103")
            found = await wait_for_legs(client, {"binance": None, "kraken": None})
            assert found.legs[1].epoch == kraken.publisher.epoch
    reasons = [leg.excluded for one in await published(client) for leg in one.legs if leg.venue == "kraken"]
    assert Exclusion.SETTLING in reasons


async def test_a_connector_counts_whose_epoch_is_smaller_since_the_server_lost_its_data(client: Redis, valkey: str) -> None:
    """Its clock was ahead at its last start. An instrument quoted only once, while the old epoch may be alive, counts as well."""
    ahead = time.time_ns() + 7_200 * S
    async with aggregator(valkey, stale_s=1.0, settle_s=0.1):
        async with venue(valkey, "kraken", epoch=ahead) as kraken:
            await kraken.live_on()
            await kraken.quote("100", "101")
            assert (await wait_for_legs(client, {"kraken": None})).legs[0].epoch == ahead
        await client.flushall()
        await wait_until(lambda: client.exists(KEYS.identity()), what="the same tape again, by the aggregator")
        async with venue(valkey, "kraken") as kraken:
            await kraken.quote("200", "201")
            await kraken.quote("300", "301", instrument=ETH)
            await kraken.live_on()

            async def counts() -> bool:
                legs = [found.legs[0] for name in (X, ETH) if (found := await newest(client, name)) is not None]
                return [leg.excluded for leg in legs if leg.epoch < ahead] == [None, None]

            await wait_until(counts, what="both legs of the smaller epoch")


async def test_a_leg_whose_feed_is_down_never_counts_after_a_start(client: Redis, valkey: str) -> None:
    """The last quote is new and live, but the last status is not. Both are read before the first quote is published."""
    async with venue(valkey, "binance") as binance, venue(valkey, "kraken") as kraken:
        for one in (binance, kraken):
            await one.live_on()
            await one.quote("100", "101")
        await kraken.say(status("kraken", FeedState.DOWN, time.time_ns(), reason="maintenance"))
        async with aggregator(valkey):
            await wait_for_legs(client, {"binance": None, "kraken": Exclusion.STATE})
    assert len(await published(client)) == 1


async def test_windows_are_right_after_a_restart(client: Redis, valkey: str) -> None:
    """Each trade counts once: earlier ones, those published during the restart, and late ones in their own second."""
    async with venue(valkey, "binance") as binance:
        now = time.time_ns()
        await binance.live_on()
        await binance.quote("100", "101")
        await binance.say(*(trade("binance", "100", "1", now - age * S, received_ts=now) for age in (0, 10, 200, 4_000)))

        async def counted(trades: list[int]) -> None:
            async def there() -> bool:
                found = await newest(client)
                return found is not None and [found.vwap[name].trades for name in ("1m", "5m", "1h")] == trades

            await wait_until(there, what=f"{trades} trades in the windows")

        async with aggregator(valkey, windows=("1m", "5m", "1h")):
            await counted([2, 3, 3])
        await binance.say(trade("binance", "103", "1", time.time_ns()), trade("binance", "104", "0.5", time.time_ns() - 100 * S))
        async with aggregator(valkey, windows=("1m", "5m", "1h")):
            await counted([3, 5, 5])

    found = await newest(client)
    assert found is not None
    assert (found.vwap["1m"].price, found.vwap["1m"].volume) == (Decimal(101), Decimal(3))
    assert found.vwap["5m"].volume == Decimal("4.5")
    assert not found.vwap["1h"].complete


async def test_windows_are_complete_when_the_stream_reaches_back_far_enough(client: Redis, valkey: str) -> None:
    """An open gap makes them incomplete; a repaired one does not."""
    ms = time.time_ns() // 1_000_000
    for kind, event in (("trade", trade("binance", "1", "1", time.time_ns() - 4_000 * S)), ("quote", quote("binance", "1", "2"))):
        await client.xadd(KEYS.stream(kind, X), {"d": encode(event)}, id=f"{ms - 4_000_000}-0")
        await client.sadd(KEYS.registry(), KEYS.stream(kind, X))
    async with venue(valkey, "binance") as binance, aggregator(valkey, windows=("1m", "5m", "1d")):
        await binance.live_on()
        await binance.quote("100", "101")

        async def complete(expected: list[bool]) -> None:
            async def there() -> bool:
                found = await newest(client)
                return found is not None and [found.vwap[name].complete for name in ("1m", "5m")] == expected

            await wait_until(there, what=f"complete {expected}")

        await complete([True, True])
        now = time.time_ns()
        await binance.say(gap("binance", now - 200 * S, now - 100 * S))
        await complete([True, False])
        await binance.say(gap("binance", now - 200 * S, now - 100 * S, repaired=True))
        await complete([True, True])


async def test_windows_are_not_complete_before_the_past_is_applied(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The past must be applied, not only read. Its last entry may be a foreign one."""
    monkeypatch.setattr(catch_up, "EVENTS_PER_TURN", 4)
    monkeypatch.setattr(shard, "REFRESH_S", 0.0)
    now, stream = time.time_ns(), KEYS.stream("trade", X)
    await client.xadd(stream, {"d": encode(trade("binance", "1", "1", now - 4_000 * S))}, id=f"{now // 1_000_000 - 4_000_000}-0")
    for seq in range(500):
        await client.xadd(stream, {"d": encode(trade("binance", "1", "1", now - S, trade_id=str(seq)))}, id=f"{now // 1_000_000 - 1}-{seq}")
    await client.xadd(stream, {"d": b"{]"}, id=f"{now // 1_000_000}-0")
    await client.sadd(KEYS.registry(), stream)
    async with venue(valkey, "binance") as binance, aggregator(valkey, windows=("5m",), min_interval_s=0):
        await binance.live_on()
        await binance.quote("100", "101")

        async def complete() -> bool:
            found = await newest(client)
            return found is not None and found.vwap["5m"].complete

        await wait_until(complete, what="complete windows")
    assert {found.vwap["5m"].trades for found in await published(client) if found.vwap["5m"].complete} == {500}


async def test_trades_that_the_bus_lost_make_windows_incomplete(client: Redis, valkey: str) -> None:
    """The `seq` of a stream skips numbers, so trades are missing, but it is not known which."""
    old = time.time_ns() - 100 * S
    stream = KEYS.stream("trade", X)
    for seq, entry_id in ((1, f"{old // 1_000_000}-0"), (2, "*")):
        event = msgspec.structs.replace(trade("binance", "100", "1", old), epoch=7, seq=seq)
        await client.xadd(stream, {"d": encode(event)}, id=entry_id)
    await client.sadd(KEYS.registry(), stream)
    async with venue(valkey, "binance") as binance, aggregator(valkey, windows=("1m",)):
        await binance.live_on()

        async def complete(expected: bool) -> None:
            async def there() -> bool:
                found = await newest(client)
                return found is not None and found.vwap["1m"].complete is expected

            await wait_until(there, what=f"complete: {expected}")

        await complete(expected=True)
        for seq in (3, 6):
            event = msgspec.structs.replace(trade("binance", "100", "1", time.time_ns()), epoch=7, seq=seq)
            await client.xadd(stream, {"d": encode(event)})
        await complete(expected=False)


async def test_an_outage_of_the_bus_is_waited_out(client: Redis, valkey: str) -> None:
    """The outage is at the start, or later. When it is over, quotes are correct again."""
    async with proxy(valkey) as between, venue(valkey, "binance") as binance:
        between.refusing = True
        async with aggregator(between.url):
            await wait_until(lambda: between.connections > 1, what="a second attempt")
            await binance.live_on()
            await binance.quote("100", "101")
            between.refusing = False
            await wait_for_legs(client, {"binance": None})
            between.refusing = True
            between.cut()
            attempts = between.connections
            await wait_until(lambda: between.connections > attempts + 5, what="attempts to come back")
            await binance.quote("200", "201")
            between.refusing = False

            async def moved() -> bool:
                found = await newest(client)
                return found is not None and found.bid_price == 200

            await wait_until(moved, what="the quote after the outage")


async def test_entries_that_are_none_of_ours_are_survived(client: Redis, valkey: str) -> None:
    """There are invalid entries, a key of another type, a foreign stream name, and a last value that is no event."""
    await client.xadd(KEYS.stream("quote", X), {"d": b"{]"})
    await client.xadd(KEYS.stream("quote", X), {"other": b"field"})
    await client.set(KEYS.stream("trade", X), b"no stream")
    await client.sadd(KEYS.registry(), KEYS.stream("quote", X), KEYS.stream("trade", X), "tape:nonsense", b"\xff\xfe", "tape:a:b:c")
    await client.hset(KEYS.last("status", "*"), "kraken", b"no event")
    async with venue(valkey, "binance") as binance, aggregator(valkey):
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_for_legs(client, {"binance": None})
        await client.xadd(KEYS.stream("quote", X), {"d": b"nonsense"})
        await binance.quote("NaN", "101")
        found = await wait_for_legs(client, {"binance": None})
        await binance.quote("100.5", "101")

        async def moved() -> bool:
            found = await newest(client)
            return found is not None and found.bid_price == Decimal("100.5")

        await wait_until(moved, what="the quote after the nonsense")
    assert found.market in {Market.NORMAL, Market.ONE_SIDED}


async def test_a_quote_whose_numbers_are_none_is_foreign(client: Redis, valkey: str) -> None:
    """It is counted and skipped, while a number that is usual in JSON, but not on the tape, is read."""
    before = foreign()
    async with venue(valkey, "binance") as binance, aggregator(valkey):
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_for_legs(client, {"binance": None})
        for text in ('"abc"', '""', '"1,2"', "true", "[1]"):
            data = encode(quote("binance", "100.5", "101")).replace(b'"100.5"', text.encode())
            await client.xadd(KEYS.stream("quote", X), {"d": data})
        await wait_until(lambda: foreign() == before + 5, what="five foreign entries")
        await client.xadd(
            KEYS.stream("quote", X), {"d": encode(quote("kraken", "100.5", "101", time.time_ns())).replace(b'"100.5"', b"100.5")}
        )
        found = await wait_for_legs(client, {"binance": None, "kraken": None})
    assert (found.bid_price, found.bid_venues) == (Decimal("100.5"), ("kraken",))


def foreign() -> float:
    """Return how many entries were foreign."""
    return REGISTRY.get_sample_value("crosstape_aggregator_foreign_entries_total") or 0.0


async def test_new_instruments_are_picked_up(client: Redis, valkey: str) -> None:
    """Instruments that have only a book are found, too."""
    async with venue(valkey, "binance") as binance, aggregator(valkey):
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_for_legs(client, {"binance": None})
        await binance.quote("3000", "3001", instrument=ETH)
        await wait_for_legs(client, {"binance": None}, ETH)
        async with venue(valkey, "kraken") as kraken:
            await kraken.live_on()
            await kraken.say(book("kraken", [("100.5", "2"), ("100.4", "9")], [("100.6", "1")], time.time_ns()))
            found = await wait_for_legs(client, {"binance": None, "kraken": None})
    assert (found.bid_price, found.bid_venues) == (Decimal("100.5"), ("kraken",))


async def test_a_perpetual_is_consolidated_under_its_own_name(client: Redis, valkey: str) -> None:
    """It is never a leg of the spot market. Sizes of inverse contracts have 28 digits, and are summed exactly at one price.

    Candles, marks and liquidations of the instrument are on the tape, too, and are not read.
    """
    inverse = [Decimal(contracts * 100) / Decimal("63000.1") for contracts in (7, 11)]
    sizes = [(str(size), "1") for size in inverse]
    with localcontext(prec=60):
        total = sum(inverse)
    async with venue(valkey, "binance") as spot, venue(valkey, "binance_coinm") as coinm, venue(valkey, "kraken_futures") as kraken:
        for one in (spot, coinm, kraken):
            await one.live_on()
        await spot.quote("63010", "63011")
        unit = Decimal(1)
        candle = Candle("binance_coinm", PERPETUAL, None, 1, "1m", 0, 60 * S, unit, unit, unit, unit, unit)
        mark = Mark("binance_coinm", PERPETUAL, None, 1, unit)
        await coinm.say(candle, mark, Liquidation("binance_coinm", PERPETUAL, None, 1, None, unit, unit))
        async with aggregator(valkey):
            await coinm.quote("63000.1", "63000.2", sizes=sizes[0], instrument=PERPETUAL)
            await kraken.quote("63000.1", "63000.3", sizes=sizes[1], instrument=PERPETUAL)
            for size in inverse:
                await coinm.say(trade("binance_coinm", "63000.1", str(size), time.time_ns(), instrument=PERPETUAL))
            await wait_for_legs(client, {"binance_coinm": None, "kraken_futures": None}, PERPETUAL)
            await wait_for_legs(client, {"binance": None})

            async def traded() -> bool:
                found = await newest(client, PERPETUAL)
                return found is not None and found.vwap["1m"].trades == 2

            await wait_until(traded, what="both trades in the window")
        found = await newest(client, PERPETUAL)

    assert found is not None
    assert (found.bid_size, found.bid_venues) == (total, ("binance_coinm", "kraken_futures"))
    assert found.vwap["1m"].volume == total
    assert found.vwap["1m"].price == Decimal("63000.1")


async def test_named_instruments_are_the_only_ones(client: Redis, valkey: str) -> None:
    """Only the instruments in `aggregator.instruments` are served."""
    async with venue(valkey, "binance") as binance, aggregator(valkey, instruments=(ETH,)):
        await binance.live_on()
        await binance.quote("100", "101")
        await binance.quote("3000", "3001", instrument=ETH)
        await wait_for_legs(client, {"binance": None}, ETH)
    assert await published(client) == []


async def test_it_is_ready_when_a_leg_counts(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not enough that the bus answers."""
    settings = settings_for(valkey)
    engine = Engine(settings.aggregator)
    async with connect(settings.bus) as bus, venue(valkey, "binance") as binance:
        publisher = Publisher(bus, KEYS, settings.bus, producer="aggregator")
        one = ShardAggregator(settings, bus, KEYS, engine, publisher)
        none = dict.fromkeys(("instruments", "instruments_with_a_counting_leg", "catching_up"), 0)
        assert one.ready() == (False, {"bus": False, "works": False, **none})
        tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(one.run())]
        await wait_until(lambda: one.ready()[1]["bus"], what="the bus")
        assert not one.ready()[0]
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_until(lambda: one.ready()[0], what="ready")
        assert one.ready()[1]["instruments"] == 1
        monkeypatch.setattr("crosstape_aggregator.sharding.sign_of_life.OUTAGE_S", -10.0)
        assert not one.ready()[0]  # its loops hang, as far as one can tell
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_a_wrong_window_stops_the_start() -> None:
    """The error is raised before anything is connected."""
    with pytest.raises(SettingsError, match="windows"):
        await run(settings_for("redis://127.0.0.1:1", windows=("1y",)))
