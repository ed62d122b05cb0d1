"""Aggregators on a real server that end at any moment: their successors' bars go on as if nothing had happened."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import Publisher
from crosstape_aggregator import service
from crosstape_aggregator.recovery import taped_bars
from crosstape_aggregator.shard import ShardAggregator
from crosstape_schemas import CONSOLIDATED, Bar, Side, Trade, decode, encode
from tests.aggregator.builders import S, X, trade
from tests.aggregator.recovery.checkpoints import ETH, KEY
from tests.aggregator.running import KEYS, FakeVenue, aggregator, venue
from tests.chaos.bars import Bars
from tests.chaos.tape import Entry, Follower
from tests.chaos.violations import Violation
from tests.waiting import wait_until

NAMES = X, ETH
SETTINGS: dict[str, Any] = {"windows": ("1m",), "bars": ("1s", "1m"), "bar_grace_s": 0.2, "bar_interval_s": 0.05}
ENDS = 5


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregator that ends leaves things as if it had been killed: it publishes nothing that waits, and saves nothing."""

    async def save(_: ShardAggregator, timeout_s: float) -> None:
        assert timeout_s

    monkeypatch.setattr(service, "Publisher", HastyPublisher)
    monkeypatch.setattr(ShardAggregator, "save", save)


class HastyPublisher(Publisher):
    """Does not wait at the end."""

    async def drain(self, timeout_s: float) -> bool:
        """Lose what waits."""
        return not timeout_s


class Market:
    """Trades of two venues and instruments."""

    def __init__(self, venues: Sequence[FakeVenue]) -> None:
        self.number = 0
        self._venues = venues
        self._chance = random.Random(3)

    def more(self) -> None:
        """Publish some trades, some of them late."""
        for one in self._venues:
            one.publisher.publish_all(self._trades(one.name))

    def _trades(self, name: str) -> Iterator[Trade]:
        for instrument in NAMES:
            self.number += 1
            now = time.time_ns()
            ts = now - self._chance.choice((0, 0, 0, 0, 1, 3)) * S
            made = trade(
                name, f"{self._chance.randint(1, 10**6)}", f"0.{self._chance.randint(1, 999)}", ts, received_ts=now, instrument=instrument
            )
            yield msgspec.structs.replace(made, trade_id=str(self.number), taker=self._chance.choice((Side.BUY, Side.SELL)))

    async def run(self) -> None:
        """Publish until cancelled: a few hundred a second."""
        while True:
            self.more()
            await asyncio.sleep(0.02)


async def read(client: Redis) -> list[Entry]:
    """All that is on the tape."""
    return await Follower(client).more()


def wrong(entries: list[Entry]) -> tuple[int, list[Violation]]:
    """How many bars were compared with the trades on the tape, and what is wrong with them."""
    rule = Bars({}, settle_ns=0)
    violations = [*rule.take(entries), *rule.done(time.time_ns() + 3_600 * S)]
    return rule.checked, violations


