"""One connection: connect, subscribe, keep alive, read until it ends. Retries are the supervisor's, what frames mean is the parser's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog
from aiohttp import WebSocketError, WSCloseCode, WSMsgType
from aiohttp.http import WSMessageNoDecodeText

from crosstape_connector.connection import upkeep
from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.subscriptions import ATTEMPTS, Subscriptions, TopicState
from crosstape_connector.connection.websocket import Sender, Silence, Socket, connect
from crosstape_connector.errors import (
    FRAME_ERRORS,
    BinaryFrame,
    ConnectionLost,
    FeedError,
    OversizedFrame,
    frame_error_kind,
)
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.handover import Handover
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.metrics.counters import SAMPLE
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.venues.messages import Ack, Heartbeat, Odd, Output, Rejected, Reply, Rotate
from crosstape_connector.venues.parsing import unreadable
from crosstape_connector.venues.parsing.refusals import public
from crosstape_connector.venues.spec import subscribed_depth

HARD_LIMIT: Final = 4
"""A frame so many times as large as its endpoint allows is not read to its end: the session ends instead."""

FAIR: Final = 256
"""After so many frames in a row others get a turn: reading what is there already never waits by itself."""

POLL_S: Final = 0.25
HEAD: Final = 200
"""Bytes of a bad frame in the log."""

COMPLAINTS: Final = 20
"""So many different reasons of refusals that name nothing are logged, per session."""

INTERNAL: Final = "internal"
"""The kind of a frame that met a fault of ours."""

log = structlog.get_logger(__name__)


class Session:
    """One connection, for one `run`. `number` names it in the capture; `standby`: read and hold, until `take_over`."""

    def __init__(self, context: ConnectionContext, connection: ConnectionPlan, number: int, *, standby: bool = False) -> None:
        self.number = number
        self.connection = connection
        self.subscriptions = Subscriptions(
            connection.endpoint,
            connection.topics,
            depth=subscribed_depth(context.venue, context.settings.book_depth),
            ack_timeout_s=context.settings.ack_timeout_s,
        )
        loop = asyncio.get_running_loop()
        self.rotate: asyncio.Future[None] = loop.create_future()
        """Done when the venue says that it will close this connection soon."""
        self.settled: asyncio.Future[None] = loop.create_future()
        """Done when every topic was answered."""
        self.open = False
        self._context = context
        self._endpoint = connection.endpoint
        self._log = log.bind(venue=context.venue.id, endpoint=self._endpoint.name, connection=number)
        self._counters = context.counters.endpoints[self._endpoint.name]
        self._rate_limit = context.rate_limits.get(self._endpoint.name) or RateLimit.per_second(self._endpoint.requests_per_s)
        self._wake = asyncio.Event()
        self._standby = Handover(context.feeds) if standby else None
        self._opened_ts = 0
        self._long_stops = 0
        self._entered = False  # `feeds.opened` was said, so `feeds.lost` must be
        self._heard_ts = 0
        self._holding_back = False  # it is us who do not read: no silence of the venue or of a feed
        self._records = context.records(connection.topics)
        self._symbols = {record.symbol: record.instrument for of in self._records.values() for record in of}
        self._names = set(self._symbols.values())
        self._bad_kinds: set[str] = set()
        self._odd_kinds: set[str] = set()
        self._complaints: set[str] = set()

    async def run(self) -> None:
        """Until the connection ends. Raises `ConnectFailed` or `ConnectionLost`; cancelled, it closes politely."""
        url = self._context.urls[self._endpoint.name]
        self._counters.connects += 1
        socket = await connect(
            self._context.http,
            url,
            timeout_s=self._context.settings.connect_timeout_s,
            max_bytes=HARD_LIMIT * self._endpoint.max_frame_bytes,
        )
        reason = "stopped"
        try:
            self._begin(public(url))
            await self._converse(socket)
        except FeedError as exc:
            reason = str(exc)
            raise
        finally:
            self.open = False
            self._counters.connections -= 1
            if self._context.capture is not None:
                self._context.capture.closed(time.time_ns(), self.number, reason)
            if self._entered:
                self._context.beat()
                self._context.sink.publish(self._context.feeds.close_topics(self.subscriptions.states, time.time_ns(), reason))
            await socket.close()  # bounded by CLOSE_S

    def resubscribe(self, topic: Topic) -> bool:
        """Ask for this topic anew, alone. False: it is not here, refused, or being asked for already; or this is not yet the one to ask."""
        if self._standby is not None or not self.subscriptions.resubscribe(topic):
            return False
        self._wake.set()
        return True

    def add(self, topics: Sequence[Topic]) -> None:
        """Subscribe these too, whose feeds there are."""
        self._records.update(self._context.records(topics))
        self._symbols.update({record.symbol: record.instrument for topic in topics for record in self._records[topic]})
        self._names.update(self._symbols.values())
        self.subscriptions.add(topics)
        if self._entered:
            self._context.sink.publish(self._context.feeds.open_topics(topics, time.time_ns()))
        self._wake.set()

    def remove(self, topics: Sequence[Topic]) -> None:
        """Unsubscribe these. What still comes of them is not wanted, and counted as that."""
        self.subscriptions.remove(topics)
        for topic in topics:
            self._records.pop(topic, None)
        self._wake.set()
        self._check_settled()

    def missing(self) -> str:
        """Why a session on standby cannot take over without a hole; empty: it can."""
        if not self.open:
            return "not connected"
        if not self.subscriptions.settled:
            return "not all subscriptions are answered"
        return "" if self._standby is None else self._standby.not_ready(self._books())

    def take_over(self) -> None:
        """What was held goes on the tape, and from now on all that comes: whom it replaces must have stopped reading."""
        standby, self._standby = self._standby, None
        if not self.open:
            return  # whom it was to replace is gone: it is an ordinary session, which enters when it opens
        self._enter()
        if standby is not None:
            for event in standby.hand_over(self._books(), time.time_ns()):
                self._context.sink.publish((event,))

    def _books(self) -> list[str]:
        """The instruments whose books this connection has subscribed."""
        states = self.subscriptions.states
        return [
            record.instrument
            for topic, records in self._records.items()
            if states[topic] is not TopicState.REJECTED and any(record.kind in ("book", "delta") for record in records)
            for record in records[:1]
        ]

    def _begin(self, url: str) -> None:
        self.open = True
        self._counters.connections += 1
        self._heard_ts = self._opened_ts = time.time_ns()
        self._long_stops = self._context.feeds.long_stops
        self._log.info("session.open", url=url, topics=len(self.subscriptions.states))
        if self._context.capture is not None:
            self._context.capture.opened(self._heard_ts, self.number, url)
        if self._standby is None:
            self._enter()

    def _enter(self) -> None:
        now = time.time_ns()
        feeds, states = self._context.feeds, self.subscriptions.states
        self._entered = True
        self._context.sink.publish(feeds.open_topics(states, now, self._opened_ts))
        self._context.sink.publish(feeds.confirm_topics([topic for topic in states if states[topic] is TopicState.CONFIRMED], now))
        for topic, reason in self.subscriptions.reasons.items():
            self._context.sink.publish(feeds.reject_topic(topic, reason, now))

    async def _converse(self, socket: Socket) -> None:
        sender = Sender(socket, self.number, rate_limit=self._rate_limit, capture=self._context.capture)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(sender), name=f"write.{self.number}")
                tasks.create_task(self._watch(sender), name=f"watch.{self.number}")
                await self._read(socket, sender)
        except BaseExceptionGroup as group:
            lost, rest = group.split(FeedError)
            if rest is not None or lost is None:
                raise
            raise _leaf(lost) from None

    async def _read(self, socket: Socket, sender: Sender) -> None:
        """The hot path. Per frame: one clock reading, the parser, `Feeds`, the publisher; nothing that waits, logs or looks up a label."""
        context, counters, capture = self._context, self._counters, self._context.capture
        parse = self._endpoint.parser(self._symbols)
        handlers, publish = context.feeds.handlers, context.sink.publish
        receive, now_ns, text = socket.receive, time.time_ns, WSMsgType.TEXT
        limit = self._endpoint.max_frame_bytes
        effects: Sequence[Effect] = ()
        count = 0
        while True:
            message = await receive()
            received_ts = self._heard_ts = now_ns()
            if message.type is not text:
                await self._other(sender, message, received_ts)
                continue
            data: bytes = message.data
            counters.frames += 1
            counters.bytes += len(data)
            if len(data) > limit:
                self._bad(data, received_ts, OversizedFrame(f"{len(data)} bytes, {limit} at most"))
                continue
            try:
                for output in parse(data, received_ts):
                    apply = handlers.get(output.__class__)
                    if apply is None:
                        await self._control(sender, output)
                    elif self._standby is None:
                        effects = apply(output)
                        publish(effects)
                    else:
                        self._standby.hold(output)
            except FeedError:
                raise
            except Exception as exc:  # what nobody thought of in one frame must not end the others
                self._bad(data, received_ts, exc)
                continue
            if capture is not None:
                capture.frame_in(received_ts, self.number, data)
            count += 1
            if not count % SAMPLE:
                if effects:
                    context.sink.sample(effects[-1])
                    effects = ()
                if not count % FAIR:
                    self._holding_back = True
                    await context.flow()
                    self._holding_back = False

    async def _other(self, sender: Sender, message: WSMessageNoDecodeText, received_ts: int) -> None:
        """All that is not a text frame. Raises `ConnectionLost` where it is the end."""
        match message.type:
            case WSMsgType.PING:
                await sender.pong(message.data)
            case WSMsgType.PONG:
                pass
            case WSMsgType.BINARY:
                self._counters.frames += 1
                self._counters.bytes += len(message.data)
                self._bad(message.data, received_ts, BinaryFrame("a binary frame from a venue that speaks text"), binary=True)
            case WSMsgType.CLOSE:
                raise ConnectionLost(" ".join(filter(None, (f"closed by the venue: {message.data}", message.extra))))
            case WSMsgType.ERROR if isinstance(message.data, WebSocketError) and message.data.code == WSCloseCode.MESSAGE_TOO_BIG:
                self._context.counters.bad_frames[OversizedFrame.kind] += 1
                raise ConnectionLost(f"a frame larger than {HARD_LIMIT * self._endpoint.max_frame_bytes} bytes")
            case WSMsgType.ERROR:
                raise ConnectionLost(f"not a WebSocket frame: {message.data}")
            case _:
                raise ConnectionLost("the connection broke")

    async def _control(self, sender: Sender, output: Output) -> None:
        """Word about the session itself."""
        match output:
            case Ack():
                self._confirmed(self.subscriptions.acked(output))
            case Rejected():
                self._rejected(output)
            case Heartbeat():
                self._counters.heartbeats += 1
            case Reply(data=data):
                await sender.send_now(data)
            case Rotate(reason=reason):
                if not self.rotate.done():
                    self._log.info("session.rotating", reason=reason)
                    self.rotate.set_result(None)
            case Odd():
                self._odd(output)

    def _confirmed(self, topics: Sequence[Topic]) -> None:
        if topics and self._standby is None:
            self._context.sink.publish(self._context.feeds.confirm_topics(topics, time.time_ns()))
        self._check_settled()

    def _rejected(self, word: Rejected) -> None:
        topics = self.subscriptions.rejected(word)
        self._wake.set()  # part of what was refused may be asked for again
        if not topics and word.reason not in self._complaints and len(self._complaints) < COMPLAINTS:
            self._complaints.add(word.reason)
            self._log.warning("session.complaint", reason=word.reason)
        for topic in topics:
            self._log.error("subscription.refused", channel=topic.channel, symbol=topic.symbol, reason=word.reason)
            if self._standby is None:
                self._context.sink.publish(self._context.feeds.reject_topic(topic, word.reason, time.time_ns()))
        self._check_settled()

    def _check_settled(self) -> None:
        if not self.settled.done() and self.subscriptions.settled:
            self.settled.set_result(None)
            self._log.info("session.subscribed", **{state.value: count for state, count in self.subscriptions.counts().items()})

    def _odd(self, odd: Odd) -> None:
        """Count, and say once a kind what was left out and why."""
        self._context.counters.odd[odd.kind] += 1
        if odd.kind not in self._odd_kinds:
            self._odd_kinds.add(odd.kind)
            self._log.warning("value.odd", kind=odd.kind, reason=odd.reason[:HEAD])

    def _bad(self, data: bytes, received_ts: int, exc: Exception, *, binary: bool = False) -> None:
        """Count, quarantine, and say once a kind what it looked like: public data, nothing in it is secret."""
        kind = frame_error_kind(exc) if isinstance(exc, FRAME_ERRORS) else INTERNAL
        self._context.counters.bad_frames[kind] += 1
        if self._context.capture is not None:
            self._context.capture.frame_bad(received_ts, self.number, data, kind, binary=binary)
        for output in () if kind in unreadable.NOT_OURS else unreadable.feeds_of(self._endpoint, self._symbols, data, received_ts):
            if self._standby is None:
                self._context.sink.publish(self._context.feeds.apply(output))
            else:
                self._standby.hold(output)
        if kind not in self._bad_kinds:
            self._bad_kinds.add(kind)
            trace = exc if kind == INTERNAL else None
            self._log.warning("frame.bad", kind=kind, error=str(exc), size=len(data), head=repr(data[:HEAD]), exc_info=trace)

    async def _write(self, sender: Sender) -> None:
        """The greeting, then subscriptions as they are due, all within the endpoint's limit."""
        for data in self._endpoint.greeting:
            await sender.turn()
            await sender.send(data)
        while True:
            ask = self.subscriptions.take()
            if ask is None:
                self._wake.clear()
                await self._wake.wait()  # until something is to be asked; the connection's end cancels this
                continue
            await sender.turn()
            self.subscriptions.sent(ask, time.monotonic(), time.time_ns())  # before it is: the answer may be here when `send` returns
            form = self._endpoint.unsubscribe if ask.unsubscribe else self._endpoint.subscribe
            await sender.send(form(ask.request))

    async def _watch(self, sender: Sender) -> None:
        """Silence, unanswered requests, stopped feeds, our pings: what is due by the clock and not by a frame."""
        settings, endpoint = self._context.settings, self._endpoint
        silence_s = settings.silence_s or endpoint.silence_s
        poll_s = min(POLL_S, silence_s / 4, settings.ack_timeout_s / 4, settings.stale_min_s / 4)
        looked_at = pinged_at = time.monotonic()
        silence = Silence(poll_s, looked_at, self._heard_ts)
        while True:
            await asyncio.sleep(poll_s)
            self._context.beat()
            if self._context.feeds.long_stops != self._long_stops:
                raise ConnectionLost("this process was stopped for too long")
            now = time.monotonic()
            if silence.look(now, self._heard_ts, reading=not self._holding_back) > silence_s:
                raise ConnectionLost(f"no frame for {silence_s:g} s")
            self._chase(now)
            self._check_streams()
            if now - looked_at >= min(1.0, settings.stale_min_s / 4):
                looked_at = now
                self._look_after_feeds()
            if endpoint.ping is not None and now - pinged_at >= endpoint.ping_s:
                pinged_at = now
                await sender.send_now(endpoint.ping(self.subscriptions.next_id()))

    def _chase(self, now: float) -> None:
        """Ask again what was not answered. Raises `ConnectionLost` when that was the last time."""
        spoken, again, given_up = self.subscriptions.overdue(now, self._spoke)
        self._confirmed(spoken)
        if given_up:
            topic = given_up[0]
            others = f" and {len(given_up) - 1} more" if len(given_up) > 1 else ""
            raise ConnectionLost(f"no acknowledgement of {topic.channel} {topic.symbol}{others}, asked {ATTEMPTS} times")
        if again:
            self._log.warning("subscription.unanswered", topics=len(again), first=" ".join(again[0][1:]))
            self._wake.set()

    def _spoke(self, topic: Topic, since_ts: int) -> bool:
        if self._standby is not None:
            return False  # who spoke is the connection that is to be replaced
        return any(record.received_ts > since_ts for record in self._records[topic])

    def _check_streams(self) -> None:
        """What the clock shows of streams that do not bring what happens."""
        if self._standby is None and not self._holding_back:
            self._context.sink.publish(self._context.feeds.check_streams(self._names, time.time_ns()))

    def _look_after_feeds(self) -> None:
        """What has stopped is subscribed anew; when that has not helped, the next connection is opened beside this one, or in its place.

        Raises `ConnectionLost`.
        """
        if self._standby is not None or self._holding_back:
            return
        upkeep.treat(self._context, self._records, self.resubscribe, heard_ts=self._heard_ts, now=time.time_ns())
        if not self.rotate.done() and (feeds := upkeep.futile(self._context, self._records)):
            self._log.warning("session.futile", kind=feeds[0].kind, instrument=feeds[0].instrument, feeds=len(feeds))
            self.rotate.set_result(None)


def _leaf(group: BaseExceptionGroup[FeedError]) -> FeedError:
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    assert isinstance(exc, FeedError)
    return exc
