"""The line of one instrument's trades: by the venue's trade ids each is on the tape once, and a hole is told.

Trades come from the stream (`accept`, `snapshot`), and by REST: those of a hole (`repair`), and in place of the stream while it cannot be
had (`polled`). Whatever came by REST says `backfilled`: it was not seen live.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.trades.gaps import OpenGap, OpenGaps
from crosstape_connector.venues.messages import LastTrade, TradeSnapshot
from crosstape_schemas import Event, FeedState, GapCause, Instrument, Trade


class TradeSequence(FeedRecord):
    """The trades of an instrument whose venue numbers them. `Feeds` handles the next trade of a live line itself; all else is here."""

    __slots__ = ("_contiguous", "_mark", "_seeded_ts", "_unseen", "duplicates", "next_id", "open_gaps")

    def __init__(self, instrument: Instrument, *, contiguous: bool) -> None:
        """`contiguous`: ids grow by one, so that a hole can be told; else they only grow."""
        super().__init__(instrument, "trade")
        self._contiguous = contiguous
        self.next_id = -1
        """The id that follows the newest trade known; -1: none is known."""
        self.duplicates = 0
        self.open_gaps = OpenGaps()
        """What was told as missing, and is: a trade of it that comes late is new."""
        self._mark = -1
        self._seeded_ts = 0
        """When the newest trade that was on the tape from before was received; 0: none was."""
        self._unseen = -1
        """What `next` was set to by the venue's word of trades that never came."""

    def seed(self, trade: Trade) -> None:
        """The newest trade that is on the tape from before, or by another's hand."""
        number = int(trade.trade_id)
        if number >= self.next_id:
            self.next_id = number + 1
            self.venue_ts = trade.venue_ts
            self.gap_from = self._seeded_ts = trade.received_ts

    def set_missing(self, holes: Iterable[OpenGap], now: int) -> None:
        """These are missing, and no others: another line has published until now, and knows of older ones what became of them."""
        self.open_gaps = OpenGaps()
        for hole in holes:
            self.open_gaps.add(hole, now)

    def accept(self, trade: Trade, number: int) -> list[Event]:
        """One trade: what it puts on the tape. One of before, which answers a new subscription, does not show that more will come."""
        is_old_news = trade.backfilled and number >= self.next_id >= 0 and self.check_answer()
        return [*(() if is_old_news else self.set_live(trade.received_ts)), *self._place(trade, number)]

    def _place(self, trade: Trade, number: int) -> list[Event]:
        events: list[Event] = []
        if self.next_id >= 0:
            if number < self.next_id:
                return events + self._earlier(trade, number)
            events += self._hole_before(number, trade.received_ts)
        return events + self._publish(trade, number)

    def apply_snapshot(self, snapshot: TradeSnapshot) -> list[Event]:
        """The venue's newest trades, on subscribing.

        They repair a line that was broken. On a line that has not begun they are older than the tape: none is published, the newest of
        them is where it begins. If the line was silent, and the venue has newer trades than that, the stream had not brought them.
        """
        numbered = _numbered(snapshot.trades)
        has_news = self.next_id >= 0 and any(number >= self.next_id for number, _ in numbered)
        events = [] if has_news and self.check_answer() else self.set_live(snapshot.received_ts)
        if self.next_id >= 0:
            for number, trade in numbered:
                events += self._place(trade, number)
        elif numbered:
            number, trade = numbered[-1]
            self.next_id = number + 1
            self.venue_ts = trade.venue_ts
            self.received_ts = snapshot.received_ts
            self.count += 1
        self.replayed_ts = self.received_ts
        return events

    def apply_last_trade(self, last: LastTrade) -> list[Event]:
        """The venue's word of its newest trade. Word and trade may cross: a trade is missed only if the next word still finds it so."""
        if self.next_id < 0:
            return []
        mark, self._mark = self._mark, last.trade_id
        if last.trade_id < self.next_id != self._unseen:
            self.proven_ts = last.received_ts
        if mark < self.next_id:
            return []
        self._unseen = mark + 1
        return self._hole_before(mark + 1, last.received_ts)

    def fill_gaps(self, trades: Iterable[Trade]) -> list[Event]:
        """Trades fetched by REST: those that are missing are published, and what is whole by them is told. No other is."""
        events: list[Event] = []
        for number, trade in _numbered(trades):
            if number < self.next_id:
                events += self._late(trade, number) or ()
        return events

    def check_nonexistent(self, hole: OpenGap, page: TradeSnapshot, now_s: float) -> list[Event]:
        """Learn from an answer of REST which of the hole's ids never existed, after `repair` has taken its trades; see `OpenGap.prove`."""
        if page.left_out:
            return []  # what could not be read may be what is missing
        return [
            *self.open_gaps.check_nonexistent(hole, [number for number, _ in _numbered(page.trades)], now_s=now_s, now=page.received_ts)
        ]

    def apply_poll(self, page: TradeSnapshot, reason: str, whole_ts: int) -> list[Event]:
        """The trades of REST while there is no stream: all that are new. `reason`: what is said of the feed meanwhile.

        `whole_ts`: what was made before that, by our clock, and is not known, is in the page; 0: there may be more of it.
        An answer that comes when the stream is there again brings only what was missing.
        """
        if self.state is FeedState.LIVE or self.confirmed:
            return self.fill_gaps(page.trades)
        now = page.received_ts
        events: list[Event] = self.set_state(FeedState.RECOVERING, reason, now)
        numbered = _numbered(page.trades)
        self.fetched_ts = now
        if self.next_id < 0:
            for number, trade in numbered[-1:]:
                self.next_id = number + 1
                self.venue_ts = trade.venue_ts
                self.gap_from = whole_ts or now
            return events
        before = self.gap_from
        if not self._contiguous and numbered and numbered[0][0] < self.next_id:
            self.gap_from = 0  # the page reaches back to what is known
        for number, trade in numbered:
            if number < self.next_id:
                events += self._late(trade, number) or ()
                continue
            events += self._hole_before(number, now)
            events.append(msgspec.structs.replace(trade, backfilled=True))
            self.next_id = number + 1
            self.venue_ts = trade.venue_ts
            self.gap_from = before  # the stream's hole goes on …
        self.gap_from = max(before, whole_ts)  # … from here
        return events

    def _late(self, trade: Trade, number: int) -> list[Event] | None:
        """None if it was not missing."""
        gaps = self.open_gaps.fill(number, trade)
        if gaps is None:
            return None
        if trade.venue_ts is not None:
            self.venue_ts = max(self.venue_ts or 0, trade.venue_ts)  # if the venue's word told the hole, it is the newest
            self.replayed_ts = self.received_ts
        return [msgspec.structs.replace(trade, backfilled=True), *gaps]

    def _earlier(self, trade: Trade, number: int) -> list[Event]:
        events = self._late(trade, number)
        if events is not None:
            self.count += 1
            return events
        if trade.venue_ts is not None and self.venue_ts is not None and trade.venue_ts > self.venue_ts:
            gap = self.gap_event(trade.received_ts, None, GapCause.SEQUENCE)  # the venue began its numbering anew
            self._mark = -1
            return [*self.open_gaps.close_all(trade.received_ts), gap, *self._publish(trade, number)]
        self.duplicates += 1
        return []

    def _hole_before(self, number: int, now: int) -> list[Event]:
        """All ids below this one are the past from here on: those that never came are a gap."""
        missed = number - self.next_id
        if not self._contiguous:
            return self.end_gap(now)
        cause = GapCause.DISCONNECT if self.gap_from else GapCause.SEQUENCE
        events: list[Event] = []
        if missed:
            from_ts = self.gap_from or self.received_ts or self._seeded_ts or now  # the venue's word may be all that was received since
            gap = self.gap_event(now, missed, cause, from_ts=from_ts)
            made_ts = gap.from_ts if self.venue_ts is None else self.venue_ts
            events = [gap, *self.open_gaps.add(OpenGap(gap, self.next_id, number, made_ts), now)]
        self.gap_from = 0
        self.next_id = number
        return events

    def _publish(self, trade: Trade, number: int) -> list[Event]:
        self.next_id = number + 1
        self.gap_from = 0
        self.venue_ts = trade.venue_ts
        self.received_ts = trade.received_ts
        self.count += 1
        return [trade]


def _numbered(trades: Iterable[Trade]) -> list[tuple[int, Trade]]:
    """With their ids, in their order."""
    return sorted(((int(trade.trade_id), trade) for trade in trades), key=lambda pair: pair[0])
