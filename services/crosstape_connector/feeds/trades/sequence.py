"""Puts one instrument's trades in the order of the venue's ids: each is published once, and missing ids are reported as a gap. Pure.

Trades come from the stream (`accept`, `apply_snapshot`) and by REST: those of a gap (`fill_gaps`), and all while the stream is not
available (`apply_poll`). Those from REST are marked `backfilled`: they were not received live.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.trades.open_gaps import OpenGap, OpenGaps
from crosstape_connector.feeds.trades.recent_ids import RecentIds
from crosstape_connector.venues.messages import LastTrade, TradeSnapshot
from crosstape_schemas import AnyNumber, Event, FeedState, GapCause, Instrument, Trade

SEEN: Final = 4_096
"""Ids that are kept of a venue whose trades come in another order: a trade that is later by more is taken for published if it repeats."""


class TradeSequence(FeedRecord):
    """The trade feed of an instrument whose venue numbers its trades.

    `TradeFeeds` publishes the next trade of a live sequence itself, to save a call; all else is here.
    """

    __slots__ = ("_contiguous", "_floor", "_named", "_seeded_ts", "_seen", "_unseen", "duplicates", "next_id", "open_gaps")

    def __init__(self, instrument: Instrument, *, contiguous: bool, ordered: bool = True) -> None:
        """`contiguous`: ids grow by one, so that a gap can be found; else they only grow. `ordered`: trades come in the order of ids."""
        super().__init__(instrument, "trade")
        self._contiguous = contiguous
        self.next_id = -1
        """The id after the newest known trade; -1 = none is known."""
        self.duplicates = 0
        self.open_gaps = OpenGaps()
        """Reported gaps that are not filled yet: a late trade of one is published."""
        self._named = -1
        """The newest trade id that the venue named beside its trades; -1 = none."""
        self._seeded_ts = 0
        """`received_ts` of the newest trade that was on the tape when we began; 0 = none was."""
        self._unseen = -1
        """The `next_id` that was set because the venue named a newer trade than the stream brought; -1 = none."""
        self._seen = None if ordered else RecentIds[int](SEEN)
        """The newest published ids, where trades come in another order than their ids; at most `SEEN`."""
        self._floor = -1
        """A trade with an id below this counts as published, though it is not among `_seen`."""

    def seed(self, trade: Trade[AnyNumber]) -> None:
        """Start after a trade that is on the tape already, from an earlier run or by another replica."""
        number = int(trade.trade_id)
        if number >= self.next_id:
            self.next_id = number + 1
            self.venue_ts = trade.venue_ts
            self.gap_from = self._seeded_ts = trade.received_ts
            self._floor = self.next_id

    def set_missing(self, gaps: Iterable[OpenGap], now: int) -> None:
        """Replace the open gaps: another replica has published until now, and these are what it left missing."""
        self.open_gaps = OpenGaps()
        for gap in gaps:
            self.open_gaps.add(gap, now)

    def accept(self, trade: Trade[AnyNumber], number: int) -> list[Event]:
        """Accept one trade of the stream. Returns the events for the tape.

        A past trade that answers a new subscription does not show that the stream will bring more.
        """
        is_answer = trade.backfilled and number >= self.next_id >= 0 and self.check_answer()
        return [*(() if is_answer else self.set_live(trade.received_ts)), *self._place(trade, number)]

    def _place(self, trade: Trade[AnyNumber], number: int) -> list[Event]:
        events: list[Event] = []
        if self.next_id >= 0:
            if number < self.next_id:
                return events + self._earlier(trade, number)
            events += self._skip_to(number, trade.received_ts)
        else:
            self._floor = number
        return events + self._publish(trade, number)

    def apply_snapshot(self, snapshot: TradeSnapshot[AnyNumber]) -> list[Event]:
        """Apply the newest trades, which the venue sends on subscribing.

        They fill the gap that a lost connection left. If no trade is known yet, they are older than the tape: none is published, and the
        sequence begins after the newest. If the feed was silent and these trades are newer, the stream had not brought them.
        """
        numbered = _numbered(snapshot.trades)
        has_news = self.next_id >= 0 and any(number >= self.next_id for number, _ in numbered)
        events = [] if has_news and self.check_answer() else self.set_live(snapshot.received_ts)
        if self.next_id >= 0:
            if self._seen is not None and any(number in self._seen or number < self._floor for number, _ in numbered):
                self.gap_from = 0  # the answer reaches back to what is on the tape, so that it holds all that was missed
            for number, trade in numbered:
                events += self._place(trade, number)
        elif numbered:
            if self._seen is not None:
                self._floor = numbered[0][0]
                for number, _ in numbered:
                    self._remember(number)
            number, trade = numbered[-1]
            self.next_id = number + 1
            self.venue_ts = trade.venue_ts
            self.received_ts = snapshot.received_ts
            self.count += 1
        self.replayed_ts = self.received_ts
        return events

    def apply_last_trade(self, last: LastTrade) -> list[Event]:
        """Compare with the newest trade id that the venue names.

        The id may overtake the trade: the trade counts as missing only if it has not come when the venue names an id a second time.
        An id that is no trade is in the row of ids like any other, and counts as seen.
        """
        if last.no_trade:
            return self._pass_id(last)
        if self.next_id < 0:
            return []
        named, self._named = self._named, last.trade_id
        if last.trade_id < self.next_id != self._unseen:
            self.proven_ts = last.received_ts
        if named < self.next_id:
            return []
        self._unseen = named + 1
        return self._skip_to(named + 1, last.received_ts)

    def _pass_id(self, last: LastTrade) -> list[Event]:
        """Continue after an id of the stream that is no trade; within a gap, it never existed."""
        number, now = last.trade_id, last.received_ts
        events = self.set_live(now)
        if number < self.next_id:
            return [*events, *self.open_gaps.remove_nonexistent(number, now)]
        if self.next_id >= 0:
            events += self._skip_to(number, now)
        self.next_id = number + 1
        self.gap_from = 0
        self.venue_ts = last.venue_ts
        self.received_ts = now
        return events

    def fill_gaps(self, trades: Iterable[Trade[AnyNumber]]) -> list[Event]:
        """Publish the missing ones of these trades from REST, and report the gaps that they fill completely."""
        events: list[Event] = []
        for number, trade in _numbered(trades):
            if number < self.next_id:
                events += self._late(trade, number) or ()
        return events

    def check_nonexistent(self, gap: OpenGap, page: TradeSnapshot[AnyNumber], now_s: float) -> list[Event]:
        """Find, in an answer of REST, ids of a gap that never existed. Call it after `fill_gaps` with the same page; see `OpenGap`."""
        if page.left_out:
            return []  # a row that could not be read may be the missing trade
        return [*self.open_gaps.check_nonexistent(gap, [number for number, _ in _numbered(page.trades)], now_s=now_s, now=page.received_ts)]

    def apply_poll(self, page: TradeSnapshot[AnyNumber], reason: str, complete_ts: int) -> list[Event]:
        """Publish all new trades of REST while there is no stream. `reason`: of the feed's state meanwhile.

        `complete_ts`: the page has every unknown trade that was made before this time, by our clock; 0 = there may be more.
        An answer that comes when the stream is live again only fills gaps.
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
                self.gap_from = complete_ts or now
            return events
        before = self.gap_from
        if not self._contiguous and numbered and numbered[0][0] < self.next_id:
            self.gap_from = 0  # the page reaches back to what is known
        for number, trade in numbered:
            if number < self.next_id:
                events += self._late(trade, number) or ()
                continue
            events += self._skip_to(number, now)
            events.append(msgspec.structs.replace(trade, backfilled=True))
            self.next_id = number + 1
            self.venue_ts = trade.venue_ts
            self.gap_from = before  # the stream's own gap goes on …
        self.gap_from = max(before, complete_ts)  # … from here
        self._floor = self.next_id
        return events

    def _late(self, trade: Trade[AnyNumber], number: int) -> list[Event] | None:
        """Fill a gap with a trade; None: it was not missing."""
        gaps = self.open_gaps.fill(number, trade)
        if gaps is None:
            return None
        if trade.venue_ts is not None:
            self.venue_ts = max(self.venue_ts or 0, trade.venue_ts)  # it is the newest trade if the venue had only named its id
            self.replayed_ts = self.received_ts
        return [msgspec.structs.replace(trade, backfilled=True), *gaps]

    def _earlier(self, trade: Trade[AnyNumber], number: int) -> list[Event]:
        events = self._late(trade, number)
        if events is not None:
            self.count += 1
            return events
        is_known = self._seen is not None and number in self._seen
        if self._seen is not None and number >= self._floor and not is_known:
            return self._overtaken(trade, number)
        if not is_known and trade.venue_ts is not None and self.venue_ts is not None and trade.venue_ts > self.venue_ts:
            gap = self.gap_event(trade.received_ts, None, GapCause.SEQUENCE)  # the venue has restarted its numbering
            self._named = self._floor = -1
            if self._seen is not None:
                self._seen.clear()
            return [*self.open_gaps.close_all(trade.received_ts), gap, *self._publish(trade, number)]
        self.duplicates += 1
        if not self._contiguous and self._seen is None:
            self.gap_from = 0  # the stream reaches back to what is known, so that nothing is missing before its next trade
        return []

    def _overtaken(self, trade: Trade[AnyNumber], number: int) -> list[Event]:
        """Publish a trade that came after one with a later id."""
        next_id, venue_ts = self.next_id, self.venue_ts
        events = [*self.end_gap(trade.received_ts), *self._publish(trade, number)]
        self.next_id = next_id
        self.venue_ts = max(venue_ts or 0, trade.venue_ts or 0) or None
        return events

    def _skip_to(self, number: int, now: int) -> list[Event]:
        """Continue at the id `number`: report the ids below it that never came as a gap."""
        missed = number - self.next_id
        if not self._contiguous:
            return self.end_gap(now)
        cause = GapCause.DISCONNECT if self.gap_from else GapCause.SEQUENCE
        events: list[Event] = []
        if missed:
            from_ts = self.gap_from or self.received_ts or self._seeded_ts or now  # a named id may be all that was received since
            gap = self.gap_event(now, missed, cause, from_ts=self.open_gaps.free_start(from_ts, now))
            made_ts = gap.from_ts if self.venue_ts is None else self.venue_ts
            events = [gap, *self.open_gaps.add(OpenGap(gap, self.next_id, number, made_ts), now)]
        self.gap_from = 0
        self.next_id = number
        return events

    def _publish(self, trade: Trade[AnyNumber], number: int) -> list[Event]:
        self.next_id = number + 1
        self.gap_from = 0
        self.venue_ts = trade.venue_ts
        self.received_ts = trade.received_ts
        self.count += 1
        self._remember(number)
        return [trade]

    def _remember(self, number: int) -> None:
        if self._seen is not None and (oldest := self._seen.add(number)) is not None:
            self._floor = max(self._floor, oldest + 1)


def _numbered(trades: Iterable[Trade[AnyNumber]]) -> list[tuple[int, Trade[AnyNumber]]]:
    """Return the trades with their ids, ascending."""
    return sorted(((int(trade.trade_id), trade) for trade in trades), key=lambda pair: pair[0])
