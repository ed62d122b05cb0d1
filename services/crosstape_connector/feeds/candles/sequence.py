"""The candles of one instrument and timeframe: each closed one is published once, in order; a later change of it is a revision. Pure.

A candle is closed by its venue's flag, or by the first candle after it. That is its last content only if no frame was missed since. So
the sequence is unsure of the candle that was running after a lost connection, a silence, a frame that cannot be read, trades that the
stream did not bring, and a candle that shows a loss: the one before it lacks its flag, or an interval is absent. Then:

- The same candle comes again, or the one that follows the last closed one: nothing was missed.
- A snapshot or a page of REST that reaches back to that candle has the content of all since. One that does not reach back leaves a gap.
- A page that comes while the stream is silent ends no doubt: the stream may miss what follows the page.
- A later candle comes first: the sequence awaits a page, and meanwhile holds candles that close, so that they stay in order. Where the
  venue has no pages, or none comes before too many are held, there is a gap, and the candle of which we are unsure is never closed.

The running candle is never held, so candles that a page brings may follow a running candle that is later than they.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from crosstape_connector.feeds.candles.rows import figures
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.venues.messages import CandleSnapshot
from crosstape_connector.venues.spec import CandleRules
from crosstape_schemas import CANDLE, Candle, Event, FeedState, GapCause, Instrument

LIVE: Final = FeedState.LIVE
KEPT: Final = 8
"""Closed candles kept for corrections, and the most that are held while a page is awaited. At the start of a tape one is held."""
KEPT_OF: Final = {"1s": 60}
"""The same for a timeframe of which `KEPT` candles are too short a time."""
LATE: Final = 1
"""The first revision of a candle that comes after a later one was closed: until then its interval counted as empty."""


class CandleSequence(FeedRecord):
    """The candle feed of one instrument and timeframe."""

    __slots__ = (
        "_begins_with_page", "_closed", "_floor", "_has_every", "_has_flags", "_held", "_is_sure", "_kept", "_last_row", "_pages",
        "_running", "_unsure", "awaits_page", "timeframe",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, timeframe: str, rules: CandleRules | None, *, pages: bool) -> None:
        """`rules`: of the venue's candles; None: it has none. `pages`: past candles come by REST."""
        begins_with_page = rules is not None and rules.first == "none"  # only by REST, not as the answer to a subscription
        super().__init__(instrument, f"{CANDLE}{timeframe}")
        self.timeframe = timeframe
        self.awaits_page = pages and begins_with_page
        """Whether candles that close are held until a page comes."""
        self._pages = pages
        self._begins_with_page = begins_with_page
        self._has_every = rules is not None and rules.every_interval
        self._has_flags = rules is not None and rules.closed == "flag"
        self._kept = KEPT_OF.get(timeframe, KEPT)
        self._closed: dict[int, Candle] = {}  # published and closed, by `open_ts`, ascending
        self._held: dict[int, Candle] = {}  # closed, and not published yet
        self._running: Candle | None = None
        self._last_row: Candle | None = None  # of a page that ended too early
        self._unsure: Candle | None = None  # the candle that was running when we began to await a page
        self._is_sure = True  # no frame was missed since `_running`, or the newest closed candle, came
        self._floor = 0  # candles that open before this are on the tape already, or too old, or in a gap

    @property
    def wants_page(self) -> bool:
        """Whether a page of REST is of use now: only with an open subscription do candles follow it without a gap."""
        if self.silent and self.fetched_ts > self.stalled_ts:
            return False  # no other page shows whether the stream lives
        return self._pages and self.confirmed and (self.awaits_page or (not self._is_sure and self._begins_with_page))

    @property
    def known_from(self) -> int | None:
        """`open_ts` of the candle with which a page should begin; None: none is known."""
        before = self._unsure if self.awaits_page else self._running
        return before.open_ts if before is not None else max(self._closed, default=None)

    def seed(self, candle: Candle) -> None:
        """Continue after the newest candle on the tape, from an earlier run or another replica."""
        if self.count or self.fetched_ts:
            return
        self._floor, self._is_sure, self.awaits_page = candle.open_ts, False, False
        if candle.closed:
            self._closed[candle.open_ts] = candle
        else:
            self._running = candle
        self.gap_from = candle.received_ts

    def doubt(self, now: int) -> None:
        """Note that frames may have been missed since the newest data."""
        if self._newest_open >= 0:
            self._is_sure = False
            self.gap_from = self.gap_from or self.received_ts or self.fetched_ts or now

    def interrupt(self, since_ts: int) -> None:
        """See `FeedRecord`."""
        super().interrupt(since_ts)
        self.doubt(since_ts)

    def mark_unreadable(self, now: int) -> list[Event]:
        """See `FeedRecord`."""
        self.doubt(now)
        return super().mark_unreadable(now)

    def accept(self, candle: Candle) -> list[Event]:
        """Apply one candle of the stream. Returns the events for the tape."""
        late = candle.received_ts < self.received_ts
        if self._shows_loss(candle):
            self.doubt(candle.received_ts)
        events: list[Event] = [] if self.state is LIVE else self.set_live(candle.received_ts)
        self.received_ts = max(self.received_ts, candle.received_ts)
        self.venue_ts = candle.venue_ts
        self.count += 1
        return self._note_newest([*events, *self._place(candle, late=late)])

    def apply_snapshot(self, snapshot: CandleSnapshot) -> list[Event]:
        """Apply the past candles that the venue sends on subscribing.

        If the feed was silent and a candle is news, the stream had not brought it.
        """
        rows, now = snapshot.candles, snapshot.received_ts
        late = now < self.received_ts
        has_news = bool(rows) and self._newest_open >= 0 and rows[-1].open_ts > self._newest_open
        events = [] if has_news and self.check_answer() else self.set_live(now)
        self.received_ts = self.replayed_ts = max(self.received_ts, now)
        self.count += 1
        if rows:
            events += self._bridge(rows[0].open_ts, now)
        return self._note_newest(events + (self._fill(rows) if self.awaits_page else self._place_all(rows, late=late)))

    def apply_page(self, snapshot: CandleSnapshot, complete_from: int, *, more: bool = False) -> list[Event]:
        """Apply past candles from REST, if they are still wanted: the stream may have shown meanwhile that nothing was missed.

        `complete_from`: no candle that opens between this time and the page's last one is missing. `more`: the venue has later ones.
        """
        if not self.awaits_page and self._is_sure:
            return []
        self.fetched_ts = snapshot.received_ts
        if more and not self.awaits_page:
            self.awaits_page, self._unsure, self._running, self._is_sure = True, self._running, None, True
        events = self._bridge(complete_from, snapshot.received_ts)
        if self.awaits_page:
            return self._note_newest(events + self._fill(snapshot.candles, more=more))
        fresh = [row for row in snapshot.candles if row.open_ts not in self._closed]
        events += self._place_all(fresh, late=False)
        if self.silent:  # the page does not show that the stream lives: what follows it may be missed
            self._is_sure, self.gap_from = False, snapshot.received_ts
        return self._note_newest(events)

    def end_waiting(self, now: int) -> list[Event]:
        """Stop awaiting a page, because none comes: publish what was held, after a gap if candles are missing before."""
        if not self.awaits_page:
            return []
        held, self._held = self._held, {}
        self.awaits_page, self._unsure = False, None
        self._floor = max(self._floor, min((*held, *(() if self._running is None else (self._running.open_ts,))), default=0))
        return [*self.end_gap(now), *(event for candle in held.values() for event in self._publish(candle))]

    def continue_after(self, tape: Candle | None, now: int) -> list[Event]:
        """Publish the candles that follow `tape`, the newest that another replica has published. None: it has published none."""
        events: list[Event] = []
        known = self._closed | self._held
        reaches = tape is None or min((*known, self._newest_open)) <= tape.open_ts
        if tape is not None and self.state is not LIVE:
            self.gap_from = tape.received_ts
        elif tape is not None and not reaches:
            from_ts = min(tape.received_ts, now)
            events.append(self.gap_event(max(from_ts, min(self.received_ts, now)), None, GapCause.DISCONNECT, from_ts=from_ts))
        for open_ts, candle in known.items():
            if tape is None or open_ts > tape.open_ts or (open_ts == tape.open_ts and not tape.closed):
                events.append(candle)
            elif open_ts == tape.open_ts:
                known[open_ts] = msgspec.structs.replace(candle, revision=tape.revision + (figures(candle) != figures(tape)))
                events += [] if known[open_ts].revision == tape.revision else [known[open_ts]]
        running = self._running
        if running is not None and tape is not None and tape.closed and running.open_ts == tape.open_ts:
            known[tape.open_ts], self._running = tape, None
        elif running is not None and (tape is None or running.open_ts > tape.open_ts or figures(running) != figures(tape)):
            events.append(running)
        self._closed, self._held, self._unsure, self.awaits_page = known, {}, None, False
        self._keep()
        return events

    @property
    def _newest_open(self) -> int:
        """`open_ts` of the newest candle; -1: none is known."""
        return self._running.open_ts if self._running is not None else max((*self._closed, *self._held), default=-1)

    @property
    def _closed_until(self) -> int:
        """The end of the newest closed candle; 0: none is known."""
        return max((one.close_ts for one in (*self._closed.values(), *self._held.values())), default=0)

    def _note_newest(self, events: list[Event]) -> list[Event]:
        """Remember the newest published candle."""
        for event in events:
            if isinstance(event, Candle):
                self.last = event
        return events

    def _place(self, candle: Candle, *, late: bool) -> list[Event]:
        """Apply one candle. `late`: newer data came before it."""
        open_ts, newest = candle.open_ts, self._newest_open
        if self._running is not None and open_ts == newest:
            return self._update(self._running, candle, late=late)
        return self._begin(candle) if open_ts > newest else self._correct(candle, late=late)

    def _update(self, running: Candle, candle: Candle, *, late: bool) -> list[Event]:
        if late and not candle.closed:
            return []
        self._settle()
        if candle.closed:
            self._running = None
            return self._close(candle)
        if figures(running) == figures(candle):
            return []
        self._running = candle
        return [candle]

    def _begin(self, candle: Candle) -> list[Event]:
        """Apply a candle that opens after all others."""
        events: list[Event] = []
        running, self._running = self._running, None
        if self._is_sure:
            if running is not None:
                events += self._close(msgspec.structs.replace(running, closed=True, received_ts=candle.received_ts))
        elif running is None and candle.open_ts <= self._closed_until:
            self._settle()
        elif self._pages:
            if not self.awaits_page:
                self.awaits_page, self._unsure = True, running
        else:
            self._floor = candle.open_ts
            self._closed.clear()
            events += self.end_gap(candle.received_ts)
        self._is_sure = True
        if candle.closed:
            return [*events, *self._close(candle)]
        self._running = candle
        return [*events, candle]

    def _shows_loss(self, candle: Candle) -> bool:
        """Whether a candle of the stream shows that frames are missing before it: the last of the running candle, or an interval."""
        if not self._is_sure or candle.open_ts <= self._newest_open:
            return False
        if self._running is not None:
            return self._has_flags or (self._has_every and candle.open_ts > self._running.close_ts)
        return self._has_every and 0 < self._closed_until < candle.open_ts

    def _correct(self, candle: Candle, *, late: bool) -> list[Event]:
        """Apply a candle that opens before the newest, or is closed already."""
        open_ts = candle.open_ts
        known = self._closed.get(open_ts)
        if open_ts in self._held and not late:
            self._held[open_ts] = msgspec.structs.replace(candle, closed=True)
        if open_ts < self._floor or open_ts in self._held or (late and not candle.closed) or (known is None and self.awaits_page):
            return []
        if known is not None and figures(known) == figures(candle):
            return []
        corrected = msgspec.structs.replace(candle, closed=True, revision=LATE if known is None else known.revision + 1)
        self._closed[open_ts] = corrected
        if known is None:
            self._keep()
        return [corrected]

    def _close(self, candle: Candle) -> list[Event]:
        """Publish the last content of a candle; hold it if earlier ones may still come."""
        if not self.awaits_page:
            return self._publish(candle)
        self._held[candle.open_ts] = candle
        most = 1 if self.known_from is None else self._kept
        return self.end_waiting(candle.received_ts) if len(self._held) > most else []

    def _publish(self, candle: Candle) -> list[Event]:
        self._closed[candle.open_ts] = candle
        self._keep()
        return [candle]

    def _keep(self) -> None:
        """Drop the oldest closed candles if there are too many."""
        self._closed = dict(sorted(self._closed.items())[-self._kept :])
        if len(self._closed) == self._kept:
            self._floor = max(self._floor, min(self._closed))

    def _settle(self) -> None:
        """Note that nothing was missed since the newest candle came."""
        self._is_sure = True
        if not self.awaits_page:
            self.gap_from = self.unread_ts = 0

    def _place_all(self, rows: Sequence[Candle], *, late: bool) -> list[Event]:
        """Apply past candles, of which the last may be running."""
        return [event for row in rows for event in self._place(row if row is rows[-1] else _closed(row), late=late)]

    def _bridge(self, complete_from: int, now: int) -> list[Event]:
        """Note that all candles from `complete_from` on are known. Returns the gap if others are missing before."""
        before = self._unsure if self.awaits_page else self._running
        reach = before.open_ts if before is not None else max((one.close_ts for one in self._closed.values()), default=None)
        if reach is None or (self._is_sure and not self.awaits_page):
            return []
        if not self.awaits_page:
            self._is_sure = True
        if complete_from <= reach:
            self.gap_from = self.unread_ts = 0
            return []
        self._closed.clear()
        self._floor = complete_from
        if self.awaits_page:
            self._unsure = None
        else:
            self._running = None
        return self.end_gap(now)

    def _fill(self, rows: Sequence[Candle], *, more: bool = False) -> list[Event]:
        """Publish, in order, the candles of a page that was awaited and those that were held meanwhile."""
        stream, held, events = self._running, self._held, list[Event]()
        has_more = more and (stream is None or rows[-1].open_ts < stream.open_ts)
        short = rows[-1] if has_more else self._short_of(stream, rows)
        if stream is not None and self._is_sure:
            rows = [row for row in rows if row.open_ts < stream.open_ts]
        past = {row.open_ts: _closed(row) for row in rows[:-1]}
        past |= {at: one for at, one in held.items() if short is None or at < short.open_ts}
        if rows and short is None:
            past.setdefault(rows[-1].open_ts, rows[-1] if stream is None or rows[-1].open_ts >= stream.open_ts else _closed(rows[-1]))
        was_sure, self.awaits_page, self._is_sure = self._is_sure, False, True
        self._running, self._unsure, self._held = self._unsure, None, {}
        for open_ts, candle in sorted(past.items()):
            if stream is not None and open_ts >= stream.open_ts:
                events += self._overtake(stream)
                stream = None
            if open_ts not in self._closed:
                events += self._place(candle, late=False)
        if short is not None:
            if self._running is not None and self._running.open_ts < short.open_ts:
                events += self._overtake(None)
            self.gap_from = short.open_ts  # if no other page comes, candles are missing since
            self.awaits_page, self._unsure, self._running, self._is_sure = True, short, stream, was_sure
            self._held = {at: one for at, one in held.items() if at > short.open_ts}
        elif stream is not None:
            events += self._overtake(stream)
            self._is_sure = was_sure
        return events

    def _short_of(self, stream: Candle | None, rows: Sequence[Candle]) -> Candle | None:
        """Return the last row of a page that does not show how that candle ended, unless two pages agree about it; None: it does."""
        last = rows[-1] if rows else None
        if last is None or stream is None or last.closed or last.open_ts >= stream.open_ts or last.open_ts in self._held:
            self._last_row = None
            return None
        before, self._last_row = self._last_row, last
        return None if before is not None and (before.open_ts, figures(before)) == (last.open_ts, figures(last)) else last

    def _overtake(self, stream: Candle | None) -> list[Event]:
        """Close the running candle with what is known of it, and go on with the stream's."""
        running, self._running = self._running, stream
        return [] if running is None else self._publish(_closed(running))


def _closed(candle: Candle) -> Candle:
    return candle if candle.closed else msgspec.structs.replace(candle, closed=True)
