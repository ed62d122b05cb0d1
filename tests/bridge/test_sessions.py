"""Sessions of the library against exchanges on loopback: trades exactly once, gaps for what is missing, nothing that stops in silence."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from crosstape_schemas import FeedState, Gap, GapCause, Status, Trade
from tests.bridge.dialects import DIALECTS
from tests.bridge.rig import QUICK, Rig, bridged, serving
from tests.waiting import wait_until

pytest.importorskip("ccxt", reason="needs the extra ccxt: `make test-ccxt` has an environment of its own")

NAMES = tuple(DIALECTS)


def ids(rig: Rig) -> list[int]:
    """The ids of the published trades."""
    return [int(trade.trade_id) for trade in rig.of(Trade)]


async def published(rig: Rig, *numbers: int) -> None:
    """Wait until these trades are published."""
    await wait_until(lambda: set(numbers) <= set(ids(rig)), what=f"trades {numbers} among {ids(rig)}")


@pytest.mark.parametrize("name", NAMES)
async def test_trades_come_exactly_once_across_a_close(name: str) -> None:
    """What the exchange replays is not new; a trade that was made meanwhile is published if it is replayed; the loss is a gap."""
    dialect = DIALECTS[name]
    async with serving(dialect) as exchange:
        await exchange.trade(101, 102, seen=False)
        async with bridged(exchange) as rig:
            await exchange.subscribed(1)
            await exchange.trade(103, 104, 105)
            await published(rig, 103, 104, 105)

            await exchange.close()
            await exchange.trade(106, seen=False)
            await exchange.subscribed(2)
            await exchange.trade(107, 108)
            await published(rig, 107, 108)

            backfilled = [106] if dialect.replays else []
            assert sorted(ids(rig)) == [103, 104, 105, *backfilled, 107, 108]
            assert [int(trade.trade_id) for trade in rig.of(Trade) if trade.backfilled] == backfilled
            (gap,) = rig.of(Gap)
            assert (gap.cause, gap.missed, gap.kind) == (GapCause.DISCONNECT, None, "trade")
            assert len(exchange.open) == 1
            first = rig.of(Trade)[0]
            assert (str(first.price), str(first.size), first.taker) == (dialect.price, dialect.size, "buy")
            assert first.venue_ts == exchange.past[2][1] * 1_000_000


@pytest.mark.parametrize("name", NAMES)
async def test_a_frame_that_cannot_be_handled_does_not_stop_the_stream(name: str) -> None:
    """The library reads in a callback: without the guard, its reading would end there, and the connection stay open and silent."""
    async with serving(DIALECTS[name]) as exchange, bridged(exchange) as rig:
        await exchange.subscribed(1)
        await exchange.trade(201)
        await published(rig, 201)

        await exchange.send('{"channel": "trade", "type')
        await exchange.send('{"broken": [}')
        await exchange.trade(202)
        await published(rig, 202)

        assert len(exchange.sockets) == 1
        assert rig.counters.bad_frames["malformed"] >= 1
        assert ids(rig) == [201, 202]


async def test_a_trade_that_cannot_be_handled_is_a_gap() -> None:
    """Its id may never come again, and nothing would show that it is missing."""
    async with serving(DIALECTS["kraken"]) as exchange, bridged(exchange) as rig:
        await exchange.subscribed(1)
        await exchange.trade(201)
        await published(rig, 201)

        await exchange.send('{"channel": "trade", "type": "update", "data": [{"symbol": "NO/ONE", "price": 1, "qty": 1}]}')
        await exchange.trade(202)
        await published(rig, 202)

        assert [(gap.kind, gap.cause) for gap in rig.of(Gap)] == [("trade", GapCause.UNKNOWN)]
        assert len(exchange.sockets) == 1


async def test_a_stream_that_falls_silent_is_stale_and_gets_a_new_connection() -> None:
    """The connection stays open, and answers pings."""
    settings = msgspec.structs.replace(QUICK, stale_s=0.4, stale_min_s=0.4)
    async with serving(DIALECTS["hyperliquid"]) as exchange, bridged(exchange, settings) as rig:
        await exchange.subscribed(1)
        for number in range(301, 341):
            await exchange.trade(number)
            await asyncio.sleep(0.01)  # the usual interval, which the watchdog learns
        await wait_until(lambda: len(exchange.sockets) > 1, what="a new connection", timeout_s=60)

        assert FeedState.STALE in [status.state for status in rig.of(Status) if status.kind == "trade"]
        await exchange.trade(400)
        await published(rig, 400)
        assert len(ids(rig)) == len(set(ids(rig)))


async def test_a_dead_connection_is_noticed() -> None:
    """Nothing comes at all, no answer to a ping: the connector's own limit of silence ends it."""
    settings = msgspec.structs.replace(QUICK, silence_s=0.5)
    async with serving(DIALECTS["bitstamp"]) as exchange, bridged(exchange, settings) as rig:
        await exchange.subscribed(1)
        await wait_until(lambda: len(exchange.sockets) > 1, what="a new connection")
        await exchange.subscribed(2)
        await exchange.trade(1)
        await published(rig, 1)


async def test_an_exchange_that_is_away_is_tried_again() -> None:
    """Connections that are refused end a session like any other."""
    async with serving(DIALECTS["upbit"]) as exchange:
        url = exchange.url
        exchange.url = "http://127.0.0.1:9"
        async with bridged(exchange) as rig:
            await wait_until(lambda: "Cannot connect" in rig.supervisor.reason, what="a refused connection")
        exchange.url = url
