"""A strategy with plain redis-py: where could one buy on one venue and sell on another, before fees?

    python examples/edges.py redis://127.0.0.1:6379          (or unix:///…/valkey.sock, as `crosstape up` printed)

Reads the streams, so it misses nothing: each read begins after the id of the last entry seen. Prices are strings: keep them decimal.
"""

import json
import sys
from decimal import Decimal
from typing import Any

import redis

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")


def edge(quote: dict[str, Any]) -> tuple[Decimal, str, str] | None:
    """(profit per unit, where to buy, where to sell) over the legs that count."""
    legs = [leg for leg in quote["legs"] if leg["excluded"] is None and leg["bid_price"] and leg["ask_price"]]
    if not legs:
        return None
    buy = min(legs, key=lambda leg: Decimal(leg["ask_price"]))
    sell = max(legs, key=lambda leg: Decimal(leg["bid_price"]))
    return Decimal(sell["bid_price"]) - Decimal(buy["ask_price"]), buy["venue"], sell["venue"]


server: Any = redis.Redis.from_url(sys.argv[1])
cursors = {f"tape:cbbo:{instrument}": "0" if "--from-start" in sys.argv else "$" for instrument in INSTRUMENTS}
while True:
    for stream, entries in server.xread(cursors, block=1000):
        cursors[stream.decode()] = entries[-1][0]
        for _, fields in entries:
            quote = json.loads(fields[b"d"])
            found = edge(quote)
            if found and found[0] > 0:
                print(f"{quote['instrument']}: buy on {found[1]}, sell on {found[2]}: {found[0]}", flush=True)
