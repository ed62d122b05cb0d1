"""WebSocket: `/ws`. The client subscribes and unsubscribes while it is connected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from crosstape.version import __version__
from crosstape_gateway import metrics
from crosstape_gateway.errors import RequestError
from crosstape_gateway.hub.hub import Hub
from crosstape_gateway.hub.item import message_item
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.hub.wire import Options, Transfer
from crosstape_gateway.messages import Connected, Failed, Heartbeat, Subscribed, Unsubscribed
from crosstape_gateway.parts import PARTS
from crosstape_gateway.streams import query as q
from crosstape_gateway.streams.connection import transport_of

NAMES: Final = frozenset({"gather_ms", "ints", "last"})
REQUEST_BYTES: Final = 64 * 1024
BAD_REQUESTS: Final = 20
"""After so many requests in a row that are wrong, the connection is closed."""
ANSWERS: Final = 20
"""Answers that wait for a client at most: a client that reads none is asked nothing more."""
READ_ON_S: Final = 0.01
CLOSE_S: Final = 1.0
"""How long the client may take to answer that the connection closes."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of the client."""

    op: Literal["subscribe", "unsubscribe", "ping"]
    topics: tuple[str, ...] = ()
    after: str = ""
    id: int | str | None = None


_decode: Final = msgspec.json.Decoder(Request).decode


async def websocket(request: web.Request) -> web.StreamResponse:
    """`GET /ws`. See `docs/reference/gateway.md`."""
    parts = request.app[PARTS]
    q.check_names(request.query, NAMES)
    options = Options(
        Transfer.WEBSOCKET,
        q.gather_s_of(request.query, parts.settings),
        quote_integers=q.quotes_integers(request.query),
        last_values=q.flag_of(request.query, "last", default=True),
    )
    parts.hub.check_running()
    transport = transport_of(request)
    # Without compression: it would cost each client 150 KiB and its own encoding of every message.
    response = web.WebSocketResponse(compress=False, max_msg_size=REQUEST_BYTES, timeout=CLOSE_S)
    await response.prepare(request)
    subscriber = parts.hub.join(transport, options)
    try:
        connected = Connected(__version__, (), time.time_ns(), heartbeat_s=parts.settings.heartbeat_s)
        await parts.hub.follow(subscriber, {}, "", message_item(connected))
        await _answer_requests(response, subscriber, parts.hub)
    finally:
        parts.hub.leave(subscriber)
    return response


async def _answer_requests(response: web.WebSocketResponse, subscriber: Subscriber, hub: Hub) -> None:
    """Answer each request of the client in its turn. Returns when the connection is closed."""
    bad = 0
    while True:
        message = await response.receive()  # without a timeout: the hub sends heartbeats, and cuts a client that does not read
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        try:
            if message.type is WSMsgType.BINARY:
                raise RequestError(400, "bad_request", "expected a text message with JSON")
            await _answer(message.data, subscriber, hub)
            bad = 0
        except RequestError as exc:
            bad += 1
            metrics.REFUSED.labels(exc.code).inc()
            subscriber.say(Failed(exc.code, str(exc), _id_of(message.data)))
            if bad >= BAD_REQUESTS:
                await response.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many wrong requests", drain=False)
                return
        while (subscriber.answers > ANSWERS or subscriber.busy) and not subscriber.ended.is_set():
            await asyncio.sleep(READ_ON_S)


async def _answer(text: str, subscriber: Subscriber, hub: Hub) -> None:
    """Do what a request asks for. Raises `RequestError`."""
    try:
        request = _decode(text)
    except (msgspec.MsgspecError, UnicodeError) as exc:
        raise RequestError(400, "bad_request", f'expected JSON such as {{"op":"subscribe","topics":["cbbo:BTC-USDT"]}}: {exc}') from exc
    if request.op == "ping":
        subscriber.say(Heartbeat(time.time_ns(), subscriber.group.last_id if subscriber.group is not None else ""))
        return
    topics = q.topics_of(request.topics)
    if request.op == "unsubscribe":
        subscriber.say(Unsubscribed(q.names_of(hub.unfollow(subscriber, topics)), request.id))
        return
    hub.check_topics(topics, subscriber.asked)
    after = q.id_of(request.after) if request.after else ""
    resolved = await hub.resolve(topics)
    answer = Subscribed(q.names_of(resolved.values()), request.id, q.respelled(resolved))
    await hub.follow(subscriber, resolved, after, message_item(answer))


def _id_of(text: Any) -> int | str | None:
    """Returns the id of a request that is wrong, if it has one."""
    try:
        request = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError):
        return None
    found = request.get("id") if isinstance(request, Mapping) else None
    return found if isinstance(found, int | str) else None
