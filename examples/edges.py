"""A strategy with plain redis-py: where could one buy on one venue and sell on another, before fees?

    python examples/edges.py redis://127.0.0.1:6379          (or unix:///…/valkey.sock, as `crosstape up` printed)

It reads the streams from now on (`--from-start`: from their oldest entry) and prints each edge once. It waits while the server is away and
continues after the last entry that it has read. Prices are strings on the tape; it computes with decimals.
"""

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import redis

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")
LIFE = "tape:venue:consolidated"  # the aggregator's sign of life, once a second
SILENT_S = 3.0  # a quote is current only while its aggregator has been heard within this time


def events(server: Any, streams: list[str], *, from_start: bool) -> Iterator[dict[str, Any] | None]:
    """Each event of the streams once; None after a second without any."""
    ids: dict[str, str] = dict.fromkeys(streams, "0-0") if from_start else {}
    while True:
        try:
            for stream in streams:  # ask where "now" is only once: a "$" that is sent again skips what came in between
                if stream not in ids:
                    newest = server.xrevrange(stream, count=1)
                    ids[stream] = newest[0][0] if newest else "0-0"
            answer = server.xread(ids, count=500, block=1000)  # in ms; must be shorter than the client's socket timeout (5 s)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            print(f"waiting for the server: {error}", file=sys.stderr, flush=True)
            time.sleep(1)
            continue
        for stream, entries in answer:
            for ids[stream], fields in entries:
                yield json.loads(fields["d"])
        yield None


def edge(quote: dict[str, Any]) -> tuple[Decimal, str, str] | None:
    """(profit per unit, where to buy, where to sell) over the legs that count."""
    legs = [leg for leg in quote["legs"] if leg["excluded"] is None and leg["bid_price"] and leg["ask_price"]]
    if not legs:
        return None
    buy = min(legs, key=lambda leg: Decimal(leg["ask_price"]))
    sell = max(legs, key=lambda leg: Decimal(leg["bid_price"]))
    return Decimal(sell["bid_price"]) - Decimal(buy["ask_price"]), buy["venue"], sell["venue"]


def main(server: Any, *, from_start: bool) -> None:
    """Print each edge; report on standard error when one can no longer be trusted."""
    heard: dict[int, float] = {}  # the aggregator's epoch: when it last gave its sign of life
    edges: dict[str, int] = {}  # instruments that have an edge now: the epoch of the aggregator that says so
    for event in events(server, [LIFE, *(f"tape:cbbo:{name}" for name in INSTRUMENTS)], from_start=from_start):
        now = time.monotonic()
        if event and event["type"] == "status":
            heard[event["epoch"]] = now if event["state"] != "down" else -math.inf
        elif event and event["type"] == "cbbo":
            name, epoch = event["instrument"], event["epoch"]
            heard.setdefault(epoch, now)
            edges.pop(name, None)
            found = edge(event)
            if found and found[0] > 0:
                print(f"{name}: buy on {found[1]}, sell on {found[2]}: {found[0]}", flush=True)
                edges[name] = epoch
        for name in [name for name, epoch in edges.items() if now - heard[epoch] > SILENT_S]:
            print(f"{name}: not current: its aggregator has been silent for {SILENT_S:g} s", file=sys.stderr, flush=True)
            del edges[name]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Where could one buy on one venue and sell on another, before fees?")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("--from-start", action="store_true", help="begin with the oldest entry of each stream")
    options = parser.parse_args()
    try:
        client = redis.Redis.from_url(options.url, decode_responses=True)
    except ValueError as error:
        parser.error(str(error))
    with contextlib.suppress(KeyboardInterrupt):
        main(client, from_start=options.from_start)
