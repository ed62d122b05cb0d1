"""A Binance that goes on: trades and quotes at a steady rate whether anybody listens or not, as a market does. A process of its own.

    python live_source.py SYMBOLS TRADES RATE

Pairs are COIN0USDT …; from the first subscription on, TRADES trades are made, RATE a second in all, round robin, ids 1, 2, 3 … per
symbol; with every tenth goes a quote whose bid size is the number of trades made so far. Whoever is connected gets them, all others
miss them. Prints its port.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from aiohttp import WSMsgType, web

QUOTE_EVERY = 10


class Market:
    """All that the market has made so far, and the clients that receive it."""

    def __init__(self, symbols: int, trades: int, rate: float) -> None:
        self.symbols, self.trades, self.rate = symbols, trades, rate
        self.clients: set[web.WebSocketResponse] = set()
        self.begun = asyncio.Event()

    async def run(self) -> None:
        """Make trades from the first subscription to the last trade; quotes continue."""
        await self.begun.wait()
        start, made = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - start) * self.rate)
            frames = []
            while made < min(due, self.trades):
                frames.append(self.trade(made))
                made += 1
                if not made % QUOTE_EVERY:
                    frames.append(self.quote(made))
            if not frames and made == self.trades:  # trading is over, quoting is not
                frames = [self.quote(made)]
            for client in list(self.clients):
                try:
                    for frame in frames:
                        await client.send_str(frame)
                except ConnectionError:
                    self.clients.discard(client)
            await asyncio.sleep(0.002 if due <= self.trades else 0.05)

    def trade(self, made: int) -> str:
        """The frame of one trade, numbered within its symbol."""
        number, coin = divmod(made, self.symbols)
        now_ms = time.time_ns() // 1_000_000
        data = {
            "e": "trade",
            "E": now_ms,
            "s": f"COIN{coin}USDT",
            "t": number + 1,
            "p": "100.10",
            "q": "0.50",
            "T": now_ms,
            "m": False,
            "M": True,
        }
        return json.dumps({"stream": f"coin{coin}usdt@trade", "data": data})

    def quote(self, made: int) -> str:
        """The frame of one quote, symbols in turn."""
        coin = made // QUOTE_EVERY % self.symbols
        data = {"u": made, "s": f"COIN{coin}USDT", "b": "100.00", "B": f"{made}.0", "a": "100.20", "A": "1.0"}
        return json.dumps({"stream": f"coin{coin}usdt@bookTicker", "data": data})

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """A client: it hears everything from its first subscription on."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and "SUBSCRIBE" in message.data:
                await socket.send_str(json.dumps({"result": None, "id": message.json()["id"]}))
                self.clients.add(socket)
                self.begun.set()
        self.clients.discard(socket)
        return socket

    async def info(self, _: web.Request) -> web.Response:
        """The pairs."""
        rows = [
            {"symbol": f"COIN{i}USDT", "status": "TRADING", "baseAsset": f"COIN{i}", "quoteAsset": "USDT", "filters": []}
            for i in range(self.symbols)
        ]
        return web.json_response({"symbols": rows})


async def main() -> None:
    """Serve until ended."""
    market = Market(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    app = web.Application()
    app.add_routes([web.get("/stream", market.connect), web.get("/api/v3/exchangeInfo", market.info)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await market.run()


if __name__ == "__main__":
    asyncio.run(main())
