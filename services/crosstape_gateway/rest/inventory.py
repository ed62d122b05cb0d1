"""Answers what the tape has: instruments, and venues with their signs of life."""

from __future__ import annotations

import time
from typing import Final

import msgspec
from aiohttp import web

from crosstape.liveness import ALIVE_S
from crosstape_gateway.parts import PARTS, Parts
from crosstape_gateway.rest import bus
from crosstape_gateway.rest.answers import object_answer
from crosstape_gateway.rest.entries import data_of, decoded
from crosstape_gateway.rest.instruments import ensure_known, instruments
from crosstape_gateway.rest.parameters import Parameters
from crosstape_gateway.topics import VENUE
from crosstape_schemas import TIMEFRAMES, VENUE_WIDE, FeedState, Status, is_composite

VENUES: Final = ("ints",)
INSTRUMENTS: Final = ("instrument", "symbol", "ints")
STATUSES: Final = 256
"""Newest entries of a venue's stream that are read: several aggregators take turns there, and gaps stand between."""

_decode_status: Final = msgspec.json.Decoder(Status).decode


class VenueState(msgspec.Struct, frozen=True):
    """The newest sign of life of a venue's connector, or of an aggregator."""

    venue: str
    """`consolidated`: an aggregator."""
    kind: str
    """`*`, or the share of an aggregator that holds one of several: `share.3`."""
    state: FeedState
    reason: str
    clock_offset_ns: int | None
    """See `Status`."""
    status_ts: int
    """`received_ts` of the newest status, by the producer's clock."""
    epoch: int
    age_s: float
    """How long ago it was written to the tape, by the bus's clock."""
    alive: bool
    """Whether it is younger than three seconds, and does not say `down`."""


class InstrumentOnTape(msgspec.Struct, frozen=True):
    """An instrument of the tape."""

    instrument: str
    kinds: tuple[str, ...]
    """Kinds of its streams: `trade`, `quote`, `bar:1m`, `cbbo`."""
    venues: tuple[str, ...]
    """Venues that have published it."""
    composite: bool
    """Whether it is computed from other instruments."""


async def venues(request: web.Request) -> web.Response:
    """All venues and aggregators of the tape, with the newest sign of life of each."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, VENUES)
    as_text = parameters.whole_numbers_as_text()
    await ensure_known(parts)
    async with bus.reading(parts):
        found = await venue_states(parts)
    return object_answer({"venues": found, "ts": time.time_ns(), "more": False}, whole_numbers_as_text=as_text)


async def venue_states(parts: Parts) -> list[VenueState]:
    """Returns the newest venue-wide status of each producer. Both times of its age are by the bus's clock, so that hosts' do not matter."""
    names = parts.catalogue.venues
    states: list[VenueState] = []
    now_ms, found = await bus.newest_of(parts, [parts.keys.venue(name) for name in names], STATUSES) if names else (0, [])
    for entries in found:
        newest: dict[tuple[str, str], VenueState] = {}
        for entry_id, fields in entries:
            status = decoded(_decode_status, data_of(fields)) if b'"status"' in data_of(fields) else None  # gaps stand between
            if status is None or status.instrument != VENUE_WIDE or (status.venue, status.kind) in newest:
                continue
            age_s = max(0.0, (now_ms - int(entry_id.partition(b"-")[0])) / 1_000)
            newest[status.venue, status.kind] = VenueState(
                status.venue,
                status.kind,
                status.state,
                status.reason,
                status.clock_offset_ns,
                status.received_ts,
                status.epoch,
                age_s,
                age_s < ALIVE_S and status.state is not FeedState.DOWN,
            )
        states += [newest[key] for key in sorted(newest)]
    return states


async def tape_instruments(request: web.Request) -> web.Response:
    """The instruments of the tape, with their kinds and venues."""
    parts = request.app[PARTS]
    parameters = Parameters(request.query, INSTRUMENTS)
    as_text = parameters.whole_numbers_as_text()
    await ensure_known(parts)
    kinds = {kind for kind, _ in parts.catalogue.streams if kind != VENUE}
    wanted = set(await instruments(parts, parameters, *kinds))
    places = sorted((name, kind) for kind, name in parts.catalogue.streams if kind != VENUE and name in wanted)
    async with bus.reading(parts):
        fields = await bus.hash_fields(parts, [(kind, name) for name, kind in places])
    kinds_of: dict[str, list[str]] = {}
    venues_of: dict[str, set[str]] = {}
    for (name, kind), found in zip(places, fields, strict=True):
        kinds_of.setdefault(name, []).append(kind)
        venues_of.setdefault(name, set()).update(field.partition(":")[0] for field in found)
    rows = [
        InstrumentOnTape(name, tuple(sorted(kinds_of[name], key=_kind_order)), tuple(sorted(venues_of[name])), is_composite(name))
        for name in kinds_of
    ]
    return object_answer({"instruments": rows, "ts": time.time_ns(), "more": False}, whole_numbers_as_text=as_text)


def _kind_order(kind: str) -> tuple[str, int]:
    """Bars and candles by their length, not by their names."""
    tag, _, timeframe = kind.partition(":")
    return tag, TIMEFRAMES.index(timeframe) if timeframe in TIMEFRAMES else 0
