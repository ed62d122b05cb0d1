"""Values a portfolio once a second, at the mid prices of the consolidated quotes, and says what the value leaves out.

    python examples/portfolio.py redis://127.0.0.1:6379 BTC-USDT=0.5 ETH-USDT=12 SOL-USDT=-40

A position is valued while its quote is current, from two venues at least, and its spread is small. Any other is named and is not in the
total: in a sum, nobody sees that a price is old. Venues that do not count in a quote are named, too.
"""

import argparse
import asyncio
import contextlib
import time
from decimal import Decimal, InvalidOperation

from crosstape import Cbbo, CrosstapeError, Start, Tape

MIN_VENUES = 2
MAX_SPREAD_BPS = 500  # hundredths of a percent of the mid price
EVERY_S = 1.0


def trouble(quote: Cbbo | None, *, is_current: bool) -> str:
    """Why a position cannot be valued at this quote; empty if it can."""
    if quote is None:
        return "no quote"
    if not is_current:
        return "its quote is not current"
    if quote.mid is None or quote.spread_bps is None:
        return f"its market is {quote.market}"
    if abs(quote.spread_bps) > MAX_SPREAD_BPS:  # crossed by a little is usual between venues
        return f"its spread is {quote.spread_bps:.0f} bps"
    if quote.venues < MIN_VENUES:
        return f"only {quote.venues} venue counts"
    return ""


def line(holdings: dict[str, Decimal], quotes: dict[str, Cbbo], current: set[str]) -> str:
    """`total 40123.50 USDT of 2 of 3 positions`, then each position."""
    total, valued, parts = Decimal(0), 0, list[str]()
    for name, size in holdings.items():
        quote = quotes.get(name)
        if why := trouble(quote, is_current=name in current):
            parts.append(f"{name} {size} not valued: {why}")
        elif quote is not None and quote.mid is not None:
            total += size * quote.mid  # decimals: no digit is lost
            valued += 1
            out = [f"{leg.venue} ({leg.excluded})" for leg in quote.legs if leg.excluded]
            parts.append(f"{name} {size} at {quote.mid}" + (f" without {', '.join(out)}" if out else ""))
    return f"total {total:.2f} {currency(next(iter(holdings)))} of {valued} of {len(holdings)} positions: " + "; ".join(parts)


async def main(url: str, holdings: dict[str, Decimal]) -> None:
    """Print the value every second, whether prices move or not."""
    quotes: dict[str, Cbbo] = {}
    async with Tape(url) as tape:
        events = tape.cbbo(*holdings, start=Start.LAST_THEN_NOW, newest=True)
        due_s = time.monotonic() + EVERY_S
        while True:
            for quote in await events.read(timeout_s=max(0.0, due_s - time.monotonic())):
                quotes[quote.instrument] = quote
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + EVERY_S
                print(line(holdings, quotes, {name for name, quote in quotes.items() if tape.is_current(quote)}), flush=True)


def currency(instrument: str) -> str:
    """The currency of its prices: `BTC-USDT` → `USDT`."""
    return f"{instrument}-".split("-")[1]


def position(text: str) -> tuple[str, Decimal]:
    """`BTC-USDT=0.5` → its two parts. Raises `ValueError` for anything else."""
    name, _, size = text.partition("=")
    try:
        return name, Decimal(size)
    except InvalidOperation:
        raise ValueError(text) from None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Values a portfolio at live mid prices.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("positions", nargs="+", type=position, metavar="INSTRUMENT=SIZE", help="in base units; below 0: short")
    options = parser.parse_args()
    if len({currency(name) for name, _ in options.positions}) > 1:
        parser.error("the positions have several quote currencies: their values cannot be added up")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(options.url, dict(options.positions)))
    except CrosstapeError as error:
        parser.error(str(error))
