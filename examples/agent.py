"""An agent that looks, checks, decides and logs once a second, on real prices. It trades on paper: send your order where `trade` is called.

    python examples/agent.py redis://127.0.0.1:6379 BTC-USDT --log decisions.jsonl

It acts only on a quote that passes every check: it is current, two-sided, from enough venues, and its VWAP is known to be complete. Each
decision names the quote that it was made from (`epoch` and `seq`, as on the tape), so that it can be looked up later. The log is bounded.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import logging.handlers
import time
from decimal import Decimal

from crosstape import Cbbo, CrosstapeError, Start, Tape

EVERY_S = 1.0
MIN_VENUES = 2
WINDOW = "5m"
EDGE = Decimal("0.0005")  # of the VWAP: how far below it to buy, and above it to sell
SIZE, MAX_POSITION = Decimal("0.01"), Decimal("0.05")  # base units
LOG_BYTES = 1_000_000  # the log and one file before it: never more than twice this


class Agent:
    """Buys below the average price and sells above it, on paper."""

    def __init__(self) -> None:
        self.position = Decimal(0)
        self.cash = Decimal(0)

    def decide(self, quote: Cbbo) -> tuple[str, str]:
        """What to do, and why. Called only with a quote that passed the checks."""
        vwap = quote.vwap[WINDOW].price
        assert vwap is not None and quote.bid_price is not None and quote.ask_price is not None  # `objection` has looked
        if quote.ask_price < vwap * (1 - EDGE) and self.position < MAX_POSITION:
            return "buy", f"the ask {quote.ask_price} is below the {WINDOW} VWAP {vwap:.8g}"
        if quote.bid_price > vwap * (1 + EDGE) and self.position > -MAX_POSITION:
            return "sell", f"the bid {quote.bid_price} is above the {WINDOW} VWAP {vwap:.8g}"
        return "hold", "no edge, or the position is full"

    def trade(self, action: str, quote: Cbbo) -> None:
        """Trade on paper at the price that the quote shows."""
        price, size = (quote.ask_price, SIZE) if action == "buy" else (quote.bid_price, -SIZE)
        assert price is not None
        self.position += size
        self.cash -= size * price


def objection(quote: Cbbo | None, *, is_current: bool) -> str:
    """Why one must not act on this quote; empty if one may."""
    if quote is None:
        return "no quote yet"
    if not is_current:
        return "the quote is not current: its aggregator gives no sign of life"
    if quote.market != "normal":
        return f"the market is {quote.market}"
    if quote.venues < MIN_VENUES:
        return "too few venues count: " + ", ".join(f"{leg.venue} is out ({leg.excluded})" for leg in quote.legs if leg.excluded)
    vwap = quote.vwap.get(WINDOW)
    if vwap is None or vwap.price is None or not vwap.complete:
        return f"the {WINDOW} VWAP is not known to be complete"
    return ""


def decision_log(path: str) -> logging.Logger:
    """One JSON object a line; when it is full, the file before it is dropped."""
    logger = logging.getLogger("agent.decisions")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1))
    return logger


async def main(url: str, instrument: str, log: logging.Logger) -> None:
    """Decide every second; print each decision that differs from the one before."""
    agent, quote, before = Agent(), None, ("", "")
    async with Tape(url) as tape:
        events = tape.cbbo(instrument, start=Start.LAST_THEN_NOW, newest=True)
        due_s = time.monotonic() + EVERY_S
        while True:
            for quote in await events.read(timeout_s=max(0.0, due_s - time.monotonic())):
                pass  # the newest counts
            if time.monotonic() < due_s:
                continue
            due_s = time.monotonic() + EVERY_S
            why = objection(quote, is_current=quote is not None and tape.is_current(quote))
            action, reason = ("wait", why) if why or quote is None else agent.decide(quote)
            if quote is not None and action in ("buy", "sell"):
                agent.trade(action, quote)
            entry = {"ts": time.time_ns(), "action": action, "reason": reason, "position": str(agent.position), "cash": str(agent.cash)}
            log.info(json.dumps(entry | ({"epoch": quote.epoch, "seq": quote.seq} if quote else {})))
            if (action, reason) != before:
                before = (action, reason)
                print(f"{action}: {reason}; position {agent.position}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An agent on real prices that checks before it acts.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("instrument", help="such as BTC-USDT")
    parser.add_argument("--log", default="decisions.jsonl", help="file of the decisions")
    options = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(options.url, options.instrument, decision_log(options.log)))
    except CrosstapeError as error:
        parser.error(str(error))
