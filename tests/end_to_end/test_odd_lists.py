"""A connector whose venue lists odd rows: it starts, takes what is good, and says of a wanted instrument what is wrong with its row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.origin import SIMULATED_HEADER
from crosstape.settings import VenueSettings
from crosstape_connector import service
from crosstape_schemas import Event, Quote, Status
from crosstape_simulator.server.server import VenueServer
from crosstape_simulator.service import simulator
from tests.end_to_end.running import newest, running, settings, tape
from tests.simulator.client import still
from tests.waiting import wait_until

LISTS = {"binance": "/api/v3/exchangeInfo", "coinbase": "/products", "kraken": "/0/public/AssetPairs"}
ODD: list[Any] = [None, [], 7, "row", {}, {"symbol": 5, "id": 5, "wsname": 5}, "no JSON"]
NO_JSON = b'{"symbol": "\\ud800", "id": "\xff", "wsname": NaN, "deep": ' + 2_000 * b"[" + 2_000 * b"]" + b"}"


def spoiled(venue: str, body: bytes) -> bytes:
    """The list with odd rows between its own, and with one of BTC whose tick is empty."""
    made = json.loads(body)
    match venue:
        case "binance":
            rows = made["symbols"]
            next(row for row in rows if row["symbol"] == "BTCUSDT")["filters"] = [{"filterType": "PRICE_FILTER", "tickSize": ""}]
            made["symbols"] = [*ODD[:3], *rows, *ODD[3:]]
        case "coinbase":
            next(row for row in made if row["id"] == "BTC-USDT")["quote_increment"] = ""
            made = [*ODD[:3], *made, *ODD[3:]]
        case _:
            next(row for row in made["result"].values() if row["wsname"] == "XBT/USDT")["tick_size"] = ""
            odd = {f"ODD{number}": row for number, row in enumerate(ODD) if row != {}}
            made["result"] = odd | made["result"]
    return json.dumps(made).encode().replace(b'"no JSON"', NO_JSON)


class Front:
    """A proxy of a simulated venue's REST that changes its list of instruments; `down`: it answers nothing."""

    def __init__(self, venue: str, behind: str, http: aiohttp.ClientSession) -> None:
        self.down = False
        self._venue = venue
        self._behind = behind
        self._http = http

    async def answer(self, request: web.Request) -> web.Response:
        """The venue's answer, its list spoiled."""
        if self.down:
            return web.Response(status=503, text="down for maintenance")
        async with self._http.get(self._behind + request.path_qs) as answer:
            body = await answer.read()
            if request.path == LISTS[self._venue]:
                body = spoiled(self._venue, body)
            headers = {name: answer.headers[name] for name in (SIMULATED_HEADER,) if name in answer.headers}
            return web.Response(body=body, status=answer.status, content_type="application/json", headers=headers)


@asynccontextmanager
async def fronted(server: VenueServer) -> AsyncIterator[tuple[Front, str]]:
    """Runs the proxy; yields it and its address."""
    async with aiohttp.ClientSession() as http:
        front = Front(server.venue, f"http://{server.base}", http)
        app = web.Application()
        app.router.add_get("/{path:.*}", front.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield front, f"http://{host}:{port}"
        finally:
            await runner.cleanup()


@pytest.mark.parametrize("venue", LISTS)
async def test_a_connector_starts_with_an_odd_list(client: Redis, valkey: str, tmp_path: Path, venue: str) -> None:
    """One line is logged for each kind of oddness, also for a list that was kept on disk while REST is down."""
    async with simulator(still(venues=(venue,), paused=False, rate=50.0)) as made, fronted(made.servers[venue]) as (front, url):
        server = made.servers[venue]
        own = VenueSettings(instruments=("BTC-USDT", "ETH-USDT"), kinds=("quote", "trade"), ws_url=server.ws_url, rest_url=url)
        asked = settings(valkey, tmp_path, {venue: own})

        async def both() -> bool:
            refused = await newest(client, "status", "BTC-USDT")
            return isinstance(await newest(client, "quote", "ETH-USDT"), Quote) and isinstance(refused, Status)

        for front.down in (False, True):
            await client.delete("tape:status:BTC-USDT", "tape:quote:ETH-USDT")
            with capture_logs() as logs:
                async with running(service.run(asked, venue)):
                    await wait_until(both, what="the good one's quotes and the word on the other")
            found: list[Event] = await tape(client, "status", "BTC-USDT")
            (said,) = {event.reason for event in found if isinstance(event, Status) and event.kind == "*"}
            assert "cannot be used" in said
            assert "not a number: ''" in said
            odd = [log for log in logs if log["event"] == "rest.odd_row"]
            assert len({log["kind"] for log in odd}) == len(odd)
            assert sum(log["rows"] for log in odd) >= 7
            assert any(log["event"] == "instruments.from_cache" for log in logs) == front.down
