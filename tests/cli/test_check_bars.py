"""`crosstape check-bars`: the bars on a tape against the candles of venues."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.runtime.exit_codes import Exit
from crosstape.settings import BusSettings
from crosstape_cli import stream_events
from crosstape_cli.check_bars import as_line, compare
from crosstape_schemas import BAR, CONSOLIDATED, Event
from tests.aggregator.checks.candles import bar, candle
from tests.aggregator.running import KEYS, venue
from tests.cli.running import Done, crosstape


async def publish(url: str, *events: Event) -> None:
    """Publish candles as their venues do, and bars as an aggregator does."""
    for name in sorted({event.venue for event in events if event.__class__.__name__ == "Candle"}):
        async with venue(url, name) as one:
            await one.say(*(event for event in events if event.venue == name and event.__class__.__name__ == "Candle"))
    async with venue(url, CONSOLIDATED) as aggregator:
        await aggregator.say(*(event for event in events if event.__class__.__name__ == "Bar"))


async def check(url: str, *options: str) -> Done:
    """Run the command on this server."""
    return await crosstape("check-bars", *options, CROSSTAPE_BUS__URL=url)


async def test_nothing_to_compare_is_not_a_success(client: Redis, valkey: str) -> None:
    """Neither an empty tape nor one with bars alone; what to set is said."""
    await publish(valkey, bar(), replace(bar(), complete=False))
    done = await check(valkey)

    assert (done.code, done.out) == (Exit.UNPROVEN, b"")
    assert "not compared, because the tape has no such candles: 1m of binance\n" in done.err
    assert "set aggregator.bars and venues.VENUE.candles to the same timeframes" in done.err


async def test_what_is_not_compared_is_said(client: Redis, valkey: str) -> None:
    """Venues without candles of the timeframe; a name that nobody has, which settings do not mend."""
    one = replace(bar("coinbase"), timeframe="1h")
    await publish(
        valkey, bar(), bar("coinbase"), one, replace(bar(), venue=CONSOLIDATED), candle(), replace(candle("coinbase"), timeframe="5m")
    )
    await client.hset(KEYS.last(f"{BAR}1m", bar().instrument), "kraken:late", b"7")  # of entries that came late: no venue
    done = await check(valkey)

    assert (done.code, len(done.out.splitlines())) == (Exit.OK, 2)
    assert done.err == "crosstape: not compared, because the tape has no such candles: 1m of coinbase; 1h of coinbase\n"
    done = await check(valkey, "NOPE-USD")
    assert (done.code, done.out) == (Exit.UNPROVEN, b"")
    assert done.err.endswith(" has neither bars nor candles of NOPE-USD\n")
    assert len(done.err.splitlines()) == 1


async def test_an_instrument_is_found_in_any_spelling(client: Redis, valkey: str) -> None:
    """And the nearest one is named for one that is not there."""
    await publish(valkey, bar(), candle())
    assert (await check(valkey, bar().instrument.replace("-", "/").lower())).code == Exit.OK
    done = await check(valkey, f"{bar().instrument}X")
    assert done.err.endswith(f" has neither bars nor candles of {bar().instrument}X (did you mean {bar().instrument}?)\n")


async def test_bars_that_equal_their_candles(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The highest revisions count, on both sides, and incomplete bars do not."""
    wrong = replace(bar(), volume=Decimal(9))
    await publish(
        valkey,
        wrong, bar(revision=1), replace(bar(minute=1), complete=False, volume=Decimal(9)), replace(bar(minute=2), closed=False),
        replace(bar(), venue=CONSOLIDATED, volume=Decimal(77)), bar("kraken"),
        candle(), candle(minute=1), candle(minute=2), replace(candle("kraken"), high=Decimal(1_000)), candle("kraken", revision=1),
    )  # fmt: skip
    done = await check(valkey)

    assert (done.code, done.err) == (Exit.OK, "")
    assert [text.split() for text in done.out.decode().splitlines()][1:] == [["binance", "1m", "1", "0"], ["kraken", "1m", "1", "0"]]
    monkeypatch.setattr(stream_events, "PAGE", 2)
    async with connect(BusSettings(url=valkey)) as ours:  # in small pages: each event once, and no foreign entry
        await client.xadd(KEYS.stream("bar:1m", "BTC-USDT"), {"x": "y"})
        read = [event async for event in stream_events.stream_events(ours, KEYS.stream("bar:1m", "BTC-USDT"))]
    assert [event.seq for event in read if event.venue == "binance"] == [1, 2, 3, 4]


async def test_differences_are_shown_and_are_the_exit_code(client: Redis, valkey: str) -> None:
    """How many bars differ, in which fields, and the first of them; in JSON for a program."""
    await publish(
        valkey,
        *(bar(minute=minute) for minute in range(3)), candle(),
        *(replace(candle(minute=minute), volume=Decimal("0.4"), trades=4) for minute in (1, 2)),
        replace(bar(instrument="ETH-USDT"), timeframe="1h"), replace(candle(instrument="ETH-USDT"), timeframe="1h"),
    )  # fmt: skip
    done = await check(valkey)

    assert done.code == Exit.FAILED
    assert done.out.decode().splitlines()[1] == (
        "binance  1m         3         2       volume 2, trades 2  BTC-USDT 2026-08-13 02:05:00 volume: bar 0.3, candle 0.4"
    )
    async with connect(BusSettings(url=valkey)) as ours:
        (minutes, hours) = await compare(ours, KEYS, (), ("1m", "1h"))
        found = msgspec.json.decode(as_line(minutes))
        assert (found["compared"], found["differ"], found["fields"]) == (3, 2, {"volume": 2, "trades": 2})
        assert found["example"]["field"] == "volume"
        assert (hours.timeframe, hours.compared, hours.differ) == ("1h", 1, 0)
        assert await compare(ours, KEYS, ("BTC-USDT",), ("1h",)) == []
