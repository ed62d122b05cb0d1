"""What a recording shows of trades: how their ids count, whether times go back, and whose side they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crosstape_connector.evidence.finding import Finding, Verdict, judge, share
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Quote, Side, Trade

SECTION: Final = "Trades"
FRESH_NS: Final = 2_000_000_000
"""A quote that is older than this, ns, says nothing of a trade's side."""
CLEAR: Final = 0.9
"""The least share of sides that agree with the quotes where the side is the taker's: trades and quotes come on different channels."""


class TradeEvidence:
    """Gathers the trades of one instrument, and the quotes between them."""

    def __init__(self, venue: Venue) -> None:
        self._rule = venue.trade_ids
        self._count = 0
        self._steps = 0
        self._by_one = 0
        self._back = 0
        self._not_numbers = 0
        self._newest: int | None = None
        self._venue_ts: int | None = None
        self._times_back = 0
        self._quote: Quote | None = None
        self._sided = 0
        self._as_taker = 0
        self._without_side = 0

    def quote(self, quote: Quote) -> None:
        """Remember the newest quote."""
        self._quote = quote

    def trade(self, trade: Trade) -> None:
        """Count one trade; those that were fetched later count by their ids only."""
        self._count += 1
        self._number(trade.trade_id)
        if trade.backfilled:
            return
        if trade.venue_ts is not None:
            self._times_back += self._venue_ts is not None and trade.venue_ts < self._venue_ts
            self._venue_ts = trade.venue_ts
        self._without_side += trade.taker is None
        quote = self._quote
        if quote is None or trade.taker is None or trade.received_ts - quote.received_ts > FRESH_NS:
            return
        bid, ask = quote.bid_price, quote.ask_price
        if bid is None or ask is None or bid >= ask:
            return
        if trade.price >= ask or trade.price <= bid:
            self._sided += 1
            self._as_taker += trade.taker is (Side.BUY if trade.price >= ask else Side.SELL)

    def _number(self, trade_id: str) -> None:
        if not (trade_id.isascii() and trade_id.isdecimal()):
            self._not_numbers += 1
            return
        number = int(trade_id)
        if self._newest is not None:
            self._steps += 1
            self._by_one += number == self._newest + 1
            self._back += number < self._newest
        self._newest = number

    def findings(self) -> Iterator[Finding]:
        """Yield the rows about trades."""
        if not self._count:
            yield Finding(SECTION, "trades", "none came", verdict=Verdict.NOT_SEEN)
            return
        verdict = Verdict.NOTED
        if self._rule == "contiguous":
            verdict = judge(self._by_one, self._steps)
        elif self._rule == "increasing":
            verdict = judge(self._steps - self._back, self._steps)
        seen = f"{share(self._by_one, self._steps)} steps are by one, {self._back} go back"
        if self._not_numbers:
            seen = f"{share(self._not_numbers, self._count)} are no decimal numbers; {seen}"
        yield Finding(SECTION, "ids", seen, self._rule if self._rule != "none" else "no order", verdict)
        yield Finding(SECTION, "times", f"{self._times_back} of {self._count} are before the trade before")
        if self._sided:
            clear = self._as_taker >= CLEAR * self._sided
            seen = f"{share(self._as_taker, self._sided)} trades at the best ask are buys, at the best bid sells"
            yield Finding(SECTION, "side", seen, "the taker's", Verdict.HOLDS if clear else Verdict.BROKEN)
        else:
            yield Finding(SECTION, "side", f"{self._without_side} without a side; none at a known quote", "the taker's", Verdict.NOT_SEEN)
