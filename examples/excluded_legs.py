"""Raises an alert when a venue has not counted in the consolidated quote for some seconds, and says why; and when it counts again.

    python examples/excluded_legs.py redis://127.0.0.1:6379 --after 3

A leg is excluded for an instant now and then; only one that stays excluded is worth an alert. A quote that is not current says nothing
about its legs: that raises an alert of its own.
"""

import argparse
import asyncio
import contextlib
import time

from crosstape import Cbbo, CrosstapeError, Start, Tape

INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USD", "ETH-USD")


class Legs:
    """The legs that are excluded now: since when, by the monotonic clock, why, and whether the alert was raised."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self.since_s: dict[tuple[str, str], float] = {}
        self.why: dict[tuple[str, str], str] = {}
        self.raised: set[tuple[str, str]] = set()
        self.unknown: set[str] = set()

    def apply(self, quote: Cbbo, now_s: float) -> None:
        """Note which legs are excluded; print those that count again after an alert."""
        for leg in quote.legs:
            key = (quote.instrument, leg.venue)
            if leg.excluded:
                self.since_s.setdefault(key, now_s)
                self.why[key] = f"{leg.excluded}, its feed is {leg.state}"
            elif (since_s := self.since_s.pop(key, None)) is not None and key in self.raised:
                self.raised.remove(key)
                print(f"{leg.venue} counts again in {quote.instrument}, after {now_s - since_s:.0f} s", flush=True)

    def alert(self, now_s: float, unknown: set[str]) -> None:
        """Print each leg that has been excluded for long enough, once, and each instrument whose quote is not current."""
        for name in sorted(unknown - self.unknown):
            print(f"ALERT nothing is known of {name}: its aggregator gives no sign of life", flush=True)
        self.unknown = unknown
        for key, since_s in self.since_s.items():
            if key not in self.raised and key[0] not in unknown and now_s - since_s >= self.after_s:
                self.raised.add(key)
                print(f"ALERT {key[1]} does not count in {key[0]}: {self.why[key]}", flush=True)


async def main(url: str, after_s: float) -> None:
    """Look at each quote, and at the clock at least once a second."""
    legs = Legs(after_s)
    quotes: dict[str, Cbbo] = {}
    async with Tape(url) as tape:
        events = tape.cbbo(*INSTRUMENTS, start=Start.LAST_THEN_NOW, newest=True)
        while True:
            for quote in await events.read(timeout_s=1.0):
                quotes[quote.instrument] = quote
                legs.apply(quote, time.monotonic())
            legs.alert(time.monotonic(), {name for name, quote in quotes.items() if not tape.is_current(quote)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Raises an alert when a venue does not count.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("--after", type=float, default=3.0, help="seconds that a leg must have been excluded")
    options = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(options.url, options.after))
    except CrosstapeError as error:
        parser.error(str(error))
