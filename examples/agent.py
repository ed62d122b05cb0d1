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
from typing import NamedTuple

from crosstape import Cbbo, CrosstapeError, Start, Tape

MIN_VENUES = 2
WINDOW = "1m"
EDGE = Decimal("0.0001")  # of the VWAP: how far below it to buy, and above it to sell. With real money, more than your fees
SIZE, MAX_POSITION = Decimal("0.01"), Decimal("0.05")  # base units
LOG_BYTES = 1_000_000  # of the log, and of one file before it


class Decision(NamedTuple):
    """What to do, why, and at which price if it is a trade."""

    action: str
    reason: str
    price: Decimal | None = None


class Agent:
    """Buys below the average price and sells above it, on paper."""

    def __init__(self) -> None:
        self.position = Decimal(0)
        self.cash = Decimal(0)

    def decide(self, quote: Cbbo | None, *, is_current: bool) -> Decision:
        """Decide what to do at this quote; first of all, whether it may be used."""
        if quote is None:
            return Decision("wait", "no quote yet")
        if not is_current:
            return Decision("wait", "the quote is not current: its aggregator gives no sign of life")
        if quote.market != "normal" or quote.bid_price is None or quote.ask_price is None:
            return Decision("wait", f"the market is {quote.market}")
        if quote.venues < MIN_VENUES:
            out = ", ".join(f"{leg.venue} is out ({leg.excluded})" for leg in quote.legs if leg.excluded)
            return Decision("wait", f"too few venues count: {out}")
        vwap = quote.vwap.get(WINDOW)
        if vwap is None or vwap.price is None or not vwap.complete:
            return Decision("wait", f"the {WINDOW} VWAP is not known to be complete")
        if quote.ask_price < vwap.price * (1 - EDGE) and self.position < MAX_POSITION:
            return Decision("buy", f"the ask {quote.ask_price} is below the {WINDOW} VWAP {vwap.price:.8g}", quote.ask_price)
        if quote.bid_price > vwap.price * (1 + EDGE) and self.position > -MAX_POSITION:
            return Decision("sell", f"the bid {quote.bid_price} is above the {WINDOW} VWAP {vwap.price:.8g}", quote.bid_price)
        return Decision("hold", "no edge, or the position is full")

    def trade(self, size: Decimal, price: Decimal) -> None:
        """Trade on paper, at the price that the quote shows. A real order may get less."""
        self.position += size
        self.cash -= size * price


def decision_log(path: str, limit: int = LOG_BYTES) -> logging.Logger:
    """One JSON object a line; when it is full, the file before it is dropped."""
    logger = logging.getLogger("agent.decisions")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.handlers.RotatingFileHandler(path, maxBytes=limit, backupCount=1))
    return logger


async def main(url: str, instrument: str, log: logging.Logger, every_s: float) -> None:
    """Decide every `every_s` seconds; print each decision that differs from the one before."""
    agent, quote, before = Agent(), None, None
    async with Tape(url) as tape:
        quotes = tape.cbbo(instrument, start=Start.LAST_THEN_NOW, newest=True)
        due_s = time.monotonic() + every_s
        while True:
            if found := await quotes.read(timeout_s=max(0.0, due_s - time.monotonic())):
                quote = found[-1]
            if time.monotonic() < due_s:
                continue
            due_s = time.monotonic() + every_s
            decision = agent.decide(quote, is_current=quote is not None and tape.is_current(quote))
            if decision.price is not None:
                agent.trade(SIZE if decision.action == "buy" else -SIZE, decision.price)
            entry = {"ts": time.time_ns(), "action": decision.action, "reason": decision.reason, "position": str(agent.position)}
            seen = {"epoch": quote.epoch, "seq": quote.seq} if quote else {}
            log.info(json.dumps(entry | {"cash": str(agent.cash)} | seen))
            if decision != before:
                before = decision
                print(f"{decision.action}: {decision.reason}; position {agent.position}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An agent on real prices that checks before it acts.")
    parser.add_argument("url", help="of the server, such as redis://127.0.0.1:6379")
    parser.add_argument("instrument", help="such as BTC-USDT")
    parser.add_argument("--log", default="decisions.jsonl", help="file of the decisions")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between decisions")
    options = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(options.url, options.instrument, decision_log(options.log), options.every))
    except CrosstapeError as error:
        parser.error(str(error))
