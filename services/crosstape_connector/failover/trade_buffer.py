"""Trades a standby replica has received, kept until the active replica has published them. Pure: no I/O, no clock, no log.

Only trades are kept: of all other kinds the newest state is enough, and `FeedHandler` has it. Trade ids show which trades are on the tape
and which trades no replica has received. On takeover, each trade after the newest on the tape is published once, in order, or is counted in
a `Gap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.trades.open_gaps import OpenGap
from crosstape_schemas import AnyNumber, Event, Gap, GapCause, Trade

MAX_TRADES: Final = 100_000
"""The most trades kept, of all instruments together: about 50 MB. While another replica is active, the buffer has about the trades of one
second."""

DROPPED_PART: Final = 2
"""When the buffer is full, the instrument with the most trades drops its oldest half (one part of this many). A takeover reports them as a
gap with the count."""

UNORDERED: Final = frozenset({"unique", "none"})
"""Kinds of ids that do not show which of two trades is the later one."""


def continue_tape(feeds: FeedHandler, buffer: StandbyTradeBuffer, tape: Sequence[Trade[AnyNumber]], now: int) -> Sequence[Event]:
    """Return the events with which a new active replica continues the tape. `tape`: its newest trades, one per instrument.

    After that, the events of `feeds` continue the tape. `now`: ns since the epoch.
    """
    buffer.drop_published(tape)
    newest = {trade.instrument: trade for trade in tape}
    events: list[Event] = []
    for name, end in feeds.trades.next_ids().items():
        released = buffer.release(name, end, now)
        events += released
        feeds.trades.set_missing(name, missing_after(newest.get(name), released), now)
    feeds.seed(tape)
    buffer.clear()
    return events


def missing_after(tape: Trade[AnyNumber] | None, released: Iterable[Event]) -> Iterator[OpenGap]:
    """Yield the open gaps, by trade ids, among one instrument's events that follow the trade `tape`."""
    before = tape
    for event in released:
        if isinstance(event, Trade):
            before = event
        elif isinstance(event, Gap) and before is not None and event.missed:
            first = int(before.trade_id) + 1
            yield OpenGap(event, first, first + event.missed, before.received_ts if before.venue_ts is None else before.venue_ts)


class StandbyTradeBuffer:
    """Keeps the trades of one venue's instruments. `ids` is the venue's `trade_ids`.

    Trades with ids may come in any order; backfilled trades come late. Without ids in an order, only the venue's time shows which trades
    are not on the tape, and that is not exact. So a takeover reports a gap without a count there, and also where ids increase but are not
    contiguous.
    """

    def __init__(self, ids: Literal["contiguous", "increasing", "unique", "none"], bound: int = MAX_TRADES) -> None:
        self._ids = ids
        self._bound = bound
        self._count = 0
        self._held: dict[str, dict[int, Trade[AnyNumber]]] = {}
        self._newest: dict[str, int] = {}
        self._tape: dict[str, Trade[AnyNumber]] = {}

    def __len__(self) -> int:
        return self._count

    def add_all(self, events: Iterable[Event]) -> None:
        """Keep those of these events that are trades."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Keep this event if it is a trade."""
        if isinstance(event, Trade):
            self._add(event)

    def drop_published(self, trades: Iterable[Trade[AnyNumber]]) -> None:
        """Drop all trades up to these, which are the newest on the tape of each instrument."""
        for trade in trades:
            self._tape[trade.instrument] = trade
            held = self._held.get(trade.instrument)
            if held:
                kept = {number: one for number, one in held.items() if self._follows(one, number, trade)}
                self._count -= len(held) - len(kept)
                self._held[trade.instrument] = kept

    def is_complete(self, instrument: str, end: int) -> bool:
        """Whether no trade is missing between the newest on the tape and `end`, the id that this replica expects next."""
        tape = self._tape.get(instrument)
        if tape is None or self._ids != "contiguous":
            return True
        return end - 1 - int(tape.trade_id) <= len(self._held.get(instrument, ()))

    def release(self, instrument: str, end: int, now: int) -> Sequence[Event]:
        """Remove and return the trades and gaps after the newest trade on the tape, up to `end`, the id that this replica expects next."""
        held = self._held.pop(instrument, {})
        self._count -= len(held)
        tape = self._tape.get(instrument)
        if self._ids != "contiguous":
            return self._unproven(sorted(held.items()), tape, now)
        events: list[Event] = []
        before = tape
        for number, trade in sorted(held.items()):
            if before is not None and (missed := number - int(before.trade_id) - 1):
                events.append(self._gap(before, missed, trade.received_ts))
            events.append(trade)
            before = trade
        if before is not None and (missed := end - int(before.trade_id) - 1) > 0:
            events.append(self._gap(before, missed, now))
        return events

    def clear(self) -> None:
        """Forget all trades, and where the tape ends."""
        self._held.clear()
        self._newest.clear()
        self._tape.clear()
        self._count = 0

    def _add(self, trade: Trade[AnyNumber]) -> None:
        name = trade.instrument
        newest = self._newest.get(name, -1)
        number = newest + 1 if self._ids in UNORDERED else int(trade.trade_id)
        held = self._held.setdefault(name, {})
        if number > newest:
            self._newest[name] = number
        elif not trade.backfilled:  # the venue has restarted its numbering: the trades kept so far have old numbers
            self._count -= len(held)
            held.clear()
            self._newest[name] = number
        if number not in held:
            held[number] = trade
            self._count += 1
            if self._count > self._bound:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        fullest = max(self._held.values(), key=len)
        numbers = sorted(fullest)[: max(1, len(fullest) // DROPPED_PART)]
        for number in numbers:
            del fullest[number]
        self._count -= len(numbers)

    def _follows(self, trade: Trade[AnyNumber], number: int, tape: Trade[AnyNumber]) -> bool:
        """Whether this trade follows the one on the tape."""
        if self._ids not in UNORDERED:
            return number > int(tape.trade_id)
        return (trade.venue_ts or trade.received_ts) > (tape.venue_ts or tape.received_ts)

    def _unproven(self, held: list[tuple[int, Trade[AnyNumber]]], tape: Trade[AnyNumber] | None, now: int) -> Sequence[Event]:
        trades = [trade for _, trade in held]
        if tape is None:
            return trades
        return [self._gap(tape, None, trades[0].received_ts if trades else now), *trades]

    def _gap(self, before: Trade[AnyNumber], missed: int | None, to_ts: int) -> Gap:
        """Return a gap: `missed` trades (None: an unknown number) are missing after `before`."""
        where = before.venue, before.instrument
        return Gap(*where, None, to_ts, "trade", min(before.received_ts, to_ts), to_ts, missed, GapCause.DISCONNECT)
