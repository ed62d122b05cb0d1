"""The trades of one venue in one process: a line for each instrument, and what parsers found put on it. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.trades.gaps import OpenGap
from crosstape_connector.feeds.trades.sequence import TradeSequence
from crosstape_connector.venues.messages import LastTrade, TradeSnapshot
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Event, FeedState, Instrument, Trade

LIVE: Final = FeedState.LIVE
NO_TRADES: Final = "REST has trades that the stream did not bring"
_NOTHING: Final[tuple[Event, ...]] = ()


class TradeFeeds:
    """All of them; `Feeds` hands on what concerns trades."""

    def __init__(self, venue: Venue, counts: Counter[str]) -> None:
        """`counts`: where to count what is not wanted."""
        self.sequences: dict[str, TradeSequence] = {}
        """By instrument."""
        self.handle_trade: Callable[[Trade], Sequence[Event]] = self._trade if venue.trade_ids != "none" else self._trade_without_id
        self._venue = venue
        self._counts = counts
        self._left: dict[str, TradeSequence] = {}  # of instruments that were removed
        self._plain: dict[str, FeedRecord] = {}  # of a venue without ids

    def add_instrument(self, instrument: Instrument) -> FeedRecord:
        """One more. If it was there before, its line goes on."""
        name = instrument.name
        if self._venue.trade_ids == "none":
            record = self._plain[name] = FeedRecord(instrument, "trade")
            return record
        line = self._left.pop(name, None) or TradeSequence(instrument, contiguous=self._venue.trade_ids == "contiguous")
        self.sequences[name] = line
        return line

    def remove_instrument(self, instrument: str) -> None:
        """One less. Its line is kept: if it is added again, what was missed is a gap."""
        if instrument in self.sequences:
            self._left[instrument] = self.sequences.pop(instrument)
        self._plain.pop(instrument, None)

    def removed(self) -> Iterable[TradeSequence]:
        """The lines of instruments that were removed."""
        return self._left.values()

    def seed(self, trades: Iterable[Trade]) -> None:
        """Newest trades already on the tape, one an instrument: older ones are dropped, a hole since then is a `Gap(disconnect)`."""
        for trade in trades:
            if trade.instrument in self.sequences:
                self.sequences[trade.instrument].seed(trade)
            elif trade.instrument in self._plain:
                self._plain[trade.instrument].resume_after(trade.received_ts)

    def set_missing(self, instrument: str, holes: Iterable[OpenGap], now: int) -> None:
        """Of this instrument these are missing, and no others; see `TradeSequence.miss`."""
        if instrument in self.sequences:
            self.sequences[instrument].set_missing(holes, now)

    def next_ids(self) -> dict[str, int]:
        """Instrument → the trade id that is expected next, for each that has trades; -1: none is known, or there are none."""
        return {**dict.fromkeys(self._plain, -1), **{name: line.next_id for name, line in self.sequences.items()}}

    def duplicates(self) -> int:
        """Trades that were on the tape already, and were dropped."""
        return sum(line.duplicates for lines in (self.sequences, self._left) for line in lines.values())

    def links(self, output: Trade | TradeSnapshot) -> bool:
        """Whether what begins with this leaves no hole after what is on the tape."""
        line = self.sequences.get(output.instrument)
        trades = output.trades if isinstance(output, TradeSnapshot) else (output,)
        return line is None or line.next_id < 0 or not trades or min(int(trade.trade_id) for trade in trades) <= line.next_id

    def apply_snapshot(self, snapshot: TradeSnapshot) -> Sequence[Event]:
        """The venue's newest trades."""
        line = self.sequences.get(snapshot.instrument)
        return line.apply_snapshot(snapshot) if line is not None else self._unwanted()

    def fill_gaps(self, page: TradeSnapshot) -> Sequence[Event]:
        """Past trades by REST: those that are missing."""
        line = self.sequences.get(page.instrument)
        return line.fill_gaps(page.trades) if line is not None else _NOTHING

    def check_nonexistent(self, hole: OpenGap, page: TradeSnapshot, now_s: float) -> Sequence[Event]:
        """The same page, after `repair`: it may show that ids of this hole never existed."""
        line = self.sequences.get(page.instrument)
        return line.check_nonexistent(hole, page, now_s) if line is not None else _NOTHING

    def apply_poll(self, page: TradeSnapshot, reason: str, whole_ts: int) -> Sequence[Event]:
        """Trades by REST in place of the stream; see `TradeSequence.polled`."""
        line = self.sequences.get(page.instrument)
        return line.apply_poll(page, reason, whole_ts) if line is not None else _NOTHING

    def apply_last_trade(self, last: LastTrade) -> Sequence[Event]:
        """Word of the venue's newest trade."""
        line = self.sequences.get(last.instrument)
        return line.apply_last_trade(last) if line is not None else self._unwanted()

    def silent(self, before_ts: int) -> list[str]:
        """Return the instruments whose trades are live, but brought or confirmed nothing since `before_ts`."""
        sequences = self.sequences.items()
        return [name for name, one in sequences if one.state is LIVE and max(one.received_ts, one.proven_ts, one.opened_ts) < before_ts]

    def check_newest(self, page: TradeSnapshot) -> Sequence[Event]:
        """Compare an instrument's silent trades with the newest that REST has: they prove that none was missed or, twice, that some were.

        Those are a gap, and published as far as the page has them; the feed is stale until its stream brings a trade.
        """
        sequence = self.sequences.get(page.instrument)
        if sequence is None or sequence.state is not LIVE or not page.trades:
            return _NOTHING
        last = page.trades[-1]
        missed = sequence.apply_last_trade(LastTrade(page.instrument, last.venue_ts, page.received_ts, int(last.trade_id)))
        if not missed:
            return _NOTHING
        return [*sequence.refute(NO_TRADES, page.received_ts), *missed, *sequence.fill_gaps(page.trades)]

    def _trade(self, trade: Trade) -> Sequence[Event]:
        line = self.sequences.get(trade.instrument)
        if line is None:
            return self._unwanted()
        number = int(trade.trade_id)
        if number == line.next_id and line.state is LIVE:
            line.next_id = number + 1
            line.gap_from = 0  # a replay of what was there makes a line live and leaves its gap open: nothing is missing now
            line.venue_ts = trade.venue_ts
            line.received_ts = trade.received_ts
            line.count += 1
            return (trade,)
        return line.accept(trade, number)

    def _trade_without_id(self, trade: Trade) -> Sequence[Event]:
        record = self._plain.get(trade.instrument)
        return [*record.receive(trade), trade] if record is not None else self._unwanted()

    def _unwanted(self) -> Sequence[Event]:
        self._counts["unwanted"] += 1
        return _NOTHING
