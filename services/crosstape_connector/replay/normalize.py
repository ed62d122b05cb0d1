"""Turns a capture into the events that the connector would have put on the tape. Pure: the same capture always gives the same events.

The parsers and `FeedHandler` are those of the running connector; only time is different: books are conflated by the times of the frames.
Where a recording has no receive time (null), a frame's is the newest venue time in it, or the time of the line before if that is later.
A recording may lack acknowledgements and the opening of its connections: neither is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Final

import msgspec

from crosstape_connector.capture.reader import CaptureHeader, CaptureLine, NotACaptureError, read
from crosstape_connector.errors import FRAME_ERRORS, FrameError, frame_error_kind
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.replay.connections import RecordedConnection, RecordedConnections
from crosstape_connector.replay.polled_answers import asked_for, find_source
from crosstape_connector.replay.rest_order import RestOrder, of_a_pipe
from crosstape_connector.replay.summary import Summary, Unhandled
from crosstape_connector.venues.messages import Ack, CandleSnapshot, Odd, OddRow, Output, Rejected, Rotate, TradeSnapshot
from crosstape_connector.venues.parsing import unreadable
from crosstape_connector.venues.spec import Endpoint, Parser, PolledSource, Venue
from crosstape_schemas import CANDLE, Event, Gap, Instrument, Trade, feed_kind

FIRST: Final = 1_000
"""Lines of a recording that are looked at to find the table that reads it."""
KINDS: Final = ("trade", "quote", "book", "ticker", "mark", "funding", "open_interest", "liquidation", "status")
"""The kinds of events that are made, as far as the venue has them; others only if they are asked for."""


class Normalized(Iterator[Event]):
    """Iterates over the events of a capture; `summary` counts what was read so far."""

    def __init__(self, events: Iterator[Event], summary: Summary) -> None:
        self._events = events
        self.summary = summary

    def __next__(self) -> Event:
        """Return the next event."""
        return next(self._events)


def normalize(
    venue: Venue,
    lines: Iterable[bytes],
    *,
    delta: bool = False,
    candles: Iterable[str] = (),
    book_depth: int = 10,
    book_interval_ns: int = 100_000_000,
) -> Normalized:
    """Return the events of a capture, for every instrument that its REST answer lists; `seq` counts as on the tape, `epoch` is 0.

    `delta`: also the raw changes of books. `candles`: the timeframes of candles.

    `lines` are read twice unless they are an iterator, so that the order of the REST lines does not matter; in an iterator, a snapshot that
    comes after the frames which need it is of no use (see `rest_order`). Frames that cannot be used are counted in the summary.

    Raises `NotACaptureError` at once, also for another venue's capture; `FrameError` at a line that is not one of a capture.
    """
    header, rest = read(lines)
    check_header(header, venue)
    first = list(islice(rest, FIRST)) if venue.recorded_channels else []
    venue = _table(venue, header.url, first)
    venue = msgspec.structs.replace(venue, candle_source=None)  # no candle waits for past ones: their answers are not used
    kinds = (*KINDS, *(("delta",) if delta else ()), *(f"{CANDLE}{timeframe}" for timeframe in candles))
    replay = _Replay(venue, header.url, kinds, book_depth=book_depth, book_interval_ns=book_interval_ns)
    return Normalized(replay.events(_ordered(venue, lines, chain(first, rest))), replay.summary)


def check_header(header: CaptureHeader, venue: Venue) -> None:
    """Raise `NotACaptureError` for another venue's capture."""
    if header.venue not in (venue.id, *venue.aliases):
        raise NotACaptureError(f"a capture of {header.venue!r}, not of {venue.id!r}")


def _table(venue: Venue, url: str, first: Sequence[CaptureLine]) -> Venue:
    """Return the table that reads a recording with this address and these first lines."""
    by_address = next((table for part, table in venue.recordings.items() if part in url), venue)
    frames = [line.f for line in first if line.d in ("in", "out") and line.f is not None]
    found = (table for part, table in by_address.recorded_channels.items() if any(part in frame for frame in frames))
    return next(found, None) or by_address


def _ordered(venue: Venue, lines: Iterable[bytes], rest: Iterator[CaptureLine]) -> Iterator[CaptureLine]:
    if isinstance(lines, Iterator):
        return of_a_pipe(venue, rest)
    return RestOrder(venue, rest).of(read(lines)[1])


