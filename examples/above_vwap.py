"""A strategy with `Reader`: is the market above or below the average price of the last minute's trades?

    python examples/above_vwap.py redis://127.0.0.1:6379     (or unix:///…/valkey.sock, as `crosstape up` printed)

It begins with the last quote of each instrument and reads all after it. Quotes that were trimmed before it read them are printed as missed.
A quote is used only while its aggregator gives a sign of life, which is a status once a second.
"""

import argparse
import asyncio
import contextlib
import sys
import time

from crosstape import BusSettings, Cbbo, Keys, Missed, Reader, SettingsError, SignsOfLife, Start, Status, connect

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")
START_S = 3.0  # after the start, the aggregator's sign of life may take this long


def missed(what: Missed) -> None:
    """Print what this reader did not receive."""
    print(f"missed: {what}", file=sys.stderr, flush=True)


def side(quote: Cbbo) -> str | None:
    """`above` or `below`; None where the quote does not say: too few venues count, or nothing traded."""
    paid = quote.vwap.get("1m")
    if quote.mid is None or quote.venues < 2 or paid is None or not paid.price:
        return None
    return "above" if quote.mid > paid.price else "below"


class Sides:
    """The last quote of each instrument and what was printed about it."""

    def __init__(self) -> None:
        self.quotes: dict[str, Cbbo] = {}
        self.shown: dict[str, str] = {}
        self.signs = SignsOfLife()
        self.began = time.monotonic()

    def show(self, quote: Cbbo) -> None:
        """Print the quote if its side has changed or if it is no longer current."""
        name, now = quote.instrument, time.monotonic()
        current = self.signs.is_current(quote, now)
        if not current and now - self.began < START_S:
            return
        said = side(quote) if current else "not current"
        if said is None or said == self.shown.get(name):
            return
        self.shown[name] = said
        if current:
            paid = quote.vwap["1m"]
            print(f"{name} {quote.mid} is {said} {paid.price:.8g}, paid over {paid.trades} trades", flush=True)
        else:
            print(f"{name} is not current: its aggregator gives no sign of life", flush=True)


async def main(url: str) -> None:
    """Print each instrument when its side changes, and when its quote is no longer current."""
    keys, sides = Keys(), Sides()
    streams = [keys.venue("consolidated"), *(keys.stream("cbbo", instrument) for instrument in INSTRUMENTS)]
    async with (
        connect(BusSettings(url=url)) as client,
        Reader(client, keys, streams=streams, start=Start.LAST_THEN_NOW, on_gap=missed) as tape,
    ):
        while True:
            events = [entry.event for entry in await tape.read(timeout_s=1.0)]
            for event in events:  # signs of life first: between streams there is no order
                if isinstance(event, Status):
                    sides.signs.apply(event, time.monotonic(), time.time_ns())
            for event in events:
                if isinstance(event, Cbbo):
                    sides.quotes[event.instrument] = event
                    sides.show(event)
            for quote in sides.quotes.values():
                sides.show(quote)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Is the market above or below the average price of the last minute's trades?")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    options = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(options.url))
    except SettingsError as error:
        parser.error(str(error))
