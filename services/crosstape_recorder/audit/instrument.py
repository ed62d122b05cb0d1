"""Audits all that is published of one instrument."""

from __future__ import annotations

from crosstape_recorder.audit.complete import Complete
from crosstape_recorder.audit.feed_states import FeedStates
from crosstape_recorder.audit.findings import Audit, Check
from crosstape_recorder.audit.price_stream import PriceStream
from crosstape_recorder.audit.quotes import Quotes
from crosstape_recorder.audit.rules import MS, Rules
from crosstape_recorder.audit.windows import Windows
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Bar, Book, Cbbo, Depth, Edge, Event, Gap, Quote, Status, Trade


class InstrumentAudit:
    """Takes the recorded entries of one instrument, and those of its venues, in the order of their ids: inputs before what was computed."""

    def __init__(self, name: str, rules: Rules, audit: Audit) -> None:
        self.name = name
        self._rules = rules
        self._audit = audit
        self._states: dict[str, FeedStates] = {}
        self._quotes, self._books = PriceStream(), PriceStream()
        self._cbbo = Quotes(audit, rules, self._quotes, self._books, self._states)
        self._windows = Windows(rules.lag_ns // MS)
        self._complete = Complete(rules, self._states)

    def take(self, ms: int, n: int, event: Event) -> None:
        """Take the next entry."""
        match event:
            case Quote():
                self._state(event.venue).event(ms, event.epoch)
                self._quotes.add(ms, n, event)
            case Book():
                self._state(event.venue).event(ms, event.epoch)
                self._books.add(ms, n, event)
            case Trade():
                self._windows.trade(ms, n, event)
                self._complete.trade(event)
            case Status():
                self._status(ms, event)
            case Gap():
                self._complete.gap(ms, event)
            case Cbbo():
                self._quote(ms, n, event)
            case _:
                pass

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
        check = Check(self._audit, "window", quote, f"{ms}-{n}")
        self._windows.take(check, quote, found.at)
        self._complete.take(check, quote, found.at, self._windows)
        check.done()

    def _state(self, venue: str) -> FeedStates:
        found = self._states.get(venue)
        if found is None:
            found = self._states[venue] = FeedStates(self._rules.stale_ns)
        return found
