"""Prints when the consolidated spread of an instrument becomes wide, narrow again, crossed, or no longer current.

    python examples/spread_monitor.py redis://127.0.0.1:6379     (or unix:///…/valkey.sock, as `crosstape up` printed)

A quote is published only when it changes, so an old one may be right. It is used while its aggregator gives a sign of life.
"""

import argparse
import asyncio
import contextlib
from decimal import Decimal

from crosstape import Cbbo, CrosstapeError, Start, Tape

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")
WIDE_BPS = Decimal(2)  # hundredths of a percent of the mid price
MIN_VENUES = 2


def state(quote: Cbbo) -> str:
    """The state of the spread, in a word or two."""
    if quote.venues < MIN_VENUES or quote.spread_bps is None:
        return "one-sided" if quote.market == "one_sided" else f"of {quote.venues} venue{'s' * (quote.venues != 1)} only"
    if quote.spread_bps < 0:
        return "crossed"
    return "wide" if quote.spread_bps > WIDE_BPS else "narrow"


async def main(url: str) -> None:
    """Print each change of state, and the quote with it."""
    quotes: dict[str, Cbbo] = {}
    shown: dict[str, str] = {}
    async with Tape(url) as tape:
        events = tape.cbbo(*INSTRUMENTS, start=Start.LAST_THEN_NOW, newest=True)
        while True:
            for quote in await events.read(timeout_s=1.0):  # none after a second: time to look whether the quotes are still current
                quotes[quote.instrument] = quote
            for name, quote in quotes.items():
                now = state(quote) if tape.is_current(quote) else "not current"
                if now != shown.get(name):
                    shown[name] = now
                    bps = "unknown" if quote.spread_bps is None else f"{quote.spread_bps:.2f} bps"
                    prices = f"{quote.bid_price} on {' '.join(quote.bid_venues)} / {quote.ask_price} on {' '.join(quote.ask_venues)}"
                    print(f"{name} spread is {now}: {bps}, {prices}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Prints when a consolidated spread becomes wide, narrow or crossed.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(parser.parse_args().url))
    except CrosstapeError as error:
        parser.error(str(error))
