"""Finds the symbols whose subscription makes a venue close the connection, for endpoints with `unknown_closes_s`. Pure.

Such a venue answers a subscription of an unknown symbol with the end of the connection: no refusal names it, and all other subscriptions of
the connection end with it. So what was sent shortly before a close, and not answered, is suspect. On the next connection of the slot:

1. symbols that are not suspect are subscribed first, as usual;
2. then those that are, with one request under way at a time: whatever is confirmed is suspect no longer;
3. a close while one request is under way is held against its symbol, if the connection had confirmed another; the second time the symbol is
   rejected, and not requested for `RETRY_S`.

A venue that closes every connection (maintenance) confirms nothing, so that nothing is held against any symbol. A connection that is lost
for another reason costs the time of single requests; twice while the same symbol is under way, that symbol for `RETRY_S`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from crosstape_connector.feeds.keys import Topic

STRIKES: Final = 2
"""Closes that are held against a symbol until it is rejected."""
RETRY_S: Final = 3_600.0
"""A symbol that was rejected so long ago is tried once more by the next connection, last and alone: the venue may know it by now."""
REASON: Final = "the venue closes the connection when this symbol is subscribed"


class Quarantine:
    """The suspect and the rejected symbols of one connection slot."""

    def __init__(self, within_s: float) -> None:
        """`within_s`: `Endpoint.unknown_closes_s`; 0: nothing is ever suspect."""
        self._within_s = within_s
        self._suspects: dict[str, None] = {}  # in the order in which they are tried
        self._strikes: Counter[str] = Counter()
        self._rejected_at: dict[str, float] = {}

    def is_rejected(self, symbol: str) -> bool:
        """Whether the symbol is not requested any more."""
        return self._strikes[symbol] >= STRIKES

    def divided(self, topics: Sequence[Topic]) -> tuple[list[Topic], list[Topic], list[Topic]]:
        """Return the topics to request, those of suspect symbols, and those of rejected symbols."""
        rejected = [topic for topic in topics if self.is_rejected(topic.symbol)]
        wanted = [topic for topic in topics if not self.is_rejected(topic.symbol)]
        suspect = [topic for topic in wanted if topic.symbol in self._suspects]
        order = {symbol: place for place, symbol in enumerate(self._suspects)}
        suspect.sort(key=lambda topic: order[topic.symbol])
        return [topic for topic in wanted if topic.symbol not in self._suspects], suspect, rejected

    def must_be_alone(self, topics: Iterable[Topic]) -> bool:
        """Whether a request for these topics has to wait until no other one is under way."""
        return bool(self._suspects) and any(topic.symbol in self._suspects for topic in topics)

    def release(self, symbols: Iterable[str]) -> None:
        """Note that the venue has confirmed subscriptions of these symbols: it knows them."""
        for symbol in symbols:
            self._suspects.pop(symbol, None)
            self._rejected_at.pop(symbol, None)
            del self._strikes[symbol]

    def closed(self, unanswered: Sequence[tuple[float, Topic]], now: float, *, served: bool) -> None:
        """Note that a connection was lost. `unanswered`: see `Subscriptions.unanswered`; `now`: in seconds of the same clock. `served`:
        whether the connection had confirmed another subscription.
        """
        recent = dict.fromkeys(topic.symbol for sent_at, topic in unanswered if now - sent_at <= self._within_s)
        if len(recent) == 1:
            (symbol,) = recent
            self._strikes[symbol] += served
            if self.is_rejected(symbol):
                self._rejected_at[symbol] = now
            self._suspects.pop(symbol, None)  # the others are tried before it: one that is confirmed shows that it is at fault
        self._suspects |= recent

    def try_again(self, now: float) -> None:
        """Let the next connection try the symbols that were rejected `RETRY_S` ago or longer."""
        for symbol in [symbol for symbol, at in self._rejected_at.items() if now - at >= RETRY_S]:
            del self._rejected_at[symbol]
            self._strikes[symbol] = STRIKES - 1
