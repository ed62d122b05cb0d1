"""What a simulator is to be. All durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from crosstape_simulator.faults.spec import AnyFault
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues.registry import DEFAULT

VENUES: Final = DEFAULT
"""Those that are simulated unless others are named."""


class SimulatorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything has a default: three synthetic venues at a pace for demos."""

    venues: tuple[str, ...] = VENUES
    recordings: tuple[str, ...] = ()
    """Capture files. A venue with one is played; the others of `venues` are synthetic, or left out if `venues` does not name them."""
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = {}
    """By venue; one that is not named takes a free port."""

    seed: int = 1
    rate: float = 200.0
    """Orders a second over all synthetic venues; each makes one to a few frames."""
    levels: int = 200
    """Of a book, a side, about."""
    start_ts: int | None = None
    """Where the market's clock starts, ns; None: now. With the same seed and start the market is the same."""
    paused: bool = False
    """Start with the market's clock standing still: `Simulator.resume` or `advance` move it."""
    listings: Mapping[str, tuple[Listing, ...]] = {}
    """What each venue lists; one that is not named lists the usual."""

    speed: float = 1.0
    """Of recordings: 1 as recorded, N times as fast, 0 as fast as the clients take them."""
    start: Literal["subscribed", "manual"] = "subscribed"
    """A recording starts once clients have subscribed to what is in it, or only with `Simulator.start`."""
    settle_s: float = 0.5
    """It starts so long after the last subscription if all that is in it is subscribed; four times as long after if only a part is."""
    repeat: bool = False
    """Play a recording again for clients that come after its end."""

    options: Mapping[str, Mapping[str, float]] = {}
    """By venue: settings that only it has, such as `messages_per_s` of a client or `requests_per_s` by REST (0: no limit)."""
    buffer_bytes: int = 16 * 1024 * 1024
    """A client that has not taken so much is cut."""

    faults: tuple[AnyFault, ...] = ()
    """Set once everything listens."""
    control_host: str = "127.0.0.1"
    control_port: int | None = None
    """Where faults can be set and the truth be asked for while it runs; None: nowhere, 0: a free port."""
