"""A capture → the events that the connector would have put on the tape. Pure, and the same for the same capture.

The parsers and `FeedHandler` are those of the running connector; only time is different: books are conflated by the times of the frames.
Where a recording has no receive time (null), a frame's is the newest venue time in it, or the time of the line before if that is later.
What a venue left out of the recording (the acknowledgement, the connection's opening) is done without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from crosstape_connector.capture.reader import CaptureLine, NotACaptureError, read
from crosstape_connector.errors import FRAME_ERRORS, frame_error_kind
from crosstape_connector.feeds.books.checks import BookChecks
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.replay.connections import RecordedConnection, RecordedConnections
from crosstape_connector.replay.rest_order import RestOrder, of_a_pipe
from crosstape_connector.venues.messages import Ack, Odd, OddRow, Output, Rejected, Rotate, TradeSnapshot
from crosstape_connector.venues.parsing import unreadable
from crosstape_connector.venues.spec import Parser, Venue
from crosstape_schemas import KIND_OF, Event, Gap, Instrument, Trade

KINDS: Final = ("trade", "quote", "book", "ticker", "status")


class Unhandled(msgspec.Struct, frozen=True):
    """The first frame of its kind that could not be used."""

    kind: str
    error: str
    frame: bytes


class Summary(msgspec.Struct):
    """What was in a capture and what was made of it; complete when the events are exhausted."""

    venue: str = ""
    frames: int = 0
    """In, of all connections."""
    events: Counter[str] = msgspec.field(default_factory=Counter)
    """By kind."""
    trades: Counter[str] = msgspec.field(default_factory=Counter)
    """By instrument."""
    gaps: Counter[str] = msgspec.field(default_factory=Counter)
    """By kind and cause: `book sequence`."""
    proofs: Counter[str] = msgspec.field(default_factory=Counter)
    """Of all books together, see `books.Proofs`."""
    duplicates: int = 0
    """Trades that were there already."""
    odd: Counter[str] = msgspec.field(default_factory=Counter)
    """Values left out of good frames, by kind."""
    unwanted: int = 0
    unhandled: Counter[str] = msgspec.field(default_factory=Counter)
    """Frames that could not be used, by kind …"""
    first_unhandled: list[Unhandled] = msgspec.field(default_factory=list)
    """… and the first of each."""
    session: Counter[str] = msgspec.field(default_factory=Counter)
    """Acknowledgements, refusals, announced rotations."""
    rest: Counter[str] = msgspec.field(default_factory=Counter)
    """REST answers: `instruments`, `snapshot`, `unused` ones, and those by which the venue refused (`failed`)."""
    resyncs: Counter[str] = msgspec.field(default_factory=Counter)
    """What the running connector would have been asked to do, by cause."""


class Normalized(Iterator[Event]):
    """The events of a capture, one by one; `summary` beside them."""

    def __init__(self, events: Iterator[Event], summary: Summary) -> None:
        self._events = events
        self.summary = summary

    def __next__(self) -> Event:
        """The next event."""
        return next(self._events)


def normalize(
    venue: Venue,
    lines: Iterable[bytes],
    *,
    delta: bool = False,
    book_depth: int = 10,
    book_interval_ns: int = 100_000_000,
) -> Normalized:
    """Events of a capture of that venue, for every instrument that its REST answer lists; `seq` counts as on the tape, `epoch` is 0.

    Where `lines` can be read more than once (all but an iterator) they are, so that the order of the REST lines does not matter; of an
    iterator, only a snapshot behind the frames that it is needed for is of no use (see `rest_order`).
    Raises `NotACaptureError` at once (also for another venue's), `FrameError` at a line that is none. Frames that cannot be
    used are counted in the summary.
    """
    header, rest = read(lines)
    if header.venue not in (venue.id, *venue.aliases):
        raise NotACaptureError(f"a capture of {header.venue!r}, not of {venue.id!r}")
    run = _Run(venue, header.url, delta=delta, book_depth=book_depth, book_interval_ns=book_interval_ns)
    return Normalized(run.events(_ordered(venue, lines, rest)), run.summary)


def _ordered(venue: Venue, lines: Iterable[bytes], rest: Iterator[CaptureLine]) -> Iterator[CaptureLine]:
    if isinstance(lines, Iterator):
        return of_a_pipe(venue, rest)
    return RestOrder(venue, rest).of(read(lines)[1])


class _Run:
    def __init__(self, venue: Venue, url: str, *, delta: bool, book_depth: int, book_interval_ns: int) -> None:
        self.venue = venue
        self.url = url
        self.kinds = (*KINDS, "delta") if delta else KINDS
        self.interval = book_interval_ns
        self.feeds = FeedHandler(venue, {}, self.kinds, book_depth=book_depth, book_interval_ns=book_interval_ns)
        self.symbols: dict[str, str] = {}
        self.connections = RecordedConnections(self.feeds)
        self.summary = Summary(venue=venue.id)
        self.now = 0
        self.seqs: Counter[tuple[str, str]] = Counter()

    def events(self, lines: Iterator[CaptureLine]) -> Iterator[Event]:
        for line in lines:
            if line.t is not None:
                self.now = max(self.now, line.t)
                yield from self._stamped(self.feeds.due_books(self.now))
            match line.d:
                case "in":
                    yield from self._stamped(self._frame(line))
                case "rest":
                    yield from self._stamped(self._answer(line))
                case "open" if line.repeated and line.c in self.connections:
                    pass  # files read one after the other: it went on
                case "open":
                    yield from self._stamped(self.connections.close(line.c, self.now, "opened anew"))
                    self.connections.open(line.c, line.u or self.url)
                case "close":
                    yield from self._stamped(self.connections.close(line.c, self.now, line.f or "closed"))
                case _:
                    pass
        yield from self._stamped(self.feeds.due_books(self.now + self.interval))
        self._sum_up()

    def _stamped(self, effects: Iterable[Effect]) -> Iterator[Event]:
        for made in effects:
            if isinstance(made, SnapshotRequest):
                self.summary.resyncs[made.cause] += 1
                continue
            event = _forward(made) if isinstance(made, Gap) else made
            kind = KIND_OF[type(event)]
            self.seqs[kind, event.instrument] += 1
            self.summary.events[kind] += 1
            if isinstance(event, Trade):
                self.summary.trades[event.instrument] += 1
            elif isinstance(event, Gap):
                self.summary.gaps[f"{event.kind} {event.cause}"] += 1
            yield msgspec.structs.replace(event, seq=self.seqs[kind, event.instrument])

    def _frame(self, line: CaptureLine) -> list[Effect]:
        self.summary.frames += 1
        data = b""
        try:
            data = line.body()
            if line.bad:
                self._unhandled(line.bad, "the connector could not use it", data)
                return self._unread(line, line.bad, data)
            connection = self.connections.get(line.c, self.url)
            outputs = self._parser(connection, data)(data, self.now if line.t is None else line.t)
        except FRAME_ERRORS as exc:
            kind = frame_error_kind(exc)
            self._unhandled(kind, str(exc), data)
            return self._unread(line, kind, data)
        events: list[Effect] = []
        if line.t is None:
            events += self._clock(outputs)
            outputs = [_received(output, self.now) for output in outputs]
        for output in outputs:
            events += self._take(connection, output)
        return events

    def _unread(self, line: CaptureLine, kind: str, data: bytes) -> list[Effect]:
        """What a bad frame of that kind means for the quotes and tickers that it may have held."""
        if kind in unreadable.NOT_OURS or line.c not in self.connections:
            return []
        connection = self.connections.get(line.c, self.url)
        endpoint = connection.endpoint
        received_ts = self.now if line.t is None else line.t
        found = unreadable.feeds_of(endpoint, self.symbols, data, received_ts) if endpoint is not None else ()
        return [event for output in found for event in self._take(connection, output)]

    def _clock(self, outputs: Iterable[Output]) -> list[Effect]:
        """Time goes on to the newest that a frame without a receive time tells of."""
        told = [getattr(output, "venue_ts", None) for output in outputs]
        self.now = max(self.now, *(moment for moment in told if moment is not None), 0)
        return list(self.feeds.due_books(self.now))

    def _take(self, connection: RecordedConnection, output: Output) -> list[Effect]:
        summary = self.summary
        events = self.connections.apply(connection, output, self.now)
        if isinstance(output, Odd):
            summary.odd[output.kind] += 1
        elif isinstance(output, Rejected):
            summary.session["rejected"] += 1
        elif isinstance(output, Rotate):
            summary.session["rotate"] += 1
        elif isinstance(output, Ack):
            summary.session["unsubscribed" if output.unsubscribed else "acknowledged"] += 1
            if output.unsubscribed:
                events += self._unsubscribed(connection, output)
        return events

    def _unsubscribed(self, connection: RecordedConnection, ack: Ack) -> list[Effect]:
        """The recorder let go of these feeds: what it did not record until it took them up again is a gap."""
        endpoint = connection.endpoint
        kinds = [kind for kind, channel in endpoint.channels.items() if channel == ack.channel] if endpoint is not None else []
        names = [self.symbols[symbol] for symbol in ack.symbols if symbol in self.symbols]
        feeds = [FeedKey(kind, name) for name in names for kind in kinds if FeedKey(kind, name) in connection.feeds]
        return list(self.feeds.interrupt(feeds, self.now, "unsubscribed"))

    def _answer(self, line: CaptureLine) -> list[Effect]:
        venue, summary = self.venue, self.summary
        if line.bad:
            summary.rest["failed"] += 1
            return []
        data = b""
        try:
            data = line.body()
            if venue.instruments.match(line.u):
                summary.rest["instruments"] += 1
                self._instruments(venue.instruments.parse(data))
                return []
            symbol = venue.snapshots.match(line.u) if venue.snapshots is not None else None
            if venue.snapshots is None or symbol is None or symbol not in self.symbols:
                summary.rest["unused"] += 1
                return []
            snapshot = venue.snapshots.parse(data, self.symbols[symbol], self.now)  # it may stand behind later frames
        except FRAME_ERRORS as exc:
            self._unhandled(frame_error_kind(exc), str(exc), data)
            return []
        summary.rest["snapshot"] += 1
        return list(self.feeds.apply(snapshot))

    def _instruments(self, found: Iterable[Instrument | OddRow]) -> None:
        for row in found:
            if isinstance(row, OddRow):
                self.summary.odd[row.kind] += 1
            else:
                self.feeds.add_instrument(row)
                self.symbols[row.symbol] = row.name

    def _parser(self, connection: RecordedConnection, data: bytes) -> Parser:
        """That of the endpoint which the connection's URL names, or else of the one whose dialect its first frame is in."""
        if connection.parser is None:
            endpoints = self.venue.endpoints
            by_url = [endpoint for endpoint in endpoints if any(host in connection.url for host in endpoint.hosts)]
            by_shape = [endpoint for endpoint in endpoints if endpoint.speaks is not None and endpoint.speaks(data)]
            connection.endpoint = (*by_url, *by_shape, *endpoints)[0]
            connection.parser = connection.endpoint.parser(self.symbols)
        return connection.parser

    def _unhandled(self, kind: str, error: str, data: bytes) -> None:
        if kind not in self.summary.unhandled:
            self.summary.first_unhandled.append(Unhandled(kind, error, data))
        self.summary.unhandled[kind] += 1

    def _sum_up(self) -> None:
        summary = self.summary
        proofs: Iterable[BookChecks] = self.feeds.book_checks().values()
        for proof in proofs:
            summary.proofs.update(proof.counts())
        summary.unwanted = self.feeds.counts["unwanted"]
        summary.duplicates = self.feeds.duplicate_trades()


def _received(output: Output, now: int) -> Output:
    """The same output, received now."""
    if isinstance(output, TradeSnapshot):
        trades = tuple(msgspec.structs.replace(trade, received_ts=now) for trade in output.trades)
        return msgspec.structs.replace(output, received_ts=now, trades=trades)
    return msgspec.structs.replace(output, received_ts=now) if hasattr(output, "received_ts") else output


def _forward(gap: Gap) -> Gap:
    """It does not end before it begins, also where frames stand in another order than they were received in."""
    return gap if gap.from_ts <= gap.to_ts else msgspec.structs.replace(gap, from_ts=gap.to_ts, to_ts=gap.from_ts)
