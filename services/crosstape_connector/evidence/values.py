"""What a recording shows of the figures of a derivative: mark and index prices, funding, open interest."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from crosstape_connector.evidence.finding import Finding, Verdict, millis
from crosstape_schemas import Funding, Mark, OpenInterest, Trade

SECTION: Final = "Figures"
FAR: Final = Decimal("0.1")
"""A mark or index price that is further from the last trade than this part of it is in other units, or another instrument's."""


class ValueEvidence:
    """Gathers the newest figures."""

    def __init__(self) -> None:
        self._price: Decimal | None = None
        self._mark: Mark | None = None
        self._funding: Funding | None = None
        self._interest: OpenInterest | None = None

    def trade(self, trade: Trade) -> None:
        """Remember the last price."""
        self._price = trade.price

    def value(self, event: Mark | Funding | OpenInterest) -> None:
        """Take a figure."""
        match event:
            case Mark():
                self._mark = event
            case Funding():
                self._funding = event
            case OpenInterest():
                self._interest = event

    def findings(self) -> Iterator[Finding]:
        """Yield a row for each figure that came."""
        if self._mark is not None:
            for name, price in (("mark price", self._mark.mark_price), ("index price", self._mark.index_price)):
                if price is not None:
                    yield Finding(SECTION, name, f"{price:f}, last trade {self._shown()}", "near the price", self._near(price))
        if self._funding is not None:
            one = self._funding
            due = "no next time" if one.next_ts is None else f"next in {millis(one.next_ts - one.received_ts)}"
            ahead = one.next_ts is None or one.next_ts > one.received_ts
            every = "no interval" if one.interval_s is None else f"every {one.interval_s} s"
            yield Finding(SECTION, "funding", f"{one.rate:f}, {every}, {due}", "is still due", Verdict.HOLDS if ahead else Verdict.BROKEN)
        if self._interest is not None:
            size, value = self._interest.size, self._interest.value
            shown = " and ".join(f"{amount:f} {unit}" for amount, unit in ((size, "base"), (value, "quote")) if amount is not None)
            yield Finding(SECTION, "open interest", shown or "nothing")

    def _shown(self) -> str:
        return "not known" if self._price is None else f"{self._price:f}"

    def _near(self, price: Decimal) -> Verdict:
        if self._price is None:
            return Verdict.NOT_SEEN
        return Verdict.HOLDS if abs(price - self._price) <= FAR * self._price else Verdict.BROKEN
