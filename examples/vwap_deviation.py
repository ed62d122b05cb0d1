"""Prints when the market moves away from the average price of the last minutes' trades (the VWAP), and when it is back.

    python examples/vwap_deviation.py redis://127.0.0.1:6379 --window 5m --limit-bps 5

The aggregator computes the VWAP over all venues, for the windows of the setting `aggregator.windows`, and each quote carries it. Here the
consolidated mid price is compared with it. A quote is used only while its aggregator gives a sign of life.
"""

import argparse
import asyncio
import contextlib
from decimal import Decimal

from crosstape import Cbbo, CrosstapeError, Start, Tape

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")
MIN_VENUES = 2


def deviation_bps(quote: Cbbo, window: str) -> Decimal | None:
    """How far the mid is from the VWAP, in hundredths of a percent of the VWAP; None where the quote does not say."""
    paid = quote.vwap.get(window)
    if quote.mid is None or quote.venues < MIN_VENUES or paid is None or not paid.price:
        return None
    return 10_000 * (quote.mid - paid.price) / paid.price


def line(quote: Cbbo, window: str, off: Decimal, side: str) -> str:
    """`BTC-USDT 64251.5 is 5.31 bps above its 5m VWAP 64217.4 (212 trades)`, and whether all trades of the window are known."""
    paid = quote.vwap[window]
    note = "" if paid.complete else ", some may be missing"
    return f"{quote.instrument} {quote.mid} is {abs(off):.2f} bps {side} its {window} VWAP {paid.price:.8g} ({paid.trades} trades{note})"


async def main(url: str, window: str, limit_bps: Decimal) -> None:
    """Print each instrument when it leaves the limit or comes back, and when its quote is no longer current."""
    quotes: dict[str, Cbbo] = {}
    shown: dict[str, str] = {}
    async with Tape(url) as tape:
        events = tape.cbbo(*INSTRUMENTS, start=Start.LAST_THEN_NOW, newest=True)
        while True:
            for quote in await events.read(timeout_s=1.0):
                quotes[quote.instrument] = quote
            for name, quote in quotes.items():
                off = deviation_bps(quote, window)
                current = tape.is_current(quote)
                side = (
                    "not current"
                    if not current
                    else "above"
                    if off and off > limit_bps
                    else "below"
                    if off and off < -limit_bps
                    else "near"
                )
                if side == shown.get(name, "near"):
                    continue
                shown[name] = side
                if off is not None and current:
                    print(line(quote, window, off, side), flush=True)
                elif not current:
                    print(f"{name} is not current: its aggregator gives no sign of life", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Prints when the market moves away from its VWAP.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("--window", default="5m", help="one of the setting aggregator.windows")
    parser.add_argument("--limit-bps", type=Decimal, default=Decimal(5))
    options = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(options.url, options.window, options.limit_bps))
    except CrosstapeError as error:
        parser.error(str(error))
