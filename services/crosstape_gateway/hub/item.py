"""Defines one thing to send, shared by all clients that get it: an event of the tape, or a message of the gateway. Pure."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from crosstape_gateway.messages import Bus, Heartbeat, Message, Missed, encode
from crosstape_gateway.topics import Topic
from crosstape_schemas import Bar, Candle, Delta, Edge, Event, Gap, Liquidation, Status, Trade

EVENTS: Final = (Trade, Delta, Gap, Liquidation, Edge)
"""Each of these counts. All others are states: a new one replaces the one before. Candles and bars are events once they are closed."""
EVENT_KINDS: Final = frozenset({"trade", "delta", "gap", "liquidation", "edge"})

StateKey: TypeAlias = tuple[str | int, ...]
"""What a state is the state of: topic and venue; of a status its feed as well, of a candle or bar its `open_ts`."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing to send."""

    data: bytes
    """Its JSON."""
    topic: str = ""
    """The topic without a venue; empty for a message of the gateway."""
    venue: str = ""
    key: StateKey | None = None
    """Which state it replaces; None: none."""
    is_event: bool = False
    """Whether it counts, and is not replaced by a later one."""
    epoch: int = 0
    seq: int = 0
    received_ts: int = 0
    """ns since the epoch; 0 for a message of the gateway and for a last value."""
    id: str = ""
    """Its id on the stream; empty for a message of the gateway."""
    missed: Missed | None = None
    """The message, where it says that events are missing."""


def item_of(event: Event, data: bytes, topic: str, entry_id: str) -> Item:
    """Returns the item of an entry on the stream of `topic`."""
    key: StateKey | None
    if isinstance(event, EVENTS):
        key, is_event = None, True
    elif isinstance(event, Candle | Bar):
        key, is_event = (topic, event.venue, event.open_ts), event.closed
    elif isinstance(event, Status):
        key, is_event = (topic, event.venue, event.instrument, event.kind), False
    else:
        key, is_event = (topic, event.venue), False
    return Item(data, topic, event.venue, key, is_event, event.epoch, event.seq, event.received_ts, entry_id)


def message_item(message: Message) -> Item:
    """Returns the item of a message of the gateway."""
    key = (type(message).__name__,) if isinstance(message, Bus | Heartbeat) else None
    return Item(encode(message), key=key, missed=message if isinstance(message, Missed) else None)


def last_value(item: Item) -> Item:
    """Returns an item as the last value of its venue: it is then a state, of whatever kind it is, and no measure of delay."""
    return msgspec.structs.replace(item, key=(item.topic, item.venue, "last", *(item.key or ())), is_event=False, received_ts=0)


def has_events(topic: Topic) -> bool:
    """Whether entries on the streams of a topic can be events, so that a client that resumes must get all of them."""
    return topic.kind in EVENT_KINDS or topic.kind == "venue" or topic.kind.startswith(("candle:", "bar:"))


def parse_id(entry_id: str) -> tuple[int, int]:
    """Returns an id of a stream as a value that sorts as the server does; the empty one comes first."""
    ms, _, number = entry_id.partition("-")
    return (int(ms), int(number or 0)) if ms else (-1, 0)
