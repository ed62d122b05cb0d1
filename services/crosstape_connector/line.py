"""The line of one instrument's trades: by the venue's trade ids each is on the tape once, and a hole is told."""

from __future__ import annotations

import msgspec

from crosstape_connector.records import FeedRecord
from crosstape_connector.venue import LastTrade, TradeSnapshot
from crosstape_schemas import Event, GapCause, Instrument, Trade


class TradeLine(FeedRecord):
    """The trades of an instrument whose venue numbers them. `Feeds` handles the next trade of a live line itself; all else is here."""

    __slots__ = ("_contiguous", "_hole", "_mark", "_unseen", "duplicates", "next")

    def __init__(self, instrument: Instrument, *, contiguous: bool) -> None:
        """`contiguous`: ids grow by one, so that a hole can be told; else they only grow."""
        super().__init__(instrument, "trade")
        self._contiguous = contiguous
        self.next = -1
        """The id that follows the newest trade known; -1: none is known."""
        self.duplicates = 0
        self._hole = (0, 0)  # ids, first and past the last, of the newest hole told (one told in parts is one): a late trade of it is new
        self._mark = -1
        self._unseen = -1
        """What `next` was set to by the venue's word of trades that never came."""

    def seed(self, trade: Trade) -> None:
        """The newest trade that is on the tape from before, or by another's hand."""
        number = int(trade.trade_id)
        first, end = self._hole
        self._hole = (max(first, number + 1), max(end, number + 1))  # what it has of an older hole, it has not from us
        if number >= self.next:
            self.next = number + 1
            self.venue_ts = trade.venue_ts
            self.gap_from = trade.received_ts

    def accept(self, trade: Trade, number: int) -> list[Event]:
        """One trade: what it puts on the tape."""
        events = self.live(trade.received_ts)
        if self.next >= 0:
            if number < self.next:
                return events + self._earlier(trade, number)
            events += self._hole_before(number, trade.received_ts)
        return events + self._publish(trade, number)

    def snapshot(self, snapshot: TradeSnapshot) -> list[Event]:
        """The venue's newest trades, on subscribing.

        They repair a line that was broken. On a line that has not begun they are older than the tape: none is published, the newest of
        them is where it begins.
        """
        events = self.live(snapshot.received_ts)
        numbered = sorted(((int(trade.trade_id), trade) for trade in snapshot.trades), key=lambda pair: pair[0])
        if self.next >= 0:
            for number, trade in numbered:
                events += self.accept(trade, number)
        elif numbered:
            number, trade = numbered[-1]
            self.next = number + 1
            self.venue_ts = trade.venue_ts
            self.received_ts = snapshot.received_ts
            self.count += 1
        return events

    def told(self, last: LastTrade) -> list[Event]:
        """The venue's word of its newest trade. Word and trade may cross: a trade is missed only if the next word still finds it so."""
        if self.next < 0:
            return []
        mark, self._mark = self._mark, last.trade_id
        if last.trade_id < self.next != self._unseen:
            self.proven_ts = last.received_ts
        if mark < self.next:
            return []
        self._unseen = mark + 1
        return self._hole_before(mark + 1, last.received_ts)

    def _earlier(self, trade: Trade, number: int) -> list[Event]:
        first, end = self._hole
        if first <= number < end:
            self._hole = (number + 1, end)
            self.count += 1
            return [msgspec.structs.replace(trade, backfilled=True)]
        if trade.venue_ts is not None and self.venue_ts is not None and trade.venue_ts > self.venue_ts:
            gap = self.gap(trade.received_ts, None, GapCause.SEQUENCE)  # the venue began its numbering anew
            self._hole = (0, 0)
            self._mark = -1
            return [gap, *self._publish(trade, number)]
        self.duplicates += 1
        return []

    def _hole_before(self, number: int, now: int) -> list[Event]:
        """All ids below this one are the past from here on: those that never came are a gap."""
        missed = number - self.next
        if not self._contiguous:
            return self.resumed(now)
        cause = GapCause.DISCONNECT if self.gap_from else GapCause.SEQUENCE
        events: list[Event] = [self.gap(now, missed, cause)] if missed else []
        if missed:
            self._hole = (self._hole[0] if self._hole[1] == self.next else self.next, number)
        self.gap_from = 0
        self.next = number
        return events

    def _publish(self, trade: Trade, number: int) -> list[Event]:
        self.next = number + 1
        self.gap_from = 0
        self.venue_ts = trade.venue_ts
        self.received_ts = trade.received_ts
        self.count += 1
        return [trade]
