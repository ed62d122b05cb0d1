"""Gate: what its documentation and its live frames say, seen by a client, and asked by REST."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import Client, connect, still, ws

VENUES = {"gateio": "spot", "gateio_futures": "futures"}
PAIR = "BTC_USDT"
each = pytest.mark.parametrize(("name", "market"), VENUES.items())


@asynccontextmanager
async def venue(name: str) -> AsyncIterator[tuple[Simulator, Client]]:
    """A still market of one venue, and a client of it."""
    async with simulator(still(venues=(name,))) as made, connect(ws(made, name, "")) as client:
        yield made, client


async def ask(client: Client, channel: str, *payload: str, event: str = "subscribe") -> Any:
    """Send a request, and return the answer."""
    await client.send({"time": 1, "id": 7, "channel": channel, "event": event, "payload": [*payload]})
    answer = await client.read()
    assert (answer["id"], answer["channel"], answer["event"], answer["payload"]) == (7, channel, event, [*payload])
    return answer


async def rest(made: Simulator, path: str) -> tuple[int, Any]:
    """Status and body of a request by REST."""
    (server,) = made.servers.values()
    async with aiohttp.ClientSession() as http, http.get(f"http://{server.base}/api/v4{path}") as answer:
        return answer.status, json.loads(await answer.text(), parse_float=Decimal)


@each
async def test_a_ping_is_answered_without_an_id(name: str, market: str) -> None:
    """By a frame of the market's own."""
    async with venue(name) as (_, client):
        await client.send({"time": 1, "channel": f"{market}.ping"})

        assert {"channel": f"{market}.pong", "event": "", "result": None}.items() <= (await client.read()).items()


@each
async def test_a_request_with_an_unknown_pair_is_refused_as_a_whole(name: str, market: str) -> None:
    """But for books: a stream that does not exist is acknowledged, and stays silent."""
    async with venue(name) as (made, client):
        refused = await ask(client, f"{market}.trades", PAIR, "NOPE_USDT")
        assert refused["error"] == {"code": 2, "message": "unknown currency pair: NOPE_USDT"}
        assert refused["result"] == {"status": "fail"}
        for stream in ("ob.NOPE_USDT.50", f"ob.{PAIR}.20"):
            assert (await ask(client, f"{market}.obu", stream))["result"] == {"status": "success"}
        made.advance(1.0)
        await client.send({"time": 1, "channel": f"{market}.ping"})
        assert (await client.read())["channel"] == f"{market}.pong"


@each
async def test_a_book_that_is_subscribed_already_is_refused_and_goes_on(name: str, market: str) -> None:
    """Unsubscribed, it can be had again, and begins with a full book."""
    stream = f"ob.{PAIR}.50"
    async with venue(name) as (made, client):
        await ask(client, f"{market}.obu", stream)
        assert (await client.read())["result"]["full"] is True
        assert (await ask(client, f"{market}.obu", stream))["error"] == {"code": 2, "message": f"Alert sub {stream}"}
        made.advance(0.5)
        assert "full" not in (await client.read())["result"]
    async with venue(name) as (_, client):
        await ask(client, f"{market}.obu", stream)
        await client.read()
        await ask(client, f"{market}.obu", stream, event="unsubscribe")
        await ask(client, f"{market}.obu", stream)
        assert (await client.read())["result"]["full"] is True


@each
async def test_a_book_begins_full_and_goes_on_without_a_hole(name: str, market: str) -> None:
    """Each change begins one after the end of the one before; in the end the book is the market's. The full one has no first number."""
    async with venue(name) as (made, client):
        await ask(client, f"{market}.obu", f"ob.{PAIR}.400")
        full = (await client.read())["result"]
        assert "U" not in full
        sides = [{Decimal(price): size for price, size in full[side]} for side in "ba"]
        made.advance(2.0)
        assert made.market is not None
        pair, last = made.market.market.pairs[name, PAIR], full["u"]
        while last < (made.market.venues[name].number(PAIR) or 0):
            change = (await client.read())["result"]
            assert change["U"] == last + 1
            last = change["u"]
            for side, rows in zip(sides, (change.get("b", ()), change.get("a", ())), strict=True):
                for price, size in rows:
                    side[Decimal(price)] = size
                    if size == "0":
                        del side[Decimal(price)]

        scale = -pair.listing.price_decimals
        for side, ours in zip(sides, (pair.bids, pair.asks), strict=True):
            assert side.keys() == {Decimal(price).scaleb(scale) for price, _ in ours.levels()}


async def test_what_was_sold_has_a_negative_size_on_futures() -> None:
    """A frame is a list of trades."""
    async with venue("gateio_futures") as (made, client):
        await ask(client, "futures.trades", PAIR)
        made.advance(20.0)
        _, page = await rest(made, f"/futures/usdt/trades?contract={PAIR}&limit=1000")
        sides = {row["id"]: row["size"].startswith("-") for row in page}
        rows = [row for _ in range(3) for row in (await client.read())["result"]]

        assert set(sides.values()) == {True, False}
        assert all(sides[row["id"]] is row["size"].startswith("-") for row in rows)


async def test_most_ticker_frames_of_futures_have_only_some_fields() -> None:
    """The first has all, and so does each third."""
    async with venue("gateio_futures") as (made, client):
        await ask(client, "futures.tickers", PAIR)
        made.advance(6.0)
        rows = [(await client.read())["result"][0] for _ in range(7)]

        assert "total_size" in rows[0]
        assert ["total_size" in row for row in rows[1:]].count(True) == 2
        assert all("mark_price" in row for row in rows)


async def test_past_trades_of_spot_are_those_below_an_id() -> None:
    """Newest first."""
    async with venue("gateio") as (made, _):
        made.advance(30.0)
        _, newest = await rest(made, f"/spot/trades?currency_pair={PAIR}&limit=5")
        _, before = await rest(made, f"/spot/trades?currency_pair={PAIR}&limit=5&last_id={newest[1]['id']}&reverse=true")

        assert [int(row["id"]) for row in newest] == sorted((int(row["id"]) for row in newest), reverse=True)
        assert before[:3] == newest[2:]


@each
async def test_more_candles_than_an_answer_holds_are_refused(name: str, market: str) -> None:
    """An error has a label, and a status of its own."""
    base, key = ("/spot", "currency_pair") if market == "spot" else ("/futures/usdt", "contract")
    async with venue(name) as (made, _):
        made.advance(90.0)
        _, (trade,) = await rest(made, f"{base}/trades?{key}={PAIR}&limit=1")
        traded_s = int(Decimal(trade["create_time_ms"])) // (1_000 if market == "spot" else 1)
        status, rows = await rest(made, f"{base}/candlesticks?{key}={PAIR}&interval=1m&from={traded_s - 60}&to={traded_s}")
        assert (status, len(rows)) == (200, 1)
        status, refused = await rest(made, f"{base}/candlesticks?{key}={PAIR}&interval=1m&from=0")
        assert (status, refused["label"]) == (400, "INVALID_PARAM_VALUE")
