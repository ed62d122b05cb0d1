"""The settings of a simulator. All durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from crosstape_simulator.faults.spec import AnyFault
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues.registry import DEFAULT

VENUES: Final = DEFAULT
"""The venues that are simulated unless others are named."""


class SimulatorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The settings; by default three synthetic venues at a pace for demos."""

    venues: tuple[str, ...] = VENUES
    recordings: tuple[str, ...] = ()
    """Capture files. A venue with one is played; the others of `venues` are synthetic, or left out if `venues` does not name them."""
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = {}
    """Port of each venue; a venue that is not named listens on a free one."""

    seed: int = 1
    rate: float = 200.0
    """Orders a second over all synthetic venues; each leads to one or a few frames."""
    levels: int = 200
    """Levels a side of each book, about."""
    start_ts: int | None = None
    """Start of the market's clock, ns; None: now. With the same seed and start the market is the same."""
    paused: bool = False
    """Start with the market's clock stopped: `Simulator.resume` or `advance` move it."""
    past_hours: Annotated[int, msgspec.Meta(ge=0, le=24 * 4_000)] = 0
    """Hours before its start of which synthetic venues have trades and candles by REST; 0: only since its start. With a past no trade is
    forgotten: that is for tests of hours, not for a simulator that runs for days."""
    past_per_hour: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 120
    """Trades of each pair in each of these hours."""
    listings: Mapping[str, tuple[Listing, ...]] = {}
    """Listings of each venue; a venue that is not named lists its usual pairs."""

    speed: float = 1.0
    """Pace of recordings: 1 as recorded, N times as fast, 0 as fast as the clients read."""
    start: Literal["subscribed", "manual"] = "subscribed"
    """A recording starts once clients have subscribed to its topics, or only with `Simulator.start`."""
    settle_s: float = 0.5
    """Pause between the last subscription and the start if all topics are subscribed; four times as long if only some are."""
    repeat: bool = False
    """Play a recording again for clients that come after its end."""

    options: Mapping[str, Mapping[str, float]] = {}
    """Settings of single venues, by venue: `SimulatedVenue.options` has their names and defaults."""
    buffer_bytes: int = 16 * 1024 * 1024
    """A client for which more than this waits is cut."""

    faults: tuple[AnyFault, ...] = ()
    """Faults that are set once everything listens."""
    control_host: str = "127.0.0.1"
    control_port: int | None = None
    """Port of the control API; None: it is not served, 0: a free port."""
