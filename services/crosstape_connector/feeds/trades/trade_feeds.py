"""The trades of one venue in one process: finds the sequence of the instrument that a trade belongs to. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.trades.open_gaps import OpenGap
from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.feeds.trades.unique import UniqueTrades
from crosstape_connector.venues.messages import ConnectionBreak, LastTrade, TradeSnapshot, Unreadable
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import AnyNumber, Event, FeedState, GapCause, Instrument, Trade

LIVE: Final = FeedState.LIVE
NO_TRADES: Final = "REST has trades that the stream did not bring"
_NOTHING: Final[tuple[Event, ...]] = ()


class TradeFeeds:
    """Applies trades to the sequences of their instruments; `FeedHandler` calls it."""

    def __init__(self, venue: Venue, counts: Counter[str]) -> None:
        """`counts`: counts, as `unwanted`, outputs of instruments without trades."""
        self.sequences: dict[str, TradeSequence] = {}
        """By instrument."""
        self.handle_trade: Callable[[Trade[AnyNumber]], Sequence[Event]] = (
            self._trade if venue.trade_ids != "none" else self._trade_without_id
        )
        if venue.trades_overtake:
            self.handle_trade = self._trade_in_any_order
        if venue.trade_ids == "unique":
            self.handle_trade = self._trade_of_any_id
        self._venue = venue
        self._counts = counts
        self._left: dict[str, TradeSequence] = {}  # of instruments that were removed
        self._plain: dict[str, FeedRecord] = {}  # of a venue without ids
        self._unique: dict[str, UniqueTrades] = {}  # of a venue whose ids are texts in no order

    def add_instrument(self, instrument: Instrument) -> FeedRecord:
        """Track the trades of one more instrument, and return its feed. If it was removed before, its sequence continues."""
        name = instrument.name
        if self._venue.trade_ids == "none":
            record = self._plain[name] = FeedRecord(instrument, "trade")
            return record
        if self._venue.trade_ids == "unique":
            unique = self._unique.get(name) or UniqueTrades(instrument)
            self._plain[name] = self._unique[name] = unique
            return unique
        sequence = self._left.pop(name, None) or TradeSequence(
            instrument, contiguous=self._venue.trade_ids == "contiguous", ordered=not self._venue.trades_overtake
        )
        self.sequences[name] = sequence
        return sequence

    def remove_instrument(self, instrument: str) -> None:
        """Stop publishing this instrument's trades. Its sequence is kept: if it is added again, what was missed is a gap."""
        if instrument in self.sequences:
            self._left[instrument] = self.sequences.pop(instrument)
        self._plain.pop(instrument, None)

    def removed(self) -> Iterable[TradeSequence]:
        """Return the sequences of instruments that were removed."""
        return self._left.values()

    def seed(self, trades: Iterable[Trade[AnyNumber]]) -> None:
        """Start after these trades, the newest on the tape, one an instrument: what is missing since is a `Gap(disconnect)`."""
        for trade in trades:
            if trade.instrument in self.sequences:
                self.sequences[trade.instrument].seed(trade)
            elif trade.instrument in self._unique:
                self._unique[trade.instrument].seed(trade)
            elif trade.instrument in self._plain:
                self._plain[trade.instrument].resume_after(trade.received_ts)

    def set_missing(self, instrument: str, gaps: Iterable[OpenGap], now: int) -> None:
        """Replace an instrument's open gaps; see `TradeSequence.set_missing`."""
        if instrument in self.sequences:
            self.sequences[instrument].set_missing(gaps, now)

    def next_ids(self) -> dict[str, int]:
        """Return instrument → the trade id that is expected next; -1 = none is known, or its venue has no ids."""
        return {**dict.fromkeys(self._plain, -1), **{name: sequence.next_id for name, sequence in self.sequences.items()}}

    def duplicates(self) -> int:
        """Return the number of trades that were dropped because the tape had them."""
        numbered = sum(sequence.duplicates for sequences in (self.sequences, self._left) for sequence in sequences.values())
        return numbered + sum(unique.duplicates for unique in self._unique.values())

    def links(self, output: Trade[AnyNumber] | TradeSnapshot[AnyNumber] | LastTrade) -> bool:
        """Whether trades that begin with these (or with an id that is no trade) leave no gap after what is on the tape."""
        sequence = self.sequences.get(output.instrument)
        if sequence is None or sequence.next_id < 0:
            return True
        ids = [int(one.trade_id) for one in (output.trades if isinstance(output, TradeSnapshot) else (output,))]
        return not ids or min(ids) <= sequence.next_id

    def apply_snapshot(self, snapshot: TradeSnapshot[AnyNumber]) -> Sequence[Event]:
        """Apply the newest trades, which the venue sends on subscribing."""
        sequence = self.sequences.get(snapshot.instrument) or self._unique.get(snapshot.instrument)
        is_wanted = sequence is not None and (snapshot.instrument in self.sequences or snapshot.instrument in self._plain)
        return sequence.apply_snapshot(snapshot) if sequence is not None and is_wanted else self._unwanted()

    def apply_break(self, broken: ConnectionBreak) -> Sequence[Event]:
        """Report that trades may be missing, where only the numbers of the connection show it: ids that merely increase do not."""
        if broken.reason or self._venue.trade_ids == "contiguous":
            return _NOTHING
        found = [self.sequences.get(name) or self._plain.get(name) for name in broken.instruments]
        now = broken.received_ts
        return [record.gap_event(now, None, broken.cause) for record in found if record is not None and record.state is LIVE]

    def fill_gaps(self, page: TradeSnapshot[AnyNumber]) -> Sequence[Event]:
        """Publish the missing ones of these past trades from REST."""
        sequence = self.sequences.get(page.instrument)
        return sequence.fill_gaps(page.trades) if sequence is not None else _NOTHING

    def check_nonexistent(self, gap: OpenGap, page: TradeSnapshot[AnyNumber], now_s: float) -> Sequence[Event]:
        """Find ids of a gap that never existed in the same page, after `fill_gaps`."""
        sequence = self.sequences.get(page.instrument)
        return sequence.check_nonexistent(gap, page, now_s) if sequence is not None else _NOTHING

    def apply_poll(self, page: TradeSnapshot[AnyNumber], reason: str, complete_ts: int) -> Sequence[Event]:
        """Publish REST's trades for want of a stream; see `TradeSequence.apply_poll`."""
        sequence = self.sequences.get(page.instrument)
        return sequence.apply_poll(page, reason, complete_ts) if sequence is not None else _NOTHING

    def apply_last_trade(self, last: LastTrade) -> Sequence[Event]:
        """Compare a sequence with the newest trade id that the venue names."""
        sequence = self.sequences.get(last.instrument)
        return sequence.apply_last_trade(last) if sequence is not None else self._unwanted()

    def report_unreadable(self, output: Unreadable) -> Sequence[Event]:
        """Report a gap: a trade of the stream cannot be read, and ids that are not contiguous do not show it."""
        unique = self._plain.get(output.instrument) if self._venue.trade_ids == "unique" else None
        if unique is not None and unique.received_ts:
            return (unique.gap_event(output.received_ts, None, GapCause.UNKNOWN),)
        sequence = self.sequences.get(output.instrument)
        if sequence is None or sequence.next_id < 0 or self._venue.trade_ids == "contiguous":
            return _NOTHING
        return (sequence.gap_event(output.received_ts, None, GapCause.UNKNOWN),)

    def silent(self, before_ts: int) -> list[str]:
        """Return the instruments whose trades are live, but brought or confirmed nothing since `before_ts`."""
        sequences = self.sequences.items()
        return [name for name, one in sequences if one.state is LIVE and max(one.received_ts, one.proven_ts, one.opened_ts) < before_ts]

    def check_newest(self, page: TradeSnapshot[AnyNumber]) -> Sequence[Event]:
        """Compare a silent trade feed with the newest trades from REST. They prove that none was missed or, if seen twice, that some were.

        Missed trades are reported as a gap and published, as far as the page has them. The feed is stale until its stream brings a trade.
        """
        sequence = self.sequences.get(page.instrument)
        if sequence is None or sequence.state is not LIVE or not page.trades:
            return _NOTHING
        last = page.trades[-1]
        missed = sequence.apply_last_trade(LastTrade(page.instrument, last.venue_ts, page.received_ts, int(last.trade_id)))
        if not missed:
            return _NOTHING
        return [*sequence.refute(NO_TRADES, page.received_ts), *missed, *sequence.fill_gaps(page.trades)]

    def _trade(self, trade: Trade[AnyNumber]) -> Sequence[Event]:
        sequence = self.sequences.get(trade.instrument)
        if sequence is None:
            return self._unwanted()
        number = int(trade.trade_id)
        if number == sequence.next_id and sequence.state is LIVE:
            sequence.next_id = number + 1
            sequence.gap_from = 0  # after a replay of known trades the feed is live with an open gap: this trade shows that none is missing
            sequence.venue_ts = trade.venue_ts
            sequence.received_ts = trade.received_ts
            sequence.count += 1
            return (trade,)
        return sequence.accept(trade, number)

    def _trade_in_any_order(self, trade: Trade[AnyNumber]) -> Sequence[Event]:
        sequence = self.sequences.get(trade.instrument)
        return sequence.accept(trade, int(trade.trade_id)) if sequence is not None else self._unwanted()

    def _trade_of_any_id(self, trade: Trade[AnyNumber]) -> Sequence[Event]:
        unique = self._unique.get(trade.instrument)
        return unique.accept(trade) if unique is not None and trade.instrument in self._plain else self._unwanted()

    def _trade_without_id(self, trade: Trade[AnyNumber]) -> Sequence[Event]:
        record = self._plain.get(trade.instrument)
        return [*record.receive(trade), trade] if record is not None else self._unwanted()

    def _unwanted(self) -> Sequence[Event]:
        self._counts["unwanted"] += 1
        return _NOTHING
