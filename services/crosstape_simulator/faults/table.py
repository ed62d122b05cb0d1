"""The table of all faults: name, sentence, and on which venue each exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from crosstape_simulator.faults.market import ON_THE_MARKET
from crosstape_simulator.faults.spec import (
    AnyFault,
    Checksum,
    Close,
    Cut,
    Fault,
    Halt,
    Maintenance,
    Reset,
    RestOld,
    RestStatus,
    SkipIds,
)
from crosstape_simulator.spec import VENUES

FAULTS: Final[Mapping[str, type[Fault]]] = {str(cls.__struct_config__.tag): cls for cls in get_args(AnyFault)}
"""By name, in the order of the documentation."""

ABSENT: Final[Mapping[tuple[type[Fault], str], str]] = {
    (Checksum, "binance"): "Binance's books have no checksum",
    (Checksum, "coinbase"): "Coinbase's books have no checksum",
    (Reset, "kraken"): "Kraken numbers nothing: its books have a checksum instead",
    (RestOld, "coinbase"): "Coinbase sends snapshots on the stream, not by REST",
    (RestOld, "kraken"): "Kraken sends snapshots on the stream, not by REST",
}
"""(fault, venue) → why there is no such thing."""

HOW: Final[Mapping[tuple[type[Fault], str], str]] = {
    (Maintenance, "binance"): "`serverShutdown`, once",
    (Maintenance, "coinbase"): "`status` frames say `offline`",
    (Maintenance, "kraken"): "`status` says `maintenance`, then `online`",
    (Reset, "binance"): "`U`, `u`, `lastUpdateId`",
    (Reset, "coinbase"): "`sequence_num` (Advanced)",
    (RestStatus, "binance"): "not 200",
    (RestStatus, "coinbase"): "neither 200 nor 418",
    (RestStatus, "kraken"): "not 418",
}
"""(fault, venue) → how it looks there, where that needs saying."""


def sentence(cls: type[Fault]) -> str:
    """What a fault is, in a sentence or two."""
    return " ".join((cls.__doc__ or "").split())


def absent(fault: Fault, venue: str) -> str | None:
    """Why the venue cannot have this fault; None: it can."""
    if isinstance(fault, RestStatus) and fault.status == 418 and venue != "binance":
        return f"only Binance answers 418; {venue.capitalize()} does not"
    if isinstance(fault, RestStatus) and fault.status == 200 and venue != "kraken":
        return f"only Kraken answers errors with 200; {venue.capitalize()} does not"
    if isinstance(fault, Halt) and fault.how == "post_only" and venue == "binance":
        return "Binance has no such status"
    if isinstance(fault, Reset) and venue == "coinbase" and fault.instrument != "all":
        return "Coinbase's numbers count the whole connection: a single instrument's cannot begin again"
    return ABSENT.get((type(fault), venue))


def once(fault: Fault, venues: tuple[str, ...]) -> bool:
    """Whether it is over as soon as it has happened."""
    match fault:
        case Close() | SkipIds():
            return True
        case Cut(for_s=0.0):
            return True
        case Maintenance():
            return venues == ("binance",)
        case _:
            return False


def rows() -> list[tuple[str, str, dict[str, str]]]:
    """(name, sentence, venue → `yes`, how it looks there, or empty where it does not exist) of all."""
    found = []
    for name, cls in FAULTS.items():
        own = {venue: "" if (cls, venue) in ABSENT else HOW.get((cls, venue), "yes") for venue in VENUES}
        if cls in ON_THE_MARKET:
            own = dict.fromkeys(VENUES, "synthetic")
        found.append((name, sentence(cls), own))
    return found
