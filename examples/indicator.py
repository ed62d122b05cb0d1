"""Indicators on consolidated bars, with talipp: RSI and ATR of 14 minutes, over the trades of all venues.

    .venv/bin/python examples/indicator.py redis://127.0.0.1:6379 BTC-USDT     (or unix:///…/valkey.sock, as `crosstape up` printed)

It reads the bars that the stream holds, so that the indicators are warm as soon as there are 15 of them, and prints a line for each
bar that closes from then on. A bar that comes again with a later revision replaces its former one. Talipp computes with floats: prices
are exact up to there.
"""

import argparse
import asyncio
import contextlib
import sys
import time

from talipp.indicators import ATR, RSI
from talipp.ohlcv import OHLCV

from crosstape import Bar, CrosstapeError, Missed, Start, Tape

PERIOD = 14
KEPT = 500  # bars: the averages of RSI and ATR reach back further than their period


def missed(what: Missed) -> None:
    """Print what this reader did not receive."""
    print(f"missed: {what}", file=sys.stderr, flush=True)


class Indicators:
    """The closed bars of one instrument, oldest first, and the indicators of them."""

    def __init__(self) -> None:
        self.bars: dict[int, Bar] = {}
        self.rsi, self.atr = RSI(PERIOD), ATR(PERIOD)

    def apply(self, bar: Bar) -> bool:
        """Apply a closed bar. Returns whether it is news: not applied yet, and not older than all bars that are kept."""
        newest = next(reversed(self.bars.values()), None)
        before = self.bars.get(bar.open_ts)
        if bar.close is None or (before and before.revision >= bar.revision) or (self.bars and bar.open_ts < next(iter(self.bars))):
            return False
        has_all = not bar.timeframe.endswith("s")  # a second without trades has no bar
        if newest and bar.open_ts > newest.close_ts and has_all:  # bars are missing: what comes after says nothing about what was before
            print(f"{bar.instrument} bars are missing before {when(bar)}: the indicators begin again", file=sys.stderr, flush=True)
            self.bars.clear()
            newest = None
        self.bars[bar.open_ts] = bar
        if newest and bar.open_ts >= newest.close_ts and len(self.bars) <= 2 * KEPT:
            self._add(bar)
        else:  # a revision, or the first one, or there are too many: compute all from the bars that are kept
            self.bars = dict(sorted(self.bars.items())[-KEPT:])
            self.rsi, self.atr = RSI(PERIOD), ATR(PERIOD)
            for one in self.bars.values():
                self._add(one)
        return True

    def _add(self, bar: Bar) -> None:
        if bar.open is not None and bar.high is not None and bar.low is not None and bar.close is not None:
            first, high, low, last, volume = map(float, (bar.open, bar.high, bar.low, bar.close, bar.volume))
            self.rsi.add(last)
            self.atr.add(OHLCV(first, high, low, last, volume))

    def line(self, bar: Bar) -> str:
        """`BTC-USDT 12:04 close 63000.1 rsi 55.1 atr 12.35`, with what should be known before one trades by it."""
        known = [(name, one[-1] if len(one) else None) for name, one in (("rsi", self.rsi), ("atr", self.atr))]
        values = [f"{name} {'–' if value is None else f'{value:.2f}'}" for name, value in known]
        unsure = sum(not one.complete for one in [*self.bars.values()][-PERIOD - 1 :])
        notes = [f"(revision {bar.revision})"] * (bar.revision > 0) + [f"({unsure} of the last bars may lack trades)"] * (unsure > 0)
        return " ".join([bar.instrument, when(bar), f"close {bar.close}", *values, *notes])


def when(bar: Bar) -> str:
    """When it opened, UTC: with its seconds or its day where the timeframe needs them."""
    form = "%H:%M:%S" if bar.timeframe.endswith("s") else "%H:%M" if bar.timeframe[-1] in "mh" else "%Y-%m-%d"
    return time.strftime(form, time.gmtime(bar.open_ts // 10**9))


async def main(url: str, instrument: str, timeframe: str) -> None:
    """Print a line for each consolidated bar that closes, and for each revision of one."""
    indicators = Indicators()
    began_ms = time.time_ns() // 1_000_000
    async with Tape(url) as tape:
        bars = tape.bars(instrument, timeframe, start=Start.BEGINNING, on_missed=missed)
        while True:
            for entry in await bars.entries():
                bar = entry.event
                if isinstance(bar, Bar) and bar.closed and indicators.apply(bar):
                    written_ms = int(entry.id.partition("-")[0])  # by the server's clock
                    if written_ms >= began_ms:
                        print(indicators.line(bar), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="RSI and ATR of consolidated bars.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("instrument", help="such as BTC-USDT")
    parser.add_argument("--timeframe", default="1m", help="one that aggregator.bars names")
    options = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(options.url, options.instrument, options.timeframe))
    except CrosstapeError as error:
        parser.error(str(error))
