"""Says where the events of a tape come from, and how a simulated venue is recognised."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

SIMULATED_HEADER: Final = "X-Crosstape-Simulated"
"""Header that a simulated venue sends with each HTTP answer, WebSocket handshakes included."""


class Origin(StrEnum):
    """The origin of a tape. The first venue that writes to it sets it."""

    LIVE = "live"
    TEST = "test"
    """A testnet or sandbox of a venue: `venues.VENUE.environment`."""
    SIMULATED = "simulated"
