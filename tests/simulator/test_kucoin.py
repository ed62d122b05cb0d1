"""KuCoin: what its documentation says, seen by a client of either protocol, and asked by REST."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from crosstape_simulator.faults import parse
from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import Client, connect, still, ws

VENUES = ["kucoin", "kucoin_futures"]
SYMBOL = {"kucoin": "BTC-USDT", "kucoin_futures": "XBTUSDTM"}
MATCHES = {"kucoin": "/market/match", "kucoin_futures": "/contractMarket/execution"}


@asynccontextmanager
async def market(name: str) -> AsyncIterator[Simulator]:
    """A still market of one venue."""
    async with simulator(still(venues=(name,))) as made:
        yield made


async def ask(made: Simulator, path: str, *, post: bool = False) -> tuple[int, Any]:
    """Status and body of a request by REST."""
    (server,) = made.servers.values()
    async with aiohttp.ClientSession() as http, http.request("POST" if post else "GET", f"http://{server.base}{path}") as answer:
        return answer.status, json.loads(await answer.text(), parse_float=Decimal)


async def token(made: Simulator) -> str:
    """A new token."""
    _, body = await ask(made, "/api/v1/bullet-public", post=True)
    return str(body["data"]["token"])


@asynccontextmanager
async def classic(made: Simulator, name: str) -> AsyncIterator[Client]:
    """A client of the older protocol that has been welcomed."""
    async with connect(f"{ws(made, name, 'classic')}?token={await token(made)}&connectId=me") as client:
        assert await client.read() == {"id": "me", "type": "welcome"}
        yield client


class Pro:
    """A client of the newer protocol: its frames are binary."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self) -> Any:
        """The next frame, parsed."""
        return json.loads(await self._client.socket.receive_bytes(timeout=10.0))

    async def ask(self, channel: str, symbol: str, **more: str) -> Any:
        """Subscribe, and return the answer."""
        await self._client.send({"id": "7", "action": "subscribe", "channel": channel, "tradeType": "SPOT", "symbol": symbol, **more})
        return await self.read()

    async def ping(self) -> Any:
        """Ping, and return the answer."""
        await self._client.send({"id": "8", "type": "ping"})
        return await self.read()


@asynccontextmanager
async def pro(made: Simulator, name: str) -> AsyncIterator[Pro]:
    """A client of the newer protocol that has been welcomed."""
    async with connect(ws(made, name, "pro")) as client:
        one = Pro(client)
        assert (await one.read())["pingInterval"] == 18_000
        yield one


@pytest.mark.parametrize("name", VENUES)
async def test_a_connection_of_the_older_protocol_needs_a_token_of_its_own(name: str) -> None:
    """One that nobody gave, or that was used, is refused by a frame and then closed."""
    async with market(name) as made:
        used = await token(made)
        async with connect(f"{ws(made, name, 'classic')}?token={used}&connectId=me") as client:
            assert (await client.read())["type"] == "welcome"
        for bad in (used, "mine"):
            async with connect(f"{ws(made, name, 'classic')}?token={bad}&connectId=me") as client:
                refusal = await client.read()
                assert (refusal["code"], refusal["data"]) == (401, "token is expired")
                assert await client.closed() is not None


@pytest.mark.parametrize("name", VENUES)
async def test_a_token_that_has_expired_is_refused(name: str) -> None:
    """As long as the fault lasts."""
    async with market(name) as made:
        fault = made.faults.add(parse.from_text(f"expired venue={name}"))
        async with connect(f"{ws(made, name, 'classic')}?token={await token(made)}") as client:
            assert (await client.read())["code"] == 401
        made.faults.remove(fault.id)
        async with classic(made, name):
            pass


@pytest.mark.parametrize("name", VENUES)
async def test_both_protocols_answer_pings(name: str) -> None:
    """Each in its own form."""
    async with market(name) as made, classic(made, name) as older, pro(made, name) as newer:
        await older.send({"id": "8", "type": "ping"})
        assert {"id": "8", "type": "pong"}.items() <= (await older.read()).items()
        assert {"id": "8", "type": "pong"}.items() <= (await newer.ping()).items()


@pytest.mark.parametrize("name", VENUES)
async def test_the_older_protocol_refuses_a_request_as_a_whole(name: str) -> None:
    """A hundred symbols at most; spot refuses a symbol that it does not list, futures acknowledge it."""
    async with market(name) as made, classic(made, name) as client:
        for symbols in (",".join([SYMBOL[name], "NO-SUCH"]), ",".join(f"A{n}-B" for n in range(101)), SYMBOL[name]):
            await client.send({"id": "5", "type": "subscribe", "topic": f"{MATCHES[name]}:{symbols}", "response": True})
        first, second, third = [await client.read() for _ in range(3)]

        assert (first["type"], first.get("code")) == (("error", 404) if name == "kucoin" else ("ack", None))
        assert (second["code"], second["data"]) == (509, "exceed max subscription count limitation of 100 per time")
        assert third == {"id": "5", "type": "ack"}


