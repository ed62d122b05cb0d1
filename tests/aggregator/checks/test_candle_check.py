"""A running aggregator compares the bars that it publishes with the candles on the tape."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import connect
from crosstape.settings import BusSettings
from crosstape_aggregator.checks import candle_check
from crosstape_aggregator.checks.candle_check import CandleCheck
from crosstape_aggregator.sharding.assignment import ALL_INSTRUMENTS
from crosstape_schemas import Candle
from tests.aggregator.builders import S, X, trade
from tests.aggregator.checks.candles import bar, candle
from tests.aggregator.running import KEYS, aggregator, venue
from tests.waiting import wait_until

VENUE = "kraken"


def counted(name: str, **labels: str) -> float:
    """Return a counter's value."""
    return REGISTRY.get_sample_value(f"crosstape_aggregator_{name}_total", labels) or 0.0


async def test_differences_are_counted_and_each_kind_is_logged_once(client: Redis, valkey: str) -> None:
    """Candles of the timeframes of the bars are found on the tape while it runs; a bar may come before or after its candle."""
    before = [counted("bars_compared", venue=VENUE, timeframe="1m"), counted("bar_differences", venue=VENUE, field="volume")]

    def compared() -> list[float]:
        now = [counted("bars_compared", venue=VENUE, timeframe="1m"), counted("bar_differences", venue=VENUE, field="volume")]
        return [after - earlier for after, earlier in zip(now, before, strict=True)]

    async with connect(BusSettings(url=valkey)) as ours, venue(valkey, VENUE) as kraken:
        await kraken.say(candle(VENUE))
        await kraken.say(replace(candle(VENUE), timeframe="5m"))
        check = CandleCheck(ours, KEYS, ["1m"], (), ALL_INSTRUMENTS, settle_s=0.1)
        task = asyncio.create_task(check.run())
        try:
            with capture_logs() as logs:

                def first_is_compared() -> bool:
                    check.add([bar(VENUE), replace(bar(VENUE), timeframe="5m")])  # known once the stream of candles was found
                    return compared()[0] >= 1

                await wait_until(first_is_compared, what="the first bar is compared")
                for minute in (1, 2, 3):
                    check.add([replace(bar(VENUE, minute=minute), volume=Decimal(9))])
                foreign = counted("foreign_entries")
                await kraken.say(replace(candle(VENUE, minute=3), volume=Decimal("NaN")))
                await kraken.say(candle(VENUE, minute=1), candle(VENUE, minute=2))
                await wait_until(lambda: compared() == [3, 2], what="two differences")
                assert counted("foreign_entries") == foreign + 1
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    assert counted("bars_compared", venue=VENUE, timeframe="5m") == 0
    (said,) = [one for one in logs if one["event"] == "bars.differ_from_candles"]
    assert (said["venue"], said["field"], said["instrument"], said["bar"], said["candle"]) == (
        VENUE,
        "volume",
        "BTC-USDT",
        "9",
        "0.30000000",
    )


async def test_an_aggregator_checks_the_bars_that_it_builds(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From trades to the difference: the venue's candle of the same second counts one trade more."""
    monkeypatch.setattr(candle_check, "SETTLE_S", 0.1)

    def differ() -> float:
        return counted("bar_differences", venue="coinbase", field="trades")

    before = differ()
    async with venue(valkey, "coinbase") as coinbase:
        await coinbase.live_on()
        await coinbase.say(trade("coinbase", "100", "1", time.time_ns()), replace(candle("coinbase"), timeframe="1s", closed=False))
        async with aggregator(valkey, bars=("1s",), bar_grace_s=0.1):

            async def found() -> bool:
                """Trade, and publish the candles of the seconds that are over, until one was compared."""
                now = time.time_ns()
                opened, price = now // S * S, Decimal(100)
                await coinbase.say(trade("coinbase", "100", "1", now, trade_id=str(now)))
                theirs = Candle(
                    "coinbase", X, None, now, "1s", opened - 2 * S, opened - S, price, price, price, price, Decimal(1_000), trades=1_000,
                    closed=True,
                )  # fmt: skip
                await coinbase.say(theirs)
                return differ() > before

            await wait_until(found, what="a bar that differs from its candle", timeout_s=30)
