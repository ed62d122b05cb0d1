"""Defines what the gateway says itself on a stream, between the events of the tape. Each is a JSON object whose `type` no event has.

Events of the tape are passed on byte for byte. Times are ns since the epoch UTC.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec


class Connected(msgspec.Struct, frozen=True, tag_field="type", tag="connected"):
    """The first message of each connection. Last values of the topics follow, then what is new."""

    version: str
    topics: tuple[str, ...]
    """What is followed, as the tape spells it."""
    ts: int
    """The gateway's clock: compare it with your own before you compute ages."""
    resumed: bool = False
    """Whether events after the id that the client named follow first."""
    heartbeat_s: float = 5.0
    """Something comes at least this often. A client that gets nothing for three times as long has lost its connection."""
    resolved: dict[str, str] = {}
    """Topics that were asked for in another spelling → those that are followed in their place."""


class Subscribed(msgspec.Struct, frozen=True, tag_field="type", tag="subscribed"):
    """WebSocket: these topics are followed now, beside those before."""

    topics: tuple[str, ...]
    """As the tape spells them."""
    id: int | str | None = None
    """The `id` of the request."""
    resolved: dict[str, str] = {}
    """Topics that were asked for in another spelling → those that are followed in their place."""


class Unsubscribed(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    """WebSocket: these topics are not followed any more."""

    topics: tuple[str, ...]
    id: int | str | None = None


class Missed(msgspec.Struct, frozen=True, tag_field="type", tag="missed"):
    """Events that this client did not get."""

    topic: str
    venue: str
    """Empty: not known."""
    epoch: int
    first_missing: int
    """The first `seq` that is missing; 0: not known."""
    count: int | None
    """How many are missing; null: not known."""
    reason: Literal["slow", "trimmed", "resume"]
    """`slow`: the client did not read fast enough. `trimmed`: they are not on the tape any more, or never were. `resume`: more happened
    while the client was away than is sent again."""


class Bus(msgspec.Struct, frozen=True, tag_field="type", tag="bus"):
    """The gateway lost the bus, or has it again. While it is away, nothing is current; afterwards all events follow, in order."""

    state: Literal["away", "back"]
    since_ts: int


class Heartbeat(msgspec.Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """The connection works. It comes when nothing else came for `gateway.heartbeat_s`; over WebSocket always after this time."""

    ts: int
    id: str
    """Everything up to this id was sent: name it as `after` to resume. Empty: nothing was read yet."""


class Failed(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """A request that was refused. The connection goes on, unless it says otherwise by closing.

    The code `not_on_tape` refuses nothing: the tape does not have this topic yet, which is followed all the same.
    """

    code: str
    message: str
    id: int | str | None = None
    """The `id` of the request that was refused."""
    topic: str = ""
    """Of `not_on_tape`: the topic that is followed."""
    nearest: tuple[str, ...] = ()
    """Of `not_on_tape`: topics that the tape has and that were perhaps meant, the nearest first."""


Message = Connected | Subscribed | Unsubscribed | Missed | Bus | Heartbeat | Failed

encode: Final = msgspec.json.Encoder().encode
