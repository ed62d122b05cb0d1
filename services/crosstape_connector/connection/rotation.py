"""When a connection is replaced by a younger one, before its venue cuts it. Pure."""

from __future__ import annotations

from typing import Final

EARLIEST: Final = 0.90
LATEST: Final = 0.96
"""Of the age at which it would be cut: of 24 hours, after 21.6 to 23. So there is an hour left for what may go wrong, and connections that
were opened together are not replaced together."""


def due_s(lifetime_s: float, draw: float) -> float | None:
    """The age to replace a connection at; None: never. `draw`: random, 0 to 1, anew for each connection."""
    return lifetime_s * (EARLIEST + (LATEST - EARLIEST) * draw) if lifetime_s > 0 else None
