"""Publishes each trade of an instrument once, where ids are texts in no order: the newest are remembered. Pure.

Nothing shows whether a trade is missing, so that each lost connection is a gap of unknown size. What the venue replays when it is asked
again is not new: before the first trade it is older than the tape, and after a gap only those of its trades are published that are later
than all before.
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.trades.recent_ids import RecentIds
from crosstape_connector.venues.messages import TradeSnapshot
from crosstape_schemas import AnyNumber, Event, FeedState, Instrument, Trade

SEEN: Final = 10_000
"""Ids that are remembered of an instrument: about 1.5 MB. A replay of the past leaves out what is older than the newest trade by its time,
too; on the stream, a trade that repeats after so many others is published twice.
"""


class UniqueTrades(FeedRecord):
    """The trade feed of an instrument whose venue's ids show only which trades are the same."""

    __slots__ = ("_made", "_seen", "duplicates")

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument, "trade")
        self.duplicates = 0
        """Trades that were dropped because they were published before."""
        self._seen = RecentIds[str](SEEN)
        self._made = 0  # the venue's time of the newest trade; 0 = none is known

    def seed(self, trade: Trade[AnyNumber]) -> None:
        """Start after a trade that is on the tape already, from an earlier run or by another replica."""
        self._remember(trade)
        self.resume_after(trade.received_ts)

    def accept(self, trade: Trade[AnyNumber]) -> list[Event]:
        """Accept one trade of the stream. Returns the events for the tape."""
        if trade.trade_id in self._seen:
            self.duplicates += 1
            return []
        self._remember(trade)
        return [*self.receive(trade), trade]

    def apply_snapshot(self, snapshot: TradeSnapshot[AnyNumber]) -> list[Event]:
        """Apply trades that were made before the stream was subscribed. They do not show that it goes on."""
        began, newest = self._made > 0, self._made
        events: list[Event] = []
        for trade in snapshot.trades:
            if trade.trade_id in self._seen:
                self.duplicates += 1
            elif began and trade.trade_id and (trade.venue_ts or 0) > newest:
                if not events and self.state is not FeedState.LIVE:
                    events += self.end_gap(snapshot.received_ts)
                events.append(msgspec.structs.replace(trade, backfilled=True))
            self._remember(trade)
        return events

    def _remember(self, trade: Trade[AnyNumber]) -> None:
        self._made = max(self._made, trade.venue_ts or 0)
        if trade.trade_id:
            self._seen.add(trade.trade_id)
