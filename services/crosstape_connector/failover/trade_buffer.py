"""The trades that a line which stands by has read, until they are on the tape by another's hand. Pure: no I/O, no clock, no log.

Only trades are held: of all else the newest state is enough, and `FeedHandler` knows it. By their ids it is told which of them the tape has
and which nobody has: on takeover each trade behind the newest on the tape is there once, in order, or lies in a `Gap` with the count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.trades.gaps import OpenGap
from crosstape_schemas import Event, Gap, GapCause, Trade

HELD: Final = 100_000
"""Trades held at most, of all instruments together: about 50 MB. Another line that writes leaves a second's worth here."""

GIVEN_UP: Final = 2
"""When there are more, the instrument with the most loses the older half of its own: what is missing later is a gap with the count."""


def go_on(feeds: FeedHandler, hold: StandbyTradeBuffer, tape: Sequence[Trade], now: int) -> Sequence[Event]:
    """What a line that takes over puts on the tape behind its newest trades, one an instrument. From then on `feeds` goes on by itself."""
    hold.seen(tape)
    newest = {trade.instrument: trade for trade in tape}
    events: list[Event] = []
    for name, end in feeds.trades.next_ids().items():
        released = hold.release(name, end, now)
        events += released
        feeds.trades.set_missing(name, holes(newest.get(name), released), now)
    feeds.seed(tape)
    hold.forget()
    return events


def holes(tape: Trade | None, released: Iterable[Event]) -> Iterator[OpenGap]:
    """What is missing, by ids, of one instrument's trades that go on the tape behind this one, gaps with counts among them."""
    before = tape
    for event in released:
        if isinstance(event, Trade):
            before = event
        elif isinstance(event, Gap) and before is not None and event.missed:
            first = int(before.trade_id) + 1
            yield OpenGap(event, first, first + event.missed, before.received_ts if before.venue_ts is None else before.venue_ts)


class StandbyTradeBuffer:
    """Of one venue's instruments. `ids` is the venue's `trade_ids`.

    Trades with ids may come in any order, as repairs do. Without ids, what is behind the tape is told by the venue's time alone, which is
    not exact: on takeover such a line, like one whose ids merely grow, tells a gap without a count.
    """

    def __init__(self, ids: Literal["contiguous", "increasing", "none"], bound: int = HELD) -> None:
        self._ids = ids
        self._bound = bound
        self._count = 0
        self._held: dict[str, dict[int, Trade]] = {}
        self._newest: dict[str, int] = {}
        self._tape: dict[str, Trade] = {}

    def __len__(self) -> int:
        return self._count

    def take(self, event: Event) -> None:
        """What would have gone on the tape if this line were the one that publishes."""
        if isinstance(event, Trade):
            self._take(event)

    def seen(self, trades: Iterable[Trade]) -> None:
        """The newest on the tape, one an instrument: these and all before them are held no more."""
        for trade in trades:
            self._tape[trade.instrument] = trade
            held = self._held.get(trade.instrument)
            if held:
                kept = {number: one for number, one in held.items() if self._is_behind(one, number, trade)}
                self._count -= len(held) - len(kept)
                self._held[trade.instrument] = kept

    def whole(self, instrument: str, end: int) -> bool:
        """Whether nothing is missing between the newest trade that was seen on the tape and `end`, the id that this line expects next."""
        tape = self._tape.get(instrument)
        if tape is None or self._ids != "contiguous":
            return True
        return end - 1 - int(tape.trade_id) <= len(self._held.get(instrument, ()))

    def release(self, instrument: str, end: int, now: int) -> Sequence[Event]:
        """What goes on the tape on takeover, behind the newest that was `seen` there, up to `end`, the id that this line expects next."""
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

    def forget(self) -> None:
        """All of it: from here on what this line reads is on the tape by its own hand, or the first to be held."""
        self._held.clear()
        self._newest.clear()
        self._tape.clear()
        self._count = 0

    def _take(self, trade: Trade) -> None:
        name = trade.instrument
        newest = self._newest.get(name, -1)
        number = newest + 1 if self._ids == "none" else int(trade.trade_id)
        held = self._held.setdefault(name, {})
        if number > newest:
            self._newest[name] = number
        elif not trade.backfilled:  # the venue began its numbering anew: what is held is of the old one
            self._count -= len(held)
            held.clear()
            self._newest[name] = number
        if number not in held:
            held[number] = trade
            self._count += 1
            if self._count > self._bound:
                self._make_room()

    def _make_room(self) -> None:
        fullest = max(self._held.values(), key=len)
        numbers = sorted(fullest)[: max(1, len(fullest) // GIVEN_UP)]
        for number in numbers:
            del fullest[number]
        self._count -= len(numbers)

    def _is_behind(self, trade: Trade, number: int, tape: Trade) -> bool:
        """Whether it came after that one on the tape."""
        if self._ids != "none":
            return number > int(tape.trade_id)
        return (trade.venue_ts or trade.received_ts) > (tape.venue_ts or tape.received_ts)

    def _unproven(self, held: list[tuple[int, Trade]], tape: Trade | None, now: int) -> Sequence[Event]:
        trades = [trade for _, trade in held]
        if tape is None:
            return trades
        return [self._gap(tape, None, trades[0].received_ts if trades else now), *trades]

    def _gap(self, before: Trade, missed: int | None, to_ts: int) -> Gap:
        """So many are missing behind this trade."""
        where = before.venue, before.instrument
        return Gap(*where, None, to_ts, "trade", min(before.received_ts, to_ts), to_ts, missed, GapCause.DISCONNECT)
