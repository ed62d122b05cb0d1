"""Gathers the events of the tape: every producer writes them, every consumer reads them.

They are frozen, tagged msgspec structs; on the wire JSON with the tag in `type` and decimals as strings, so that no digit is lost in any
language. Schemas evolve by adding fields with defaults. Only `event`, `venue_events` and `computed_events` say what an event means; `keys`
says where it is written.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from crosstape_schemas import plain
from crosstape_schemas.amounts import Amount
from crosstape_schemas.computed_events import Bar, Cbbo, Depth, Edge
from crosstape_schemas.event import Event
from crosstape_schemas.venue_events import (
    Book,
    Candle,
    Delta,
    Funding,
    Gap,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
    Trade,
)

AnyEvent = (
    Trade | Quote | Book | Delta | Ticker | Candle | Mark | Funding | OpenInterest | Liquidation | Status | Gap | Cbbo | Bar | Depth | Edge
)
"""An event of any kind: what `decode` returns."""

KINDS: Final[dict[str, type[Event]]] = {
    "trade": Trade,
    "quote": Quote,
    "book": Book,
    "delta": Delta,
    "ticker": Ticker,
    "candle": Candle,
    "mark": Mark,
    "funding": Funding,
    "open_interest": OpenInterest,
    "liquidation": Liquidation,
    "status": Status,
    "gap": Gap,
    "cbbo": Cbbo,
    "bar": Bar,
    "depth": Depth,
    "edge": Edge,
}
"""Every kind of event, by its tag: also the second part of its stream's name. Candles and bars have their timeframe after it."""

KIND_OF: Final[dict[type[Event], str]] = {cls: kind for kind, cls in KINDS.items()}

CANDLE: Final = "candle:"
"""What the kind of a feed of candles begins with; its timeframe follows."""
BAR: Final = "bar:"
"""The same of bars."""


def feed_kind(event: Event) -> str:
    """Returns the kind of the feed that an event belongs to: its tag, and `candle:1m` or `bar:1m` for a candle or bar of one minute."""
    kind = KIND_OF[type(event)]
    return f"{kind}:{event.timeframe}" if isinstance(event, Candle | Bar) else kind


_encode = msgspec.json.Encoder().encode
_set = msgspec.structs.force_setattr

_E: Final = ord("E")
_HEAD: Final = 49
"""Greatest length of the JSON up to the instrument's end, without venue and instrument; no decimal starts within 20 bytes of it."""


def encode(event: Event) -> bytes:
    """Returns the event's JSON, as it is in field `d` of a stream's entry and on a channel. Decimals are in plain notation, see `plain`."""
    data = _encode(event)
    if _E in data and _E in data[len(event.venue) + len(event.instrument) + _HEAD :]:
        return plain.encode(event, data)
    return data


def stamp(event: Event, epoch: int, seq: int) -> bytes:
    """Sets the epoch and the number of an event and returns its JSON. Only a publisher calls this: nothing else changes an event.

    A copy of the event that differs in these two fields would cost more than all the rest of publishing.
    """
    _set(event, "epoch", epoch)
    _set(event, "seq", seq)
    data = _encode(event)
    if _E in data and _E in data[len(event.venue) + len(event.instrument) + _HEAD :]:  # the same as `encode`, without the call
        return plain.encode(event, data)
    return data


_decode = msgspec.json.Decoder(AnyEvent).decode

AnyEventWithTextQuotes: TypeAlias = (
    Trade
    | Quote[Amount]
    | Book
    | Delta
    | Ticker
    | Candle
    | Mark
    | Funding
    | OpenInterest
    | Liquidation
    | Status
    | Gap
    | Cbbo
    | Bar
    | Depth
    | Edge
)
"""An event of any kind, a quote with the text of its numbers: what a reader decodes that drops most quotes unused."""


def decode(data: bytes | str) -> AnyEvent:
    """Returns the event of these bytes. Raises `msgspec.DecodeError` (malformed) or `msgspec.ValidationError` (no event of ours)."""
    try:
        event: AnyEvent = _decode(data)
    except (UnicodeDecodeError, RecursionError) as exc:  # not UTF-8, or nested without end: anybody may write to the bus
        raise msgspec.DecodeError(f"JSON is malformed: {exc}") from exc
    return event