class _Replay:
    """Reads the lines of one capture."""

    def __init__(self, venue: Venue, url: str, kinds: Sequence[str], *, book_depth: int, book_interval_ns: int) -> None:
        self.venue = venue
        self.url = url
        self.interval = book_interval_ns
        self.feeds = FeedHandler(venue, {}, kinds, book_depth=book_depth, book_interval_ns=book_interval_ns, renews_books=False)
        self.symbols: dict[str, Instrument] = {}
        self.connections = RecordedConnections(self.feeds)
        self.summary = Summary(venue=venue.id)
        self.now = 0
        self.seqs: Counter[tuple[str, str]] = Counter()

    def events(self, lines: Iterator[CaptureLine]) -> Iterator[Event]:
        """Yield the events of these lines."""
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
                    pass  # two files are read one after the other: the connection went on
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
            if isinstance(made, Odd):
                self.summary.odd[made.kind] += 1
                continue
            event = _forward(made) if isinstance(made, Gap) else made
            kind = feed_kind(event)
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
            endpoint, parse = self._find_parser(connection, line, data)
            data = _text(endpoint, line, data)
            outputs = parse(data, self.now if line.t is None else line.t)
        except FRAME_ERRORS as exc:
            kind = frame_error_kind(exc)
            self._unhandled(kind, str(exc), data)
            return self._unread(line, kind, data)
        events: list[Effect] = []
        if line.t is None:
            events += self._advance(outputs)
            outputs = [_received(output, self.now) for output in outputs]
        for output in outputs:
            events += self._apply(connection, output)
        return events

    def _unread(self, line: CaptureLine, kind: str, data: bytes) -> list[Effect]:
        """Apply what a bad frame means: of the feeds that it may have held data for, ours are not the newest any more."""
        if kind in unreadable.NOT_OURS or line.c not in self.connections:
            return []
        connection = self.connections.get(line.c, self.url)
        endpoint = connection.endpoint
        received_ts = self.now if line.t is None else line.t
        if endpoint is None:
            return []
        with suppress(FrameError):
            data = _text(endpoint, line, line.body())
        found = unreadable.feeds_of(endpoint, self.symbols, data, received_ts, kind)
        return [event for output in found for event in self._apply(connection, output)]

    def _advance(self, outputs: Iterable[Output]) -> list[Effect]:
        """Set the time to the newest venue time of a frame that has no receive time."""
        times = [getattr(output, "venue_ts", None) for output in outputs]
        self.now = max(self.now, *(moment for moment in times if moment is not None), 0)
        return list(self.feeds.due_books(self.now))

    def _apply(self, connection: RecordedConnection, output: Output) -> list[Effect]:
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
        """Interrupt feeds that the recorder unsubscribed: what it did not record until it subscribed again is a gap."""
        endpoint = connection.endpoint
        kinds = [kind for kind, channel in endpoint.channels.items() if channel == ack.channel] if endpoint is not None else []
        names = [self.symbols[symbol].name for symbol in ack.symbols if symbol in self.symbols]
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
            source = find_source(venue, line.u)
            if source is not None:
                return self._values(source, line, data)
            symbol = venue.snapshots.match(line.u) if venue.snapshots is not None else None
            if venue.snapshots is None or symbol is None or symbol not in self.symbols:
                summary.rest["unused"] += 1
                return []
            snapshot = venue.snapshots.parse(data, self.symbols[symbol], self.now)  # its line may come after later frames
        except FRAME_ERRORS as exc:
            self._unhandled(frame_error_kind(exc), str(exc), data)
            return []
        summary.rest["snapshot"] += 1
        return list(self.feeds.apply(snapshot))

    def _values(self, source: PolledSource, line: CaptureLine, data: bytes) -> list[Effect]:
        """Apply the answer of a polled source. Raises one of `FRAME_ERRORS`."""
        rows = source.parse(data, asked_for(source, line.u, self.symbols), self.now if line.t is None else line.t)
        self.summary.rest["values"] += 1
        self.summary.odd.update(row.kind for row in rows if isinstance(row, Odd))
        return [effect for row in rows if not isinstance(row, Odd) for effect in self.feeds.apply(row)]

    def _instruments(self, found: Iterable[Instrument | OddRow]) -> None:
        for row in found:
            if isinstance(row, OddRow):
                self.summary.odd[row.kind] += 1
            else:
                self.feeds.add_instrument(row)
                self.symbols[row.symbol] = row

    def _find_parser(self, connection: RecordedConnection, line: CaptureLine, data: bytes) -> tuple[Endpoint, Parser]:
        """Return the endpoint that the connection's URL names, or else the one whose format its first frame has, and its parser."""
        if connection.endpoint is None or connection.parser is None:
            endpoints = self.venue.endpoints
            by_url = [endpoint for endpoint in endpoints if any(host in connection.url for host in endpoint.hosts)]
            by_shape = [endpoint for endpoint in endpoints if _speaks(endpoint, line, data)]
            connection.endpoint = (*by_url, *by_shape, *endpoints)[0]
            connection.parser = connection.endpoint.parser(self.symbols)
        return connection.endpoint, connection.parser

    def _unhandled(self, kind: str, error: str, data: bytes) -> None:
        if kind not in self.summary.unhandled:
            self.summary.first_unhandled.append(Unhandled(kind, error, data))
        self.summary.unhandled[kind] += 1

    def _sum_up(self) -> None:
        summary = self.summary
        for checks in self.feeds.book_checks().values():
            summary.proofs.update(checks.counts())
        summary.unwanted = self.feeds.counts["unwanted"]
        summary.duplicates = self.feeds.duplicate_trades()


def _text(endpoint: Endpoint, line: CaptureLine, data: bytes) -> bytes:
    """Return the text of a frame. Raises `FrameError` for a binary frame that cannot be turned into text."""
    return data if line.b is None or endpoint.binary is None else endpoint.binary(data)


def _speaks(endpoint: Endpoint, line: CaptureLine, data: bytes) -> bool:
    """Whether a frame is in this endpoint's dialect."""
    try:
        return endpoint.speaks is not None and endpoint.speaks(_text(endpoint, line, data))
    except FrameError:
        return False


def _received(output: Output, now: int) -> Output:
    """Return the output with `now` as its receive time."""
    if isinstance(output, TradeSnapshot):
        trades = tuple(msgspec.structs.replace(trade, received_ts=now) for trade in output.trades)
        return msgspec.structs.replace(output, received_ts=now, trades=trades)
    if isinstance(output, CandleSnapshot):
        candles = tuple(msgspec.structs.replace(candle, received_ts=now) for candle in output.candles)
        return msgspec.structs.replace(output, received_ts=now, candles=candles)
    return msgspec.structs.replace(output, received_ts=now) if hasattr(output, "received_ts") else output


def _forward(gap: Gap) -> Gap:
    """Return a gap that does not end before it begins, as one may if frames are recorded in another order than they were received."""
    return gap if gap.from_ts <= gap.to_ts else msgspec.structs.replace(gap, from_ts=gap.to_ts, to_ts=gap.from_ts)
