"""Audits all that is published of one instrument."""

from __future__ import annotations

from crosstape_recorder.audit.bars import Bars
from crosstape_recorder.audit.complete import Complete
from crosstape_recorder.audit.depths import Depths
from crosstape_recorder.audit.edges import Edges
from crosstape_recorder.audit.feed_states import FeedStates
from crosstape_recorder.audit.findings import Audit, Check
from crosstape_recorder.audit.held import Held, Item
from crosstape_recorder.audit.price_stream import PriceStream
from crosstape_recorder.audit.quotes import Published, Quotes
from crosstape_recorder.audit.rules import MS, SECOND, Rules
from crosstape_recorder.audit.windows import UNRECORDED, Windows
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Bar, Book, Cbbo, Depth, Edge, Event, Gap, Quote, Status, Trade


class InstrumentAudit:
    """Takes the recorded entries of one instrument, and those of its venues, in the order of their ids: inputs before what was computed."""

    def __init__(self, name: str, rules: Rules, audit: Audit, *, audited_from_ts: int = 0) -> None:
        """`audited_from_ts`: what was published before this moment (ns) is not audited, but the inputs from before it are taken. `audit` is
        of this instrument alone.
        """
        self.name = name
        self._rules = rules
        self._audit = audit
        self._states: dict[str, FeedStates] = {}
        self._quotes, self._books = PriceStream(), PriceStream()
        self._cbbo = Quotes(audit, rules, self._quotes, self._books, self._states)
        self._windows = Windows()
        self._complete = Complete(rules, self._states)
        self._bars = Bars(name, audit, rules, self._complete)
        self._depths = Depths(audit, rules, self._books, self._states, self._cbbo)
        self._edges = Edges(audit, rules, self._books, self._cbbo)
        self._held = Held()
        self._quoted: tuple[int, int] = (0, 0)  # epoch and id (ms) of the newest quote
        self._audited_from_ms = self._windows.audited_from_ms = audited_from_ts // MS
        self._bars.audited_from_ts = audited_from_ts
        self._numbers: dict[tuple[str, int], int] = {}  # venue and epoch → `seq` of its newest trade
        self._newest_ms: dict[str, int] = {}  # venue → id (ms) of its newest trade

    def known_from(self, ts: int) -> None:
        """Note that trades that count before this moment (ns) may not be in the recording."""
        self._windows.known_from_s = max(self._windows.known_from_s, ts // SECOND + 1)
        self._bars.known_from_ts = max(self._bars.known_from_ts, ts)

    def take(self, ms: int, n: int, event: Event) -> None:
        """Take the next entry."""
        audited = ms >= self._audited_from_ms
        match event:
            case Quote():
                self._state(event.venue).event(ms, event.epoch)
                self._quotes.add(ms, n, event)
            case Book():
                self._state(event.venue).event(ms, event.epoch)
                self._books.add(ms, n, event)
            case Trade():
                if not self._is_new(ms, event):
                    return
                self._windows.trade(ms, n, event)
                self._bars.trade(ms, n, event)
                self._complete.trade(event)
            case Status():
                self._status(ms, event)
            case Gap():
                self._complete.gap(ms, event)
            case Cbbo() if audited:
                self._quote(ms, n, event)
            case Depth() | Edge() if audited:
                self._held.add(ms, n, event)
            case Bar() if audited:
                self._bars.take(ms, n, event)
            case _:
                return
        for item in self._held.due(ms):
            self._release(item)

    def done(self) -> None:
        """Finish the audit: no entry follows."""
        for item in self._held.due(None):
            self._release(item)
        self._bars.done()

    def _is_new(self, ms: int, trade: Trade) -> bool:
        """Whether a trade comes for the first time. Finds those that are missing in the recording: numbers count by one, from 1 on."""
        key = trade.venue, trade.epoch
        before = self._numbers.get(key, 0)
        if trade.seq <= before:
            return False
        if trade.seq != before + 1:
            self.known_from(ms * MS)
            self._audit.retract({"window", "bar"}, self._newest_ms.get(trade.venue, 0), UNRECORDED)
        self._numbers[key] = trade.seq
        self._newest_ms[trade.venue] = ms
        return True

    def _status(self, ms: int, status: Status) -> None:
        if status.venue == CONSOLIDATED:
            return
        if status.instrument == VENUE_WIDE:
            self._state(status.venue).venue_status(ms, status)
            transit = self._cbbo.legs.transit_ns
            transit[status.venue] = min(transit.get(status.venue, 1 << 62), (ms + 1) * MS - status.received_ts)
        else:
            self._state(status.venue).status(ms, status)

    def _quote(self, ms: int, n: int, quote: Cbbo) -> None:
        found = self._cbbo.take(ms, n, quote)
        self._quoted = quote.epoch, ms
        check = Check(self._audit, "window", quote, f"{ms}-{n}")
        self._windows.take(check, quote, found.at)
        self._complete.take(check, quote, found.at, self._windows)
        check.done()
        if self._rules.fees:
            self._held.add(ms, n, found)

    def _release(self, item: Item) -> None:
        event = item.event
        if isinstance(event, Published):
            epoch, newest_ms = self._quoted
            if epoch == event.quote.epoch and newest_ms > item.ms + 1_000:
                self._edges.quote(item.ms, item.n, event)  # else its edges may not have reached the tape
        elif isinstance(event, Edge):
            self._edges.take(item.ms, item.n, event)
        else:
            self._depths.take(item.ms, item.n, event)

    def _state(self, venue: str) -> FeedStates:
        found = self._states.get(venue)
        if found is None:
            found = self._states[venue] = FeedStates(self._rules.stale_ns)
        return found
