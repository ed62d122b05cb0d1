"""Runs ccxt.pro and cryptofeed on frames that `venues.py` wrote; prints µs a frame as JSON lines. It imports nothing of crosstape.

    python venues_peers.py CASES.json PASSES

Each library gets the text of a frame as its own connection would give it, and does what it does for a subscriber: it parses, updates its
book or makes its trades, and calls the callback. Books start from the recording's own snapshots.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

Step = Callable[[str, float], Awaitable[None]]
"""Handles a frame that was received at this time (s)."""


async def ccxt_step(name: str, case: dict[str, Any], symbols: dict[str, tuple[str, str]], url: str) -> Step:
    """One of ccxt.pro's exchanges, offline: markets by name, books from snapshots."""
    import ccxt.pro  # noqa: PLC0415

    exchange = getattr(ccxt.pro, name)({"newUpdates": True})
    markets = []
    for symbol, (base, quote) in symbols.items():
        row = {
            "id": symbol, "symbol": f"{base}/{quote}", "base": base, "quote": quote, "baseId": base, "quoteId": quote, "type": "spot",
            "spot": True, "swap": False, "future": False, "option": False, "contract": False, "active": True,
            "precision": {"amount": 1e-8, "price": 1e-8}, "limits": {}, "info": {},
        }  # fmt: skip
        markets.append(exchange.safe_market_structure(row))
    exchange.set_markets(markets)
    client = exchange.client(url)
    for symbol, snapshot in case["snapshots"].items():
        data = json.loads(snapshot)["data"]
        market = exchange.market("/".join(symbols[symbol]))["symbol"]
        book = exchange.order_book(exchange.parse_order_book(data, market, None, "bids", "asks", 0, 1))
        book["nonce"] = int(data["sequence"])
        exchange.orderbooks[market] = book

    async def step(text: str, _: float) -> None:
        client.handle_text_or_binary_message(text)

    return step


async def cryptofeed_step(name: str, case: dict[str, Any], symbols: dict[str, tuple[str, str]]) -> Step:
    """One of cryptofeed's feeds, offline, with a callback that does nothing."""
    from cryptofeed import exchanges  # noqa: PLC0415
    from cryptofeed.defines import L2_BOOK  # noqa: PLC0415
    from cryptofeed.symbols import Symbols  # noqa: PLC0415

    feed_class = getattr(exchanges, name)
    kind = "perpetual" if name == "BinanceFutures" else "spot"
    names = {f"{base}-{quote}{'-PERP' if kind == 'perpetual' else ''}": symbol for symbol, (base, quote) in symbols.items()}
    info = {"tick_size": dict.fromkeys(names, "0.00000001"), "instrument_type": dict.fromkeys(names, kind)}
    Symbols.set(feed_class.id, names, info)

    async def heard(*_: object) -> None:
        pass

    feed = feed_class(symbols=list(names), channels=[L2_BOOK], callbacks={L2_BOOK: heard})
    connection = SimpleNamespace(uuid="1", subscription={})

    async def answered(url: str, **_: object) -> str:
        return str(next(body for symbol, body in case["snapshots"].items() if symbol.upper() in url.upper()))

    feed.http_conn = SimpleNamespace(read=answered)

    async def step(text: str, at: float) -> None:
        await feed.message_handler(text, connection, at)

    return step


async def measured(case: dict[str, Any], passes: int) -> list[dict[str, Any]]:
    """Returns for each kind of frame the mean of the least times."""
    library, name = case["peer"].split(".")
    symbols = {symbol: tuple(pair) for symbol, pair in case["symbols"].items()}
    least: list[int] = []
    for _ in range(passes):
        step = await (ccxt_step(name, case, symbols, case["url"]) if library == "ccxt" else cryptofeed_step(name, case, symbols))
        times = []
        for at, text in case["frames"]:
            started = time.perf_counter_ns()
            await step(text, at / 1e9)
            times.append(time.perf_counter_ns() - started)
        least = list(map(min, least, times)) if least else times
    rows = []
    for kind in case["wanted"]:
        found = [spent for spent, one in zip(least, case["kinds"], strict=True) if one == kind]
        rows.append({"peer": case["peer"], "kind": kind, "frames": len(found), "peer_us": round(sum(found) / len(found) / 1_000, 2)})
    return rows


async def main() -> None:
    """Run all cases."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: ASYNC230, PTH123  # nothing else runs
        cases = json.load(file)
    logging.disable(logging.CRITICAL)
    for case in cases:
        if case["peer"].startswith("cryptofeed") and importlib.util.find_spec("cryptofeed") is None:
            continue
        for row in await measured(case, int(sys.argv[2])):
            print(json.dumps(row), flush=True)


asyncio.run(main())