@pytest.mark.parametrize("name", VENUES)
async def test_a_book_of_the_newer_protocol_begins_with_a_snapshot_and_goes_on_without_a_hole(name: str) -> None:
    """Each change begins one after the end of the one before; in the end the book is the market's."""
    async with market(name) as made, pro(made, name) as client:
        assert await client.ask("obu", SYMBOL[name], depth="increment@10ms") == {"id": "7", "result": True}
        book = await client.read()
        assert book["t"] == "snapshot"
        sides = [{Decimal(price): size for price, size in book["d"][side]} for side in "ba"]
        made.advance(2.0)
        last = book["d"]["C"]
        assert made.market is not None
        pair = made.market.market.pairs[name, SYMBOL[name]]
        while last < (made.market.venues[name].number(SYMBOL[name]) or 0):
            change = (await client.read())["d"]
            assert change["O"] == last + 1
            last = change["C"]
            for side, rows in zip(sides, (change["b"], change["a"]), strict=True):
                for price, size in rows:
                    side[Decimal(price)] = size
                    if size == "0":
                        del side[Decimal(price)]
        scale = -pair.listing.price_decimals
        assert max(sides[0]) == Decimal(pair.bids.levels(1)[0][0]).scaleb(scale)
        assert min(sides[1]) == Decimal(pair.asks.levels(1)[0][0]).scaleb(scale)


async def test_the_newer_protocol_acknowledges_symbols_that_do_not_exist() -> None:
    """And refuses channels and depths that it does not have."""
    async with market("kucoin") as made, pro(made, "kucoin") as client:
        assert (await client.ask("trade", "NO-SUCH"))["result"] is True
        assert (await client.ask("obu", "BTC-USDT", depth="7"))["result"] is False
        assert (await client.ask("weather", "BTC-USDT"))["reason"] == "symbols are not supported for topic weather"


async def test_figures_of_a_contract_come_by_the_second() -> None:
    """Mark, index and open interest in one frame, funding in another."""
    async with market("kucoin_futures") as made, pro(made, "kucoin_futures") as client:
        await client.ask("mark-price", "XBTUSDTM")
        await client.ask("funding-fee", "XBTUSDTM")
        made.advance(2.5)
        frames = [await client.read() for _ in range(3)]

        assert [frame["T"] for frame in frames].count("mark-price") == 2
        marks = [frame["d"] for frame in frames if frame["T"] == "mark-price"]
        assert set(marks[0]) == {"s", "mp", "ip", "oi", "ts"}
        assert marks[1]["ts"] - marks[0]["ts"] == 1_000
        (funding,) = (frame["d"] for frame in frames if frame["T"] == "funding-fee")
        assert funding["nt"] - funding["ft"] == funding["gl"] == 28_800_000


async def test_candles_have_an_order_of_their_own_by_rest() -> None:
    """Spot: newest first, close before high. Futures: oldest first, from after the time that is asked for."""
    async with market("kucoin") as made:
        made.advance(130.0)
        _, body = await ask(made, "/api/v1/market/candles?symbol=BTC-USDT&type=1min")
        starts = [int(row[0]) for row in body["data"]]
        assert starts == sorted(starts, reverse=True)
        assert all(Decimal(low) <= min(Decimal(o), Decimal(c)) <= Decimal(high) for _, o, c, high, low, *_ in body["data"])
    async with market("kucoin_futures") as made:
        made.advance(130.0)
        _, body = await ask(made, "/api/v1/kline/query?symbol=XBTUSDTM&granularity=1&from=0")
        starts = [row[0] for row in body["data"]]
        assert starts == sorted(starts)
        _, after = await ask(made, f"/api/v1/kline/query?symbol=XBTUSDTM&granularity=1&from={starts[0]}")
        assert [row[0] for row in after["data"]] == starts[1:]


@pytest.mark.parametrize("name", VENUES)
async def test_an_error_by_rest_comes_with_http_200(name: str) -> None:
    """An unknown symbol; a path that does not exist is a 404. Who asks too much gets a 429."""
    path = {"kucoin": "/api/v1/market/histories", "kucoin_futures": "/api/v1/trade/history"}[name]
    async with market(name) as made:
        assert await ask(made, f"{path}?symbol=NO-SUCH") == (200, {"code": "400100", "msg": "Unsupported trading pair."})
        assert (await ask(made, "/api/v9/nothing"))[0] == 404
        found = [await ask(made, f"{path}?symbol={SYMBOL[name]}") for _ in range(2)]
        assert [status for status, _ in found] == [200, 200]
        assert len(found[0][1]["data"]) <= 100
    async with simulator(still(venues=(name,), options={name: {"rest_weight": 6}})) as made:
        answers = [(await ask(made, f"{path}?symbol={SYMBOL[name]}"))[0] for _ in range(8)]  # half a minute may turn meanwhile
        assert 429 in answers
