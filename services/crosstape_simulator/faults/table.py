"""The table of all faults: name, description, and how each looks on each venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, get_args

from crosstape_simulator.faults.market import ON_THE_MARKET
from crosstape_simulator.faults.spec import (
    AnyFault,
    Checksum,
    Close,
    Cut,
    Expired,
    Fault,
    Halt,
    Maintenance,
    Malformed,
    Reset,
    RestOld,
    RestStatus,
    SkipIds,
)
from crosstape_simulator.venues.registry import VENUES, find
from crosstape_simulator.venues.spec import SimulatedVenue

FAULTS: Final[Mapping[str, type[Fault]]] = {str(cls.__struct_config__.tag): cls for cls in get_args(AnyFault)}
"""Faults by name, in the order of the documentation."""

SOME_REFUSE_WITH: Final = {200: "answer errors with 200", 418: "answer 418"}
"""HTTP statuses of refusals that only some venues have."""


_PACKED: Final[Mapping[str, Callable[[SimulatedVenue], bool]]] = {
    "gzip": lambda venue: any(one.binary is not None and one.binary.compresses for one in venue.dialects),
    "binary": lambda venue: any(one.binary is None or one.binary.compresses for one in venue.dialects),
}
"""How a frame is broken → whether a venue has frames that can be broken so."""

_FRAMES: Final = {"gzip": "no compressed frames", "binary": "binary frames anyway"}


def sentence(cls: type[Fault]) -> str:
    """The description of a fault, in a sentence or two."""
    return " ".join((cls.__doc__ or "").split())


def absent(fault: Fault, venue: SimulatedVenue) -> str | None:
    """Why the venue cannot have this fault as it was asked for; None: it can."""
    if isinstance(fault, RestStatus) and fault.status in SOME_REFUSE_WITH and fault.status not in venue.rest.statuses:
        able = ", ".join(one.title for one in VENUES.values() if fault.status in one.rest.statuses)
        return f"{venue.title} does not {SOME_REFUSE_WITH[fault.status]}; these do: {able}"
    if isinstance(fault, Malformed) and fault.how in _PACKED:
        return None if _PACKED[fault.how](venue) else f"{venue.title} sends {_FRAMES[fault.how]}"
    if isinstance(fault, Halt):
        return None if fault.how in ("gone", *venue.rest.halted) else f"{venue.title} has no such status"
    if isinstance(fault, Reset) and venue.ids is None and fault.instrument != "all" and _numbered(venue):
        return f"{venue.title}'s numbers count the whole connection: a single instrument's cannot begin again"
    return missing(type(fault), venue)


def missing(cls: type[Fault], venue: SimulatedVenue) -> str | None:
    """Why there is no such fault on the venue; None: there is."""
    if cls is Checksum and venue.checksum is None:
        return f"{venue.title}'s books have no checksum"
    if cls is Reset and venue.ids is None and not _numbered(venue):
        return f"{venue.title} numbers nothing" + (": its books have a checksum instead" if venue.checksum is not None else "")
    if cls is Expired and all(one.grant is None for one in venue.dialects):
        return f"{venue.title} needs no token to connect"
    if cls is Maintenance and not venue.maintenance:
        return f"{venue.title} announces nothing"
    if cls is Halt and not venue.rest.halted:
        return f"{venue.title}'s instruments have no status: they are listed, or gone"
    if cls is RestOld and venue.rest.book is None:
        return f"{venue.title} sends snapshots on the stream, not by REST"
    return None


def _how(cls: type[Fault], venue: SimulatedVenue) -> str:
    """How the fault looks on the venue; `yes` where there is nothing to explain, empty where there is no such fault."""
    if missing(cls, venue) is not None:
        return ""
    if cls is Maintenance:
        return venue.maintenance
    if cls is Reset:
        return ", ".join(f"`{field}`" for field in venue.ids.fields) if venue.ids is not None else ", ".join(_numbered(venue))
    if cls is RestStatus:
        never = [str(status) for status in SOME_REFUSE_WITH if status not in venue.rest.statuses]
        return f"not {never[0]}" if len(never) == 1 else f"neither {' nor '.join(never)}" if never else "yes"
    return "yes"


def _numbered(venue: SimulatedVenue) -> list[str]:
    """Fields that number a connection, with the endpoint where there are several."""
    found = [(one.name, one.numbers.field) for one in venue.dialects if one.numbers is not None]
    return [f"`{field}` ({name.capitalize()})" if name else f"`{field}`" for name, field in found]


def once(fault: Fault, venues: tuple[str, ...]) -> bool:
    """Whether the fault is over as soon as it has happened."""
    match fault:
        case Close() | SkipIds():
            return True
        case Cut(for_s=0.0):
            return True
        case Maintenance():
            return all(find(venue).maintenance_once for venue in venues)
        case _:
            return False


def rows() -> list[tuple[str, str, dict[str, str]]]:
    """(name, sentence, venue → `yes`, how it looks there, or empty where it does not exist) of all."""
    found = []
    for name, cls in FAULTS.items():
        own = {venue.id: _how(cls, venue) for venue in VENUES.values()}
        if cls in ON_THE_MARKET:
            own = {venue_id: how and "synthetic" for venue_id, how in own.items()}
        found.append((name, sentence(cls), own))
    return found
