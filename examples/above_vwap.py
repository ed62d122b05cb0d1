"""A strategy with `Reader`: is the market above or below what was paid for it in the last minute?

    python examples/above_vwap.py redis://127.0.0.1:6379     (or unix:///…/valkey.sock, as `crosstape up` printed)

Begins with the last quote of each instrument and misses none after it; a hole in the numbering, were there one, would be told.
"""

import asyncio
import sys

from crosstape import BusSettings, Cbbo, Keys, Missed, Reader, Start, connect

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")


def told(missed: Missed) -> None:
    """Trimmed before we read it, or lost by the server: either way we know."""
    print(f"missed: {missed}", file=sys.stderr)


async def main(url: str) -> None:
    """Print each instrument when its side changes."""
    side: dict[str, str] = {}
    keys = Keys()
    streams = [keys.stream("cbbo", instrument) for instrument in INSTRUMENTS]
    async with (
        connect(BusSettings(url=url)) as client,
        Reader(client, keys, streams=streams, start=Start.LAST_THEN_NOW, on_gap=told) as tape,
    ):
        async for entry in tape:
            match entry.event:
                case Cbbo(instrument=name, mid=mid, venues=venues, vwap={"1m": paid}) if mid and paid.price and venues >= 2:
                    now = "above" if mid > paid.price else "below"
                    if now != side.get(name):
                        print(f"{name} {mid} is {now} {paid.price:.8g}, paid over {paid.trades} trades", flush=True)
                    side[name] = now


asyncio.run(main(sys.argv[1]))