async def all_closed(client: Redis) -> None:
    """Wait until every trade on the tape is in a closed bar of its second."""

    async def so() -> bool:
        entries = await read(client)
        seconds = {(one.event.instrument, (one.event.venue_ts or 0) // S) for one in entries if isinstance(one.event, Trade)}
        bars = [one.event for one in entries if isinstance(one.event, Bar) and one.event.closed and one.event.timeframe == "1s"]
        return seconds == {(bar.instrument, bar.open_ts // S) for bar in bars} and not wrong(entries)[1]

    await wait_until(so, what="all bars", timeout_s=30)


@pytest.mark.usefixtures("killed")
@pytest.mark.parametrize(("shares", "checkpoint_s"), [(1, 0.1), (2, 0.1), (1, 0.0)])
async def test_bars_go_on_after_an_end_at_any_moment(client: Redis, valkey: str, shares: int, checkpoint_s: float) -> None:
    """No bar is missing or wrong, and none is published twice. The checkpoint is sometimes damaged or gone."""
    chance = random.Random(shares)
    async with venue(valkey, "binance") as binance, venue(valkey, "kraken") as kraken:
        market = Market((binance, kraken))
        for one in (binance, kraken):
            await one.live_on()
        trading = asyncio.create_task(market.run())
        for end in range(ENDS):
            async with aggregator(valkey, **SETTINGS, shares=shares, checkpoint_s=checkpoint_s):
                await asyncio.sleep(chance.uniform(0.2, 1.2))  # the moment is what is tried
            if end == ENDS - 2 and await client.exists(KEY):
                await client.hset(KEY, next(name for name in await client.hkeys(KEY) if b":" in name), b"junk")
        trading.cancel()
        async with aggregator(valkey, **SETTINGS, shares=shares, checkpoint_s=checkpoint_s):
            await all_closed(client)
        count, violations = wrong(await read(client))
    assert violations == []
    assert count > 20
    closed = [one.event for one in await read(client) if isinstance(one.event, Bar) and one.event.closed]
    assert {bar.venue for bar in closed} == {"binance", "kraken", CONSOLIDATED}
    assert {bar.revision > 0 for bar in closed} == {True, False}
    assert len({bar.epoch for bar in closed}) > 2


async def test_bars_that_the_server_trimmed_are_not_published_again(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkpoint nobody knows which they were. It is logged; later bars are revised as ever. Pages may be small."""
    monkeypatch.setattr(taped_bars, "PAGE", 1)
    stream = KEYS.stream("bar:1s", X)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        now = time.time_ns()
        made = [now - ago * S for ago in (60, 40, 20)]
        await kraken.say(*(trade("kraken", "100", "1", ts, received_ts=now, trade_id=str(ts)) for ts in made))
        async with aggregator(valkey, **SETTINGS, checkpoint_s=0.0):
            await wait_until(lambda: has(client, {(ts // S, 0) for ts in made}), what="all bars", timeout_s=20)
        await as_if_closed_in_time(client, stream)
        await client.xtrim(stream, minid=f"{made[1] // 10**6}", approximate=False)
        with capture_logs() as logs:
            async with aggregator(valkey, **SETTINGS, checkpoint_s=0.0):
                late = (trade("kraken", "100", "1", ts, received_ts=time.time_ns(), trade_id=f"{ts}9") for ts in made)
                await kraken.say(*late)
                await wait_until(lambda: has(client, {(made[2] // S, 0), (made[2] // S, 1)}), what="the revision", timeout_s=20)
        outrun = [one for one in logs if one["event"] == "aggregator.bars_outrun"]
        assert [(one["stream"], one["checkpoint"]) for one in outrun] == [(stream, False)]
        assert not await has(client, {(made[0] // S, 0)})
        assert not await has(client, {(made[1] // S, 1)})


async def test_without_a_checkpoint_bars_older_than_the_history_are_not_published_again(
    client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows need their trades, but what the tape has of them is not read."""
    monkeypatch.setattr(taped_bars, "AHEAD_S", 0)  # else the test would have to be a minute longer
    stream = KEYS.stream("bar:1s", X)
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        now = time.time_ns()
        made = [now - ago * S for ago in (80, 70, 20)]
        await kraken.say(*(trade("kraken", "100", "1", ts, received_ts=now, trade_id=str(ts)) for ts in made))
        async with aggregator(valkey, **SETTINGS, checkpoint_s=0.0):
            await wait_until(lambda: has(client, {(ts // S, 0) for ts in made}), what="all bars", timeout_s=20)
        await as_if_closed_in_time(client, stream)
        async with aggregator(valkey, **SETTINGS | {"windows": ("1h",)}, checkpoint_s=0.0, bar_history_s=60.0):
            await kraken.say(*(trade("kraken", "9", "1", ts, received_ts=time.time_ns(), trade_id=f"{ts}9") for ts in made))
            await wait_until(lambda: has(client, {(made[2] // S, 1)}), what="the revision", timeout_s=20)
        entries: Any = await client.xrange(stream)
        closed = [bar for _, fields in entries if isinstance(bar := decode(fields[b"d"]), Bar) and bar.closed]
        found = sorted((bar.open_ts // S, bar.revision) for bar in closed if bar.venue == CONSOLIDATED)
        assert found == [(made[0] // S, 0), (made[1] // S, 0), (made[2] // S, 0), (made[2] // S, 1)]


async def test_bars_whose_trades_the_server_trimmed_are_not_revised(client: Redis, valkey: str) -> None:
    """Without a checkpoint nobody knows which trades are in them."""
    async with venue(valkey, "kraken") as kraken:
        await kraken.live_on()
        now = time.time_ns()
        made = [now - 20 * S, now - 10 * S]
        some, others = ([trade("kraken", "100", "1", made[0], received_ts=now, trade_id=f"{of}{n}") for n in range(5)] for of in (1, 2))
        await kraken.say(*some)
        async with aggregator(valkey, **SETTINGS, checkpoint_s=0.0):
            await wait_until(lambda: has(client, {(made[0] // S, 0)}), what="the bar", timeout_s=20)
        await client.xtrim(KEYS.stream("trade", X), maxlen=1, approximate=False)
        async with aggregator(valkey, **SETTINGS, checkpoint_s=0.0):
            await kraken.say(*others, trade("kraken", "100", "1", made[1], received_ts=now, trade_id="9"))
            await wait_until(lambda: has(client, {(made[1] // S, 0)}), what="the other bar", timeout_s=20)
            await kraken.say(trade("kraken", "101", "1", made[1], received_ts=now, trade_id="10"))
            await wait_until(lambda: has(client, {(made[1] // S, 1)}), what="its revision", timeout_s=20)
        assert not await has(client, {(made[0] // S, 1)})


async def as_if_closed_in_time(client: Redis, stream: str) -> None:
    """Write the closed bars of a stream again, with the ids that they would have."""
    entries: Any = await client.xrange(stream)
    await client.delete(stream)
    bars = [bar for _, fields in entries if isinstance(bar := decode(fields[b"d"]), Bar) and bar.closed]
    for number, bar in enumerate(sorted(bars, key=lambda bar: bar.close_ts)):
        await client.xadd(stream, {"d": encode(bar)}, id=f"{bar.close_ts // 10**6}-{number + 1}")


async def has(client: Redis, expected: set[tuple[int, int]]) -> bool:
    """Whether the consolidated bars of seconds that are on the tape, closed, include these: (second, revision)."""
    entries = [one.event for one in await read(client) if isinstance(one.event, Bar)]
    found = {(bar.open_ts // S, bar.revision) for bar in entries if bar.closed and bar.timeframe == "1s" and bar.venue == CONSOLIDATED}
    return expected <= found
