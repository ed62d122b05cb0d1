"""One connection: connect, subscribe, keep alive, read until it ends.

`reading` reads the frames; the supervisor retries; the parser knows what frames mean.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from crosstape_connector.connection.address import Address, find_address
from crosstape_connector.connection.bad_frames import BadFrames
from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.quarantine import Quarantine
from crosstape_connector.connection.reading import HARD_LIMIT, FrameReader
from crosstape_connector.connection.subscribed_feeds import SubscribedFeeds
from crosstape_connector.connection.subscriber import Subscriber
from crosstape_connector.connection.upkeep import Upkeep
from crosstape_connector.connection.websocket import Sender, Socket, connect
from crosstape_connector.errors import ConnectionLost, FeedError, first_of
from crosstape_connector.feeds.handover import Handover
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.rate_limit import RateLimit
from crosstape_connector.venues.messages import Ack, Heartbeat, Odd, Output, Rejected, Reply, Rotate, Welcome

log = structlog.get_logger(__name__)


class Session:
    """Runs one connection; call `run` only once. `number` names it in the capture. `standby`: keeps what it reads until `take_over`."""

    def __init__(
        self,
        context: ConnectionContext,
        connection: ConnectionPlan,
        number: int,
        *,
        standby: bool = False,
        on_full: Callable[[Sequence[Topic], int, str], None] | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        """`on_full`: see `Subscriber`. `quarantine`: what earlier connections of the slot have shown about its symbols."""
        self.number = number
        self.connection = connection
        self.rotate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when this connection should be replaced: the venue will close it soon, or a new one may help its feeds."""
        self.open = False
        self._context = context
        self._endpoint = connection.endpoint
        self._log = log.bind(venue=context.venue.id, endpoint=self._endpoint.name, connection=number)
        self._counters = context.counters.endpoints[self._endpoint.name]
        self._rate_limit = context.rate_limits.get(self._endpoint.name) or RateLimit.per_second(self._endpoint.requests_per_s)
        self._opened_ts = 0
        self._ping_s: float | None = None  # how often the venue wants a ping; None: as its table says
        self._feeds = SubscribedFeeds(context.feeds, connection.topics)
        self._bad = BadFrames(context.counters, context.capture, number, self._log)
        self._reader = FrameReader(context, self._endpoint, self._feeds, self._bad, number, control=self._read_control)
        if standby:
            self._reader.handover = Handover(context.feeds)
        self._subscriber = Subscriber(context, connection, self._feeds, self._bad, self._log, quarantine=quarantine)
        self.subscriptions = self._subscriber.subscriptions
        self.settled = self._subscriber.settled
        self.subscribe, self.unsubscribe = self._subscriber.subscribe, self._subscriber.unsubscribe
        self._subscriber.on_full = on_full

    async def run(self) -> None:
        """Connect and read until the connection ends. Raises `ConnectFailed` or `ConnectionLost`. If cancelled, sends a close frame."""
        self._counters.connects += 1
        address = self._bad.address = await find_address(self._context, self._endpoint)
        self._ping_s = address.ping_s
        max_bytes = HARD_LIMIT * self._endpoint.max_frame_bytes
        with address.hiding():
            socket = await connect(
                self._context.http,
                address.url,
                timeout_s=self._context.settings.connect_timeout_s,
                max_bytes=max_bytes,
                headers=self._context.venue.headers,
            )
        reason = "stopped"
        try:
            self._opened(address.shown)
            with address.hiding():
                await self._converse(socket, address)
        except FeedError as exc:
            reason = str(exc)
            raise
        finally:
            self.open = False
            self._counters.connections -= 1
            if self._context.capture is not None:
                self._context.capture.closed(time.time_ns(), self.number, reason)
            self._subscriber.leave(reason)
            await socket.close()  # bounded by CLOSE_S

    def resubscribe(self, topic: Topic) -> bool:
        """Unsubscribe and subscribe this topic alone.

        False: the topic is not on this session, was rejected, or is being subscribed already; or this session is on standby. Then the
        session that it replaces must do it.
        """
        return self._reader.handover is None and self._subscriber.resubscribe(topic)

    def not_ready(self) -> str:
        """Return why a session on standby cannot take over without a gap; empty when it can."""
        if not self.open:
            return "not connected"
        if not self.subscriptions.settled:
            return "not all subscriptions are answered"
        return "" if self._reader.handover is None else self._reader.handover.not_ready(self._feeds.books(self.subscriptions.states))

    def take_over(self) -> None:
        """Publish what was collected on standby, and from now on all that comes. The session it replaces must have stopped reading."""
        handover, self._reader.handover = self._reader.handover, None
        if not self.open:
            return  # the session to be replaced has ended: this is an ordinary session now, which enters when it opens
        self._subscriber.enter(self._opened_ts)
        if handover is not None:
            for effect in handover.hand_over(self._feeds.books(self.subscriptions.states), time.time_ns()):
                self._context.sink.publish((effect,))

    def _opened(self, url: str) -> None:
        self.open = True
        self._counters.connections += 1
        self._reader.heard_ts = self._opened_ts = time.time_ns()
        self._log.info("session.open", url=url, topics=len(self.subscriptions.states))
        if self._context.capture is not None:
            self._context.capture.opened(self._opened_ts, self.number, url)
        if self._reader.handover is None:
            self._subscriber.enter(self._opened_ts)

    async def _converse(self, socket: Socket, address: Address) -> None:
        sender = Sender(socket, self.number, rate_limit=self._rate_limit, capture=self._context.capture, dated=self._endpoint.dated)
        now = time.monotonic()
        upkeep = Upkeep(self._context, self._endpoint, self.subscriptions, self._feeds, self._log, now=now, heard_ts=self._reader.heard_ts)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._subscriber.run(sender), name=f"write.{self.number}")
                tasks.create_task(self._keep_up(upkeep, sender), name=f"watch.{self.number}")
                await self._reader.run(socket, sender, address)
        except BaseExceptionGroup as group:
            lost, rest = group.split(FeedError)
            if rest is not None or lost is None:
                raise
            raise first_of(lost) from None

    async def _read_control(self, sender: Sender, output: Output, address: Address) -> None:
        """Handle a message about the connection itself."""
        match output:
            case Ack():
                self._subscriber.acknowledge(output)
            case Rejected(reason=reason) if not self._subscriber.welcomed:
                raise ConnectionLost(f"refused before a welcome: {reason}")
            case Rejected(reason=reason):
                self._subscriber.reject(msgspec.structs.replace(output, reason=address.hide(reason)))
            case Welcome(ping_s=ping_s):
                self._ping_s = ping_s or self._ping_s
                self._subscriber.welcome()
            case Heartbeat():
                self._counters.heartbeats += 1
            case Reply(data=data):
                await sender.send_now(data)
            case Rotate(reason=reason):
                if not self.rotate.done():
                    self._log.info("session.rotating", reason=reason)
                    self.rotate.set_result(None)
            case Odd():
                self._bad.report_odd(output)

    async def _keep_up(self, upkeep: Upkeep, sender: Sender) -> None:
        """Run the checks that are due by the clock. On standby, feeds are not checked here but on the connection to be replaced."""
        while True:
            await asyncio.sleep(upkeep.poll_s)
            now = time.monotonic()
            upkeep.check_connection(now, self._reader.heard_ts, reading=not self._reader.is_held_back)
            confirmed, again = upkeep.check_answers(now, self._has_received)
            self._subscriber.confirm(confirmed)
            if again:
                self._subscriber.send_again()
            judging = self._reader.handover is None and not self._reader.is_held_back
            if judging:
                upkeep.check_streams()
            if upkeep.feeds_due(now) and judging:
                upkeep.check_feeds(self._reader.heard_ts, self.resubscribe)
                if not self.rotate.done() and upkeep.wants_replacement():
                    self.rotate.set_result(None)
            if self._subscriber.is_spent and not self.rotate.done():
                self._log.info("session.rotating", reason="it has used most of its requests of this hour")
                self.rotate.set_result(None)
            if self._subscriber.welcomed and (ping := upkeep.due_ping(now, self._ping_s)) is not None:
                await sender.send_now(ping)
            if upkeep.frame_ping_due(now):
                await sender.ping()

    def _has_received(self, topic: Topic, since_ts: int) -> bool:
        """Whether this connection brought data of the topic since then. False on standby: data may be of the connection to be replaced."""
        return self._reader.handover is None and self._feeds.has_received(topic, since_ts)
