"""The simulator's control API over HTTP, apart from the venues': set and end faults, and read the true market. JSON throughout."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from aiohttp import web

from crosstape_simulator.errors import FaultError, ListenError
from crosstape_simulator.faults import parse, table
from crosstape_simulator.faults.registry import FaultRegistry
from crosstape_simulator.truth import HISTORY, Truth, Unknown

BODY_MAX: Final = 16 * 1024
LEVELS: Final = 10
LIMIT: Final = 1_000
"""Rows of an answer, unless `limit` says otherwise."""

PATHS: Final = {
    "GET /": "this page: paths and faults",
    "GET /faults": "faults that are set, and the last that are over, with how often each acted",
    "POST /faults": "set one: 'stall venue=kraken instrument=BTC-USDT for=10', or JSON with the same names",
    "DELETE /faults/ID": "end one now",
    "GET /truth/trades?venue=&instrument=&after=&limit=": "all trades of the market with an id above `after`",
    "GET /truth/moves?venue=&instrument=&after=&limit=": "what changed in the book, move by move; without `after` also the book before",
    "GET /truth/book?venue=&instrument=&levels=&after=&limit=": "the book as it is; with `after` (ns) the best prices since then",
    "GET /truth/candles?venue=&instrument=&timeframe=&after=&limit=": "candles that begin after `after` (ns), made of all trades",
    "GET /truth/figures?venue=&instrument=&after=&limit=": "mark and index price, funding, open interest since `after` (ns)",
    "GET /truth/liquidations?venue=&instrument=&after=&limit=": "trades with an id above `after` that closed a position by force",
}


class Control:
    """The control API; `listening` serves it."""

    def __init__(self, faults: FaultRegistry, truth: Truth | None, *, host: str, port: int) -> None:
        """`truth`: None where only recordings are played. Port 0: any free one."""
        self.url = ""
        """Address of the API, once it listens."""
        self._faults = faults
        self._truth = truth
        self._host = host
        self._port = port

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve while the context is open. Raises `ListenError` if the port cannot be had."""
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_get("/", self._index)
        app.router.add_get("/faults", self._list)
        app.router.add_post("/faults", self._set)
        app.router.add_delete(r"/faults/{id:\d{1,18}}", self._end)
        app.router.add_get("/truth/trades", self._trades)
        app.router.add_get("/truth/book", self._book)
        app.router.add_get("/truth/moves", self._moves)
        app.router.add_get("/truth/candles", self._candles)
        app.router.add_get("/truth/figures", self._figures)
        app.router.add_get("/truth/liquidations", self._liquidations)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, self._host, self._port).start()
            except OSError as exc:
                raise ListenError(f"--control {self._host}:{self._port}: cannot listen there: {exc.strerror}") from exc
            host, port = runner.addresses[0][:2]
            self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            yield
        finally:
            await runner.cleanup()

    async def _index(self, request: web.Request) -> web.Response:
        faults = [{"fault": name, "what": what, "venues": venues, "example": example(name)} for name, what, venues in table.rows()]
        return _json({"paths": PATHS, "history": HISTORY, "faults": faults})

    async def _list(self, request: web.Request) -> web.Response:
        return _json([running.shown() for running in self._faults.listed()])

    async def _set(self, request: web.Request) -> web.Response:
        body = (await request.read()).strip()
        try:
            fault = parse.from_json(body) if body.startswith(b"{") else parse.from_text(body.decode(errors="replace"))
            return _json(self._faults.add(fault).shown(), 201)
        except FaultError as exc:
            return _json({"error": str(exc)}, 400)

    async def _end(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        running = self._faults.remove(number)
        if running is None:
            return _json({"error": f"no fault {number} is set"}, 404)
        return _json(running.shown())

    async def _trades(self, request: web.Request) -> web.Response:
        return self._true(request, lambda truth, where, n: truth.trades(*where, n.get("after", 0), n.get("limit", LIMIT)))

    async def _book(self, request: web.Request) -> web.Response:
        def ask(truth: Truth, where: tuple[str, str], n: Mapping[str, int]) -> object:
            return truth.book(*where, n.get("levels", LEVELS), n.get("after"), n.get("limit", LIMIT))

        return self._true(request, ask)

    async def _moves(self, request: web.Request) -> web.Response:
        return self._true(request, lambda truth, where, n: truth.moves(*where, n.get("after"), n.get("limit", HISTORY)))

    async def _candles(self, request: web.Request) -> web.Response:
        timeframe = request.query.get("timeframe", "1m")
        return self._true(request, lambda truth, where, n: truth.candles(*where, timeframe, n.get("after", 0), n.get("limit", LIMIT)))

    async def _figures(self, request: web.Request) -> web.Response:
        return self._true(request, lambda truth, where, n: truth.figures(*where, n.get("after", 0), n.get("limit", LIMIT)))

    async def _liquidations(self, request: web.Request) -> web.Response:
        return self._true(request, lambda truth, where, n: truth.liquidations(*where, n.get("after", 0), n.get("limit", LIMIT)))

    def _true(self, request: web.Request, ask: Callable[[Truth, tuple[str, str], Mapping[str, int]], object]) -> web.Response:
        if self._truth is None:
            return _json({"error": "only recordings are played: they are the truth"}, 404)
        query = request.query
        numbers: dict[str, int] = {}
        for name in ("after", "limit", "levels"):
            if name in query:
                if not query[name].isdecimal() or len(query[name]) > 20:
                    return _json({"error": f"{name}={query[name]}: expected a whole number ≥ 0"}, 400)
                numbers[name] = int(query[name])
        try:
            return _json(ask(self._truth, (query.get("venue", ""), query.get("instrument", "")), numbers))
        except Unknown as exc:
            return _json({"error": str(exc)}, 404)


def example(name: str) -> str:
    """A fault's text with all parameters at their defaults."""
    cls = table.FAULTS[name]
    made = msgspec.to_builtins(cls())
    return " ".join([name, *(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in _plain(made).items())])


def _plain(made: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key != "fault" and value != ""}


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body) + b"\n", status=status, content_type="application/json")
